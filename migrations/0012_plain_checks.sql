-- The same rules in words that cost a tenth. Of a list with more than two values SQLite makes a table, and where the list stands in
-- a CHECK or in the condition of an index it makes that table anew for every row it writes: six of them, with 30 values, at each
-- insert, and four at each change of a state. Comparisons need none.
--
-- One transaction, and no rebuild: a CHECK is text in the schema, and no row is judged otherwise than before. A table that somebody
-- has written anew in words of his own stays as it is. The index is empty but for rows in no state.

DROP INDEX jobs_unfit;
CREATE INDEX jobs_unfit ON jobs (id)
WHERE state <> 'pending' AND state <> 'claimed' AND state <> 'sent' AND state <> 'failed' AND state <> 'cancelled';

PRAGMA writable_schema = ON;
UPDATE sqlite_master SET sql = replace(replace(replace(replace(sql,
    'CHECK (state IN (''pending'', ''claimed'', ''sent'', ''failed'', ''cancelled''))',
    'CHECK (state = ''pending'' OR state = ''claimed'' OR state = ''sent'' OR state = ''failed'' OR state = ''cancelled'')'),
    'CHECK ((state IN (''sent'', ''failed'', ''cancelled'')) = (finished_at IS NOT NULL))',
    'CHECK ((state = ''sent'' OR state = ''failed'' OR state = ''cancelled'') = (finished_at IS NOT NULL))'),
    'CHECK (operation IN (''create'', ''update'', ''delete''))',
    'CHECK (operation = ''create'' OR operation = ''update'' OR operation = ''delete'')'),
    'CHECK (error_kind IN (''invalid_job'', ''rejected'', ''not_found'', ''denied'', ''throttled'', ''unavailable'',
                                               ''auth'', ''exhausted'', ''duplicate_transaction'', ''expired'', ''superseded'', ''target''))',
    'CHECK (error_kind IS NULL OR error_kind = ''invalid_job'' OR error_kind = ''rejected'' OR error_kind = ''not_found''
                                OR error_kind = ''denied'' OR error_kind = ''throttled'' OR error_kind = ''unavailable''
                                OR error_kind = ''auth'' OR error_kind = ''exhausted'' OR error_kind = ''duplicate_transaction''
                                OR error_kind = ''expired'' OR error_kind = ''superseded'' OR error_kind = ''target'')')
WHERE type = 'table' AND name = 'jobs';
PRAGMA writable_schema = RESET;
