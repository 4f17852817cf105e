//! What goes wrong on purpose: faults as they are written down, the script that says which request one strikes, and the
//! stage that plays it. A fault makes its own answers or damages one that was made as usual.
//!
//! It imports `entra` (whose refusals it copies and whose tokens it ends) and the ground floor; it sees neither the
//! calendar nor HTTP.

mod fault;
mod script;
mod stage;

pub use fault::{Action, AnswerBody, Fault, FaultOn};
pub(super) use script::Script;
pub(super) use stage::Scene;
