//! The metrics: the worker's as they stand, and those whose numbers are made when they are asked for, which are declared
//! for each answer. Labels have few values each, known beforehand; a mailbox is never one.
//! `docs/operate/monitoring/` names them.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use prometheus::{Encoder, Result, TextEncoder};

use super::counts::Counted;
use super::{AgentInfo, Monitor};
use crate::auth::{CredentialEnd, TokenStanding};
use crate::job::{ErrorKind, JobState};
use crate::queue::{Census, Membership, Room};
use crate::worker::{Measures, Metrics};

/// `error_kind` where a producer wrote an unknown word.
const OTHER: &str = "other";
/// What can make all sending pause.
const SHUTS: [ErrorKind; 3] = [ErrorKind::Auth, ErrorKind::Unavailable, ErrorKind::Throttled];

impl Monitor {
    /// Everything, as Prometheus reads it.
    ///
    /// # Errors
    /// A name is not one, or used twice; a test would have noticed.
    pub(super) async fn metrics(&self) -> Result<Vec<u8>> {
        let counted = match self.standing.get() {
            Some(standing) => standing.counts.latest().await,
            None => None,
        };
        let (now, wall) = (Instant::now(), Utc::now());
        let page = Metrics::default();
        self.of_program(&page)?;
        of_gate(&page, &self.measures)?;
        if let Some(standing) = self.standing.get() {
            let membership = standing.queue.membership();
            of_agent(&page, &self.info, membership.as_ref())?;
            if let Some(membership) = membership {
                of_membership(&page, &membership)?;
            }
            of_token(&page, &standing.tokens.standing(now))?;
            of_credential(&page, standing.tokens.credential_end())?;
            page.counter("queue_count_failures_total", "Times the jobs could not be counted.")?
                .inc_by(standing.counts.failures());
        }
        if let Some(counted) = counted {
            of_queue(&page, &counted.census, wall)?;
            of_count(&page, &counted, now)?;
        }
        let mut text = Vec::with_capacity(16 * 1024);
        for metrics in [self.measures.metrics(), &page] {
            TextEncoder::new().encode(&metrics.gather(), &mut text)?;
        }
        Ok(text)
    }

    fn of_program(&self, page: &Metrics) -> Result<()> {
        let version = [("version", env!("CARGO_PKG_VERSION"), 1.0)];
        gauges(page, "build_info", "The program that runs; always 1.", version)?;
        let started = self.started_at.timestamp_millis() as f64 / 1e3;
        page.common_gauge("process_start_time_seconds", "When the agent started, as Unix time.")?.set(started);
        Ok(())
    }
}

/// A number that goes up and down. One that is not known is not shown.
fn gauge(page: &Metrics, name: &str, help: &str, value: impl Into<Option<f64>>) -> Result<()> {
    if let Some(value) = value.into() {
        page.gauge(name, help)?.set(value);
    }
    Ok(())
}

/// The same by a label: its name, its value and the number.
fn gauges<'a>(
    page: &Metrics,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (&'a str, &'a str, f64)>,
) -> Result<()> {
    let mut samples = samples.into_iter().peekable();
    let Some((label, ..)) = samples.peek() else { return Ok(()) };
    let gauges = page.gauges(name, help, &[label])?;
    samples.try_for_each(|(_, value, number)| {
        gauges.get_metric_with_label_values(&[value])?.set(number);
        Ok(())
    })
}

fn of_gate(page: &Metrics, measures: &Measures) -> Result<()> {
    let shut = measures.gate().map(|shut| shut.kind);
    let others = shut.into_iter().filter(|kind| !SHUTS.contains(kind));
    let shown = SHUTS.into_iter().chain(others);
    gauges(
        page,
        "sending_paused",
        "1 while nothing at all is sent for this kind of trouble.",
        shown.map(|kind| ("error_kind", kind.as_str(), f64::from(u8::from(shut == Some(kind))))),
    )
}

/// A database may hold several queues, each in a schema.
fn of_agent(page: &Metrics, info: &AgentInfo, membership: Option<&Membership>) -> Result<()> {
    let queue = membership.map_or(info.queue.clone(), |of| format!("{}/{}", info.queue, of.schema));
    let labels = [info.name.as_str(), &info.host, env!("CARGO_PKG_VERSION"), &queue];
    let help =
        "The agent, its machine, its version and its queue; always 1. Agents that share a queue say the same queue.";
    page.gauges("agent_info", help, &["name", "host", "version", "queue"])?
        .get_metric_with_label_values(&labels)?
        .set(1.0);
    Ok(())
}

/// Of an agent that shares its queue with others.
fn of_membership(page: &Metrics, of: &Membership) -> Result<()> {
    gauge(page, "agents", "Agents that serve the queue, this one among them, as it saw last.", of.agents as f64)?;
    gauge(page, "owned_mailboxes", "Mailboxes that this agent serves.", of.mailboxes as f64)?;
    gauge(
        page,
        "lease_margin_seconds",
        "How close this agent came to losing its leave to send: the least that was left of it when its lease was renewed, \
         within five minutes. It is 6 s from a renewal on, and renewed every 2.5 s.",
        of.lease_margin.map(|margin| margin.as_secs_f64()),
    )?;
    let lapses = "Times this agent's lease was not renewed in time, or lost to others, and it sent nothing meanwhile.";
    page.counter("lease_lapses_total", lapses)?.inc_by(of.lease_lapses);
    let buried = "Agents this one found silent for longer than their lease, and whose mailboxes it set free.";
    page.counter("agents_buried_total", buried)?.inc_by(of.buried);
    let late = "Events confirmed to this agent after its lease had ended and their jobs had gone back to pending.";
    page.counter("late_answers_total", late)?.inc_by(of.late_answers);
    Ok(())
}

fn of_token(page: &Metrics, token: &TokenStanding) -> Result<()> {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    gauge(page, "token_age_seconds", "Age of the token in use; missing while there is none.", seconds(token.age))?;
    gauge(
        page,
        "token_expires_in_seconds",
        "How long the token in use still serves; missing while there is none. It is renewed when a request needs it.",
        seconds(token.serves_for),
    )?;
    let requests = page.counters("token_requests_total", "Requests for a token, by what came of them.", &["result"])?;
    for (result, number) in [("granted", token.granted), ("refused", token.refused), ("unreachable", token.unreachable)]
    {
        requests.get_metric_with_label_values(&[result])?.inc_by(number);
    }
    Ok(())
}

fn of_credential(page: &Metrics, end: Option<CredentialEnd>) -> Result<()> {
    gauges(
        page,
        "credential_expires_timestamp_seconds",
        "When the certificate or client secret in use ends, as Unix time; missing where that is not known. Of a client \
         secret it is auth.secret_expires.",
        end.map(|end| ("credential", end.credential, end.at.timestamp() as f64)),
    )
}

fn of_queue(page: &Metrics, census: &Census, now: DateTime<Utc>) -> Result<()> {
    gauges(
        page,
        "jobs",
        "Rows of the queue by state. Counted now and then, see jobs_counted_age_seconds.",
        JobState::ALL.map(|state| ("state", state.as_str(), of_state(census, state) as f64)),
    )?;
    gauge(page, "jobs_due", "Pending jobs that are due.", census.due as f64)?;
    gauge(
        page,
        "jobs_in_doubt",
        "Jobs of which an event may exist that no answer has confirmed.",
        census.in_doubt as f64,
    )?;
    gauge(page, "jobs_behind", "Pending jobs that wait for an earlier one of the same event.", census.behind as f64)?;
    by_kind(
        page,
        "jobs_waiting_again",
        "Pending jobs that have met trouble, by kind of the last.",
        &census.waiting_by_kind,
    )?;
    by_kind(page, "jobs_failed", "Failed jobs in the queue, by kind.", &census.failed_by_kind)?;
    let ages = [("open", census.due_since), ("paused", census.due_since_paused), ("held", census.due_since_held)];
    gauges(
        page,
        "oldest_waiting_seconds",
        "How long the job that is due longest has been due, 0 if none is: of mailboxes that may be sent to (open), that \
         rest or have mailed as many as they may (paused), that are on hold (held).",
        ages.map(|(mailboxes, since)| ("mailboxes", mailboxes, since.map_or(0.0, |since| age(since, now)))),
    )?;
    gauge(page, "held_mailboxes", "Mailboxes on hold.", census.held_mailboxes as f64)?;
    room(page, &census.room)
}

fn of_state(census: &Census, state: JobState) -> u64 {
    match state {
        JobState::Pending => census.pending,
        JobState::Claimed => census.claimed,
        JobState::Sent => census.sent,
        JobState::Failed => census.failed,
        JobState::Cancelled => census.cancelled,
    }
}

/// Every kind there is, and all unknown words that producers wrote into the column, together.
fn by_kind(page: &Metrics, name: &str, help: &str, jobs: &[(String, u64)]) -> Result<()> {
    let of = |word: &str| jobs.iter().filter(|(kind, _)| kind == word).map(|(_, jobs)| jobs).sum::<u64>();
    let known = ErrorKind::ALL.map(|kind| (kind.as_str(), of(kind.as_str())));
    let all: u64 = jobs.iter().map(|(_, jobs)| jobs).sum();
    let unknown = all.saturating_sub(known.iter().map(|(_, jobs)| jobs).sum());
    let shown = known.into_iter().chain([(OTHER, unknown)]);
    gauges(page, name, help, shown.map(|(kind, jobs)| ("error_kind", kind, jobs as f64)))
}

fn room(page: &Metrics, room: &Room) -> Result<()> {
    let file = |name: &'static str, bytes: Option<u64>| bytes.map(|bytes| ("file", name, bytes as f64));
    gauges(
        page,
        "queue_size_bytes",
        "Size of the database and of the log beside it.",
        [file("db", room.database), file("wal", room.log)].into_iter().flatten(),
    )?;
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    gauge(page, "queue_disk_free_bytes", "What may still be written to the queue's file system.", bytes(room.free))?;
    gauge(page, "queue_disk_size_bytes", "Size of the queue's file system.", bytes(room.size))
}

fn of_count(page: &Metrics, counted: &Counted, now: Instant) -> Result<()> {
    gauge(
        page,
        "jobs_counted_age_seconds",
        "How old the numbers are that come from counting the queue: jobs, oldest_waiting, held_mailboxes, queue_*. They \
         are counted when asked for, and no more often than costs two per cent of the time.",
        now.saturating_duration_since(counted.at).as_secs_f64(),
    )?;
    gauge(page, "jobs_count_duration_seconds", "How long counting took.", counted.census.took.as_secs_f64())
}

fn age(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).to_std().unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let page = Metrics::default();
        page.counter("things_total", "Things, \"all\" of them.").unwrap().inc_by(3);
        gauges(&page, "jobs", "Jobs.", [("state", "sent", 2.0), ("state", "a\"b\\c\nd", 0.5)]).unwrap();
        gauge(&page, "unknown", "Not known.", None).unwrap();
        gauges(&page, "nothing", "Without samples.", []).unwrap();
        let text = TextEncoder::new().encode_to_string(&page.gather()).unwrap();
        assert_eq!(
            text,
            r#"# HELP event_sender_jobs Jobs.
# TYPE event_sender_jobs gauge
event_sender_jobs{state="a\"b\\c\nd"} 0.5
event_sender_jobs{state="sent"} 2
# HELP event_sender_things_total Things, "all" of them.
# TYPE event_sender_things_total counter
event_sender_things_total 3
"#
        );
    }

    #[test]
    fn each_duration_is_counted_in_every_class_that_is_long_enough() {
        let page = Metrics::default();
        let took = page.durations("took_seconds", "How long.").unwrap();
        [0.0, 0.001, 0.002, 0.4, 60.0, 61.0].into_iter().for_each(|seconds| took.observe(seconds));
        let text = TextEncoder::new().encode_to_string(&page.gather()).unwrap();
        for line in [
            "_bucket{le=\"0.001\"} 2",
            "_bucket{le=\"0.25\"} 3",
            "_bucket{le=\"60\"} 5",
            "_bucket{le=\"+Inf\"} 6",
            "_count 6",
        ] {
            assert!(text.contains(&format!("event_sender_took_seconds{line}\n")), "{line}: {text}");
        }
        assert_eq!(text.matches("_bucket").count(), 16);
        assert!((took.get_sample_sum() - 121.403).abs() < 1e-9);
    }
}
