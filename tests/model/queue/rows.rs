//! The queue as it should be: plain rows in memory, and the verbs of the agent on them.
//!
//! Times are milliseconds from the agent's first moment, whose clock shows whole seconds. No two rows get the same due
//! time unless a verb must give it to them, so that whose turn it is has one answer.

use std::collections::{BTreeMap, BTreeSet};

use event_sender::job::JobState;

/// `defaults.mailbox`.
pub const TEAM: &str = "Team@contoso.com";
/// How long a recovered row waits, counted from its claim.
const IN_DOUBT_WAIT: i64 = 2000;

/// What the row remembers of the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Nothing: they were never filled in, or an event may exist.
    Unknown,
    /// They were filled in; whether the mailbox is one of them.
    In { mailbox: bool },
    /// They were taken out again.
    Out,
}

/// A row of `jobs`.
#[derive(Clone, Debug)]
pub struct Row {
    pub state: JobState,
    pub claims: i64,
    /// The claim that the agent ended last.
    pub settled: i64,
    pub attempts: i64,
    pub in_doubt: bool,
    pub event_id: Option<String>,
    pub due: i64,
    pub claimed_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub mailbox: Option<String>,
    pub filled: Filled,
    /// Body type and zone, which no row of the model names, are not filled in.
    pub blank: bool,
    pub subject: &'static str,
    pub key: Option<u8>,
    pub not_before: Option<i64>,
    /// A request may have left.
    pub sent_once: bool,
    /// The transaction id is not the one it was inserted with.
    pub other_transaction: bool,
    /// Rows in `attempts`.
    pub history: i64,
}

impl Row {
    /// Nobody may change what the request says.
    pub fn fixed(&self) -> bool {
        matches!(self.state, JobState::Claimed | JobState::Sent) || self.in_doubt || self.sent_once
    }

    pub fn ended(&self) -> bool {
        matches!(self.state, JobState::Sent | JobState::Failed | JobState::Cancelled)
    }

    /// The defaults go into the row: while nothing has left, or what was filled in was taken out.
    fn fill(&mut self) {
        if self.in_doubt || (self.sent_once && self.filled != Filled::Out) {
            return;
        }
        let before = matches!(self.filled, Filled::In { mailbox: true });
        let mailbox = before || self.mailbox.is_none();
        if mailbox || self.blank || matches!(self.filled, Filled::In { .. }) {
            self.filled = Filled::In { mailbox };
        }
        self.mailbox.get_or_insert_with(|| TEAM.to_owned());
        self.blank = false;
    }

    /// After its end it goes back to pending: what defaults filled is taken out, unless an event may exist.
    pub fn empty(&mut self) {
        if let Filled::In { mailbox } = self.filled {
            self.mailbox.take_if(|_| mailbox);
            (self.filled, self.blank) = (Filled::Out, true);
        }
    }

    /// An event may exist: what was sent is kept for ever.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
        self.filled = Filled::Unknown;
    }

    /// Nobody brings it forward past its wish.
    pub fn put(&mut self, due: i64) {
        let earliest = self.not_before.filter(|_| due < self.due).unwrap_or(due);
        self.due = due.max(earliest);
    }

    /// Somebody else ends its claim: its request may be out.
    pub fn taken_away(&mut self, to: JobState) {
        (self.state, self.sent_once) = (to, true);
        self.doubt();
    }

    /// The line it waits in: its mailbox as written, without case. Rows without a mailbox have a line of their own,
    /// which shares the slots of the default mailbox.
    fn line(&self) -> String {
        self.mailbox.as_deref().unwrap_or_default().to_lowercase()
    }
}

/// A claim, as the agent that made it remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub id: i64,
    pub claim: i64,
}

/// What a claim may take.
#[derive(Clone, Debug)]
pub struct Wish {
    pub limit: usize,
    pub per_lane: usize,
    /// Slots of one mailbox that differ from the others'.
    pub free: Option<(&'static str, usize)>,
}

impl Wish {
    fn slots(&self, lane: &str) -> usize {
        self.free.filter(|(mailbox, _)| mailbox.to_lowercase() == lane).map_or(self.per_lane, |(_, slots)| slots)
    }
}

/// A job as claimed: lane, ticket, attempts, in doubt.
pub type Taken = (String, Ticket, i64, bool);

/// How a claim ends.
#[derive(Clone, Debug)]
pub enum End {
    Sent,
    Again { wait: i64, spent: bool, in_doubt: bool, left: bool },
    Failed { spent: bool, in_doubt: bool, left: bool, never_left: bool },
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub now: i64,
    /// The latest time there was.
    latest: i64,
    pub jobs: BTreeMap<i64, Row>,
    pub last_id: i64,
    /// Every claim ever made. Those that are over are remembered by agents that come too late.
    pub tickets: Vec<Ticket>,
    /// Mailboxes on hold, in lower case.
    pub held: BTreeSet<String>,
}

impl Rows {
    /// The clock is corrected, or time passes. What a start does when the clock was set back further is another test's
    /// matter.
    pub fn clock(&mut self, by: i64) {
        self.now = (self.now + by).max(self.latest - 5000);
        self.latest = self.now.max(self.latest);
    }

    /// A time after `wait` that no other row has.
    pub fn later(&self, wait: i64, id: i64) -> i64 {
        (self.now + wait).div_euclid(1000) * 1000 + id
    }

    pub fn insert(&mut self, mailbox: Option<&str>, key: Option<u8>, wait: Option<i64>) -> bool {
        // An id that was refused is not given again, save the very last.
        if key.is_some() && self.jobs.values().any(|row| row.key == key) {
            return false;
        }
        self.last_id += 1;
        let not_before = wait.map(|wait| self.later(wait, self.last_id));
        let row = Row {
            state: JobState::Pending,
            claims: 0,
            settled: 0,
            attempts: 0,
            in_doubt: false,
            event_id: None,
            due: not_before.unwrap_or(i64::MIN).max(first_due(self.last_id)),
            claimed_at: None,
            finished_at: None,
            mailbox: mailbox.map(str::to_owned),
            filled: Filled::Unknown,
            blank: true,
            subject: "first",
            key,
            not_before,
            sent_once: false,
            other_transaction: false,
            history: 0,
        };
        self.jobs.insert(self.last_id, row);
        true
    }

    /// The lines that wait, each with its first row, the longest wait first.
    fn heads(&self) -> Vec<((i64, i64), String)> {
        let mut heads: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (id, row) in self.jobs.iter().filter(|(_, row)| row.state == JobState::Pending) {
            let head = heads.entry(row.line()).or_insert((row.due, *id));
            *head = (row.due, *id).min(*head);
        }
        let mut heads: Vec<_> = heads.into_iter().map(|(line, first)| (first, line)).collect();
        heads.sort();
        heads
    }

    /// The jobs taken, and when the next line becomes due whose mailbox has slots at all.
    pub fn claim(&mut self, wish: &Wish) -> (Vec<Taken>, Option<i64>) {
        // It asks for the operator's words alone.
        if wish.limit == 0 {
            return (Vec::new(), None);
        }
        let now = self.now;
        let lane_of = |line: &str| if line.is_empty() { TEAM.to_lowercase() } else { line.to_owned() };
        let held = &self.held;
        let slots = |lane: &str| if held.contains(lane) { 0 } else { wish.slots(lane) };
        let due = self.heads().into_iter().filter(|((due, _), line)| *due <= now && slots(&lane_of(line)) > 0);
        // Two ways of writing one mailbox are one lane.
        let mut lanes: Vec<String> = Vec::new();
        for lane in due.map(|(_, line)| lane_of(&line)) {
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        lanes.truncate(wish.limit);
        let mut taken: Vec<(i64, Taken)> = Vec::new();
        let waits =
            |row: &Row| row.state == JobState::Pending && lanes.contains(&lane_of(&row.line())) && row.due <= now;
        let mut turn: Vec<_> = self.jobs.iter_mut().filter(|(_, row)| waits(row)).collect();
        turn.sort_by_key(|(id, row)| (row.due, **id));
        for (id, row) in turn {
            let lane = lane_of(&row.line());
            let used = taken.iter().filter(|(_, (of, ..))| *of == lane).count();
            if used >= slots(&lane) || taken.len() >= wish.limit {
                continue;
            }
            row.state = JobState::Claimed;
            row.claims += 1;
            row.claimed_at = Some(now);
            row.fill();
            let ticket = Ticket { id: *id, claim: row.claims };
            taken.push((row.due, (lane.clone(), ticket, row.attempts, row.in_doubt)));
            self.tickets.push(ticket);
        }
        taken.sort_by_key(|(due, (_, ticket, ..))| (*due, ticket.id));
        let waiting = self.heads().into_iter().filter(|((due, _), line)| *due > now && slots(&lane_of(line)) > 0);
        (taken.into_iter().map(|(_, taken)| taken).collect(), waiting.map(|((due, _), _)| due).min())
    }

    /// Whether the settlement takes hold.
    pub fn settle(&mut self, ticket: Ticket, end: &End) -> bool {
        let now = self.now;
        let Some(row) = self.jobs.get_mut(&ticket.id) else { return false };
        if row.state != JobState::Claimed || row.claims != ticket.claim {
            return false;
        }
        row.history += 1;
        row.settled = row.claims;
        match *end {
            End::Sent => {
                row.state = JobState::Sent;
                row.event_id = Some(event_of(ticket));
                row.finished_at = Some(now);
                row.in_doubt = false;
                row.attempts += 1;
                row.sent_once = true;
            }
            End::Again { wait, spent, in_doubt, left } => {
                row.state = JobState::Pending;
                row.put(due_again(now, wait, ticket));
                row.attempts += i64::from(spent);
                row.in_doubt = in_doubt;
                row.sent_once |= left;
                if in_doubt {
                    row.doubt();
                }
            }
            End::Failed { spent, in_doubt, left, never_left } => {
                row.state = JobState::Failed;
                row.finished_at = Some(now);
                row.attempts += i64::from(spent);
                row.in_doubt = in_doubt;
                if in_doubt {
                    row.doubt();
                }
                row.sent_once = !never_left && (row.sent_once || left);
            }
        }
        true
    }

    /// After a crash: what is claimed is claimed by nobody alive.
    pub fn recover(&mut self) -> u64 {
        let mut recovered = 0;
        for row in self.jobs.values_mut().filter(|row| row.state == JobState::Claimed) {
            row.state = JobState::Pending;
            row.doubt();
            row.put(self.now + IN_DOUBT_WAIT);
            row.sent_once = true;
            row.settled = row.claims;
            recovered += 1;
        }
        recovered
    }

    pub fn purge(&mut self, before: i64, limit: usize) -> u64 {
        let over = |row: &Row| row.finished_at.filter(|at| *at < before && !row.in_doubt);
        let mut old: Vec<_> = self.jobs.iter().filter_map(|(id, row)| Some((over(row)?, *id))).collect();
        old.sort_unstable();
        old.truncate(limit);
        for (_, id) in &old {
            self.jobs.remove(id);
        }
        old.len() as u64
    }

    /// Two finished rows are equally old, so that it is open which of them a limited purge takes.
    pub fn equally_old(&self) -> bool {
        let mut ends: Vec<_> = self.jobs.values().filter_map(|row| row.finished_at).collect();
        ends.sort_unstable();
        ends.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// When a row is due that names no time: long ago, in order of the inserts.
pub fn first_due(id: i64) -> i64 {
    id - 1_000_000_000
}

/// When a job is due that is to be tried again: at a time of this claim alone.
pub fn due_again(now: i64, wait: i64, ticket: Ticket) -> i64 {
    (now + wait).div_euclid(1000) * 1000 + ticket.id + 100 * (ticket.claim % 9 + 1)
}

/// The event a claim made.
pub fn event_of(ticket: Ticket) -> String {
    format!("AAMk-{}-{}", ticket.id, ticket.claim)
}
