//! What a job asks of Graph. `graph::operations` makes a request of it, and the evidence by which its effect is found.

use super::{
    CallResult, Cancellation, Cause, EventChange, EventDraft, EventRef, InvalidJob, JobInput, Snapshot, Target,
};

/// `jobs.operation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OperationKind {
    #[default]
    Create,
    Update,
    Delete,
}

impl OperationKind {
    /// In the order of an event's life.
    pub const ALL: [OperationKind; 3] = [OperationKind::Create, OperationKind::Update, OperationKind::Delete];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationKind::Create => "create",
            OperationKind::Update => "update",
            OperationKind::Delete => "delete",
        }
    }

    /// The stored word, back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One variant for each word of `jobs.operation`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    Create(EventDraft),
    Update(EventChange),
    Delete(Cancellation),
}

/// Why a row can become no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undraftable {
    /// The row itself is at fault.
    Invalid(InvalidJob),
    /// The event it means is not there, or must not be changed so: the cause, and what it means in words.
    Refused(Cause, String),
}

impl From<InvalidJob> for Undraftable {
    fn from(invalid: InvalidJob) -> Self {
        Self::Invalid(invalid)
    }
}

impl Operation {
    /// What the row asks for, with its defaults filled in. `target` is what the queue knows of the event that it means.
    ///
    /// # Errors
    /// The row can become no request.
    pub fn from_input(input: &JobInput, target: &Target, own_mailbox: bool) -> Result<Self, Undraftable> {
        let _ = target;
        Ok(Self::Create(EventDraft::from_input(input, own_mailbox)?))
    }
}

/// What a look for an operation's evidence found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The operation has taken effect.
    Done(EventRef),
    /// No trace of it. Soon after the request this is no proof (graph-facts 2.4).
    Absent,
    /// The event is there as told, and the change is not made: it may be.
    Open(Box<Snapshot>),
    /// The look itself met something else: classified like any other call. Of an event that is not there or not to be changed it
    /// is [`super::Outcome::NoTarget`].
    Unknown(Box<CallResult>),
}

impl From<CallResult> for Verified {
    fn from(result: CallResult) -> Self {
        Self::Unknown(Box::new(result))
    }
}
