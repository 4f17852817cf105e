//! Opening a queue as the settings name it. The only place that knows which kinds there are.

use std::path::Path;
use std::sync::Arc;

use super::error::StartError;
use super::sqlite::files::{self, AgentLock};
use super::sqlite::{OpenError, Permissions, SqliteQueue, examine as examine_file, start};
use super::{Agent, Operate, Produce, Read, Recovered, StorageFinding};
use crate::config::QueueSettings;
use crate::effective_user::EffectiveUser;

/// All that is asked of a queue, whoever asks.
pub trait Queue: Agent + Read + Operate + Produce {}

impl<Q: Agent + Read + Operate + Produce> Queue for Q {}

/// For commands that look or set things right: changes nothing by itself.
///
/// # Errors
/// There is no queue, or its schema is not this program's.
pub async fn open_existing(settings: &QueueSettings) -> Result<Arc<dyn Queue>, OpenError> {
    Ok(Arc::new(SqliteQueue::open_existing(path(settings)).await?))
}

/// Whether there is none where it should be, as far as can be seen.
pub fn is_missing(settings: &QueueSettings) -> bool {
    !path(settings).exists() && files::is_in_sight(path(settings))
}

/// Why whoever asks may not write to the queue there is, and the cure; none if they may.
pub fn not_writable(settings: &QueueSettings) -> Option<String> {
    if is_missing(settings) { None } else { files::shut(path(settings)) }
}

/// For producers: makes the queue if there is none. One of an older version is brought up to date only while no agent runs
/// on it, which may be of that version too.
///
/// # Errors
/// The storage refuses, the schema is newer than this program, or an agent runs on an older queue.
pub async fn open_to_insert(settings: &QueueSettings) -> Result<Arc<dyn Queue>, OpenError> {
    Ok(Arc::new(SqliteQueue::open_to_insert(path(settings)).await?))
}

/// An agent's start on its queue. What an earlier try has taken is kept for the next one.
pub struct Start<'s> {
    settings: &'s QueueSettings,
    lock: Option<AgentLock>,
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
        Self { settings, lock: None }
    }

    /// Makes the queue if there is none, brings it up to date if it is old, and puts back what a dead agent left.
    ///
    /// # Errors
    /// The storage refuses, the schema is newer than this program, or another agent has the queue.
    pub async fn attempt(&mut self) -> Result<Started, StartError> {
        let (queue, mended, recovered) = start(path(self.settings), &mut self.lock).await?;
        let made = mended.made.into_iter().map(|rule| (rule, None));
        let failed = mended.failed.into_iter().map(|(rule, why)| (rule, Some(why)));
        let repaired = made.chain(failed).map(|(rule, failed)| Repaired {
            kind: rule.kind,
            name: rule.name,
            table: rule.table,
            failed,
        });
        Ok(Started { queue: Arc::new(queue), recovered, repaired: repaired.collect() })
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
    examine_file(path(settings)).await
}

/// As whom the agent's files are to be looked at, and what is wrong with the queue's own. To be asked before the queue is
/// opened, which may make files beside it.
pub fn permissions(settings: &QueueSettings) -> (EffectiveUser, Vec<StorageFinding>) {
    let permissions = Permissions::of(path(settings));
    let findings = permissions.findings();
    (permissions.effective_user, findings)
}

fn path(settings: &QueueSettings) -> &Path {
    &settings.path
}
