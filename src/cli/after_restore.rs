//! `after-restore`: a backup was put back. What waits in it may have been sent since it was taken, so every waiting job is
//! to be looked up before it is sent.

use chrono::Utc;

use serde_json::json;

use super::output;
use super::repair::WriteArgs;
use crate::agent::{Failure, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    write_args: WriteArgs,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let WriteArgs { dry_run, json } = options.write_args;
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let marked = match dry_run {
        true => queue.not_in_doubt().await?,
        false => queue.mark_in_doubt(&defaults, Utc::now()).await?,
    };
    match (json, dry_run) {
        (true, _) => output::json(&json!({ "dry_run": dry_run, "marked": marked }))?,
        (false, true) => output::line(&format!("would mark {}", counted(marked)))?,
        (false, false) => output::line(&format!("marked {}; start the agent now", counted(marked)))?,
    }
    Ok(Exit::Done)
}

fn counted(jobs: u64) -> String {
    match jobs {
        1 => "1 waiting job to be looked up before it is sent".to_owned(),
        jobs => format!("{jobs} waiting jobs to be looked up before they are sent"),
    }
}
