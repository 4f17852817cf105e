-- A claimed job belongs to the agent. Put back by anybody else its request may be out, and must not be sent again as if
-- nothing had been: it is in doubt. The agent itself says more when it puts a job back: a new due time.
CREATE TRIGGER jobs_taken_back_are_in_doubt AFTER UPDATE OF state ON jobs
WHEN OLD.state = 'claimed' AND NEW.state = 'pending' AND NEW.in_doubt = 0 AND NEW.next_attempt_at IS OLD.next_attempt_at
BEGIN
    UPDATE jobs SET in_doubt = 1, first_sent_at = coalesce(first_sent_at, OLD.claimed_at) WHERE id = NEW.id;
END;

-- A job that goes back to pending after its end starts anew, its attempts and its time horizon too. What is known of
-- it (in_doubt, transaction_id) stays.
CREATE TRIGGER jobs_start_anew AFTER UPDATE OF state ON jobs
WHEN NEW.state = 'pending' AND OLD.state IN ('failed', 'cancelled')
BEGIN
    UPDATE jobs SET attempts = 0, give_up_at = NULL WHERE id = NEW.id;
END;

-- While a job in doubt waits or is under way, the agent asks for its event before it sends again. Without the mark it
-- would not ask, so nobody takes it away from outside. The agent's own way of ending the doubt is to settle its claim. Who
-- has looked into the calendar may take it from a job that has ended.
CREATE TRIGGER jobs_doubt_ends_with_an_answer BEFORE UPDATE OF in_doubt ON jobs
WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0
    AND (OLD.state = 'pending' OR (OLD.state = 'claimed' AND NEW.state = 'claimed'))
BEGIN
    SELECT RAISE(ABORT, 'an event may exist for this job, and the agent looks for it before it sends again: in_doubt stays until that is answered');
END;

-- A request may have 4 MB. What is far beyond that fails with the reason, but a row without any limit would cost every
-- reader and writer of the table as much memory as it has bytes.
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

-- Not at the claim: what is in already, the agent takes and fails with the reason.
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
