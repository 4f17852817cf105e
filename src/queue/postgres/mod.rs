//! The queue in PostgreSQL, shared by any number of agents. The schema is `migrations/postgres`. `server` and `link` are the way
//! there, `store` has the connections; `agent` has the agent's verbs, `produce` inserts, `report` reads for people and the
//! monitor, `operate` has the operator's verbs.

mod agent;
mod claim;
mod clock;
mod errors;
mod examine;
mod heads;
mod lanes;
mod life;
mod link;
mod member;
mod membership;
mod moving;
mod notices;
mod operate;
mod overtaken;
mod produce;
mod report;
mod row;
mod schema;
mod server;
mod settle;
mod store;
mod time;
mod trust;

pub use agent::AgentSettings;
pub use examine::examine;
pub use membership::start;
pub use moving::{Arrival, Arriving};
pub use schema::OpenError;
pub use server::Server;
pub use store::PostgresQueue;
