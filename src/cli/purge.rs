//! `purge`: deletes jobs that ended a while ago, with their history. What `queue.retention` does by itself, by hand.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::repair::{WriteArgs, jobs};
use super::{output, progress, selector, time_arg};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::JobState;
use crate::queue;

const STATES: [JobState; 3] = [JobState::Sent, JobState::Failed, JobState::Cancelled];

#[derive(Debug, clap::Args)]
#[command(after_help = "Jobs in doubt are kept: their row is all that says an event may exist.\n\n\
    A hundred jobs are deleted at a time, with a rest after each, so that neither the agent nor a producer waits for it. The file does not \
    shrink: SQLite uses the space again for new jobs.")]
pub(super) struct Options {
    /// Jobs that ended longer ago, like 30d, or before that UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_arg::past)]
    older_than: DateTime<Utc>,
    /// Only jobs in this state; several with commas [default: all that have ended]
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = selector::states(&STATES))]
    state: Vec<JobState>,
    #[command(flatten)]
    write_args: WriteArgs,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let states = if options.state.is_empty() { STATES.to_vec() } else { options.state };
    let found = queue.purgeable(options.older_than, &states).await?;
    let mut deleted = 0;
    let mut trouble = None;
    if !options.write_args.dry_run {
        let bar = progress::of(found.jobs, "jobs");
        let mut on_batch = |gone| {
            deleted += gone;
            bar.inc(gone);
        };
        trouble = queue.purge_ended(options.older_than, &states, &mut on_batch).await.err();
        bar.finish_and_clear();
    }
    let count = if options.write_args.dry_run { found.jobs } else { deleted };
    if options.write_args.json {
        let told = json!({ "dry_run": options.write_args.dry_run, "purged": count, "kept_in_doubt": found.in_doubt });
        output::json(&told)?;
    } else {
        let verb = if options.write_args.dry_run { "would purge" } else { "purged" };
        output::line(&format!("{verb} {}", jobs(usize::try_from(count).unwrap_or(usize::MAX))))?;
        if found.in_doubt > 0 {
            eprintln!("{} kept: an event may exist for each of them", found.in_doubt);
        }
    }
    match trouble {
        Some(error) => Err(Failure::failed(format!("{error}\nrun the command again for the rest"))),
        None => Ok(Exit::Done),
    }
}
