//! The mailboxes and their events. Creating and changing are atomic under the mailbox's shard, so a repeat either sees the
//! first event or comes before it, and a change is made of the version it was judged by. `transactionId` is compared
//! within one mailbox; whether Exchange narrows that to one calendar is unknown. Equal content means equal JSON as it was
//! received, whatever the order of its properties. Nothing is thrown away: a deleted event stays, to be accounted for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{SecondsFormat, Utc};

use super::lanes::shard_of;
use super::mails::{Mail, MailKind, Mailing, Moment, Tally};
use super::marker::Marker;
use super::route::Call;
use super::stored::{Event, EventState, NewEvent, StoredEvent};
use super::writers::{Basis, Writer, Writers};
use crate::sandbox::guarded::Guarded;
use crate::sandbox::refusal::Refusal;

const SHARDS: usize = 32;

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
    writers: Writers,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Mailbox {
    events: Vec<Arc<Event>>,
    /// How many of them are in a calendar.
    present: u64,
    by_transaction: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
    by_marker: HashMap<(String, String), Vec<usize>>,
}

impl Store {
    pub(in crate::sandbox) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Guarded::default()).collect();
        Self { order: AtomicU64::new(0), shards, writers: Writers::default(), tally: Tally::default() }
    }

    /// Creates an event as its organizer, which invites its attendees.
    pub(super) fn insert(&self, new_event: NewEvent) -> Inserted {
        let mut shard = self.shard(&new_event.mailbox).lock();
        let mailbox = shard.entry(new_event.mailbox.clone()).or_default();
        if let Some(first) = mailbox.same_transaction(&new_event) {
            let same = first.stored.received == new_event.received;
            return if same { Inserted::Repeated(first) } else { Inserted::Conflict(first) };
        }
        let moment = self.moment();
        let mut event = Event::new(new_event, &moment);
        event.mailings.extend(Mailing::to_all(MailKind::Invitation, &event.draft, &moment, None));
        self.tally.add(&event.mailings);
        let event = Arc::new(event);
        mailbox.add(Arc::clone(&event));
        Inserted::Created(event)
    }

    /// Puts an event there that did not come over Graph; nobody is invited.
    pub(super) fn place(&self, new_event: NewEvent, finish: impl FnOnce(&mut Event)) -> Arc<Event> {
        let mut shard = self.shard(&new_event.mailbox).lock();
        let mailbox = shard.entry(new_event.mailbox.clone()).or_default();
        let mut event = Event::new(new_event, &self.moment());
        finish(&mut event);
        let event = Arc::new(event);
        mailbox.add(Arc::clone(&event));
        event
    }

    /// What a call that changes an event finds as it arrives, and its place among the changes under way.
    pub(in crate::sandbox) fn begin_change(&self, mailbox: &str, call: &Call) -> Option<(Basis, Option<Writer>)> {
        let id = call.changes()?;
        let Some(event) = self.by_id(mailbox, id) else {
            return Some((Basis { change_key: None, contended: false }, None));
        };
        let (contended, writer) = self.writers.enter(&event.ids.immutable);
        Some((Basis { change_key: Some(event.ids.change_key.clone()), contended }, Some(writer)))
    }

    /// The subject of an event, which tells it from others to whoever watches.
    pub(in crate::sandbox) fn subject_of(&self, mailbox: &str, id: &str) -> Option<String> {
        Some(self.by_id(mailbox, id)?.property("subject")?.as_str()?.to_owned())
    }

    /// Replaces an event by what `change` makes of it; a refusal leaves it as it is.
    pub(super) fn change(
        &self,
        mailbox: &str,
        id: &str,
        change: impl FnOnce(&Event, &Moment) -> Result<Event, Refusal>,
    ) -> Option<Result<Arc<Event>, Refusal>> {
        let mut shard = self.shard(mailbox).lock();
        let mailbox = shard.get_mut(mailbox)?;
        let at = mailbox.place_of(id)?;
        let before = mailbox.events[at].mailings.len();
        Some(change(&mailbox.events[at], &self.moment()).map(|mut event| {
            event.ids.turn();
            self.tally.add(&event.mailings[before..]);
            mailbox.replace(at, Arc::new(event))
        }))
    }

    /// Event ids are case-sensitive; both forms of an id are understood. A deleted event has no id any more.
    pub(super) fn by_id(&self, mailbox: &str, id: &str) -> Option<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        let mailbox = shard.get(mailbox)?;
        mailbox.place_of(id).map(|at| Arc::clone(&mailbox.events[at]))
    }

    pub(super) fn by_marker(&self, mailbox: &str, marker: Marker) -> Vec<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        let Some(mailbox) = shard.get(mailbox) else {
            return Vec::new();
        };
        let places = mailbox.by_marker.get(&(marker.id, marker.value));
        let events = places.into_iter().flatten().map(|at| &mailbox.events[*at]);
        events.filter(|event| event.is_listed()).cloned().collect()
    }

    /// The events that a listing shows: single ones and series, but no occurrences, and nothing in Deleted Items.
    pub(super) fn listed(&self, mailbox: &str) -> Vec<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        let events = shard.get(mailbox).map(|mailbox| mailbox.events.iter());
        events.into_iter().flatten().filter(|event| event.is_listed()).cloned().collect()
    }

    /// The occurrences of a series that have been asked for so far.
    pub(super) fn occurrences_of(&self, mailbox: &str, series: &Event) -> Vec<Arc<Event>> {
        let shard = self.shard(mailbox).lock();
        let events = shard.get(mailbox).map(|mailbox| mailbox.events.iter());
        let is_of = |event: &&Arc<Event>| event.series.as_deref() == Some(series.ids.immutable.as_str());
        events.into_iter().flatten().filter(is_of).cloned().collect()
    }

    /// Every event there has been, in the order of creation.
    pub(in crate::sandbox) fn events(&self) -> Vec<StoredEvent> {
        self.all().iter().map(|event| event.stored.clone()).collect()
    }

    /// Every mail, in the order they went out.
    pub(in crate::sandbox) fn mails(&self) -> Vec<Mail> {
        mails(&self.all())
    }

    /// The mails about the event with this id, in either form, whatever became of it.
    pub(in crate::sandbox) fn mails_of(&self, id: &str) -> Vec<Mail> {
        let mut events = self.all();
        events.retain(|event| event.ids.regular == id || event.ids.immutable == id);
        mails(&events)
    }

    /// How many mails of this kind went out.
    pub(in crate::sandbox) fn mailed(&self, kind: MailKind) -> u64 {
        self.tally.of(kind)
    }

    /// Events that are in a calendar.
    pub(in crate::sandbox) fn count(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().values().map(|mailbox| mailbox.present).sum::<u64>()).sum()
    }

    pub(in crate::sandbox) fn clear(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
        self.tally.clear();
    }

    fn all(&self) -> Vec<Arc<Event>> {
        let mut all: Vec<Arc<Event>> = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().values().flat_map(|mailbox| mailbox.events.iter().cloned()));
        }
        all.sort_by_key(|event| event.order);
        all
    }

    fn moment(&self) -> Moment {
        let order = self.order.fetch_add(1, Ordering::Relaxed);
        Moment { order, at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true) }
    }

    fn shard(&self, mailbox: &str) -> &Guarded<HashMap<String, Mailbox>> {
        &self.shards[shard_of(mailbox, self.shards.len())]
    }
}

impl Mailbox {
    /// A deleted event no longer stands in the way of its `transactionId`: a repeat makes another one.
    fn same_transaction(&self, new_event: &NewEvent) -> Option<Arc<Event>> {
        let wanted = new_event.draft.transaction_id.as_ref().filter(|_| new_event.deduplicate)?;
        let event = &self.events[*self.by_transaction.get(wanted)?];
        (event.stored.state != EventState::Deleted).then(|| Arc::clone(event))
    }

    fn place_of(&self, id: &str) -> Option<usize> {
        let at = *self.by_id.get(id)?;
        (self.events[at].stored.state != EventState::Deleted).then_some(at)
    }

    fn add(&mut self, event: Arc<Event>) {
        let at = self.events.len();
        self.by_id.insert(event.ids.regular.clone(), at);
        self.by_id.insert(event.ids.immutable.clone(), at);
        if let Some(transaction) = &event.stored.transaction_id {
            self.by_transaction.insert(transaction.clone(), at);
        }
        self.mark(&event, at);
        self.present += u64::from(event.is_present());
        self.events.push(event);
    }

    fn replace(&mut self, at: usize, event: Arc<Event>) -> Arc<Event> {
        let before = std::mem::replace(&mut self.events[at], Arc::clone(&event));
        for Marker { id, value } in before.draft.markers.iter().cloned() {
            self.by_marker.entry((id, value)).or_default().retain(|other| *other != at);
        }
        self.mark(&event, at);
        self.present -= u64::from(before.is_present());
        self.present += u64::from(event.is_present());
        event
    }

    fn mark(&mut self, event: &Event, at: usize) {
        for Marker { id, value } in event.draft.markers.iter().cloned() {
            self.by_marker.entry((id, value)).or_default().push(at);
        }
    }
}

fn mails(events: &[Arc<Event>]) -> Vec<Mail> {
    let mut mailings: Vec<(&StoredEvent, &Mailing)> = Vec::new();
    for event in events {
        mailings.extend(event.mailings.iter().map(|mailing| (&event.stored, mailing)));
    }
    mailings.sort_by_key(|(_, mailing)| mailing.moment.order);
    mailings.into_iter().flat_map(|(event, mailing)| event.mails(mailing)).collect()
}
