//! What a request is for: the same answer means one thing to a create and another to a read.

/// What a request is for, where the meaning of an answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Create,
    /// To know something; nothing comes of it.
    Read,
}
