//! The queue on a server: its connections, one for each purpose, so that none waits for another's statement.

use std::sync::Arc;

use super::agent::{AgentSettings, AgentSide};
use super::link::Link;
use super::server::Server;

/// A queue in a PostgreSQL database, shared by any number of agents.
#[derive(Clone)]
pub struct PostgresQueue {
    pub(super) server: Arc<Server>,
    pub(super) links: Arc<Links>,
    pub(super) agent: Arc<AgentSide>,
}

pub(super) struct Links {
    /// For claims.
    pub claims: Link,
    /// For the ends of claims.
    pub ends: Link,
    /// For the renewal of the lease, and nothing else.
    pub renewals: Link,
    /// For the burial of agents that have fallen silent.
    pub burials: Link,
    /// For operators, and for those who look.
    pub others: Link,
    /// For counting, which may take a while.
    pub counts: Link,
    /// For inserting, as long as all of it takes.
    pub inserts: Link,
}

impl Links {
    pub async fn close(&self) {
        let Self { claims, ends, renewals, burials, others, counts, inserts } = self;
        for link in [claims, ends, renewals, burials, others, counts, inserts] {
            link.close().await;
        }
    }
}

impl PostgresQueue {
    /// Nothing is connected to yet.
    pub fn on(server: Server, settings: AgentSettings) -> Self {
        let server = Arc::new(server);
        let link = || Link::to(server.clone());
        let by_index = || Link::by_index(server.clone());
        let links = Links {
            claims: by_index(),
            ends: by_index(),
            renewals: by_index(),
            burials: by_index(),
            others: link(),
            counts: link(),
            inserts: link(),
        };
        Self { server, links: Arc::new(links), agent: Arc::new(AgentSide::of(settings)) }
    }

    /// Somebody in this process has changed what waits: the next claim sees it.
    pub fn look_again(&self) {
        self.agent.notices.tell_own();
    }
}
