//! What there is: the database, the agents and what they hold in memory, the requests on their way, the events in the calendar, and
//! how much trouble is still to come.
//!
//! Knows no step and no rule.

/// `agents.id`: drawn anew at each start, and never twice.
pub type Start = u8;

/// `jobs.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// `after`: not before the requests of that start are over.
    Pending {
        after: Option<Start>,
    },
    Claimed {
        by: Start,
    },
    Sent,
}

/// Where claims are counted from after a failover.
pub const FURTHER_ON: u8 = 100;

/// A row of `jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub word: Word,
    pub claims: u8,
    pub in_doubt: bool,
}

/// The row of the mailbox in `lanes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    pub owner: Option<Start>,
    pub epoch: u8,
    /// Whose requests may still be under way: one for each.
    pub ghosts: Vec<Start>,
}

/// `agents.how`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    Stopped,
    Expired,
    Replaced,
}

/// A row of `agents`, until all it has left is freed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    pub start: Start,
    /// Whose it is.
    pub process: usize,
    /// `lease_until` has passed.
    pub lease_over: bool,
    /// Its renewals have been unbroken for as long as a lease.
    pub steady: bool,
    pub gone: Option<How>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    pub rows: Vec<Row>,
    pub lane: Lane,
    pub agents: Vec<Agent>,
    /// It took the place of another one, and no agent has noticed.
    pub unnoticed: bool,
    /// `quarantine_until` has not come.
    pub quarantine: bool,
    /// `doubt_before` is later than all rows.
    pub doubt: bool,
}

impl Database {
    pub fn agent(&self, start: Start) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.start == start)
    }

    /// Nobody has buried it.
    pub fn lives(&self, start: Start) -> bool {
        self.agent(start).is_some_and(|agent| agent.gone.is_none())
    }

    /// Its lease goes on.
    pub fn has_lease(&self, start: Start) -> bool {
        self.agent(start).is_some_and(|agent| agent.gone.is_none() && !agent.lease_over)
    }
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The job is in doubt: is there an event with its marker?
    ToLookUp,
    LookingUp,
    ToPost,
    Posting,
    /// An event exists.
    Sent,
    /// It goes back; `waited`: for the answer of a request.
    Again {
        waited: bool,
    },
}

impl Phase {
    pub fn is_asking(self) -> bool {
        matches!(self, Self::LookingUp | Self::Posting)
    }
}

/// A claim in the memory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    pub job: usize,
    pub claim: u8,
    /// Which of its starts has claimed it.
    pub start: Start,
    pub in_doubt: bool,
    pub phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub up: bool,
    /// Its row in `agents`, as far as it knows.
    pub start: Option<Start>,
    pub trusts: bool,
    /// The mailbox is its own, it thinks: the epoch.
    pub owns: Option<u8>,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Look,
    Post,
}

/// Between a process and the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub job: usize,
    pub kind: Kind,
    /// Whose trust it began under.
    pub under: Start,
    /// The process and the claim that wait for the answer; none once that process is dead.
    pub waits: Option<(usize, Start, u8)>,
    /// Whether there is an event. The server has done with it.
    pub answer: Option<bool>,
}

/// How much trouble of each kind may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Times an agent does not renew in time, for whatever reason.
    pub lapses: u8,
    pub kills: u8,
    pub stops: u8,
    pub lost_answers: u8,
    /// Claims that the database has made, and whose answer never arrives.
    pub lost_claims: u8,
    /// Mailboxes given back to whom they should belong.
    pub handovers: u8,
    /// Statements that are carried out long after their sender gave them up.
    pub stalls: u8,
    /// Another database server takes over that lags behind.
    pub failovers: u8,
}

impl Trouble {
    fn left(self) -> u32 {
        let Self { lapses, kills, stops, lost_answers, lost_claims, handovers, stalls, failovers } = self;
        [lapses, kills, stops, lost_answers, lost_claims, handovers, stalls, failovers].map(u32::from).iter().sum()
    }
}

/// One moment of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub database: Database,
    /// What the server has that would take over.
    pub replica: Option<Box<Database>>,
    pub processes: Vec<Process>,
    /// Kept sorted: the network keeps no order.
    pub requests: Vec<Request>,
    /// Of each job.
    pub events: Vec<u8>,
    /// Hand-overs that have not reached the database yet: whose, and of which epoch.
    pub stalled: Vec<(Start, u8)>,
    pub next_start: Start,
    pub trouble: Trouble,
}

impl State {
    /// Requests that began under the trust of that start are over, and none can begin.
    pub fn is_over(&self, start: Start) -> bool {
        self.requests.iter().all(|request| request.under != start || request.answer.is_some())
            && self.processes.iter().all(|process| !process.trusts || process.start != Some(start))
    }

    /// The server has not done with them.
    pub fn under_way(&self) -> usize {
        self.requests.iter().filter(|request| request.answer.is_none()).count()
    }

    /// A bound on the steps to the end: less after every step. What trouble costs pays for all the work it makes.
    pub fn work_left(&self) -> u32 {
        let database = &self.database;
        let rows = database.rows.iter().enumerate().map(|(job, row)| match row.word {
            Word::Pending { after: Some(_) } => 42,
            Word::Pending { after: None } => 40,
            Word::Claimed { by } if self.is_at_work(job, row.claims, by) => 2,
            Word::Claimed { .. } => 46,
            Word::Sent => 0,
        });
        let agents = database.agents.iter().map(|agent| match (agent.gone, agent.lease_over) {
            (Some(_), _) => 120,
            (None, true) => 1500,
            (None, false) if !self.is_trusted(agent.start) || database.unnoticed => 1600 + u32::from(!agent.steady) * 5,
            (None, false) => u32::from(!agent.steady) * 5,
        });
        let processes = self.processes.iter().map(|process| self.work_of(process));
        let requests = self.requests.iter().map(|request| if request.answer.is_none() { 3 } else { 1 });
        let lane = u32::from(database.lane.owner.is_none()) * 4 + database.lane.ghosts.len() as u32 * 2;
        let server = u32::from(database.unnoticed) * 9000 + u32::from(database.quarantine) * 50;
        let lag = u32::from(self.replica.is_none() && self.trouble.failovers > 0) * 20;
        let trouble = self.trouble.left() * 20_000 + self.stalled.len() as u32 * 10;
        let work = rows.chain(agents).chain(processes).chain(requests).sum::<u32>();
        work + lane + server + lag + trouble
    }

    fn work_of(&self, process: &Process) -> u32 {
        let member = match process.start {
            _ if !process.up => 900,
            None => 700,
            Some(start) if !self.database.lives(start) => 850 + u32::from(process.trusts) * 100,
            Some(_) => u32::from(!process.trusts) * 300,
        };
        let attempts = process.attempts.iter().map(|attempt| match attempt.phase {
            Phase::ToLookUp if !process.may_ask_for(attempt) => 90,
            Phase::LookingUp if !process.may_ask_for(attempt) => 80,
            Phase::ToPost if !process.may_ask_for(attempt) => 60,
            Phase::ToLookUp => 36,
            Phase::LookingUp => 30,
            Phase::ToPost => 24,
            Phase::Posting => 14,
            Phase::Sent => 1,
            Phase::Again { .. } => 46,
        });
        member + u32::from(process.owns.is_none()) * 8 + attempts.sum::<u32>()
    }

    fn is_trusted(&self, start: Start) -> bool {
        self.processes.iter().any(|process| process.up && process.trusts && process.start == Some(start))
    }

    fn is_at_work(&self, job: usize, claim: u8, start: Start) -> bool {
        let members = self.processes.iter().filter(|process| process.start == Some(start));
        let mut attempts = members.flat_map(|process| &process.attempts);
        let is_it = |attempt: &Attempt| attempt.job == job && attempt.claim == claim && attempt.start == start;
        self.database.lives(start) && attempts.any(is_it)
    }
}

impl Process {
    /// That claim is one of its own.
    pub fn knows(&self, job: usize, claim: u8) -> bool {
        self.attempts.iter().any(|attempt| attempt.job == job && attempt.claim == claim)
    }

    /// `Agent::pass`.
    pub fn may_ask_for(&self, attempt: &Attempt) -> bool {
        let same = |other: &&Attempt| other.job == attempt.job && other.claim == attempt.claim;
        let mut claims = self.attempts.iter().filter(same);
        self.trusts && self.owns.is_some() && claims.any(|claim| self.start == Some(claim.start))
    }
}
