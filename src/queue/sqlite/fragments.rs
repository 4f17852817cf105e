//! SQL that several statements share.

/// When the producer wishes the job to be sent, as the schema reads `not_before`; the empty text, which is before every
/// time, where nothing is wished or can be.
macro_rules! wished {
    () => {
        "iif(not_before IS NULL, '', coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id), ''))"
    };
}
pub(super) use wished;

/// The ids of all pending jobs: those in a lane, and those behind another of their event.
macro_rules! pending {
    () => {
        "SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL UNION ALL SELECT id FROM jobs WHERE behind IS NOT NULL"
    };
}
pub(super) use pending;
