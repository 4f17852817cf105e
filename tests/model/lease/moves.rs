//! What can happen, and when. The course of things, by which everything ends; and trouble, which is rationed.
//!
//! Each step is one that nothing can cut in two: one statement of the database, one message sent or received, one look of a process
//! into its own memory.

use stateright::{Model, Property};

use super::rules;
use super::state::{Agent, Database, Lane, Phase, Process, Row, Start, State, Trouble, Word};

/// Places in `State::processes` and `State::requests`, and in the attempts of a process.
type Of = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    // The course of things.
    /// A process that has died or stopped is started on the same host.
    Restart(Of),
    /// It registers; its own earlier start, whose lock is free, is gone.
    Join(Of),
    /// A lease is renewed, or its end is found out.
    Renew(Of),
    /// Its renewals have been unbroken for the length of a lease.
    IsSteady(Start),
    Take(Of),
    Claim(Of, usize),
    /// A request leaves: the last look and the write are one.
    Ask(Of, usize),
    /// It may not leave any more.
    IsNotMade(Of, usize),
    IsAnswered(Of, usize),
    Settle(Of, usize),
    /// The server has done with a request.
    IsCarriedOut(usize),
    /// A request nobody waits for any more never arrives.
    NeverArrives(usize),
    LeaseEnds(Start),
    Bury(Of, Start),
    Clean(Of, Start),
    IsDue(usize),
    GhostsAreOver,
    QuarantineIsOver,
    /// A claim that an agent does not know of goes back.
    PutBackStray(Of, usize),
    /// A hand-over that was given up is carried out.
    HandoverArrives(usize),
    // Only where a rule is left out.
    /// What a dead agent had claimed goes back, and its mailbox not yet.
    PutBack(Of, Start),
    /// A new start forgets what was its own before, only now.
    Forget(Of),
    /// A request leaves after a last look that was long ago.
    AskUnguarded(Of, usize),
    // Trouble.
    TrustEnds(Of),
    Kill(Of),
    Stop(Of),
    AnswerIsLost(Of, usize),
    ClaimIsLost(Of, usize),
    GiveBack(Of),
    GiveBackStalls(Of),
    /// From here on the other server hears nothing.
    Lags,
    FailsOver,
}

/// The rules, each of which can be left out.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Looked at right before a request leaves: trust, and whose the mailbox is.
    pub guard: bool,
    /// … and which start has claimed the job.
    pub pass_by_claim: bool,
    pub ghosts: bool,
    /// A takeover does not end the ghosts of the one before.
    pub ghosts_add_up: bool,
    /// Of those that stopped or were replaced, too.
    pub ghosts_of_all: bool,
    /// What a dead agent had goes back in one statement.
    pub cleans_at_once: bool,
    /// Ghosts take up slots, and not only what may be claimed.
    pub ghosts_take_slots: bool,
    /// Doubtful rows of a dead agent wait until its requests are over.
    pub doubt_waits: bool,
    pub doubt: bool,
    /// A claim names its agent.
    pub fence_by_agent: bool,
    /// After a failover claims are counted from further on.
    pub counts_on: bool,
    /// A hand-over names its epoch.
    pub fence_by_epoch: bool,
    /// Claims that nobody knows of are looked for.
    pub puts_strays_back: bool,
    /// A late answer ends its job in one transaction.
    pub late_at_once: bool,
    /// A new start trusts its lease only once it has forgotten what the one before had.
    pub forgets_first: bool,
    pub quarantine: bool,
    pub doubt_after_failover: bool,
    /// Nothing is claimed from a server that has taken over unnoticed.
    pub claims_by_timeline: bool,
}

pub const BUILT: Rules = Rules {
    guard: true,
    pass_by_claim: true,
    ghosts: true,
    ghosts_add_up: true,
    ghosts_of_all: true,
    cleans_at_once: true,
    ghosts_take_slots: true,
    doubt_waits: true,
    doubt: true,
    fence_by_agent: true,
    counts_on: true,
    fence_by_epoch: true,
    puts_strays_back: true,
    late_at_once: true,
    forgets_first: true,
    quarantine: true,
    doubt_after_failover: true,
    claims_by_timeline: true,
};

/// The rules the agents keep, and the world they keep them in.
#[derive(Clone, Debug)]
pub struct Leases {
    pub processes: usize,
    pub jobs: usize,
    pub trouble: Trouble,
    pub rules: Rules,
}

impl Model for Leases {
    type State = State;
    type Action = Step;

    /// All agents have joined, the first one has the mailbox, and all jobs wait.
    fn init_states(&self) -> Vec<State> {
        let start = |process: usize| process as Start;
        let rows = vec![Row { word: Word::Pending { after: None }, claims: 0, in_doubt: false }; self.jobs];
        let agent = |process| Agent { start: start(process), process, lease_over: false, steady: true, gone: None };
        let process = |process| Process {
            up: true,
            start: Some(start(process)),
            trusts: true,
            owns: (process == 0).then_some(1),
            attempts: Vec::new(),
        };
        let database = Database {
            rows,
            lane: Lane { owner: Some(0), epoch: 1, ghosts: Vec::new() },
            agents: (0..self.processes).map(agent).collect(),
            unnoticed: false,
            quarantine: false,
            doubt: false,
        };
        vec![State {
            database,
            replica: None,
            processes: (0..self.processes).map(process).collect(),
            requests: Vec::new(),
            events: vec![0; self.jobs],
            stalled: Vec::new(),
            next_start: start(self.processes),
            trouble: self.trouble,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.course(state, steps);
        trouble(state, steps);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.apply(&mut state, &step);
        state.requests.sort();
        state.processes.iter_mut().for_each(|process| process.attempts.sort());
        let sound = state.work_left() < before.work_left();
        assert!(sound || !self.rules.is_whole(), "a circle by {step:?}: {before:?} {state:?}");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        rules::all()
    }
}

impl Leases {
    /// What happens when nothing goes wrong, and what must be possible until every job has ended.
    pub fn course(&self, state: &State, steps: &mut Vec<Step>) {
        for (of, process) in state.processes.iter().enumerate() {
            match process.start {
                _ if !process.up => steps.push(Step::Restart(of)),
                None => steps.push(Step::Join(of)),
                Some(start) => self.of_member(state, of, start, steps),
            }
        }
        time(state, steps);
        for (at, request) in state.requests.iter().enumerate() {
            if request.answer.is_none() {
                steps.push(Step::IsCarriedOut(at));
            }
            if request.waits.is_none() {
                steps.push(Step::NeverArrives(at));
            }
        }
        steps.extend((0..state.stalled.len()).map(Step::HandoverArrives));
    }

    fn of_member(&self, state: &State, of: Of, start: Start, steps: &mut Vec<Step>) {
        let (database, process) = (&state.database, &state.processes[of]);
        if !process.trusts || !database.lives(start) || database.unnoticed {
            steps.push(Step::Renew(of));
        }
        if !self.rules.forgets_first && process.owns.is_some() && !self.remembers_rightly(state, process) {
            steps.push(Step::Forget(of));
        }
        let may_claim =
            process.trusts && database.has_lease(start) && (!database.unnoticed || !self.rules.claims_by_timeline);
        if may_claim && process.owns.is_none() && database.lane.owner.is_none_or(|owner| owner == start) {
            steps.push(Step::Take(of));
        }
        if may_claim && process.owns.is_some() && database.lane.owner == Some(start) && !database.quarantine {
            self.claims(state, of, steps);
        }
        for (job, row) in database.rows.iter().enumerate().filter(|_| self.rules.puts_strays_back) {
            if row.word == (Word::Claimed { by: start }) && !process.knows(job, row.claims) {
                steps.push(Step::PutBackStray(of, job));
            }
        }
        for (at, attempt) in process.attempts.iter().enumerate() {
            self.of_attempt(state, of, at, attempt.phase, steps);
        }
        for dead in database.agents.iter().filter(|dead| dead.start != start) {
            if dead.gone.is_some() {
                steps.push(Step::Clean(of, dead.start));
                if !self.rules.cleans_at_once
                    && database.rows.iter().any(|row| row.word == (Word::Claimed { by: dead.start }))
                {
                    steps.push(Step::PutBack(of, dead.start));
                }
            } else if dead.lease_over && database.has_lease(start) && database.agent(start).is_some_and(|me| me.steady)
            {
                steps.push(Step::Bury(of, dead.start));
            }
        }
    }

    /// One for the slot of the mailbox and another one ahead; none while a ghost is in the slot.
    fn claims(&self, state: &State, of: Of, steps: &mut Vec<Step>) {
        let (database, process) = (&state.database, &state.processes[of]);
        let places = if self.rules.ghosts_take_slots && !database.lane.ghosts.is_empty() { 1 } else { 2 };
        if process.attempts.len() + database.lane.ghosts.len() >= places {
            return;
        }
        let due = |row: &Row| row.word == Word::Pending { after: None };
        let due = database.rows.iter().enumerate().filter(|(_, row)| due(row));
        for (job, _) in due {
            steps.push(Step::Claim(of, job));
            steps.extend((state.trouble.lost_claims > 0).then_some(Step::ClaimIsLost(of, job)));
        }
    }

    fn of_attempt(&self, state: &State, of: Of, at: usize, phase: Phase, steps: &mut Vec<Step>) {
        let process = &state.processes[of];
        let attempt = &process.attempts[at];
        match phase {
            Phase::ToLookUp | Phase::ToPost => {
                let slot = !process.attempts.iter().any(|attempt| attempt.phase.is_asking());
                let by_lane = process.trusts && process.owns.is_some();
                let forgot = self.rules.forgets_first || self.remembers_rightly(state, process);
                let may = if self.rules.pass_by_claim && forgot { process.may_ask_for(attempt) } else { by_lane };
                match may {
                    true if slot => steps.push(Step::Ask(of, at)),
                    true => {}
                    false => {
                        steps.push(Step::IsNotMade(of, at));
                        if !self.rules.guard && slot {
                            steps.push(Step::AskUnguarded(of, at));
                        }
                    }
                }
            }
            Phase::LookingUp | Phase::Posting => {
                let answer = state.request_of(of, attempt).and_then(|request| state.requests[request].answer);
                if answer.is_some() {
                    steps.push(Step::IsAnswered(of, at));
                }
            }
            Phase::Sent | Phase::Again { .. } => steps.push(Step::Settle(of, at)),
        }
    }

    /// What it has in memory is what its own start has taken.
    pub fn remembers_rightly(&self, state: &State, process: &Process) -> bool {
        process.start.is_some() && state.database.lane.owner == process.start
    }
}

/// What the passing of time alone brings.
fn time(state: &State, steps: &mut Vec<Step>) {
    let database = &state.database;
    for agent in &database.agents {
        let trusted = state.processes.iter().any(|process| process.trusts && process.start == Some(agent.start));
        // After a failover the database may have forgotten the last renewals.
        if agent.gone.is_none() && !agent.lease_over && (!trusted || database.unnoticed) {
            steps.push(Step::LeaseEnds(agent.start));
        }
        if agent.gone.is_none() && !agent.lease_over && !agent.steady && trusted {
            steps.push(Step::IsSteady(agent.start));
        }
    }
    for (job, row) in database.rows.iter().enumerate() {
        if let Word::Pending { after: Some(after) } = row.word {
            let own = database.lives(after) && state.processes.iter().any(|process| process.start == Some(after));
            let mut requests = state.requests.iter();
            let over = if own {
                requests.all(|request| request.job != job || request.under != after)
            } else {
                state.is_over(after)
            };
            if over || database.unnoticed {
                steps.push(Step::IsDue(job));
            }
        }
    }
    let ghosts = &database.lane.ghosts;
    if !ghosts.is_empty() && (database.unnoticed || ghosts.iter().all(|ghost| state.is_over(*ghost))) {
        steps.push(Step::GhostsAreOver);
    }
    let is_old = |start: Start| !database.lives(start);
    let old = state.requests.iter().any(|request| request.answer.is_none() && is_old(request.under))
        || state.processes.iter().any(|process| process.trusts && process.start.is_some_and(is_old));
    if database.quarantine && !old {
        steps.push(Step::QuarantineIsOver);
    }
}

fn trouble(state: &State, steps: &mut Vec<Step>) {
    let left = state.trouble;
    for (of, process) in state.processes.iter().enumerate().filter(|(_, process)| process.up) {
        // Whose row is gone loses its trust for nothing: it cannot be renewed.
        let dying = process.start.is_some_and(|start| !state.database.lives(start));
        if process.trusts && (left.lapses > 0 || dying) {
            steps.push(Step::TrustEnds(of));
        }
        if left.kills > 0 {
            steps.push(Step::Kill(of));
        }
        if left.stops > 0 && process.start.is_some() {
            steps.push(Step::Stop(of));
        }
        if process.owns.is_some() && process.attempts.is_empty() {
            steps.extend((left.handovers > 0).then_some(Step::GiveBack(of)));
            steps.extend((left.stalls > 0).then_some(Step::GiveBackStalls(of)));
        }
        if left.lost_answers > 0 {
            let asking = process.attempts.iter().enumerate().filter(|(_, attempt)| attempt.phase.is_asking());
            steps.extend(asking.map(|(at, _)| Step::AnswerIsLost(of, at)));
        }
    }
    if left.failovers > 0 {
        steps.push(if state.replica.is_none() { Step::Lags } else { Step::FailsOver });
    }
}
