-- The whole life of an event: what was refused in 0010 has its rules here. Jobs of one event wait for each other, a key names one
-- event at a time, and what waits for its turn is in no lane.
--
-- One transaction, and no rebuild: four columns are added, which costs nothing, and pending jobs are put into order once.
-- Producers' rules are as in 0001: SQLite 3.26.
--
-- The good way of a plain create enters no trigger that it did not enter before: one that names no event, no deadline and no
-- priority is told at a glance, and `mails` is written where the lane is.

DROP TRIGGER jobs_operations_to_come_inserted;
DROP TRIGGER jobs_operations_to_come_changed;

-- The job of the same event directly before this one, as long as that has not ended; NULL: it is this one's turn. Written by the
-- triggers below, whoever writes it (view job_turns).
ALTER TABLE jobs ADD COLUMN behind INTEGER;
-- 1: it has attendees, so that its request mails somebody. 0 while it is in doubt: then it is looked up first, which mails nobody.
-- Written where the lane is.
ALTER TABLE jobs ADD COLUMN mails INTEGER DEFAULT 0;
-- `not_after` in the agent's form; NULL where it is none. Written by the triggers below.
ALTER TABLE jobs ADD COLUMN expires_at TEXT;
-- When the event is over, of a create as far as its updates know: until then its key lives
ALTER TABLE jobs ADD COLUMN ends_at TEXT;

-- Until when jobs of this mailbox that mail somebody wait, and for which limit.
ALTER TABLE mailboxes ADD COLUMN paced_until TEXT;
ALTER TABLE mailboxes ADD COLUMN paced_reason TEXT;

-- How many jobs of a mailbox mailed somebody within a minute, and how many recipients that were.
CREATE TABLE mailings (
    mailbox    TEXT NOT NULL,
    minute     TEXT NOT NULL,
    jobs       INTEGER NOT NULL DEFAULT 0,
    recipients INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mailbox, minute)
) WITHOUT ROWID;
-- The last 24 hours at a start, and what is forgotten.
CREATE INDEX mailings_minutes ON mailings (minute);

-- What waits already, or may come back.
UPDATE jobs SET mails = 1
WHERE state <> 'sent' AND in_doubt = 0 AND attendees <> '[]' AND CASE WHEN json_valid(attendees) THEN json_array_length(attendees) > 0 END;

-- Up to six lanes of each mailbox: with and without attendees, each of three priorities. What is behind another job is in none of
-- them: it stands apart in the index, found by the job it waits for.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (behind, mailbox_key, mails, priority, next_attempt_at, id) WHERE state = 'pending';
-- What a claim looks for before it takes anything: a delete that calls off what is before it, and what comes too late.
CREATE INDEX jobs_deletes_behind ON jobs (next_attempt_at) WHERE state = 'pending' AND behind IS NOT NULL AND operation = 'delete';
CREATE INDEX jobs_deadlines ON jobs (expires_at) WHERE state = 'pending' AND in_doubt = 0 AND expires_at IS NOT NULL;
-- All jobs of one event; those that have not ended, and those that create it: whose turn it is, and what a change means, is found
-- however long its history is. A plain create, which names no event, is in none of them.
CREATE INDEX jobs_event_keys ON jobs (event_key, id) WHERE event_key IS NOT NULL;
CREATE INDEX jobs_targets ON jobs (target_event_id, id) WHERE target_event_id IS NOT NULL;
CREATE INDEX jobs_event_keys_open ON jobs (event_key, id) WHERE event_key IS NOT NULL AND state IN ('pending', 'claimed');
CREATE INDEX jobs_targets_open ON jobs (target_event_id, id) WHERE target_event_id IS NOT NULL AND state IN ('pending', 'claimed');
CREATE INDEX jobs_event_creates ON jobs (event_key, id) WHERE event_key IS NOT NULL AND operation = 'create';

-- Whose turn it is

-- The unfinished job of the same event directly before this one, and the one directly after it. One that was put back while a
-- later one is being sent waits for that: never are two of one event under way. In the words of the indexes of what has not ended.
CREATE VIEW job_turns AS
SELECT id, CASE WHEN state <> 'pending' THEN NULL
        WHEN event_key IS NOT NULL THEN coalesce(
            (SELECT e.id FROM jobs AS e WHERE e.event_key = jobs.event_key AND e.id < jobs.id
                AND e.state IN ('pending', 'claimed') ORDER BY e.id DESC LIMIT 1),
            (SELECT e.id FROM jobs AS e WHERE e.event_key = jobs.event_key AND e.id > jobs.id
                AND e.state IN ('pending', 'claimed') AND e.state = 'claimed' ORDER BY e.id LIMIT 1))
        ELSE coalesce(
            (SELECT e.id FROM jobs AS e WHERE e.target_event_id = jobs.target_event_id AND e.event_key IS NULL AND e.id < jobs.id
                AND e.state IN ('pending', 'claimed') ORDER BY e.id DESC LIMIT 1),
            (SELECT e.id FROM jobs AS e WHERE e.target_event_id = jobs.target_event_id AND e.event_key IS NULL AND e.id > jobs.id
                AND e.state IN ('pending', 'claimed') AND e.state = 'claimed' ORDER BY e.id LIMIT 1)) END AS behind,
    CASE WHEN event_key IS NOT NULL THEN (SELECT e.id FROM jobs AS e WHERE e.event_key = jobs.event_key AND e.id > jobs.id
            AND e.state IN ('pending', 'claimed') ORDER BY e.id LIMIT 1)
        ELSE (SELECT e.id FROM jobs AS e WHERE e.target_event_id = jobs.target_event_id AND e.event_key IS NULL AND e.id > jobs.id
            AND e.state IN ('pending', 'claimed') ORDER BY e.id LIMIT 1) END AS next
FROM jobs;

-- Whoever writes `behind`, also what it was already: it is put right. A key names one mailbox, so where a job that changes the
-- event names none, it gets the create's when its turn comes: of the last create that was not called off, or else the last one.
CREATE TRIGGER jobs_wait_for_their_turn AFTER UPDATE OF behind ON jobs
BEGIN
    UPDATE jobs SET behind = (SELECT behind FROM job_turns WHERE job_turns.id = NEW.id)
    WHERE id = NEW.id AND behind IS NOT (SELECT behind FROM job_turns WHERE job_turns.id = NEW.id);
    UPDATE jobs SET mailbox = (SELECT c.mailbox FROM jobs AS c WHERE c.event_key = NEW.event_key AND c.operation = 'create'
            AND c.id < NEW.id ORDER BY c.state = 'cancelled' AND c.error_kind IS 'superseded', c.id DESC LIMIT 1)
    WHERE id = NEW.id AND NEW.event_key IS NOT NULL AND NEW.mailbox IS NULL AND NEW.operation <> 'create'
        AND state = 'pending' AND behind IS NULL AND in_doubt = 0 AND first_sent_at IS NULL;
END;

-- When it is too late

-- `not_after` by the rules of `not_before` (view job_wishes); NULL where it is no time, which the agent tells.
CREATE VIEW job_deadlines AS
SELECT id, (
    SELECT strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03dZ', ms % 1000)
    FROM (
        -- Of a time before 1970 it is enough to know that it is over.
        SELECT max(0, min(253402300799999, 1000 * (CAST(strftime('%s', day || ' ' || clock || ':' || second) AS INTEGER)
                - 60 * CASE WHEN east IN ('', 'Z', 'z') THEN 0
                    ELSE CASE substr(east, 1, 1) WHEN '-' THEN -1 ELSE 1 END * (60 * CAST(substr(east, 2, 2) AS INTEGER)
                        + CASE WHEN length(east) > 3 THEN CAST(substr(east, -2) AS INTEGER) ELSE 0 END) END)
                + CAST(substr(fraction || '000', 1, 3) AS INTEGER) + (trim(substr(fraction, 4), '0') <> ''))) AS ms
        FROM (
            SELECT day, clock, second, substr(rest, 2, digits) AS fraction,
                ltrim(substr(rest, 1 + digits + (digits > 0)), ' ') AS east
            FROM (
                SELECT day, clock, second, rest, CASE WHEN rest GLOB '.[0-9]*'
                    THEN length(rest) - 1 - length(ltrim(substr(rest, 2), '0123456789')) ELSE 0 END AS digits
                FROM (
                    SELECT substr(t, 1, 10) AS day, substr(t, 12, 5) AS clock,
                        CASE WHEN substr(t, 17) GLOB ':[0-5][0-9]*' THEN substr(t, 18, 2) ELSE '00' END AS second,
                        substr(t, CASE WHEN substr(t, 17) GLOB ':[0-5][0-9]*' THEN 20 ELSE 17 END) AS rest
                    FROM (
                        SELECT trim(jobs.not_after, char(9, 10, 11, 12, 13, 32)) AS t
                        LIMIT 1
                    )
                    WHERE typeof(jobs.not_after) = 'text'
                        -- ASCII alone, without a NUL, at which some functions stop.
                        AND length(CAST(t AS BLOB)) = length(t)
                        AND t GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][Tt ][0-2][0-9]:[0-5][0-9]*'
                        AND substr(t, 12, 2) < '24' AND substr(t, 1, 4) > '0000'
                        AND strftime('%Y-%m-%d', substr(t, 1, 10), '+0 days') = substr(t, 1, 10)
                    LIMIT 1
                )
                LIMIT 1
            )
            LIMIT 1
        )
        WHERE east IN ('', 'Z', 'z') OR (substr(east, 2, 2) <= '14' AND (east GLOB '[+-][0-9][0-9]'
            OR east GLOB '[+-][0-9][0-9][0-5][0-9]' OR east GLOB '[+-][0-9][0-9]:[0-5][0-9]'))
        LIMIT 1
    )
) AS expires_at
FROM jobs;

CREATE TRIGGER jobs_deadline_is_kept AFTER UPDATE OF not_after, expires_at ON jobs
WHEN NEW.not_after IS NOT NULL OR NEW.expires_at IS NOT NULL
BEGIN
    UPDATE jobs SET expires_at = (SELECT expires_at FROM job_deadlines WHERE job_deadlines.id = NEW.id)
    WHERE id = NEW.id AND expires_at IS NOT (SELECT expires_at FROM job_deadlines WHERE job_deadlines.id = NEW.id);
END;

-- As in 0005; what changes an event may leave its times as they are.
DROP VIEW job_wishes;
CREATE VIEW job_wishes AS
SELECT id, (
    SELECT strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03dZ', ms % 1000)
    FROM (
        -- Of a time before 1970 it is enough to know that it is over.
        SELECT max(0, min(253402300799999, 1000 * (CAST(strftime('%s', day || ' ' || clock || ':' || second) AS INTEGER)
                - 60 * CASE WHEN east IN ('', 'Z', 'z') THEN 0
                    ELSE CASE substr(east, 1, 1) WHEN '-' THEN -1 ELSE 1 END * (60 * CAST(substr(east, 2, 2) AS INTEGER)
                        + CASE WHEN length(east) > 3 THEN CAST(substr(east, -2) AS INTEGER) ELSE 0 END) END)
                + CAST(substr(fraction || '000', 1, 3) AS INTEGER) + (trim(substr(fraction, 4), '0') <> ''))) AS ms
        FROM (
            SELECT day, clock, second, substr(rest, 2, digits) AS fraction,
                ltrim(substr(rest, 1 + digits + (digits > 0)), ' ') AS east
            FROM (
                SELECT day, clock, second, rest, CASE WHEN rest GLOB '.[0-9]*'
                    THEN length(rest) - 1 - length(ltrim(substr(rest, 2), '0123456789')) ELSE 0 END AS digits
                FROM (
                    SELECT substr(t, 1, 10) AS day, substr(t, 12, 5) AS clock,
                        CASE WHEN substr(t, 17) GLOB ':[0-5][0-9]*' THEN substr(t, 18, 2) ELSE '00' END AS second,
                        substr(t, CASE WHEN substr(t, 17) GLOB ':[0-5][0-9]*' THEN 20 ELSE 17 END) AS rest
                    FROM (
                        SELECT trim(jobs.not_before, char(9, 10, 11, 12, 13, 32)) AS t,
                            trim(jobs.start_time, char(9, 10, 11, 12, 13, 32)) AS s,
                            trim(jobs.end_time, char(9, 10, 11, 12, 13, 32)) AS e
                        LIMIT 1
                    )
                    WHERE typeof(jobs.not_before) = 'text'
                        -- ASCII alone, without a NUL, at which some functions stop.
                        AND length(CAST(t AS BLOB)) = length(t)
                        AND t GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][Tt ][0-2][0-9]:[0-5][0-9]*'
                        AND substr(t, 12, 2) < '24' AND substr(t, 1, 4) > '0000'
                        AND strftime('%Y-%m-%d', substr(t, 1, 10), '+0 days') = substr(t, 1, 10)
                        AND (jobs.operation <> 'create' AND s IS NULL AND e IS NULL
                            OR typeof(jobs.start_time) = 'text' AND typeof(jobs.end_time) = 'text'
                        AND (s GLOB '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND (length(CAST(s AS BLOB)) <> length(s)
                        OR (strftime('%Y-%m-%d', substr(s, 1, 10), '+0 days') = substr(s, 1, 10) AND (length(s) = 10
                            OR (substr(s, 11) GLOB '[Tt ][0-2][0-9]:[0-5][0-9]*' AND substr(s, 12, 2) < '24')))))
                        AND (e GLOB '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND (length(CAST(e AS BLOB)) <> length(e)
                        OR (strftime('%Y-%m-%d', substr(e, 1, 10), '+0 days') = substr(e, 1, 10) AND (length(e) = 10
                            OR (substr(e, 11) GLOB '[Tt ][0-2][0-9]:[0-5][0-9]*' AND substr(e, 12, 2) < '24'))))))
                    LIMIT 1
                )
                LIMIT 1
            )
            LIMIT 1
        )
        WHERE east IN ('', 'Z', 'z') OR (substr(east, 2, 2) <= '14' AND (east GLOB '[+-][0-9][0-9]'
            OR east GLOB '[+-][0-9][0-9][0-5][0-9]' OR east GLOB '[+-][0-9][0-9]:[0-5][0-9]'))
        LIMIT 1
    )
) AS due
FROM jobs;

-- What an event's jobs may be

-- The three updates enter the triggers that judge and fill.
CREATE TRIGGER jobs_of_an_event_are_inserted AFTER INSERT ON jobs
WHEN NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL OR NEW.operation <> 'create' OR NEW.not_after IS NOT NULL
    OR NEW.behind IS NOT NULL OR NEW.expires_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'event_key: this key names an event that exists or is to be created; change that one with operation = ''update'', or insert a ''delete'' first')
    WHERE NEW.state = 'pending' AND NEW.operation = 'create' AND NEW.event_key IS NOT NULL
        AND coalesce((SELECT e.operation FROM jobs AS e WHERE e.event_key = NEW.event_key AND e.id <> NEW.id
                AND (e.state NOT IN ('failed', 'cancelled') OR (e.operation = 'create' AND e.in_doubt = 1))
            ORDER BY e.id DESC LIMIT 1), 'delete') <> 'delete';
    UPDATE jobs SET operation = operation, behind = behind, not_after = not_after WHERE id = NEW.id;
    UPDATE jobs SET behind = behind
    WHERE id = (SELECT next FROM job_turns WHERE job_turns.id = NEW.id) AND NEW.state = 'pending';
END;

-- Which columns an operation takes. What a claim fills in is none of the producer's.
CREATE TRIGGER jobs_operations_have_their_columns AFTER UPDATE OF operation, event_key, target_event_id, subject, location, attendees,
    extra ON jobs
WHEN NEW.state = 'pending' AND (NEW.operation <> 'create' OR NEW.target_event_id IS NOT NULL)
BEGIN
    SELECT CASE
        WHEN NEW.operation = 'create'
            THEN RAISE(ABORT, 'target_event_id: a create makes an event of its own; leave it out, or set operation to ''update'' or ''delete''')
        WHEN NEW.event_key IS NULL AND NEW.target_event_id IS NULL
            THEN RAISE(ABORT, 'event_key: an update or a delete names its event; give the event_key of the job that creates it, or its EventID in target_event_id')
        WHEN NEW.event_key IS NOT NULL AND NEW.target_event_id IS NOT NULL
            THEN RAISE(ABORT, 'target_event_id: event_key names the event already; leave one of the two out')
        WHEN NEW.target_event_id IS NOT NULL
                AND (typeof(NEW.target_event_id) <> 'text' OR trim(NEW.target_event_id, char(9, 10, 11, 12, 13, 32)) = '')
            THEN RAISE(ABORT, 'target_event_id: this is no EventID; give the id as it stands in event_id, or name the event by its event_key')
        WHEN NEW.operation = 'delete' AND (NEW.subject IS NOT NULL OR NEW.location IS NOT NULL OR NEW.extra IS NOT NULL
                OR (NEW.attendees <> '[]' AND CASE WHEN json_valid(NEW.attendees) THEN json_array_length(NEW.attendees) > 0 END)
                OR (NEW.claims = 0 AND (NEW.body_type IS NOT NULL OR NEW.time_zone IS NOT NULL)))
            THEN RAISE(ABORT, 'operation: a delete takes body as its comment, and no subject, location, attendees, body_type, time_zone or extra; leave these out')
    END;
END;

-- A job may be given to another event as long as it may be changed at all.
CREATE TRIGGER jobs_of_another_event AFTER UPDATE OF operation, event_key, target_event_id ON jobs
WHEN NEW.operation IS NOT OLD.operation OR NEW.event_key IS NOT OLD.event_key
    OR NEW.target_event_id IS NOT OLD.target_event_id
BEGIN
    SELECT RAISE(ABORT, 'event_key: this key names an event that exists or is to be created; change that one with operation = ''update'', or insert a ''delete'' first')
    WHERE NEW.state = 'pending' AND NEW.operation = 'create' AND NEW.event_key IS NOT NULL
        AND coalesce((SELECT e.operation FROM jobs AS e WHERE e.event_key = NEW.event_key AND e.id <> NEW.id
                AND (e.state NOT IN ('failed', 'cancelled') OR (e.operation = 'create' AND e.in_doubt = 1))
            ORDER BY e.id DESC LIMIT 1), 'delete') <> 'delete';
    UPDATE jobs SET behind = behind WHERE state = 'pending' AND behind = NEW.id;
    UPDATE jobs SET behind = behind
    WHERE id = NEW.id OR id = (SELECT next FROM job_turns WHERE job_turns.id = NEW.id);
END;

-- As in 0010, and what follows for the other jobs of the event.
DROP TRIGGER jobs_leave_the_good_way;
CREATE TRIGGER jobs_leave_the_good_way AFTER UPDATE OF state ON jobs
WHEN NEW.state <> 'claimed' AND (NEW.state <> 'sent' OR NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL)
BEGIN
    -- Its key may name another event by now.
    SELECT RAISE(ABORT, 'event_key: this key names an event that exists or is to be created; change that one with operation = ''update'', or insert a ''delete'' first')
    WHERE NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled') AND NEW.operation = 'create'
        AND NEW.event_key IS NOT NULL
        AND (coalesce((SELECT e.operation FROM jobs AS e WHERE e.event_key = NEW.event_key AND e.id < NEW.id
                    AND (e.state NOT IN ('failed', 'cancelled') OR (e.operation = 'create' AND e.in_doubt = 1))
                ORDER BY e.id DESC LIMIT 1), 'delete') <> 'delete'
            OR EXISTS (SELECT 1 FROM jobs AS e WHERE e.event_key = NEW.event_key AND e.id > NEW.id AND e.operation = 'create'
                    AND (e.state NOT IN ('failed', 'cancelled') OR (e.operation = 'create' AND e.in_doubt = 1))));
    -- A claimed job belongs to the agent. Taken back by anybody else, to whatever state, its request may be out: it is in doubt,
    -- what was written over the signs of a request is put right again, and the request gets the two seconds that it gets after a
    -- crash.
    UPDATE jobs
    SET in_doubt = 1, claimed_by = NULL, first_sent_at = coalesce(NEW.first_sent_at, OLD.first_sent_at, OLD.claimed_at),
        next_attempt_at = max(NEW.next_attempt_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 seconds'))
    WHERE id = NEW.id AND OLD.state = 'claimed' AND NEW.state <> 'claimed' AND NEW.state <> 'sent'
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
    -- What waited for this one although it comes before it goes first now.
    UPDATE jobs SET behind = behind
    WHERE state = 'pending' AND behind = NEW.id AND id < NEW.id AND NEW.state = 'pending'
        AND (NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL);
    -- One of an event's ends, or comes back: those after it have their turn, or have to wait again.
    UPDATE jobs SET behind = behind
    WHERE id = NEW.id AND (behind IS NOT NULL OR NEW.state = 'pending')
        AND (NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL);
    UPDATE jobs SET behind = behind
    WHERE state = 'pending' AND behind = NEW.id AND NEW.state <> 'pending' AND (NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL);
    UPDATE jobs SET behind = behind
    WHERE id = (SELECT next FROM job_turns WHERE job_turns.id = NEW.id)
        AND NEW.state = 'pending' AND OLD.state <> 'claimed' AND (NEW.event_key IS NOT NULL OR NEW.target_event_id IS NOT NULL);
END;

DROP TRIGGER jobs_history_goes_along;
CREATE TRIGGER jobs_history_goes_along AFTER DELETE ON jobs
BEGIN
    DELETE FROM attempts WHERE job_id = OLD.id;
    -- Those behind it have their turn.
    UPDATE jobs SET behind = behind
    WHERE state = 'pending' AND behind = OLD.id AND (OLD.event_key IS NOT NULL OR OLD.target_event_id IS NOT NULL);
END;

-- As in 0010, and whether its next request mails somebody. A priority that is none has no turn either.
DROP VIEW job_lanes;
CREATE VIEW job_lanes AS
SELECT id, CASE WHEN typeof(next_attempt_at) = 'text' AND next_attempt_at GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
            AND typeof(priority) = 'integer'
        THEN coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), '') END AS mailbox_key,
    CASE WHEN attendees = '[]' OR in_doubt <> 0 THEN 0 WHEN json_valid(attendees) THEN coalesce(json_array_length(attendees) > 0, 0)
        ELSE 0 END AS mails
FROM jobs;

DROP TRIGGER jobs_are_put_into_their_lane;
CREATE TRIGGER jobs_are_put_into_their_lane AFTER INSERT ON jobs
BEGIN
    UPDATE jobs SET (mailbox_key, mails) = (SELECT mailbox_key, mails FROM job_lanes WHERE job_lanes.id = NEW.id)
    WHERE id = NEW.id AND (NEW.not_before IS NULL OR NEW.state <> 'pending');
    UPDATE jobs
    SET (mailbox_key, mails) = (SELECT mailbox_key, mails FROM job_lanes WHERE job_lanes.id = NEW.id),
        next_attempt_at = max(next_attempt_at, coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id AND NEW.not_before IS NOT NULL AND NEW.state = 'pending';
END;

DROP TRIGGER jobs_stay_in_their_lane;
CREATE TRIGGER jobs_stay_in_their_lane AFTER UPDATE OF mailbox, mailbox_key, next_attempt_at, attendees, mails, priority, in_doubt ON jobs
WHEN NEW.mailbox IS NOT OLD.mailbox OR (NEW.mailbox_key IS NOT OLD.mailbox_key AND OLD.mailbox_key IS NOT NULL)
    OR (NEW.mails IS NOT OLD.mails AND OLD.mailbox_key IS NOT NULL) OR NEW.attendees IS NOT OLD.attendees
    OR NEW.in_doubt IS NOT OLD.in_doubt OR typeof(NEW.priority) <> 'integer'
    OR NEW.mailbox_key IS NULL OR typeof(NEW.next_attempt_at) <> 'text' OR NEW.next_attempt_at NOT GLOB
        '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
BEGIN
    UPDATE jobs SET (mailbox_key, mails) = (SELECT mailbox_key, mails FROM job_lanes WHERE job_lanes.id = NEW.id)
    WHERE id = NEW.id AND (mailbox_key IS NOT (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id)
        OR mails IS NOT (SELECT mails FROM job_lanes WHERE job_lanes.id = NEW.id));
END;
