//! Opening a queue as the settings name it. The only place that knows which kinds there are.

use std::path::Path;
use std::sync::Arc;

use super::error::{MoveError, OpenError, StartError};
use super::moving::{Moved, OnMoved, move_over, would_move};
use super::postgres::{self, AgentSettings, PostgresQueue, Server};
use super::sqlite::files::{self, AgentLock};
use super::sqlite::{Permissions, SqliteQueue, examine as examine_file, start};
use super::{Agent, Operate, Produce, Read, Recovered, StorageFinding};
use crate::config::{DatabaseSettings, QueuePlace, QueueSettings};
use crate::effective_user::EffectiveUser;

/// All that is asked of a queue, whoever asks.
pub trait Queue: Agent + Read + Operate + Produce {}

impl<Q: Agent + Read + Operate + Produce> Queue for Q {}

/// For commands that look or set things right: changes nothing by itself.
///
/// # Errors
/// There is no queue, or its schema is not this program's.
pub async fn open_existing(settings: &QueueSettings) -> Result<Arc<dyn Queue>, OpenError> {
    Ok(match &settings.place {
        QueuePlace::File(path) => Arc::new(SqliteQueue::open_existing(path).await?),
        QueuePlace::Database(settings) => Arc::new(PostgresQueue::open_existing(server(settings)).await?),
    })
}

/// Whether there is no file of a queue where it should be, as far as can be seen.
pub fn is_missing(settings: &QueueSettings) -> bool {
    settings.place.file().is_some_and(|path| !path.exists() && files::is_in_sight(path))
}

/// Why whoever asks may not write to the file of the queue, and the cure; none if they may, or if there is no file.
pub fn not_writable(settings: &QueueSettings) -> Option<String> {
    if is_missing(settings) { None } else { files::shut(settings.place.file()?) }
}

/// For producers: makes the file of the queue if there is none. One of an older version is brought up to date only while no agent
/// runs on it, which may be of that version too. A database is made ready by `migrate`.
///
/// # Errors
/// The storage refuses, the schema is not this program's, or an agent runs on an older queue.
pub async fn open_to_insert(settings: &QueueSettings) -> Result<Arc<dyn Queue>, OpenError> {
    match &settings.place {
        QueuePlace::File(path) => Ok(Arc::new(SqliteQueue::open_to_insert(path).await?)),
        QueuePlace::Database(_) => open_existing(settings).await,
    }
}

/// Makes the queue if there is none, and brings it up to date if it is old, without an agent.
///
/// # Errors
/// The storage refuses, or the schema is newer than this program.
pub async fn migrate(settings: &QueueSettings) -> Result<Arc<dyn Queue>, OpenError> {
    match &settings.place {
        QueuePlace::File(_) => open_to_insert(settings).await,
        QueuePlace::Database(settings) => Ok(Arc::new(PostgresQueue::migrate(server(settings)).await?)),
    }
}

/// Moves the queue in this file over into the one of the settings, or only says what would move. `unnamed` is whose mailbox the rows
/// are for that name none.
///
/// # Errors
/// The settings name no database, an agent runs on one of the two, rows cannot pass, or the storage is in trouble.
pub async fn copy_from(
    file: &Path,
    settings: &QueueSettings,
    unnamed: Option<&str>,
    only_look: bool,
    tell: OnMoved<'_>,
) -> Result<Moved, MoveError> {
    let QueuePlace::Database(to) = &settings.place else {
        let why = "queue.url: not set, and --copy-from moves a queue to PostgreSQL; set it to the queue there";
        return Err(MoveError::Settings(why.to_owned()));
    };
    match only_look {
        true => would_move(file, server(to), tell).await,
        false => move_over(file, server(to), unnamed, tell).await,
    }
}

/// An agent's start on its queue. What an earlier try has taken is kept for the next one.
pub struct Start<'s> {
    settings: &'s QueueSettings,
    lock: Option<AgentLock>,
    /// The lease of another agent of the same name, when it was looked at last.
    namesake: Option<f64>,
}

/// A queue that is this agent's.
pub struct Started {
    pub queue: Arc<dyn Queue>,
    pub recovered: Recovered,
    /// Rules of the queue that were missing or changed.
    pub repaired: Vec<Repaired>,
}

/// A rule of the queue that was not as this program makes it.
pub struct Repaired {
    /// `table`, `index` or `trigger`.
    pub kind: String,
    pub name: String,
    pub table: String,
    /// Why it could not be made again.
    pub failed: Option<String>,
}

impl<'s> Start<'s> {
    pub fn on(settings: &'s QueueSettings) -> Self {
        Self { settings, lock: None, namesake: None }
    }

    /// Makes the queue if there is none, brings it up to date if it is old, and puts back what a dead agent left.
    ///
    /// # Errors
    /// The storage refuses, the schema is newer than this program, or another agent has the queue, or this one's name.
    pub async fn attempt(&mut self) -> Result<Started, StartError> {
        match &self.settings.place {
            QueuePlace::File(path) => {
                let (queue, repairs, recovered) = start(path, &mut self.lock).await?;
                let made = repairs.made.into_iter().map(|rule| (rule, None));
                let failed = repairs.failed.into_iter().map(|(rule, why)| (rule, Some(why)));
                let repaired = made.chain(failed).map(|(rule, failed)| Repaired {
                    kind: rule.kind,
                    name: rule.name,
                    table: rule.table,
                    failed,
                });
                Ok(Started { queue: Arc::new(queue), recovered, repaired: repaired.collect() })
            }
            QueuePlace::Database(settings) => {
                let (queue, recovered) = postgres::start(server(settings), agent(settings), &mut self.namesake).await?;
                Ok(Started { queue: Arc::new(queue), recovered, repaired: Vec::new() })
            }
        }
    }
}

/// The queue as `check` sees it, which may be anything.
#[derive(Default)]
pub struct Examined {
    pub findings: Vec<StorageFinding>,
    /// If it is one that can be read.
    pub queue: Option<Arc<dyn Read>>,
}

/// Looks at what lies where the queue should be. Changes nothing.
pub async fn examine(settings: &QueueSettings) -> Examined {
    match &settings.place {
        QueuePlace::File(path) => examine_file(path).await,
        QueuePlace::Database(settings) => postgres::examine(server(settings)).await,
    }
}

/// As whom the agent's files are to be looked at, and what is wrong with the queue's own. To be asked before the queue is
/// opened, which may make files beside it. A database has none here.
pub fn permissions(settings: &QueueSettings) -> (EffectiveUser, Vec<StorageFinding>) {
    let Some(path) = settings.place.file() else { return (EffectiveUser::of_agent(None, None), Vec::new()) };
    let permissions = Permissions::of(path);
    let findings = permissions.findings();
    (permissions.effective_user, findings)
}

fn server(settings: &DatabaseSettings) -> Server {
    Server::of(&settings.database)
}

fn agent(settings: &DatabaseSettings) -> AgentSettings {
    AgentSettings {
        name: settings.agent.clone(),
        request_timeout: settings.request_timeout,
        lossy: settings.lossy,
        agreement: settings.agreement.clone(),
    }
}
