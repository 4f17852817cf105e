//! What a job asks of Graph. `graph::operations` makes a request of it, and the evidence by which its effect is found.

use super::{CallResult, EventDraft, EventId, InvalidJob, JobInput};

/// One variant for each word of `jobs.operation`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    Create(EventDraft),
}

impl Operation {
    /// What the row asks for.
    ///
    /// # Errors
    /// The row can become no request; names the column.
    pub fn from_input(input: &JobInput, own_mailbox: bool) -> Result<Self, InvalidJob> {
        EventDraft::from_input(input, own_mailbox).map(Self::Create)
    }
}

/// What a look for an operation's evidence found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The operation has taken effect.
    Exists(EventId),
    /// No trace of it. Soon after the request this is no proof (graph-facts 2.4).
    Absent,
    /// The look itself met something else: classified like any other call.
    Unknown(CallResult),
}
