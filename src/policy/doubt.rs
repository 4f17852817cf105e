//! Jobs in doubt: an event may exist that no answer has confirmed. Its evidence is looked for before the request is
//! repeated and before the job is failed (graph-facts 2).
//!
//! A repeat makes no second event where Exchange honours the transaction id; the lookup finds the first one where
//! markers can be searched for. In this order each covers for the other. A lookup that finds nothing proves nothing in the
//! first minutes, so it never leads to anything but the same request under the same transaction id, or to a failure that
//! says an event may exist.

use super::{Decision, Departure, Disposition, Moment, Plan, RetryPolicy};
use crate::job::{Answer, CallResult, EventRef, Job, OperationKind, Outcome, Verified};

/// Attempts of a job in doubt after which its request is repeated although the lookup before it keeps failing: the
/// repeat under the same transaction id is the better evidence anyway (graph-facts 2.4).
const PATIENT_LOOKS: u32 = 3;

impl RetryPolicy {
    /// After the lookup that comes before a request: before each change of an event, and before the repeat of a create in doubt.
    /// None: the request is to be made.
    pub fn before_request(&self, job: &Job, verified: Verified, moment: &Moment) -> Option<Decision> {
        match job.operation {
            OperationKind::Create => self.before_repeat(job, verified, moment),
            OperationKind::Update | OperationKind::Delete => self.before_change(job, verified, moment),
        }
    }

    /// An event is looked at by its id, which tells how it is. A lookup without an answer does not justify changing it unseen.
    fn before_change(&self, job: &Job, verified: Verified, moment: &Moment) -> Option<Decision> {
        let look = match verified {
            Verified::Done(event) => return Some(self.decide(job, found(event, Answer::default()), moment)),
            Verified::Absent | Verified::Open(_) if self.is_used_up(job) => {
                let words = "no answer came to the request, and the event is as it was before.";
                CallResult::new(Outcome::NotFound, looked("change_not_made", words))
            }
            Verified::Absent | Verified::Open(_) => return None,
            Verified::Unknown(look) => *look,
        };
        let told = matches!(look.outcome, Outcome::NotFound | Outcome::NoTarget(_));
        // Nothing has left but the question.
        let mut decision = self.decide_with_doubt(job, look, job.in_doubt && !told, moment);
        if !job.in_doubt && decision.record.departure == Departure::Maybe {
            decision.record.departure = Departure::NotNow;
        }
        Some(decision)
    }

    /// As [`Self::decide`], where it is known whether the job is in doubt from now on.
    fn decide_with_doubt(&self, job: &Job, result: CallResult, in_doubt: bool, moment: &Moment) -> Decision {
        let plan = Plan { in_doubt, ..self.plan(job, &result.outcome, result.retry_after, moment) };
        let CallResult { outcome, answer, retry_after, .. } = result;
        self.decision(job, plan, answer, outcome, retry_after)
    }

    fn before_repeat(&self, job: &Job, verified: Verified, moment: &Moment) -> Option<Decision> {
        let is_last = self.is_used_up(job);
        let result = match verified {
            Verified::Done(event) => found(event, Answer::default()),
            Verified::Absent if is_last => {
                let words = "no answer came to the request, and no event of this job can be found in the calendar.";
                CallResult::new(Outcome::NotFound, looked("event_not_found", words))
            }
            Verified::Unknown(look) if look.is_refusal() && is_last => CallResult::new(Outcome::NotFound, look.answer),
            Verified::Unknown(look) if !look.is_refusal() && !self.repeats_unseen(job, &look) => *look,
            Verified::Absent | Verified::Open(_) | Verified::Unknown(_) => return None,
        };
        Some(self.decide(job, result, moment))
    }

    /// Whether evidence must be looked for before this answer decides: it alone cannot tell whether the event exists, or the
    /// job would fail in doubt. A mailbox that must pause is not asked anything, not even this.
    pub fn needs_evidence(&self, job: &Job, result: &CallResult, moment: &Moment) -> bool {
        let cannot_tell = matches!(
            result.outcome,
            Outcome::Duplicate(_)
                | Outcome::RefusedInDoubt(_)
                | Outcome::Conflict
                | Outcome::NotGraph
                | Outcome::MailboxBlocked { in_doubt: true, .. }
        );
        // The next attempt of a change begins with a lookup anyway.
        let cannot_tell = cannot_tell && job.operation == OperationKind::Create;
        let plan = self.plan(job, &result.outcome, result.retry_after, moment);
        cannot_tell || (plan.disposition == Disposition::Fail && plan.in_doubt && plan.pause.is_none())
    }

    /// Decides by an answer and the lookup of evidence after it.
    pub fn after_verification(&self, job: &Job, result: CallResult, verified: Verified, moment: &Moment) -> Decision {
        let look = match verified {
            Verified::Done(event) => return self.decide(job, found(event, result.answer), moment),
            Verified::Open(_) => return self.decide_with_doubt(job, result, false, moment),
            Verified::Unknown(look) if matches!(look.outcome, Outcome::NoTarget(_)) => {
                return self.decide_with_doubt(job, *look, false, moment);
            }
            Verified::Unknown(look) if !look.is_refusal() && !look.is_unclear() => {
                return self.looked_for_later(job, result, *look, moment);
            }
            look => look,
        };
        let is_open = match (look, &result.outcome) {
            (Verified::Unknown(_), Outcome::Duplicate(_) | Outcome::RefusedInDoubt(_)) => true,
            // The earlier request was this very job's: soon after it a lookup that finds nothing proves nothing (graph-facts 2.4).
            (Verified::Absent, Outcome::Duplicate(_)) => job.in_doubt,
            _ => false,
        };
        if !is_open {
            return self.decide(job, result, moment);
        }
        // Nothing is final: tried again later, as after a save conflict.
        let plan = self.plan(job, &Outcome::Conflict, None, moment);
        let CallResult { outcome, answer, retry_after, .. } = result;
        self.decision(job, plan, answer, outcome, retry_after)
    }

    /// The lookup itself met a pause, a closed gate or the end of the agent: nothing is final before it was made. The row keeps
    /// what was said to the request; mailbox and gate go by the lookup, which is the later news.
    fn looked_for_later(&self, job: &Job, result: CallResult, look: CallResult, moment: &Moment) -> Decision {
        let plan = self.plan(job, &result.outcome, result.retry_after, moment);
        let wait = self.plan(job, &look.outcome, look.retry_after, moment);
        let pause = wait.pause.or(plan.pause);
        let named = look.retry_after.or(result.retry_after);
        let (Disposition::Retry(until) | Disposition::Snooze(until)) = wait.disposition else {
            return self.decision(job, Plan { pause, ..plan }, result.answer, result.outcome, named);
        };
        let (disposition, kind) = match plan.disposition {
            Disposition::Snooze(due) | Disposition::Unfill(due, _) => (Disposition::Snooze(due.max(until)), plan.kind),
            Disposition::Retry(due) => (Disposition::Retry(due.max(until)), plan.kind),
            Disposition::Complete(_) | Disposition::Fail => (Disposition::Retry(until), wait.kind.or(plan.kind)),
        };
        let give_up_at = plan.give_up_at.or(wait.give_up_at);
        let plan = Plan { disposition, kind, in_doubt: true, give_up_at, pause };
        self.decision(job, plan, result.answer, look.outcome, named)
    }

    /// The lookup before the repeat was answered unclearly, for the last time that counts. Whatever answers in Graph's place has
    /// looked nowhere.
    fn repeats_unseen(&self, job: &Job, look: &CallResult) -> bool {
        look.is_unclear()
            && look.outcome != Outcome::NotGraph
            && !self.is_used_up(job)
            && job.attempts >= PATIENT_LOOKS.min(self.max_attempts / 2)
    }
}

/// What is recorded is the answer that decided: the lookup's.
fn found(event: EventRef, answer: Answer) -> CallResult {
    CallResult::new(Outcome::Done(event), Answer { status: Some(200), code: None, message: None, ..answer })
}

/// What the last lookup of all has told.
fn looked(code: &str, words: &str) -> Answer {
    Answer { status: Some(200), code: Some(code.into()), message: Some(words.into()), ..Answer::default() }
}
