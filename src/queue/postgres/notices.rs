//! The wake-up: a trigger tells which mailboxes have got jobs, and operators and agents tell that all are to be looked at. A notice
//! is a hint. What is missed while the connection is away, or said by nobody, is found by the next look at everything.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::errors::timed_out;
use super::link::within;
use super::server::Server;

const CHANNEL: &str = "event_sender_jobs";
/// After a notice for what others inserted at the same time without one.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// A silent connection is asked for an echo, and given up if none comes for as long again.
const SILENCE: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(2);

/// What was told and nobody has looked at yet.
#[derive(Debug, Default)]
pub struct Notices {
    told: Mutex<Told>,
    any: Notify,
}

/// Mailboxes by `mailbox_key`.
#[derive(Debug, Default)]
pub struct Told {
    pub mailboxes: HashSet<String>,
    pub all: bool,
    /// This process has changed something itself: all are to be looked at however lately that was done.
    pub at_once: bool,
}

impl Notices {
    /// Returns when something was told.
    pub async fn come(&self) {
        self.any.notified().await;
    }

    /// What was told since this was asked last.
    pub fn taken(&self) -> Told {
        std::mem::take(&mut *self.told())
    }

    /// All mailboxes are to be looked at.
    pub fn tell_all(&self) {
        self.told().all = true;
        self.any.notify_one();
    }

    /// The same, however lately that was done.
    pub fn tell_own(&self) {
        self.told().at_once = true;
        self.any.notify_one();
    }

    fn tell(&self, mailboxes: &str) {
        let mut told = self.told();
        match mailboxes {
            "*" => told.all = true,
            mailboxes => told.mailboxes.extend(mailboxes.split('\n').map(str::to_owned)),
        }
        drop(told);
        self.any.notify_one();
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens until the task is ended.
pub async fn listen(server: Arc<Server>, notices: Arc<Notices>, echo: String) {
    loop {
        if let Err(error) = hear(&server, &notices, &echo).await {
            tracing::debug!(%error, "the queue's notices are not heard, listening again");
        }
        sleep(RECONNECT).await;
    }
}

/// Until there is trouble.
async fn hear(server: &Server, notices: &Notices, echo: &str) -> sqlx::Result<()> {
    let mut listener = server.listener().await?;
    within(ANSWER, listener.listen_all([CHANNEL, echo])).await?;
    let schema: String = within(ANSWER, sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut listener)).await?;
    // Something may have been said before.
    notices.tell_all();
    let mut asked = false;
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notice))) => {
                asked = false;
                let of_this_queue = notice.payload().split_once('\n').filter(|(of, _)| *of == schema);
                if let Some((_, mailboxes)) = of_this_queue.filter(|_| notice.channel() == CHANNEL) {
                    notices.tell(mailboxes);
                    sleep(LOOK_AGAIN).await;
                    notices.tell_all();
                }
            }
            // It was connected anew.
            Ok(Ok(None)) => notices.tell_all(),
            Ok(Err(error)) => return Err(error),
            Err(_) if asked => return Err(timed_out()),
            Err(_) => {
                asked = true;
                let query = sqlx::query("SELECT pg_notify($1, '')").bind(echo);
                within(ANSWER, query.execute(&mut listener)).await?;
            }
        }
    }
}
