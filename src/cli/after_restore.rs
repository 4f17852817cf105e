//! `after-restore`: a backup was put back. What waits in it may have been sent since it was taken, so every waiting job is
//! to be looked up before it is sent.

use chrono::Utc;

use super::{existing_queue, output};
use crate::agent::{Failure, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue::{AgentLock, LockError};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Say how many jobs it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    if options.dry_run {
        let jobs = queue.trusted().await?.len();
        output::line(&format!("would mark {}", counted(jobs as u64)))?;
        return Ok(Exit::Done);
    }
    // Held to the end: an agent that starts meanwhile would send what is not marked yet.
    let _lock = AgentLock::acquire_for_a_moment(queue.path()).map_err(|error| match error {
        LockError::Held { .. } => {
            Failure::new(Exit::Unavailable, format!("{error}; stop it first, it may be sending these jobs already"))
        }
        LockError::Strange(_) | LockError::Io { .. } => Failure::failed(error),
    })?;
    let jobs = queue.trusted().await?;
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let marked = queue.distrust(&jobs, &defaults, Utc::now()).await?;
    output::line(&format!("marked {}; start the agent now", counted(marked)))?;
    Ok(Exit::Done)
}

fn counted(jobs: u64) -> String {
    match jobs {
        1 => "1 waiting job to be looked up before it is sent".to_owned(),
        jobs => format!("{jobs} waiting jobs to be looked up before they are sent"),
    }
}
