//! What can happen, and when. The course of things: producer, agent, server, and time. And trouble, which is rationed:
//! faults of the network and the server, crashes, a database that refuses writes, operators, and clocks.
//!
//! Each step is one that nothing can cut in two: one transaction of the database, one message sent or received.

use stateright::{Model, Property};

use super::rules;
use super::state::{Attempt, Lookup, Phase, Protocol, Row, State, Trouble, Word};

/// What a lookup brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Found(usize),
    Empty,
    /// 403 and the like: it cannot be asked, now or later.
    Refused,
    /// 500, lost, damaged.
    Failed,
    /// 429, 503, no token.
    Throttled,
}

/// Places in [`State::rows`], [`State::agents`] and [`State::requests`].
type Job = usize;
type Agent = usize;
type Posted = usize;

/// An attempt: one of those an agent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub agent: Agent,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    // The course of things.
    Insert(Job),
    TimePasses(Job),
    /// An agent starts. It takes the lock, which is refused while another runs and is free again with its death, and
    /// puts back what a dead agent left claimed.
    Start,
    Claim(Agent, Job),
    LookUp(Held, Look),
    Post(Held),
    /// The server takes a request up.
    Process(Posted),
    /// A request nobody waits for any more never arrives.
    Lost(Posted),
    /// The answer reaches the agent.
    Answered(Held),
    Settle(Held),
    WritesWork,
    // Trouble.
    Crash(Agent),
    /// Timeout, reset, 500, damaged body: the event may be there, may come later, or may never be.
    NoClearAnswer(Held),
    /// A kept connection dies without a byte of an answer: as unclear, but the same attempt looks for its event and goes on.
    KeptConnectionDies(Held),
    /// 503: as unclear, and the mailbox must pause, so that not even a lookup may follow.
    MailboxAway(Held),
    /// 429: nothing was made, the attempt is given back.
    Throttled(Held),
    /// A clear 4xx: nothing was made by this request.
    Refused(Held),
    /// The row makes no request any more: settings or rules have changed since it was sent. Nothing leaves.
    Unsendable(Held),
    WritesFail,
    Cancel(Job),
    Retry(Job),
    /// Somebody puts a claimed row back, in doubt.
    Release(Job),
    ClockSetBack,
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let row = Row {
            word: Word::Absent,
            due: false,
            claims: 0,
            attempts: 0,
            in_doubt: false,
            event: None,
            transaction: 0,
        };
        vec![State {
            rows: vec![row; self.jobs],
            agents: Vec::new(),
            requests: Vec::new(),
            events: vec![Vec::new(); self.jobs],
            writable: true,
            trouble: self.trouble,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.course(state, steps);
        self.trouble(state, steps);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.apply(&mut state, step);
        state.agents.iter_mut().for_each(|held| held.sort());
        state.agents.sort();
        state.requests.sort();
        assert!(state.work_left(self) < before.work_left(self), "a circle: {before:?} {state:?}");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        rules::all()
    }
}

/// A request of the job may still arrive for which nobody waits any more.
fn under_way(state: &State, job: Job) -> bool {
    state.requests.iter().any(|request| request.job == job && request.claim.is_none())
}

impl Protocol {
    /// What happens when nothing goes wrong, and what must be possible until every job has ended.
    pub fn course(&self, state: &State, steps: &mut Vec<Step>) {
        for (job, row) in state.rows.iter().enumerate() {
            if row.word == Word::Absent && state.writable {
                steps.push(Step::Insert(job));
            }
            if row.word == Word::Pending && !row.due && (self.calendar.late_requests || !under_way(state, job)) {
                steps.push(Step::TimePasses(job));
            }
        }
        let room = if self.locked { 1 } else { self.agents };
        if state.agents.len() < room && state.writable {
            steps.push(Step::Start);
        }
        for (agent, holds) in state.agents.iter().enumerate() {
            for (job, row) in state.rows.iter().enumerate() {
                if row.word == Word::Pending && row.due && state.writable {
                    steps.push(Step::Claim(agent, job));
                }
            }
            for (at, attempt) in holds.iter().enumerate() {
                let held = Held { agent, at };
                match &attempt.phase {
                    // After the death of its connection an attempt waits first, as a job in doubt does before it is due.
                    Phase::LookingUp if !self.calendar.late_requests && under_way(state, attempt.job) => {}
                    Phase::LookingUp | Phase::LookingLast => {
                        let looks = self.looks(state, attempt);
                        steps.extend(looks.map(|look| Step::LookUp(held, look)));
                    }
                    Phase::Ready => steps.push(Step::Post(held)),
                    Phase::Waiting
                        if state.request_of(attempt).is_some_and(|of| state.requests[of].answer.is_some()) =>
                    {
                        steps.push(Step::Answered(held));
                    }
                    Phase::Known(_) if state.writable => steps.push(Step::Settle(held)),
                    Phase::Waiting | Phase::Known(_) => {}
                }
            }
        }
        for (at, request) in state.requests.iter().enumerate() {
            if request.answer.is_none() {
                steps.push(Step::Process(at));
            }
            if request.claim.is_none() {
                steps.push(Step::Lost(at));
            }
        }
        if !state.writable {
            steps.push(Step::WritesWork);
        }
    }

    fn trouble(&self, state: &State, steps: &mut Vec<Step>) {
        let Trouble { faults, crashes, storage, operator, releases, clock } = state.trouble;
        for (agent, holds) in state.agents.iter().enumerate() {
            if crashes > 0 {
                steps.push(Step::Crash(agent));
            }
            for (at, attempt) in holds.iter().enumerate().filter(|_| faults > 0) {
                self.faults(state, Held { agent, at }, attempt, steps);
            }
        }
        if storage > 0 && state.writable {
            steps.push(Step::WritesFail);
        }
        for (job, row) in state.rows.iter().enumerate().filter(|_| state.writable) {
            match row.word {
                Word::Pending if operator > 0 => steps.push(Step::Cancel(job)),
                Word::Failed | Word::Cancelled if operator > 0 => steps.push(Step::Retry(job)),
                Word::Claimed if releases > 0 => steps.push(Step::Release(job)),
                _ => {}
            }
        }
        if clock > 0 && state.rows.iter().any(|row| row.word == Word::Pending && row.due) {
            steps.push(Step::ClockSetBack);
        }
    }

    fn faults(&self, state: &State, held: Held, attempt: &Attempt, steps: &mut Vec<Step>) {
        if matches!(attempt.phase, Phase::LookingUp | Phase::LookingLast) && self.calendar.deduplicates {
            // Where only the lookup can tell, it is not made to fail: what then happens is not part of the promise.
            steps.extend([Look::Failed, Look::Throttled].map(|look| Step::LookUp(held, look)));
        }
        if matches!(attempt.phase, Phase::LookingUp | Phase::Ready) {
            steps.push(Step::Unsendable(held));
        }
        if attempt.phase == Phase::Waiting {
            steps.push(Step::NoClearAnswer(held));
            steps.push(Step::KeptConnectionDies(held));
            steps.push(Step::MailboxAway(held));
            if state.request_of(attempt).is_some_and(|of| state.requests[of].answer.is_none()) {
                steps.push(Step::Throttled(held));
                steps.push(Step::Refused(held));
            }
        }
    }

    /// What a lookup may bring when nothing goes wrong.
    fn looks(&self, state: &State, attempt: &Attempt) -> impl Iterator<Item = Look> {
        let event = state.events[attempt.job].iter().position(|transaction| *transaction == attempt.transaction);
        let lookup = self.calendar.lookup;
        let found = event.filter(|_| lookup != Lookup::Refused).map(Look::Found);
        let empty = (lookup == Lookup::Lags || lookup == Lookup::Works && event.is_none()).then_some(Look::Empty);
        let refused = (lookup == Lookup::Refused).then_some(Look::Refused);
        [found, empty, refused].into_iter().flatten()
    }
}
