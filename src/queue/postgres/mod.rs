//! The queue in PostgreSQL, shared by any number of agents. The schema is `migrations/postgres`. `server` and `link` are the way
//! there, `store` has the connections; `agent` has the agent's verbs, `produce` inserts, `report` reads for people and the
//! monitor, `operate` has the operator's verbs.

mod errors;
mod link;
mod report;
mod server;
mod store;

pub use server::{Server, UrlError};
pub use store::PostgresQueue;
