-- While a job in doubt waits or is under way, the agent asks for its event before it sends again. Without the mark it
-- would not ask, so nobody takes it away from outside. The agent's own way of ending the doubt is to settle its claim. Who
-- has looked into the calendar may take it from a job that has ended.
CREATE TRIGGER jobs_doubt_ends_with_an_answer BEFORE UPDATE OF in_doubt ON jobs
WHEN OLD.in_doubt = 1 AND NEW.in_doubt = 0
    AND (OLD.state = 'pending' OR (OLD.state = 'claimed' AND NEW.state = 'claimed'))
BEGIN
    SELECT RAISE(ABORT, 'an event may exist for this job, and the agent looks for it before it sends again: in_doubt stays until that is answered');
END;
