//! SQL that several statements share.

/// The job, which has ended, is needed for no event to come: a key lives as long as the row of its create, so that one stays until
/// its event is over or deleted; and a delete stays as long as a create before it, which would seem alive without it.
macro_rules! not_needed {
    () => {
        "(event_key IS NULL OR state <> 'sent' OR operation = 'update'
            OR operation = 'create' AND (coalesce(ends_at, 'infinity') < now()
                OR EXISTS (SELECT 1 FROM jobs AS d WHERE d.event_key = jobs.event_key AND d.id > jobs.id
                    AND d.operation = 'delete' AND d.state = 'sent'))
            OR operation = 'delete' AND NOT EXISTS (SELECT 1 FROM jobs AS c WHERE c.event_key = jobs.event_key
                AND c.id < jobs.id AND c.operation = 'create'))"
    };
}
pub(super) use not_needed;
