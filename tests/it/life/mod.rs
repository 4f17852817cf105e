//! The whole life of an event: created, changed, cancelled, by rows that name it by its key. What attendees were mailed is
//! taken from the sandbox's account.

mod life_faults;
mod orders;
mod pacing;
pub mod reckoning;
pub mod storms;
mod targets;
mod wire;
