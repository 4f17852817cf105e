//! What there is: the rows of the queue, the agents and what they hold in memory, the requests on their way, the events
//! in the calendar, and how much trouble is still to come.
//!
//! Knows no step and no rule.

/// `jobs.state`, and a row that is not inserted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    Absent,
    Pending,
    Claimed,
    Sent,
    Failed,
    Cancelled,
}

/// A row of `jobs`: what the database knows, and all that survives a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub word: Word,
    /// `next_attempt_at` has come.
    pub due: bool,
    pub claims: u8,
    pub attempts: u8,
    pub in_doubt: bool,
    /// `event_id`, as a place in the calendar.
    pub event: Option<usize>,
    /// `transaction_id`. It never changes, save in a broken variant.
    pub transaction: u8,
}

impl Row {
    pub fn ended(&self) -> bool {
        matches!(self.word, Word::Sent | Word::Failed | Word::Cancelled)
    }
}

/// What becomes of a claimed row, decided but not yet written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    Sent { event: usize, looked_up: bool },
    Again { spent: bool, in_doubt: bool },
    Failed { in_doubt: bool },
}

/// How far an attempt has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The job is in doubt: is there an event with its marker?
    LookingUp,
    /// About to post.
    Ready,
    /// The request has left.
    Waiting,
    /// About to be given up in doubt: one last look.
    LookingLast,
    /// The outcome is known and waits to be written.
    Known(Verdict),
}

/// A claim in the memory of an agent: what the row was when it was claimed, and what became of it since.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    pub job: usize,
    pub claim: u8,
    pub attempts: u8,
    pub in_doubt: bool,
    pub transaction: u8,
    pub phase: Phase,
}

/// A POST between an agent and the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub job: usize,
    pub transaction: u8,
    /// The claim that waits for the answer; none when its client timed out or died. The server does not know the
    /// difference.
    pub claim: Option<u8>,
    /// The answer on its way back: the event.
    pub answer: Option<Answer>,
}

/// `201 Created`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer {
    pub event: usize,
    /// The event was there before: the server knew the transaction.
    pub repeated: bool,
}

/// How much trouble of each kind may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Lost answers, timeouts, refusals, throttling, lookups that fail.
    pub faults: u8,
    /// Ends of an agent at any moment.
    pub crashes: u8,
    /// Times the database refuses writes for a while.
    pub storage: u8,
    /// `cancel` and `retry`.
    pub operator: u8,
    /// Somebody puts a claimed row back to pending, in doubt, as the schema allows.
    pub releases: u8,
    /// Times the clock is set back.
    pub clock: u8,
}

impl Trouble {
    fn left(self) -> u32 {
        [self.faults, self.crashes, self.storage, self.operator, self.releases, self.clock].map(u32::from).iter().sum()
    }
}

/// One moment of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub rows: Vec<Row>,
    /// The agents that run, with what they hold. A crash takes all of it. Kept sorted: nobody is told apart by name.
    pub agents: Vec<Vec<Attempt>>,
    /// Kept sorted: the network keeps no order.
    pub requests: Vec<Request>,
    /// The events of each job, by the transaction that made them.
    pub events: Vec<Vec<u8>>,
    /// The database takes writes.
    pub writable: bool,
    pub trouble: Trouble,
}

/// What the lookup by the marker can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The truth, always.
    Works,
    /// Perhaps nothing although the event is there: the index comes after.
    Lags,
    /// It is refused (permission missing).
    Refused,
}

/// What the other side can be relied on for.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    /// A repeated transaction makes no second event.
    pub deduplicates: bool,
    pub lookup: Lookup,
    /// A request whose client is gone may be processed at any later time. If not, it is processed before the job is due
    /// again: the wait after a doubtful end is longer than the server takes.
    pub late_requests: bool,
}

/// What a settlement is fenced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    Claims,
    Attempts,
    Nothing,
}

/// The rules the agent keeps, and the world it keeps them in.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub jobs: usize,
    /// Processes that may run at once, were there no lock.
    pub agents: usize,
    pub max_attempts: u8,
    pub trouble: Trouble,
    pub calendar: Calendar,
    pub fence: Fence,
    /// Only one agent runs at a time.
    pub locked: bool,
    pub recovery_doubts: bool,
    pub keeps_transaction: bool,
    /// A job in doubt is looked up before every repeat, however many attempts are spent.
    pub always_looks_up: bool,
    /// A request over a kept connection that turned out to be dead is not made again before its event was looked for.
    pub looks_after_death: bool,
    /// A job in doubt that can no longer be made into a request, because settings or rules have changed, stays in doubt.
    pub doubts_unsendable: bool,
}

impl State {
    /// A bound on the steps to the end: less after every step. What trouble costs pays for all the work it makes.
    pub fn work_left(&self, protocol: &Protocol) -> u32 {
        let rows = self.rows.iter().map(|row| match (row.word, row.due) {
            (Word::Absent, _) => 13,
            (Word::Pending, false) => 12,
            (Word::Pending, true) => 11,
            _ => 0,
        });
        let attempts = self.agents.iter().flatten().map(|attempt| match attempt.phase {
            Phase::LookingUp => 10,
            Phase::Ready => 8,
            Phase::Waiting => 4,
            Phase::LookingLast => 3,
            Phase::Known(Verdict::Again { .. }) => 13,
            Phase::Known(_) => 1,
        });
        let requests = self.requests.iter().map(|request| if request.answer.is_none() { 3 } else { 1 });
        let away = (protocol.agents - self.agents.len()) as u32 * 40;
        let trouble = self.trouble.left() * 1000 + u32::from(!self.writable);
        rows.sum::<u32>() + attempts.sum::<u32>() + requests.sum::<u32>() + away + trouble
    }
}
