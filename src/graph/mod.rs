//! Microsoft Graph's calendar. `operations` makes of a job a request and the evidence of its effect, with the JSON of `wire`
//! and the URLs of `address`; `client` sends and `search` looks for evidence, one request at a time and each with the token it
//! is handed; `transport` has the connections, `reply` reads an answer whatever it is, `classify` sorts it into an
//! `Outcome`, `hints` says it in plain words. For diagnosis only: `read` reads a calendar, `reach` asks a host without
//! credentials, `application` asks when the secret expires. Knows jobs only as operations, and nothing of the queue or of
//! signing in.

mod address;
mod application;
mod classify;
mod client;
mod faults;
mod hints;
mod operations;
mod preview;
mod purpose;
mod reach;
mod read;
mod reply;
mod search;
mod transport;
mod wire;

pub use address::GraphBase;
pub use application::ClientSecretInfo;
pub use client::GraphClient;
pub use operations::{Evidence, Identity, Prepared, Request};
pub use preview::preview;
pub use reach::{CertificateFault, Reached, Unreached, reach};
pub use search::Search;
pub use transport::Line;
pub use wire::{MARKER, encode};
