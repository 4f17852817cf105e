//! SQL that several statements share.

/// When the producer wishes the job to be sent, as the schema reads `not_before`; the empty text, which is before every
/// time, where nothing is wished or can be.
macro_rules! wished {
    () => {
        "iif(not_before IS NULL, '', coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id), ''))"
    };
}
pub(super) use wished;
