//! The metrics: every name, its meaning and where its number comes from. Labels have few values each, known beforehand;
//! a mailbox is never one. `docs/operate/monitoring/` speaks of these names.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::Monitor;
use super::counts::Counted;
use super::families::{Labels, Page};
use crate::auth::{CredentialEnd, TokenStanding};
use crate::job::{ErrorKind, JobState};
use crate::queue::{Census, Room};
use crate::worker::{Ending, Measures};

/// `error_kind` where there is none, and where a stranger wrote a word nobody knows.
const NONE: &str = "none";
const OTHER: &str = "other";
/// What can make all sending pause.
const SHUTS: [ErrorKind; 3] = [ErrorKind::Auth, ErrorKind::Unavailable, ErrorKind::Throttled];

impl Monitor {
    /// Everything, as Prometheus reads it.
    ///
    /// # Errors
    /// A name is none; a test would have noticed.
    pub(super) async fn metrics(&self) -> prometheus::Result<Vec<u8>> {
        let counted = match self.standing.get() {
            Some(standing) => standing.counts.latest().await,
            None => None,
        };
        let (now, wall) = (Instant::now(), Utc::now());
        let mut page = Page::default();
        self.of_program(&mut page);
        of_worker(&mut page, &self.measures);
        of_gate(&mut page, &self.measures);
        if let Some(standing) = self.standing.get() {
            of_token(&mut page, &standing.tokens.standing(now));
            of_credential(&mut page, standing.tokens.credential_end());
            page.counter(
                "queue_count_failures_total",
                "Times the jobs could not be counted.",
                standing.counts.failures(),
            );
        }
        if let Some(counted) = counted {
            of_queue(&mut page, &counted.census, wall);
            of_count(&mut page, &counted, now);
        }
        page.text()
    }

    fn of_program(&self, page: &mut Page) {
        let version: Labels<'_> = &[("version", env!("CARGO_PKG_VERSION"))];
        page.gauges("build_info", "The program that runs; always 1.", [(version, 1.0)]);
        let started = self.started_at.timestamp_millis() as f64 / 1e3;
        page.common_gauge("process_start_time_seconds", "When the agent started, as Unix time.", started);
    }
}

fn of_worker(page: &mut Page, measures: &Measures) {
    attempts(page, measures);
    page.counters(
        "jobs_finished_total",
        "Jobs that reached their end since the start, by the state they ended in.",
        [(&[("state", "sent")] as Labels<'_>, measures.sent.get()), (&[("state", "failed")], measures.failed.get())],
    );
    page.counter(
        "jobs_failed_in_doubt_total",
        "Jobs that failed since the start although an event may exist: somebody should look into the calendar.",
        measures.failed_in_doubt.get(),
    );
    page.histograms(
        "request_duration_seconds",
        "From the moment a request is handed to the network until its whole answer is there, by kind: create an event, \
         or look one up by its marker. A request that got no answer counts, one that never left does not.",
        [
            (&[("kind", "create")] as Labels<'_>, measures.creates.distribution()),
            (&[("kind", "lookup")], measures.lookups.distribution()),
        ],
    );
    page.histograms(
        "pickup_seconds",
        "From the moment a job is due (inserted, its not_before, or the end of its wait) until its attempt begins.",
        [(&[] as Labels<'_>, measures.pickup.distribution())],
    );
    let gauge = |number: u64| number as f64;
    page.gauge("in_flight", "Attempts under way.", gauge(measures.in_flight.get()));
    page.gauge("in_flight_limit", "delivery.max_in_flight.", gauge(measures.max_in_flight.get()));
    page.gauge("claimed_ahead", "Jobs claimed that wait for a slot.", gauge(measures.claimed_ahead.get()));
    page.gauge("results_waiting", "Results that wait to be written into the queue.", gauge(measures.unsettled.get()));
    page.gauge(
        "paused_mailboxes",
        "Mailboxes at rest, because Microsoft throttles or refuses them.",
        gauge(measures.paused_mailboxes.get()),
    );
    page.counter("claims_total", "Times the queue was asked for jobs and answered.", measures.claims.get());
    page.counter("jobs_claimed_total", "Jobs claimed, those given back unbegun included.", measures.claimed.get());
    page.counter("queue_errors_total", "Times the queue was asked for jobs in vain.", measures.queue_errors.get());
    page.histograms(
        "settle_duration_seconds",
        "How long a transaction took that wrote results, the wait for other writers included.",
        [(&[] as Labels<'_>, measures.settles.distribution())],
    );
    page.counter("results_settled_total", "Results taken to the queue.", measures.settled.get());
    page.counter(
        "settle_failures_total",
        "Times results could not be written; they are kept and tried again.",
        measures.settle_failures.get(),
    );
    page.counter(
        "results_not_recorded_total",
        "Results the queue did not take, because somebody else changed the row meanwhile: see the log.",
        measures.unrecorded.get(),
    );
    page.counter(
        "log_lines_dropped_total",
        "Lines of the log that were dropped because whoever reads it did not take them in time.",
        measures.log_lines_dropped.get(),
    );
}

/// Those that are to be expected stand at zero from the beginning, so that the first one is an increase.
fn attempts(page: &mut Page, measures: &Measures) {
    let kinds = || std::iter::once(None).chain(ErrorKind::ALL.into_iter().map(Some));
    let all = Ending::ALL.into_iter().flat_map(|ending| kinds().map(move |kind| (ending, kind)));
    let numbers = all.map(|(ending, kind)| (ending, kind, measures.attempts(ending, kind)));
    let shown: Vec<_> = numbers
        .filter(|(ending, kind, number)| *number > 0 || kind.is_none() != expects_kind(*ending))
        .map(|(ending, kind, number)| {
            ([("outcome", ending.as_str()), ("error_kind", kind.map_or(NONE, ErrorKind::as_str))], number)
        })
        .collect();
    page.counters(
        "attempts_total",
        "Attempts since the start, by how they ended and the kind of trouble met (none where there was none).",
        shown.iter().map(|(labels, number)| (labels as Labels<'_>, *number)),
    );
}

fn expects_kind(ending: Ending) -> bool {
    matches!(ending, Ending::Retry | Ending::Snoozed | Ending::Failed)
}

fn of_gate(page: &mut Page, measures: &Measures) {
    let shut = measures.gate().map(|shut| shut.kind);
    let others = shut.into_iter().filter(|kind| !SHUTS.contains(kind));
    let shown: Vec<_> = SHUTS
        .into_iter()
        .chain(others)
        .map(|kind| ([("error_kind", kind.as_str())], if shut == Some(kind) { 1.0 } else { 0.0 }))
        .collect();
    page.gauges(
        "sending_paused",
        "1 while nothing at all is sent for this kind of trouble.",
        shown.iter().map(|(labels, value)| (labels as Labels<'_>, *value)),
    );
}

fn of_token(page: &mut Page, token: &TokenStanding) {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    page.gauge("token_age_seconds", "Age of the token in use; missing while there is none.", seconds(token.age));
    page.gauge(
        "token_expires_in_seconds",
        "How long the token in use still serves; missing while there is none. It is renewed when a request needs it.",
        seconds(token.serves_for),
    );
    page.counters(
        "token_requests_total",
        "Requests for a token, by what came of them.",
        [
            (&[("result", "granted")] as Labels<'_>, token.granted),
            (&[("result", "refused")], token.refused),
            (&[("result", "unreachable")], token.unreachable),
        ],
    );
}

fn of_credential(page: &mut Page, end: Option<CredentialEnd>) {
    let end = end.map(|end| ([("credential", end.credential)], end.at.timestamp() as f64));
    page.gauges(
        "credential_expires_timestamp_seconds",
        "When the certificate or client secret in use ends, as Unix time; missing where that is not known. Of a client \
         secret it is auth.secret_expires.",
        end.iter().map(|(labels, at)| (labels as Labels<'_>, *at)),
    );
}

fn of_queue(page: &mut Page, census: &Census, now: DateTime<Utc>) {
    let states = JobState::ALL.map(|state| ([("state", state.as_str())], of_state(census, state) as f64));
    page.gauges(
        "jobs",
        "Rows of the queue by state. Counted now and then, see jobs_counted_age_seconds.",
        states.iter().map(|(labels, jobs)| (labels as Labels<'_>, *jobs)),
    );
    page.gauge("jobs_due", "Pending jobs that are due.", census.due as f64);
    page.gauge(
        "jobs_in_doubt",
        "Jobs of which an event may exist that no answer has confirmed.",
        census.in_doubt as f64,
    );
    by_kind(
        page,
        "jobs_waiting_again",
        "Pending jobs that have met trouble, by kind of the last.",
        &census.waiting_by_kind,
    );
    by_kind(page, "jobs_failed", "Failed jobs in the queue, by kind.", &census.failed_by_kind);
    let ages = [("open", census.due_since), ("paused", census.due_since_paused), ("held", census.due_since_held)]
        .map(|(mailboxes, since)| ([("mailboxes", mailboxes)], since.map_or(0.0, |since| age(since, now))));
    page.gauges(
        "oldest_waiting_seconds",
        "How long the job that is due longest has been due, 0 if none is: of mailboxes that may be sent to (open), that \
         rest (paused), that are on hold (held).",
        ages.iter().map(|(labels, age)| (labels as Labels<'_>, *age)),
    );
    page.gauge("held_mailboxes", "Mailboxes on hold.", census.held_mailboxes as f64);
    room(page, &census.room);
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

/// Every kind there is, and what else a stranger wrote into the column, together.
fn by_kind(page: &mut Page, name: &str, help: &str, jobs: &[(String, u64)]) {
    let of = |word: &str| jobs.iter().filter(|(kind, _)| kind == word).map(|(_, jobs)| jobs).sum::<u64>();
    let mut shown: Vec<(&str, u64)> =
        ErrorKind::ALL.into_iter().map(|kind| (kind.as_str(), of(kind.as_str()))).collect();
    let known: u64 = shown.iter().map(|(_, jobs)| jobs).sum();
    let all: u64 = jobs.iter().map(|(_, jobs)| jobs).sum();
    shown.push((OTHER, all.saturating_sub(known)));
    let shown: Vec<_> = shown.into_iter().map(|(kind, jobs)| ([("error_kind", kind)], jobs as f64)).collect();
    page.gauges(name, help, shown.iter().map(|(labels, jobs)| (labels as Labels<'_>, *jobs)));
}

fn room(page: &mut Page, room: &Room) {
    let file = |name: &'static str, bytes: Option<u64>| bytes.map(|bytes| ([("file", name)], bytes as f64));
    let files: Vec<_> = [file("db", room.database), file("wal", room.log)].into_iter().flatten().collect();
    page.gauges(
        "queue_size_bytes",
        "Size of the database and of the log beside it.",
        files.iter().map(|(labels, bytes)| (labels as Labels<'_>, *bytes)),
    );
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    page.gauge("queue_disk_free_bytes", "What may still be written to the queue's file system.", bytes(room.free));
    page.gauge("queue_disk_size_bytes", "Size of the queue's file system.", bytes(room.size));
}

fn of_count(page: &mut Page, counted: &Counted, now: Instant) {
    page.gauge(
        "jobs_counted_age_seconds",
        "How old the numbers are that come from counting the queue: jobs, oldest_waiting, held_mailboxes, queue_*. They \
         are counted when asked for, and no more often than costs two per cent of the time.",
        now.saturating_duration_since(counted.at).as_secs_f64(),
    );
    page.gauge("jobs_count_duration_seconds", "How long counting took.", counted.census.took.as_secs_f64());
}

fn age(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).to_std().unwrap_or_default().as_secs_f64()
}
