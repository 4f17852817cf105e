//! Events as jobs of apalis, on SQLite or PostgreSQL, as its pages show it to a user.
//!
//!     peers sqlite|postgres URL fill ROWS
//!     peers sqlite|postgres URL work GRAPH HEARTBEAT

mod graph;

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};

use graph::Graph;

const IN_FLIGHT: usize = 64;
const POLL: Duration = Duration::from_millis(100);
const NAME: &str = "calendar";

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Job {
    mailbox: String,
    event: Box<RawValue>,
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sqlite", url, "fill", rows] => Ok(sqlite(url).await?.push_bulk(read(rows)?).await?),
        ["postgres", url, "fill", rows] => Ok(postgres(url).await?.push_bulk(read(rows)?).await?),
        ["sqlite", url, "work", graph, heartbeat] => {
            let config = apalis_sqlite::Config::default().queue(NAME).batch_size(IN_FLIGHT);
            let storage = sqlite(url).await?.with_config(config.heartbeat_interval(seconds(heartbeat)?));
            let worker = WorkerBuilder::new(worker_name()).backend(storage.poll_with_interval(POLL));
            Ok(worker
                .data(Graph::new(graph))
                .concurrency(IN_FLIGHT)
                .parallelize(tokio::spawn)
                .build(send)
                .run()
                .await?)
        }
        ["postgres", url, "work", graph, heartbeat] => {
            let config = apalis_postgres::Config::default().queue(NAME).batch_size(IN_FLIGHT);
            let storage = postgres(url).await?.with_config(config.heartbeat_interval(seconds(heartbeat)?));
            let worker = WorkerBuilder::new(worker_name()).backend(storage.poll_with_interval(POLL));
            Ok(worker
                .data(Graph::new(graph))
                .concurrency(IN_FLIGHT)
                .parallelize(tokio::spawn)
                .build(send)
                .run()
                .await?)
        }
        _ => Err("usage: peers sqlite|postgres URL fill ROWS, or work GRAPH HEARTBEAT".into()),
    }
}

/// The event's id becomes the job's result.
async fn send(job: Job, graph: Data<Graph>) -> Result<String, BoxDynError> {
    Ok(graph.create(&job.mailbox, &job.event).await?)
}

/// `setup` turns syncing off on its own connection, so the others come after it.
async fn sqlite(url: &str) -> Result<SqliteStorage<Job>, BoxDynError> {
    let options: SqliteConnectOptions = url.parse()?;
    let options = options.create_if_missing(true).busy_timeout(Duration::from_secs(60));
    let pool = SqlitePoolOptions::new().connect_with(options.clone()).await?;
    SqliteStorage::setup(&pool).await?;
    pool.close().await;
    let pool = SqlitePoolOptions::new().connect_with(options.synchronous(SqliteSynchronous::Full)).await?;
    Ok(SqliteStorage::new(&pool).with_config(apalis_sqlite::Config::default().queue(NAME)))
}

async fn postgres(url: &str) -> Result<PostgresStorage<Job>, BoxDynError> {
    let pool = PgPool::connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    Ok(PostgresStorage::new(&pool).with_config(apalis_postgres::Config::default().queue(NAME)))
}

/// Jobs, one a line.
fn read(rows: &str) -> Result<Vec<Job>, BoxDynError> {
    Ok(std::fs::read_to_string(rows)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn seconds(text: &str) -> Result<Duration, BoxDynError> {
    Ok(Duration::from_secs(text.parse()?))
}

/// One of its own for each start: that of a worker that was killed is taken for a while.
fn worker_name() -> String {
    format!("{NAME}-{}", std::process::id())
}
