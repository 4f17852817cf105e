-- The agent has the last word on a claim: that it was sent, and that the doubt about it may end. And nothing waits unseen.

-- The EventID is Microsoft's answer, and the agent alone has heard it.
CREATE TRIGGER jobs_are_sent_by_the_agent BEFORE UPDATE OF state ON jobs
WHEN OLD.state = 'claimed' AND NEW.state = 'sent'
    AND (NEW.settled IS NOT 'claim ' || OLD.claims OR OLD.settled IS 'claim ' || OLD.claims)
BEGIN
    SELECT RAISE(ABORT, 'this job is being sent: only the agent records it as sent, with the EventID that Microsoft gave it');
END;

-- Who has looked into the calendar may take the doubt from a job that has ended, if the agent has ended its last claim. From
-- one that was taken out of the agent's hand nobody takes it: the request may be on its way still, and put back without
-- the mark the job would be sent as if nothing had been.
CREATE TRIGGER jobs_taken_back_stay_in_doubt BEFORE UPDATE OF in_doubt ON jobs
WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0 AND OLD.state IN ('failed', 'cancelled')
    AND OLD.claims > 0 AND OLD.settled IS NOT 'claim ' || OLD.claims
BEGIN
    SELECT RAISE(ABORT, 'an event may exist for this job, which was taken from the agent while it was being sent: in_doubt stays; put the job back to pending (event-sender retry), and the agent looks for its event');
END;

-- What a writer leaves who has switched the checks off (PRAGMA ignore_check_constraints): a job in no state at all, or one that is
-- never due. No claim finds them, so the agent looks for them here, where there are no others.
CREATE INDEX jobs_unfit ON jobs (state, next_attempt_at)
    WHERE state NOT IN ('pending', 'claimed', 'sent', 'failed', 'cancelled') OR state = 'pending' AND (
        typeof(next_attempt_at) <> 'text' OR next_attempt_at NOT GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z');
