//! The protocol, twice: as a model small enough to be walked through state by state (`protocol`), and as the same
//! transitions thrown at random at the real SQLite queue (`queue`). The first shows that the rules are right, the second
//! that the database keeps them, whoever writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod change;
mod lease;
mod protocol;
mod queue;
mod walk;
