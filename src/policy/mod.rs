//! Retry policy: the only place where it is decided what becomes of a job and how long its mailbox pauses, from what its
//! requests met. `doubt` decides where evidence must be looked for first, `deadline` whether it is too late for a request,
//! `record` what of an attempt is written down.
//!
//! Pure: takes the time and the jitter as arguments, touches nothing. It does not know the agent-wide gate (that is
//! `worker`'s, which sees all mailboxes at once) and it shortens no `Retry-After` but to the longest that is obeyed at all.

mod deadline;
mod doubt;
mod record;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::backoff::doubled;
use crate::job::{
    Answer, CallResult, Cause, DefaultKey, ErrorKind, EventRef, InvalidJob, Job, OperationKind, Outcome, REPEAT_WAIT,
};
use crate::retry_after;

pub use deadline::Stakes;
pub use record::{Departure, Record};

/// The longest time anything is put off. Keeps sums inside the calendar.
const FAR_OFF: Duration = Duration::from_secs(400 * 24 * 3600);
/// Pause of a mailbox that does not exist. Short: only the jobs of a mistyped address wait for it.
const NO_MAILBOX_PAUSE: Duration = Duration::from_secs(10);
/// Pause of a mailbox for which something else than Graph answered.
const NOT_GRAPH_PAUSE: Duration = Duration::from_secs(60);
/// Too many requests at once clears as soon as one of them ends (graph-facts 4.2). Also the shortest pause after any
/// throttling, so that a server that says "Retry-After: 0" is not asked in a circle.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// A mailbox throttled this often in a row, although each Retry-After was obeyed, is asked less and less often.
const PATIENT_PAUSES: u32 = 4;
/// A permission or licence that a person must fix, tried again about as often as Exchange's own caches renew.
const BLOCKED_RECHECK: Duration = Duration::from_secs(30 * 60);
/// A new mailbox answers 404 for up to 15 minutes; an unlicensed one for ever. Tried this often …
const NEW_MAILBOX_RECHECK: Duration = Duration::from_secs(5 * 60);
/// … for this long.
const NEW_MAILBOX_HORIZON: Duration = Duration::from_secs(60 * 60);
/// Wait after a change that met another one: the event is looked at anew …
const CONFLICT_WAIT: Duration = Duration::from_secs(1);
/// … so soon only this often, and by the backoff then.
const PROMPT_CONFLICTS: u32 = 3;
/// Wait before another sign-in, or another request with settings that cannot work.
const UNABLE_RECHECK: Duration = Duration::from_secs(60);

/// `delivery.max_attempts`, `first_retry`, `longest_retry`, `give_up_after` and `past_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after which a job is exhausted.
    pub max_attempts: u32,
    /// Wait after the first failed attempt; doubles with each further one.
    pub first_retry: Duration,
    /// Longest wait of the backoff. A `Retry-After` may be longer and is obeyed.
    pub longest_retry: Duration,
    /// Time after the first failure at which a job is exhausted.
    pub give_up_after: Duration,
    /// `delivery.past_events`: nobody is mailed about an event that is over.
    pub refuses_past_events: bool,
}

/// The circumstances of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: DateTime<Utc>,
    /// Uniform in 0..1, spreads the retries of jobs that failed together.
    pub jitter: f64,
    /// Pauses of the mailbox in a row before this one.
    pub pauses_in_a_row: u32,
}

/// What becomes of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Sent.
    Complete(EventRef),
    /// Back to pending until then; the attempt is spent.
    Retry(DateTime<Utc>),
    /// Back to pending until then; the attempt is given back.
    Snooze(DateTime<Utc>),
    /// The same. Not the row is at fault but this default that filled it, so it goes back without what defaults filled.
    Unfill(DateTime<Utc>, DefaultKey),
    /// Failed for good.
    Fail,
}

/// A mailbox must pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxPause {
    /// Nothing is sent to it before that has passed.
    pub wait: Duration,
    /// Whether the mailbox refused the number of requests at once, so that its lane gets half the slots.
    pub halve_slots: bool,
}

/// Everything decided about one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub disposition: Disposition,
    /// Kind of the failure, none for a success or a job given back untouched.
    pub kind: Option<ErrorKind>,
    /// An event may exist that no answer has confirmed.
    pub in_doubt: bool,
    /// End of the job's time horizon from now on.
    pub give_up_at: Option<DateTime<Utc>>,
    /// What the row and its history keep.
    pub answer: Answer,
    /// What is counted and written down.
    pub record: Record,
    pub mailbox: MailboxEffect,
}

/// What the mailbox's lane and the gate make of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxEffect {
    pub operation: OperationKind,
    /// What the last of the attempt's requests met.
    pub met: Outcome,
    /// The mailbox's pause, if it must have one.
    pub pause: Option<MailboxPause>,
    /// The wait that a server named for it.
    pub named: Option<Duration>,
}

impl MailboxEffect {
    /// The mailbox or the way to it is in trouble although it asks for no pause: fewer requests at once. Not the death of a
    /// kept connection, in which the mailbox has no part, nor a change of an event that met another one.
    pub fn halves_slots(&self) -> bool {
        let in_trouble = matches!(self.met, Outcome::ReplyLost | Outcome::ServerFault);
        in_trouble || self.met == Outcome::Conflict && self.operation == OperationKind::Create
    }
}

/// What follows from one outcome, before it is settled what of it is recorded.
#[derive(Clone, Debug)]
struct Plan {
    disposition: Disposition,
    kind: Option<ErrorKind>,
    in_doubt: bool,
    give_up_at: Option<DateTime<Utc>>,
    pause: Option<MailboxPause>,
}

/// How a failure that may pass is treated.
struct Later {
    kind: Option<ErrorKind>,
    spends: bool,
    doubtful: bool,
    /// Until the job is tried again, at least as long as the mailbox pauses.
    wait: Duration,
    horizon: Option<Duration>,
    pause: Option<MailboxPause>,
}

impl RetryPolicy {
    /// Decides by one answer alone. Where [`Self::needs_evidence`] says so, [`Self::after_verification`] does instead.
    pub fn decide(&self, job: &Job, result: CallResult, moment: &Moment) -> Decision {
        let plan = self.plan(job, &result.outcome, result.retry_after, moment);
        let CallResult { outcome, answer, retry_after, .. } = result;
        self.decision(job, plan, answer, outcome, retry_after)
    }

    /// The pause that a request asks for which ends no job: a throttle binds, and a wait that was named, whoever asked.
    pub fn pause_after(&self, result: &CallResult, moment: &Moment) -> Option<MailboxPause> {
        let named = result.retry_after;
        let halve_slots = matches!(result.outcome, Outcome::TooManyAtOnce);
        let wait = match result.outcome {
            Outcome::Done(_) => return None,
            Outcome::MailboxThrottled | Outcome::AppThrottled | Outcome::Busy => self.throttle_pause(named, moment),
            Outcome::TooManyAtOnce => named.map_or(SHORTEST_PAUSE, obeyed),
            _ => obeyed(named?),
        };
        Some(MailboxPause { wait: wait.max(SHORTEST_PAUSE), halve_slots })
    }

    /// A wait that an answer named is a floor for the mailbox and for the job, whatever else was decided.
    fn plan(&self, job: &Job, outcome: &Outcome, named: Option<Duration>, moment: &Moment) -> Plan {
        let mut plan = self.reaction(job, outcome, named, moment);
        let Some(named) = named.filter(|_| !matches!(outcome, Outcome::Done(_))) else { return plan };
        let own = plan.pause.take().unwrap_or(MailboxPause { wait: SHORTEST_PAUSE, halve_slots: false });
        let wait = own.wait.max(obeyed(named));
        if let Disposition::Retry(due) | Disposition::Snooze(due) | Disposition::Unfill(due, _) = &mut plan.disposition
        {
            *due = after(moment.now, wait).max(*due);
        }
        Plan { pause: Some(MailboxPause { wait, ..own }), ..plan }
    }

    fn reaction(&self, job: &Job, outcome: &Outcome, named: Option<Duration>, moment: &Moment) -> Plan {
        let (now, kind) = (moment.now, outcome.cause().map(Cause::kind));
        if let Some(key) = default_at_fault(job, outcome) {
            return Plan { disposition: Disposition::Unfill(now, key), ..given_back(job, now, kind, false) };
        }
        let backoff = self.backoff(job.attempts, moment.jitter);
        match outcome {
            Outcome::Done(event) => Plan {
                disposition: Disposition::Complete(event.clone()),
                kind: None,
                in_doubt: false,
                give_up_at: job.give_up_at,
                pause: None,
            },
            Outcome::Invalid(invalid) => fail(job, kind, job.in_doubt && may_have_left(job, invalid)),
            Outcome::Expired(_) => fail(job, kind, job.in_doubt),
            Outcome::NoTarget(_) => fail(job, kind, false),
            // It keeps its place before those that came later. Not one in doubt: it would be looked up again at once.
            Outcome::Paced { wait, is_known: true } if !job.in_doubt => {
                given_back(job, place(job, now).min(after(now, *wait)), kind, false)
            }
            Outcome::Paced { wait, .. } => given_back(job, after(now, *wait), kind, job.in_doubt),
            Outcome::Refused(_) | Outcome::ZoneRefused | Outcome::Duplicate(_) => fail(job, kind, job.in_doubt),
            Outcome::RefusedInDoubt(_) => fail(job, kind, true),
            // By its id an event is seen as it is; a search for one that was just made proves less.
            Outcome::NotFound => fail(job, kind, job.operation == OperationKind::Create),
            Outcome::NoMailbox => Plan {
                pause: Some(MailboxPause { wait: NO_MAILBOX_PAUSE, halve_slots: false }),
                ..fail(job, kind, job.in_doubt)
            },
            // The event had changed since it was looked at, so it was not changed now.
            Outcome::Conflict if job.operation != OperationKind::Create => {
                let soon = job.attempts < PROMPT_CONFLICTS;
                let wait = if soon { backoff.min(CONFLICT_WAIT) } else { backoff };
                self.later(job, now, Later { doubtful: false, ..Later::doubtful(kind, wait) })
            }
            Outcome::Conflict | Outcome::ServerFault | Outcome::ReplyDamaged | Outcome::ReplyLost => {
                self.later(job, now, Later::doubtful(kind, backoff))
            }
            Outcome::NotGraph => {
                let paused = Later::given_back(kind, NOT_GRAPH_PAUSE);
                // Whatever answered may have passed the request on before.
                let wait = backoff.max(NOT_GRAPH_PAUSE);
                self.later(job, now, Later { spends: true, doubtful: true, wait, ..paused })
            }
            Outcome::MailboxAway(_) => {
                let wait = named.map_or(backoff, obeyed).max(SHORTEST_PAUSE);
                let away = Later::doubtful(kind, backoff.max(wait));
                self.later(job, now, Later { pause: Some(MailboxPause { wait, halve_slots: false }), ..away })
            }
            Outcome::TooManyAtOnce => {
                let wait = named.map_or(SHORTEST_PAUSE, obeyed).max(SHORTEST_PAUSE);
                let pause = Some(MailboxPause { wait, halve_slots: true });
                self.later(job, now, Later { pause, ..Later::given_back(kind, wait) })
            }
            Outcome::MailboxThrottled | Outcome::AppThrottled => {
                self.later(job, now, Later::given_back(kind, self.throttle_pause(named, moment)))
            }
            Outcome::Busy => {
                let paused = Later::given_back(kind, self.throttle_pause(named, moment));
                self.later(job, now, Later { doubtful: true, ..paused })
            }
            Outcome::MailboxBlocked { cause, in_doubt } => self.later(job, now, Later::blocked(*cause, *in_doubt)),
            // Neither attempts nor time are counted while the agent itself cannot send.
            Outcome::Unable(_) | Outcome::NotStarted => given_back(job, now, kind, job.in_doubt),
            Outcome::Diverted(_) => given_back(job, now, kind, true),
            // Whatever may have arrived has its time, and is looked for before the request is made again.
            Outcome::ConnectionStale | Outcome::Interrupted => given_back(job, after(now, REPEAT_WAIT), kind, true),
        }
    }

    /// The job is in doubt and no attempt is left: all that can be done is to look its event up.
    pub fn is_used_up(&self, job: &Job) -> bool {
        job.in_doubt && job.attempts >= self.max_attempts
    }

    /// Wait after `failures` failures before this one: doubling from `first_retry`, at most `longest_retry`, give or
    /// take a fifth.
    pub fn backoff(&self, failures: u32, jitter: f64) -> Duration {
        doubled(self.first_retry, failures, self.longest_retry).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }

    /// The time the server names; if it names none, or keeps refusing although it was obeyed, the backoff.
    fn throttle_pause(&self, named: Option<Duration>, moment: &Moment) -> Duration {
        let pauses = moment.pauses_in_a_row;
        let own = match named {
            None => self.backoff(pauses, moment.jitter),
            Some(_) if pauses >= PATIENT_PAUSES => self.backoff(pauses - PATIENT_PAUSES, moment.jitter),
            Some(_) => SHORTEST_PAUSE,
        };
        named.map_or(own, obeyed).max(own)
    }

    fn later(&self, job: &Job, now: DateTime<Utc>, later: Later) -> Plan {
        let in_doubt = job.in_doubt || later.doubtful;
        let give_up_at = job.give_up_at.unwrap_or_else(|| after(now, self.give_up_after));
        let first_failure = before(give_up_at, self.give_up_after);
        let deadline = later.horizon.map_or(give_up_at, |horizon| give_up_at.min(after(first_failure, horizon)));
        let due = after(now, later.wait);
        let pause = later.pause.map(|pause| MailboxPause { wait: pause.wait.min(FAR_OFF), ..pause });
        let attempts_used_up = later.spends && job.attempts.saturating_add(1) >= self.max_attempts;
        // A mailbox's pause is a floor, also past the deadline: one header must not fail a job that has its last chance after
        // the pause. The backoff is the agent's own, so there the last attempt is moved up to the deadline instead.
        let floor = pause.as_ref().map_or(now, |pause| after(now, pause.wait));
        // A doubtful job is looked up before it fails, but not while its mailbox pauses: once it waits for the end of that.
        let looks_again = in_doubt && floor > now && job.attempts < self.max_attempts;
        if (attempts_used_up && !looks_again) || deadline <= now {
            let kind = if later.horizon.is_some() { later.kind } else { Some(ErrorKind::Exhausted) };
            return Plan { pause, give_up_at: Some(give_up_at), ..fail(job, kind, in_doubt) };
        }
        // The lookup that ends the job needs no backoff.
        let due = if attempts_used_up { floor } else { due.min(deadline).max(floor) };
        let disposition = if later.spends { Disposition::Retry(due) } else { Disposition::Snooze(due) };
        Plan { disposition, kind: later.kind, in_doubt, give_up_at: Some(give_up_at), pause }
    }
}

/// How long the gate stays shut for a reason that neither a server's word nor time alone limits; none leaves it to the
/// gate's backoff.
pub fn gate_wait(cause: Cause) -> Option<Duration> {
    let by_settings =
        matches!(cause, Cause::MeWithoutUser | Cause::WrongApiVersion | Cause::TokenRefused | Cause::NotGraph);
    by_settings.then_some(UNABLE_RECHECK)
}

impl Later {
    fn doubtful(kind: Option<ErrorKind>, wait: Duration) -> Self {
        Self { kind, spends: true, doubtful: true, wait, horizon: None, pause: None }
    }

    fn given_back(kind: Option<ErrorKind>, wait: Duration) -> Self {
        let pause = Some(MailboxPause { wait, halve_slots: false });
        Self { kind, spends: false, doubtful: false, wait, horizon: None, pause }
    }

    fn blocked(cause: Cause, doubtful: bool) -> Self {
        let is_new = cause == Cause::MailboxNotEnabled;
        let recheck = if is_new { NEW_MAILBOX_RECHECK } else { BLOCKED_RECHECK };
        let horizon = is_new.then_some(NEW_MAILBOX_HORIZON);
        Self { doubtful, horizon, ..Self::given_back(Some(cause.kind()), recheck) }
    }
}

/// The part of a wait a server named that is obeyed.
fn obeyed(named: Duration) -> Duration {
    named.min(retry_after::LONGEST)
}

/// What cannot be sent now could not be sent before, and a crash while the row was claimed leaves no doubt. An attempt that
/// counted says otherwise, and so may the mailbox: whether a row needs one depends on the way of signing in.
fn may_have_left(job: &Job, invalid: &InvalidJob) -> bool {
    job.attempts > 0 || invalid.column == "mailbox"
}

/// A refusal whose cause stands in the settings. A job in doubt keeps what it was sent with, so of such a one the refusal is
/// its own.
fn default_at_fault(job: &Job, outcome: &Outcome) -> Option<DefaultKey> {
    let no_mailbox = match outcome {
        Outcome::NoMailbox => true,
        Outcome::MailboxBlocked { cause, in_doubt: false } => cause.kind() == ErrorKind::NotFound,
        _ => false,
    };
    match outcome {
        _ if job.in_doubt => None,
        _ if no_mailbox && job.defaulted.mailbox => Some(DefaultKey::Mailbox),
        Outcome::ZoneRefused if job.defaulted.time_zone => Some(DefaultKey::TimeZone),
        _ => None,
    }
}

fn fail(job: &Job, kind: Option<ErrorKind>, in_doubt: bool) -> Plan {
    Plan { disposition: Disposition::Fail, kind, in_doubt, give_up_at: job.give_up_at, pause: None }
}

fn given_back(job: &Job, due: DateTime<Utc>, kind: Option<ErrorKind>, in_doubt: bool) -> Plan {
    Plan { disposition: Disposition::Snooze(due), kind, in_doubt, give_up_at: job.give_up_at, pause: None }
}

/// Where a job goes back to that was claimed and not begun: not into the future, should the clock have been set back meanwhile,
/// nor into a year that no schema can write.
pub fn place(job: &Job, now: DateTime<Utc>) -> DateTime<Utc> {
    job.due.filter(|place| (DateTime::UNIX_EPOCH..now).contains(place)).unwrap_or(now)
}

/// `time` plus `wait`, never past the calendar's end.
pub fn after(time: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    delta(wait).and_then(|delta| time.checked_add_signed(delta)).unwrap_or(time)
}

fn before(time: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    delta(wait).and_then(|delta| time.checked_sub_signed(delta)).unwrap_or(time)
}

fn delta(wait: Duration) -> Option<TimeDelta> {
    TimeDelta::from_std(wait.min(FAR_OFF)).ok()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

#[cfg(test)]
mod change_tests;
