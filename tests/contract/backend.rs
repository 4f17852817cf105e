//! What the suite needs to know of a kind of queue.

use event_sender::queue::Queue;

/// A queue of its own for one test, and another program beside it.
pub trait Backend: Sized {
    type Queue: Queue;

    /// What such a queue finds of itself here that it should not find elsewhere.
    const FLAWS: &'static [&'static str];

    /// An empty queue.
    async fn fresh() -> Self;

    /// As the agent has it.
    fn queue(&self) -> &Self::Queue;

    /// Opened once more, as an operator's command has it.
    async fn beside(&self) -> Self::Queue;

    /// No agent is alive any more, and none has handed anything over.
    async fn no_agent(&self);

    /// One statement of another program, and how many rows it changed; or why the queue refuses it.
    async fn sql(&self, statement: &str) -> Result<u64, String>;
}
