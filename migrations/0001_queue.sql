-- The queue. Any program that can run SQL is a producer, down to SQLite 3.26 (RHEL 8): no STRICT tables,
-- no generated columns, no function newer than that in a default, CHECK, trigger or index.
--
-- The rules below are the last line of defence: they hold for every writer, whatever its language or its mood.
-- What SQL cannot judge (a time zone, a mail address) is judged by the agent, which fails the row with the reason.

CREATE TABLE jobs (
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

-- The claim walks from mailbox to mailbox and takes the head of each: its cost is the number of mailboxes with
-- waiting jobs, never the number of waiting jobs. Mailboxes are told apart without case and without the white space
-- around them (it is not sent either), on the longest address there is (320 characters), so that a megabyte of rubbish
-- does not end up in the index.
CREATE INDEX jobs_waiting ON jobs (
    coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), ''), next_attempt_at, id)
    WHERE state = 'pending';
-- Found by the next start after a crash.
CREATE INDEX jobs_claimed ON jobs (id) WHERE state = 'claimed';
-- Retention.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- One row per finished attempt. An attempt that never had a token or a connection is none: nothing was tried.
CREATE TABLE attempts (
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
CREATE INDEX attempts_of_job ON attempts (job_id);

-- One row per mailbox that has been paused. A pause is a time, so it survives a restart and ends by itself.
CREATE TABLE mailboxes (
    mailbox      TEXT PRIMARY KEY NOT NULL CHECK (mailbox = lower(mailbox)),
    paused_until TEXT NOT NULL,
    reason       TEXT NOT NULL,
    error_kind   TEXT,
    -- pauses in a row without a success between them; makes the next one longer when Graph names no time
    strikes      INTEGER NOT NULL DEFAULT 1,
    updated_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) WITHOUT ROWID;

-- not_before is whatever form of UTC time the producer's library writes; due times are one form. Every form the agent
-- takes must be understood here (a test holds the two together), or the job is sent too early: SQLite itself wants no
-- space in front, a capital T and a colon in the offset. A not_before that is no time leaves the job due at once, and
-- the agent fails it with the reason.
CREATE TRIGGER jobs_not_before_inserted AFTER INSERT ON jobs
WHEN NEW.not_before IS NOT NULL AND NEW.state = 'pending'
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(next_attempt_at, (
        SELECT coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', t),
                        strftime('%Y-%m-%dT%H:%M:%fZ', substr(t, 1, length(t) - 2) || ':' || substr(t, -2)), '')
        FROM (SELECT replace(trim(NEW.not_before, char(9, 10, 11, 12, 13, 32)), 't', 'T') AS t)))
    WHERE id = NEW.id;
END;

-- Also for the job that failed or was cancelled, was corrected, and goes back to pending.
CREATE TRIGGER jobs_not_before_changed AFTER UPDATE OF not_before, state ON jobs
WHEN NEW.state = 'pending' AND (NEW.not_before IS NOT OLD.not_before OR OLD.state IN ('failed', 'cancelled'))
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(
        CASE WHEN NEW.not_before IS OLD.not_before THEN next_attempt_at ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END, (
        SELECT coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', t),
                        strftime('%Y-%m-%dT%H:%M:%fZ', substr(t, 1, length(t) - 2) || ':' || substr(t, -2)), '')
        FROM (SELECT replace(trim(NEW.not_before, char(9, 10, 11, 12, 13, 32)), 't', 'T') AS t)))
    WHERE id = NEW.id;
END;

-- A request repeated under the same transaction_id must be the same request (graph-facts: another content under a
-- used id is refused), so the content is fixed while a request may be under way and for ever after one has left.
CREATE TRIGGER jobs_content_is_fixed BEFORE UPDATE OF subject, body, start_time, end_time, location, attendees, mailbox,
    calendar_id, body_type, time_zone, extra, dedup_key, not_before, transaction_id ON jobs
WHEN (OLD.state IN ('claimed', 'sent') OR OLD.in_doubt = 1 OR OLD.first_sent_at IS NOT NULL)
    AND (NEW.subject IS NOT OLD.subject OR NEW.body IS NOT OLD.body OR NEW.start_time IS NOT OLD.start_time
        OR NEW.end_time IS NOT OLD.end_time OR NEW.location IS NOT OLD.location OR NEW.attendees IS NOT OLD.attendees
        OR NEW.mailbox IS NOT OLD.mailbox OR NEW.calendar_id IS NOT OLD.calendar_id
        OR NEW.body_type IS NOT OLD.body_type OR NEW.time_zone IS NOT OLD.time_zone OR NEW.extra IS NOT OLD.extra
        OR NEW.dedup_key IS NOT OLD.dedup_key OR NEW.not_before IS NOT OLD.not_before
        OR NEW.transaction_id IS NOT OLD.transaction_id)
BEGIN
    SELECT RAISE(ABORT, 'this job can no longer be changed, a request for it may have left: insert a new job instead');
END;

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

-- Producers rarely switch foreign keys on, so the history goes by trigger.
CREATE TRIGGER jobs_history_goes_along AFTER DELETE ON jobs
BEGIN
    DELETE FROM attempts WHERE job_id = OLD.id;
END;

-- INSERT OR REPLACE deletes the row in its way, and no delete trigger is told (PRAGMA recursive_triggers is off by
-- default): the job under way would be gone and its event sent twice. Before the insert one cannot tell REPLACE from
-- IGNORE and DO UPDATE, which are welcome; after it one can: the row that was in the way is no longer there.
CREATE TABLE jobs_in_the_way (job_id INTEGER PRIMARY KEY);

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
