//! Microsoft Graph's calendar: one request per call. `wire` holds the JSON and nothing else, `address` the URLs,
//! `transport` connections and tokens, `reply` reads an answer whatever it is, `classify` sorts it into an `Outcome`,
//! `hints` says it in plain words. For diagnosis only: `reach` asks a
//! host without credentials, `application` asks when the secret expires. Knows jobs only as drafts, and nothing of the queue.

mod address;
mod application;
mod classify;
mod client;
mod faults;
mod hints;
mod reach;
mod reply;
mod transport;
mod wire;

pub use address::GraphBase;
pub use application::ClientSecretInfo;
pub use client::{Call, EventRequest, GraphClient, LookUp};
pub use faults::no_token;
pub use reach::{CertificateFault, Reached, Unreached, reach};
pub use transport::{Line, MayLeave};
pub use wire::{MARKER, encode};
