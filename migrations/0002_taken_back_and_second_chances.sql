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
