//! The mailboxes and their events. Creating is atomic under the mailbox's shard, so a repeat either sees the first event
//! or comes before it. `transactionId` is compared within one mailbox; whether Exchange narrows that to one calendar is
//! unknown. Equal content means equal JSON as it was received, whatever the order of its properties.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::Draft;
use super::event_id::EventIds;
use super::lanes::shard_of;
use super::marker::Marker;
use crate::sandbox::guarded::Guarded;

const SHARDS: usize = 32;

/// An event in a mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// The mailbox, lower case.
    pub mailbox: String,
    /// The calendar it was posted to; none for the default one.
    pub calendar_id: Option<String>,
    /// The id given in the answer that created it.
    pub id: String,
    /// Its `transactionId`, if one was sent.
    pub transaction_id: Option<String>,
    /// The body exactly as received.
    pub received: Value,
    /// UTC, RFC 3339 with milliseconds.
    pub created_at: String,
}

/// What is kept of an event.
#[derive(Debug)]
pub(super) struct Event {
    order: u64,
    pub(super) stored: StoredEvent,
    pub(super) draft: Draft,
    pub(super) ids: EventIds,
}

#[derive(Debug)]
pub(super) struct NewEvent {
    pub(super) mailbox: String,
    pub(super) calendar_id: Option<String>,
    pub(super) draft: Draft,
    pub(super) received: Value,
    /// The client wants immutable ids.
    pub(super) immutable: bool,
    /// `transactionId` is honoured.
    pub(super) deduplicate: bool,
}

#[derive(Debug)]
pub(super) enum Inserted {
    Created(Arc<Event>),
    /// The same event under the same `transactionId` was there already.
    Repeated(Arc<Event>),
    /// Another event has this `transactionId`.
    Conflict(Arc<Event>),
}

#[derive(Debug)]
pub(in crate::sandbox) struct Store {
    order: AtomicU64,
    shards: Vec<Guarded<HashMap<String, Mailbox>>>,
}

#[derive(Debug, Default)]
struct Mailbox {
    events: Vec<Arc<Event>>,
    by_transaction: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
    by_marker: HashMap<(String, String), Vec<usize>>,
}

impl Store {
    pub(in crate::sandbox) fn new() -> Self {
        Self { order: AtomicU64::new(0), shards: (0..SHARDS).map(|_| Guarded::default()).collect() }
    }

    pub(super) fn insert(&self, new_event: NewEvent) -> Inserted {
        let mut shard = self.shard(&new_event.mailbox).lock();
        let mailbox = shard.entry(new_event.mailbox.clone()).or_default();
        if let Some(first) = mailbox.same_transaction(&new_event) {
            let same = first.stored.received == new_event.received;
            return if same { Inserted::Repeated(first) } else { Inserted::Conflict(first) };
        }
        let order = self.order.fetch_add(1, Ordering::Relaxed);
        let event = Arc::new(Event::new(new_event, order));
        mailbox.add(Arc::clone(&event));
        Inserted::Created(event)
    }

    /// Event ids are case-sensitive; both forms of an id are understood.
    pub(super) fn by_id(&self, mailbox: &str, id: &str) -> Option<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        let mailbox = shard.get(mailbox)?;
        mailbox.by_id.get(id).map(|at| Arc::clone(&mailbox.events[*at]))
    }

    pub(super) fn by_marker(&self, mailbox: &str, marker: Marker) -> Vec<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        let Some(mailbox) = shard.get(mailbox) else {
            return Vec::new();
        };
        let places = mailbox.by_marker.get(&(marker.id, marker.value));
        places.into_iter().flatten().map(|at| Arc::clone(&mailbox.events[*at])).collect()
    }

    pub(super) fn all_of(&self, mailbox: &str) -> Vec<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        shard.get(mailbox).map(|mailbox| mailbox.events.clone()).unwrap_or_default()
    }

    /// Every event, in the order of creation.
    pub(in crate::sandbox) fn events(&self) -> Vec<StoredEvent> {
        let mut all: Vec<Arc<Event>> = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().values().flat_map(|mailbox| mailbox.events.iter().cloned()));
        }
        all.sort_by_key(|event| event.order);
        all.iter().map(|event| event.stored.clone()).collect()
    }

    pub(in crate::sandbox) fn count(&self) -> u64 {
        let of_shard = |shard: &Guarded<HashMap<String, Mailbox>>| -> u64 {
            shard.lock().values().map(|mailbox| mailbox.events.len() as u64).sum()
        };
        self.shards.iter().map(of_shard).sum()
    }

    pub(in crate::sandbox) fn clear(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
    }

    fn shard(&self, mailbox: &str) -> &Guarded<HashMap<String, Mailbox>> {
        &self.shards[shard_of(mailbox, self.shards.len())]
    }
}

impl Event {
    fn new(new_event: NewEvent, order: u64) -> Self {
        let ids = EventIds::new(&new_event.mailbox);
        let stored = StoredEvent {
            mailbox: new_event.mailbox,
            calendar_id: new_event.calendar_id,
            id: ids.form(new_event.immutable).to_owned(),
            transaction_id: new_event.draft.transaction_id.clone(),
            received: new_event.received,
            created_at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        };
        Self { order, stored, draft: new_event.draft, ids }
    }
}

impl Mailbox {
    fn same_transaction(&self, new_event: &NewEvent) -> Option<Arc<Event>> {
        let wanted = new_event.draft.transaction_id.as_ref().filter(|_| new_event.deduplicate)?;
        let at = self.by_transaction.get(wanted)?;
        Some(Arc::clone(&self.events[*at]))
    }

    fn add(&mut self, event: Arc<Event>) {
        let at = self.events.len();
        self.by_id.insert(event.ids.regular.clone(), at);
        self.by_id.insert(event.ids.immutable.clone(), at);
        if let Some(transaction) = &event.stored.transaction_id {
            self.by_transaction.insert(transaction.clone(), at);
        }
        for Marker { id, value } in event.draft.markers.iter().cloned() {
            self.by_marker.entry((id, value)).or_default().push(at);
        }
        self.events.push(event);
    }
}
