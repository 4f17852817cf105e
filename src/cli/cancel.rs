//! `cancel`: jobs that wait or have failed are cancelled. A job that is being sent, or that may have taken effect, is not:
//! cancelling it would not take that back.

use chrono::Utc;
use clap::ArgGroup;

use super::repair::{Asked, BatchChange, Verb, WriteArgs, named};
use super::selector::{self, JobSelector};
use crate::advice::judgement;
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::{JobId, JobState, OperationKind};
use crate::queue::{self, Chosen, OnBatch};

const VERB: Verb = Verb { now: "cancel", done: "cancelled" };
const STATES: [JobState; 2] = [JobState::Pending, JobState::Failed];

#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("which").required(true).multiple(true).args(selector::ONE_OF),
    after_help = "The agent takes jobs a little ahead, and what it has taken is sent. To be sure that nothing more is sent to a mailbox, \
        hold it first, cancel, then release it.\n\n\
        An event that a cancelled job was to update or delete stays as it is. Jobs that wait for a cancelled create fail, as there is \
        no event for them.\n\n\
        'event-sender retry' puts a cancelled job back.\n\n\
        Exit code 1: a job named by its id was not cancelled, or none of those that match was."
)]
pub(super) struct Options {
    #[command(flatten)]
    selector: JobSelector,
    /// Jobs in this state
    #[arg(long, value_name = "STATE", value_parser = selector::states(&STATES), default_value = "pending", conflicts_with = "ids")]
    state: JobState,
    /// Also jobs in doubt: you have looked into the calendar
    #[arg(long)]
    even_if_in_doubt: bool,
    #[command(flatten)]
    write_args: WriteArgs,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let (selector, even_if_in_doubt) = (&options.selector, options.even_if_in_doubt);
    // Who means the waiting jobs should know of those that wait no longer.
    let states: &[JobState] = match options.state {
        JobState::Pending => &[JobState::Pending, JobState::Claimed],
        _ => &[JobState::Failed],
    };
    let (chosen, missing) = selector.find(&*queue, &settings, states, false).await.map_err(Failure::failed)?;
    let mut plan = BatchChange::new(&chosen, missing, |job| judgement::cancel(job, even_if_in_doubt));
    plan.notes = what_stays(&chosen, plan.jobs());
    let now = Utc::now();
    let asked = Asked { verb: VERB, write_args: options.write_args, by_id: selector.is_by_id() };
    let change = async |ids: &[JobId], on_batch: OnBatch<'_>| queue.cancel(ids, even_if_in_doubt, now, on_batch).await;
    plan.carry_out(&*queue, asked, change).await
}

/// What the operator should know of jobs that were to change an event: that it stays as it is.
fn what_stays(chosen: &[Chosen], changed: &[JobId]) -> Vec<String> {
    let note = |operation| {
        let jobs = chosen.iter().filter(|job| job.operation == operation && changed.binary_search(&job.id).is_ok());
        let ids: Vec<i64> = jobs.map(|job| job.id.0).collect();
        let verb = operation.as_str();
        match ids.len() {
            0 => None,
            1 => Some(format!("job {} was to {verb} its event, which stays as it is", named(ids.into_iter()))),
            _ => Some(format!("jobs {} were to {verb} their events, which stay as they are", named(ids.into_iter()))),
        }
    };
    [OperationKind::Update, OperationKind::Delete].into_iter().filter_map(note).collect()
}
