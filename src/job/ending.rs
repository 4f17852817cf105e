//! How an attempt ended: the words of `attempts.outcome`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Sent,
    /// To be repeated, and counted.
    Retry,
    /// To be repeated, and not counted.
    Snoozed,
    /// Cut off by the end of the agent.
    Interrupted,
    Failed,
}

impl Ending {
    /// In the order of their declaration.
    pub const ALL: [Ending; 5] = [Ending::Sent, Ending::Retry, Ending::Snoozed, Ending::Interrupted, Ending::Failed];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Sent => "sent",
            Ending::Retry => "retry",
            Ending::Snoozed => "snoozed",
            Ending::Interrupted => "interrupted",
            Ending::Failed => "failed",
        }
    }
}
