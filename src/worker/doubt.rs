//! Jobs in doubt: an event may exist that no answer has confirmed. Graph is asked for it by the job's marker, before
//! the request is repeated and before the job is failed (graph-facts 2).
//!
//! A repeat makes no second event where Exchange honours the transaction id; the lookup finds the first one where
//! markers can be searched for. In this order each covers for the other. An empty lookup proves nothing in the first
//! minutes, so it never leads to anything but the same request under the same transaction id, or to a failure that
//! says an event may exist.

use super::attempt::Attempt;
use crate::clock::Now;
use crate::graph::{Call, EventRequest, LookUp};
use crate::job::{Answer, EventId, Outcome};
use crate::policy::{Decision, Disposition};

impl Attempt {
    /// Before the request of a job in doubt is repeated, or its event looked for one last time. None: it is to be
    /// repeated.
    pub(super) async fn look_first(&self, request: &EventRequest) -> Option<(Call, Decision)> {
        let policy = &self.context.policy;
        let last = policy.is_used_up(&self.job);
        if let Err(call) = self.may_send().await {
            return Some(self.decided(call));
        }
        let look = match self.look_up(request, None).await {
            LookUp::Found(event_id) => return Some(self.found(event_id, Answer::default())),
            LookUp::Nothing if last => Call { outcome: Outcome::NotFound, answer: not_found(), retry_after: None },
            LookUp::Nothing => return None,
            LookUp::Failed(look) if look.is_refusal() && last => Call { outcome: Outcome::NotFound, ..*look },
            LookUp::Failed(look) if look.is_refusal() => return None,
            // Whoever answers in Graph's place has looked nowhere.
            LookUp::Failed(look)
                if look.is_unclear() && look.outcome != Outcome::NotGraph && policy.repeats_unseen(&self.job) =>
            {
                return None;
            }
            LookUp::Failed(look) => *look,
        };
        Some(self.decided(look))
    }

    /// After an answer that alone cannot tell whether the event exists, and before a job in doubt is failed.
    pub(super) async fn resolve(&self, request: &EventRequest, call: Call) -> (Call, Decision) {
        // This answer may have named a wait, or another request of the mailbox was told one while this one was under way.
        let resting = call.retry_after.is_some() || self.is_resting();
        let decision = self.decide(&call);
        let named = match &call.outcome {
            Outcome::Duplicate(named) => named.as_ref(),
            Outcome::RefusedInDoubt
            | Outcome::Conflict
            | Outcome::NotGraph
            | Outcome::MailboxBlocked { in_doubt: true, .. } => None,
            // A mailbox that must rest is not asked anything, not even this.
            _ if decision.disposition == Disposition::Fail && decision.in_doubt && decision.rest.is_none() => None,
            _ => return (call, decision),
        };
        let look = match resting {
            true => LookUp::Failed(Box::new(Call::not_made())),
            false => self.look_up(request, named).await,
        };
        let unsettled = match (look, &call.outcome) {
            (LookUp::Found(event_id), _) => return self.found(event_id, call.answer),
            (LookUp::Failed(look), _) if !look.is_refusal() && !look.is_unclear() => {
                return self.put_off(call, decision, *look);
            }
            (LookUp::Failed(_), Outcome::Duplicate(_) | Outcome::RefusedInDoubt) => true,
            // The earlier request was this very job's: soon after it an empty lookup proves nothing (graph-facts 2.4).
            (LookUp::Nothing, Outcome::Duplicate(_)) => self.job.in_doubt,
            _ => false,
        };
        // Where nobody could tell, nothing is final: asked again later, as after a save conflict.
        let decision = if unsettled { self.decide(&conflict()) } else { decision };
        (call, decision)
    }

    /// The lookup itself met a rest, a closed gate or the end of the agent: nothing is final before it was made.
    fn put_off(&self, call: Call, decision: Decision, look: Call) -> (Call, Decision) {
        let wait = self.decide(&look);
        let rest = wait.rest.or(decision.rest);
        let (Disposition::Retry(until) | Disposition::Snooze(until)) = wait.disposition else {
            return (call, Decision { rest, ..decision });
        };
        let (disposition, kind) = match decision.disposition {
            Disposition::Snooze(due) => (Disposition::Snooze(due.max(until)), decision.kind),
            Disposition::Retry(due) => (Disposition::Retry(due.max(until)), decision.kind),
            Disposition::Complete(_) | Disposition::Fail => (Disposition::Retry(until), wait.kind.or(decision.kind)),
        };
        let give_up_at = decision.give_up_at.or(wait.give_up_at);
        let decision = Decision { disposition, kind, in_doubt: true, give_up_at, rest, default_at_fault: None };
        (Call { outcome: look.outcome, ..call }, decision)
    }

    async fn look_up(&self, request: &EventRequest, named: Option<&EventId>) -> LookUp {
        let may_leave = || !self.is_resting();
        let began = Now::read();
        let found = tokio::select! {
            found = self.context.graph.look_up(request, named, began, &may_leave) => found,
            () = self.context.cut.cancelled() => LookUp::Failed(Box::new(Call::not_made())),
        };
        if !matches!(&found, LookUp::Failed(call) if !call.was_made()) {
            self.context.measures.lookups.observe(began.steady.elapsed().as_secs_f64());
        }
        found
    }

    fn found(&self, event_id: EventId, answer: Answer) -> (Call, Decision) {
        // What is recorded is the answer that decided: the lookup's.
        let answer = Answer { status: Some(200), code: None, message: None, ..answer };
        self.decided(Call { outcome: Outcome::Created(event_id), answer, retry_after: None })
    }

    fn decided(&self, call: Call) -> (Call, Decision) {
        let decision = self.decide(&call);
        (call, decision)
    }
}

/// As after a save conflict: no evidence either way.
fn conflict() -> Call {
    Call { outcome: Outcome::Conflict, ..Call::not_made() }
}

fn not_found() -> Answer {
    Answer {
        status: Some(200),
        code: Some("event_not_found".into()),
        message: Some("no answer came to the request, and no event of this job can be found in the calendar.".into()),
        ..Answer::default()
    }
}
