//! The agent's start on its queue: lock, schema, and what a dead agent left. Patient with trouble that may pass.

use std::future::Future;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::agent::Failure;
use crate::backoff::doubled;
use crate::config::QueueSettings;
use crate::exit::Exit;
use crate::queue::{Repaired, Start, StartError, Started};

/// Waits before a queue that cannot be used yet is tried again, and what systemd is told each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const START_MAY_TAKE: Duration = Duration::from_secs(60);

/// Opens the queue and puts back what a dead agent left. Trouble that may pass (somebody's long write, a full disk) is
/// waited out, however long it takes: started again by systemd, the agent would only find the same. None: stopped
/// meanwhile.
pub async fn usable_queue(settings: &QueueSettings, stop: &CancellationToken) -> Result<Option<Started>, Failure> {
    let mut tries = 0;
    let mut start = Start::on(settings);
    loop {
        let error = match patiently(start.attempt()).await {
            Ok(started) => {
                started.repaired.iter().for_each(tell);
                if tries > 0 {
                    tracing::info!("queue can be used again");
                }
                return Ok(Some(started));
            }
            Err(StartError::MayPass(error)) => error,
            Err(StartError::InUse(error)) => return Err(Failure::new(Exit::Unavailable, error)),
            Err(StartError::Refused(error)) => return Err(Failure::failed(error)),
            Err(StartError::Settings(error)) => return Err(Failure::new(Exit::Config, error)),
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

/// What a rebuild of a table by another program has dropped.
fn tell(rule: &Repaired) {
    let Repaired { kind, name, table, failed } = rule;
    match failed {
        None => tracing::warn!(kind, name, table, "rule of the queue was missing or changed, made again"),
        Some(error) => tracing::error!(kind, name, table, error, "rule of the queue cannot be made again"),
    }
}
