//! The queue in PostgreSQL, shared by any number of agents. The schema is `migrations/postgres`. `server` and `link` are the way
//! there, `store` has the connections; `agent` has the agent's verbs, `produce` inserts, `report` reads for people and the
//! monitor, `operate` has the operator's verbs.

mod clock;
mod errors;
mod fragments;
mod input;
mod link;
mod operate;
mod produce;
mod report;
mod schema;
mod server;
mod store;

pub use schema::OpenError;
pub use server::{Server, UrlError};
pub use store::PostgresQueue;
