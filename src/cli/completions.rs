//! `completions`: what makes a shell complete commands and options. The script asks the program at each press of the key, so
//! that it knows not only words, but the ids, mailboxes and keys of the queue that the settings name.

use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use clap::Command;
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCandidates, CompletionCandidate, Shell};

use super::output;
use crate::agent::Failure;
use crate::config::{Environment, LocalSettings};
use crate::exit::Exit;
use crate::format::short;
use crate::job::{ErrorKind, JobState};
use crate::queue::{self, JobFilter, JobSummary, MailboxRow, Queue, QueueError};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The shell
    shell: Shell,
}

/// By which the script says that it asks, and for which shell.
const VARIABLE: &str = "EVENT_SENDER_COMPLETE";
const NAME: &str = "event-sender";
/// Who presses the key waits for no queue longer than this.
const PATIENCE: Duration = Duration::from_millis(400);
/// The newest jobs are looked at, and no others.
const LOOKED_AT: u32 = 200;

pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    output::bytes(script(options.shell)?.trim_ascii_end())?;
    Ok(Exit::Done)
}

/// What makes one shell ask.
pub(super) fn script(shell: Shell) -> std::io::Result<Vec<u8>> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let known = shells.completer(&name).ok_or_else(|| std::io::Error::other(format!("no completions for {name}")))?;
    let mut script = Vec::new();
    known.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    if shell == Shell::Zsh {
        return Ok(autoloaded(&String::from_utf8_lossy(&script)).into_bytes());
    }
    Ok(script)
}

/// Zsh finds a script in its path by its name, and runs it as the function itself when the key is pressed first.
fn autoloaded(script: &str) -> String {
    let Some((function, registration)) = script.trim_end().rsplit_once('\n') else { return script.to_owned() };
    let completer = registration.split_whitespace().nth(1).unwrap_or_default();
    format!(
        "{function}\nif [ \"$funcstack[1]\" = \"_{NAME}\" ]; then\n    {completer} \"$@\"\nelse\n    {registration}\nfi\n"
    )
}

/// Answers a shell that asks, and ends the process.
pub(super) fn answer_shell() {
    CompleteEnv::with_factory(|| with_candidates(super::definition()))
        .var(VARIABLE)
        .bin(NAME)
        .completer(NAME)
        .complete();
}

/// What stands for an argument.
#[derive(Clone, Copy, Debug)]
enum Stands {
    State,
    Kind,
    Id,
    Mailbox,
    /// Mailboxes on hold.
    Held,
    /// Mailboxes whose pause can be ended.
    Paused,
    Key,
    IdOrKey,
}

const ARGUMENTS: [(&str, &str, Stands); 21] = [
    ("list", "state", Stands::State),
    ("list", "error_kind", Stands::Kind),
    ("list", "mailbox", Stands::Mailbox),
    ("list", "event_key", Stands::Key),
    ("show", "id_or_key", Stands::IdOrKey),
    ("show", "key", Stands::Key),
    ("retry", "ids", Stands::Id),
    ("retry", "mailbox", Stands::Mailbox),
    ("cancel", "ids", Stands::Id),
    ("cancel", "mailbox", Stands::Mailbox),
    ("hold", "mailbox", Stands::Mailbox),
    ("release", "mailbox", Stands::Held),
    ("resume", "mailbox", Stands::Paused),
    ("check", "mailbox", Stands::Mailbox),
    ("enqueue", "mailbox", Stands::Mailbox),
    ("enqueue", "update", Stands::Key),
    ("enqueue", "delete", Stands::Key),
    // Words of their own, which a list with commas hides from the shell.
    ("retry", "error_kind", Stands::Kind),
    ("cancel", "error_kind", Stands::Kind),
    ("retry", "state", Stands::State),
    ("purge", "state", Stands::State),
];

fn with_candidates(program: Command) -> Command {
    ARGUMENTS.into_iter().fold(program, |program, (command, argument, stands)| {
        program.mut_subcommand(command, |command| {
            command.mut_arg(argument, |argument| match argument.get_possible_values().is_empty() {
                true => argument.add(ArgValueCandidates::new(move || candidates(stands))),
                // clap knows them already.
                false => argument,
            })
        })
    })
}

fn candidates(stands: Stands) -> Vec<CompletionCandidate> {
    match stands {
        Stands::State => JobState::ALL.iter().map(|state| state.as_str().into()).collect(),
        Stands::Kind => ErrorKind::ALL.iter().map(|kind| kind.as_str().into()).collect(),
        stands => of_queue(stands).unwrap_or_default(),
    }
}

/// Whatever is wrong, nobody is told in the middle of typing: then there is nothing to complete.
fn of_queue(stands: Stands) -> Option<Vec<CompletionCandidate>> {
    let settings = LocalSettings::load(named_settings(std::env::args_os()), &Environment::of_process()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let look = async {
        let queue = queue::open_existing(&settings.queue).await.ok()?;
        found(&*queue, stands, settings.unnamed.as_deref()).await.ok()
    };
    let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, look).await.ok().flatten() });
    runtime.shutdown_background();
    found
}

/// The settings file that the line to be completed names.
fn named_settings(words: impl Iterator<Item = std::ffi::OsString>) -> Option<PathBuf> {
    let words: Vec<_> = words.collect();
    let next = words.iter().position(|word| word == "--config").and_then(|place| words.get(place + 1)).cloned();
    let joined = || words.iter().find_map(|word| Some(word.to_str()?.strip_prefix("--config=")?.into()));
    next.or_else(joined).map(PathBuf::from)
}

async fn found(
    queue: &dyn Queue,
    stands: Stands,
    unnamed: Option<&str>,
) -> Result<Vec<CompletionCandidate>, QueueError> {
    let now = Utc::now();
    if matches!(stands, Stands::Held | Stands::Paused) {
        let rows = queue.mailboxes(now).await?.into_iter();
        let is_wanted = |row: &MailboxRow| match stands {
            Stands::Held => row.hold.is_some(),
            _ => row.paused_until(now).is_some() && row.kept_until(now).is_none(),
        };
        return Ok(distinct(rows.filter(is_wanted).map(|row| (row.mailbox, None))));
    }
    let mut jobs = queue.jobs(&JobFilter { limit: LOOKED_AT, ..JobFilter::default() }).await?;
    jobs.reverse();
    let ids = jobs.iter().map(|job| (job.id.to_string(), Some(about(job))));
    let keys = jobs.iter().filter_map(|job| Some((job.event_key.text()?.to_owned(), None)));
    let own = unnamed.map(|mailbox| (mailbox.to_owned(), None));
    let mailboxes = jobs.iter().filter_map(|job| Some((job.mailbox.text()?.to_owned(), None))).chain(own);
    Ok(match stands {
        Stands::Key => distinct(keys),
        Stands::Mailbox => distinct(mailboxes),
        Stands::IdOrKey => distinct(ids.chain(keys)),
        _ => distinct(ids),
    })
}

/// What helps to tell it from the others.
fn about(job: &JobSummary) -> String {
    let of = format!("{} {} {}", job.state.word(), job.mailbox, job.subject);
    short(&of, 60)
}

fn distinct(words: impl Iterator<Item = (String, Option<String>)>) -> Vec<CompletionCandidate> {
    let mut seen = std::collections::BTreeSet::new();
    let new = words.filter(|(word, _)| is_plain(word) && seen.insert(word.clone()));
    let candidate = |(place, (word, about)): (usize, (String, Option<String>))| {
        CompletionCandidate::new(word).help(about.map(Into::into)).display_order(Some(place))
    };
    new.enumerate().map(candidate).collect()
}

/// It goes onto somebody's command line as it is, and any program that inserts rows may have written it: nothing in it means
/// anything to a shell, and it is not an option.
fn is_plain(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+' | '/');
    !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_argument_that_is_completed_exists() {
        let program = super::super::definition();
        for (command, argument, _) in ARGUMENTS {
            let command = program.find_subcommand(command).unwrap();
            assert!(
                command.get_arguments().any(|known| known.get_id() == argument),
                "{} {argument}",
                command.get_name()
            );
        }
        // Would fail where an argument is not there.
        with_candidates(program).debug_assert();
    }

    #[test]
    fn what_a_shell_would_act_on_is_no_candidate() {
        for word in ["ann@contoso.com", "visit-7", "order/12.b", "12"] {
            assert!(is_plain(word), "{word}");
        }
        for word in ["", "--all", "$(reboot)", "a b", "a;b", "a'b", "ä@b.c", "a\u{202e}b", "`x`", "a&b", "~root", "a*"]
        {
            assert!(!is_plain(word), "{word}");
        }
    }

    #[test]
    fn the_settings_are_those_the_line_names() {
        let of = |line: &str| named_settings(line.split(' ').map(Into::into));
        assert_eq!(of("event-sender -- event-sender --config a.toml show"), Some("a.toml".into()));
        assert_eq!(of("event-sender -- event-sender list --config=b.toml"), Some("b.toml".into()));
        assert_eq!(of("event-sender -- event-sender list"), None);
    }
}
