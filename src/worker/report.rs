//! The log lines of the worker: the message is constant, everything else is a field of its own. Nothing of the event
//! itself is ever in them, nor what Graph said about it, which may repeat it.

use std::time::Instant;

use chrono::{DateTime, Utc};
use tracing::{debug, error, info, warn};

use super::attempt::Finished;
use super::log_throttle::LogThrottle;
use crate::job::{Answer, DefaultKey, ErrorKind, GateReason, JobId, OperationKind, Outcome, format_utc};
use crate::queue::{DefaultNote, LaneKey, Pause, QueueError, Refusal, Settled, Settlement, Verdict};

/// One line per finished attempt.
pub(super) fn attempt(finished: &Finished, settled: Settled) {
    let settlement = &finished.settlement;
    let job_id = settlement.id.0;
    if settled != Settled::Recorded {
        // The event exists all the same: its id must be found somewhere.
        if let Verdict::Sent(event) = &settlement.verdict {
            error!(job_id, claim = settlement.claim, event_id = event.id.0, ?settled, "result not recorded");
        } else {
            warn!(job_id, claim = settlement.claim, ?settled, "result not recorded");
        }
        return;
    }
    let Some(record) = &settlement.attempt else {
        debug!(job_id, "job given back");
        return;
    };
    let answer = &settlement.answer;
    let (attempt, outcome, duration_ms) = (finished.attempt, record.ending.as_str(), record.duration_ms);
    let (status, error_code) = (answer.status, answer.code.as_deref());
    let (request_id, client_request_id) = (answer.request_id.as_deref(), answer.client_request_id.as_deref());
    let error_kind = settlement.kind.map(|kind| kind.as_str());
    let retry_at = retry_at(finished);
    macro_rules! failure {
        ($level:ident, $message:literal) => {
            $level!(
                job_id,
                attempt,
                outcome,
                status,
                error_kind,
                error_code,
                request_id,
                client_request_id,
                duration_ms,
                in_doubt = settlement.in_doubt,
                retry_at,
                $message
            )
        };
    }
    macro_rules! success {
        ($event:ident, $message:literal) => {
            info!(
                job_id,
                attempt,
                outcome,
                event_id = $event.id.0,
                status,
                request_id,
                client_request_id,
                duration_ms,
                $message
            )
        };
    }
    match &settlement.verdict {
        Verdict::Sent(event) => match finished.mailbox.operation {
            OperationKind::Create => success!(event, "event sent"),
            OperationKind::Update => success!(event, "event updated"),
            OperationKind::Delete => success!(event, "event deleted"),
        },
        Verdict::Pending(_) | Verdict::Unfilled(_) => failure!(warn, "attempt failed"),
        Verdict::Failed => failure!(error, "job failed"),
    }
}

/// When the job is tried again. While all sending pauses, or that from a default, the end of the pause is on the line that
/// reports it.
fn retry_at(finished: &Finished) -> Option<String> {
    let (Verdict::Pending(due) | Verdict::Unfilled(due)) = &finished.settlement.verdict else { return None };
    let pauses = matches!(finished.mailbox.met, Outcome::Unable(_) | Outcome::Diverted(_));
    (!pauses && finished.default_at_fault.is_none()).then(|| format_utc(*due))
}

pub(super) fn broken_row(job_id: JobId) {
    let error_kind = ErrorKind::InvalidJob.as_str();
    error!(job_id = job_id.0, outcome = "failed", error_kind, error_code = "invalid_row", "job failed");
}

/// It ended without an attempt.
pub(super) fn ended_unsent(job_id: JobId, kind: ErrorKind) {
    let error_kind = kind.as_str();
    match kind {
        ErrorKind::Superseded => info!(job_id = job_id.0, outcome = "cancelled", error_kind, "job superseded"),
        _ => error!(job_id = job_id.0, outcome = "failed", error_kind, "job failed"),
    }
}

/// Its jobs that mail somebody wait.
pub(super) fn mailbox_paced(lane: &LaneKey, reason: &str, until: DateTime<Utc>) {
    warn!(mailbox = lane.as_str(), reason, retry_at = format_utc(until), "mailbox has mailed its limit");
}

/// A rule of the table refuses a result. The event exists all the same: its id must be found somewhere.
pub(super) fn result_refused(finished: &Finished, why: &str) {
    let settlement = &finished.settlement;
    let event_id = match &settlement.verdict {
        Verdict::Sent(event) => Some(event.id.0.as_str()),
        _ => None,
    };
    let error_kind = settlement.kind.map(|kind| kind.as_str());
    let (job_id, claim) = (settlement.id.0, settlement.claim);
    error!(job_id, claim, event_id, error_kind, error = why, "result refused by the queue, kept and tried again");
}

pub(super) fn results_still_refused(results: usize, tries: u32, why: &str) {
    error!(results, tries, error = why, "results still refused by the queue");
}

/// A rule of the table refuses its claim.
pub(super) fn claim_refused(refusal: &Refusal) {
    error!(job_id = refusal.id.0, error = refusal.why, "job cannot be claimed, tried again");
}

/// They were claimed, and by nobody: another program wrote that, or the answer to a claim was lost.
pub(super) fn put_back(jobs: u64) {
    warn!(jobs, "jobs claimed by nobody put back, in doubt");
}

/// Claimed a second time while the request of the first claim is out: somebody put it back.
pub(super) fn taken_back(job_id: JobId) {
    warn!(job_id = job_id.0, "job put back by another program while it was being sent");
}

pub(super) fn mailbox_paused(pause: &Pause, answer: &Answer) {
    warn!(
        mailbox = pause.lane.as_str(),
        status = answer.status,
        error_kind = pause.kind.map(|kind| kind.as_str()),
        error_code = answer.code.as_deref(),
        retry_at = format_utc(pause.until),
        "mailbox paused"
    );
}

/// It was paused so many times since the last line.
pub(super) fn mailbox_still_paused(pause: &Pause, answer: &Answer, pauses: u32) {
    info!(
        mailbox = pause.lane.as_str(),
        status = answer.status,
        error_kind = pause.kind.map(|kind| kind.as_str()),
        error_code = answer.code.as_deref(),
        retry_at = format_utc(pause.until),
        pauses,
        "mailbox still paused"
    );
}

pub(super) fn mailbox_resumed(lane: &LaneKey) {
    info!(mailbox = lane.as_str(), "mailbox resumed");
}

pub(super) fn mailbox_held(lane: &LaneKey) {
    info!(mailbox = lane.as_str(), "mailbox held");
}

pub(super) fn mailbox_released(lane: &LaneKey) {
    info!(mailbox = lane.as_str(), "mailbox released");
}

/// Who waits for the queue to be empty may wait for ever.
pub(super) fn only_held_left(jobs: u64) {
    warn!(jobs, "only mailboxes on hold have jobs left, waiting for their release");
}

pub(super) fn sending_paused(reason: &GateReason, until: DateTime<Utc>) {
    let (error_kind, error_code, retry_at) = (reason.kind().as_str(), reason.code.as_str(), format_utc(until));
    error!(error_kind, error_code, hint = %reason.hint, retry_at, "sending paused");
}

/// One request found out, so many times since the last line.
pub(super) fn sending_still_paused(reason: &GateReason, until: DateTime<Utc>, tries: u32) {
    let (error_kind, error_code, retry_at) = (reason.kind().as_str(), reason.code.as_str(), format_utc(until));
    info!(error_kind, error_code, hint = %reason.hint, retry_at, tries, "sending still paused");
}

pub(super) fn sending_resumed() {
    info!("sending resumed");
}

/// `said` is what the refused answer was.
pub(super) fn default_paused(note: &DefaultNote, said: &Settlement) {
    let (setting, value, retry_at) = (note.key.as_str(), note.value.as_str(), format_utc(note.until));
    let (status, error_code) = (said.answer.status, said.answer.code.as_deref());
    let error_kind = said.kind.map(|kind| kind.as_str());
    error!(setting, value, status, error_kind, error_code, hint = note.hint, retry_at, "sending from a default paused");
}

/// One request found out, so many times since the last line.
pub(super) fn default_still_paused(note: &DefaultNote, tries: u32) {
    let (setting, value, retry_at) = (note.key.as_str(), note.value.as_str(), format_utc(note.until));
    info!(setting, value, retry_at, tries, "sending from a default still paused");
}

pub(super) fn default_resumed(key: DefaultKey) {
    info!(setting = key.as_str(), "sending from a default resumed");
}

pub(super) fn purged(jobs: u64) {
    info!(jobs, "finished jobs deleted");
}

pub(super) fn pauses_not_forgotten(error: &QueueError) {
    warn!(error = %error, "pauses that are over could not be deleted, trying again later");
}

pub(super) fn purge_failed(error: &QueueError) {
    warn!(error = %error, "finished jobs could not be deleted, trying again later");
}

pub(super) fn recording_fails(error: &QueueError, results: usize) {
    error!(error = %error, results, "results cannot be recorded, kept and tried again");
}

pub(super) fn queue_gone(error: &QueueError) {
    error!(error = %error, "queue gone, stopping");
}

pub(super) fn recording_still_fails(error: &QueueError, results: usize, tries: u32) {
    error!(error = %error, results, tries, "results still cannot be recorded");
}

/// The queue this belonged to is gone: the log is the only place left for it.
pub(super) fn unrecordable(finished: &Finished) {
    let settlement = &finished.settlement;
    let event_id = match &settlement.verdict {
        Verdict::Sent(event) => Some(event.id.0.as_str()),
        _ => None,
    };
    let error_kind = settlement.kind.map(|kind| kind.as_str());
    error!(job_id = settlement.id.0, claim = settlement.claim, event_id, error_kind, "result not recorded");
}

pub(super) fn recording_works() {
    info!("results recorded again");
}

/// The watchdog is not told of life any more.
pub(super) fn stuck(with: &'static str) {
    error!(with, "no progress, the watchdog is no longer fed");
}

pub(super) fn moving() {
    info!("progress again, the watchdog is fed");
}

/// Trouble is said when it begins, and now and then; `trouble` counts it.
pub(super) fn queue_unreadable(trouble: &mut u32, still: &mut LogThrottle, error: &QueueError) {
    let now = Instant::now();
    if *trouble == 0 {
        error!(error = %error, "queue cannot be used, trying again");
        still.logged(now);
    } else if let Some(tries) = still.met(now) {
        error!(error = %error, tries, "queue still cannot be used");
    }
    *trouble = trouble.saturating_add(1);
}

pub(super) fn queue_readable(trouble: &mut u32) {
    if *trouble > 0 {
        info!("queue can be used again");
    }
    *trouble = 0;
}
