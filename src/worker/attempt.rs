//! One job's way from its claim to a decision: draft, token, POST, and a lookup where only that can tell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::graph::{Call, EventRequest, GraphClient, LookUp, Now, no_token};
use crate::job::{Answer, ErrorKind, EventDraft, InvalidJob, Job, Outcome};
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
    pub resting: Resting,
}

/// Rests as they are learnt, for the attempts of the same mailbox that have begun but not posted yet. The lanes learn
/// of a rest only when the loop comes to it, and by then those would have posted into it.
#[derive(Default)]
pub(super) struct Resting(Mutex<HashMap<LaneKey, DateTime<Utc>>>);

impl Resting {
    fn note(&self, lane: &LaneKey, until: DateTime<Utc>) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = resting.entry(lane.clone()).or_insert(until);
        *known = until.max(*known);
    }

    fn holds(&self, lane: &LaneKey, now: DateTime<Utc>) -> bool {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > now);
        resting.contains_key(lane)
    }
}

/// A claimed job about to be tried.
pub(super) struct Attempt {
    pub job: Job,
    pub lane: LaneKey,
    pub strikes: u32,
    pub context: Arc<Context>,
}

/// The end of an attempt, decided but not yet recorded.
pub(super) struct Finished {
    pub lane: LaneKey,
    pub outcome: Outcome,
    pub rest: Option<Rest>,
    pub settlement: Settlement,
    /// Number of this attempt among those of the job that count.
    pub attempt: u32,
}

impl Attempt {
    pub(super) async fn run(mut self) -> Finished {
        let started = now();
        let draft = self.request();
        let (call, decision) = match draft {
            Ok(request) => {
                let call = self.send(&request).await;
                self.resolve(&request, call).await
            }
            Err(invalid) => {
                let call = refused_locally(invalid);
                let decision = self.decide(&call.outcome);
                (call, decision)
            }
        };
        self.finish(started, call, decision)
    }

    /// The request is all that is needed from here on: the row, which may be large, is not held beside it.
    fn request(&mut self) -> Result<EventRequest, InvalidJob> {
        let input = std::mem::take(&mut self.job.input);
        EventDraft::from_input(&input, self.context.own_mailbox).and_then(EventRequest::new)
    }

    async fn send(&self, request: &EventRequest) -> Call {
        let context = &self.context;
        let nothing_sent = || Call { outcome: Outcome::NotStarted, answer: Answer::default() };
        let token = tokio::select! {
            biased;
            () = context.stop.cancelled() => return nothing_sent(),
            token = context.tokens.get(Instant::now()) => token,
        };
        if let Err(refusal) = token {
            return no_token(refusal);
        }
        if context.resting.holds(&self.lane, Utc::now()) {
            return nothing_sent();
        }
        tokio::select! {
            biased;
            call = context.graph.create(request, now()) => call,
            () = context.cut.cancelled() => Call {
                outcome: Outcome::Interrupted,
                answer: Answer {
                    code: Some("interrupted".into()),
                    message: Some("the agent was stopped before the answer came; the event may have been created".into()),
                    ..Answer::default()
                },
            },
        }
    }

    /// Where the answer alone cannot tell whether the event exists, looks it up before deciding.
    async fn resolve(&self, request: &EventRequest, mut call: Call) -> (Call, Decision) {
        let decision = self.decide(&call.outcome);
        let named = match &call.outcome {
            Outcome::Duplicate(named) => named.clone(),
            Outcome::RefusedInDoubt | Outcome::Conflict | Outcome::MailboxBlocked { in_doubt: true, .. } => None,
            // A mailbox that must rest is not asked anything, not even this.
            _ if decision.disposition == Disposition::Fail && decision.in_doubt && decision.rest.is_none() => None,
            _ => return (call, decision),
        };
        let found = tokio::select! {
            found = self.context.graph.look_up(request, named.as_ref(), now()) => found,
            () = self.context.cut.cancelled() => LookUp::Failed,
        };
        let undecided = match (&call.outcome, &found) {
            (Outcome::Duplicate(_) | Outcome::RefusedInDoubt, LookUp::Failed) => true,
            // The earlier request was this very job's: soon after it an empty lookup proves nothing (graph-facts 2.4).
            (Outcome::Duplicate(_), LookUp::Nothing) => self.job.in_doubt,
            _ => false,
        };
        if let LookUp::Found(event_id) = found {
            call.outcome = Outcome::Created(event_id);
            // What is recorded is the answer that decided: the lookup's.
            call.answer = Answer { status: Some(200), code: None, message: None, ..call.answer };
            let decision = self.decide(&call.outcome);
            return (call, decision);
        }
        // Where nobody could tell, nothing is final: asked again later, as after a save conflict.
        let decision = if undecided { self.decide(&Outcome::Conflict) } else { decision };
        (call, decision)
    }

    fn decide(&self, outcome: &Outcome) -> Decision {
        let decision = self.context.policy.decide(&self.job, outcome, self.strikes, Utc::now(), fastrand::f64());
        if let Some(rest) = &decision.rest {
            self.context.resting.note(&self.lane, rest.until);
        }
        decision
    }

    fn finish(self, started: Now, call: Call, decision: Decision) -> Finished {
        let Call { outcome, mut answer } = call;
        let at = Utc::now();
        let (verdict, spent, word) = match decision.disposition.clone() {
            Disposition::Complete(event_id) => (Verdict::Sent(event_id), true, "sent"),
            Disposition::Retry(due) => (Verdict::Again(due), true, "retry"),
            Disposition::Snooze(due) if outcome == Outcome::Interrupted => (Verdict::Again(due), false, "interrupted"),
            Disposition::Snooze(due) => (Verdict::Again(due), false, "snoozed"),
            Disposition::Fail => (Verdict::Failed, !matches!(outcome, Outcome::Invalid(_)), "failed"),
        };
        if verdict == Verdict::Failed {
            answer.message =
                Some(last_words(&decision, self.job.attempts + u32::from(spent), answer.message.as_deref()));
        }
        let left = answer.status.is_some() || matches!(outcome, Outcome::ReplyLost | Outcome::Interrupted);
        let tried = left || matches!(outcome, Outcome::Invalid(_));
        let record = AttemptRecord {
            started_at: started.wall,
            duration_ms: i64::try_from(started.steady.elapsed().as_millis()).unwrap_or(i64::MAX),
            outcome: word,
        };
        Finished {
            attempt: self.job.attempts.saturating_add(1),
            lane: self.lane,
            outcome,
            rest: decision.rest,
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
                sent_at: left.then_some(started.wall),
                attempt: tried.then_some(record),
                pause: None,
            },
        }
    }
}

fn refused_locally(invalid: InvalidJob) -> Call {
    let answer = Answer { code: Some(invalid.code()), message: Some(invalid.to_string()), ..Answer::default() };
    Call { outcome: Outcome::Invalid(invalid), answer }
}

/// The message a failed job keeps: why it was given up, what was said last, and whether an event may exist.
fn last_words(decision: &Decision, attempts: u32, said: Option<&str>) -> String {
    let mut words = Vec::new();
    if decision.kind == Some(ErrorKind::Exhausted) {
        words.push(format!("Given up after {attempts} attempts that count; the last trouble:"));
    }
    words.push(said.unwrap_or("no reason was given").to_owned());
    if decision.in_doubt {
        words.push(MAY_EXIST.to_owned());
    }
    words.join(" ")
}

fn now() -> Now {
    Now { wall: Utc::now(), steady: Instant::now() }
}
