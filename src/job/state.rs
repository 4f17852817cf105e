//! The states of a job: who enters each, who leaves it, and what a crash does to it.

/// `jobs.state`.
///
/// ```text
/// insert -> pending -> claimed -> sent
///            ^  |         |-----> failed --> pending (operator: retry)
///            |  |         |          '-----> cancelled (operator)
///            |  '-----> cancelled (operator, a later delete)
///            '------------'
///            retry, snooze, crash
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobState {
    /// Waiting for its time, its mailbox or its turn. Entered by insert, by a failed attempt that may be repeated,
    /// and by the recovery after a crash; left by the claim, or cancelled by the operator
    /// or a later delete.
    Pending,
    /// In the hands of the agent; a request may be under way. Left by settling. After a crash the next start, or another
    /// agent, puts it back to pending, in doubt.
    Claimed,
    /// The event exists and `event_id` is its id. Final.
    Sent,
    /// Given up, with the reason in the `error_*` columns. Left only by the operator's retry.
    Failed,
    /// By the operator, or by a later delete of the same event. Left only by the operator's retry.
    Cancelled,
}

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [JobState; 5] =
        [JobState::Pending, JobState::Claimed, JobState::Sent, JobState::Failed, JobState::Cancelled];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Pending => "pending",
            JobState::Claimed => "claimed",
            JobState::Sent => "sent",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    /// The stored word, back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
