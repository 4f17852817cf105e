//! The queue: what is asked of it, one trait per asker, and the two kinds there are.
//!
//! A row is claimed, attempted and settled. Between claim and settlement it belongs to the agent that claimed it,
//! and every settlement carries the claim's number: a late writer whose claim is over changes nothing.

mod agent;
mod columns;
mod counted;
mod error;
mod moving;
mod open;
mod operate;
mod postgres;
mod produce;
mod read;
mod rows;
mod settlement;
mod sqlite;
mod types;
mod withheld;
mod woken;

pub use agent::{
    Agent, AgentStatus, ClaimRequest, Claimed, CredentialNote, DefaultNote, GateNote, MailboxNews, Mailed, Membership,
    Pass, Recovered, Refusal, Refusals, Suspects, Withheld,
};
pub use error::{MoveError, OpenError, QueueError, StartError};
pub use moving::{Fault, Faults, Moved, OnMoved};
pub use open::{
    Examined, Queue, Repaired, Start, Started, copy_from, examine, is_missing, migrate, not_writable, open_existing,
    open_to_insert, permissions,
};
pub use operate::{Changed, Chosen, OnBatch, Operate, Purgeable, Selection};
pub use postgres::{AgentSettings, PostgresQueue, Server};
pub use produce::{InsertError, Insertion, NewJob, OnInserted, Produce};
pub use read::{
    AGE_COUNT, AGE_LIMITS, Census, Ended, Failures, Grade, JobFilter, Overview, Read, Room, Sought, Step,
    StorageFinding, Trouble, Waiting, WaitingReport, Walked, judged,
};
pub use rows::{
    AgentRow, AgentSaid, AttemptRow, CredentialSaid, DefaultSaid, GateSaid, HoldColumns, JobRow, JobSummary,
    MailboxRow, PacedColumns, Parsed, PauseColumns, Stored,
};
pub use settlement::{AttemptRecord, Paced, Setback, Settled, Settlement, Trace, Verdict};
pub use sqlite::{SQLITE_VERSION, SqliteQueue, newest_schema};
pub use types::{LaneKey, Pause, capped};
