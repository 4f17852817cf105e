-- Takes a queue of schema 11 back to schema 10, for an event-sender that does not know schema 11. With the service stopped:
--
--     sudo -u event-sender sqlite3 -bail -init /dev/null /var/lib/event-sender/queue.db < schema-11-to-10.sql
--
-- One transaction: what goes wrong changes nothing. Needs SQLite 3.35 (DROP COLUMN), which writes the table once more.
-- The older program knows creates alone: changes and deletes that wait are cancelled, and so the event stays as it is. Deadlines,
-- priorities and the order of an event's jobs mean nothing to it.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;

UPDATE jobs SET state = 'cancelled', finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    error_message = 'cancelled on the way back to an older event-sender, which can only create events'
WHERE state IN ('pending', 'failed') AND operation <> 'create';

DROP TRIGGER jobs_wait_for_their_turn;
DROP TRIGGER jobs_deadline_is_kept;
DROP TRIGGER jobs_of_an_event_are_inserted;
DROP TRIGGER jobs_operations_have_their_columns;
DROP TRIGGER jobs_of_another_event;
DROP TRIGGER jobs_leave_the_good_way;
DROP TRIGGER jobs_history_goes_along;
DROP TRIGGER jobs_are_put_into_their_lane;
DROP TRIGGER jobs_stay_in_their_lane;
DROP VIEW job_turns;
DROP VIEW job_deadlines;
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
                    WHERE typeof(jobs.not_before) = 'text' AND typeof(jobs.start_time) = 'text' AND typeof(jobs.end_time) = 'text'
                        -- ASCII alone, without a NUL, at which some functions stop.
                        AND length(CAST(t AS BLOB)) = length(t)
                        AND t GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][Tt ][0-2][0-9]:[0-5][0-9]*'
                        AND substr(t, 12, 2) < '24' AND substr(t, 1, 4) > '0000'
                        AND strftime('%Y-%m-%d', substr(t, 1, 10), '+0 days') = substr(t, 1, 10)
                        AND (s GLOB '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND (length(CAST(s AS BLOB)) <> length(s)
                        OR (strftime('%Y-%m-%d', substr(s, 1, 10), '+0 days') = substr(s, 1, 10) AND (length(s) = 10
                            OR (substr(s, 11) GLOB '[Tt ][0-2][0-9]:[0-5][0-9]*' AND substr(s, 12, 2) < '24')))))
                        AND (e GLOB '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND (length(CAST(e AS BLOB)) <> length(e)
                        OR (strftime('%Y-%m-%d', substr(e, 1, 10), '+0 days') = substr(e, 1, 10) AND (length(e) = 10
                            OR (substr(e, 11) GLOB '[Tt ][0-2][0-9]:[0-5][0-9]*' AND substr(e, 12, 2) < '24')))))
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
DROP VIEW job_lanes;
DROP INDEX jobs_waiting;
DROP INDEX jobs_deletes_behind;
DROP INDEX jobs_deadlines;
DROP INDEX jobs_event_keys;
DROP INDEX jobs_targets;
DROP INDEX jobs_event_keys_open;
DROP INDEX jobs_targets_open;
DROP INDEX jobs_event_creates;
DROP TABLE mailings;
ALTER TABLE mailboxes DROP COLUMN paced_until;
ALTER TABLE mailboxes DROP COLUMN paced_reason;
ALTER TABLE jobs DROP COLUMN behind;
ALTER TABLE jobs DROP COLUMN mails;
ALTER TABLE jobs DROP COLUMN expires_at;
ALTER TABLE jobs DROP COLUMN ends_at;

CREATE INDEX jobs_waiting ON jobs (mailbox_key, next_attempt_at, id) WHERE state = 'pending';

CREATE VIEW job_lanes AS
SELECT id, CASE WHEN typeof(next_attempt_at) = 'text' AND next_attempt_at GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
        THEN coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), '') END AS mailbox_key
FROM jobs;

CREATE TRIGGER jobs_are_put_into_their_lane AFTER INSERT ON jobs
BEGIN
    UPDATE jobs SET mailbox_key = (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id)
    WHERE id = NEW.id AND (NEW.not_before IS NULL OR NEW.state <> 'pending');
    UPDATE jobs
    SET mailbox_key = (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id),
        next_attempt_at = max(next_attempt_at, coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id AND NEW.not_before IS NOT NULL AND NEW.state = 'pending';
END;

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

CREATE TRIGGER jobs_stay_in_their_lane AFTER UPDATE OF mailbox, mailbox_key, next_attempt_at ON jobs
WHEN NEW.mailbox IS NOT OLD.mailbox OR (NEW.mailbox_key IS NOT OLD.mailbox_key AND OLD.mailbox_key IS NOT NULL)
    OR NEW.mailbox_key IS NULL OR typeof(NEW.next_attempt_at) <> 'text' OR NEW.next_attempt_at NOT GLOB
        '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'
BEGIN
    UPDATE jobs SET mailbox_key = (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id)
    WHERE id = NEW.id AND mailbox_key IS NOT (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = NEW.id);
END;

CREATE TRIGGER jobs_history_goes_along AFTER DELETE ON jobs
BEGIN
    DELETE FROM attempts WHERE job_id = OLD.id;
END;

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

DELETE FROM _sqlx_migrations WHERE version = 11;
COMMIT;
