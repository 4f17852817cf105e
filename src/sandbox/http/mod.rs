//! The HTTP wing, on top of the others: a request from the connection it comes over to the answer that leaves, the order
//! in which it is judged, the state behind it all, and the sandbox's own API below `/sandbox`.
//!
//! It imports every wing and the ground floor; only the front page of the sandbox imports it.
//!
//! ```text
//! server ─ request_scope (journal, lanes) ─ connection
//!        ─ control (/sandbox/…), page (/) ─ state
//! ```

mod connection;
mod control;
mod page;
mod request_scope;
mod server;
mod state;

pub(super) use connection::{Connection, Listener};
pub(super) use server::router;
pub(super) use state::SandboxState;
