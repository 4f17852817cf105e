//! `hold` and `release`: nothing is sent to a mailbox on hold until it is released; its jobs wait. A hold is a word of the
//! operator in the queue, beside the pauses the agent makes, and survives restarts as they do.

use chrono::Utc;
use serde_json::{Value, json};

use super::output;
use super::paper::{Cell, Column, Paper};
use super::repair::WriteArgs;
use super::selector::{lanes, mailbox};
use crate::advice::row_json;
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format::clock_of;
use crate::queue::{self, HoldColumns, LaneKey, Read};
use crate::visible;

const HELD: [Column; 4] = [
    Column::new("mailbox on hold").between(16, 40),
    Column::new("since").between(16, 24),
    Column::new("jobs waiting").right().goes(1),
    Column::new("reason"),
];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A running agent notices at once: requests under way finish, no new ones begin. Jobs without a mailbox go to defaults.mailbox and wait with it. Mailboxes are compared as the jobs write them, ignoring case."
)]
pub(super) struct HoldOptions {
    /// Mailboxes, as the jobs name them
    #[arg(required_unless_present = "list", value_parser = mailbox)]
    mailbox: Vec<LaneKey>,
    /// Why; shown with the hold
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only list what is on hold
    #[arg(long, conflicts_with_all = ["mailbox", "reason", "dry_run"])]
    list: bool,
    #[command(flatten)]
    write_args: WriteArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A pause of the agent's own (throttling, a missing permission) stays: 'event-sender resume' ends it.\n\n\
    Exit code 1: a mailbox named here was not on hold."
)]
pub(super) struct ReleaseOptions {
    /// Mailboxes
    #[arg(required_unless_present = "all", value_parser = mailbox)]
    mailbox: Vec<LaneKey>,
    /// Everything that is on hold
    #[arg(long, conflicts_with = "mailbox")]
    all: bool,
    #[command(flatten)]
    write_args: WriteArgs,
}

pub(super) async fn hold(options: HoldOptions, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let holds = holds(&*queue).await?;
    if options.list {
        list(&*queue, &settings, &holds, options.write_args.json).await?;
        return Ok(Exit::Done);
    }
    let mut told = Vec::new();
    for lane in &options.mailbox {
        let before = holds.iter().find(|hold| hold.lane() == *lane);
        if !options.write_args.dry_run {
            queue.hold_mailbox(lane, options.reason.as_deref(), Utc::now()).await?;
        }
        let waiting = waiting(&*queue, &settings, lane).await?;
        if options.write_args.json {
            told.push(json!({ "mailbox": lane.as_str(), "waiting": waiting, "since": before.map(|hold| row_json::stored(&hold.columns.since)) }));
            continue;
        }
        let verb = if options.write_args.dry_run { "would hold" } else { "held" };
        match before {
            Some(hold) => {
                let replaced = replaced(&hold.columns, options.reason.as_deref(), options.write_args.dry_run);
                let since = clock_of(&hold.columns.since.to_string(), Utc::now());
                let text = format!("{} is on hold since {since}{replaced}: {}", hold.mailbox, wait(waiting));
                output::line(&output::short(&text, usize::MAX))?;
            }
            None => output::line(&format!("{verb} {}: {}", visible::line(lane.as_str()), wait(waiting)))?,
        }
        if waiting == 0 {
            eprintln!(
                "no job waits for {}; if that is a surprise, see how the jobs write it: 'event-sender list'",
                visible::line(lane.as_str())
            );
        }
    }
    if options.write_args.json {
        output::json(&json!({ "dry_run": options.write_args.dry_run, "held": told }))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn release(options: ReleaseOptions, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let holds = holds(&*queue).await?;
    let held: Vec<LaneKey> = holds.iter().map(Hold::lane).collect();
    let wanted = if options.all { held.clone() } else { options.mailbox };
    let (mut told, mut skipped) = (Vec::new(), Vec::new());
    for lane in &wanted {
        let name = lane.as_str();
        // Asked before: a running agent begins to send at once.
        let waiting = waiting(&*queue, &settings, lane).await?;
        let released = match options.write_args.dry_run {
            true => held.contains(lane),
            false => queue.release_mailbox(lane).await?,
        };
        if !released {
            skipped.push(json!({ "mailbox": name, "reason": "is not on hold" }));
            eprintln!("{} is not on hold", visible::line(name));
            continue;
        }
        told.push(json!({ "mailbox": name, "waiting": waiting }));
        if !options.write_args.json {
            let verb = if options.write_args.dry_run { "would release" } else { "released" };
            output::line(&format!("{verb} {}: {}", visible::line(name), wait(waiting)))?;
        }
    }
    if wanted.is_empty() && !options.write_args.json {
        eprintln!("no mailbox is on hold");
    }
    let failed = !skipped.is_empty();
    if options.write_args.json {
        output::json(&json!({ "dry_run": options.write_args.dry_run, "released": told, "skipped": skipped }))?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// A mailbox on hold.
struct Hold {
    mailbox: String,
    columns: HoldColumns,
}

impl Hold {
    fn lane(&self) -> LaneKey {
        LaneKey::of(&self.mailbox)
    }
}

/// By name.
async fn holds(queue: &dyn Read) -> Result<Vec<Hold>, Failure> {
    let stopped = queue.mailboxes(Utc::now()).await?.into_iter();
    Ok(stopped.filter_map(|row| Some(Hold { mailbox: row.mailbox, columns: row.hold? })).collect())
}

async fn list(queue: &dyn Read, settings: &LocalSettings, holds: &[Hold], as_json: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for hold in holds {
        let waiting = waiting(queue, settings, &hold.lane()).await?;
        rows.push((hold, waiting));
    }
    if as_json {
        let row = |(hold, waiting): &(&Hold, u64)| {
            let (since, reason) = (row_json::stored(&hold.columns.since), row_json::stored(&hold.columns.reason));
            json!({ "mailbox": hold.mailbox, "held_at": since, "reason": reason, "waiting": waiting })
        };
        output::json(&Value::Array(rows.iter().map(row).collect()))?;
    } else if rows.is_empty() {
        eprintln!("no mailbox is on hold");
    } else {
        let row = |(hold, waiting): &(&Hold, u64)| {
            let since = clock_of(&hold.columns.since.to_string(), Utc::now());
            let [mailbox, since, reason] =
                [hold.mailbox.clone(), since, hold.columns.reason.to_string()].map(Cell::from);
            vec![mailbox, since, Cell::from(waiting.to_string()), reason]
        };
        output::lines(&Paper::new(false).table(&HELD, &rows.iter().map(row).collect::<Vec<_>>()))?;
    }
    Ok(())
}

/// How many jobs wait for a mailbox.
pub(super) async fn waiting(queue: &dyn Read, settings: &LocalSettings, lane: &LaneKey) -> Result<u64, Failure> {
    Ok(queue.waiting_for(&lanes(lane.as_str(), settings)).await?)
}

/// What a new reason does to the one that stands there. A hold keeps its time.
fn replaced(hold: &HoldColumns, reason: Option<&str>, dry_run: bool) -> String {
    match (reason, hold.reason.words().as_deref()) {
        (None, _) => String::new(),
        (Some(new), Some(old)) if new == old => String::new(),
        (Some(_), Some(old)) if dry_run => {
            format!(", its reason would be replaced (it is \"{}\")", output::short(old, 90))
        }
        (Some(_), Some(old)) => format!(", its reason is replaced (it was \"{}\")", output::short(old, 90)),
        (Some(_), None) if dry_run => ", a reason would be added".into(),
        (Some(_), None) => ", a reason is added".into(),
    }
}

pub(super) fn wait(count: u64) -> String {
    match count {
        0 => "no job waits".to_owned(),
        1 => "1 job waits".to_owned(),
        _ => format!("{count} jobs wait"),
    }
}
