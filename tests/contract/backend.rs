//! What the suite needs to know of a kind of queue.

use event_sender::queue::Queue;

/// A queue of its own for one test, and another program beside it.
pub trait Backend: Sized {
    type Queue: Queue;

    /// An empty queue.
    async fn fresh() -> Self;

    /// As the agent has it.
    fn queue(&self) -> &Self::Queue;

    /// Opened once more, as an operator's command has it.
    async fn beside(&self) -> Self::Queue;

    /// One statement of another program, and how many rows it changed; or why the queue refuses it.
    async fn sql(&self, statement: &str) -> Result<u64, String>;
}
