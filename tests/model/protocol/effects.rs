//! What each step does: to the rows, by the statements of the queue; to what an agent holds; to what is on its way.

use super::moves::{Held, Look, Step};
use super::state::{Answer, Attempt, Fence, Phase, Protocol, Request, Row, State, Verdict, Word};

impl Protocol {
    pub fn apply(&self, state: &mut State, step: Step) {
        match step {
            Step::Insert(job) => (state.rows[job].word, state.rows[job].due) = (Word::Pending, true),
            Step::TimePasses(job) => state.rows[job].due = true,
            Step::Start => self.start(state),
            Step::Claim(agent, job) => self.claim(state, agent, job),
            Step::LookUp(held, look) => {
                if matches!(look, Look::Failed | Look::Throttled) {
                    state.trouble.faults -= 1;
                }
                let attempt = state.attempt(held);
                attempt.phase = self.looked_up(attempt, look);
            }
            Step::Post(held) => {
                let attempt = state.attempt(held);
                attempt.phase = Phase::Waiting;
                let Attempt { job, transaction, claim, .. } = *attempt;
                state.requests.push(Request { job, transaction, claim: Some(claim), answer: None });
            }
            Step::Process(request) => self.process(state, request),
            Step::Lost(request) => drop(state.requests.remove(request)),
            Step::Answered(held) => {
                if let Some(Answer { event, .. }) = state.take_request(held).answer {
                    state.attempt(held).phase = Phase::Known(Verdict::Sent { event, looked_up: false });
                }
            }
            Step::Settle(Held { agent, at }) => {
                let attempt = state.agents[agent].remove(at);
                self.settle(&mut state.rows[attempt.job], &attempt);
            }
            Step::WritesWork => state.writable = true,
            Step::Crash(agent) => {
                state.trouble.crashes -= 1;
                for attempt in state.agents.remove(agent) {
                    state.forget(&attempt);
                }
            }
            Step::KeptConnectionDies(held) => {
                state.trouble.faults -= 1;
                let attempt = state.attempt(held).clone();
                state.forget(&attempt);
                let attempt = state.attempt(held);
                attempt.in_doubt = true;
                attempt.phase = if self.looks_after_death { Phase::LookingUp } else { Phase::Ready };
            }
            Step::NoClearAnswer(held)
            | Step::MailboxAway(held)
            | Step::Throttled(held)
            | Step::Refused(held)
            | Step::Unsendable(held) => {
                state.trouble.faults -= 1;
                self.fault(state, held, &step);
            }
            Step::WritesFail => {
                state.trouble.storage -= 1;
                state.writable = false;
            }
            Step::Cancel(job) => {
                state.trouble.operator -= 1;
                state.rows[job].word = Word::Cancelled;
            }
            Step::Retry(job) => {
                state.trouble.operator -= 1;
                let row = &mut state.rows[job];
                (row.word, row.due, row.attempts) = (Word::Pending, false, 0);
            }
            Step::Release(job) => {
                state.trouble.releases -= 1;
                let row = &mut state.rows[job];
                (row.word, row.due, row.in_doubt) = (Word::Pending, false, true);
            }
            Step::ClockSetBack => {
                state.trouble.clock -= 1;
                for row in state.rows.iter_mut().filter(|row| row.word == Word::Pending) {
                    row.due = false;
                }
            }
        }
    }

    /// What an attempt becomes that meets a fault.
    fn fault(&self, state: &mut State, held: Held, step: &Step) {
        let attempt = state.attempt(held).clone();
        let unclear = Phase::Known(Verdict::Again { spent: true, in_doubt: true });
        state.attempt(held).phase = match step {
            Step::NoClearAnswer(_) => {
                state.forget(&attempt);
                if attempt.attempts + 1 >= self.max_attempts { Phase::LookingLast } else { unclear }
            }
            Step::MailboxAway(_) => {
                state.forget(&attempt);
                unclear
            }
            Step::Throttled(_) => {
                state.take_request(held);
                Phase::Known(Verdict::Again { spent: false, in_doubt: attempt.in_doubt })
            }
            Step::Refused(_) => {
                state.take_request(held);
                if attempt.in_doubt { Phase::LookingLast } else { Phase::Known(Verdict::Failed { in_doubt: false }) }
            }
            _ => {
                let in_doubt = attempt.in_doubt && (self.doubts_unsendable || attempt.attempts > 0);
                Phase::Known(Verdict::Failed { in_doubt })
            }
        };
    }

    fn start(&self, state: &mut State) {
        for row in state.rows.iter_mut().filter(|row| row.word == Word::Claimed) {
            (row.word, row.due) = (Word::Pending, false);
            row.in_doubt |= self.recovery_doubts;
        }
        state.agents.push(Vec::new());
    }

    fn claim(&self, state: &mut State, agent: usize, job: usize) {
        let row = &mut state.rows[job];
        row.word = Word::Claimed;
        row.claims += 1;
        if row.in_doubt && !self.keeps_transaction {
            row.transaction = row.claims;
        }
        let half_spent = row.attempts * 2 >= self.max_attempts;
        let blind = !self.always_looks_up && half_spent && row.attempts < self.max_attempts;
        let phase = if row.in_doubt && !blind { Phase::LookingUp } else { Phase::Ready };
        let Row { claims: claim, attempts, in_doubt, transaction, .. } = *row;
        state.agents[agent].push(Attempt { job, claim, attempts, in_doubt, transaction, phase });
    }

    /// Where the lookup leads.
    fn looked_up(&self, attempt: &Attempt, look: Look) -> Phase {
        let after_an_answer = attempt.phase == Phase::LookingLast;
        let last = after_an_answer || attempt.attempts >= self.max_attempts;
        match look {
            Look::Found(event) => Phase::Known(Verdict::Sent { event, looked_up: true }),
            Look::Throttled => Phase::Known(Verdict::Again { spent: after_an_answer, in_doubt: true }),
            _ if last => Phase::Known(Verdict::Failed { in_doubt: true }),
            Look::Empty | Look::Refused => Phase::Ready,
            Look::Failed if attempt.attempts * 2 >= self.max_attempts => Phase::Ready,
            Look::Failed => Phase::Known(Verdict::Again { spent: true, in_doubt: true }),
        }
    }

    /// The server takes up a request. It does not know whether anybody still waits for the answer.
    fn process(&self, state: &mut State, at: usize) {
        let Request { job, transaction, claim, .. } = state.requests[at];
        let events = &mut state.events[job];
        let known = events.iter().position(|known| *known == transaction).filter(|_| self.calendar.deduplicates);
        let event = known.unwrap_or_else(|| {
            events.push(transaction);
            events.len() - 1
        });
        if claim.is_some() {
            state.requests[at].answer = Some(Answer { event, repeated: known.is_some() });
        } else {
            state.requests.remove(at);
        }
    }

    /// `UPDATE jobs … WHERE id = ? AND claims = ? AND state = 'claimed'`.
    fn settle(&self, row: &mut Row, attempt: &Attempt) {
        let mine = match self.fence {
            Fence::Claims => row.claims == attempt.claim,
            Fence::Attempts => row.attempts == attempt.attempts,
            Fence::Nothing => true,
        };
        if !mine || row.word != Word::Claimed {
            return;
        }
        match attempt.phase {
            Phase::Known(Verdict::Sent { event, .. }) => {
                (row.word, row.event, row.in_doubt) = (Word::Sent, Some(event), false);
                row.attempts += 1;
            }
            Phase::Known(Verdict::Again { spent, in_doubt }) => {
                (row.word, row.due, row.in_doubt) = (Word::Pending, false, in_doubt);
                row.attempts += u8::from(spent);
            }
            Phase::Known(Verdict::Failed { in_doubt }) => {
                (row.word, row.in_doubt) = (Word::Failed, in_doubt);
                row.attempts += 1;
            }
            _ => {}
        }
    }
}

impl State {
    fn attempt(&mut self, held: Held) -> &mut Attempt {
        &mut self.agents[held.agent][held.at]
    }

    /// The request this attempt waits for.
    pub fn request_of(&self, attempt: &Attempt) -> Option<usize> {
        self.requests.iter().position(|request| request.job == attempt.job && request.claim == Some(attempt.claim))
    }

    /// The request this attempt waits for, off the wire: it was answered, or refused.
    fn take_request(&mut self, held: Held) -> Request {
        let attempt = &self.agents[held.agent][held.at];
        let request = self.request_of(attempt).expect("an attempt that waits has a request");
        self.requests.remove(request)
    }

    /// Nobody waits for the answer any more. If the server has not taken the request up yet, it still may.
    fn forget(&mut self, attempt: &Attempt) {
        if let Some(request) = self.request_of(attempt) {
            if self.requests[request].answer.is_some() {
                self.requests.remove(request);
            } else {
                self.requests[request].claim = None;
            }
        }
    }
}
