//! The SQLite queue: the only folder with SQL. `open` makes or checks the database, `agent` has the agent's verbs (`claim`,
//! `settle`, `recover`), `produce` inserts, `report` reads for people and the monitor, `operate` has the operator's verbs. `clock`
//! is what the queue's times are kept by, `files` knows what lies on the disk.

mod agent;
mod agents;
mod claim;
mod clock;
pub mod files;
mod open;
mod operate;
mod produce;
mod recover;
mod report;
mod row;
mod schema;
mod settle;
mod store;
mod write_pacer;

pub use open::OpenError;
pub use operate::holds::Hold;
pub use operate::jobs::{Changed, Chosen, PURGE_BATCH, Purgeable, REPAIR_BATCH, Selection, rest_after};
pub use produce::{InsertError, Insertion, NewJob};
pub use report::ages::{AGE_COUNT, AGE_LIMITS, Waiting, WaitingReport};
pub use report::census::{Census, Room};
pub use report::health::{Health, Integrity, Rest, WaitingMailbox};
pub use report::jobs::{ListFilter, Record};
pub use report::overview::{Ended, StatusReport};
pub use schema::{Mended, Rule, Rules};

pub use store::SqliteQueue;

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
