//! Plays cases: one agent, one mailbox and one job per case, and at the end one comparison per case. Knows no table.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use event_sender::job::{Cause, ErrorKind};
use event_sender::sandbox::{Fault, FaultOn, OptionsChange, RequestKind, RequestRecord};

use super::specification::{Meaning, Row};
use super::{End, MAX_ATTEMPTS, Strikes, World};
use crate::bed::{Bed, Job, row_for};
use crate::process::{PATIENCE, Process};

/// The requests a case's fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first request of the job.
    Post,
    /// The lookup of a job whose first request was lost after it was carried out, or before.
    Lookup { there: bool },
}

#[derive(Clone, Debug)]
pub struct Case {
    pub row: Row,
    pub phase: Phase,
    pub expected: End,
}

/// A pause that outlasts the test: nothing more happens by itself.
const LONG: TimeDelta = TimeDelta::seconds(5);
/// A look reads all jobs, so there are not many of them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Plays all cases side by side.
pub async fn play(world: World, strikes: Strikes, cases: Vec<Case>, settings: &'static [(&'static str, &'static str)]) {
    let mut bed = Bed::with_sandbox(world.options()).await;
    // What a fault does to a request over a kept connection depends on who had it before: `strange` has those.
    bed.sandbox().configure(OptionsChange { keep_alive: Some(false), ..OptionsChange::default() });
    bed.set("delivery.max_attempts", &MAX_ATTEMPTS.to_string());
    bed.set("delivery.first_retry", "20ms");
    bed.set("delivery.longest_retry", "40ms");
    settings.iter().for_each(|(key, value)| bed.set(key, value));
    cases.iter().enumerate().for_each(|(number, case)| script(&bed, case, strikes, &mailbox(number)));
    let ids = bed.insert_all((0..cases.len()).map(|number| row_for(&mailbox(number)))).await;
    let agent = bed.run();
    // A case that never comes to rest is told by the comparison, with what became of it.
    let begin = Instant::now();
    while !are_at_rest(&bed, &agent).await && begin.elapsed() < PATIENCE * 3 {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let mut wrong = Vec::new();
    let requests = by_mailbox(&bed);
    for ((number, case), (id, job)) in cases.iter().enumerate().zip(ids.iter().zip(bed.jobs().await)) {
        let history: Vec<String> = bed.attempts(*id).await.into_iter().map(|attempt| attempt.outcome).collect();
        let of_case = requests.get(&mailbox(number)).map(Vec::as_slice).unwrap_or_default();
        if let Some(what) = differs(case, &job, &history, of_case) {
            wrong.push(format!("{:?} {:?}\n    {what}", case.phase, case.row));
        }
    }
    agent.stop().await.expect(0);
    fix(&bed).await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let all_events = bed.events();
    for ((number, case), job) in cases.iter().enumerate().zip(bed.jobs().await) {
        let of_case = all_events.iter().filter(|event| event.mailbox == mailbox(number));
        let events: Vec<&str> = of_case.map(|event| event.id.as_str()).collect();
        let recorded = job.event_id.as_deref().is_none_or(|id| events.contains(&id));
        if events.len() != case.expected.events || !recorded || job.state == "pending" {
            wrong.push(format!(
                "{:?} {:?}\n    expected {} events, found {events:?} and {job:?}",
                case.phase, case.row, case.expected.events
            ));
        }
    }
    assert!(wrong.is_empty(), "{world:?} {strikes:?}: {} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn mailbox(number: usize) -> String {
    format!("case{number}@contoso.com")
}

fn script(bed: &Bed, case: &Case, strikes: Strikes, mailbox: &str) {
    let mut fault = case.row.fault.clone().mailbox(mailbox);
    if strikes == Strikes::ForEver {
        fault = fault.times(0);
        if matches!(case.row.meaning, Meaning::Throttled | Meaning::AllThrottled | Meaning::StrangeBusy) {
            // Without a time the agent chooses a short one here, and the case would never be at rest.
            fault = fault.retry_after("30");
        }
    }
    match case.phase {
        Phase::Post => bed.sandbox().script(fault),
        Phase::Lookup { there } => {
            let lost = if there { Fault::lost_reply() } else { Fault::reset() };
            bed.sandbox().script(lost.mailbox(mailbox));
            bed.sandbox().script(fault.on(FaultOn::Lookup));
        }
    }
}

/// Every job has its end, or waits for something that takes longer than any test.
async fn are_at_rest(bed: &Bed, agent: &Process) -> bool {
    let now = Utc::now();
    let long = |until: &str| until.parse::<DateTime<Utc>>().is_ok_and(|until| until > now + LONG);
    let pauses = bed.pauses().await;
    let paused: Vec<&str> =
        pauses.iter().filter(|pause| long(&pause.paused_until)).map(|pause| pause.mailbox.as_str()).collect();
    // The log is long, and read only where this was said.
    let all_paused = agent.output.all().contains("\"sending paused\"")
        && agent.said("sending paused").iter().any(|line| line["retry_at"].as_str().is_some_and(long));
    for (at, job) in bed.jobs().await.iter().enumerate() {
        // A mailbox's pause is written with what became of the job that met it.
        let here = job.mailbox.as_deref().is_some_and(|mailbox| paused.contains(&mailbox));
        let waits = job.state == "pending" && (here || all_paused && met_something(bed, at).await);
        if job.finished_at.is_none() && !waits {
            return false;
        }
    }
    true
}

/// The job's last attempt was given back: it did not merely wait for its next one.
async fn met_something(bed: &Bed, at: usize) -> bool {
    let id = i64::try_from(at).unwrap() + 1;
    bed.attempts(id).await.last().is_some_and(|attempt| attempt.outcome == "snoozed")
}

fn by_mailbox(bed: &Bed) -> HashMap<String, Vec<RequestRecord>> {
    let mut found: HashMap<String, Vec<RequestRecord>> = HashMap::new();
    for request in bed.sandbox().requests() {
        found.entry(request.mailbox.clone().unwrap_or_default()).or_default().push(request);
    }
    found
}

fn differs(case: &Case, job: &Job, history: &[String], requests: &[RequestRecord]) -> Option<String> {
    let stand = &case.expected.stand;
    let posts = requests.iter().filter(|request| request.kind == RequestKind::Create).count();
    let lookups = requests.iter().filter(|request| request.kind == RequestKind::Lookup).count();
    // A save conflict is looked up at once and again before the repeat; nothing is asked more often than that.
    let bounded = lookups <= 2 * MAX_ATTEMPTS;
    let explained = job.state == "sent" || job.message().len() > 10;
    let admitted = stand.state != "failed" || !stand.in_doubt || job.message().contains("may exist");
    let caused = match (&job.error_kind, &job.cause) {
        (None, None) => true,
        (Some(kind), Some(cause)) => Cause::parse(cause)
            .is_some_and(|cause| kind == ErrorKind::Exhausted.as_str() || cause.kind().as_str() == kind),
        _ => false,
    };
    let early = requests.iter().any(|request| request.early_by_ms.is_some());
    let same = (job.state.as_str(), job.error_kind.as_deref(), job.in_doubt == 1)
        == (stand.state, stand.kind, stand.in_doubt)
        && history == stand.history
        && posts == case.expected.posts;
    (!same || !bounded || !explained || !admitted || !caused || early).then(|| {
        format!(
            "expected {:?}\n    found {posts} posts, {lookups} lookups, {history:?}, early {early}, {job:?}",
            case.expected
        )
    })
}

/// Whatever was wrong is fixed, and nobody waits for anything any more.
async fn fix(bed: &Bed) {
    bed.sandbox().clear_faults();
    bed.sql("DELETE FROM mailboxes").await;
    bed.sql("UPDATE jobs SET next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE state = 'pending'").await;
}
