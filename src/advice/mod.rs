//! What people are told: of one job (`case`), of how everything stands (`health`, `standing`, `expiry`), of what an operator may
//! do to a job (`judgement`); the queue's rows for programs (`row_json`), and commands to copy (`shell`). The commands and the
//! page say the same because they ask here.

mod case;
pub mod expiry;
pub mod health;
pub mod judgement;
pub mod request;
pub mod row_json;
pub mod shell;
pub mod standing;
pub mod waits;

pub use case::{Advice, Case};

/// A colour by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Waiting,
    Faint,
    Strong,
}
