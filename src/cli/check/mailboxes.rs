//! Mailboxes: those of the settings, those named, and those jobs wait for. Their calendar is read, nothing is written; a
//! PASS does not prove that the agent may write.
//!
//! A mailbox that Microsoft asked to be left alone is left alone here too. Of one that is paused for another reason an operator
//! who names it wants to know whether it is right again.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tokio::task::JoinSet;

use super::Options;
use super::database::Database;
use super::findings::Finding;
use super::network::Peer;
use crate::advice::shell;
use crate::auth::TokenCache;
use crate::cli::output::short;
use crate::clock::Now;
use crate::config::Settings;
use crate::format::clock;
use crate::graph::GraphClient;
use crate::hint::Hint;
use crate::job::{CallResult, Cause, ErrorKind, Explained, Outcome};
use crate::queue::{LaneKey, MailboxRow};
use crate::worker::Bearer;

const CHECK: &str = "mailbox";
/// Of the mailboxes in the queue, unless all are wanted.
pub(super) const BUSIEST: u32 = 10;
/// Asked at once.
const AT_ONCE: usize = 4;

/// A mailbox to be asked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// None for the signed-in user's own.
    mailbox: Option<String>,
    /// Under which its pauses and holds are kept.
    lane: LaneKey,
    /// Named on the command line.
    named: bool,
}

pub(super) struct Looked {
    pub(super) findings: Vec<Finding>,
    /// Whether one of those that were asked could be read.
    pub(super) readable: bool,
}

/// Which mailboxes, and what is to be said about the choice.
pub(super) fn wanted(settings: &Settings, database: &Database, options: &Options) -> (Vec<Wanted>, Vec<Finding>) {
    let (mut all, mut remarks) = (Vec::new(), Vec::new());
    let (default, unnamed) = (settings.defaults.mailbox.as_ref(), settings.unnamed());
    let mut add = |mailbox: Option<&str>, named| {
        let lane = LaneKey::of(mailbox.or(unnamed.as_deref()).unwrap_or_default());
        match all
            .iter_mut()
            .find(|known: &&mut Wanted| known.mailbox.is_some() == mailbox.is_some() && known.lane == lane)
        {
            Some(known) => known.named |= named,
            None => all.push(Wanted { mailbox: mailbox.map(str::to_owned), lane, named }),
        }
    };
    default.iter().for_each(|mailbox| add(Some(mailbox), false));
    options.mailbox.iter().for_each(|mailbox| add(Some(mailbox), true));
    if default.is_none() && options.mailbox.is_empty() && settings.own_mailbox() {
        add(None, false);
    }
    match &database.overview {
        None => {}
        Some(Ok(overview)) => {
            let waiting = &overview.waiting;
            // The signed-in user's own is asked for as such, above.
            let own = unnamed.as_deref().filter(|_| default.is_none()).map(LaneKey::of);
            waiting
                .mailboxes
                .iter()
                .map(|one| one.mailbox.as_str())
                .filter(|mailbox| !mailbox.is_empty() && own != Some(LaneKey::of(mailbox)))
                .for_each(|mailbox| add(Some(mailbox), false));
            if waiting.more > 0 {
                let text = format!("{} more with waiting jobs were left out", waiting.more);
                remarks.push(Finding::warn(CHECK, text).cure("--all-mailboxes checks them too"));
            }
        }
        Some(Err(error)) => remarks.push(Finding::not_checked(CHECK, &error.to_string())),
    }
    if all.is_empty() {
        let text = "none to check, and a job without mailbox will fail";
        remarks.push(Finding::warn(CHECK, text).cure("set defaults.mailbox, or name one with --mailbox"));
    }
    (all, remarks)
}

/// Asks each of them once, a few at a time.
pub(super) async fn look(
    graph: &Arc<GraphClient>,
    tokens: &Arc<TokenCache>,
    (wanted, remarks): (Vec<Wanted>, Vec<Finding>),
    database: &Database,
    at: Peer,
) -> Looked {
    let all_rest = throttled_as_a_whole(database);
    let mut answers = Answers { findings: vec![None; wanted.len()], asked: JoinSet::new(), readable: false };
    for (place, wanted) in wanted.into_iter().enumerate() {
        let rest = database.stopped.iter().find(|row| row.lane() == wanted.lane);
        if let Some(finding) = left_alone(&wanted, rest, all_rest.as_deref()) {
            answers.findings[place] = Some(finding);
            continue;
        }
        // Where Graph is away, the first of them finds out for all.
        let at_once = if at == Peer::Unreachable { 1 } else { AT_ONCE };
        while answers.asked.len() >= at_once && answers.take().await {}
        if at == Peer::Unreachable && answers.findings.iter().flatten().any(Finding::is_unreachable) {
            answers.findings[place] = Some(about(&wanted, Finding::not_checked(CHECK, "Graph cannot be reached")));
            continue;
        }
        let (graph, tokens, rest) = (graph.clone(), tokens.clone(), rest.cloned());
        answers.asked.spawn(async move {
            let (readable, finding) = ask(&graph, &tokens, &wanted, rest.as_ref()).await;
            (place, readable, finding)
        });
    }
    while answers.take().await {}
    Looked { findings: answers.findings.into_iter().flatten().chain(remarks).collect(), readable: answers.readable }
}

/// What was asked, and what came back, in the order of asking.
struct Answers {
    findings: Vec<Option<Finding>>,
    asked: JoinSet<(usize, bool, Finding)>,
    readable: bool,
}

impl Answers {
    /// Waits for the next answer. False: there is none to wait for.
    async fn take(&mut self) -> bool {
        let Some(answer) = self.asked.join_next().await else { return false };
        if let Ok((place, readable, finding)) = answer {
            self.readable |= readable;
            self.findings[place] = Some(finding);
        }
        true
    }
}

/// Until when Microsoft has the whole application wait.
fn throttled_as_a_whole(database: &Database) -> Option<String> {
    let gate = database.agent()?.said.as_ref()?.gate.as_ref()?;
    let until = gate.closed_until(Utc::now())?;
    (gate.kind.known() == Some(ErrorKind::Throttled)).then(|| clock(until, Utc::now()))
}

fn about(wanted: &Wanted, finding: Finding) -> Finding {
    let name = wanted.mailbox.as_deref().map_or_else(|| "the signed-in user's own".into(), |name| short(name, 80));
    finding.about(name)
}

/// Those that must not be asked now, or cannot.
fn left_alone(wanted: &Wanted, rest: Option<&MailboxRow>, all_rest: Option<&str>) -> Option<Finding> {
    if matches!(wanted.mailbox.as_deref().map(str::trim), Some("" | "." | "..")) {
        let finding = Finding::fail(CHECK, "this is not a mailbox")
            .cure("give an address, a user principal name or an object id");
        return Some(about(wanted, finding));
    }
    if let Some(until) = all_rest {
        let why = format!("Microsoft limits the whole application, nothing is asked before {until}");
        return Some(about(wanted, Finding::not_checked(CHECK, &why)));
    }
    let rest = rest?;
    let now = Utc::now();
    let until = rest.paused_until(now)?;
    let asked = rest.is_throttled() || rest.kept_until(now).is_some();
    if wanted.named && !asked {
        return None;
    }
    let reason = short(&rest.pause.reason, 500);
    let finding = Finding::warn(CHECK, format!("not asked, it is paused until {} ({reason})", clock(until, now)));
    let name = shell::last(&rest.mailbox);
    let cure = match (asked, rest.beyond_measure()) {
        (true, Some(_)) => format!("'event-sender resume {name}' ends a pause that is a mistake"),
        (true, None) => "nothing to do: Microsoft asked to leave it alone, and it resumes by itself".to_owned(),
        (false, _) => {
            let named = shell::word(&rest.mailbox);
            format!("once that is fixed, test it with --mailbox {named}; 'event-sender resume {name}' ends the pause")
        }
    };
    Some(about(wanted, finding.cure(cure)))
}

/// Whether it could be read, and what is to be said of it.
async fn ask(
    graph: &GraphClient,
    tokens: &Arc<TokenCache>,
    wanted: &Wanted,
    rest: Option<&MailboxRow>,
) -> (bool, Finding) {
    let now = Now { wall: Utc::now(), steady: Instant::now() };
    let mailbox = wanted.mailbox.as_deref();
    let probed = Bearer::ask(tokens, |token| async move { graph.probe(mailbox, &token, now).await }).await;
    let finding = match &probed {
        Ok(()) => read(rest),
        Err(result) => refused(result),
    };
    (probed.is_ok(), about(wanted, finding))
}

fn read(rest: Option<&MailboxRow>) -> Finding {
    let Some(hold) = rest.and_then(|rest| rest.hold.as_ref()) else { return readable(rest) };
    let since = &hold.since;
    let reason = hold.reason.words().map(|reason| format!(" ({})", short(&reason, 500))).unwrap_or_default();
    let text = format!("its calendar can be read, but it is on hold since {since}{reason}");
    Finding::warn(CHECK, text).cure("nothing is sent to it until it is released")
}

/// Nobody holds it.
fn readable(rest: Option<&MailboxRow>) -> Finding {
    let text = "its calendar can be read";
    match rest.and_then(|rest| Some((rest.paused_until(Utc::now())?, shell::last(&rest.mailbox)))) {
        None => Finding::pass(CHECK, text),
        Some((until, name)) => {
            Finding::pass(CHECK, format!("{text}; it stays paused until {}", clock(until, Utc::now())))
                .cure(format!("'event-sender resume {name}' ends that"))
        }
    }
}

fn refused(call: &CallResult) -> Finding {
    let code = call.answer.code.as_ref().map(|code| format!(" [{}]", short(code, 60))).unwrap_or_default();
    let Explained { hint: Hint { means, cure }, said } = call.explained.clone().unwrap_or_else(|| {
        let means = call.answer.message.clone().unwrap_or_else(|| "Graph did not say why".into());
        Hint { means: means.into(), cure: None }.into()
    });
    let said = said.map(|said| format!(" (Graph said: {})", short(&said, 250))).unwrap_or_default();
    let text = format!("{}{code}{said}", short(means.trim_end_matches('.'), 250));
    if call.answer.cause.is_some_and(|cause| cause.kind() == ErrorKind::Throttled) {
        return Finding::warn(CHECK, text).cure("check again later; the agent waits by itself");
    }
    let unreachable = match &call.outcome {
        Outcome::ReplyLost | Outcome::ConnectionStale => true,
        Outcome::Unable(reason) | Outcome::Diverted(reason) => reason.kind() == ErrorKind::Unavailable,
        _ => false,
    };
    let finding = Finding::fail(CHECK, text).unreachable(unreachable);
    match (cure, call.answer.cause) {
        (None, Some(Cause::NoMailbox)) => {
            finding.cure("correct the address where it comes from: settings, command line or rows")
        }
        (None, _) => finding,
        (Some(cure), _) => finding.cure(short(cure.trim_end_matches('.'), 250)),
    }
}
