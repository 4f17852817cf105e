//! The reckoning after a run: every job of the queue against every event of the sandbox. A job is either `sent`, and
//! then exactly one event bears its transaction id and the same EventID stands on both sides; or it is an explained
//! failure without an event. Everything else is a complaint. It does not know what happened in between.

use std::collections::BTreeMap;
use std::path::Path;

use event_sender::sandbox::StoredEvent;
use sqlx::FromRow;

use crate::bed::producer;

/// What must become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sent,
    /// A failure of this kind, and no event.
    Failed(&'static str),
    /// The event is there, but no answer and no lookup can say so: a failure that says so.
    OpenDoubt(&'static str),
}

/// What of a job the reckoning goes by.
#[derive(Clone, Debug, FromRow)]
pub struct Entry {
    subject: Option<String>,
    state: String,
    event_id: Option<String>,
    in_doubt: i64,
    transaction_id: String,
    error_kind: Option<String>,
    error_message: Option<String>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub jobs: usize,
    pub sent: usize,
    pub failed: usize,
    /// Jobs that should have an event and have none, or whose event is not the recorded one.
    pub lost: usize,
    /// Events too many.
    pub doubled: usize,
    /// Failures that say an event may exist. Honest, but work for a person.
    pub in_doubt: usize,
    pub complaints: Vec<String>,
}

impl Ledger {
    /// `end`: what must become of the job with this subject.
    pub async fn of(queue: &Path, events: Vec<StoredEvent>, end: impl Fn(&str) -> End) -> Self {
        let mut reader = producer(queue).await;
        let entries: Vec<Entry> = sqlx::query_as(
            "SELECT CAST(subject AS TEXT) AS subject, state, event_id, in_doubt, transaction_id, error_kind,
                error_message FROM jobs ORDER BY id",
        )
        .fetch_all(&mut reader)
        .await
        .unwrap();
        Self::reckoned(entries, events, end)
    }

    /// The same of jobs that were read elsewhere.
    pub fn reckoned(entries: Vec<Entry>, events: Vec<StoredEvent>, end: impl Fn(&str) -> End) -> Self {
        let mut created: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events {
            created.entry(event.transaction_id.unwrap_or_default()).or_default().push(event.id);
        }
        let mut ledger = Self { jobs: entries.len(), ..Self::default() };
        for entry in entries {
            let events = created.remove(&entry.transaction_id).unwrap_or_default();
            ledger.enter(&entry, &events, end(entry.subject.as_deref().unwrap_or_default()));
        }
        ledger.doubled += created.values().map(Vec::len).sum::<usize>();
        if !created.is_empty() {
            ledger.complaints.push(format!("events of no job: {created:?}"));
        }
        ledger
    }

    fn enter(&mut self, entry: &Entry, events: &[String], end: End) {
        self.sent += usize::from(entry.state == "sent");
        self.failed += usize::from(entry.state == "failed");
        self.in_doubt += usize::from(entry.in_doubt == 1);
        self.doubled += events.len().saturating_sub(1);
        let explained = entry.error_kind.is_some() && entry.error_message.as_ref().is_some_and(|said| !said.is_empty());
        let says_so = entry.error_message.as_ref().is_some_and(|said| said.contains("may exist"));
        let kind = entry.error_kind.as_deref();
        let right = match (entry.state.as_str(), end) {
            ("sent", End::Sent) => events == entry.event_id.as_slice() && entry.in_doubt == 0 && kind.is_none(),
            // A process that died with the row claimed leaves a doubt that a refusal does not remove: then it is said.
            ("failed", End::Failed(wanted)) => {
                events.is_empty() && kind == Some(wanted) && explained && says_so == (entry.in_doubt == 1)
            }
            ("failed", End::OpenDoubt(wanted)) => {
                events.len() == 1 && kind == Some(wanted) && entry.in_doubt == 1 && says_so
            }
            _ => false,
        };
        if !right {
            self.lost += usize::from(events.len() <= 1);
            self.complaints.push(format!("must be {end:?}: {entry:?}, events {events:?}"));
        }
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.jobs += other.jobs;
        self.sent += other.sent;
        self.failed += other.failed;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.in_doubt += other.in_doubt;
        self.complaints.extend(other.complaints);
    }

    /// Fails the test if anything is not as it must be.
    pub fn assert_balanced(&self) {
        assert!(self.complaints.is_empty() && self.lost == 0 && self.doubled == 0, "{self:#?}");
    }
}
