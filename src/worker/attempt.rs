//! One job's way from its claim to its settlement: operation, token, evidence where the job is in doubt, request. Carries out
//! and fills in; everything is decided by `policy`.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::bearer::Bearer;
use super::links::MissingLink;
use super::pacing::{Paced, Pacing};
use super::pauses::Pauses;
use super::{Measures, WorkerSettings};
use crate::auth::TokenCache;
use crate::clock::{Now, set_between};
use crate::graph::{GraphClient, Line, Prepared, Request};
use crate::job::{
    Answer, CallResult, Cell, DefaultKey, Ending, ErrorKind, Job, JobInput, Operation, OperationKind, Outcome,
    Snapshot, Undraftable, Verified,
};
use crate::policy::{Decision, Departure, Disposition, MailboxEffect, Moment, RetryPolicy, Stakes, place};
use crate::queue::{Agent, AttemptRecord, LaneKey, Setback, Settlement, Trace, Verdict};

/// What all attempts share.
#[derive(Clone)]
pub(super) struct Context {
    /// Gives leave to make requests of a mailbox.
    pub queue: Arc<dyn Agent>,
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
    /// How many each mailbox has mailed.
    pub pacing: Arc<Pacing>,
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
    /// Why it must wait although nothing is wrong.
    pub paced: Option<Paced>,
    /// Its event is an online meeting that has no link yet.
    pub missing_link: Option<MissingLink>,
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

/// What of a row is asked when its attempt is over.
struct RowFacts {
    /// It names attendees.
    mails: bool,
    /// Its event has a key.
    has_key: bool,
}

/// An empty list, however it is written; as the queue has it, which tells such rows from those that mail somebody.
fn names_nobody(attendees: &str) -> bool {
    let inside = attendees.trim().strip_prefix('[').and_then(|list| list.strip_suffix(']'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

impl RowFacts {
    fn of(input: &JobInput) -> Self {
        let mails = matches!(&input.attendees, Cell::Text(attendees) if !names_nobody(attendees));
        Self { mails, has_key: input.event_key != Cell::Null }
    }
}

impl Finished {
    /// Its job was claimed ahead and goes back untouched.
    pub(super) fn is_given_back(&self) -> bool {
        self.attempt.is_none()
    }
}

/// What came of a job's delivery.
struct Delivered {
    decision: Decision,
    /// What the job has done to people, if it has come off.
    stakes: Stakes,
    /// Why it must wait although nothing is wrong.
    paced: Option<Paced>,
    /// Its event is an online meeting, whose link may come later.
    meeting_of: Option<MeetingOf>,
}

/// Where an online meeting's link is asked for.
struct MeetingOf {
    mailbox: Option<String>,
}

impl From<Decision> for Delivered {
    fn from(decision: Decision) -> Self {
        Self { decision, stakes: Stakes::default(), paced: None, meeting_of: None }
    }
}

impl Attempt {
    pub(super) async fn run(mut self) -> Finished {
        let row = RowFacts::of(&self.job.input);
        let delivered = match self.prepare() {
            Ok(prepared) => self.deliver(&prepared, &row).await,
            Err(undraftable) => self.decide(refused_locally(undraftable)).into(),
        };
        self.finish(delivered, row)
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

    async fn deliver(&self, prepared: &Prepared, row: &RowFacts) -> Delivered {
        let mut bearer = match self.bearer().await {
            Ok(bearer) => bearer,
            Err(result) => return self.decide(result).into(),
        };
        let seen = match self.look_first(&mut bearer, prepared).await {
            Ok(seen) => seen,
            Err(end) => return *end,
        };
        let (request, stakes) = match self.request(prepared, seen.as_deref(), row) {
            Ok(ready) => ready,
            Err(end) => return *end,
        };
        let decision = self.exchange(&mut bearer, prepared, &request).await;
        // As in the queue's own account, what is in doubt counts once it is found.
        if !matches!(decision.disposition, Disposition::Complete(_)) {
            self.context.pacing.give_back(&self.lane, stakes.recipients);
        }
        Delivered { stakes, meeting_of: meeting_of(prepared), ..decision.into() }
    }

    /// The lookup before the request, where there is one: what it found of the event that is to be changed.
    ///
    /// # Errors
    /// There is to be no request.
    async fn look_first(
        &self,
        bearer: &mut Bearer,
        prepared: &Prepared,
    ) -> Result<Option<Box<Snapshot>>, Box<Delivered>> {
        if !self.job.in_doubt && !prepared.looks_first() {
            return Ok(None);
        }
        if !self.may_send() {
            return Err(Box::new(self.decide(CallResult::not_made()).into()));
        }
        let verified = self.verify(bearer, &prepared.evidence, None).await;
        let seen = match &verified {
            Verified::Open(seen) => Some(seen.clone()),
            _ => None,
        };
        let (job, moment) = self.situation();
        let Some(decision) = self.context.policy.before_request(&job, verified, &moment) else { return Ok(seen) };
        let stakes = self.found(prepared, &decision);
        self.context.pacing.count(&self.lane, stakes.recipients, Instant::now());
        Err(Box::new(Delivered { stakes, meeting_of: meeting_of(prepared), ..decision.into() }))
    }

    /// What a job has done that is found done. Of one in doubt an earlier request did it, and mailed whom it mailed.
    fn found(&self, prepared: &Prepared, decision: &Decision) -> Stakes {
        let seen = match &decision.disposition {
            Disposition::Complete(event) => event.seen,
            _ => return Stakes::default(),
        };
        let by_row = self.stakes(prepared, None);
        let mailed = if by_row.recipients > 0 { by_row.recipients } else { seen.map_or(0, |seen| seen.guests) };
        let recipients = if self.job.in_doubt { mailed } else { 0 };
        Stakes { recipients, ends_at: by_row.ends_at.or(seen.and_then(|seen| seen.ends_at)) }
    }

    fn stakes(&self, prepared: &Prepared, seen: Option<&Snapshot>) -> Stakes {
        Stakes { recipients: prepared.recipients(seen), ends_at: prepared.ends_at(seen) }
    }

    /// The request, if it may be made now.
    fn request<'p>(
        &self,
        prepared: &'p Prepared,
        seen: Option<&Snapshot>,
        row: &RowFacts,
    ) -> Result<(Cow<'p, Request>, Stakes), Box<Delivered>> {
        let request = prepared.request(seen);
        let (mut job, moment) = self.situation();
        // An event that was seen as it was before leaves no doubt: an earlier request has not changed it.
        job.in_doubt &= seen.is_none();
        let request = request.map_err(|undraftable| {
            Box::new(self.context.policy.decide(&job, refused_locally(undraftable), &moment).into())
        })?;
        let stakes = self.stakes(prepared, seen);
        if let Some(end) = self.context.policy.too_late(&job, &stakes, &moment) {
            return Err(Box::new(end.into()));
        }
        match self.context.pacing.reserve(&self.lane, stakes.recipients, Instant::now()) {
            Ok(()) => Ok((request, stakes)),
            Err(paced) => {
                let outcome = Outcome::Paced { wait: paced.wait, is_known: row.mails };
                let decision = self.decide(CallResult::new(outcome, Answer::default()));
                Err(Box::new(Delivered { paced: Some(paced), ..decision.into() }))
            }
        }
    }

    async fn exchange(&self, bearer: &mut Bearer, prepared: &Prepared, request: &Request) -> Decision {
        // A kept connection may be dead, which is not the job's fault: so that it happens to one only once, a repeat has its own.
        let line = if self.job.in_doubt { Line::Fresh } else { Line::Kept };
        let result = self.send(bearer, request, line).await;
        let policy = &self.context.policy;
        // One moment for both: a deadline that passed between them would fail the job without the lookup.
        let (job, moment) = self.situation();
        if !policy.needs_evidence(&job, &result, &moment) {
            return policy.decide(&job, result, &moment);
        }
        let verified = self.verify_after(bearer, &prepared.evidence, &result).await;
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
            () = self.context.cut.cancelled() => interrupted(self.job.operation),
        };
        if result.was_made() {
            self.context.measures.requests(self.job.operation).observe(began.elapsed().as_secs_f64());
        }
        result
    }

    async fn sent(&self, bearer: &mut Bearer, request: &Request, line: Line) -> CallResult {
        let first = self.sent_once(bearer, request, line).await;
        match bearer.renew(&first).await {
            Ok(false) => first,
            Ok(true) if self.is_blocked() => CallResult::not_made(),
            Ok(true) => self.sent_once(bearer, request, line).await,
            Err(result) => result,
        }
    }

    /// Only while the mailbox is this agent's.
    async fn sent_once(&self, bearer: &Bearer, request: &Request, line: Line) -> CallResult {
        let Some(_pass) = self.context.queue.pass(&self.lane, self.claimed.steady) else {
            return CallResult::not_made();
        };
        self.context.graph.send(request, line, bearer.token(), Now::read()).await
    }

    /// Whether a request may leave, asked with the token in hand: the agent is not stopping, and the mailbox was not told to
    /// pause while the token was awaited.
    fn may_send(&self) -> bool {
        !self.context.stop.is_cancelled() && !self.is_blocked()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.context.pauses.blocks(&self.lane, Instant::now())
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

    fn finish(self, delivered: Delivered, row: RowFacts) -> Finished {
        let Delivered { decision, stakes, paced, meeting_of } = delivered;
        let Decision { disposition, kind, in_doubt, give_up_at, answer, record, mailbox } = decision;
        // Only now: a pause that the lookup has made needless would hold the mailbox's next jobs up, and no timer ends it.
        if let Some(pause) = &mailbox.pause {
            self.context.pauses.note(&self.lane, pause, Instant::now());
        }
        // A change that was there already was not asked for in that zone.
        let made = matches!(mailbox.met, Outcome::Done(_)) && self.job.operation == OperationKind::Create;
        if self.took.time_zone.is_some() && made {
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
        let missing_link = self.missing_link(&disposition, meeting_of);
        let job = &self.job;
        let mut settlement = match disposition {
            Disposition::Complete(event) => Settlement::sent(job, event, trace),
            Disposition::Retry(due) => Settlement::retry(job, due, setback, trace),
            Disposition::Snooze(due) => Settlement::snooze(job, due, setback, trace),
            Disposition::Unfill(due, _) => Settlement::unfill(job, due, setback, trace),
            Disposition::Fail => Settlement::fail(job, record.departure == Departure::Never, setback, trace),
        };
        if matches!(settlement.verdict, Verdict::Sent(_)) {
            settlement.mailed = stakes.recipients;
            settlement.ends_at = stakes.ends_at.filter(|_| row.has_key);
        }
        let (lane, took) = (self.lane, self.took);
        let attempt = Some(record.number);
        Finished { lane, mailbox, settlement, attempt, took, default_at_fault, paced, missing_link }
    }

    fn missing_link(&self, disposition: &Disposition, meeting_of: Option<MeetingOf>) -> Option<MissingLink> {
        let Disposition::Complete(event) = disposition else { return None };
        let MeetingOf { mailbox } = meeting_of.filter(|_| event.join_url.is_none())?;
        Some(MissingLink { job: self.job.id, lane: self.lane.clone(), mailbox, event_id: event.id.clone() })
    }

    fn record(&self, ending: Ending) -> AttemptRecord {
        let duration_ms = i64::try_from(self.began.steady.elapsed().as_millis()).unwrap_or(i64::MAX);
        AttemptRecord { started_at: self.began.wall, duration_ms, ending }
    }
}

/// The end of a job that was claimed ahead and never begun: it goes back to its old place.
pub(super) fn given_back(lane: LaneKey, job: Job, now: Now) -> Finished {
    let place = place(&job, now.wall);
    put_off(lane, job, place, now)
}

/// The end of a job that was claimed and must not be begun before `due`.
pub(super) fn put_off(lane: LaneKey, job: Job, due: DateTime<Utc>, now: Now) -> Finished {
    Finished {
        lane,
        mailbox: MailboxEffect { operation: job.operation, met: Outcome::NotStarted, pause: None, named: None },
        settlement: Settlement::give_back(&job, due, now),
        attempt: None,
        took: Took::default(),
        default_at_fault: None,
        paced: None,
        missing_link: None,
    }
}

/// The agent ends before what became of the request can be known.
fn interrupted(operation: OperationKind) -> CallResult {
    let doubt = operation.doubt();
    let answer = Answer {
        code: Some("interrupted".into()),
        message: Some(format!("the agent was stopped before the answer came; {doubt}")),
        ..Answer::default()
    };
    CallResult::new(Outcome::Interrupted, answer)
}

fn meeting_of(prepared: &Prepared) -> Option<MeetingOf> {
    prepared.wants_join_url().then(|| MeetingOf { mailbox: prepared.mailbox().map(str::to_owned) })
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
