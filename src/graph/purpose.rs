//! What a request is for: the same answer means one thing to a create and another to a read.

use crate::job::OperationKind;

/// What a request is for, where the meaning of an answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Create,
    /// To change an event.
    Change,
    /// To cancel or delete an event.
    End,
    /// To see an event that is to be changed.
    Look,
    /// To know something; nothing comes of it.
    Read,
}

impl Purpose {
    /// The request names an event, which may be gone.
    pub(super) fn is_of_an_event(self) -> bool {
        matches!(self, Purpose::Change | Purpose::End | Purpose::Look)
    }

    /// What may have come of the request where its answer does not tell, put behind what happened; nothing of a question.
    pub(super) fn doubt(self) -> String {
        let operation = match self {
            Purpose::Create => OperationKind::Create,
            Purpose::Change => OperationKind::Update,
            Purpose::End => OperationKind::Delete,
            Purpose::Look | Purpose::Read => return String::new(),
        };
        format!("; {}", operation.doubt())
    }
}
