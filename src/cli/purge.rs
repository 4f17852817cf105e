//! `purge`: deletes jobs that ended a while ago, with their history. What `queue.retention` does by itself, by hand.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::repair::{Manner, jobs};
use super::{existing_queue, output, progress, when, which};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::JobState;
use crate::queue::{PURGE_BATCH, QueueError, SqliteQueue, rest_after};

const STATES: [JobState; 3] = [JobState::Sent, JobState::Failed, JobState::Cancelled];

#[derive(Debug, clap::Args)]
#[command(after_help = "Jobs in doubt are kept: their row is all that says an event may exist.\n\n\
    A hundred jobs are deleted at a time, with a rest after each, so that neither the agent nor a producer waits for it. The file does not \
    shrink: SQLite uses the space again for new jobs.")]
pub(super) struct Options {
    /// Jobs that ended longer ago, like 30d, or before that UTC time
    #[arg(long, value_name = "WHEN", value_parser = when::past)]
    older_than: DateTime<Utc>,
    /// Only jobs in this state; several with commas [default: all that have ended]
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = which::states(&STATES))]
    state: Vec<JobState>,
    #[command(flatten)]
    manner: Manner,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    let states = if options.state.is_empty() { STATES.to_vec() } else { options.state };
    let found = queue.purgeable(options.older_than, &states).await.map_err(Failure::failed)?;
    let mut deleted = 0;
    let trouble = match options.manner.dry_run {
        true => None,
        false => purge(&queue, options.older_than, &states, found.jobs, &mut deleted).await.err(),
    };
    let count = if options.manner.dry_run { found.jobs } else { deleted };
    if options.manner.json {
        let told = json!({ "dry_run": options.manner.dry_run, "purged": count, "kept_in_doubt": found.in_doubt });
        output::json(&told)?;
    } else {
        let verb = if options.manner.dry_run { "would purge" } else { "purged" };
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

async fn purge(
    queue: &SqliteQueue,
    before: DateTime<Utc>,
    states: &[JobState],
    expected: u64,
    deleted: &mut u64,
) -> Result<(), QueueError> {
    let bar = progress::of(expected, "jobs");
    for state in states {
        loop {
            let (round, already) = (queue.to_purge(before, *state).await?, *deleted);
            for batch in round.chunks(PURGE_BATCH) {
                let begin = Instant::now();
                let gone = queue.purge_batch(batch, before).await?;
                *deleted += gone;
                bar.inc(gone);
                tokio::time::sleep(rest_after(begin.elapsed())).await;
            }
            // None, or none of them any more.
            if *deleted == already {
                break;
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}
