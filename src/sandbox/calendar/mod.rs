//! The calendar: which mailboxes there are, the limits of each, the calls on them, and the events they keep, as Graph
//! reads and returns them.
//!
//! It imports the ground floor only: a call that comes here has passed sign-in, limits and script.
//!
//! ```text
//! calls ─ route, mailbox                        lanes
//!       ─ changes ─ change ─ event ─ schema, times ─ windows_zones
//!       ─ series                                found
//!       ─ resource ─ online
//!       ─ store ─ stored ─ event_id, marker, mails
//!               ─ writers
//! ```

mod calls;
mod change;
mod changes;
mod event;
mod event_id;
mod found;
mod lanes;
mod mailbox;
mod mails;
mod marker;
mod online;
mod resource;
mod route;
mod schema;
mod series;
mod store;
mod stored;
mod times;
mod windows_zones;
mod writers;

pub(super) use calls::{Request, answer};
pub use found::FoundEvent;
pub(super) use lanes::{Arrival, CONCURRENCY_LIMIT, Lanes};
pub use mails::{Mail, MailKind};
pub(super) use route::{Call, Owner};
pub(super) use store::Store;
pub use stored::{EventState, StoredEvent};
