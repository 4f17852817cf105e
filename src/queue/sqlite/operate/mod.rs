//! What an operator may do to the queue beside a running agent. Each verb is a short write of its own, large ones in batches.

pub mod holds;
pub mod jobs;
pub mod restored;
pub mod resume;
