-- The one rebuild of `jobs` for all that is coming: what is done to an event and which one is meant, until when, in which order;
-- what Graph gave back; who has claimed it. What has a column here and no use yet is refused at the end of this file.
--
-- The program runs this file itself (src/queue/sqlite/upgrade.rs), all of it in one transaction: the statements between
-- `-- copy` and `-- copied` in parts of some thousand rows, so that the log can tell how far they are, and what others have made
-- on the table (indexes, triggers) is made again before the commit. Producers' rules are as in 0001: SQLite 3.26.
--
-- On a job's good way from pending to sent every trigger is a program to be entered, and each BEFORE trigger has the whole row
-- read once more. So what watches the same columns is one trigger, the first words of its WHEN tell the good way, and the rules
-- are AFTER triggers wherever they only compare (docs/performance.md has the figures).

-- Rows are taken over as they are, also those that somebody wrote with the checks switched off: they are told and ended one by
-- one, as before. Other programs' views and triggers may name the table: nothing of theirs is looked at or rewritten.
PRAGMA ignore_check_constraints = ON;
PRAGMA legacy_alter_table = ON;

CREATE TABLE jobs_10 (
    id              INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),

    -- written by the producer
    subject         TEXT,
    body            TEXT,
    start_time      TEXT CONSTRAINT start_time_is_not_empty CHECK (trim(start_time) <> ''),
    end_time        TEXT CONSTRAINT end_time_is_not_empty CHECK (trim(end_time) <> ''),
    location        TEXT,
    attendees       TEXT NOT NULL DEFAULT '[]'
                    CONSTRAINT attendees_is_a_json_array CHECK (json_valid(attendees) AND json_type(attendees) = 'array'),
    mailbox         TEXT,
    calendar_id     TEXT,
    body_type       TEXT CONSTRAINT body_type_is_text_or_html CHECK (body_type IN ('text', 'html')),
    time_zone       TEXT,
    extra           TEXT CONSTRAINT extra_is_a_json_object
                    CHECK (extra IS NULL OR (json_valid(extra) AND json_type(extra) = 'object')),
    dedup_key       TEXT,
    not_before      TEXT,
    -- UTC time after which it is not sent any more
    not_after       TEXT,
    -- of what is due in a mailbox, higher first
    priority        INTEGER NOT NULL DEFAULT 0
                    CONSTRAINT priority_is_minus_1_0_or_1 CHECK (typeof(priority) = 'integer' AND priority BETWEEN -1 AND 1),
    operation       TEXT NOT NULL DEFAULT 'create'
                    CONSTRAINT operation_is_create_update_or_delete CHECK (operation IN ('create', 'update', 'delete')),
    -- the producer's own name of the event; dedup_key names the row
    event_key       TEXT CONSTRAINT event_key_has_1_to_255_characters
                    CHECK (event_key IS NULL OR (typeof(event_key) = 'text' AND length(event_key) BETWEEN 1 AND 255)),
    -- the event that is meant, where no key names it
    target_event_id TEXT,

    -- written by the agent
    state           TEXT NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'claimed', 'sent', 'failed', 'cancelled')),
    event_id        TEXT,
    -- what Graph gave back with the event; join_url for online meetings only
    web_link        TEXT,
    ical_uid        TEXT,
    join_url        TEXT,
    in_doubt        INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (typeof(attempts) = 'integer' AND attempts BETWEEN 0 AND 1000000000),
    claims          INTEGER NOT NULL DEFAULT 0 CHECK (typeof(claims) = 'integer' AND claims BETWEEN 0 AND 1000000000000),
    next_attempt_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                    CHECK (typeof(next_attempt_at) = 'text' AND length(CAST(next_attempt_at AS BLOB)) = 24 AND
                           next_attempt_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'),
    transaction_id  TEXT NOT NULL COLLATE NOCASE DEFAULT (lower(
                        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
                        || '-' || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2)
                        || '-' || hex(randomblob(6))))
                    CHECK (typeof(transaction_id) = 'text' AND length(transaction_id) BETWEEN 1 AND 255),
    -- whose lane the job waits in: written by the triggers below, whoever changes mailbox (view job_lanes)
    mailbox_key     TEXT,
    error_kind      TEXT CHECK (error_kind IN ('invalid_job', 'rejected', 'not_found', 'denied', 'throttled', 'unavailable',
                                               'auth', 'exhausted', 'duplicate_transaction', 'expired', 'superseded', 'target')),
    -- the finer reason, one word, set once where the answer was classified
    cause           TEXT CONSTRAINT cause_has_1_to_64_characters CHECK (cause IS NULL OR length(cause) BETWEEN 1 AND 64),
    http_status     INTEGER,
    error_code      TEXT,
    error_message   TEXT,
    request_id      TEXT,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    claimed_at      TEXT,
    -- the agent (agents.id) that has claimed it, and only while it has. No CHECK: whoever takes a claimed job back need not
    -- know of it (jobs_leave_the_good_way)
    claimed_by      INTEGER,
    finished_at     TEXT,
    -- first time a request for this job may have left the process: from then on its content is fixed
    first_sent_at   TEXT,
    -- end of the time horizon (delivery.give_up_after), counted from the first refusal or lost reply
    give_up_at      TEXT,
    -- which columns a default filled (0006)
    defaulted       TEXT,
    -- the claim that the agent settled last: 'claim 7' (0007)
    settled         TEXT,

    CONSTRAINT sent_means_event_id CHECK ((state = 'sent') = (event_id IS NOT NULL)),
    CONSTRAINT final_means_finished_at CHECK ((state IN ('sent', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT claimed_means_claimed_at CHECK (state <> 'claimed' OR claimed_at IS NOT NULL),
    CONSTRAINT a_create_has_start_time_and_end_time
        CHECK (operation <> 'create' OR (start_time IS NOT NULL AND end_time IS NOT NULL)),
    CONSTRAINT an_update_has_start_time_and_end_time_or_neither
        CHECK (operation <> 'update' OR (start_time IS NULL) = (end_time IS NULL)),
    CONSTRAINT a_delete_has_no_start_time_and_no_end_time
        CHECK (operation <> 'delete' OR (start_time IS NULL AND end_time IS NULL))
);

-- copy jobs
INSERT INTO jobs_10 (id, subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone, extra,
    dedup_key, not_before, state, event_id, in_doubt, attempts, claims, next_attempt_at, transaction_id, mailbox_key, error_kind,
    http_status, error_code, error_message, request_id, created_at, claimed_at, finished_at, first_sent_at, give_up_at, defaulted,
    settled)
SELECT id, subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone, extra, dedup_key,
    not_before, state, event_id, in_doubt, attempts, claims, next_attempt_at, transaction_id,
    CASE WHEN typeof(next_attempt_at) = 'text' AND next_attempt_at GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
        THEN coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), '') END,
    error_kind, http_status, error_code, error_message, request_id, created_at, claimed_at, finished_at, first_sent_at, give_up_at,
    defaulted, settled
FROM jobs
-- copied
;

-- No id is ever given twice.
INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs_10', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs_10');
UPDATE sqlite_sequence
SET seq = max(seq, coalesce((SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = 'jobs'), 0))
WHERE name = 'jobs_10';

-- Its indexes and triggers go with it.
DROP TABLE jobs;
ALTER TABLE jobs_10 RENAME TO jobs;

PRAGMA legacy_alter_table = OFF;
PRAGMA ignore_check_constraints = OFF;

-- Beside the table, so that they are sorted once instead of being entered at random, a million times.
CREATE UNIQUE INDEX jobs_transaction_ids ON jobs (transaction_id);
CREATE UNIQUE INDEX jobs_dedup_keys ON jobs (dedup_key);
-- The claim walks from mailbox to mailbox and takes the head of each: its cost is the number of mailboxes with waiting jobs,
-- never the number of waiting jobs.
CREATE INDEX jobs_waiting ON jobs (mailbox_key, next_attempt_at, id) WHERE state = 'pending';
-- Found by the next start after a crash.
CREATE INDEX jobs_claimed ON jobs (id) WHERE state = 'claimed';
-- Retention, and counting.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (error_kind, finished_at) WHERE state = 'failed';
CREATE INDEX jobs_cancelled ON jobs (finished_at) WHERE state = 'cancelled';
CREATE INDEX jobs_in_doubt ON jobs (id) WHERE in_doubt = 1;
CREATE INDEX jobs_troubled ON jobs (error_kind, error_code) WHERE state = 'pending' AND error_kind IS NOT NULL;
-- What a writer leaves who has switched the checks off: a job in no state at all.
CREATE INDEX jobs_unfit ON jobs (id) WHERE state NOT IN ('pending', 'claimed', 'sent', 'failed', 'cancelled');

-- Whose lane a job is in: mailboxes are told apart without case and without the white space around them (it is not sent either),
-- by the longest address there is (320 characters). NULL where it could wait for ever, because what it waits for is no time, as
-- written by who has switched the checks off: the agent ends such a job with the reason. This is the one place where that is said.
CREATE VIEW job_lanes AS
SELECT id, CASE WHEN typeof(next_attempt_at) = 'text' AND next_attempt_at GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
        THEN coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), '') END AS mailbox_key
FROM jobs;

-- Inserting

CREATE TRIGGER jobs_are_inserted_by_the_rules BEFORE INSERT ON jobs
WHEN NEW.state = 'claimed' OR NEW.defaulted IS NOT NULL OR NEW.claimed_by IS NOT NULL OR NEW.id > 1000000000000000 OR
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
        coalesce(length(CAST(NEW.not_after AS BLOB)), 0) +
        coalesce(length(CAST(NEW.target_event_id AS BLOB)), 0) +
        coalesce(length(CAST(NEW.transaction_id AS BLOB)), 0) > 33554432
BEGIN
    -- A claimed job is being sent by the agent, which knows what it has claimed. Above this id there is room for 8 * 10^15: one
    -- large id would use up all that are left.
    SELECT CASE
        WHEN NEW.state = 'claimed' THEN RAISE(ABORT, 'a job is inserted as pending: only the agent claims it')
        WHEN NEW.defaulted IS NOT NULL THEN RAISE(ABORT, 'defaulted is written by the agent: leave it out')
        WHEN NEW.claimed_by IS NOT NULL THEN RAISE(ABORT, 'claimed_by is written by the agent: leave it out')
        WHEN NEW.id > 1000000000000000
            THEN RAISE(ABORT, 'id: this number is too large, the ids after it would soon be used up; leave id out, or give one up to 1000000000000000')
        ELSE RAISE(ABORT, 'this job has more than 32 MB; an event may have 4 MB in all: shorten it')
    END;
END;

-- As in 0001.
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

-- The lane, and not before the producer wishes (view job_wishes). Most wish nothing: what is not written enters no other trigger.
CREATE TRIGGER jobs_are_put_into_their_lane AFTER INSERT ON jobs
BEGIN
    UPDATE jobs SET mailbox_key = (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id)
    WHERE id = NEW.id AND (NEW.not_before IS NULL OR NEW.state <> 'pending');
    UPDATE jobs
    SET mailbox_key = (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id),
        next_attempt_at = max(next_attempt_at, coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id AND NEW.not_before IS NOT NULL AND NEW.state = 'pending';
END;

-- Changing: what is refused

-- All that says where a job stands: its id, state and number of claims, whose claim it is, whether it is in doubt, and since when a request may be
-- out. The two steps of the good way are known at a glance, and so are the changes of anything else.
CREATE TRIGGER jobs_move_by_the_rules AFTER UPDATE ON jobs
WHEN NOT (NEW.state = 'claimed' AND OLD.state = 'pending' AND NEW.claims > OLD.claims AND NEW.id = OLD.id
        AND NEW.in_doubt >= OLD.in_doubt AND (OLD.first_sent_at IS NULL OR NEW.first_sent_at IS NOT NULL))
    AND NOT (NEW.state = 'sent' AND OLD.state = 'claimed' AND NEW.claims = OLD.claims AND NEW.id = OLD.id
        AND NEW.settled IS 'claim ' || OLD.claims AND OLD.settled IS NOT 'claim ' || OLD.claims)
    AND NOT (NEW.state = OLD.state AND NEW.claims = OLD.claims AND NEW.id = OLD.id AND NEW.claimed_by IS OLD.claimed_by
        AND NEW.in_doubt >= OLD.in_doubt
        AND (OLD.first_sent_at IS NULL OR NEW.first_sent_at IS NOT NULL))
BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id THEN RAISE(ABORT, 'a job keeps its id: insert a new job instead')
        WHEN NEW.state <> OLD.state AND NOT (
                (OLD.state = 'pending' AND NEW.state IN ('claimed', 'failed', 'cancelled'))
                OR (OLD.state = 'claimed' AND NEW.state IN ('pending', 'sent', 'failed'))
                OR (OLD.state IN ('failed', 'cancelled') AND NEW.state IN ('pending', 'cancelled')))
            THEN RAISE(ABORT, 'this change of state is not allowed: pending -> claimed -> sent or failed; a failed or cancelled job may go back to pending; sent is final')
        WHEN NEW.claims < OLD.claims OR (NEW.state = 'claimed' AND OLD.state <> 'claimed' AND NEW.claims <= OLD.claims)
            THEN RAISE(ABORT, 'claims only grows, and grows with every claim: it fences late writers')
        -- The agent knows its claim by the number. With another one its result would find no row.
        WHEN OLD.state = 'claimed' AND NEW.state = 'claimed' AND NEW.claims IS NOT OLD.claims
            THEN RAISE(ABORT, 'this job is being sent: claims is the number its result is recorded under, and stays')
        WHEN NEW.claimed_by IS NOT OLD.claimed_by
                AND ((OLD.state = 'claimed' AND NEW.state = 'claimed') OR (NEW.state <> 'claimed' AND NEW.claimed_by IS NOT NULL))
            THEN RAISE(ABORT, 'claimed_by is written by the agent: leave it as it is')
        -- The EventID is Microsoft's answer, and the agent alone has heard it. It writes `settled` in the very statement that
        -- ends a claim, and nothing else does.
        WHEN OLD.state = 'claimed' AND NEW.state = 'sent'
                AND (NEW.settled IS NOT 'claim ' || OLD.claims OR OLD.settled IS 'claim ' || OLD.claims)
            THEN RAISE(ABORT, 'this job is being sent: only the agent records it as sent, with the EventID that Microsoft gave it')
        -- While a job in doubt waits or is under way, the agent asks for its event before it sends again. Without the mark it
        -- would not ask, so nobody takes it away, nor on the way back to pending. The agent ends the doubt by settling its claim.
        WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0 AND (OLD.state = 'pending'
                OR (NEW.state IN ('pending', 'claimed') AND NOT (OLD.state = 'claimed' AND NEW.state = 'pending')))
            THEN RAISE(ABORT, 'an event may exist for this job, and the agent looks for it before it sends again: in_doubt stays until that is answered')
        -- Who has looked into the calendar may take the doubt from a job that has ended, if the agent has ended its last claim.
        -- The request of one that was taken out of the agent's hand may be on its way still.
        WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0 AND OLD.state IN ('failed', 'cancelled')
                AND OLD.claims > 0 AND OLD.settled IS NOT 'claim ' || OLD.claims
            THEN RAISE(ABORT, 'an event may exist for this job, which was taken from the agent while it was being sent: in_doubt stays; put the job back to pending (event-sender retry), and the agent looks for its event')
        -- It says that the content is fixed. Only the agent can know that nothing has left after all, when it settles its claim.
        WHEN OLD.first_sent_at IS NOT NULL AND NEW.first_sent_at IS NULL AND (OLD.state <> 'claimed' OR NEW.state = 'claimed')
            THEN RAISE(ABORT, 'a request for this job may have left: first_sent_at stays')
    END;
END;

-- A request repeated under the same transaction_id must be the same request, so the content is fixed while a request may be under
-- way and for ever after one has left. None of these columns is written on the good way.
CREATE TRIGGER jobs_content_is_fixed BEFORE UPDATE OF subject, body, start_time, end_time, location, attendees, calendar_id, extra,
    dedup_key, not_before, not_after, priority, operation, event_key, target_event_id, transaction_id ON jobs
WHEN (OLD.state IN ('claimed', 'sent') OR OLD.in_doubt = 1 OR OLD.first_sent_at IS NOT NULL)
    AND (NEW.subject IS NOT OLD.subject OR NEW.body IS NOT OLD.body OR NEW.start_time IS NOT OLD.start_time
        OR NEW.end_time IS NOT OLD.end_time OR NEW.location IS NOT OLD.location OR NEW.attendees IS NOT OLD.attendees
        OR NEW.calendar_id IS NOT OLD.calendar_id OR NEW.extra IS NOT OLD.extra OR NEW.dedup_key IS NOT OLD.dedup_key
        OR NEW.not_before IS NOT OLD.not_before OR NEW.not_after IS NOT OLD.not_after OR NEW.priority IS NOT OLD.priority
        OR NEW.operation IS NOT OLD.operation OR NEW.event_key IS NOT OLD.event_key
        OR NEW.target_event_id IS NOT OLD.target_event_id OR NEW.transaction_id IS NOT OLD.transaction_id)
BEGIN
    SELECT RAISE(ABORT, 'this job can no longer be changed, a request for it may have left: insert a new job instead');
END;

-- The same for what defaults may fill, and for the names of what they filled (0006): a claim fills what is NULL while nothing has
-- left, or anew what was taken out of a job that has created nothing. The first of these is known at a glance.
CREATE TRIGGER jobs_defaults_are_fixed AFTER UPDATE OF mailbox, body_type, time_zone, defaulted ON jobs
WHEN NOT (NEW.state = 'claimed' AND OLD.state = 'pending' AND OLD.first_sent_at IS NULL AND OLD.in_doubt = 0)
BEGIN
    SELECT CASE
        WHEN (OLD.state IN ('claimed', 'sent') OR OLD.in_doubt = 1 OR OLD.first_sent_at IS NOT NULL)
            AND (NEW.mailbox IS NOT OLD.mailbox OR NEW.body_type IS NOT OLD.body_type OR NEW.time_zone IS NOT OLD.time_zone)
            AND NOT (OLD.state = 'pending' AND OLD.in_doubt = 0 AND NEW.in_doubt = 0 AND OLD.defaulted IS NOT NULL
                AND ((NEW.state = 'pending' AND NEW.defaulted IS ''
                        AND (NEW.mailbox IS OLD.mailbox OR (NEW.mailbox IS NULL AND instr(OLD.defaulted, 'mailbox') > 0))
                        AND (NEW.body_type IS OLD.body_type OR (NEW.body_type IS NULL AND instr(OLD.defaulted, 'body_type') > 0))
                        AND (NEW.time_zone IS OLD.time_zone OR (NEW.time_zone IS NULL AND instr(OLD.defaulted, 'time_zone') > 0)))
                    OR (NEW.state = 'claimed' AND OLD.defaulted = ''
                        AND (NEW.mailbox IS OLD.mailbox OR OLD.mailbox IS NULL)
                        AND (NEW.body_type IS OLD.body_type OR OLD.body_type IS NULL)
                        AND (NEW.time_zone IS OLD.time_zone OR OLD.time_zone IS NULL))))
            THEN RAISE(ABORT, 'this job can no longer be changed, a request for it may have left: insert a new job instead')
        -- Outside of a claim nothing is added to it: what a producer named would be taken for a default.
        WHEN NEW.defaulted IS NOT NULL AND NEW.defaulted IS NOT OLD.defaulted
            AND NOT (OLD.state = 'pending' AND NEW.state = 'claimed')
            AND (OLD.defaulted IS NULL OR OLD.in_doubt = 1
                OR (instr(NEW.defaulted, 'mailbox') > 0 AND instr(OLD.defaulted, 'mailbox') = 0)
                OR (instr(NEW.defaulted, 'body_type') > 0 AND instr(OLD.defaulted, 'body_type') = 0)
                OR (instr(NEW.defaulted, 'time_zone') > 0 AND instr(OLD.defaulted, 'time_zone') = 0))
            THEN RAISE(ABORT, 'defaulted is written by the agent: leave it as it is')
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
                coalesce(length(CAST(NEW.not_after AS BLOB)), 0) +
                coalesce(length(CAST(NEW.target_event_id AS BLOB)), 0) +
                coalesce(length(CAST(NEW.transaction_id AS BLOB)), 0) > 33554432
            THEN RAISE(ABORT, 'this job has more than 32 MB; an event may have 4 MB in all: shorten it')
    END;
    -- A column that somebody fills while the row may be changed is no default any more. A row put back to pending in the same
    -- statement is the business of jobs_leave_the_good_way.
    UPDATE jobs SET defaulted = trim(
            CASE WHEN instr(OLD.defaulted, 'mailbox') > 0 AND NEW.mailbox IS OLD.mailbox THEN 'mailbox ' ELSE '' END ||
            CASE WHEN instr(OLD.defaulted, 'body_type') > 0 AND NEW.body_type IS OLD.body_type THEN 'body_type ' ELSE '' END ||
            CASE WHEN instr(OLD.defaulted, 'time_zone') > 0 AND NEW.time_zone IS OLD.time_zone THEN 'time_zone ' ELSE '' END)
    WHERE id = NEW.id AND OLD.defaulted <> '' AND NEW.defaulted IS OLD.defaulted
        AND NOT (NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled'))
        AND (NEW.mailbox IS NOT OLD.mailbox OR NEW.body_type IS NOT OLD.body_type OR NEW.time_zone IS NOT OLD.time_zone);
END;

-- Not at the claim: what is in already, the agent takes and fails with the reason.
CREATE TRIGGER jobs_of_bearable_size_changed AFTER UPDATE OF subject, body, start_time, end_time, location, attendees, calendar_id,
    extra, dedup_key, not_before, not_after, target_event_id, transaction_id ON jobs
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
        coalesce(length(CAST(NEW.not_after AS BLOB)), 0) +
        coalesce(length(CAST(NEW.target_event_id AS BLOB)), 0) +
        coalesce(length(CAST(NEW.transaction_id AS BLOB)), 0) > 33554432
BEGIN
    SELECT RAISE(ABORT, 'this job has more than 32 MB; an event may have 4 MB in all: shorten it');
END;

CREATE TRIGGER jobs_are_not_replaced_by_others BEFORE UPDATE OF id, dedup_key, transaction_id ON jobs
WHEN EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id AND id <> OLD.id)
    OR EXISTS (SELECT 1 FROM jobs WHERE dedup_key = NEW.dedup_key AND id <> OLD.id)
    OR EXISTS (SELECT 1 FROM jobs WHERE transaction_id = NEW.transaction_id AND id <> OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'another job has this id, dedup_key or transaction_id already, and a job cannot be replaced');
END;

-- Changing: what follows from it

-- A job that goes anywhere but along the good way: three things may follow, in this order.
CREATE TRIGGER jobs_leave_the_good_way AFTER UPDATE OF state ON jobs
WHEN NEW.state <> 'claimed' AND NEW.state <> 'sent'
BEGIN
    -- A claimed job belongs to the agent. Taken back by anybody else, to whatever state, its request may be out: it is in doubt,
    -- what was written over the signs of a request is put right again, and the request gets the two seconds that it gets after a
    -- crash.
    UPDATE jobs
    SET in_doubt = 1, claimed_by = NULL, first_sent_at = coalesce(NEW.first_sent_at, OLD.first_sent_at, OLD.claimed_at),
        next_attempt_at = max(NEW.next_attempt_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 seconds'))
    WHERE id = NEW.id AND OLD.state = 'claimed' AND NEW.state <> 'claimed'
        AND (NEW.settled IS NOT 'claim ' || OLD.claims OR OLD.settled IS 'claim ' || OLD.claims);
    -- A job that goes back to pending after its end starts anew, its attempts and its time horizon too. What is known of it
    -- (in_doubt, transaction_id) stays. If it has created nothing it takes the defaults of then: the old ones may be why it
    -- failed. A transaction id that names some other event already is never tried with other values.
    UPDATE jobs SET attempts = 0, give_up_at = NULL
    WHERE id = NEW.id AND NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled');
    UPDATE jobs SET defaulted = '',
        mailbox = CASE WHEN instr(OLD.defaulted, 'mailbox') > 0 AND NEW.mailbox IS OLD.mailbox THEN NULL ELSE mailbox END,
        body_type = CASE WHEN instr(OLD.defaulted, 'body_type') > 0 AND NEW.body_type IS OLD.body_type THEN NULL ELSE body_type END,
        time_zone = CASE WHEN instr(OLD.defaulted, 'time_zone') > 0 AND NEW.time_zone IS OLD.time_zone THEN NULL ELSE time_zone END
    WHERE id = NEW.id AND NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled')
        AND OLD.defaulted <> '' AND OLD.in_doubt = 0 AND NEW.in_doubt = 0 AND NEW.error_kind IS NOT 'duplicate_transaction';
    -- Not before the producer wishes (view job_wishes).
    UPDATE jobs SET next_attempt_at = max(next_attempt_at, coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id AND NEW.state = 'pending' AND NEW.not_before IS NOT NULL;
END;

-- The same where the wish is another one now, or start and end are, by which it is judged.
CREATE TRIGGER jobs_not_before_changed AFTER UPDATE OF not_before, start_time, end_time ON jobs
WHEN NEW.state = 'pending' AND (NEW.not_before IS NOT NULL OR OLD.not_before IS NOT NULL)
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(
        CASE WHEN NEW.not_before IS OLD.not_before AND NEW.start_time IS OLD.start_time AND NEW.end_time IS OLD.end_time
            THEN next_attempt_at ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END,
        coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id;
END;

-- Whoever brings a job forward by hand brings it forward to its wish at most. The trigger above does the work.
CREATE TRIGGER jobs_not_before_is_heeded AFTER UPDATE OF next_attempt_at ON jobs
WHEN NEW.not_before IS NOT NULL AND NEW.state = 'pending' AND NEW.next_attempt_at < OLD.next_attempt_at
BEGIN
    UPDATE jobs SET not_before = not_before WHERE id = NEW.id;
END;

-- The lane follows. Where the key was NULL it is being written for the first time, or by the agent.
CREATE TRIGGER jobs_stay_in_their_lane AFTER UPDATE OF mailbox, mailbox_key, next_attempt_at ON jobs
WHEN NEW.mailbox IS NOT OLD.mailbox OR (NEW.mailbox_key IS NOT OLD.mailbox_key AND OLD.mailbox_key IS NOT NULL)
    OR NEW.mailbox_key IS NULL OR typeof(NEW.next_attempt_at) <> 'text' OR NEW.next_attempt_at NOT GLOB
        '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
BEGIN
    UPDATE jobs SET mailbox_key = (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id)
    WHERE id = NEW.id AND mailbox_key IS NOT (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id);
END;

-- Once an event may exist, every repeat and every look must mean the same one.
CREATE TRIGGER jobs_doubt_keeps_the_defaults AFTER UPDATE OF in_doubt ON jobs
WHEN NEW.in_doubt = 1 AND NEW.defaulted IS NOT NULL
BEGIN
    UPDATE jobs SET defaulted = NULL WHERE id = NEW.id;
END;

-- Deleting

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

-- Not yet: these columns have no use until the program can do what they ask for. To be dropped then.

CREATE TRIGGER jobs_operations_to_come_inserted BEFORE INSERT ON jobs
WHEN NEW.operation <> 'create' OR NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL OR NEW.not_after IS NOT NULL
    OR NEW.priority <> 0
BEGIN
    SELECT CASE
        WHEN NEW.operation <> 'create'
            THEN RAISE(ABORT, 'operation: this version of event-sender can only create events; leave operation out, and change or delete the event in Outlook')
        ELSE RAISE(ABORT, 'event_key, target_event_id, not_after and priority are for a later version of event-sender; leave them out')
    END;
END;

CREATE TRIGGER jobs_operations_to_come_changed BEFORE UPDATE OF operation, event_key, target_event_id, not_after, priority ON jobs
WHEN NEW.operation <> 'create' OR NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL OR NEW.not_after IS NOT NULL
    OR NEW.priority <> 0
BEGIN
    SELECT CASE
        WHEN NEW.operation <> 'create'
            THEN RAISE(ABORT, 'operation: this version of event-sender can only create events; leave operation out, and change or delete the event in Outlook')
        ELSE RAISE(ABORT, 'event_key, target_event_id, not_after and priority are for a later version of event-sender; leave them out')
    END;
END;

-- One row per finished attempt, found by its job: there is no other way that anybody looks for it. An attempt that never had a
-- token or a connection is none: nothing was tried.
CREATE TABLE attempts_10 (
    job_id            INTEGER NOT NULL,
    claim             INTEGER NOT NULL,
    started_at        TEXT NOT NULL,
    duration_ms       INTEGER NOT NULL,
    outcome           TEXT NOT NULL,
    http_status       INTEGER,
    error_code        TEXT,
    message           TEXT,
    request_id        TEXT,
    client_request_id TEXT,
    PRIMARY KEY (job_id, claim)
) WITHOUT ROWID;

-- Of two for one claim, as only other hands write them, the last stays.
-- copy attempts
INSERT OR REPLACE INTO attempts_10
    (job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id)
SELECT job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id
FROM attempts
-- copied
;

PRAGMA legacy_alter_table = ON;
DROP TABLE attempts;
ALTER TABLE attempts_10 RENAME TO attempts;
PRAGMA legacy_alter_table = OFF;

-- One row per start of an agent: who it is, when it last said something, and what it says of itself.
CREATE TABLE agents (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT,
    host               TEXT,
    pid                INTEGER,
    version            TEXT NOT NULL,
    started_at         TEXT NOT NULL,
    -- SQLite's lease is the lock beside the queue: this is written with every report, for those who look, and decides nothing
    lease_until        TEXT,
    -- when its settings were read last, and why reading them again was refused, if it was
    settings_at        TEXT NOT NULL,
    settings_refused   TEXT,
    -- why nothing at all is sent, if that is so: since when, until when at least, and the words of the log line
    gate_since         TEXT,
    gate_until         TEXT,
    gate_kind          TEXT,
    gate_code          TEXT,
    gate_hint          TEXT,
    -- when what it signs in with ends, as far as it knows: `client_secret` or `certificate`, and its end
    credential         TEXT,
    credential_expires TEXT,
    -- why nothing is sent from a default, if that is so: which key, since when, when one row finds out, and the words
    default_key        TEXT,
    default_value      TEXT,
    default_since      TEXT,
    default_until      TEXT,
    default_hint       TEXT,
    -- what the queue refuses to take from it, in words, while that is so
    refused            TEXT,
    CONSTRAINT shut_means_why CHECK ((gate_since IS NULL) = (gate_kind IS NULL) AND (gate_since IS NULL) = (gate_until IS NULL)),
    CONSTRAINT a_credential_has_an_end CHECK ((credential IS NULL) = (credential_expires IS NULL))
);

INSERT INTO agents (version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code, gate_hint,
    credential, credential_expires, default_key, default_value, default_since, default_until, default_hint, refused)
SELECT version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code, gate_hint,
    credential, credential_expires, default_key, default_value, default_since, default_until, default_hint, refused
FROM agent;

DROP TABLE agent;
