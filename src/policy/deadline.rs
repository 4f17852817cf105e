//! Whether it is too late for a request. Asked right before it would leave: a job in doubt has been resolved by then, whatever
//! its deadline.

use chrono::{DateTime, Utc};

use super::{Decision, Moment, RetryPolicy};
use crate::job::{Answer, CallResult, Cause, Job, Outcome};

/// What a request would do to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stakes {
    /// How many it mails.
    pub recipients: u32,
    /// When its event is over; none if that is not known, or never.
    pub ends_at: Option<DateTime<Utc>>,
}

impl RetryPolicy {
    /// None: the request may be made.
    pub fn too_late(&self, job: &Job, stakes: &Stakes, moment: &Moment) -> Option<Decision> {
        let has_passed = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= moment.now);
        let (cause, words) = if has_passed(job.expires_at) {
            (Cause::NotAfterPassed, "not_after has passed: nothing was sent")
        } else if self.refuses_past_events && stakes.recipients > 0 && has_passed(stakes.ends_at) {
            (Cause::EventIsOver, "the event is over, and its attendees are not mailed about it (delivery.past_events)")
        } else {
            return None;
        };
        let answer =
            Answer { code: Some(cause.as_str().to_owned()), message: Some(words.to_owned()), ..Answer::default() };
        Some(self.decide(job, CallResult::new(Outcome::Expired(cause), answer), moment))
    }
}
