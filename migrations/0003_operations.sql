-- What an operator needs: hold a mailbox, see at once how things stand, also with millions of rows, and know what the
-- agent on this queue says of itself.

-- Nothing is sent to a mailbox on hold until somebody releases it. Beside paused_until, because a hold must not make the
-- agent forget a Retry-After. A row that is only a hold has a pause that is long over.
ALTER TABLE mailboxes ADD COLUMN held_at TEXT;
ALTER TABLE mailboxes ADD COLUMN held_reason TEXT;
CREATE INDEX mailboxes_held ON mailboxes (mailbox) WHERE held_at IS NOT NULL;

-- Counting must not read the rows, which have bodies. Of the states, sent is what jobs_finished has beyond these two.
-- None of these is touched on a job's good way from pending to sent.
CREATE INDEX jobs_failed ON jobs (error_kind, finished_at) WHERE state = 'failed';
CREATE INDEX jobs_cancelled ON jobs (finished_at) WHERE state = 'cancelled';
CREATE INDEX jobs_in_doubt ON jobs (id) WHERE in_doubt = 1;
CREATE INDEX jobs_troubled ON jobs (error_kind, error_code) WHERE state = 'pending' AND error_kind IS NOT NULL;

-- What the agent that ran last says of itself, in one row. Whether one is running tells the lock beside the queue.
CREATE TABLE agent (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    version      TEXT NOT NULL,
    started_at   TEXT NOT NULL,
    -- when its settings were read last, and why reading them again was refused, if it was
    settings_at  TEXT NOT NULL,
    settings_refused TEXT,
    -- why nothing at all is sent, if that is so: since when, until when at least, and the words of the log line
    gate_since   TEXT,
    gate_until   TEXT,
    gate_kind    TEXT,
    gate_code    TEXT,
    gate_hint    TEXT,
    CONSTRAINT shut_means_why CHECK ((gate_since IS NULL) = (gate_kind IS NULL) AND (gate_since IS NULL) = (gate_until IS NULL))
);
