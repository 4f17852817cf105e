//! Opening a queue as the settings name it. The only place that knows which kinds there are.

use std::path::Path;
use std::sync::Arc;

use super::sqlite::{OpenError, Permissions, SqliteQueue, examine as examine_file};
use super::{Operate, Produce, Read, StorageFinding};
use crate::config::QueueSettings;
use crate::viewer::Viewer;

/// What is asked of a queue beside the agent.
pub trait Desk: Read + Operate + Produce {}

impl<Q: Read + Operate + Produce> Desk for Q {}

/// For commands that look or set things right: changes nothing by itself.
///
/// # Errors
/// There is no queue, or its schema is not this program's.
pub async fn open_existing(settings: &QueueSettings) -> Result<Arc<dyn Desk>, OpenError> {
    Ok(Arc::new(SqliteQueue::open_existing(path(settings)).await?))
}

/// For producers: makes the queue if there is none. One of an older version is brought up to date only while no agent runs
/// on it, which may be of that version too.
///
/// # Errors
/// The storage refuses, the schema is newer than this program, or an agent runs on an older queue.
pub async fn open_to_insert(settings: &QueueSettings) -> Result<Arc<dyn Desk>, OpenError> {
    Ok(Arc::new(SqliteQueue::open_to_insert(path(settings)).await?))
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
pub fn permissions(settings: &QueueSettings) -> (Viewer, Vec<StorageFinding>) {
    let permissions = Permissions::of(path(settings));
    let findings = permissions.findings();
    (permissions.viewer, findings)
}

fn path(settings: &QueueSettings) -> &Path {
    &settings.path
}
