//! The event that an `update` or a `delete` means: as the queue's rows know it, and as a request names it.

use super::{EventId, JobId, JobState};

/// What the queue knows of the event that a job means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Nothing was looked up: the job creates its own, names it by its id, or is judged by its row alone.
    #[default]
    NotAsked,
    /// No job creates an event of this key.
    Unknown,
    /// The last job before this one that creates the event of its key.
    Created(Box<Created>),
}

/// A job that creates the event of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub job: JobId,
    pub state: JobState,
    /// An event may exist that no answer has confirmed.
    pub in_doubt: bool,
    pub event_id: Option<EventId>,
    pub mailbox: Option<String>,
    pub calendar_id: Option<String>,
    /// The value of its event's marker.
    pub transaction_id: String,
}

/// An event as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTarget {
    /// Whose calendar; none is the signed-in user's own (`/me`).
    pub mailbox: Option<String>,
    /// Which calendar, where the row names one; none is any.
    pub calendar_id: Option<String>,
    pub event_id: EventId,
    /// The marker it must bear; none of an event that somebody named by its id.
    pub marker: Option<String>,
}
