//! The queue: what the agent may ask of it, in prose, and its one implementation so far.
//!
//! A row is claimed, attempted and settled. Between claim and settlement it belongs to the agent that claimed it,
//! and every settlement carries the claim's number: a late writer whose claim is over changes nothing.

mod agent;
mod error;
mod settlement;
mod sqlite;
mod types;

pub use sqlite::files::{AgentLock, ChangeNotice, LockError, Strange, WatchError, network_file_system, watch};
pub use sqlite::{
    AGE_COUNT, AGE_LIMITS, Census, Changed, Chosen, Ended, Health, Hold, InsertError, Insertion, Integrity, ListFilter,
    Mended, NewJob, OpenError, PURGE_BATCH, Purgeable, REPAIR_BATCH, Record, Rest, Room, Rule, Rules, Selection,
    SqliteQueue, StatusReport, Waiting, WaitingMailbox, WaitingReport, rest_after,
};

pub use agent::{
    AgentNote, ClaimRequest, Claimed, CredentialNote, DefaultNote, GateNote, Queue, Recovered, Refusal, Refusals,
};
pub use error::QueueError;
pub use settlement::{AttemptRecord, Setback, Settled, Settlement, Trace, Verdict};
pub use types::{LaneKey, Pause, capped};
