//! The queue on a server: its connections, one for each purpose, so that none waits for another's statement.

use std::sync::Arc;

use super::link::Link;
use super::server::Server;

/// A queue in a PostgreSQL database, shared by any number of agents.
#[derive(Clone)]
pub struct PostgresQueue {
    pub(super) server: Arc<Server>,
    pub(super) links: Arc<Links>,
}

pub(super) struct Links {
    /// For claims.
    pub claims: Link,
    /// For the ends of claims.
    pub ends: Link,
    /// For operators, and for those who look.
    pub others: Link,
    /// For who counts, which may take a while.
    pub counts: Link,
    /// For who inserts, as long as all of it takes.
    pub inserts: Link,
}

impl Links {
    pub async fn close(&self) {
        for link in [&self.claims, &self.ends, &self.others, &self.counts, &self.inserts] {
            link.close().await;
        }
    }
}

impl PostgresQueue {
    pub fn on(server: Server) -> Self {
        let server = Arc::new(server);
        let link = || Link::to(server.clone());
        let links = Arc::new(Links { claims: link(), ends: link(), others: link(), counts: link(), inserts: link() });
        Self { server, links }
    }
}
