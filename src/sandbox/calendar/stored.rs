//! An event as it is kept: what was received, what became of it, and what only the server knows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::Draft;
use super::event_id::EventIds;
use super::mails::{Mail, Mailing, Moment};
use super::online;

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
    pub state: EventState,
    /// The properties after the last change; none while it is as received.
    pub changed: Option<Value>,
    /// Changes carried out.
    pub changes: u32,
}

/// Where an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// In its calendar.
    #[default]
    Present,
    /// Cancelled, and moved to Deleted Items.
    Cancelled,
    Deleted,
}

impl StoredEvent {
    /// The mails of one mailing, as an account shows them.
    pub(super) fn mails(&self, mailing: &Mailing) -> Vec<Mail> {
        let mail = |attendee: &String| Mail {
            event_id: self.id.clone(),
            transaction_id: self.transaction_id.clone(),
            mailbox: self.mailbox.clone(),
            attendee: attendee.clone(),
            kind: mailing.kind,
            at: mailing.moment.at.clone(),
            comment: mailing.comment.clone(),
        };
        mailing.attendees.iter().map(mail).collect()
    }
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

/// What is kept of an event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) order: u64,
    pub(super) stored: StoredEvent,
    pub(super) draft: Draft,
    pub(super) ids: EventIds,
    pub(super) modified_at: String,
    /// The link of an online meeting.
    pub(super) join_url: Option<String>,
    /// Somebody else; none where it is the mailbox.
    pub(super) organizer: Option<String>,
    /// The series it is an occurrence of, by its immutable id.
    pub(super) series: Option<String>,
    pub(super) mailings: Vec<Mailing>,
}

impl Event {
    pub(super) fn new(new_event: NewEvent, moment: &Moment) -> Self {
        let ids = EventIds::new(&new_event.mailbox);
        let stored = StoredEvent {
            mailbox: new_event.mailbox,
            calendar_id: new_event.calendar_id,
            id: ids.form(new_event.immutable).to_owned(),
            transaction_id: new_event.draft.transaction_id.clone(),
            received: new_event.received,
            created_at: moment.at.clone(),
            state: EventState::Present,
            changed: None,
            changes: 0,
        };
        let mut event = Self {
            order: moment.order,
            stored,
            draft: new_event.draft,
            ids,
            modified_at: moment.at.clone(),
            join_url: None,
            organizer: None,
            series: None,
            mailings: Vec::new(),
        };
        event.go_online();
        event
    }

    /// Gives a meeting that is to be online its link.
    pub(super) fn go_online(&mut self) {
        let wanted = self.join_url.is_none() && self.properties().is_some_and(online::is_wanted);
        if wanted {
            self.join_url = Some(online::new_join_url());
        }
    }

    /// What it is now, in the words it was sent with.
    pub(super) fn properties(&self) -> Option<&Map<String, Value>> {
        self.stored.changed.as_ref().unwrap_or(&self.stored.received).as_object()
    }

    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.properties()?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn is_present(&self) -> bool {
        self.stored.state == EventState::Present
    }

    pub(super) fn is_listed(&self) -> bool {
        self.is_present() && self.series.is_none()
    }

    pub(super) fn is_series(&self) -> bool {
        self.property("recurrence").is_some()
    }
}
