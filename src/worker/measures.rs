//! What the worker did since the start and how it stands, in numbers, for a progress bar and the monitor. Feeding them costs
//! an addition each; only what happens rarely (all sending pauses, the queue is in trouble) takes a lock. The numbers are
//! Prometheus' own types, declared here; how they are shown is the monitor's business.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use prometheus::core::Metric;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::metrics::Metrics;
use crate::job::{Ending, ErrorKind, GateReason, OperationKind};
use crate::queue::{GateNote, QueueError, Settled, Settlement, Verdict};

/// `error_kind` of an attempt that met no trouble.
const NO_KIND: &str = "none";

/// The kinds of trouble that attempts with this ending are expected to meet.
fn expected_kinds(ending: Ending) -> Vec<&'static str> {
    match ending {
        Ending::Sent | Ending::Interrupted => vec![NO_KIND],
        Ending::Retry | Ending::Snoozed | Ending::Failed => ErrorKind::ALL.map(ErrorKind::as_str).to_vec(),
    }
}

/// Trouble with the queue that has not passed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub since: DateTime<Utc>,
    /// In the queue's words.
    pub why: String,
}

#[derive(Debug)]
pub struct Measures {
    metrics: Metrics,
    /// By outcome and kind of trouble.
    attempts: IntCounterVec,
    /// The one of them that counts on the good way.
    attempts_sent: IntCounter,
    pub sent: IntCounter,
    /// For good.
    pub failed: IntCounter,
    /// By a later delete of the same event, before anything had left.
    pub cancelled: IntCounter,
    pub failed_in_doubt: IntCounter,
    /// Results that could not be recorded because the row was no longer as it was claimed.
    pub unrecorded: IntCounter,
    creates: Histogram,
    updates: Histogram,
    deletes: Histogram,
    pub lookups: Histogram,
    pub pickup: Histogram,
    pub recipients: IntCounter,
    pub paced_mailboxes: IntGauge,
    pub in_flight: IntGauge,
    pub max_in_flight: IntGauge,
    pub claimed_ahead: IntGauge,
    pub unsettled: IntGauge,
    pub paused_mailboxes: IntGauge,
    /// Claims that were answered.
    pub claims: IntCounter,
    pub claimed: IntCounter,
    pub queue_errors: IntCounter,
    pub settles: Histogram,
    pub settled: IntCounter,
    pub settle_failures: IntCounter,
    pub log_lines_dropped: IntCounter,
    gate: Mutex<Option<GateNote>>,
    queue_trouble: Mutex<Option<Trouble>>,
    settle_trouble: Mutex<Option<Trouble>>,
    start: Instant,
    /// When the loop turned last, in milliseconds after the start.
    turned_ms: AtomicU64,
}

impl Measures {
    /// All at zero.
    ///
    /// # Errors
    ///
    /// A name is not one, or used twice.
    pub fn new() -> prometheus::Result<Self> {
        let metrics = Metrics::default();
        let attempts = attempts(&metrics)?;
        let finished = metrics.counters(
            "jobs_finished_total",
            "Jobs that reached their end since the start, by the state they ended in.",
            &["state"],
        )?;
        let requests = metrics.durations_by(
            "request_duration_seconds",
            "From the moment a request is handed to the network until its whole answer is there, by kind: create, \
             update or delete an event, or look one up. A request that got no answer counts, one that never left does not.",
            &["kind"],
        )?;
        Ok(Self {
            attempts_sent: attempts.get_metric_with_label_values(&[Ending::Sent.as_str(), NO_KIND])?,
            attempts,
            sent: finished.get_metric_with_label_values(&["sent"])?,
            failed: finished.get_metric_with_label_values(&["failed"])?,
            cancelled: finished.get_metric_with_label_values(&["cancelled"])?,
            failed_in_doubt: metrics.counter(
                "jobs_failed_in_doubt_total",
                "Jobs that failed since the start although an event may exist: look into the calendar.",
            )?,
            unrecorded: metrics.counter(
                "results_not_recorded_total",
                "Results the queue did not take, because another program changed the row meanwhile: see the log.",
            )?,
            creates: requests.get_metric_with_label_values(&["create"])?,
            updates: requests.get_metric_with_label_values(&["update"])?,
            deletes: requests.get_metric_with_label_values(&["delete"])?,
            lookups: requests.get_metric_with_label_values(&["lookup"])?,
            pickup: metrics.durations(
                "pickup_seconds",
                "From the moment a job is due (inserted, its not_before, or the end of its wait) until its attempt \
                 begins.",
            )?,
            recipients: metrics.counter(
                "recipients_mailed_total",
                "Recipients whom the jobs that were sent have mailed: invitations, updates, cancellations.",
            )?,
            paced_mailboxes: metrics.level(
                "paced_mailboxes",
                "Mailboxes that have mailed as many as delivery.recipients_per_day or invitations_per_minute allow.",
            )?,
            in_flight: metrics.level("in_flight", "Attempts under way.")?,
            max_in_flight: metrics.level("in_flight_limit", "delivery.max_in_flight.")?,
            claimed_ahead: metrics.level("claimed_ahead", "Jobs claimed that wait for a slot.")?,
            unsettled: metrics.level("results_waiting", "Results that wait to be written into the queue.")?,
            paused_mailboxes: metrics
                .level("paused_mailboxes", "Mailboxes paused, because Microsoft throttles or refuses them.")?,
            claims: metrics.counter("claims_total", "Times the queue was asked for jobs and answered.")?,
            claimed: metrics.counter("jobs_claimed_total", "Jobs claimed, those given back unbegun included.")?,
            queue_errors: metrics.counter("queue_errors_total", "Times the queue was asked for jobs and failed.")?,
            settles: metrics.durations(
                "settle_duration_seconds",
                "How long a transaction took that wrote results, the wait for other writers included.",
            )?,
            settled: metrics.counter("results_settled_total", "Results taken to the queue.")?,
            settle_failures: metrics.counter(
                "settle_failures_total",
                "Times results could not be written; they are kept and tried again.",
            )?,
            log_lines_dropped: metrics.counter(
                "log_lines_dropped_total",
                "Lines of the log that were dropped because their reader was too slow.",
            )?,
            gate: Mutex::default(),
            queue_trouble: Mutex::default(),
            settle_trouble: Mutex::default(),
            start: Instant::now(),
            turned_ms: AtomicU64::new(0),
            metrics,
        })
    }

    /// The metrics, to be shown.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How long the requests of an operation take.
    pub(super) fn requests(&self, operation: OperationKind) -> &Histogram {
        match operation {
            OperationKind::Create => &self.creates,
            OperationKind::Update => &self.updates,
            OperationKind::Delete => &self.deletes,
        }
    }

    /// Of all requests that made, changed or deleted an event: so many took at most so many seconds, for each bound.
    pub fn answer_times(&self) -> Vec<(f64, u64)> {
        let mut times: Vec<(f64, u64)> = Vec::new();
        for metric in [&self.creates, &self.updates, &self.deletes].map(Metric::metric) {
            let histogram = metric.get_histogram();
            let within = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
            let all = (f64::INFINITY, histogram.get_sample_count());
            for (place, (bound, requests)) in within.chain([all]).enumerate() {
                match times.get_mut(place) {
                    Some((_, sum)) => *sum += requests,
                    None => times.push((bound, requests)),
                }
            }
        }
        times
    }

    /// Jobs that reached an end.
    pub fn ended(&self) -> u64 {
        self.sent.get() + self.failed.get() + self.cancelled.get()
    }

    /// Why nothing at all is sent, if that is so.
    pub fn gate(&self) -> Option<GateNote> {
        locked(&self.gate).clone()
    }

    /// Why jobs cannot be claimed, if that is so.
    pub fn queue_trouble(&self) -> Option<Trouble> {
        locked(&self.queue_trouble).clone()
    }

    /// Why results cannot be recorded, if that is so.
    pub fn settle_trouble(&self) -> Option<Trouble> {
        locked(&self.settle_trouble).clone()
    }

    /// How long the loop has not turned.
    pub fn still_for(&self, now: Instant) -> Duration {
        let turned = Duration::from_millis(self.turned_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.start).saturating_sub(turned)
    }

    pub(super) fn turned(&self, now: Instant, claimed_ahead: usize, unsettled: usize) {
        let after = now.saturating_duration_since(self.start).as_millis();
        self.turned_ms.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.claimed_ahead.set(claimed_ahead as i64);
        self.unsettled.set(unsettled as i64);
    }

    /// An attempt began of a job that was due then.
    pub(super) fn began(&self, due: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        // Without a readable due time there is nothing to measure; a clock set back counts as no wait.
        if let Some(due) = due {
            self.pickup.observe((now - due).to_std().unwrap_or_default().as_secs_f64());
        }
    }

    /// A result was taken to the queue.
    pub(super) fn ended_as(&self, settlement: &Settlement, settled: Settled) {
        if settled != Settled::Recorded {
            self.unrecorded.inc();
            return;
        }
        match settlement.verdict {
            Verdict::Sent(_) => {
                self.sent.inc();
                self.recipients.inc_by(u64::from(settlement.mailed));
            }
            Verdict::Failed => {
                self.failed.inc();
                self.failed_in_doubt.inc_by(u64::from(settlement.in_doubt));
            }
            Verdict::Pending(_) | Verdict::Unfilled(_) => {}
        }
        if let Some(attempt) = &settlement.attempt {
            self.count_attempt(attempt.ending, settlement.kind);
        }
    }

    fn count_attempt(&self, ending: Ending, kind: Option<ErrorKind>) {
        if ending == Ending::Sent && kind.is_none() {
            return self.attempts_sent.inc();
        }
        // Neither a number of labels that is wrong nor a metric without a place is possible here.
        if let Ok(count) =
            self.attempts.get_metric_with_label_values(&[ending.as_str(), kind.map_or(NO_KIND, ErrorKind::as_str)])
        {
            count.inc();
        }
    }

    /// All sending pauses. Tells how that stands, since its beginning.
    pub(super) fn shut(&self, reason: &GateReason, now: DateTime<Utc>, until: DateTime<Utc>) -> GateNote {
        let mut gate = locked(&self.gate);
        let since = gate.as_ref().map_or(now, |shut| shut.since);
        let (kind, code, hint) = (reason.kind(), reason.code.clone(), reason.hint.to_string());
        gate.insert(GateNote { since, until, kind, code, hint }).clone()
    }

    /// It goes on.
    pub(super) fn reopened(&self) {
        *locked(&self.gate) = None;
    }

    /// The queue could not be asked.
    pub(super) fn queue_fails(&self, error: &QueueError, now: DateTime<Utc>) {
        self.queue_errors.inc();
        begin(&self.queue_trouble, error, now);
    }

    /// It could be asked again.
    pub(super) fn queue_works(&self) {
        *locked(&self.queue_trouble) = None;
    }

    /// Results could not be written.
    pub(super) fn settling_fails(&self, error: &QueueError, now: DateTime<Utc>) {
        self.settle_failures.inc();
        begin(&self.settle_trouble, error, now);
    }

    /// They were written after all.
    pub(super) fn settling_works(&self) {
        *locked(&self.settle_trouble) = None;
    }
}

/// Trouble keeps its beginning, and the words of its latest.
fn begin(trouble: &Mutex<Option<Trouble>>, error: &QueueError, now: DateTime<Utc>) {
    let mut trouble = locked(trouble);
    let since = trouble.as_ref().map_or(now, |trouble| trouble.since);
    *trouble = Some(Trouble { since, why: error.to_string() });
}

/// Those that are to be expected stand at zero from the beginning, so that the first one is an increase.
fn attempts(metrics: &Metrics) -> prometheus::Result<IntCounterVec> {
    let attempts = metrics.counters(
        "attempts_total",
        "Attempts since the start, by how they ended and the kind of trouble met (none where there was none).",
        &["outcome", "error_kind"],
    )?;
    for ending in Ending::ALL {
        for kind in expected_kinds(ending) {
            attempts.get_metric_with_label_values(&[ending.as_str(), kind])?;
        }
    }
    Ok(attempts)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "measures_tests.rs"]
mod tests;
