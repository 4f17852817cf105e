//! `migrate`: brings the schema of the queue up to date, with the rights of whoever runs it. Agents need fewer. And moves a queue
//! from SQLite to PostgreSQL.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{output, progress};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format;
use crate::queue::{self, Fault, Faults, MoveError, Moved};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "--copy-from moves all jobs, with their history, and what is known of mailboxes, into the empty queue in \
    PostgreSQL that queue.url names. Stop the agent of the file first. All of it moves, or nothing; killed, it can be run again. \
    Afterwards no agent starts on the file, and no program can write into its jobs."
)]
pub(super) struct Options {
    /// Move the queue in this SQLite file into the one of the settings
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    copy_from: Option<PathBuf>,
    /// Only say what would move, and what cannot
    #[arg(long, requires = "copy_from")]
    dry_run: bool,
    /// Say it as JSON
    #[arg(long, requires = "copy_from")]
    json: bool,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    match &options.copy_from {
        Some(file) => copy(file, &options, &settings).await,
        None => bring_up_to_date(&settings).await,
    }
}

async fn bring_up_to_date(settings: &LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::migrate(&settings.queue).await?;
    output::line(&format!("the queue {} is up to date", queue.name()))?;
    queue.close().await;
    Ok(Exit::Done)
}

async fn copy(file: &Path, options: &Options, settings: &LocalSettings) -> Result<Exit, Failure> {
    let bar = progress::of(0, "rows");
    let mut tell = |done: u64, of: u64| told(&bar, done, of);
    let moved = queue::copy_from(file, &settings.queue, settings.unnamed.as_deref(), options.dry_run, &mut tell).await;
    bar.finish_and_clear();
    match moved {
        Ok(moved) => say(file, options, &moved)?,
        Err(MoveError::Unfit(faults)) => return refuse(file, options, &settings.queue.place.name(), &faults),
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Done)
}

fn told(bar: &ProgressBar, done: u64, of: u64) {
    bar.set_length(of);
    bar.set_position(done);
}

fn say(file: &Path, options: &Options, moved: &Moved) -> Result<(), Failure> {
    if options.json {
        return Ok(output::json(&as_json(file, options.dry_run, &moved.to, moved, &[]))?);
    }
    let (from, to) = (file.display(), &moved.to);
    let jobs = format::jobs(i64::try_from(moved.jobs).unwrap_or(i64::MAX));
    output::line(&match (options.dry_run, moved.before) {
        (true, _) => format!("would move {jobs} from {from} to {to}"),
        (false, true) => format!("{from} was moved to {to} already"),
        (false, false) => format!("moved {jobs} from {from} to {to}"),
    })?;
    if moved.in_doubt > 0 {
        eprintln!("{} in doubt: the agent looks for their events before it sends anything", moved.in_doubt);
    }
    if !options.dry_run {
        eprintln!("point the producers to {to}, and start the agents");
    }
    Ok(())
}

fn refuse(file: &Path, options: &Options, to: &str, faults: &Faults) -> Result<Exit, Failure> {
    if options.json {
        output::json(&as_json(file, options.dry_run, to, &Moved::default(), &faults.told))?;
    } else {
        for Fault { row, column, what, cure } in &faults.told {
            eprintln!("{row}: {column} {what}: {cure}");
        }
    }
    let count = format::counted(i64::try_from(faults.count).unwrap_or(i64::MAX), "fault", "faults");
    let cure = "nothing was moved; correct these rows, and run the command again";
    Err(Failure::failed(format!("{count} in {}: {cure}", file.display())))
}

fn as_json(file: &Path, dry_run: bool, to: &str, moved: &Moved, faults: &[Fault]) -> Value {
    let faults: Vec<Value> = faults
        .iter()
        .map(|fault| json!({ "row": fault.row, "column": fault.column, "what": fault.what, "cure": fault.cure }))
        .collect();
    json!({
        "dry_run": dry_run,
        "from": file.display().to_string(),
        "to": to,
        "jobs": moved.jobs,
        "attempts": moved.attempts,
        "mailboxes": moved.mailboxes,
        "in_doubt": moved.in_doubt,
        "had_moved": moved.before,
        "faults": faults,
    })
}

impl From<MoveError> for Failure {
    fn from(error: MoveError) -> Self {
        let exit = match error {
            MoveError::Open(error) => return error.into(),
            MoveError::Queue(error) => return error.into(),
            MoveError::Settings(_) => Exit::Config,
            MoveError::InUse(_) => Exit::Unavailable,
            MoveError::Unfit(_) | MoveError::Failed(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}
