//! What the worker did since the start and how it stands, in numbers, for whoever watches it from beside: a progress
//! bar, the monitor. Feeding them costs an addition each; only what happens rarely (all sending pauses, the queue is in
//! trouble) takes a lock. Knows nothing of how they are shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::histogram::Histogram;
use crate::job::{Ending, ErrorKind, GateReason};
use crate::queue::{GateNote, QueueError, Settled, Settlement, Verdict};

const KINDS: usize = ErrorKind::ALL.len();

/// A number that others may read at any time.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

/// Trouble with the queue that has not passed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: DateTime<Utc>,
    /// In the queue's words.
    pub why: String,
}

/// The numbers.
#[derive(Debug, Default)]
pub struct Measures {
    /// Attempts by ending and kind of failure; the last place is of those without one.
    attempts: [[Count; KINDS + 1]; Ending::ALL.len()],
    /// Jobs sent.
    pub sent: Count,
    /// Jobs failed for good.
    pub failed: Count,
    /// Those of them of which an event may exist.
    pub failed_in_doubt: Count,
    /// Results that could not be recorded because the row was no longer as it was claimed.
    pub unrecorded: Count,
    /// How long create requests took, from the wait for a connection to the whole answer.
    pub creates: Histogram,
    /// How long lookups took.
    pub lookups: Histogram,
    /// How long after a job was due its attempt began.
    pub pickup: Histogram,
    /// Attempts under way.
    pub in_flight: Count,
    /// `delivery.max_in_flight`.
    pub max_in_flight: Count,
    /// Jobs claimed and waiting for a slot.
    pub claimed_ahead: Count,
    /// Results waiting to be written.
    pub unsettled: Count,
    /// Mailboxes at rest.
    pub paused_mailboxes: Count,
    /// Claims that were answered.
    pub claims: Count,
    /// Jobs they took.
    pub claimed: Count,
    /// Questions to the queue that were not answered.
    pub queue_errors: Count,
    /// Transactions that wrote results, and how long they took, waiting for the lock included.
    pub settles: Histogram,
    /// Results they wrote.
    pub settled: Count,
    /// Such transactions that failed and were repeated, and results that a rule of the table refused.
    pub settle_failures: Count,
    /// Lines of the log that nobody took in time.
    pub log_lines_dropped: Count,
    gate: Mutex<Option<GateNote>>,
    queue_trouble: Mutex<Option<Trouble>>,
    settle_trouble: Mutex<Option<Trouble>>,
    start: Start,
    /// When the loop turned last, in milliseconds after the start.
    turned_ms: AtomicU64,
}

/// When the numbers began.
#[derive(Debug)]
struct Start(Instant);

impl Default for Start {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Measures {
    /// Jobs that reached an end.
    pub fn ended(&self) -> u64 {
        self.sent.get() + self.failed.get()
    }

    /// Attempts that ended so, having met that.
    pub fn attempts(&self, ending: Ending, kind: Option<ErrorKind>) -> u64 {
        self.attempts[ending as usize][place(kind)].get()
    }

    /// Why nothing at all is sent, if that is so.
    pub fn gate(&self) -> Option<GateNote> {
        locked(&self.gate).clone()
    }

    /// Why jobs cannot be claimed, if that is so.
    pub fn queue_trouble(&self) -> Option<Trouble> {
        locked(&self.queue_trouble).clone()
    }

    /// Why results cannot be recorded, if that is so.
    pub fn settle_trouble(&self) -> Option<Trouble> {
        locked(&self.settle_trouble).clone()
    }

    /// How long the loop has not turned.
    pub fn still_for(&self, now: Instant) -> Duration {
        let turned = Duration::from_millis(self.turned_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.start.0).saturating_sub(turned)
    }

    pub(super) fn turned(&self, now: Instant, claimed_ahead: usize, unsettled: usize) {
        let after = now.saturating_duration_since(self.start.0).as_millis();
        self.turned_ms.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.claimed_ahead.set(claimed_ahead);
        self.unsettled.set(unsettled);
    }

    /// An attempt began of a job that was due then.
    pub(super) fn began(&self, due: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        // Who has no due time that could be read was due whenever; a clock set back makes no time negative.
        if let Some(due) = due {
            self.pickup.observe((now - due).to_std().unwrap_or_default());
        }
    }

    /// A result was taken to the queue.
    pub(super) fn ended_as(&self, settlement: &Settlement, settled: Settled) {
        if settled != Settled::Recorded {
            self.unrecorded.add(1);
            return;
        }
        match settlement.verdict {
            Verdict::Sent(_) => self.sent.add(1),
            Verdict::Failed => {
                self.failed.add(1);
                self.failed_in_doubt.add(usize::from(settlement.in_doubt));
            }
            Verdict::Again(_) | Verdict::Anew(_) => {}
        }
        if let Some(attempt) = &settlement.attempt {
            self.attempts[attempt.ending as usize][place(settlement.kind)].add(1);
        }
    }

    /// All sending pauses. Tells how that stands, since its beginning.
    pub(super) fn shut(&self, hold: &GateReason, now: DateTime<Utc>, until: DateTime<Utc>) -> GateNote {
        let mut gate = locked(&self.gate);
        let since = gate.as_ref().map_or(now, |shut| shut.since);
        let (kind, code, hint) = (hold.kind(), hold.code.clone(), hold.hint.clone());
        gate.insert(GateNote { since, until, kind, code, hint }).clone()
    }

    /// It goes on.
    pub(super) fn reopened(&self) {
        *locked(&self.gate) = None;
    }

    /// The queue could not be asked.
    pub(super) fn queue_fails(&self, error: &QueueError, now: DateTime<Utc>) {
        self.queue_errors.add(1);
        begin(&self.queue_trouble, error, now);
    }

    /// It could be asked again.
    pub(super) fn queue_works(&self) {
        *locked(&self.queue_trouble) = None;
    }

    /// Results could not be written.
    pub(super) fn settling_fails(&self, error: &QueueError, now: DateTime<Utc>) {
        self.settle_failures.add(1);
        begin(&self.settle_trouble, error, now);
    }

    /// They were written after all.
    pub(super) fn settling_works(&self) {
        *locked(&self.settle_trouble) = None;
    }
}

/// Trouble keeps its beginning, and the words of its latest.
fn begin(trouble: &Mutex<Option<Trouble>>, error: &QueueError, now: DateTime<Utc>) {
    let mut trouble = locked(trouble);
    let since = trouble.as_ref().map_or(now, |trouble| trouble.since);
    *trouble = Some(Trouble { since, why: error.to_string() });
}

fn place(kind: Option<ErrorKind>) -> usize {
    kind.map_or(KINDS, |kind| kind as usize)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "measures_tests.rs"]
mod tests;
