//! What people, programs and the monitor read of the queue. Nothing here writes.

pub mod ages;
pub mod census;
pub mod health;
pub mod jobs;
pub mod overview;
