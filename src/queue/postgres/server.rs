//! The server a queue is on, and how it is connected to: the first of its hosts that is there and takes writes.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Row};

use super::link::within;
use crate::config::Database;

/// What a session of this program's is like: a statement that hangs ends, and a client that died holds nothing. Not told at the
/// start of the session, where poolers refuse it. Compiling a statement takes longer than any of these does. And whether the server
/// takes no writes: it is a standby, or was told so.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET TimeZone = 'UTC';
    SET idle_in_transaction_session_timeout = '30s'; SET jit = off;
    SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";

/// A session whose statements touch a few rows each, all found in indexes. Its plans are made when the table may be empty, and are
/// kept: by the statistics of that moment they would read all of it, over and over, until autovacuum has been there.
///
/// Nobody waits long for a row that somebody holds: others are done meanwhile.
const BY_INDEX: &str = "SET enable_seqscan = off; SET lock_timeout = '1s'";

/// Where the server is.
#[derive(Clone, Debug)]
pub struct Server(Database);

impl Server {
    pub fn of(database: &Database) -> Self {
        let mut database = database.clone();
        let plain = |host: PgConnectOptions| host.extra_float_digits(None).disable_statement_logging();
        database.hosts = database.hosts.into_iter().map(plain).collect();
        Self(database)
    }

    /// What people call it: without user, password and parameters.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The first host of the list that is there, and takes writes.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut trouble = None;
        for host in &self.0.hosts {
            match within(self.0.connect_within, self.connect_to(host)).await {
                Ok(Some(connection)) => return Ok(connection),
                Ok(None) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        Err(trouble.unwrap_or_else(no_host))
    }

    /// The same, for statements that find their rows in indexes.
    pub async fn connect_by_index(&self) -> sqlx::Result<PgConnection> {
        let mut connection = self.connect().await?;
        within(self.0.connect_within, async { sqlx::raw_sql(BY_INDEX).execute(&mut connection).await.map(|_| ()) })
            .await?;
        Ok(connection)
    }

    /// A connection that hears notices, to the first host that can be connected to as above.
    pub async fn listener(&self) -> sqlx::Result<PgListener> {
        for host in &self.0.hosts {
            if let Ok(Some(connection)) = within(self.0.connect_within, self.connect_to(host)).await {
                connection.close().await?;
                let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.0.connect_within);
                return PgListener::connect_with(&pool.connect_lazy_with(host.clone())).await;
            }
        }
        Err(no_host())
    }

    /// None: a standby, or one that was told to take no writes.
    async fn connect_to(&self, host: &PgConnectOptions) -> sqlx::Result<Option<PgConnection>> {
        let mut connection = host.connect().await?;
        let takes_no_writes: bool = sqlx::raw_sql(SESSION).fetch_one(&mut connection).await?.try_get(0)?;
        if self.0.writable && takes_no_writes {
            connection.close().await?;
            return Ok(None);
        }
        Ok(Some(connection))
    }
}

fn no_host() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("no host of queue.url takes writes; each of them is a standby or read-only"))
}
