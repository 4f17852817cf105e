//! `demo`: the main job with nothing to set up. The real worker on a real queue, against the sandbox, with the three
//! things that go wrong in life: a throttled mailbox, a malformed row, and a reply that is lost after the event exists. And
//! with what happens to events: one is moved, one is cancelled.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::list;
use super::narrator::Narrator;
use super::output::{self, Tone, paint};
use super::paper::{Cell, Column, Paper};
use super::temporary;
use crate::agent::{Daemon, Failure};
use crate::config::{Environment, Settings};
use crate::exit::Exit;
use crate::format::Zone;
use crate::job::{JobState, OperationKind, format_utc};
use crate::queue::{self, JobFilter, JobSummary, NewJob, Read};
use crate::sandbox::{EventState, Fault, Mail, MailKind, OptionsChange, Sandbox, SandboxOptions, StoredEvent};
use crate::shutdown::{self, Hangup};
use crate::telemetry;
use crate::worker::Measures;

const BUSY: &str = "bob@contoso.com";
const LOST: &str = "Contract signing";
/// The event that is moved, and the one that is cancelled, by the producer's names of them.
const MOVED: &str = "review-12";
const OFF: &str = "training-7";
/// After that the second one is cancelled: its invitations have left by then.
const SECOND_THOUGHTS: TimeDelta = TimeDelta::seconds(5);

/// The rows as they are inserted.
const ROWS: [Column; 5] = [
    Column::new("job").right(),
    Column::new("operation"),
    Column::new("subject or key").between(12, 30),
    Column::new("start").between(10, 25),
    Column::new("mailbox or comment"),
];

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Cut nothing to the terminal's width
    #[arg(long)]
    wide: bool,
}

pub(super) async fn run(options: Options, zone: Zone) -> Result<Exit, Failure> {
    let paper = Paper::new(options.wide);
    let stop = shutdown::on_signals(Hangup::Stops)?;
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    // A reply lost over a kept connection would be looked into at once, and not be seen here.
    sandbox.configure(OptionsChange { keep_alive: Some(false), ..OptionsChange::default() });
    sandbox.script(Fault::answer(429, "ApplicationThrottled").mailbox(BUSY).retry_after("2"));
    sandbox.script(Fault::lost_reply().subject(LOST));
    let home = temporary::directory().map_err(Failure::failed)?;
    let settings = settings(&sandbox, home.path())?;
    introduce(&sandbox, &settings, paper)?;

    let queue = queue::open_to_insert(&settings.queue).await?;
    let samples = samples(Utc::now());
    let ids = queue.insert(&samples).await.map_err(Failure::failed)?;
    let rows = ids.iter().zip(&samples).map(|(id, job)| described(*id, job));
    output::lines(&paper.table(&ROWS, &rows.collect::<Vec<_>>()))?;
    heading("What happens")?;
    let to_stdout = BoxMakeWriter::new(std::io::stdout);
    telemetry::start_with(Narrator::of_story(zone, paper, to_stdout), Level::INFO);
    send(settings, stop.clone()).await?;
    if stop.is_cancelled() {
        return Err(Failure::failed("stopped before the end"));
    }
    conclude(&sandbox, &*queue, paper).await
}

fn operation(job: &NewJob) -> OperationKind {
    job.operation.as_deref().and_then(OperationKind::parse).unwrap_or_default()
}

/// What it asks for. What changes an event names it by its key.
fn described(id: i64, job: &NewJob) -> Vec<Cell> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let what = job.subject.clone().unwrap_or_else(|| text(&job.event_key));
    let whose = job.mailbox.clone().or_else(|| job.body.clone()).unwrap_or_default();
    let operation = operation(job).as_str().to_owned();
    [id.to_string(), operation, what, text(&job.start_time), whose].map(Cell::from).into()
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

fn introduce(sandbox: &Sandbox, settings: &Settings, paper: Paper) -> std::io::Result<()> {
    output::line(&paint(Tone::Strong, "Exchange Event Sender: one row, one event"))?;
    output::line("")?;
    let sandbox = format!("a fake Entra and Graph on {}, nothing leaves this machine", sandbox.url());
    output::lines(&paper.prose("  sandbox  ", &sandbox, None))?;
    let queue = format!("{}, removed at the end", settings.queue.place.name());
    output::lines(&paper.prose("  queue    ", &queue, None))?;
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
async fn conclude(sandbox: &Sandbox, queue: &dyn Read, paper: Paper) -> Result<Exit, Failure> {
    heading("The queue at the end")?;
    let jobs = queue.jobs(&JobFilter { limit: 100, ..JobFilter::default() }).await?;
    output::lines(&list::table(paper, &jobs))?;
    let (events, counters) = (sandbox.events(), sandbox.counters());
    let sent = jobs.iter().filter(|job| job.state.known() == Some(JobState::Sent)).count();
    let off = events.iter().filter(|event| is_off(event.state)).count();
    let verdict = format!(
        "{sent} jobs sent, {} events created, 1 moved, {off} deleted ({} posted, {} looked up); mails: {}, {}, {}",
        events.len(),
        counters.create_requests,
        counters.lookup_requests,
        counted(counters.invitations, "invitation"),
        counted(counters.updates, "update"),
        counted(counters.cancellations, "cancellation")
    );
    if !is_right(&jobs, &events, &sandbox.mails()) {
        return Err(Failure::failed(format!(
            "{verdict}: this should have been one event for each job that creates one but the malformed one, and one mail to each \
             attendee for each change"
        )));
    }
    next_steps(paper)?;
    output::line("")?;
    let head = format!("{}  ", paint(Tone::Good, "OK"));
    output::lines(&paper.prose(&head, &format!("{verdict}; none lost, none doubled"), None))?;
    Ok(Exit::Done)
}

fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

fn is_off(state: EventState) -> bool {
    state != EventState::Present
}

/// Both sides tell the same: each job but the malformed one made its event or changed it as it says, and nobody got a mail twice.
fn is_right(jobs: &[JobSummary], events: &[StoredEvent], mails: &[Mail]) -> bool {
    let of = |operation: OperationKind| {
        let jobs = jobs.iter().filter(move |job| job.operation.text() == Some(operation.as_str()));
        jobs.filter_map(|job| job.event_id.text()).collect::<Vec<_>>()
    };
    let which = |is: fn(&StoredEvent) -> bool| {
        events.iter().filter(|event| is(event)).map(|event| event.id.as_str()).collect::<BTreeSet<_>>()
    };
    let created = of(OperationKind::Create);
    created.len() == events.len()
        && created.len() + of(OperationKind::Update).len() + of(OperationKind::Delete).len() + 1 == jobs.len()
        && created.into_iter().collect::<BTreeSet<_>>() == which(|_| true)
        && of(OperationKind::Update).into_iter().collect::<BTreeSet<_>>() == which(|event| event.changed.is_some())
        && of(OperationKind::Delete).into_iter().collect::<BTreeSet<_>>() == which(|event| is_off(event.state))
        && mails_are(mails, [(MailKind::Invitation, 3), (MailKind::Update, 1), (MailKind::Cancellation, 2)])
}

/// So many of each kind, and none of them twice.
fn mails_are(mails: &[Mail], expected: [(MailKind, usize); 3]) -> bool {
    expected.into_iter().all(|(kind, count)| {
        let of_kind = mails.iter().filter(|mail| mail.kind == kind);
        let distinct: BTreeSet<_> = of_kind.clone().map(|mail| (&mail.event_id, &mail.attendee)).collect();
        of_kind.count() == count && distinct.len() == count
    })
}

fn next_steps(paper: Paper) -> std::io::Result<()> {
    heading("For a real tenant")?;
    for (step, what) in [
        ("1. docs/sign-in/choose.md", "how to sign in, and how to set it up in Entra"),
        ("2. event-sender init", "asks what it must know, writes agent.toml"),
        ("3. event-sender check", "says what is missing, and what to do"),
        ("4. event-sender run", "and insert rows; systemd/event-sender.service for good"),
    ] {
        output::lines(&paper.prose(&format!("  {step:25}  "), what, None))?;
    }
    Ok(())
}

/// An ordinary week, three troubles, and two changes of mind.
fn samples(now: DateTime<Utc>) -> Vec<NewJob> {
    let job = |mailbox: &str, subject: &str, start: &str, end: &str| NewJob {
        mailbox: Some(mailbox.into()),
        subject: Some(subject.into()),
        start_time: Some(start.into()),
        end_time: Some(end.into()),
        time_zone: Some("Europe/Berlin".into()),
        ..NewJob::default()
    };
    let change = |operation: OperationKind, key: &str| NewJob {
        operation: Some(operation.as_str().into()),
        event_key: Some(key.into()),
        ..NewJob::default()
    };
    vec![
        NewJob {
            event_key: Some(MOVED.into()),
            body: Some("Agenda attached".into()),
            location: Some("Room 1".into()),
            attendees: Some(r#"[{"name":"Cy","address":"cy@contoso.com","required":true}]"#.into()),
            ..job("ann@contoso.com", "Quarterly review", "2030-12-01 09:00", "2030-12-01 10:00")
        },
        NewJob {
            extra: Some(r#"{"isAllDay":true,"showAs":"oof"}"#.into()),
            ..job("ann@contoso.com", "Holiday", "2030-12-24 00:00", "2030-12-27 00:00")
        },
        job(BUSY, "Site visit", "2030-12-02 13:00", "2030-12-02 15:00"),
        job("ann@contoso.com", "Misspelt date", "2026-02-30 09:00", "2026-02-30 10:00"),
        job("dora@contoso.com", LOST, "2030-12-03T14:00:00Z", "2030-12-03T15:00:00Z"),
        job(BUSY, "Follow-up", "2030-12-04 10:00", "2030-12-04 10:30"),
        NewJob {
            event_key: Some(OFF.into()),
            attendees: Some(r#"[{"address":"cy@contoso.com"},{"address":"eve@contoso.com"}]"#.into()),
            ..job("ann@contoso.com", "Training", "2030-12-07 09:00", "2030-12-07 12:00")
        },
        NewJob {
            start_time: Some("2030-12-01 14:00".into()),
            end_time: Some("2030-12-01 15:00".into()),
            time_zone: Some("Europe/Berlin".into()),
            ..change(OperationKind::Update, MOVED)
        },
        NewJob {
            body: Some("The trainer is ill.".into()),
            not_before: Some(format_utc(now + SECOND_THOUGHTS)),
            ..change(OperationKind::Delete, OFF)
        },
    ]
}
