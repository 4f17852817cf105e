//! `after-restore`: a backup was put back. What waits in it may have been sent since it was taken, so every waiting job is
//! to be looked up before it is sent.

use chrono::Utc;

use super::output;
use crate::agent::{Failure, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Say how many jobs it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    if options.dry_run {
        output::line(&format!("would mark {}", counted(queue.not_in_doubt().await?)))?;
        return Ok(Exit::Done);
    }
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let marked = queue.mark_in_doubt(&defaults, Utc::now()).await?;
    output::line(&format!("marked {}; start the agent now", counted(marked)))?;
    Ok(Exit::Done)
}

fn counted(jobs: u64) -> String {
    match jobs {
        1 => "1 waiting job to be looked up before it is sent".to_owned(),
        jobs => format!("{jobs} waiting jobs to be looked up before they are sent"),
    }
}
