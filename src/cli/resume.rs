//! `resume`: ends a mailbox's pause before it ends by itself, for who has put the mailbox right. What waits for the end of
//! the pause comes forward. Microsoft's own word is kept: a mailbox that it asked to leave alone goes on resting.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::hold::{mailbox, wait, waiting};
use super::repair::Manner;
use super::which::lanes;
use super::{existing_queue, output, shell};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::{ErrorKind, JobState, format_utc};
use crate::queue::{LaneKey, REPAIR_BATCH, Rest, Selection, SqliteQueue};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "For a mailbox that was full, locked, without licence or without permission and is put right: a running agent tries one of its \
    jobs within a second, and goes on with all of them if that works. If not, it rests again. \
    'event-sender check --mailbox M' tells beforehand.\n\n\
    A mailbox that Microsoft asked to leave alone (Retry-After, throttling) rests until then: asking earlier makes it longer. A wait of \
    more than a day is no wait but a mistake: it is obeyed for a day, and may be ended here.\n\n\
    Exit code 1: a mailbox named here was not paused, or rests because Microsoft asked for it."
)]
pub(super) struct Options {
    /// Mailboxes, as the jobs name them
    #[arg(required_unless_present = "all", value_parser = mailbox)]
    mailbox: Vec<LaneKey>,
    /// Every paused mailbox but those that Microsoft asked to leave alone
    #[arg(long, conflicts_with = "mailbox")]
    all: bool,
    #[command(flatten)]
    manner: Manner,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    let now = Utc::now();
    let paused: Vec<Rest> = queue.rests(now).await?.into_iter().filter(|rest| rest.paused_until.is_some()).collect();
    let wanted = if options.all { paused.iter().map(|rest| rest.lane.clone()).collect() } else { options.mailbox };
    let (mut told, mut skipped) = (Vec::new(), Vec::new());
    for lane in &wanted {
        let name = lane.as_str();
        let ended = match paused.iter().find(|rest| rest.lane == *lane) {
            Some(rest) => end(&queue, &settings, rest, (now, options.manner.dry_run)).await?,
            None => Err("is not paused".to_owned()),
        };
        match ended {
            Ok(ended) => {
                if !options.manner.json {
                    output::line(&ended.line(options.manner.dry_run))?;
                    ended.rest.held_at.iter().for_each(|_| {
                        eprintln!("{name} is on hold, too: 'event-sender release {}' ends that", shell::last(name));
                    });
                }
                told.push(ended.json());
            }
            Err(reason) => {
                eprintln!("{name} {reason}");
                skipped.push(json!({ "mailbox": name, "reason": reason }));
            }
        }
    }
    if wanted.is_empty() && !options.manner.json {
        eprintln!("no mailbox is paused");
    }
    let failed = !skipped.is_empty() && (!options.all || told.is_empty());
    if options.manner.json {
        output::json(&json!({ "dry_run": options.manner.dry_run, "resumed": told, "skipped": skipped }))?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// A pause that is over, and how many jobs waited for that.
struct Ended<'r> {
    rest: &'r Rest,
    waiting: u64,
}

impl Ended<'_> {
    fn line(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would resume" } else { "resumed" };
        let Self { rest, waiting } = self;
        let until = rest.paused_until.map(format_utc).unwrap_or_default();
        let kind = rest.kind.as_deref().unwrap_or("no kind");
        // What was asked for beyond all measure comes first: whoever ends that must have read it.
        let why = rest.beyond_measure().unwrap_or_else(|| rest.reason.clone());
        let why = output::short(why.trim_end().trim_end_matches('.'), 200);
        let name = rest.lane.as_str();
        output::short(
            &format!("{verb} {name}, which was to rest until {until} ({kind}: {why}): {}", wait(*waiting)),
            usize::MAX,
        )
    }

    fn json(&self) -> Value {
        let Self { rest, waiting } = self;
        json!({
            "mailbox": rest.lane.as_str(),
            "until": rest.paused_until.map(format_utc),
            "error_kind": rest.kind,
            "reason": rest.beyond_measure().unwrap_or_else(|| rest.reason.clone()),
            "waiting": waiting,
        })
    }
}

/// Ends a pause, or says why not.
async fn end<'r>(
    queue: &SqliteQueue,
    settings: &LocalSettings,
    rest: &'r Rest,
    (now, dry_run): (DateTime<Utc>, bool),
) -> Result<Result<Ended<'r>, String>, Failure> {
    if let Some(until) = rest.kept_until(now) {
        let until = format_utc(until);
        return Ok(Err(format!(
            "rests until {until} because Microsoft asked for that (Retry-After, throttling): it goes on by itself, and asking \
             earlier only makes it longer"
        )));
    }
    // Counted before: a running agent begins to send at once.
    let waiting = waiting(queue, settings, &rest.lane).await?;
    if !dry_run {
        if !queue.resume_mailbox(rest, now).await.map_err(Failure::failed)? {
            return Ok(Err("has been paused anew meanwhile: look at it again".into()));
        }
        come_forward(queue, settings, rest, now).await?;
    }
    Ok(Ok(Ended { rest, waiting }))
}

/// The jobs that met what the mailbox rests for wait for the end of that, each by itself.
async fn come_forward(
    queue: &SqliteQueue,
    settings: &LocalSettings,
    rest: &Rest,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let Some(kind) = rest.kind.as_deref().and_then(ErrorKind::parse) else { return Ok(()) };
    let selection = Selection {
        states: vec![JobState::Pending],
        error_kinds: vec![kind],
        lanes: lanes(rest.lane.as_str(), settings),
        ..Selection::default()
    };
    let waiting = queue.select(&selection).await.map_err(Failure::failed)?;
    let ids: Vec<_> = waiting.iter().map(|job| job.id).collect();
    for batch in ids.chunks(REPAIR_BATCH) {
        queue.retry(batch, now).await.map_err(Failure::failed)?;
    }
    Ok(())
}
