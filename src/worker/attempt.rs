//! One job's way from its claim to a decision: draft, token, POST. Where only a lookup can tell, `doubt` makes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::Measures;
use super::resting::Resting;
use crate::auth::TokenCache;
use crate::clock::{Now, set_between};
use crate::graph::{Call, EventRequest, GraphClient, Line, no_token};
use crate::job::{Answer, Cell, DefaultKey, ErrorKind, EventDraft, InvalidJob, Job, JobInput, Outcome};
use crate::policy::{Decision, Disposition, Rest, RetryPolicy};
use crate::queue::{AttemptRecord, LaneKey, Settlement, Verdict};

const MAY_EXIST: &str = "An event may exist: look into the calendar before inserting this job anew.";

/// What all attempts share.
pub(super) struct Context {
    pub graph: Arc<GraphClient>,
    pub tokens: Arc<TokenCache>,
    pub policy: RetryPolicy,
    pub own_mailbox: bool,
    /// The agent is stopping: what is not posted yet goes back.
    pub stop: CancellationToken,
    /// The grace is nearly over: what is posted is not waited for any longer.
    pub cut: CancellationToken,
    /// Mailboxes that were just told to rest.
    pub resting: Arc<Resting>,
    /// An event was made in the default zone: who refuses that zone now means something else.
    pub zone_taken: AtomicBool,
    pub measures: Arc<Measures>,
}

/// A claimed job about to be tried.
pub(super) struct Attempt {
    pub job: Job,
    pub lane: LaneKey,
    pub strikes: u32,
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
    pub outcome: Outcome,
    pub rest: Option<Rest>,
    pub settlement: Settlement,
    /// The wait that the answer named.
    pub named: Option<Duration>,
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
    /// Its zone, and which that was. Not UTC, which nobody refuses.
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
        let (call, decision) = match self.request() {
            Ok(request) => self.deliver(&request).await,
            Err(invalid) => {
                let call = refused_locally(invalid);
                let decision = self.decide(&call);
                (call, decision)
            }
        };
        self.finish(call, decision)
    }

    /// The request is all that is needed from here on: the row, which may be large, is not held beside it.
    fn request(&mut self) -> Result<EventRequest, InvalidJob> {
        let input = std::mem::take(&mut self.job.input);
        self.job.defaulted.time_zone &= self.zone_may_be_at_fault(&input);
        EventDraft::from_input(&input, self.context.own_mailbox).and_then(EventRequest::new)
    }

    /// Whether it can be the default zone that is refused: not one in which an event was made before, and `extra` may name
    /// another.
    fn zone_may_be_at_fault(&self, input: &JobInput) -> bool {
        let another =
            matches!(&input.extra, Cell::Text(extra) if extra.contains("imeZone") || extra.contains("imezone"));
        self.took.time_zone.is_some() && !another && !self.context.zone_taken.load(Ordering::Relaxed)
    }

    async fn deliver(&self, request: &EventRequest) -> (Call, Decision) {
        if self.job.in_doubt
            && let Some(end) = self.look_first(request).await
        {
            return end;
        }
        // A kept connection may be dead, which is nobody's attempt: so that it happens to a job once, a repeat has its own.
        let line = if self.job.in_doubt { Line::Fresh } else { Line::Kept };
        let call = self.send(request, line).await;
        self.resolve(request, call).await
    }

    async fn send(&self, request: &EventRequest, line: Line) -> Call {
        if let Err(call) = self.may_send().await {
            return call;
        }
        let may_leave = || !self.is_resting();
        let began = Now::read();
        let call = tokio::select! {
            biased;
            call = self.context.graph.create(request, line, began, &may_leave) => call,
            () = self.context.cut.cancelled() => interrupted(),
        };
        if call.was_made() {
            self.context.measures.creates.observe(began.steady.elapsed());
        }
        call
    }

    /// Whether the next request may leave: the agent is not stopping, there is a token, the mailbox is not at rest.
    pub(super) async fn may_send(&self) -> Result<(), Call> {
        let context = &self.context;
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(Call::not_made()),
            token = context.tokens.get(Instant::now()) => token.map_err(no_token)?,
        };
        if self.is_resting() { Err(Call::not_made()) } else { Ok(()) }
    }

    pub(super) fn is_resting(&self) -> bool {
        self.context.resting.holds(&self.lane, Instant::now())
    }

    pub(super) fn decide(&self, call: &Call) -> Decision {
        let now = Now::read();
        let mut job = self.job.clone();
        // The wall clock may have been set forward since the claim, and the horizon is a length of time.
        if let Some(by) = set_between(self.claimed, now).filter(|by| *by > TimeDelta::zero()) {
            job.give_up_at = job.give_up_at.and_then(|at| at.checked_add_signed(by));
        }
        let said = (&call.outcome, call.retry_after);
        self.context.policy.decide_with(&job, said, self.strikes, now.wall, fastrand::f64())
    }

    fn finish(self, call: Call, decision: Decision) -> Finished {
        // Only now: a rest that a lookup has made needless would hold the mailbox's next jobs up, and no timer ends it.
        if let Some(rest) = &decision.rest {
            self.context.resting.note(&self.lane, rest, Instant::now());
        }
        let Call { outcome, mut answer, retry_after: named } = call;
        if self.took.time_zone.is_some() && matches!(outcome, Outcome::Created(_)) {
            self.context.zone_taken.store(true, Ordering::Relaxed);
        }
        let at = Now::read();
        let (verdict, spent, word) = match decision.disposition.clone() {
            // Found by the last look of all, which is no attempt.
            Disposition::Complete(event_id) => {
                (Verdict::Sent(event_id), !self.context.policy.is_used_up(&self.job), "sent")
            }
            Disposition::Retry(due) => (Verdict::Again(due), true, "retry"),
            Disposition::Snooze(due) if outcome == Outcome::Interrupted => (Verdict::Again(due), false, "interrupted"),
            Disposition::Snooze(due) if decision.default_at_fault.is_some() => (Verdict::Anew(due), false, "snoozed"),
            Disposition::Snooze(due) => (Verdict::Again(due), false, "snoozed"),
            Disposition::Fail => (
                Verdict::Failed,
                !matches!(outcome, Outcome::Invalid(_)) && !self.context.policy.is_used_up(&self.job),
                "failed",
            ),
        };
        if verdict == Verdict::Failed {
            answer.message =
                Some(last_words(&decision, self.job.attempts + u32::from(spent), answer.message.as_deref()));
        }
        // What spends an attempt has left, also where the lookup after it decided.
        let left = answer.status.is_some()
            || matches!(outcome, Outcome::ReplyLost | Outcome::ConnectionStale | Outcome::Interrupted)
            || matches!(decision.disposition, Disposition::Retry(_));
        let tried = left || matches!(outcome, Outcome::Invalid(_));
        let record = AttemptRecord {
            started_at: self.began.wall,
            duration_ms: i64::try_from(self.began.steady.elapsed().as_millis()).unwrap_or(i64::MAX),
            outcome: word,
        };
        Finished {
            attempt: Some(self.job.attempts.saturating_add(u32::from(!self.context.policy.is_used_up(&self.job)))),
            lane: self.lane,
            rest: decision.rest,
            named,
            took: self.took,
            default_at_fault: decision.default_at_fault,
            settlement: Settlement {
                id: self.job.id,
                claim: self.job.claim,
                verdict,
                spent,
                at,
                in_doubt: decision.in_doubt,
                give_up_at: decision.give_up_at,
                kind: decision.kind,
                answer,
                sent_at: left.then_some(self.began.wall),
                never_left: matches!(outcome, Outcome::Invalid(_)) && !decision.in_doubt,
                attempt: tried.then_some(record),
                pause: None,
            },
            outcome,
        }
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
    let settlement = Settlement {
        id: job.id,
        claim: job.claim,
        verdict: Verdict::Again(due),
        spent: false,
        at: now,
        in_doubt: job.in_doubt,
        give_up_at: job.give_up_at,
        kind: None,
        answer: Answer::default(),
        sent_at: None,
        never_left: false,
        attempt: None,
        pause: None,
    };
    Finished {
        lane,
        outcome: Outcome::NotStarted,
        rest: None,
        named: None,
        settlement,
        attempt: None,
        took: Took::default(),
        default_at_fault: None,
    }
}

/// The agent ends before what became of the request can be known.
pub(super) fn interrupted() -> Call {
    Call {
        outcome: Outcome::Interrupted,
        answer: Answer {
            code: Some("interrupted".into()),
            message: Some("the agent was stopped before the answer came; the event may have been created".into()),
            ..Answer::default()
        },
        retry_after: None,
    }
}

fn refused_locally(invalid: InvalidJob) -> Call {
    let answer = Answer { code: Some(invalid.code()), message: Some(invalid.to_string()), ..Answer::default() };
    Call { outcome: Outcome::Invalid(invalid), answer, retry_after: None }
}

/// The message a failed job keeps: why it was given up, what was said last, and whether an event may exist.
fn last_words(decision: &Decision, attempts: u32, said: Option<&str>) -> String {
    let mut words = Vec::new();
    if decision.kind == Some(ErrorKind::Exhausted) {
        let number =
            if attempts == 1 { "1 attempt that counts".to_owned() } else { format!("{attempts} attempts that count") };
        words.push(format!("Given up after {number}; the last trouble:"));
    }
    let said = said.unwrap_or("no reason was given").trim_end();
    // Another sentence follows, and not everybody ends theirs.
    let stop = if decision.in_doubt && !said.ends_with(['.', '!', '?']) { "." } else { "" };
    words.push(format!("{said}{stop}"));
    if decision.in_doubt {
        words.push(MAY_EXIST.to_owned());
    }
    words.join(" ")
}
