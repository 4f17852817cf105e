//! A queue in a schema of a PostgreSQL database.

use event_sender::config::Database;
use event_sender::queue::{PostgresQueue, Server};
use sqlx::{AssertSqlSafe, Connection};

use crate::backend::Backend;
use crate::cluster::Cluster;

pub struct Postgres {
    queue: PostgresQueue,
    schema: String,
}

impl Postgres {
    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub fn url(&self) -> String {
        cluster().url(&self.schema)
    }
}

/// Whether these tests can be made at all.
pub fn is_there() -> bool {
    Cluster::get().is_some()
}

fn cluster() -> &'static Cluster {
    Cluster::get().unwrap()
}

pub fn server(schema: &str) -> Server {
    Server::of(&Database::of(&cluster().url(schema), None).unwrap())
}

impl Backend for Postgres {
    type Queue = PostgresQueue;

    /// Its server is to be fast, and is thrown away.
    const FLAWS: &'static [&'static str] = &["fsync is off"];

    async fn fresh() -> Self {
        let schema = cluster().schema().await;
        Self { queue: PostgresQueue::migrate(server(&schema)).await.unwrap(), schema }
    }

    fn queue(&self) -> &PostgresQueue {
        &self.queue
    }

    async fn beside(&self) -> PostgresQueue {
        PostgresQueue::open_existing(server(&self.schema)).await.unwrap()
    }

    async fn seen(&self) {
        self.queue.look_again();
    }

    async fn no_agent(&self) {
        let gone = "UPDATE agents SET gone_at = clock_timestamp(), how = 'stopped' WHERE gone_at IS NULL";
        self.sql(gone).await.unwrap();
    }

    async fn sql(&self, statement: &str) -> Result<u64, String> {
        let mut other = cluster().connect(&self.schema).await;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut other).await;
        other.close().await.unwrap();
        done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
    }
}
