//! `retry`: jobs that failed or were cancelled go back to be sent, and those that wait for another try have it now.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::ArgGroup;

use super::repair::{Asked, BatchChange, Verb, WriteArgs, jobs};
use super::selector::{self, JobSelector, lane_of};
use crate::advice::standing::gate_words;
use crate::advice::{judgement, shell};
use crate::agent::{Failure, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format::{clock, clock_of};
use crate::job::{ErrorKind, JobId, JobState, Operation, format_utc};
use crate::queue::{self, Chosen, LaneKey, OnBatch, Read};

const VERB: Verb = Verb { now: "retry", done: "retried" };
const STATES: [JobState; 3] = [JobState::Failed, JobState::Cancelled, JobState::Pending];

#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("which").required(true).multiple(true).args(selector::ONE_OF).arg("configuration"),
    after_help = "A job keeps its transaction id, so it becomes no second event. One in doubt is looked up before it is sent. \
        It starts with all its attempts, and waits for its not_before and for its mailbox, as ever.\n\n\
        Jobs that failed as invalid_job would fail again: they are left alone unless named by id or --error-kind invalid_job.\n\n\
        Exit code 1: a job named by its id was not retried, or none of those that match was."
)]
pub(super) struct Options {
    #[command(flatten)]
    selector: JobSelector,
    /// Jobs that failed for a reason outside of them: sign-in, permission, a missing mailbox or calendar
    /// (auth, denied, not_found, and exhausted while waiting for those)
    #[arg(long, conflicts_with_all = ["ids", "error_kind", "all"])]
    configuration: bool,
    /// Jobs in this state; pending ones are tried at once instead of after their wait
    #[arg(long, value_name = "STATE", value_parser = selector::states(&STATES), default_value = "failed", conflicts_with = "ids", hide_default_value = false)]
    state: JobState,
    #[command(flatten)]
    write_args: WriteArgs,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let now = Utc::now();
    let selector = &options.selector;
    let (chosen, missing) =
        selector.find(&*queue, &settings, &[options.state], options.configuration).await.map_err(Failure::failed)?;
    let invalid_too = selector.is_by_id() || selector.error_kind.contains(&ErrorKind::InvalidJob);
    let mut plan = BatchChange::new(&chosen, missing, |job| judgement::retry(job, invalid_too, now));
    plan.waits = waits(&*queue, &settings, &chosen, &plan, now).await?;
    if selector.is_by_id() {
        plan.notes = still_invalid(&*queue, &settings, &chosen).await?;
    }
    let asked = Asked { verb: VERB, write_args: options.write_args, by_id: selector.is_by_id() };
    let change = async |ids: &[JobId], on_batch: OnBatch<'_>| queue.retry(ids, now, on_batch).await;
    plan.carry_out(&*queue, asked, change).await
}

/// What keeps jobs waiting all the same, those put back and those that waited already: all sending is paused, their mailbox is on
/// hold or paused, their time has not come.
async fn waits(
    queue: &dyn Read,
    settings: &LocalSettings,
    chosen: &[Chosen],
    plan: &BatchChange,
    now: DateTime<Utc>,
) -> Result<Vec<String>, Failure> {
    let (mut counts, mut wished) = (BTreeMap::<LaneKey, usize>::new(), BTreeMap::<&str, usize>::new());
    let now_text = format_utc(now);
    for job in chosen.iter().filter(|job| job.state == JobState::Pending || plan.jobs().binary_search(&job.id).is_ok())
    {
        if job.wished > now_text {
            // Of a job that waits already the reason is told where it is left alone.
            *wished.entry(&job.wished).or_default() += usize::from(job.state != JobState::Pending);
        } else {
            *counts.entry(lane_of(job, settings)).or_default() += 1;
        }
    }
    let agent = queue.agents().await?.into_iter().next().unwrap_or_default();
    if let Some((gate, until)) = agent.gate().and_then(|gate| Some((gate, gate.closed_until(now)?)))
        && !counts.is_empty()
    {
        let jobs = jobs(counts.values().sum());
        let (until, words) = (clock(until, now), gate_words(gate));
        return Ok(vec![format!("waits until {until}: all sending is paused, {words} ({jobs})")]);
    }
    let stopped = queue.mailboxes(now).await?;
    let of_mailbox = |(lane, count): (LaneKey, usize)| {
        let (name, jobs) = (lane.as_str(), jobs(count));
        let row = stopped.iter().find(|row| row.lane() == lane)?;
        if row.hold.is_some() {
            let release = shell::last(name);
            return Some(format!(
                "waits until {name} is released ({jobs}): it is on hold, 'event-sender release {release}'"
            ));
        }
        let until = clock(row.paused_until(now)?, now);
        let resume = match row.kept_until(now) {
            Some(_) => ", as Microsoft asked".to_owned(),
            None => format!("; 'event-sender resume {}' once it is fixed", shell::last(name)),
        };
        Some(format!("waits until {until}: {name} is paused{resume} ({jobs})"))
    };
    let of_wish = |(wished, count): (&str, usize)| {
        (count > 0).then(|| format!("waits until {}: the not_before ({})", clock_of(wished, now), jobs(count)))
    };
    let waits = counts.into_iter().filter_map(of_mailbox);
    Ok(waits.chain(wished.into_iter().filter_map(of_wish)).collect())
}

/// Named by the operator, who may have corrected them: those that are not valid even so.
async fn still_invalid(queue: &dyn Read, settings: &LocalSettings, chosen: &[Chosen]) -> Result<Vec<String>, Failure> {
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let mut notes = Vec::new();
    for JobId(id) in chosen.iter().filter(|job| job.state == JobState::Failed).map(|job| job.id) {
        let Some(input) = queue.input(JobId(id)).await? else { continue };
        if let Err(fault) = Operation::judge(&input.with_defaults(&defaults), defaults.own_mailbox) {
            notes.push(format!("job {id} will fail again: {fault}"));
        }
    }
    Ok(notes)
}
