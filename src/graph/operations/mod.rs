//! What a job asks for, as Graph takes it: a request, with the same bytes on every attempt, and the evidence by which its
//! effect is found when the answer was lost. One file per operation; the client knows none of them. `look` reads an event that
//! is to be changed, `join_block` keeps an online meeting's link.

mod create;
mod delete;
mod join_block;
mod look;
mod update;

pub(super) use create::whose;
pub(super) use update::BODY;

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::address::GraphBase;
use super::purpose::Purpose;
use super::reply::Reply;
use crate::job::{
    CallResult, Cancellation, EventChange, EventId, EventRef, EventTarget, InvalidJob, Operation, Outcome, Snapshot,
    Undraftable, Verified,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Post,
    Patch,
    Delete,
}

/// A job's request.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) purpose: Purpose,
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) body: Option<Bytes>,
    /// Only this version of the event is to be changed.
    pub(super) if_match: Option<String>,
    of: Of,
}

/// Whose event a success must tell of.
#[derive(Clone, Debug)]
enum Of {
    Created(Identity),
    /// `told`: its id as the lookup before was answered, which may be another form of the one it is named by.
    Changed {
        target: EventTarget,
        told: EventId,
    },
    Ended(EventId),
}

/// What proves that a request has taken effect.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// An event of the calendar with this identity. None stands for the default: the user that signed in, the mailbox's own
    /// calendar.
    Marker { mailbox: Option<String>, calendar: Option<String>, identity: Identity },
    /// The event as the change makes it.
    Changed(EventTarget, Box<EventChange>),
    /// The event's absence.
    Ended(EventTarget),
}

/// By what an event is told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The job's transaction id, which is the marker's value, too.
    pub(super) transaction_id: String,
    pub(super) subject: Option<String>,
}

/// An operation made ready.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub evidence: Evidence,
    making: Making,
}

/// How its request comes about.
#[derive(Clone, Debug)]
enum Making {
    /// It is the same whatever there is.
    Ready {
        request: Box<Request>,
        recipients: u32,
        ends_at: Option<DateTime<Utc>>,
        is_online: bool,
    },
    /// From what was seen of the event, which the evidence names.
    Change(GraphBase),
    End(GraphBase, Cancellation),
}

impl Prepared {
    /// The event must be seen before each request.
    pub fn looks_first(&self) -> bool {
        !matches!(self.making, Making::Ready { .. })
    }

    /// The request: of a create always the same, else from what was seen of the event.
    ///
    /// # Errors
    /// The event must not be changed so.
    pub fn request(&self, seen: Option<&Snapshot>) -> Result<Cow<'_, Request>, Undraftable> {
        let unseen =
            || Undraftable::Invalid(InvalidJob::new("operation", "cannot be carried out unseen; try it again"));
        match (&self.making, &self.evidence) {
            (Making::Ready { request, .. }, _) => Ok(Cow::Borrowed(request)),
            (Making::Change(base), Evidence::Changed(target, change)) => {
                Ok(Cow::Owned(update::request(base, target, change, seen.ok_or_else(unseen)?)?))
            }
            (Making::End(base, end), Evidence::Ended(target)) => {
                Ok(Cow::Owned(delete::request(base, target, end, seen.ok_or_else(unseen)?)?))
            }
            (Making::Change(_) | Making::End(..), _) => Err(unseen()),
        }
    }

    /// How many it mails. Of an event that was not seen only what the row says.
    pub fn recipients(&self, seen: Option<&Snapshot>) -> u32 {
        let mailed = match (&self.making, &self.evidence, seen) {
            (Making::Ready { recipients, .. }, ..) => return *recipients,
            (_, Evidence::Changed(_, change), Some(seen)) => update::recipients(change, seen),
            (_, Evidence::Changed(_, change), None) => change.attendees.as_ref().map_or(0, Vec::len),
            (_, _, Some(seen)) => seen.attendees.len(),
            (_, _, None) => 0,
        };
        u32::try_from(mailed).unwrap_or(u32::MAX)
    }

    /// When its event is over, as far as that can be known.
    pub fn ends_at(&self, seen: Option<&Snapshot>) -> Option<DateTime<Utc>> {
        match (&self.making, &self.evidence) {
            (Making::Ready { ends_at, .. }, _) => *ends_at,
            (_, Evidence::Changed(_, change)) => seen.and_then(|seen| change.ends_at(seen)),
            _ => seen.and_then(|seen| seen.ends_at),
        }
    }

    /// Its event is to be a meeting that is joined online.
    pub fn wants_join_url(&self) -> bool {
        match (&self.making, &self.evidence) {
            (Making::Ready { is_online, .. }, _) => *is_online,
            (_, Evidence::Changed(_, change)) => is_online(&change.extra),
            _ => false,
        }
    }

    /// Whose calendar it is about; none is the signed-in user's own.
    pub fn mailbox(&self) -> Option<&str> {
        match &self.evidence {
            Evidence::Marker { mailbox, .. } => mailbox.as_deref(),
            Evidence::Changed(target, _) | Evidence::Ended(target) => target.mailbox.as_deref(),
        }
    }
}

fn is_online(extra: &serde_json::Map<String, Value>) -> bool {
    extra.get("isOnlineMeeting") == Some(&Value::Bool(true))
}

impl Evidence {
    /// What of the event is to be read beside what every change depends on.
    pub(super) fn asks_for(&self) -> Vec<&'static str> {
        match self {
            Evidence::Changed(_, change) => update::asks_for(change),
            Evidence::Ended(_) | Evidence::Marker { .. } => Vec::new(),
        }
    }

    /// What an event that was read shows.
    pub(super) fn of(&self, event: &Value, damaged: CallResult) -> Verified {
        match self {
            Evidence::Changed(target, change) => update::verdict(event, target, change, damaged),
            Evidence::Ended(target) => delete::verdict(event, target, damaged),
            Evidence::Marker { .. } => damaged.into(),
        }
    }

    /// What it means that the event could not be read.
    pub(super) fn without(&self, result: CallResult) -> Verified {
        match self {
            Evidence::Ended(target) => delete::unseen(target, result),
            Evidence::Changed(..) | Evidence::Marker { .. } => result.into(),
        }
    }
}

/// Why a success is not believed.
pub(super) enum Doubt {
    AnotherEvent,
    NoEvent,
}

/// Whose event one in an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// This job's, by its marker.
    Marked,
    /// This job's, by its transaction id.
    Same,
    /// Its marker or id is another one, which differs in capital letters only.
    Likeness,
    /// Another's, or it does not say whose.
    Another,
}

/// Encodes the operation.
///
/// # Errors
/// The request would be larger than Graph allows.
pub(super) fn prepare(base: &GraphBase, operation: Operation) -> Result<Prepared, Undraftable> {
    match operation {
        Operation::Create(draft) => Ok(create::prepare(base, draft)?),
        Operation::Update(target, change) => {
            Ok(Prepared { evidence: Evidence::Changed(target, Box::new(change)), making: Making::Change(base.clone()) })
        }
        Operation::Delete(target, end) => {
            Ok(Prepared { evidence: Evidence::Ended(target), making: Making::End(base.clone(), end) })
        }
    }
}

impl Request {
    /// Why a success that this answer reports is not believed; none if it is.
    pub(super) fn doubts(&self, reply: &Reply) -> Option<Doubt> {
        match &self.of {
            Of::Created(identity) => create::doubts(identity, reply),
            Of::Changed { target, told } => update::doubts(target, told, reply),
            Of::Ended(_) => None,
        }
    }

    /// The event of a success: a change and an end are of the event that was named, whatever the answer calls it.
    pub(super) fn done(&self, reply: &Reply, judged: &Outcome) -> Option<EventRef> {
        match (&self.of, judged) {
            (Of::Ended(event_id), _) => delete::ended(event_id, reply, judged),
            (Of::Changed { target, .. }, Outcome::Done(event)) => {
                Some(EventRef { id: target.event_id.clone(), ..event.clone() })
            }
            (Of::Created(_), Outcome::Done(event)) => Some(event.clone()),
            (Of::Created(_) | Of::Changed { .. }, _) => None,
        }
    }
}

impl Identity {
    pub(super) fn of(&self, event: &Value) -> Whose {
        create::whose(event, &self.transaction_id)
    }

    /// Whether the event has the subject that was sent.
    pub(super) fn has_subject(&self, event: &Value) -> bool {
        event["subject"].as_str().unwrap_or_default() == self.subject.as_deref().unwrap_or_default()
    }
}

impl Doubt {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Doubt::AnotherEvent => "another_event",
            Doubt::NoEvent => "unproven",
        }
    }

    pub(super) fn words(&self) -> &'static str {
        match self {
            Doubt::AnotherEvent => "the answer tells of another event than the request did",
            Doubt::NoEvent => "the answer does not say which event it tells of",
        }
    }
}
