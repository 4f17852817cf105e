//! A connection for one purpose: made when it is needed, and made anew after trouble. Every statement has a deadline of its own,
//! for the server's sockets know none: a path that went silent would hold whoever waits on it for ever.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::errors::{ends_the_session, timed_out};
use super::server::Server;

/// For a statement of an agent or of an operator.
pub const STATEMENT: Duration = Duration::from_secs(30);

/// For a connection to say that it lives.
const ALIVE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Link {
    server: Arc<Server>,
    /// For statements that find their rows in indexes.
    by_index: bool,
    connection: Mutex<Option<PgConnection>>,
}

/// The connection, in use. Dropped without [`Linked::done`], it is closed: what it was asked for may be under way
/// still.
pub struct Linked<'l> {
    slot: MutexGuard<'l, Option<PgConnection>>,
    connection: PgConnection,
}

impl Link {
    pub fn to(server: Arc<Server>) -> Self {
        Self { server, by_index: false, connection: Mutex::default() }
    }

    pub fn by_index(server: Arc<Server>) -> Self {
        Self { by_index: true, ..Self::to(server) }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        match self.by_index {
            true => self.server.connect_by_index().await,
            false => self.server.connect().await,
        }
    }

    pub async fn open(&self) -> sqlx::Result<Linked<'_>> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Linked { slot, connection })
    }

    /// The same, for questions now and then: a connection kept from before is asked first whether it lives.
    pub async fn open_alive(&self) -> sqlx::Result<Linked<'_>> {
        let mut slot = self.connection.lock().await;
        if let Some(mut connection) = slot.take()
            && within(ALIVE, connection.ping()).await.is_ok()
        {
            return Ok(Linked { slot, connection });
        }
        let connection = self.connect().await?;
        Ok(Linked { slot, connection })
    }

    pub async fn close(&self) {
        *self.connection.lock().await = None;
    }
}

impl Linked<'_> {
    /// Hands the connection back, unless that error ends it.
    pub fn done<T>(mut self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        if !done.as_ref().is_err_and(ends_the_session) {
            *self.slot = Some(self.connection);
        }
        done
    }
}

impl Deref for Linked<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Linked<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// The answer, or that there was none in time.
pub async fn within<T>(limit: Duration, asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(limit, asked).await.unwrap_or_else(|_| Err(timed_out()))
}
