//! One job's way from its claim to its settlement: operation, token, evidence where the job is in doubt, request. Carries out
//! and fills in; everything is decided by `policy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::bearer::Bearer;
use super::pauses::Pauses;
use super::{Measures, WorkerSettings};
use crate::auth::TokenCache;
use crate::clock::{Now, set_between};
use crate::graph::{GraphClient, Line, Prepared, Request};
use crate::job::{
    Answer, CallResult, Cell, DefaultKey, Ending, ErrorKind, Job, JobInput, Operation, Outcome, Undraftable,
};
use crate::policy::{Decision, Departure, Disposition, MailboxEffect, Moment, RetryPolicy};
use crate::queue::{AttemptRecord, LaneKey, Setback, Settlement, Trace};

/// What all attempts share.
#[derive(Clone)]
pub(super) struct Context {
    pub graph: Arc<GraphClient>,
    pub tokens: Arc<TokenCache>,
    pub policy: RetryPolicy,
    pub own_mailbox: bool,
    /// The agent is stopping: what is not posted yet goes back.
    pub stop: CancellationToken,
    /// The grace is nearly over: what is posted is not waited for any longer.
    pub cut: CancellationToken,
    /// Mailboxes that may not be sent to now.
    pub pauses: Arc<Pauses>,
    /// An event was made in the default zone: who refuses that zone now means something else.
    pub zone_taken: Arc<AtomicBool>,
    pub measures: Arc<Measures>,
}

impl Context {
    /// For attempts that begin under other settings.
    pub(super) fn with(&self, graph: Arc<GraphClient>, settings: &WorkerSettings) -> Self {
        let policy = settings.policy.clone();
        let own_mailbox = settings.defaults.own_mailbox;
        Self { graph, policy, own_mailbox, zone_taken: Arc::default(), ..self.clone() }
    }
}

/// A claimed job about to be tried.
pub(super) struct Attempt {
    pub job: Job,
    pub lane: LaneKey,
    pub pauses_in_a_row: u32,
    /// When it was claimed, which is when its row was read …
    pub claimed: Now,
    /// … and when its turn came.
    pub began: Now,
    pub took: Took,
    pub context: Arc<Context>,
}

/// The end of an attempt, decided but not yet recorded.
pub(super) struct Finished {
    pub lane: LaneKey,
    /// What the lane and the gate learn from it.
    pub mailbox: MailboxEffect,
    pub settlement: Settlement,
    /// Number of this attempt among those of the job that count; none of a job that was never begun.
    pub attempt: Option<u32>,
    /// What defaults filled of its row.
    pub took: Took,
    /// The default that was refused, if it was not the row.
    pub default_at_fault: Option<DefaultKey>,
}

/// What a job took of the defaults that can be refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Took {
    /// Its mailbox.
    pub mailbox: bool,
    /// Its zone, and which that was. Not UTC, which is never refused.
    pub time_zone: Option<String>,
}

impl Took {
    pub(super) fn of(job: &Job) -> Self {
        let zone = match &job.input.time_zone {
            Cell::Text(zone)
                if job.defaulted.time_zone && !zone.eq_ignore_ascii_case("UTC") && job.input.goes_out_in_its_zone() =>
            {
                Some(zone.clone())
            }
            _ => None,
        };
        Self { mailbox: job.defaulted.mailbox, time_zone: zone }
    }
}

impl Finished {
    /// Its job was claimed ahead and goes back untouched.
    pub(super) fn is_given_back(&self) -> bool {
        self.attempt.is_none()
    }
}

impl Attempt {
    pub(super) async fn run(mut self) -> Finished {
        let decision = match self.prepare() {
            Ok(prepared) => self.deliver(&prepared).await,
            Err(undraftable) => self.decide(refused_locally(undraftable)),
        };
        self.finish(decision)
    }

    /// The request and its evidence are all that is needed from here on: the row, which may be large, is not held beside them.
    fn prepare(&mut self) -> Result<Prepared, Undraftable> {
        let input = std::mem::take(&mut self.job.input);
        self.job.defaulted.time_zone &= self.zone_may_be_at_fault(&input);
        let operation = Operation::from_input(&input, &self.job.target, self.context.own_mailbox)?;
        self.context.graph.prepare(operation)
    }

    /// Whether it can be the default zone that is refused: not one in which an event was made before, and `extra` may name
    /// another.
    fn zone_may_be_at_fault(&self, input: &JobInput) -> bool {
        let another =
            matches!(&input.extra, Cell::Text(extra) if extra.contains("imeZone") || extra.contains("imezone"));
        self.took.time_zone.is_some() && !another && !self.context.zone_taken.load(Ordering::Relaxed)
    }

    async fn deliver(&self, prepared: &Prepared) -> Decision {
        let Prepared { request, evidence } = prepared;
        let policy = &self.context.policy;
        let mut bearer = match self.bearer().await {
            Ok(bearer) => bearer,
            Err(result) => return self.decide(result),
        };
        if self.job.in_doubt {
            if !self.may_send() {
                return self.decide(CallResult::not_made());
            }
            let verified = self.verify(&mut bearer, evidence, None).await;
            let (job, moment) = self.situation();
            if let Some(end) = policy.before_repeat(&job, verified, &moment) {
                return end;
            }
        }
        // A kept connection may be dead, which is no fault of the job: so that it happens to one only once, a repeat has its own.
        let line = if self.job.in_doubt { Line::Fresh } else { Line::Kept };
        let result = self.send(&mut bearer, request, line).await;
        // One moment for both: a deadline that passed between them would fail the job without the look.
        let (job, moment) = self.situation();
        if !policy.needs_evidence(&job, &result, &moment) {
            return policy.decide(&job, result, &moment);
        }
        let verified = self.verify_after(&mut bearer, evidence, &result).await;
        let (job, moment) = self.situation();
        policy.after_verification(&job, result, verified, &moment)
    }

    async fn bearer(&self) -> Result<Bearer, CallResult> {
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Err(CallResult::not_made()),
            bearer = Bearer::get(&self.context.tokens) => bearer,
        }
    }

    async fn send(&self, bearer: &mut Bearer, request: &Request, line: Line) -> CallResult {
        if !self.may_send() {
            return CallResult::not_made();
        }
        let began = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.sent(bearer, request, line) => result,
            () = self.context.cut.cancelled() => interrupted(),
        };
        if result.was_made() {
            self.context.measures.creates.observe(began.elapsed().as_secs_f64());
        }
        result
    }

    async fn sent(&self, bearer: &mut Bearer, request: &Request, line: Line) -> CallResult {
        let graph = &self.context.graph;
        let first = graph.send(request, line, bearer.token(), Now::read()).await;
        match bearer.renew(&first).await {
            Ok(false) => first,
            Ok(true) if self.is_resting() => CallResult::not_made(),
            Ok(true) => graph.send(request, line, bearer.token(), Now::read()).await,
            Err(result) => result,
        }
    }

    /// Whether a request may leave, asked with the token in hand: the agent is not stopping, and the mailbox was not told to
    /// pause while the token was awaited.
    fn may_send(&self) -> bool {
        !self.context.stop.is_cancelled() && !self.is_resting()
    }

    pub(super) fn is_resting(&self) -> bool {
        self.context.pauses.holds(&self.lane, Instant::now())
    }

    fn decide(&self, result: CallResult) -> Decision {
        let (job, moment) = self.situation();
        self.context.policy.decide(&job, result, &moment)
    }

    /// What is decided by, as it is now. The wall clock may have been set forward since the claim, and the horizon is a length
    /// of time.
    fn situation(&self) -> (Job, Moment) {
        let now = Now::read();
        let mut job = self.job.clone();
        if let Some(by) = set_between(self.claimed, now).filter(|by| *by > TimeDelta::zero()) {
            job.give_up_at = job.give_up_at.and_then(|at| at.checked_add_signed(by));
        }
        let moment = Moment { now: now.wall, jitter: fastrand::f64(), pauses_in_a_row: self.pauses_in_a_row };
        (job, moment)
    }

    fn finish(self, decision: Decision) -> Finished {
        let Decision { disposition, kind, in_doubt, give_up_at, answer, record, mailbox } = decision;
        // Only now: a pause that the look has made needless would hold the mailbox's next jobs up, and no timer ends it.
        if let Some(pause) = &mailbox.pause {
            self.context.pauses.note(&self.lane, pause, Instant::now());
        }
        if self.took.time_zone.is_some() && matches!(mailbox.met, Outcome::Done(_)) {
            self.context.zone_taken.store(true, Ordering::Relaxed);
        }
        let setback = Setback { kind, in_doubt, give_up_at };
        let trace = Trace {
            at: Now::read(),
            spent: record.spent,
            answer,
            sent_at: (record.departure == Departure::Maybe).then_some(self.began.wall),
            attempt: record.ending.map(|ending| self.record(ending)),
        };
        let default_at_fault = match &disposition {
            Disposition::Unfill(_, key) => Some(*key),
            _ => None,
        };
        let job = &self.job;
        let settlement = match disposition {
            Disposition::Complete(event) => Settlement::sent(job, event, trace),
            Disposition::Retry(due) => Settlement::retry(job, due, setback, trace),
            Disposition::Snooze(due) => Settlement::snooze(job, due, setback, trace),
            Disposition::Unfill(due, _) => Settlement::unfill(job, due, setback, trace),
            Disposition::Fail => Settlement::fail(job, record.departure == Departure::Never, setback, trace),
        };
        let (lane, took) = (self.lane, self.took);
        Finished { lane, mailbox, settlement, attempt: Some(record.number), took, default_at_fault }
    }

    fn record(&self, ending: Ending) -> AttemptRecord {
        let duration_ms = i64::try_from(self.began.steady.elapsed().as_millis()).unwrap_or(i64::MAX);
        AttemptRecord { started_at: self.began.wall, duration_ms, ending }
    }
}

/// The end of a job that was claimed ahead and never begun: it goes back to its old place.
pub(super) fn given_back(lane: LaneKey, job: Job, now: Now) -> Finished {
    // Not in the future, should the clock have been set back meanwhile, nor in a year that the schema cannot write.
    let place = job.due.filter(|place| (DateTime::UNIX_EPOCH..now.wall).contains(place)).unwrap_or(now.wall);
    put_off(lane, job, place, now)
}

/// The end of a job that was claimed and must not be begun before `due`.
pub(super) fn put_off(lane: LaneKey, job: Job, due: DateTime<Utc>, now: Now) -> Finished {
    Finished {
        lane,
        mailbox: MailboxEffect { met: Outcome::NotStarted, pause: None, named: None },
        settlement: Settlement::give_back(&job, due, now),
        attempt: None,
        took: Took::default(),
        default_at_fault: None,
    }
}

/// The agent ends before what became of the request can be known.
fn interrupted() -> CallResult {
    let answer = Answer {
        code: Some("interrupted".into()),
        message: Some("the agent was stopped before the answer came; the event may have been created".into()),
        ..Answer::default()
    };
    CallResult::new(Outcome::Interrupted, answer)
}

fn refused_locally(undraftable: Undraftable) -> CallResult {
    let (code, message, outcome) = match undraftable {
        Undraftable::Invalid(invalid) => (invalid.code(), invalid.to_string(), Outcome::Invalid(invalid)),
        Undraftable::Refused(cause, words) => {
            let outcome = match cause.kind() {
                ErrorKind::Target => Outcome::NoTarget(cause),
                _ => Outcome::Refused(cause),
            };
            (cause.as_str().to_owned(), words, outcome)
        }
    };
    CallResult::new(outcome, Answer { code: Some(code), message: Some(message), ..Answer::default() })
}
