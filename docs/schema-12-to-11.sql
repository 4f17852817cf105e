-- Takes a queue of schema 12 back to schema 11, for an event-sender that does not know schema 12. With the service stopped:
--
--     sudo -u event-sender sqlite3 -bail -init /dev/null -cmd '.dbconfig defensive off' \
--         /var/lib/event-sender/queue.db < schema-12-to-11.sql
--
-- One transaction: what goes wrong changes nothing. Only words of the schema change; no row is touched.
BEGIN IMMEDIATE;

DROP INDEX jobs_unfit;
CREATE INDEX jobs_unfit ON jobs (id) WHERE state NOT IN ('pending', 'claimed', 'sent', 'failed', 'cancelled');

PRAGMA writable_schema = ON;
UPDATE sqlite_master SET sql = replace(replace(replace(replace(sql,
    'CHECK (state = ''pending'' OR state = ''claimed'' OR state = ''sent'' OR state = ''failed'' OR state = ''cancelled'')',
    'CHECK (state IN (''pending'', ''claimed'', ''sent'', ''failed'', ''cancelled''))'),
    'CHECK ((state = ''sent'' OR state = ''failed'' OR state = ''cancelled'') = (finished_at IS NOT NULL))',
    'CHECK ((state IN (''sent'', ''failed'', ''cancelled'')) = (finished_at IS NOT NULL))'),
    'CHECK (operation = ''create'' OR operation = ''update'' OR operation = ''delete'')',
    'CHECK (operation IN (''create'', ''update'', ''delete''))'),
    'CHECK (error_kind IS NULL OR error_kind = ''invalid_job'' OR error_kind = ''rejected'' OR error_kind = ''not_found''
                                OR error_kind = ''denied'' OR error_kind = ''throttled'' OR error_kind = ''unavailable''
                                OR error_kind = ''auth'' OR error_kind = ''exhausted'' OR error_kind = ''duplicate_transaction''
                                OR error_kind = ''expired'' OR error_kind = ''superseded'' OR error_kind = ''target'')',
    'CHECK (error_kind IN (''invalid_job'', ''rejected'', ''not_found'', ''denied'', ''throttled'', ''unavailable'',
                                               ''auth'', ''exhausted'', ''duplicate_transaction'', ''expired'', ''superseded'', ''target''))')
WHERE type = 'table' AND name = 'jobs';
PRAGMA writable_schema = RESET;

DELETE FROM _sqlx_migrations WHERE version = 12;
COMMIT;
