-- Takes a queue of schema 10 back to schema 9, for an event-sender that does not know schema 10. With the service stopped:
--
--     sudo -u event-sender sqlite3 -bail -init /dev/null /var/lib/event-sender/queue.db < schema-10-to-9.sql
--
-- One transaction: what goes wrong changes nothing. It takes as long as the step up did, and as much disk. Schema 9 knows creates
-- alone: jobs that changed or deleted an event are left out.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
PRAGMA ignore_check_constraints = ON;
PRAGMA legacy_alter_table = ON;

CREATE TABLE jobs_9 (
    id              INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),

    -- written by the producer
    subject         TEXT,
    body            TEXT,
    start_time      TEXT NOT NULL CHECK (trim(start_time) <> ''),
    end_time        TEXT NOT NULL CHECK (trim(end_time) <> ''),
    location        TEXT,
    attendees       TEXT NOT NULL DEFAULT '[]'
                    CONSTRAINT attendees_is_a_json_array CHECK (json_valid(attendees) AND json_type(attendees) = 'array'),
    mailbox         TEXT,
    calendar_id     TEXT,
    body_type       TEXT CONSTRAINT body_type_is_text_or_html CHECK (body_type IN ('text', 'html')),
    time_zone       TEXT,
    extra           TEXT CONSTRAINT extra_is_a_json_object
                    CHECK (extra IS NULL OR (json_valid(extra) AND json_type(extra) = 'object')),
    dedup_key       TEXT UNIQUE,
    not_before      TEXT,

    -- written by the agent
    state           TEXT NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'claimed', 'sent', 'failed', 'cancelled')),
    event_id        TEXT,
    in_doubt        INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (typeof(attempts) = 'integer' AND attempts BETWEEN 0 AND 1000000000),
    claims          INTEGER NOT NULL DEFAULT 0 CHECK (typeof(claims) = 'integer' AND claims BETWEEN 0 AND 1000000000000),
    next_attempt_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                    CHECK (typeof(next_attempt_at) = 'text' AND length(CAST(next_attempt_at AS BLOB)) = 24 AND
                           next_attempt_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    transaction_id  TEXT NOT NULL COLLATE NOCASE UNIQUE DEFAULT (lower(
                        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
                        || '-' || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2)
                        || '-' || hex(randomblob(6))))
                    CHECK (typeof(transaction_id) = 'text' AND length(transaction_id) BETWEEN 1 AND 255),
    error_kind      TEXT CHECK (error_kind IN ('invalid_job', 'rejected', 'not_found', 'denied', 'throttled',
                                               'unavailable', 'auth', 'exhausted', 'duplicate_transaction')),
    http_status     INTEGER,
    error_code      TEXT,
    error_message   TEXT,
    request_id      TEXT,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    claimed_at      TEXT,
    finished_at     TEXT,
    -- first time a request for this job may have left the process: from then on its content is fixed
    first_sent_at   TEXT,
    -- end of the time horizon (delivery.give_up_after), counted from the first refusal or lost reply
    give_up_at      TEXT,

    CONSTRAINT sent_means_event_id CHECK ((state = 'sent') = (event_id IS NOT NULL)),
    CONSTRAINT final_means_finished_at CHECK ((state IN ('sent', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT claimed_means_claimed_at CHECK (state <> 'claimed' OR claimed_at IS NOT NULL)
);
ALTER TABLE jobs_9 ADD COLUMN defaulted TEXT;
ALTER TABLE jobs_9 ADD COLUMN settled TEXT;

INSERT INTO jobs_9 (
    id, subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone, extra,
    dedup_key, not_before, state, event_id, in_doubt, attempts, claims, next_attempt_at, transaction_id, error_kind,
    http_status, error_code, error_message, request_id, created_at, claimed_at, finished_at, first_sent_at, give_up_at,
    defaulted, settled)
SELECT
    id, subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone, extra,
    dedup_key, not_before, state, event_id, in_doubt, attempts, claims, next_attempt_at, transaction_id, error_kind,
    http_status, error_code, error_message, request_id, created_at, claimed_at, finished_at, first_sent_at, give_up_at,
    defaulted, settled
FROM jobs WHERE operation = 'create';

INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs_9', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs_9');
UPDATE sqlite_sequence
SET seq = max(seq, coalesce((SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = 'jobs'), 0))
WHERE name = 'jobs_9';
DROP TABLE jobs;
DROP VIEW job_lanes;
ALTER TABLE jobs_9 RENAME TO jobs;

CREATE TABLE attempts_9 (
    id                INTEGER PRIMARY KEY,
    job_id            INTEGER NOT NULL,
    claim             INTEGER NOT NULL,
    started_at        TEXT NOT NULL,
    duration_ms       INTEGER NOT NULL,
    outcome           TEXT NOT NULL,
    http_status       INTEGER,
    error_code        TEXT,
    message           TEXT,
    request_id        TEXT,
    client_request_id TEXT
);

INSERT INTO attempts_9 (
    job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id)
SELECT
    job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id
FROM attempts ORDER BY started_at, job_id, claim;
DROP TABLE attempts;
ALTER TABLE attempts_9 RENAME TO attempts;

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
ALTER TABLE agent ADD COLUMN credential TEXT;
ALTER TABLE agent ADD COLUMN credential_expires TEXT CHECK ((credential IS NULL) = (credential_expires IS NULL));
ALTER TABLE agent ADD COLUMN default_key TEXT;
ALTER TABLE agent ADD COLUMN default_value TEXT;
ALTER TABLE agent ADD COLUMN default_since TEXT;
ALTER TABLE agent ADD COLUMN default_until TEXT;
ALTER TABLE agent ADD COLUMN default_hint TEXT;
ALTER TABLE agent ADD COLUMN refused TEXT;

INSERT INTO agent (
    id, version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code, gate_hint,
    credential, credential_expires, default_key, default_value, default_since, default_until, default_hint, refused)
SELECT
    1, version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code, gate_hint,
    credential, credential_expires, default_key, default_value, default_since, default_until, default_hint, refused
FROM agents ORDER BY id DESC LIMIT 1;
DROP TABLE agents;

PRAGMA legacy_alter_table = OFF;
PRAGMA ignore_check_constraints = OFF;

CREATE INDEX jobs_waiting ON jobs (
    coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), ''), next_attempt_at, id)
    WHERE state = 'pending';

CREATE INDEX jobs_claimed ON jobs (id) WHERE state = 'claimed';

CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE INDEX attempts_of_job ON attempts (job_id);

CREATE INDEX jobs_failed ON jobs (error_kind, finished_at) WHERE state = 'failed';

CREATE INDEX jobs_cancelled ON jobs (finished_at) WHERE state = 'cancelled';

CREATE INDEX jobs_in_doubt ON jobs (id) WHERE in_doubt = 1;

CREATE INDEX jobs_troubled ON jobs (error_kind, error_code) WHERE state = 'pending' AND error_kind IS NOT NULL;

CREATE INDEX jobs_unfit ON jobs (state, next_attempt_at)
    WHERE state NOT IN ('pending', 'claimed', 'sent', 'failed', 'cancelled') OR state = 'pending' AND (
        typeof(next_attempt_at) <> 'text' OR next_attempt_at NOT GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z');

CREATE TRIGGER jobs_state_moves BEFORE UPDATE OF state ON jobs
WHEN NEW.state <> OLD.state AND NOT (
        (OLD.state = 'pending' AND NEW.state IN ('claimed', 'failed', 'cancelled'))
        OR (OLD.state = 'claimed' AND NEW.state IN ('pending', 'sent', 'failed'))
        OR (OLD.state IN ('failed', 'cancelled') AND NEW.state IN ('pending', 'cancelled')))
BEGIN
    SELECT RAISE(ABORT, 'this change of state is not allowed: pending -> claimed -> sent or failed; a failed or cancelled job may go back to pending; sent is final');
END;

CREATE TRIGGER jobs_claims_only_grow BEFORE UPDATE OF claims, state ON jobs
WHEN NEW.claims < OLD.claims OR (NEW.state = 'claimed' AND OLD.state <> 'claimed' AND NEW.claims <= OLD.claims)
BEGIN
    SELECT RAISE(ABORT, 'claims only grows, and grows with every claim: it fences late writers');
END;

CREATE TRIGGER jobs_doubt_is_kept BEFORE DELETE ON jobs
WHEN OLD.state = 'claimed' OR OLD.in_doubt = 1
BEGIN
    SELECT RAISE(ABORT, 'this job cannot be deleted: it is being sent, or an event may exist that no answer has confirmed');
END;

CREATE TRIGGER jobs_history_goes_along AFTER DELETE ON jobs
BEGIN
    DELETE FROM attempts WHERE job_id = OLD.id;
END;

CREATE TRIGGER jobs_in_the_way_are_noted BEFORE INSERT ON jobs
BEGIN
    DELETE FROM jobs_in_the_way WHERE job_id IS NOT NULL;
    INSERT INTO jobs_in_the_way
    SELECT id FROM jobs WHERE id = NEW.id
    UNION SELECT id FROM jobs WHERE dedup_key = NEW.dedup_key
    UNION SELECT id FROM jobs WHERE transaction_id = NEW.transaction_id;
END;

CREATE TRIGGER jobs_are_not_replaced AFTER INSERT ON jobs
WHEN EXISTS (SELECT 1 FROM jobs_in_the_way AS w
             WHERE w.job_id = NEW.id OR NOT EXISTS (SELECT 1 FROM jobs WHERE id = w.job_id))
BEGIN
    SELECT RAISE(ABORT, 'a job cannot be replaced, a request for it may have left: use INSERT, INSERT OR IGNORE or ON CONFLICT');
END;

CREATE TRIGGER jobs_are_not_replaced_by_others BEFORE UPDATE OF id, dedup_key, transaction_id ON jobs
WHEN EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id AND id <> OLD.id)
    OR EXISTS (SELECT 1 FROM jobs WHERE dedup_key = NEW.dedup_key AND id <> OLD.id)
    OR EXISTS (SELECT 1 FROM jobs WHERE transaction_id = NEW.transaction_id AND id <> OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'another job has this id, dedup_key or transaction_id already, and a job cannot be replaced');
END;

CREATE TRIGGER jobs_start_anew AFTER UPDATE OF state ON jobs
WHEN NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled')
BEGIN
    UPDATE jobs SET attempts = 0, give_up_at = NULL WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_of_bearable_size_inserted BEFORE INSERT ON jobs
WHEN coalesce(length(CAST(NEW.subject AS BLOB)), 0) +
        coalesce(length(CAST(NEW.body AS BLOB)), 0) +
        coalesce(length(CAST(NEW.start_time AS BLOB)), 0) +
        coalesce(length(CAST(NEW.end_time AS BLOB)), 0) +
        coalesce(length(CAST(NEW.location AS BLOB)), 0) +
        coalesce(length(CAST(NEW.attendees AS BLOB)), 0) +
        coalesce(length(CAST(NEW.mailbox AS BLOB)), 0) +
        coalesce(length(CAST(NEW.calendar_id AS BLOB)), 0) +
        coalesce(length(CAST(NEW.body_type AS BLOB)), 0) +
        coalesce(length(CAST(NEW.time_zone AS BLOB)), 0) +
        coalesce(length(CAST(NEW.extra AS BLOB)), 0) +
        coalesce(length(CAST(NEW.dedup_key AS BLOB)), 0) +
        coalesce(length(CAST(NEW.not_before AS BLOB)), 0) +
        coalesce(length(CAST(NEW.transaction_id AS BLOB)), 0) > 33554432
BEGIN
    SELECT RAISE(ABORT, 'this job has more than 32 MB; an event may have 4 MB in all: shorten it');
END;

CREATE TRIGGER jobs_of_bearable_size_changed BEFORE UPDATE OF subject, body, start_time, end_time, location, attendees, mailbox,
    calendar_id, body_type, time_zone, extra, dedup_key, not_before, transaction_id ON jobs
WHEN NEW.state <> 'claimed' AND
        coalesce(length(CAST(NEW.subject AS BLOB)), 0) +
        coalesce(length(CAST(NEW.body AS BLOB)), 0) +
        coalesce(length(CAST(NEW.start_time AS BLOB)), 0) +
        coalesce(length(CAST(NEW.end_time AS BLOB)), 0) +
        coalesce(length(CAST(NEW.location AS BLOB)), 0) +
        coalesce(length(CAST(NEW.attendees AS BLOB)), 0) +
        coalesce(length(CAST(NEW.mailbox AS BLOB)), 0) +
        coalesce(length(CAST(NEW.calendar_id AS BLOB)), 0) +
        coalesce(length(CAST(NEW.body_type AS BLOB)), 0) +
        coalesce(length(CAST(NEW.time_zone AS BLOB)), 0) +
        coalesce(length(CAST(NEW.extra AS BLOB)), 0) +
        coalesce(length(CAST(NEW.dedup_key AS BLOB)), 0) +
        coalesce(length(CAST(NEW.not_before AS BLOB)), 0) +
        coalesce(length(CAST(NEW.transaction_id AS BLOB)), 0) > 33554432
BEGIN
    SELECT RAISE(ABORT, 'this job has more than 32 MB; an event may have 4 MB in all: shorten it');
END;

CREATE TRIGGER jobs_not_before_inserted AFTER INSERT ON jobs
WHEN NEW.not_before IS NOT NULL AND NEW.state = 'pending'
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(next_attempt_at, coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_not_before_changed AFTER UPDATE OF not_before, start_time, end_time, state ON jobs
WHEN NEW.state = 'pending' AND (NEW.not_before IS NOT NULL OR OLD.not_before IS NOT NULL)
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(
        CASE WHEN NEW.not_before IS OLD.not_before AND NEW.start_time IS OLD.start_time AND NEW.end_time IS OLD.end_time
            THEN next_attempt_at ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END,
        coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_not_before_is_heeded AFTER UPDATE OF next_attempt_at ON jobs
WHEN NEW.state = 'pending' AND NEW.not_before IS NOT NULL AND NEW.next_attempt_at < OLD.next_attempt_at
BEGIN
    UPDATE jobs SET not_before = not_before WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_defaulted_inserted BEFORE INSERT ON jobs
WHEN NEW.defaulted IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'defaulted is written by the agent: leave it out');
END;

CREATE TRIGGER jobs_defaulted_changed BEFORE UPDATE OF defaulted ON jobs
WHEN NEW.defaulted IS NOT NULL AND NEW.defaulted IS NOT OLD.defaulted
    AND NOT (OLD.state = 'pending' AND NEW.state = 'claimed')
    AND (OLD.defaulted IS NULL OR OLD.in_doubt = 1
        OR (instr(NEW.defaulted, 'mailbox') > 0 AND instr(OLD.defaulted, 'mailbox') = 0)
        OR (instr(NEW.defaulted, 'body_type') > 0 AND instr(OLD.defaulted, 'body_type') = 0)
        OR (instr(NEW.defaulted, 'time_zone') > 0 AND instr(OLD.defaulted, 'time_zone') = 0))
BEGIN
    SELECT RAISE(ABORT, 'defaulted is written by the agent: leave it as it is');
END;

CREATE TRIGGER jobs_defaulted_are_named AFTER UPDATE OF mailbox, body_type, time_zone ON jobs
WHEN OLD.defaulted <> '' AND NEW.defaulted IS OLD.defaulted
    AND NOT (NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled'))
    AND (NEW.mailbox IS NOT OLD.mailbox OR NEW.body_type IS NOT OLD.body_type OR NEW.time_zone IS NOT OLD.time_zone)
BEGIN
    UPDATE jobs SET defaulted = trim(
            CASE WHEN instr(OLD.defaulted, 'mailbox') > 0 AND NEW.mailbox IS OLD.mailbox THEN 'mailbox ' ELSE '' END ||
            CASE WHEN instr(OLD.defaulted, 'body_type') > 0 AND NEW.body_type IS OLD.body_type THEN 'body_type ' ELSE '' END ||
            CASE WHEN instr(OLD.defaulted, 'time_zone') > 0 AND NEW.time_zone IS OLD.time_zone THEN 'time_zone ' ELSE '' END)
    WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_doubt_keeps_the_defaults AFTER UPDATE OF in_doubt ON jobs
WHEN NEW.in_doubt = 1 AND NEW.defaulted IS NOT NULL
BEGIN
    UPDATE jobs SET defaulted = NULL WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_take_new_defaults AFTER UPDATE OF state ON jobs
WHEN NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled') AND OLD.defaulted <> ''
    AND OLD.in_doubt = 0 AND NEW.in_doubt = 0 AND NEW.error_kind IS NOT 'duplicate_transaction'
BEGIN
    UPDATE jobs SET defaulted = '',
        mailbox = CASE WHEN instr(OLD.defaulted, 'mailbox') > 0 AND NEW.mailbox IS OLD.mailbox THEN NULL ELSE mailbox END,
        body_type = CASE WHEN instr(OLD.defaulted, 'body_type') > 0 AND NEW.body_type IS OLD.body_type THEN NULL ELSE body_type END,
        time_zone = CASE WHEN instr(OLD.defaulted, 'time_zone') > 0 AND NEW.time_zone IS OLD.time_zone THEN NULL ELSE time_zone END
    WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_content_is_fixed BEFORE UPDATE OF subject, body, start_time, end_time, location, attendees, mailbox,
    calendar_id, body_type, time_zone, extra, dedup_key, not_before, transaction_id ON jobs
WHEN (OLD.state IN ('claimed', 'sent') OR OLD.in_doubt = 1 OR OLD.first_sent_at IS NOT NULL)
    AND (NEW.subject IS NOT OLD.subject OR NEW.body IS NOT OLD.body OR NEW.start_time IS NOT OLD.start_time
        OR NEW.end_time IS NOT OLD.end_time OR NEW.location IS NOT OLD.location OR NEW.attendees IS NOT OLD.attendees
        OR NEW.calendar_id IS NOT OLD.calendar_id OR NEW.extra IS NOT OLD.extra
        OR NEW.dedup_key IS NOT OLD.dedup_key OR NEW.not_before IS NOT OLD.not_before
        OR NEW.transaction_id IS NOT OLD.transaction_id
        OR ((NEW.mailbox IS NOT OLD.mailbox OR NEW.body_type IS NOT OLD.body_type OR NEW.time_zone IS NOT OLD.time_zone)
            AND NOT (OLD.state = 'pending' AND OLD.in_doubt = 0 AND NEW.in_doubt = 0 AND OLD.defaulted IS NOT NULL
                AND ((NEW.state = 'pending' AND NEW.defaulted IS ''
                        AND (NEW.mailbox IS OLD.mailbox OR (NEW.mailbox IS NULL AND instr(OLD.defaulted, 'mailbox') > 0))
                        AND (NEW.body_type IS OLD.body_type OR (NEW.body_type IS NULL AND instr(OLD.defaulted, 'body_type') > 0))
                        AND (NEW.time_zone IS OLD.time_zone OR (NEW.time_zone IS NULL AND instr(OLD.defaulted, 'time_zone') > 0)))
                    OR (NEW.state = 'claimed' AND OLD.defaulted = ''
                        AND (NEW.mailbox IS OLD.mailbox OR OLD.mailbox IS NULL)
                        AND (NEW.body_type IS OLD.body_type OR OLD.body_type IS NULL)
                        AND (NEW.time_zone IS OLD.time_zone OR OLD.time_zone IS NULL))))))
BEGIN
    SELECT RAISE(ABORT, 'this job can no longer be changed, a request for it may have left: insert a new job instead');
END;

CREATE TRIGGER jobs_taken_back_are_in_doubt AFTER UPDATE OF state ON jobs
WHEN OLD.state = 'claimed' AND NEW.state <> 'claimed'
    AND (NEW.settled IS NOT 'claim ' || OLD.claims OR OLD.settled IS 'claim ' || OLD.claims)
    AND (NEW.in_doubt = 0 OR NEW.first_sent_at IS NULL OR NEW.next_attempt_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 seconds'))
BEGIN
    UPDATE jobs
    SET in_doubt = 1, first_sent_at = coalesce(NEW.first_sent_at, OLD.first_sent_at, OLD.claimed_at),
        next_attempt_at = max(NEW.next_attempt_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 seconds'))
    WHERE id = NEW.id;
END;

CREATE TRIGGER jobs_doubt_ends_with_an_answer BEFORE UPDATE OF in_doubt ON jobs
WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0
    AND (OLD.state = 'pending' OR (NEW.state IN ('pending', 'claimed') AND NOT (OLD.state = 'claimed' AND NEW.state = 'pending')))
BEGIN
    SELECT RAISE(ABORT, 'an event may exist for this job, and the agent looks for it before it sends again: in_doubt stays until that is answered');
END;

CREATE TRIGGER jobs_first_sent_at_is_kept BEFORE UPDATE OF first_sent_at ON jobs
WHEN OLD.first_sent_at IS NOT NULL AND NEW.first_sent_at IS NULL
    AND (OLD.state <> 'claimed' OR NEW.state = 'claimed')
BEGIN
    SELECT RAISE(ABORT, 'a request for this job may have left: first_sent_at stays');
END;

CREATE TRIGGER jobs_claim_keeps_its_number BEFORE UPDATE OF claims ON jobs
WHEN OLD.state = 'claimed' AND NEW.state = 'claimed' AND NEW.claims IS NOT OLD.claims
BEGIN
    SELECT RAISE(ABORT, 'this job is being sent: claims is the number its result is recorded under, and stays');
END;

CREATE TRIGGER jobs_keep_their_id BEFORE UPDATE ON jobs
WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'a job keeps its id: insert a new job instead');
END;

CREATE TRIGGER jobs_are_claimed_by_the_agent BEFORE INSERT ON jobs
WHEN NEW.state = 'claimed'
BEGIN
    SELECT RAISE(ABORT, 'a job is inserted as pending: only the agent claims it');
END;

CREATE TRIGGER jobs_ids_leave_room BEFORE INSERT ON jobs
WHEN NEW.id > 1000000000000000
BEGIN
    SELECT RAISE(ABORT, 'id: this number is too large, the ids after it would soon be used up; leave id out, or give one up to 1000000000000000');
END;

CREATE TRIGGER jobs_are_sent_by_the_agent BEFORE UPDATE OF state ON jobs
WHEN OLD.state = 'claimed' AND NEW.state = 'sent'
    AND (NEW.settled IS NOT 'claim ' || OLD.claims OR OLD.settled IS 'claim ' || OLD.claims)
BEGIN
    SELECT RAISE(ABORT, 'this job is being sent: only the agent records it as sent, with the EventID that Microsoft gave it');
END;

CREATE TRIGGER jobs_taken_back_stay_in_doubt BEFORE UPDATE OF in_doubt ON jobs
WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0 AND OLD.state IN ('failed', 'cancelled')
    AND OLD.claims > 0 AND OLD.settled IS NOT 'claim ' || OLD.claims
BEGIN
    SELECT RAISE(ABORT, 'an event may exist for this job, which was taken from the agent while it was being sent: in_doubt stays; put the job back to pending (event-sender retry), and the agent looks for its event');
END;

DELETE FROM _sqlx_migrations WHERE version = 10;
COMMIT;
