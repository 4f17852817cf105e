//! What of an attempt is counted and written down, and the message a failed job keeps.

use std::time::Duration;

use super::{Decision, Disposition, MailboxEffect, Plan, RetryPolicy};
use crate::job::{Answer, Ending, ErrorKind, Job, OperationKind, Outcome};

/// What a doubt means, by what was asked for.
fn doubt(operation: OperationKind) -> &'static str {
    match operation {
        OperationKind::Create => "An event may exist: look into the calendar before inserting this job anew.",
        OperationKind::Update => "The change may have been made: look at the event before inserting this job anew.",
        OperationKind::Delete => "The event may be gone: look into the calendar before inserting this job anew.",
    }
}

/// What is counted and written down of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number among the attempts of the job that count.
    pub number: u32,
    /// It counts against `delivery.max_attempts`.
    pub spent: bool,
    pub departure: Departure,
    /// The word in the history; none if there was nothing to write down.
    pub ending: Option<Ending>,
}

/// Whether a request may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// One may have in this attempt: the row's content is fixed from now on.
    Maybe,
    /// None in this attempt.
    NotNow,
    /// None can ever have left for the job, so its content may be corrected. Only of one that failed.
    Never,
}

impl RetryPolicy {
    /// Completes a plan: `met` by the last request, which named that wait.
    pub(super) fn decision(
        &self,
        job: &Job,
        plan: Plan,
        mut answer: Answer,
        met: Outcome,
        named: Option<Duration>,
    ) -> Decision {
        let record = self.record(job, &plan, &answer, &met);
        if plan.disposition == Disposition::Fail {
            let attempts = job.attempts.saturating_add(u32::from(record.spent));
            answer.message = Some(last_words(job.operation, &plan, attempts, answer.message.as_deref()));
        }
        let Plan { disposition, kind, in_doubt, give_up_at, pause } = plan;
        let mailbox = MailboxEffect { operation: job.operation, met, pause, named };
        Decision { disposition, kind, in_doubt, give_up_at, answer, record, mailbox }
    }

    fn record(&self, job: &Job, plan: &Plan, answer: &Answer, met: &Outcome) -> Record {
        let is_invalid = matches!(met, Outcome::Invalid(_));
        // Found out without asking Graph.
        let is_local = is_invalid
            || answer.status.is_none()
                && matches!(met, Outcome::Expired(_) | Outcome::NoTarget(_) | Outcome::Refused(_));
        // The last lookup of all is not an attempt.
        let counts = !self.is_used_up(job);
        let spent = match plan.disposition {
            Disposition::Complete(_) => counts,
            Disposition::Retry(_) => true,
            Disposition::Snooze(_) | Disposition::Unfill(..) => false,
            Disposition::Fail => counts && !is_local,
        };
        // What spends an attempt has left, also where the lookup after it decided.
        let left = answer.status.is_some()
            || matches!(met, Outcome::ReplyLost | Outcome::ConnectionStale | Outcome::Interrupted)
            || matches!(plan.disposition, Disposition::Retry(_));
        let departure = match (is_invalid && !plan.in_doubt, left) {
            (true, _) => Departure::Never,
            (false, true) => Departure::Maybe,
            (false, false) => Departure::NotNow,
        };
        let ending = (left || is_local).then(|| ending(&plan.disposition, met));
        Record { number: job.attempts.saturating_add(u32::from(counts)), spent, departure, ending }
    }
}

fn ending(disposition: &Disposition, met: &Outcome) -> Ending {
    match disposition {
        Disposition::Complete(_) => Ending::Sent,
        Disposition::Retry(_) => Ending::Retry,
        Disposition::Snooze(_) if *met == Outcome::Interrupted => Ending::Interrupted,
        Disposition::Snooze(_) | Disposition::Unfill(..) => Ending::Snoozed,
        Disposition::Fail => Ending::Failed,
    }
}

/// The message a failed job keeps: why it was given up, what was said last, and whether an event may exist.
fn last_words(operation: OperationKind, plan: &Plan, attempts: u32, said: Option<&str>) -> String {
    let mut words = Vec::new();
    if plan.kind == Some(ErrorKind::Exhausted) {
        let number =
            if attempts == 1 { "1 attempt that counts".to_owned() } else { format!("{attempts} attempts that count") };
        words.push(format!("Given up after {number}; the last trouble:"));
    }
    // Each answer of Graph comes with words; this is the last resort.
    let said = said.unwrap_or("no reason was given").trim_end();
    // Another sentence follows, and not every server ends its own.
    let stop = if plan.in_doubt && !said.ends_with(['.', '!', '?']) { "." } else { "" };
    words.push(format!("{said}{stop}"));
    if plan.in_doubt {
        words.push(doubt(operation).to_owned());
    }
    words.join(" ")
}
