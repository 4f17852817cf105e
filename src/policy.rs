//! Retry policy: from what an attempt met to what becomes of the job and how long its mailbox rests.
//!
//! Pure: takes the time and the jitter as arguments, touches nothing. It does not know the agent-wide gate (that is
//! `worker`'s, which sees all mailboxes at once) and it shortens no `Retry-After` but to the longest that is obeyed at all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::backoff::doubled;
use crate::job::{DefaultKey, ErrorKind, EventId, InvalidJob, Job, Outcome, REPEAT_WAIT};
use crate::retry_after;

/// The longest time anything is put off. Keeps sums inside the calendar.
const FAR_OFF: Duration = Duration::from_secs(400 * 24 * 3600);
/// Rest of a mailbox that does not exist. Short: only the jobs of a mistyped address wait for it.
const NO_MAILBOX_REST: Duration = Duration::from_secs(10);
/// Rest of a mailbox for which something else than Graph answered.
const NOT_GRAPH_REST: Duration = Duration::from_secs(60);
/// Too many requests at once clears as soon as one of them ends (graph-facts 4.2). Also the shortest rest after any
/// throttling, so that a server that says "Retry-After: 0" is not asked in a circle.
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// Attempts of a job in doubt after which its request is repeated although the lookup before it keeps failing: the
/// repeat under the same transaction id is the better evidence anyway (graph-facts 2.4).
const PATIENT_LOOKS: u32 = 3;
/// A mailbox throttled this often in a row, although each Retry-After was obeyed, is asked less and less often.
const PATIENT_STRIKES: u32 = 4;

/// `delivery.max_attempts`, `first_retry`, `longest_retry` and `give_up_after`.
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
}

/// What becomes of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Sent.
    Complete(EventId),
    /// Back to pending until then; the attempt is spent.
    Retry(DateTime<Utc>),
    /// Back to pending until then; the attempt is given back.
    Snooze(DateTime<Utc>),
    /// Failed for good.
    Fail,
}

/// A mailbox must rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Nothing is sent to it before that has passed.
    pub wait: Duration,
    /// Whether the mailbox refused the number of requests at once, so that its lane must narrow.
    pub narrow: bool,
}

/// Everything decided about one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the job.
    pub disposition: Disposition,
    /// Kind of the failure, none for a success or a job given back untouched.
    pub kind: Option<ErrorKind>,
    /// An event may exist that no answer has confirmed.
    pub in_doubt: bool,
    /// End of the job's time horizon from now on.
    pub give_up_at: Option<DateTime<Utc>>,
    /// The mailbox's rest, if it must have one.
    pub rest: Option<Rest>,
    /// Not the row is at fault, but this default that filled it: the job goes back without what defaults filled.
    pub default_at_fault: Option<DefaultKey>,
}

/// How a failure that may pass is treated.
struct Later {
    kind: ErrorKind,
    spends: bool,
    doubtful: bool,
    /// Until the job is tried again, at least as long as the mailbox rests.
    wait: Duration,
    horizon: Option<Duration>,
    rest: Option<(Duration, Narrow)>,
}

/// Whether the mailbox refused the number of requests at once.
type Narrow = bool;

impl RetryPolicy {
    /// Decides. `strikes`: pauses of this mailbox in a row before this one; `jitter`: uniform in 0..1, spreads the
    /// retries of jobs that failed together.
    pub fn decide(&self, job: &Job, outcome: &Outcome, strikes: u32, now: DateTime<Utc>, jitter: f64) -> Decision {
        let spent = self.backoff(job.attempts, jitter);
        if let Some((key, kind)) = default_at_fault(job, outcome) {
            return Decision { default_at_fault: Some(key), ..given_back(job, now, Some(kind), false) };
        }
        match outcome {
            Outcome::Created(event_id) => Decision {
                disposition: Disposition::Complete(event_id.clone()),
                kind: None,
                in_doubt: false,
                give_up_at: job.give_up_at,
                rest: None,
                default_at_fault: None,
            },
            Outcome::Invalid(invalid) => fail(job, ErrorKind::InvalidJob, job.in_doubt && may_have_left(job, invalid)),
            Outcome::Refused(kind) => fail(job, *kind, job.in_doubt),
            Outcome::ZoneRefused => fail(job, ErrorKind::Rejected, job.in_doubt),
            Outcome::RefusedInDoubt => fail(job, ErrorKind::Rejected, true),
            Outcome::NotFound => fail(job, ErrorKind::Exhausted, true),
            Outcome::Duplicate(_) => fail(job, ErrorKind::DuplicateTransaction, job.in_doubt),
            Outcome::NoMailbox => Decision {
                rest: Some(Rest { wait: NO_MAILBOX_REST, narrow: false }),
                ..fail(job, ErrorKind::NotFound, job.in_doubt)
            },
            Outcome::Conflict | Outcome::ServerFault | Outcome::ReplyDamaged | Outcome::ReplyLost => {
                self.later(job, now, Later::doubtful(ErrorKind::Unavailable, spent))
            }
            Outcome::NotGraph => self.later(
                job,
                now,
                Later {
                    spends: true,
                    // Whoever answered may have passed the request on before.
                    doubtful: true,
                    wait: spent.max(NOT_GRAPH_REST),
                    ..Later::given_back(ErrorKind::Unavailable, NOT_GRAPH_REST, false)
                },
            ),
            Outcome::MailboxAway(named) => {
                let rest = named.map_or(spent, obeyed).max(SHORTEST_REST);
                let away = Later::doubtful(ErrorKind::Unavailable, spent.max(rest));
                self.later(job, now, Later { rest: Some((rest, false)), ..away })
            }
            Outcome::TooManyAtOnce(named) => {
                let rest = named.map_or(SHORTEST_REST, obeyed).max(SHORTEST_REST);
                self.later(job, now, Later::given_back(ErrorKind::Throttled, rest, true))
            }
            Outcome::MailboxThrottled(named) | Outcome::AppThrottled(named) => {
                let rest = self.throttle_rest(*named, strikes, jitter);
                self.later(job, now, Later::given_back(ErrorKind::Throttled, rest, false))
            }
            Outcome::Busy(named) => {
                let rest = self.throttle_rest(*named, strikes, jitter);
                self.later(job, now, Later { doubtful: true, ..Later::given_back(ErrorKind::Throttled, rest, false) })
            }
            Outcome::MailboxBlocked { kind, recheck, horizon, in_doubt } => self.later(
                job,
                now,
                Later { horizon: *horizon, doubtful: *in_doubt, ..Later::given_back(*kind, *recheck, false) },
            ),
            // Neither attempts nor time are counted while the agent itself cannot send.
            Outcome::Held(hold) => given_back(job, now, Some(hold.kind), job.in_doubt),
            Outcome::Diverted(hold) => given_back(job, now, Some(hold.kind), true),
            Outcome::NotStarted => given_back(job, now, None, job.in_doubt),
            // Whatever may have arrived has its time, and is looked for before the request is made again.
            Outcome::ConnectionStale | Outcome::Interrupted => {
                given_back(job, after(now, REPEAT_WAIT), Some(ErrorKind::Unavailable), true)
            }
        }
    }

    /// The same, where the answer named a wait that its outcome does not carry: it is a floor for the mailbox and for the
    /// job, whatever else was decided.
    pub fn decide_with(
        &self,
        job: &Job,
        (outcome, named): (&Outcome, Option<Duration>),
        strikes: u32,
        now: DateTime<Utc>,
        jitter: f64,
    ) -> Decision {
        let mut decision = self.decide(job, outcome, strikes, now, jitter);
        let Some(named) = named.filter(|_| !matches!(outcome, Outcome::Created(_))) else { return decision };
        let own = decision.rest.take().unwrap_or(Rest { wait: SHORTEST_REST, narrow: false });
        let wait = own.wait.max(obeyed(named));
        if let Disposition::Retry(due) | Disposition::Snooze(due) = &mut decision.disposition {
            *due = after(now, wait).max(*due);
        }
        Decision { rest: Some(Rest { wait, ..own }), ..decision }
    }

    /// The job is in doubt and no attempt is left: all that can be done is to look its event up.
    pub fn is_used_up(&self, job: &Job) -> bool {
        job.in_doubt && job.attempts >= self.max_attempts
    }

    /// The lookup before the repeat of a job in doubt was answered unclearly, for the last time that counts: the
    /// request is to be repeated without it.
    pub fn repeats_unseen(&self, job: &Job) -> bool {
        !self.is_used_up(job) && job.attempts >= PATIENT_LOOKS.min(self.max_attempts / 2)
    }

    /// Wait after `failures` failures before this one: doubling from `first_retry`, at most `longest_retry`, give or
    /// take a fifth.
    pub fn backoff(&self, failures: u32, jitter: f64) -> Duration {
        doubled(self.first_retry, failures, self.longest_retry).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }

    /// The time the server names; if it names none, or keeps refusing although it was obeyed, the backoff.
    fn throttle_rest(&self, named: Option<Duration>, strikes: u32, jitter: f64) -> Duration {
        let own = match named {
            None => self.backoff(strikes, jitter),
            Some(_) if strikes >= PATIENT_STRIKES => self.backoff(strikes - PATIENT_STRIKES, jitter),
            Some(_) => SHORTEST_REST,
        };
        named.map_or(own, obeyed).max(own)
    }

    fn later(&self, job: &Job, now: DateTime<Utc>, later: Later) -> Decision {
        let in_doubt = job.in_doubt || later.doubtful;
        let give_up_at = job.give_up_at.unwrap_or_else(|| after(now, self.give_up_after));
        let first_failure = before(give_up_at, self.give_up_after);
        let deadline = later.horizon.map_or(give_up_at, |horizon| give_up_at.min(after(first_failure, horizon)));
        let due = after(now, later.wait);
        let rest = later.rest.map(|(wait, narrow)| Rest { wait: wait.min(FAR_OFF), narrow });
        let attempts_used_up = later.spends && job.attempts.saturating_add(1) >= self.max_attempts;
        // A mailbox's rest is a floor, also past the deadline: one header must not fail a job that has its last chance after
        // the rest. The backoff is the agent's own, so there the last attempt is moved up to the deadline instead.
        let floor = rest.as_ref().map_or(now, |rest| after(now, rest.wait));
        // A doubtful job is looked up before it fails, but not while its mailbox rests: once it waits for the end of that.
        let looks_again = in_doubt && floor > now && job.attempts < self.max_attempts;
        if (attempts_used_up && !looks_again) || deadline <= now {
            let kind = if later.horizon.is_some() { later.kind } else { ErrorKind::Exhausted };
            return Decision { rest, give_up_at: Some(give_up_at), ..fail(job, kind, in_doubt) };
        }
        // The look that ends the job needs no backoff.
        let due = if attempts_used_up { floor } else { due.min(deadline).max(floor) };
        let disposition = if later.spends { Disposition::Retry(due) } else { Disposition::Snooze(due) };
        let give_up_at = Some(give_up_at);
        Decision { disposition, kind: Some(later.kind), in_doubt, give_up_at, rest, default_at_fault: None }
    }
}

impl Later {
    fn doubtful(kind: ErrorKind, wait: Duration) -> Self {
        Self { kind, spends: true, doubtful: true, wait, horizon: None, rest: None }
    }

    fn given_back(kind: ErrorKind, rest: Duration, narrow: Narrow) -> Self {
        Self { kind, spends: false, doubtful: false, wait: rest, horizon: None, rest: Some((rest, narrow)) }
    }
}

/// The part of a wait a server named that is obeyed.
fn obeyed(named: Duration) -> Duration {
    named.min(retry_after::LONGEST)
}

/// What cannot be sent now could not be sent before, and a crash while the row was claimed is no doubt. An attempt that
/// counted says otherwise, and so may the mailbox: whether a row needs one depends on the way of signing in.
fn may_have_left(job: &Job, invalid: &InvalidJob) -> bool {
    job.attempts > 0 || invalid.column == "mailbox"
}

/// A refusal whose cause stands in the settings, and what it counts as meanwhile. A job in doubt keeps what it was sent with,
/// so of such a one the refusal is its own.
fn default_at_fault(job: &Job, outcome: &Outcome) -> Option<(DefaultKey, ErrorKind)> {
    let no_mailbox = matches!(
        outcome,
        Outcome::NoMailbox | Outcome::MailboxBlocked { kind: ErrorKind::NotFound, in_doubt: false, .. }
    );
    match outcome {
        _ if job.in_doubt => None,
        _ if no_mailbox && job.defaulted.mailbox => Some((DefaultKey::Mailbox, ErrorKind::NotFound)),
        Outcome::ZoneRefused if job.defaulted.time_zone => Some((DefaultKey::TimeZone, ErrorKind::Rejected)),
        _ => None,
    }
}

fn fail(job: &Job, kind: ErrorKind, in_doubt: bool) -> Decision {
    let (disposition, give_up_at) = (Disposition::Fail, job.give_up_at);
    Decision { disposition, kind: Some(kind), in_doubt, give_up_at, rest: None, default_at_fault: None }
}

fn given_back(job: &Job, now: DateTime<Utc>, kind: Option<ErrorKind>, in_doubt: bool) -> Decision {
    let (disposition, give_up_at) = (Disposition::Snooze(now), job.give_up_at);
    Decision { disposition, kind, in_doubt, give_up_at, rest: None, default_at_fault: None }
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
