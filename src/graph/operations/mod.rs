//! What a job asks for, as Graph takes it: a request, with the same bytes on every attempt, and the evidence by which its
//! effect is found when the answer was lost. One file per operation; the client knows none of them.

mod create;

use bytes::Bytes;
use serde_json::Value;

use super::address::GraphBase;
use super::purpose::Purpose;
use super::reply::Reply;
use crate::job::{InvalidJob, Operation, Undraftable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Post,
}

/// A job's request.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) purpose: Purpose,
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) body: Bytes,
    /// Whose event a success must tell of.
    identity: Identity,
}

/// What proves that a request has taken effect.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// An event of the calendar with this identity. None stands for the default: the user that signed in, the mailbox's own
    /// calendar.
    Marker { mailbox: Option<String>, calendar: Option<String>, identity: Identity },
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
    pub request: Request,
    pub evidence: Evidence,
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
        Operation::Update(_) | Operation::Delete(_) => {
            Err(InvalidJob::new("operation", "cannot be carried out yet").into())
        }
    }
}

impl Request {
    /// Why a success that this answer reports is not believed; none if it is.
    pub(super) fn doubts(&self, reply: &Reply) -> Option<Doubt> {
        match self.purpose {
            Purpose::Create => create::doubts(&self.identity, reply),
            Purpose::Read => None,
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
            Doubt::AnotherEvent => "the answer tells of another event than the one that was sent",
            Doubt::NoEvent => "the answer does not say which event it tells of",
        }
    }
}
