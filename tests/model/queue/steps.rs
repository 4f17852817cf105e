//! What is done to the queue, how often, and what should come of it.

use event_sender::job::JobState;
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

use super::rows::{End, Filled, Row, Rows, TEAM, Taken, Ticket, Wish};

/// A mailbox that only strangers write.
pub const EVE: &str = "eve@contoso.com";

/// One statement of one program, in one transaction.
#[derive(Clone, Debug)]
pub enum Step {
    /// The agent's clock, which may be set back.
    Clock {
        by: i64,
    },
    Produce {
        mailbox: Option<&'static str>,
        key: Option<u8>,
        wait: Option<i64>,
    },
    Claim(Wish),
    /// Some ends of claims, written together. Any of them may come too late, or a second time.
    Settle(Vec<(Ticket, End)>),
    /// A crash and a new start.
    Recover,
    Purge {
        age: i64,
        limit: usize,
    },
    Cancel {
        id: i64,
    },
    Retry {
        id: i64,
    },
    /// The operator puts a mailbox on hold, or releases it.
    Hold {
        mailbox: &'static str,
        on: bool,
    },
    Mischief {
        id: i64,
        what: Mischief,
    },
}

/// What another program may write into the queue, right or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    Subject,
    Mailbox,
    Transaction,
    Delete,
    Replace,
    ReplaceByKey,
    StateSent,
    StateClaimed,
    StatePending,
    FewerClaims,
    MoreClaims,
    ClearDoubt,
    /// `StatePending` as scripts do it that make everything as it was before.
    Unstick,
    /// A claimed job is failed by hand, its doubt taken along.
    StateFailed,
    /// A claimed job is given an event by hand.
    SentByHand,
    /// A job that has ended goes back to pending, its doubt taken along.
    RetryWithoutDoubt,
    Renumber,
    /// `StatePending` as one should, if one must: in doubt and with a time.
    Release,
}

const MISCHIEF: [Mischief; 18] = [
    Mischief::Subject,
    Mischief::Mailbox,
    Mischief::Transaction,
    Mischief::Delete,
    Mischief::Replace,
    Mischief::ReplaceByKey,
    Mischief::StateSent,
    Mischief::StateClaimed,
    Mischief::StatePending,
    Mischief::FewerClaims,
    Mischief::MoreClaims,
    Mischief::ClearDoubt,
    Mischief::Unstick,
    Mischief::StateFailed,
    Mischief::SentByHand,
    Mischief::RetryWithoutDoubt,
    Mischief::Renumber,
    Mischief::Release,
];

/// The lanes of the rows.
const MAILBOXES: [&str; 3] = ["ann@contoso.com", "bob@contoso.com", TEAM];

/// What should come of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The database refuses it.
    Refused,
    /// So many rows.
    Rows(u64),
    Claimed(Vec<Taken>, Option<i64>),
    /// Which of the ends took hold.
    Settled(Vec<bool>),
}

/// The rows, and what should have come of the last step.
#[derive(Clone, Debug)]
pub struct Expected {
    pub rows: Rows,
    pub effect: Effect,
}

pub struct Steps;

impl ReferenceStateMachine for Steps {
    type State = Expected;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Expected> {
        Just(Expected { rows: Rows::default(), effect: Effect::Rows(0) }).boxed()
    }

    fn transitions(state: &Expected) -> BoxedStrategy<Step> {
        let rows = &state.rows;
        let clock = prop_oneof![4 => 1i64..4, 1 => -5i64..0].prop_map(|seconds| Step::Clock { by: seconds * 1000 });
        let always = prop_oneof![
            3 => produce(),
            2 => clock,
            5 => wish().prop_map(Step::Claim),
            1 => Just(Step::Recover),
            2 => (select(&MAILBOXES[..]), any::<bool>()).prop_map(|(mailbox, on)| Step::Hold { mailbox, on }),
            1 => (-1..10_000i64, prop_oneof![1 => 1usize..5, 2 => Just(100)]).prop_map(|(age, limit)| Step::Purge { age, limit }),
        ];
        if rows.jobs.is_empty() {
            return always.boxed();
        }
        let mischief = select(&MISCHIEF[..]);
        let on_a_row = prop_oneof![
            1 => among(rows, |_| true).prop_map(|id| Step::Cancel { id }),
            2 => among(rows, Row::ended).prop_map(|id| Step::Retry { id }),
            4 => (among(rows, |_| true), mischief.clone()).prop_map(|(id, what)| Step::Mischief { id, what }),
            4 => (among(rows, |row| row.in_doubt || row.state == JobState::Claimed), mischief)
                .prop_map(|(id, what)| Step::Mischief { id, what }),
        ];
        if rows.tickets.is_empty() {
            return prop_oneof![12 => always, 5 => on_a_row].boxed();
        }
        let open = open(rows);
        let made = select(rows.tickets.clone());
        let too_late = settle(made.clone().boxed());
        if open.is_empty() {
            return prop_oneof![12 => always, 5 => on_a_row, 1 => too_late].boxed();
        }
        let mostly_open = prop_oneof![4 => select(open), 1 => made];
        prop_oneof![12 => always, 5 => on_a_row, 12 => settle(mostly_open.boxed())].boxed()
    }

    fn preconditions(state: &Expected, step: &Step) -> bool {
        let rows = &state.rows;
        match step {
            Step::Purge { limit, .. } => *limit > rows.jobs.len() || !rows.equally_old(),
            _ => true,
        }
    }

    fn apply(state: Expected, step: &Step) -> Expected {
        let mut rows = state.rows;
        let effect = match step {
            Step::Clock { by } => {
                rows.clock(*by);
                Effect::Rows(0)
            }
            Step::Produce { mailbox, key, wait } => match rows.insert(*mailbox, *key, *wait) {
                true => Effect::Rows(1),
                false => Effect::Refused,
            },
            Step::Claim(wish) => {
                let (taken, next_due) = rows.claim(wish);
                Effect::Claimed(taken, next_due)
            }
            Step::Settle(ends) => Effect::Settled(ends.iter().map(|(ticket, end)| rows.settle(*ticket, end)).collect()),
            Step::Recover => Effect::Rows(rows.recover()),
            Step::Purge { age, limit } => Effect::Rows(rows.purge(rows.now - age, *limit)),
            Step::Cancel { id } => on_row(&mut rows, *id, cancel),
            Step::Retry { id } => on_row(&mut rows, *id, retry),
            Step::Hold { mailbox, on: true } => {
                rows.held.insert(mailbox.to_lowercase());
                Effect::Rows(1)
            }
            Step::Hold { mailbox, on: false } => Effect::Rows(u64::from(rows.held.remove(&mailbox.to_lowercase()))),
            Step::Mischief { id, what: Mischief::Delete } => delete(&mut rows, *id),
            Step::Mischief { id, what } => on_row(&mut rows, *id, |row, later, now| wrong(row, later, now, *what)),
        };
        Expected { rows, effect }
    }
}

fn produce() -> impl Strategy<Value = Step> {
    let mailbox =
        select(&[None, Some("ann@contoso.com"), Some("Bob@contoso.com"), Some("BOB@contoso.com"), Some(TEAM)][..]);
    let key = prop::option::weighted(0.3, 0..6u8);
    let wait = prop::option::weighted(0.3, -3000..8000i64);
    (mailbox, key, wait).prop_map(|(mailbox, key, wait)| Step::Produce { mailbox, key, wait })
}

fn wish() -> impl Strategy<Value = Wish> {
    let free = (select(&MAILBOXES[..]), 0usize..3);
    let limit = prop_oneof![1 => 0usize..4, 3 => Just(100)];
    let per_lane = prop_oneof![1 => 1usize..4, 1 => Just(100)];
    (limit, per_lane, prop::option::weighted(0.4, free)).prop_map(|(limit, per_lane, free)| Wish {
        limit,
        per_lane,
        free,
    })
}

/// A row of this kind; any, if there is none.
fn among(rows: &Rows, wanted: fn(&Row) -> bool) -> impl Strategy<Value = i64> + use<> {
    let some: Vec<i64> = rows.jobs.iter().filter(|(_, row)| wanted(row)).map(|(id, _)| *id).collect();
    select(if some.is_empty() { rows.jobs.keys().copied().collect() } else { some })
}

/// The claims that are not over.
fn open(rows: &Rows) -> Vec<Ticket> {
    let is_open = |ticket: &&Ticket| {
        let row = rows.jobs.get(&ticket.id);
        row.is_some_and(|row| row.state == JobState::Claimed && row.claims == ticket.claim)
    };
    rows.tickets.iter().filter(is_open).copied().collect()
}

fn settle(ticket: BoxedStrategy<Ticket>) -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        2 => Just(End::Sent),
        3 => (0..6000i64, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(wait, spent, in_doubt, left)| End::Again { wait, spent, in_doubt, left: left || in_doubt }),
        2 => (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(spent, in_doubt, left, never)| {
            End::Failed { spent, in_doubt, left: left || in_doubt, never_left: never && !left && !in_doubt }
        }),
    ];
    // An agent ends a claim once; a second time it comes with another batch.
    prop::collection::vec((ticket, end), 1..4).prop_map(|mut ends| {
        let mut ended = Vec::new();
        ends.retain(|(ticket, _)| {
            !ended.contains(ticket) && {
                ended.push(*ticket);
                true
            }
        });
        Step::Settle(ends)
    })
}

/// Given the row, the time an operator writes as due, and now.
fn on_row(rows: &mut Rows, id: i64, change: impl FnOnce(&mut Row, i64, i64) -> Effect) -> Effect {
    let (later, now) = (rows.later(1000, id), rows.now);
    rows.jobs.get_mut(&id).map_or(Effect::Rows(0), |row| change(row, later, now))
}

fn cancel(row: &mut Row, _: i64, now: i64) -> Effect {
    if matches!(row.state, JobState::Claimed | JobState::Sent) {
        return Effect::Refused;
    }
    row.state = JobState::Cancelled;
    row.finished_at = Some(now);
    Effect::Rows(1)
}

fn retry(row: &mut Row, later: i64, _: i64) -> Effect {
    if !matches!(row.state, JobState::Failed | JobState::Cancelled) {
        return Effect::Rows(0);
    }
    row.state = JobState::Pending;
    row.finished_at = None;
    row.attempts = 0;
    row.empty();
    row.due = later.max(row.not_before.unwrap_or(later));
    Effect::Rows(1)
}

fn delete(rows: &mut Rows, id: i64) -> Effect {
    match rows.jobs.get(&id) {
        None => Effect::Rows(0),
        Some(row) if row.state == JobState::Claimed || row.in_doubt => Effect::Refused,
        Some(_) => {
            rows.jobs.remove(&id);
            Effect::Rows(1)
        }
    }
}

fn wrong(row: &mut Row, later: i64, now: i64, what: Mischief) -> Effect {
    // The same value again is not a change.
    let changes = match what {
        Mischief::Subject => row.subject != "second",
        Mischief::Mailbox => row.mailbox.as_deref() != Some(EVE),
        Mischief::Transaction => !row.other_transaction,
        _ => false,
    };
    match what {
        _ if changes && row.fixed() => return Effect::Refused,
        Mischief::Subject => row.subject = "second",
        Mischief::Mailbox => {
            if let (true, Filled::In { mailbox }) = (changes, &mut row.filled) {
                *mailbox = false;
            }
            row.mailbox = Some(EVE.into());
        }
        Mischief::Transaction => row.other_transaction = true,
        // No row has this key: it is an insert like any other, and its own affair.
        Mischief::ReplaceByKey if row.key.is_none() => return Effect::Rows(0),
        Mischief::Delete | Mischief::Replace | Mischief::ReplaceByKey | Mischief::FewerClaims | Mischief::Renumber => {
            return Effect::Refused;
        }
        Mischief::MoreClaims if row.state == JobState::Claimed => return Effect::Refused,
        Mischief::MoreClaims => row.claims += 1,
        Mischief::Unstick | Mischief::StateFailed | Mischief::SentByHand | Mischief::Release
            if row.state != JobState::Claimed =>
        {
            return Effect::Rows(0);
        }
        Mischief::Unstick => {
            row.taken_away(JobState::Pending);
            row.put(later);
            row.attempts = 0;
        }
        Mischief::StateFailed => {
            row.taken_away(JobState::Failed);
            row.finished_at = Some(now);
        }
        // The agent alone has heard of an event.
        Mischief::SentByHand => return Effect::Refused,
        Mischief::RetryWithoutDoubt => match row.in_doubt && row.ended() && row.state != JobState::Sent {
            true => return Effect::Refused,
            false => return retry(row, later, now),
        },
        // Only from claimed, and then nothing tells it from the agent's own hand but the event, which is missing.
        Mischief::StateSent if row.state != JobState::Sent => return Effect::Refused,
        Mischief::StateClaimed if row.state != JobState::Claimed => return Effect::Refused,
        // The database cannot tell a stranger from the agent, but it can doubt.
        Mischief::StatePending if row.state == JobState::Claimed => row.taken_away(JobState::Pending),
        Mischief::StatePending if row.state != JobState::Pending => return Effect::Refused,
        Mischief::StateSent | Mischief::StateClaimed | Mischief::StatePending => {}
        Mischief::ClearDoubt if row.in_doubt && (!row.ended() || row.settled != row.claims) => return Effect::Refused,
        Mischief::ClearDoubt => row.in_doubt = false,
        Mischief::Release => {
            row.taken_away(JobState::Pending);
            row.put(later);
        }
    }
    Effect::Rows(1)
}
