//! `resume`: ends a mailbox's pause before it ends by itself, once the mailbox is fixed. What waits for the end of
//! the pause comes forward. Microsoft's own word is kept: a mailbox that it asked to leave alone stays paused.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::hold::{wait, waiting};
use super::output;
use super::repair::WriteArgs;
use super::selector::{lanes, mailbox};
use crate::advice::judgement::{PAUSED_ANEW, kept_paused};
use crate::advice::{row_json, shell};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format::clock;
use crate::job::format_utc;
use crate::queue::{self, LaneKey, MailboxRow, Queue};
use crate::visible;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "For a mailbox that was full, locked, without licence or without permission and has been fixed: a running agent tries one of its jobs within a second, and all of them if that works. If not, it is paused again. 'event-sender check --mailbox M' shows beforehand whether it works.\n\n\
    A mailbox that Microsoft asked to leave alone (Retry-After, throttling) stays paused until then: asking earlier makes it longer. A wait of more than a day is a mistake: it is obeyed for a day, and may be ended here.\n\n\
    Exit code 1: a mailbox named here was not paused, or is paused because Microsoft asked for it."
)]
pub(super) struct Options {
    /// Mailboxes, as the jobs name them
    #[arg(required_unless_present = "all", value_parser = mailbox)]
    mailbox: Vec<LaneKey>,
    /// Every paused mailbox but those that Microsoft asked to leave alone
    #[arg(long, conflicts_with = "mailbox")]
    all: bool,
    #[command(flatten)]
    write_args: WriteArgs,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let now = Utc::now();
    let stopped = queue.mailboxes(now).await?.into_iter();
    let paused: Vec<MailboxRow> = stopped.filter(|row| row.paused_until(now).is_some()).collect();
    let wanted = if options.all { paused.iter().map(MailboxRow::lane).collect() } else { options.mailbox };
    let (mut told, mut skipped) = (Vec::new(), Vec::new());
    for lane in &wanted {
        let name = lane.as_str();
        let ended = match paused.iter().find(|row| row.lane() == *lane) {
            Some(row) => end(&*queue, &settings, row, now, options.write_args.dry_run).await?,
            None => Err("is not paused".to_owned()),
        };
        match ended {
            Ok(ended) => {
                if !options.write_args.json {
                    output::line(&ended.line(options.write_args.dry_run))?;
                    ended.row.hold.iter().for_each(|_| {
                        let release = shell::last(name);
                        eprintln!(
                            "{} is on hold, too: 'event-sender release {release}' ends that",
                            visible::line(name)
                        );
                    });
                }
                told.push(ended.json());
            }
            Err(reason) => {
                eprintln!("{} {}", visible::line(name), visible::line(&reason));
                skipped.push(json!({ "mailbox": name, "reason": reason }));
            }
        }
    }
    if wanted.is_empty() && !options.write_args.json {
        eprintln!("no mailbox is paused");
    }
    let failed = !skipped.is_empty() && (!options.all || told.is_empty());
    if options.write_args.json {
        output::json(&json!({ "dry_run": options.write_args.dry_run, "resumed": told, "skipped": skipped }))?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// A pause that is over, and how many jobs waited for that.
struct Ended<'r> {
    row: &'r MailboxRow,
    waiting: u64,
}

impl Ended<'_> {
    fn line(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would resume" } else { "resumed" };
        let Self { row, waiting } = self;
        let until = row.pause.until.time().map(|until| clock(until, Utc::now())).unwrap_or_default();
        let kind = row.pause.kind.word();
        let kind = if kind.is_empty() { "no kind" } else { &kind };
        // What was asked for beyond all measure comes first: whoever ends that must have read it.
        let why = row.beyond_measure().unwrap_or_else(|| row.pause.reason.clone());
        let why = output::short(why.trim_end().trim_end_matches('.'), 200);
        let name = &row.mailbox;
        output::short(
            &format!("{verb} {name}, which was paused until {until} ({kind}: {why}): {}", wait(*waiting)),
            usize::MAX,
        )
    }

    fn json(&self) -> Value {
        let Self { row, waiting } = self;
        json!({
            "mailbox": row.lane().as_str(),
            "until": self.until(),
            "error_kind": row_json::mailbox(row)["error_kind"],
            "reason": row.beyond_measure().unwrap_or_else(|| row.pause.reason.clone()),
            "waiting": waiting,
        })
    }

    fn until(&self) -> Option<String> {
        self.row.pause.until.time().map(format_utc)
    }
}

/// Ends a pause, or says why not.
async fn end<'r>(
    queue: &dyn Queue,
    settings: &LocalSettings,
    row: &'r MailboxRow,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<Result<Ended<'r>, String>, Failure> {
    if let Some(reason) = kept_paused(row, now) {
        return Ok(Err(reason));
    }
    // Counted before: a running agent begins to send at once.
    let waiting = waiting(queue, settings, &row.lane()).await?;
    if !dry_run && !queue.resume_mailbox(row, &lanes(&row.mailbox, settings), now).await? {
        return Ok(Err(PAUSED_ANEW.into()));
    }
    Ok(Ok(Ended { row, waiting }))
}
