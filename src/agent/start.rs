//! The agent's start on its queue: lock, schema, and what a dead agent left. Patient with trouble that may pass.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::agent::Failure;
use crate::backoff::doubled;
use crate::exit::Exit;
use crate::queue::{Agent, AgentLock, LockError, OpenError, QueueError, Recovered, Rule, SqliteQueue};

/// Waits before a queue that cannot be used yet is tried again, and what systemd is told each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const START_MAY_TAKE: Duration = Duration::from_secs(60);

/// Opens the queue and puts back what a dead agent left. Trouble that may pass (somebody's long write, a full disk) is
/// waited out, however long it takes: started again by systemd, the agent would only find the same. None: stopped
/// meanwhile.
pub async fn usable_queue(
    path: &Path,
    stop: &CancellationToken,
) -> Result<Option<(Arc<SqliteQueue>, Recovered)>, Failure> {
    let mut tries = 0;
    let mut lock = None;
    loop {
        let error = match patiently(open_queue(path, &mut lock)).await {
            Ok((queue, recovered)) => {
                if tries > 0 {
                    tracing::info!("queue can be used again");
                }
                return Ok(Some((Arc::new(queue), recovered)));
            }
            Err(Start::MayPass(error)) => error,
            Err(Start::Final(failure)) => return Err(failure),
        };
        if tries == 0 {
            tracing::error!(%error, "queue cannot be used, trying again");
        }
        ask_for_patience();
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(doubled(FIRST_WAIT, tries, LONGEST_WAIT)) => tries += 1,
        }
    }
}

/// A large queue of an older version takes its time to be brought up to date, and systemd gives a start 90 seconds.
async fn patiently<T>(opening: impl Future<Output = T>) -> T {
    let mut opening = std::pin::pin!(opening);
    loop {
        tokio::select! {
            done = &mut opening => return done,
            () = tokio::time::sleep(START_MAY_TAKE / 2) => {
                tracing::info!("queue is still being opened and brought up to date");
                ask_for_patience();
            }
        }
    }
}

fn ask_for_patience() {
    // Without systemd there is nobody who would lose patience.
    let _ = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(START_MAY_TAKE.as_micros() as u32)]);
}

/// Why a start did not succeed.
enum Start {
    /// Worth another try; why, for the log.
    MayPass(String),
    Final(Failure),
}

/// One try. A lock once taken is kept for the next one.
async fn open_queue(path: &Path, lock: &mut Option<AgentLock>) -> Result<(SqliteQueue, Recovered), Start> {
    let open_error = |error: OpenError| match error.may_pass() {
        true => Start::MayPass(error.to_string()),
        false => Start::Final(error.into()),
    };
    SqliteQueue::create_file(path).map_err(open_error)?;
    // Before the schema is touched: an agent of another version may be running on it.
    if lock.is_none() {
        *lock = Some(AgentLock::acquire(path).map_err(|error| match error {
            LockError::Held { .. } => Start::Final(Failure::new(Exit::Unavailable, error.to_string())),
            LockError::Io { .. } if error.may_pass() => Start::MayPass(error.to_string()),
            LockError::Strange(_) | LockError::Io { .. } => Start::Final(Failure::failed(error)),
        })?);
    }
    let queue = SqliteQueue::open(path).await.map_err(open_error)?;
    for rule in mended(&queue).await? {
        tracing::warn!(
            kind = rule.kind,
            name = rule.name,
            table = rule.table,
            "rule of the queue was missing or changed, made again"
        );
    }
    let recovered = queue.join().await.map_err(queue_error)?;
    if let Some(lock) = lock.take() {
        queue.hold(lock);
    }
    Ok((queue, recovered))
}

/// What a rebuild of a table by somebody else has dropped.
async fn mended(queue: &SqliteQueue) -> Result<Vec<Rule>, Start> {
    let mended = queue.mend().await.map_err(queue_error)?;
    for (rule, why) in &mended.failed {
        tracing::error!(
            kind = rule.kind,
            name = rule.name,
            table = rule.table,
            error = why,
            "rule of the queue cannot be made again"
        );
    }
    Ok(mended.made)
}

fn queue_error(error: QueueError) -> Start {
    match error.may_pass() {
        true => Start::MayPass(error.to_string()),
        false => Start::Final(Failure::failed(error)),
    }
}
