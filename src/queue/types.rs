//! What every side of the queue speaks of: lanes and pauses.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::job::ErrorKind;

/// A mailbox's key among the lanes: its name in lower case, empty for the signed-in user's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey(Arc<str>);

impl LaneKey {
    /// Trims white space and lowercases ASCII letters, exactly as `mailbox_key` in the table does: both agree which rows share a
    /// lane.
    pub fn of(mailbox: &str) -> Self {
        let name = mailbox.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
        let end = name.char_indices().nth(320).map_or(name.len(), |(end, _)| end);
        Self(name.get(..end).unwrap_or(name).to_ascii_lowercase().into())
    }

    /// The lanes of a mailbox: its own, and that of the rows that name none, if they go to it (`unnamed`).
    pub fn all_of(mailbox: &str, unnamed: Option<&str>) -> Vec<Self> {
        let lane = Self::of(mailbox);
        let is_unnamed = unnamed.is_some_and(|name| Self::of(name) == lane);
        std::iter::once(lane).chain(is_unnamed.then(|| Self::of(""))).collect()
    }

    /// The key as stored in `mailboxes.mailbox`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How the sentence begins that a reason has in it where a pause is not as long as Microsoft asked for, but as long as any is
/// obeyed.
pub(super) const CAPPED: &str = "Microsoft asked to wait ";

/// That sentence of a reason, if it has it. What a server said stands behind the agent's own words, and says nothing here.
pub fn capped(reason: &str) -> Option<&str> {
    let own = reason.split_once(" Graph said: ").map_or(reason, |(own, _)| own);
    own.find(CAPPED).map(|begin| own[begin..].trim_end())
}

/// A pause to be kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub lane: LaneKey,
    pub until: DateTime<Utc>,
    pub reason: String,
    /// Why, as a kind.
    pub kind: Option<ErrorKind>,
    pub pauses_in_a_row: u32,
    /// Until when Microsoft itself asked for it.
    pub asked_until: Option<DateTime<Utc>>,
}
