//! `check`: settings, database, sign-in, mailbox; one PASS, WARN or FAIL line each, with what to do.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::Utc;

use super::output::{self, Tone, paint, short};
use super::{Failure, wiring};
use crate::config::{AuthMode, EXPOSED_CURE, Environment, LocalSettings, Settings};
use crate::exit::Exit;
use crate::graph::Now;
use crate::job::{ErrorKind, Outcome};
use crate::queue::{AgentLock, OpenError, SqliteQueue};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Skip what needs the network
    #[arg(long)]
    offline: bool,
    /// Check this mailbox too; may be given several times
    #[arg(long, value_name = "MAILBOX")]
    mailbox: Vec<String>,
}

/// One finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Pass,
    Warn,
    Fail,
}

/// The worst of the findings, as an exit code in the making.
#[derive(Default)]
struct Findings {
    failed: bool,
    unreachable: bool,
}

pub(super) async fn run(options: Options, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    let environment = Environment::of_process();
    let settings = match Settings::load(file.clone(), &environment) {
        Ok(settings) => settings,
        Err(error) => {
            for problem in &error.problems {
                findings.say(Grade::Fail, "settings", &format!("{}: {}", problem.key, problem.what))?;
            }
            // A secret only the service can see must not hide the state of the database.
            if let Ok(local) = LocalSettings::load(file, &environment) {
                findings.database(&local.queue.path).await?;
            }
            return Ok(Exit::Config);
        }
    };
    findings.settings(&settings)?;
    findings.database(&settings.queue.path).await?;
    if options.offline {
        findings.say(Grade::Warn, "network", "skipped (--offline): sign-in and mailboxes were not checked")?;
    } else {
        findings.network(&settings, &options.mailbox).await?;
    }
    Ok(findings.exit())
}

impl Findings {
    fn exit(&self) -> Exit {
        match (self.unreachable, self.failed) {
            (true, _) => Exit::Unavailable,
            (false, true) => Exit::Failed,
            (false, false) => Exit::Done,
        }
    }

    fn say(&mut self, grade: Grade, what: &str, text: &str) -> std::io::Result<()> {
        let (word, tone) = match grade {
            Grade::Pass => ("PASS", Tone::Good),
            Grade::Warn => ("WARN", Tone::Waiting),
            Grade::Fail => ("FAIL", Tone::Bad),
        };
        self.failed |= grade == Grade::Fail;
        output::line(&format!("{}  {what:9} {text}", paint(tone, word)))
    }

    fn settings(&mut self, settings: &Settings) -> std::io::Result<()> {
        let from = settings.file.as_ref().map_or_else(|| "the environment".into(), |file| file.display().to_string());
        self.say(Grade::Pass, "settings", &format!("read from {from}"))?;
        for file in &settings.exposed {
            self.say(Grade::Warn, "settings", &format!("{}: {EXPOSED_CURE}", file.display()))?;
        }
        if let AuthMode::Password { .. } = settings.auth.mode {
            self.say(
                Grade::Warn,
                "settings",
                "auth.mode \"password\" is a legacy mode that multi-factor authentication breaks; prefer \"client_secret\"",
            )?;
        }
        Ok(())
    }

    async fn database(&mut self, path: &Path) -> std::io::Result<()> {
        match SqliteQueue::open_existing(path).await {
            Ok(queue) => {
                let agent = AgentLock::holder(queue.path())
                    .map_or_else(|| "no agent is running".to_owned(), |pid| format!("agent running as process {pid}"));
                self.say(Grade::Pass, "database", &format!("{}; {agent}", path.display()))
            }
            Err(error @ (OpenError::Missing(_) | OpenError::Older { .. })) => {
                self.say(Grade::Warn, "database", &error.to_string())
            }
            Err(error) => self.say(Grade::Fail, "database", &error.to_string()),
        }
    }

    async fn network(&mut self, settings: &Settings, more: &[String]) -> Result<(), Failure> {
        let tokens = wiring::tokens(settings)?;
        let graph = wiring::graph(settings, tokens.clone())?;
        if let Err(refusal) = tokens.get(Instant::now()).await {
            self.unreachable |= refusal.unreachable;
            self.say(Grade::Fail, "token", &refusal.to_string())?;
            self.say(Grade::Warn, "mailbox", "not checked: there is no token")?;
            return Ok(());
        }
        let tenant = &settings.auth.tenant_id;
        self.say(
            Grade::Pass,
            "token",
            &format!("tenant {tenant} gave application {} a token", settings.auth.client_id),
        )?;
        let mut mailboxes: Vec<Option<&str>> =
            settings.defaults.mailbox.iter().chain(more).map(|m| Some(m.as_str())).collect();
        if mailboxes.is_empty() && wiring::own_mailbox(settings) {
            mailboxes.push(None);
        }
        if mailboxes.is_empty() {
            let cure =
                "none to check: set defaults.mailbox, or name one with --mailbox; a job without mailbox will fail";
            self.say(Grade::Warn, "mailbox", cure)?;
        }
        for mailbox in mailboxes {
            let name = mailbox.unwrap_or("the signed-in user's own");
            let call = graph.probe(mailbox, Now { wall: Utc::now(), steady: Instant::now() }).await;
            match call.outcome {
                Outcome::Created(_) | Outcome::ReplyDamaged => {
                    self.say(Grade::Pass, "mailbox", &format!("{name}: its calendar can be reached"))?
                }
                outcome => {
                    self.unreachable |= matches!(&outcome, Outcome::ReplyLost)
                        || matches!(&outcome, Outcome::Held(hold) if hold.kind == ErrorKind::Unavailable);
                    let said = call.answer.message.unwrap_or_else(|| "Graph did not say why".into());
                    let code = call.answer.code.map(|code| format!(" [{code}]")).unwrap_or_default();
                    self.say(Grade::Fail, "mailbox", &format!("{name}: {}{code}", short(&said, 400)))?;
                }
            }
        }
        Ok(())
    }
}
