//! `demo`: the main job with nothing to set up. The real worker on a real queue, against the sandbox, with the three
//! things that go wrong in life: a throttled mailbox, a malformed row, and a reply that is lost after the event exists.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::list;
use super::narrator::Narrator;
use super::output::{self, Tone, paint};
use crate::agent::{Daemon, Failure};
use crate::config::{Environment, Settings};
use crate::exit::Exit;
use crate::queue::{self, JobFilter, JobSummary, NewJob, Read};
use crate::sandbox::{Fault, OptionsChange, Sandbox, SandboxOptions};
use crate::shutdown::{self, Hangup};
use crate::telemetry;
use crate::worker::Measures;

const BUSY: &str = "bob@contoso.com";
const LOST: &str = "Contract signing";

pub(super) async fn run() -> Result<Exit, Failure> {
    let stop = shutdown::on_signals(Hangup::Stops)?;
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    // A reply lost over a kept connection would be looked into at once, and not be seen here.
    sandbox.configure(OptionsChange { keep_alive: Some(false), ..OptionsChange::default() });
    sandbox.script(Fault::answer(429, "ApplicationThrottled").mailbox(BUSY).retry_after("2"));
    sandbox.script(Fault::lost_reply().subject(LOST));
    let home = tempfile::tempdir()?;
    let settings = settings(&sandbox, home.path())?;
    introduce(&sandbox, &settings)?;

    let queue = queue::open_to_insert(&settings.queue).await?;
    let samples = samples();
    let ids = queue.insert(&samples).await.map_err(Failure::failed)?;
    for (id, job) in ids.iter().zip(&samples) {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".into());
        let (subject, start, mailbox) = (text(&job.subject), text(&job.start_time), text(&job.mailbox));
        output::line(&format!("  job {id}  {subject:22} {start:20} {mailbox}"))?;
    }
    heading("What happens")?;
    telemetry::start_with(Narrator::new(), Level::INFO);
    send(settings, stop.clone()).await?;
    if stop.is_cancelled() {
        return Err(Failure::failed("stopped before the end"));
    }
    conclude(&sandbox, &*queue).await
}

/// The sandbox's own settings with retries quick enough to watch.
fn settings(sandbox: &Sandbox, home: &Path) -> Result<Settings, Failure> {
    let file = home.join("agent.toml");
    let quick = "\n[queue]\npath = \"PATH\"\n[delivery]\nfirst_retry = \"1s\"\n"
        .replace("PATH", &home.join("queue.db").display().to_string());
    std::fs::write(&file, sandbox.settings() + &quick)?;
    // What the user has in the environment is meant for a real tenant.
    Ok(Settings::load(Some(file), &Environment::default())?)
}

fn introduce(sandbox: &Sandbox, settings: &Settings) -> std::io::Result<()> {
    output::line(&paint(Tone::Strong, "Exchange Event Sender: one row, one event"))?;
    output::line("")?;
    output::line(&format!("  sandbox  a fake Entra and Graph on {}, nothing leaves this machine", sandbox.url()))?;
    output::line(&format!("  queue    {}, removed at the end", settings.queue.path.display()))?;
    heading("Rows inserted, as any program could with SQL")
}

fn heading(text: &str) -> std::io::Result<()> {
    output::line("")?;
    output::line(&paint(Tone::Strong, text))
}

async fn send(settings: Settings, stop: CancellationToken) -> Result<(), Failure> {
    let measures = Arc::new(Measures::new().map_err(Failure::failed)?);
    let daemon = Daemon { settings, until_empty: true, heartbeat: None, measures, reloads: None, stop };
    daemon.run(|_| {}).await.map(|_| ())
}

/// The table, and both sides counted against each other.
async fn conclude(sandbox: &Sandbox, queue: &dyn Read) -> Result<Exit, Failure> {
    heading("The queue at the end")?;
    let jobs = queue.jobs(&JobFilter { limit: 100, ..JobFilter::default() }).await?;
    list::table(&jobs)?;
    let (sent, events) = (event_ids(&jobs), sandbox.events());
    let mut created: BTreeMap<String, usize> = BTreeMap::new();
    for event in &events {
        *created.entry(event.id.clone()).or_default() += 1;
    }
    let equal = created.keys().eq(sent.keys()) && sent.values().all(|count| *count == 1) && events.len() == sent.len();
    output::line("")?;
    let (posts, lookups) = (sandbox.counters().create_requests, sandbox.counters().lookup_requests);
    let asked = format!("{posts} posted, {lookups} looked up");
    let verdict = format!("{} jobs sent, {} events in the calendars, {asked}", sent.len(), events.len());
    if !equal || sent.len() + 1 != jobs.len() {
        return Err(Failure::failed(format!(
            "{verdict}: this should have been one event for each job but the malformed one"
        )));
    }
    output::line(&format!("{}  {verdict}; none lost, none doubled", paint(Tone::Good, "OK")))?;
    next_steps()?;
    Ok(Exit::Done)
}

fn event_ids(jobs: &[JobSummary]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for job in jobs {
        if let Some(id) = job.event_id.text() {
            *ids.entry(id.to_owned()).or_default() += 1;
        }
    }
    ids
}

fn next_steps() -> std::io::Result<()> {
    heading("For a real tenant")?;
    for step in [
        "1. Choose how to sign in, and set it up in Entra: docs/sign-in/choose.md",
        "2. event-sender init                      asks what it must know, writes agent.toml",
        "3. event-sender check                     says what is missing, and what to do",
        "4. event-sender run                       and insert rows; systemd/event-sender.service for good",
    ] {
        output::line(&format!("  {step}"))?;
    }
    Ok(())
}

/// An ordinary week, and three troubles.
fn samples() -> Vec<NewJob> {
    let job = |mailbox: &str, subject: &str, start: &str, end: &str| NewJob {
        mailbox: Some(mailbox.into()),
        subject: Some(subject.into()),
        start_time: Some(start.into()),
        end_time: Some(end.into()),
        time_zone: Some("Europe/Berlin".into()),
        ..NewJob::default()
    };
    vec![
        NewJob {
            body: Some("Agenda attached".into()),
            location: Some("Room 1".into()),
            attendees: Some(r#"[{"name":"Cy","address":"cy@contoso.com","required":true}]"#.into()),
            ..job("ann@contoso.com", "Quarterly review", "2026-12-01 09:00", "2026-12-01 10:00")
        },
        NewJob {
            extra: Some(r#"{"isAllDay":true,"showAs":"oof"}"#.into()),
            ..job("ann@contoso.com", "Holiday", "2026-12-24 00:00", "2026-12-27 00:00")
        },
        job(BUSY, "Site visit", "2026-12-02 13:00", "2026-12-02 15:00"),
        job("ann@contoso.com", "Misspelt date", "2026-02-30 09:00", "2026-02-30 10:00"),
        job("dora@contoso.com", LOST, "2026-12-03T14:00:00Z", "2026-12-03T15:00:00Z"),
        job(BUSY, "Follow-up", "2026-12-04 10:00", "2026-12-04 10:30"),
    ]
}
