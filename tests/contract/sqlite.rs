//! A queue in a SQLite file.

use event_sender::queue::SqliteQueue;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use crate::backend::Backend;

pub struct Sqlite {
    queue: SqliteQueue,
    home: TempDir,
}

impl Backend for Sqlite {
    type Queue = SqliteQueue;

    const FLAWS: &'static [&'static str] = &[];

    async fn fresh() -> Self {
        let home = TempDir::new().unwrap();
        let queue = SqliteQueue::open(&home.path().join("queue.db")).await.unwrap();
        Self { queue, home }
    }

    fn queue(&self) -> &SqliteQueue {
        &self.queue
    }

    async fn beside(&self) -> SqliteQueue {
        SqliteQueue::open_existing(&self.home.path().join("queue.db")).await.unwrap()
    }

    /// What is alive is told by the lock, which nobody has here.
    async fn no_agent(&self) {}

    async fn sql(&self, statement: &str) -> Result<u64, String> {
        let file = SqliteConnectOptions::new().filename(self.home.path().join("queue.db"));
        let mut other = file.connect().await.unwrap();
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut other).await;
        other.close().await.unwrap();
        done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
    }
}
