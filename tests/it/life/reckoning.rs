//! The reckoning of whole lives: every row of a key, in order, says what its event must be in the end and whom it has mailed;
//! the sandbox says what the event is and who was mailed. It does not know what happened in between.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use event_sender::sandbox::{EventState, Mail, MailKind, StoredEvent};
use serde_json::Value;
use sqlx::FromRow;

use crate::bed::producer;

/// What of a job the reckoning goes by.
#[derive(Clone, Debug, FromRow)]
pub struct Entry {
    id: i64,
    operation: String,
    event_key: String,
    state: String,
    subject: Option<String>,
    attendees: String,
    body: Option<String>,
    event_id: Option<String>,
    in_doubt: i64,
    error_kind: Option<String>,
    error_message: Option<String>,
    transaction_id: String,
}

/// Mails to one attendee of one event: invitations, updates, cancellations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mailed([usize; 3]);

/// An event as its rows say it must be.
#[derive(Debug)]
struct Life {
    transaction_id: String,
    event_id: String,
    subject: String,
    attendees: BTreeSet<String>,
    is_there: bool,
    mailed: BTreeMap<String, Mailed>,
}

/// What was done, and what is not as it must be.
#[derive(Debug, Default)]
pub struct Account {
    pub rows: usize,
    pub sent: BTreeMap<String, usize>,
    pub superseded: usize,
    pub failed: usize,
    pub events: usize,
    pub mails: [usize; 3],
    pub complaints: Vec<String>,
}

impl Account {
    pub async fn of(queue: &Path, events: Vec<StoredEvent>, mails: Vec<Mail>) -> Self {
        let mut reader = producer(queue).await;
        let entries: Vec<Entry> = sqlx::query_as(
            "SELECT id, operation, event_key, state, subject, attendees, body, event_id, in_doubt, error_kind, error_message,
                transaction_id FROM jobs ORDER BY event_key, id",
        )
        .fetch_all(&mut reader)
        .await
        .unwrap();
        Self::reckoned(&entries, events, mails)
    }

    /// The same of jobs that were read elsewhere, in order of their keys and ids.
    pub fn reckoned(entries: &[Entry], events: Vec<StoredEvent>, mails: Vec<Mail>) -> Self {
        let mut account = Self { rows: entries.len(), ..Self::default() };
        let mut lives = Vec::new();
        for entries in entries.chunk_by(|one, other| one.event_key == other.event_key) {
            account.live(entries, &mut lives);
        }
        account.compare(&lives, &events, &mails);
        account
    }

    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        for (operation, jobs) in other.sent {
            *self.sent.entry(operation).or_default() += jobs;
        }
        self.superseded += other.superseded;
        self.failed += other.failed;
        self.events += other.events;
        for (mine, theirs) in self.mails.iter_mut().zip(other.mails) {
            *mine += theirs;
        }
        self.complaints.extend(other.complaints);
    }

    /// The rows of one key, played in order.
    fn live(&mut self, entries: &[Entry], lives: &mut Vec<Life>) {
        let first = lives.len();
        for entry in entries {
            let life = lives[first..].last_mut().filter(|life| life.is_there);
            let right = match (entry.operation.as_str(), entry.state.as_str()) {
                ("create", "sent") => {
                    let right = life.is_none();
                    lives.push(Life::begun(entry));
                    right
                }
                ("update", "sent") => life.is_some_and(|life| life.change(entry)),
                ("delete", "sent") => life.is_none_or(|life| life.end(entry)),
                // Cancelled by a later delete before anything had left.
                (_, "cancelled") => entry.error_kind.as_deref() == Some("superseded"),
                // There was no event of this key, or no longer.
                ("update" | "delete", "failed") => entry.error_kind.as_deref() == Some("target") && life.is_none(),
                _ => false,
            };
            match entry.state.as_str() {
                "sent" => *self.sent.entry(entry.operation.clone()).or_default() += 1,
                "cancelled" => self.superseded += 1,
                _ => self.failed += 1,
            }
            if !right || entry.in_doubt == 1 {
                let (id, said) = (entry.id, entry.error_message.as_deref());
                self.complaints.push(format!("not as it must be: job {id}, {said:?}: {entry:?}"));
            }
        }
    }

    fn compare(&mut self, lives: &[Life], events: &[StoredEvent], mails: &[Mail]) {
        self.events = events.len();
        let mut by_transaction: BTreeMap<&str, Vec<&StoredEvent>> = BTreeMap::new();
        for event in events {
            by_transaction.entry(event.transaction_id.as_deref().unwrap_or_default()).or_default().push(event);
        }
        let mut mailed: BTreeMap<&str, BTreeMap<String, Mailed>> = BTreeMap::new();
        for mail in mails {
            let kind = place(mail.kind);
            self.mails[kind] += 1;
            let attendee = mailed.entry(&mail.event_id).or_default().entry(mail.attendee.clone()).or_default();
            attendee.0[kind] += 1;
        }
        for life in lives {
            let made = by_transaction.remove(life.transaction_id.as_str()).unwrap_or_default();
            let [event] = made.as_slice() else {
                self.complaints.push(format!("{} events of {life:?}", made.len()));
                continue;
            };
            let got = mailed.remove(event.id.as_str()).unwrap_or_default();
            if let Some(complaint) = life.complaint(event, &got) {
                self.complaints.push(complaint);
            }
        }
        if !by_transaction.is_empty() || !mailed.is_empty() {
            self.complaints.push(format!("events and mails of no job: {by_transaction:?} {mailed:?}"));
        }
    }
}

impl Life {
    fn begun(entry: &Entry) -> Self {
        let mut life = Self {
            transaction_id: entry.transaction_id.clone(),
            event_id: entry.event_id.clone().unwrap_or_default(),
            subject: entry.subject.clone().unwrap_or_default(),
            attendees: BTreeSet::new(),
            is_there: true,
            mailed: BTreeMap::new(),
        };
        life.invite(addresses(&entry.attendees));
        life
    }

    /// Tells whether the row means this event.
    fn change(&mut self, entry: &Entry) -> bool {
        let wanted = (entry.attendees != "[]").then(|| addresses(&entry.attendees));
        let attendees_alone = entry.subject.is_none() && entry.body.is_none();
        if let Some(wanted) = &wanted {
            let gone: Vec<String> = self.attendees.difference(wanted).cloned().collect();
            gone.iter().for_each(|attendee| self.mail(attendee, MailKind::Cancellation));
            self.attendees.retain(|attendee| wanted.contains(attendee));
        }
        if !attendees_alone {
            self.subject = entry.subject.clone().unwrap_or_else(|| self.subject.clone());
            self.attendees.clone().iter().for_each(|attendee| self.mail(attendee, MailKind::Update));
        }
        self.invite(wanted.unwrap_or_default());
        entry.event_id.as_ref() == Some(&self.event_id)
    }

    fn end(&mut self, entry: &Entry) -> bool {
        self.is_there = false;
        self.attendees.clone().iter().for_each(|attendee| self.mail(attendee, MailKind::Cancellation));
        entry.event_id.as_ref() == Some(&self.event_id)
    }

    fn invite(&mut self, wanted: BTreeSet<String>) {
        for attendee in wanted {
            if self.attendees.insert(attendee.clone()) {
                self.mail(&attendee, MailKind::Invitation);
            }
        }
    }

    fn mail(&mut self, attendee: &str, kind: MailKind) {
        self.mailed.entry(attendee.to_owned()).or_default().0[place(kind)] += 1;
    }

    fn complaint(&self, event: &StoredEvent, got: &BTreeMap<String, Mailed>) -> Option<String> {
        let is = event.changed.as_ref().unwrap_or(&event.received);
        let attendees = is["attendees"].as_array().map(Vec::as_slice).unwrap_or_default();
        let attendees: BTreeSet<String> = attendees.iter().map(address).collect();
        let same = event.id == self.event_id
            && (event.state == EventState::Present) == self.is_there
            && is["subject"] == self.subject.as_str()
            && attendees == self.attendees
            && *got == self.mailed;
        (!same).then(|| format!("must be {self:?}: is {event:?}, mailed {got:?}"))
    }
}

fn place(kind: MailKind) -> usize {
    match kind {
        MailKind::Invitation => 0,
        MailKind::Update => 1,
        MailKind::Cancellation => 2,
    }
}

fn addresses(written: &str) -> BTreeSet<String> {
    let written: Vec<Value> = serde_json::from_str(written).unwrap();
    written.iter().map(|attendee| attendee["address"].as_str().unwrap().to_lowercase()).collect()
}

fn address(attendee: &Value) -> String {
    attendee["emailAddress"]["address"].as_str().unwrap_or_default().to_lowercase()
}
