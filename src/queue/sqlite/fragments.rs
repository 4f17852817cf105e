//! SQL that several statements share.

/// When the producer wishes the job to be sent, as the schema reads `not_before`; the empty text, which is before every
/// time, where nothing is wished or can be.
macro_rules! wished {
    () => {
        "iif(not_before IS NULL, '', coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id), ''))"
    };
}
pub(super) use wished;

/// The job, which has ended, is needed for no event to come: a key lives as long as the row of its create, so that one stays until
/// its event is over ($now) or deleted, and as long as another job of the key waits; and a delete stays as long as a create before
/// it, which would seem alive without it.
macro_rules! not_needed {
    ($now:literal) => {
        concat!(
            "(event_key IS NULL OR state <> 'sent' OR operation = 'update'
            OR operation = 'create' AND (coalesce(ends_at, '~') < ",
            $now,
            " OR EXISTS (SELECT 1 FROM jobs AS d WHERE d.event_key = jobs.event_key AND d.id > jobs.id
                    AND d.operation = 'delete' AND d.state = 'sent'))
                AND NOT EXISTS (SELECT 1 FROM jobs AS e WHERE e.event_key = jobs.event_key AND e.state IN ('pending', 'claimed'))
            OR operation = 'delete' AND NOT EXISTS (SELECT 1 FROM jobs AS c WHERE c.event_key = jobs.event_key
                AND c.id < jobs.id AND c.operation = 'create'))"
        )
    };
}
pub(super) use not_needed;
