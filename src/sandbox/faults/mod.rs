//! What goes wrong on purpose: faults as they are written down, the script that says which request one strikes, and the
//! player. A fault makes its own answer or damages the usual one.
//!
//! It imports `entra` (whose refusals it copies and whose tokens it ends) and the ground floor; it sees neither the
//! calendar nor HTTP.

mod fault;
mod player;
mod script;

pub(super) use fault::FaultTarget;
pub use fault::{Action, AnswerBody, Fault, FaultOn};
pub(super) use player::FaultPlayer;
pub(super) use script::Script;
