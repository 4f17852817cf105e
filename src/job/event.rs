//! Events as Graph knows them: what a job gets back of its event, and what a change must know of one before it is made.

use chrono::{DateTime, Utc};

use super::{AttendeeType, EventId};

/// What Graph gave back of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRef {
    pub id: EventId,
    /// Where a person opens it (`webLink`).
    pub web_link: Option<String>,
    /// Its id in everybody's calendar (`iCalUId`).
    pub ical_uid: Option<String>,
    /// Where an online meeting is joined.
    pub join_url: Option<String>,
    /// What a lookup saw of it, where there was one.
    pub seen: Option<Seen>,
}

/// What a lookup saw of an event that is as its job wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many are invited.
    pub guests: u32,
    /// When it ends; of a series none.
    pub ends_at: Option<DateTime<Utc>>,
}

impl From<EventId> for EventRef {
    fn from(id: EventId) -> Self {
        Self { id, web_link: None, ical_uid: None, join_url: None, seen: None }
    }
}

/// What an event is among those of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Single,
    /// The series as a whole.
    SeriesMaster,
    /// One of its instances, changed by itself or not.
    Instance,
}

/// An event as a lookup found it, as far as a change depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id as Graph told it: perhaps another form of the one it was asked for by.
    pub event: EventRef,
    /// Its version: `@odata.etag`.
    pub etag: Option<String>,
    pub kind: EventType,
    pub is_all_day: bool,
    /// Its body as stored, with its type; none if it was not asked for.
    pub body: Option<super::Body>,
    /// It is a meeting that is joined online.
    pub is_online: bool,
    /// Who is invited: the address in lower case.
    pub attendees: Vec<(String, AttendeeType)>,
    /// When it ends; of a series none.
    pub ends_at: Option<DateTime<Utc>>,
    pub created_at: Option<DateTime<Utc>>,
}
