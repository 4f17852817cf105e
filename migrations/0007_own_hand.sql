-- Hands that are not the agent's: what they do to a claimed job leaves it in doubt, whatever they write along with it.

-- The claim that the agent settled last: 'claim 7'. It writes these words in the very statement that ends a claim, and
-- nothing else does: no script that puts jobs back, no mapper that saves every column as it was read, no reset of all
-- columns. So a row that leaves `claimed` without them was taken from the agent, and its request may be out.
ALTER TABLE jobs ADD COLUMN settled TEXT;

-- What the queue refuses to take from the agent, in words, while that is so.
ALTER TABLE agent ADD COLUMN refused TEXT;

-- Whatever state it goes to. What is written over the signs of a request is put right again, and the request that may be
-- out gets the two seconds that it gets after a crash: a look for its event would come too early.
DROP TRIGGER jobs_taken_back_are_in_doubt;
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

-- While a job in doubt waits or is under way, the agent asks for its event before it sends again. Without the mark it
-- would not ask, so nobody takes it away from outside, nor on the way back to pending. The agent's own way of ending the
-- doubt is to settle its claim. Who has looked into the calendar may take it from a job that has ended.
DROP TRIGGER jobs_doubt_ends_with_an_answer;
CREATE TRIGGER jobs_doubt_ends_with_an_answer BEFORE UPDATE OF in_doubt ON jobs
WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0
    AND (OLD.state = 'pending' OR (NEW.state IN ('pending', 'claimed') AND NOT (OLD.state = 'claimed' AND NEW.state = 'pending')))
BEGIN
    SELECT RAISE(ABORT, 'an event may exist for this job, and the agent looks for it before it sends again: in_doubt stays until that is answered');
END;

-- It says that the content is fixed. Only the agent can know that nothing has left after all, when it settles its claim.
CREATE TRIGGER jobs_first_sent_at_is_kept BEFORE UPDATE OF first_sent_at ON jobs
WHEN OLD.first_sent_at IS NOT NULL AND NEW.first_sent_at IS NULL
    AND (OLD.state <> 'claimed' OR NEW.state = 'claimed')
BEGIN
    SELECT RAISE(ABORT, 'a request for this job may have left: first_sent_at stays');
END;

-- The agent knows its claim by the number. With another one its result would find no row.
CREATE TRIGGER jobs_claim_keeps_its_number BEFORE UPDATE OF claims ON jobs
WHEN OLD.state = 'claimed' AND NEW.state = 'claimed' AND NEW.claims IS NOT OLD.claims
BEGIN
    SELECT RAISE(ABORT, 'this job is being sent: claims is the number its result is recorded under, and stays');
END;

-- Of every update: who writes the id under another of its names (rowid) names no column.
CREATE TRIGGER jobs_keep_their_id BEFORE UPDATE ON jobs
WHEN NEW.id IS NOT OLD.id
BEGIN
    SELECT RAISE(ABORT, 'a job keeps its id: insert a new job instead');
END;

-- A claimed job is being sent by the agent, which knows what it has claimed. One that it does not know would wait for ever.
CREATE TRIGGER jobs_are_claimed_by_the_agent BEFORE INSERT ON jobs
WHEN NEW.state = 'claimed'
BEGIN
    SELECT RAISE(ABORT, 'a job is inserted as pending: only the agent claims it');
END;

-- Every new id is beyond all others, and there is an end to them: one large id would use up all that are left. Above this
-- one there is room for 8 * 10^15.
CREATE TRIGGER jobs_ids_leave_room BEFORE INSERT ON jobs
WHEN NEW.id > 1000000000000000
BEGIN
    SELECT RAISE(ABORT, 'id: this number is too large, the ids after it would soon be used up; leave id out, or give one up to 1000000000000000');
END;
