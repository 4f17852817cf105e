//! What a job asks of Graph. `graph::operations` makes a request of it, and the evidence by which its effect is found.

use super::target::{self, Meant};
use super::{
    CallResult, Cancellation, Cause, EventChange, EventDraft, EventRef, EventTarget, InvalidJob, JobInput, Snapshot,
    Target, draft,
};
use crate::characters;

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

    /// What may have come of a request whose answer does not tell.
    pub fn doubt(self) -> &'static str {
        match self {
            OperationKind::Create => "the event may have been created",
            OperationKind::Update => "the change may have been made",
            OperationKind::Delete => "the event may be gone",
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
    Update(EventTarget, EventChange),
    Delete(EventTarget, Cancellation),
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
        // The row's own faults first: they are there whatever becomes of the event.
        match Judged::of(input, own_mailbox)? {
            Judged::Create(draft) => target::check_key_is_free(target).map(|()| Self::Create(draft)),
            Judged::Update(meant, change) => Ok(Self::Update(meant.found(target)?, change)),
            Judged::Delete(meant, end) => Ok(Self::Delete(meant.found(target)?, end)),
        }
    }

    /// Judges a row by itself, with its defaults filled in, and tells what it asks for.
    ///
    /// # Errors
    /// The first fault found, naming the column and the cure.
    pub fn judge(input: &JobInput, own_mailbox: bool) -> Result<OperationKind, InvalidJob> {
        Ok(match Judged::of(input, own_mailbox)? {
            Judged::Create(_) => OperationKind::Create,
            Judged::Update(..) => OperationKind::Update,
            Judged::Delete(..) => OperationKind::Delete,
        })
    }
}

/// A row without a fault of its own, before it is known what became of the event that it means.
enum Judged {
    Create(EventDraft),
    Update(Meant, EventChange),
    Delete(Meant, Cancellation),
}

impl Judged {
    fn of(input: &JobInput, own_mailbox: bool) -> Result<Self, InvalidJob> {
        let word = input.operation.required("operation")?;
        let kind = OperationKind::parse(word).ok_or_else(|| {
            let word = characters::quoted(word);
            InvalidJob::new("operation", format!("{word} is not an operation; write 'create', 'update' or 'delete'"))
        })?;
        let meant = || {
            draft::check_waits(input)?;
            Meant::of(input, kind, own_mailbox)
        };
        match kind {
            OperationKind::Create => {
                target::check_create(input)?;
                Ok(Self::Create(EventDraft::from_input(input, own_mailbox)?))
            }
            OperationKind::Update => Ok(Self::Update(meant()?, EventChange::from_input(input)?)),
            OperationKind::Delete => Ok(Self::Delete(meant()?, Cancellation::from_input(input)?)),
        }
    }
}

/// What a lookup of an operation's evidence found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The operation has taken effect.
    Done(EventRef),
    /// No trace of it. Soon after the request this proves nothing (graph-facts 2.4).
    Absent,
    /// The event is there as told, and the change is not made: it may be.
    Open(Box<Snapshot>),
    /// The lookup itself met something else: classified like any other call. Of an event that is not there or not to be changed it
    /// is [`super::Outcome::NoTarget`].
    Unknown(Box<CallResult>),
}

impl From<CallResult> for Verified {
    fn from(result: CallResult) -> Self {
        Self::Unknown(Box::new(result))
    }
}
