//! From a row to a change of an event that is there: what is NULL stays as it is.

use serde_json::{Map, Value};

use super::{Attendee, Body, EventTarget};

/// A change of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventChange {
    pub target: EventTarget,
    /// The job's transaction id, stamped on the event as its revision.
    pub revision: String,
    /// Each of these: none leaves as it is, an empty text clears.
    pub subject: Option<String>,
    pub body: Option<Body>,
    pub location: Option<String>,
    /// All who are invited from now on.
    pub attendees: Option<Vec<Attendee>>,
    pub extra: Map<String, Value>,
}

/// The end of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    pub target: EventTarget,
    /// The job's transaction id.
    pub transaction_id: String,
    /// What attendees are told.
    pub comment: Option<String>,
}
