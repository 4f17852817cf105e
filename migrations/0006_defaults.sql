-- Which columns of a row a default filled: 'mailbox', 'body_type' and 'time_zone', as far as they are, with blanks between.
-- Written by the claim that fills them. '': they were taken out again, and the next claim fills them anew. NULL: nothing was
-- filled, or an event may exist: what was sent for it is kept for ever. Rows filled before this column existed are NULL, too.
ALTER TABLE jobs ADD COLUMN defaulted TEXT;

-- Why nothing is sent from a default, if that is so: which key, since when, when one row finds out, and the words.
ALTER TABLE agent ADD COLUMN default_key TEXT;
ALTER TABLE agent ADD COLUMN default_value TEXT;
ALTER TABLE agent ADD COLUMN default_since TEXT;
ALTER TABLE agent ADD COLUMN default_until TEXT;
ALTER TABLE agent ADD COLUMN default_hint TEXT;

-- Outside of a claim nothing is added to it: what a producer named would be taken for a default.
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

-- A column that somebody fills while the row may be changed is no default any more. A row put back to pending in the same
-- statement is the business of the next trigger but one.
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

-- Once an event may exist, every repeat and every look must mean the same one.
CREATE TRIGGER jobs_doubt_keeps_the_defaults AFTER UPDATE OF in_doubt ON jobs
WHEN NEW.in_doubt = 1 AND NEW.defaulted IS NOT NULL
BEGIN
    UPDATE jobs SET defaulted = NULL WHERE id = NEW.id;
END;

-- A job that has ended without creating anything, and goes back to pending, takes the defaults of then: the old ones may be
-- why it failed. A transaction id that names some other event already is never tried with other values.
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

-- As in 0001, but for the defaults of a row that has created nothing: while it waits they may be taken out, all that were
-- filled in, and the claim fills what was taken out.
DROP TRIGGER jobs_content_is_fixed;
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
