//! The SQLite queue. `open` makes or checks the database, `agent` has the agent's verbs (`claim`,
//! `settle`, `recover`), `produce` inserts, `report` reads for people and the monitor, `operate` has the operator's verbs. `clock`
//! is what the queue's times are kept by, `files` knows what lies on the disk.

mod agent;
mod agents;
mod batch;
mod claim;
mod clock;
mod errors;
pub mod files;
mod fragments;
mod moving;
mod open;
mod operate;
mod produce;
mod recover;
mod report;
mod row;
mod schema;
mod settle;
mod start;
mod store;
mod text;
mod transaction;
mod upgrade;
mod write_pacer;

pub use files::permissions::Permissions;
pub use moving::{Leaving, Mark};
pub use open::{OpenError, newest as newest_schema};
pub use report::health::examine;
pub use start::start;

pub use store::SqliteQueue;

/// The SQLite that is compiled in.
pub const SQLITE_VERSION: &std::ffi::CStr = libsqlite3_sys::SQLITE_VERSION;

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
