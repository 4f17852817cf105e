//! The calendar: which mailboxes there are, the limits of each, the calls on them, and the events they keep, as Graph
//! reads and returns them.
//!
//! It imports the ground floor only: a call that comes here has passed sign-in, limits and script.
//!
//! ```text
//! calls ─ route, mailbox           lanes
//!       ─ event ─ schema, times ─ windows_zones
//!       ─ store ─ event_id, marker
//!       ─ resource
//! ```

mod calls;
mod event;
mod event_id;
mod lanes;
mod mailbox;
mod marker;
mod resource;
mod route;
mod schema;
mod store;
mod times;
mod windows_zones;

pub(super) use calls::{Request, answer};
pub(super) use lanes::{Arrival, CONCURRENCY_LIMIT, Lanes};
pub(super) use route::{Call, Owner};
pub(super) use store::Store;
pub use store::StoredEvent;
