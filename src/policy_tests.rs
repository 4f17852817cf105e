//! The policy by example and by property.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::job::{Defaulted, Hold, InvalidJob, JobId, JobInput};

fn policy() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 12,
        first_retry: Duration::from_secs(5),
        longest_retry: Duration::from_secs(900),
        give_up_after: Duration::from_secs(72 * 3600),
    }
}

fn job(attempts: u32) -> Job {
    Job {
        id: JobId(1),
        claim: 1,
        attempts,
        in_doubt: false,
        due: None,
        give_up_at: None,
        input: JobInput::default(),
        defaulted: Default::default(),
    }
}

fn now() -> DateTime<Utc> {
    "2026-12-01T09:00:00Z".parse().unwrap()
}

fn decide(job: &Job, outcome: &Outcome) -> Decision {
    policy().decide(job, outcome, 0, now(), 0.5)
}

fn blocked(horizon: Option<Duration>) -> Outcome {
    Outcome::MailboxBlocked { kind: ErrorKind::NotFound, recheck: Duration::from_secs(300), horizon, in_doubt: false }
}

fn held() -> Outcome {
    Outcome::Held(Hold { kind: ErrorKind::Auth, code: "AADSTS7000222".into(), hint: String::new(), wait: None })
}

fn in_secs(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

#[test]
fn a_created_event_ends_the_doubt() {
    let mut doubtful = job(3);
    doubtful.in_doubt = true;
    let decision = decide(&doubtful, &Outcome::Created(EventId("AAMk".into())));
    assert_eq!(decision.disposition, Disposition::Complete(EventId("AAMk".into())));
    assert!(!decision.in_doubt);
}

#[test]
fn the_backoff_doubles_up_to_the_longest_and_spreads_by_a_fifth() {
    let waits: Vec<u64> = (0..12).map(|n| policy().backoff(n, 0.5).as_secs()).collect();
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
    assert_eq!(policy().backoff(0, 0.0), Duration::from_secs(4));
    assert_eq!(policy().backoff(0, 1.0), Duration::from_secs(6));
}

#[test]
fn an_unclear_answer_spends_an_attempt_and_leaves_the_job_in_doubt() {
    for outcome in [Outcome::ServerFault, Outcome::ReplyLost, Outcome::ReplyDamaged, Outcome::Conflict] {
        let decision = decide(&job(1), &outcome);
        assert_eq!(decision.disposition, Disposition::Retry(in_secs(10)), "{outcome:?}");
        assert!(decision.in_doubt);
        assert_eq!(decision.rest, None);
    }
}

#[test]
fn an_absent_mailbox_store_rests_the_mailbox_for_the_time_named() {
    let decision = decide(&job(0), &Outcome::MailboxAway(Some(Duration::from_secs(120))));
    assert_eq!(decision.disposition, Disposition::Retry(in_secs(120)));
    assert_eq!(decision.rest, Some(Rest { wait: Duration::from_secs(120), narrow: false }));
}

#[test]
fn throttling_rests_the_mailbox_and_spends_nothing() {
    let decision = decide(&job(11), &Outcome::MailboxThrottled(Some(Duration::from_millis(2128))));
    let until = now() + TimeDelta::milliseconds(2128);
    assert_eq!(decision.disposition, Disposition::Snooze(until));
    assert_eq!(decision.rest, Some(Rest { wait: Duration::from_millis(2128), narrow: false }));
    assert_eq!(decision.kind, Some(ErrorKind::Throttled));
    assert!(!decision.in_doubt);
}

#[test]
fn throttling_without_a_time_backs_off_by_the_mailboxs_strikes() {
    let decision = policy().decide(&job(0), &Outcome::AppThrottled(None), 3, now(), 0.5);
    assert_eq!(decision.disposition, Disposition::Snooze(in_secs(40)));
}

#[test]
fn a_server_that_says_zero_or_keeps_refusing_is_asked_less_and_less_often() {
    let rest = |named: u64, strikes: u32| {
        let outcome = Outcome::MailboxThrottled(Some(Duration::from_secs(named)));
        policy().decide(&job(0), &outcome, strikes, now(), 0.5).rest.unwrap().wait.as_secs()
    };
    assert_eq!([rest(0, 0), rest(2, 3), rest(2, 4), rest(2, 6), rest(90, 6)], [1, 2, 5, 20, 90]);
}

#[test]
fn a_503_without_patience_does_not_use_up_the_attempts_in_a_moment() {
    let decision = decide(&job(3), &Outcome::MailboxAway(Some(Duration::ZERO)));
    assert_eq!(decision.disposition, Disposition::Retry(in_secs(40)));
    assert_eq!(decision.rest, Some(Rest { wait: Duration::from_secs(1), narrow: false }));
}

#[test]
fn too_many_at_once_narrows_the_lane_for_at_least_a_second() {
    let decision = decide(&job(0), &Outcome::TooManyAtOnce(None));
    assert_eq!(decision.rest, Some(Rest { wait: Duration::from_secs(1), narrow: true }));
}

#[test]
fn a_long_retry_after_is_not_shortened() {
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(
        decide(&job(0), &Outcome::MailboxThrottled(Some(day))).disposition,
        Disposition::Snooze(in_secs(86_400))
    );
}

#[test]
fn a_retry_after_is_obeyed_for_a_day_at_most_and_fails_no_job_at_once() {
    let year = Some(Duration::from_secs(365 * 24 * 3600));
    let outcomes = [Outcome::MailboxThrottled(year), Outcome::AppThrottled(year), Outcome::TooManyAtOnce(year)];
    for outcome in outcomes {
        let decision = decide(&job(0), &outcome);
        assert_eq!(decision.disposition, Disposition::Snooze(in_secs(86_400)), "{outcome:?}");
        assert_eq!(decision.rest.unwrap().wait, retry_after::LONGEST);
    }
    assert_eq!(decide(&job(0), &Outcome::MailboxAway(year)).disposition, Disposition::Retry(in_secs(86_400)));
    // Also where the job's own time is over before the rest is: it has its last chance then.
    let mut hasty = job(3);
    hasty.give_up_at = Some(in_secs(600));
    let decision = decide(&hasty, &Outcome::MailboxThrottled(year));
    assert_eq!(decision.disposition, Disposition::Snooze(in_secs(86_400)));
    hasty.give_up_at = Some(now());
    assert_eq!(decide(&hasty, &Outcome::MailboxThrottled(year)).disposition, Disposition::Fail);
}

#[test]
fn the_last_attempt_exhausts_the_job() {
    let decision = decide(&job(11), &Outcome::ServerFault);
    assert_eq!((decision.disposition, decision.kind), (Disposition::Fail, Some(ErrorKind::Exhausted)));
    assert!(decision.in_doubt);
}

#[test]
fn the_horizon_counts_from_the_first_failure_and_gets_one_last_attempt() {
    let first = decide(&job(0), &Outcome::ServerFault);
    assert_eq!(first.give_up_at, Some(in_secs(72 * 3600)));
    let mut late = job(1);
    late.give_up_at = Some(in_secs(3));
    assert_eq!(decide(&late, &Outcome::ServerFault).disposition, Disposition::Retry(in_secs(3)));
    late.give_up_at = Some(now());
    assert_eq!(decide(&late, &Outcome::ServerFault).kind, Some(ErrorKind::Exhausted));
}

#[test]
fn a_blocked_mailbox_with_its_own_horizon_fails_under_its_own_name() {
    let hour = Duration::from_secs(3600);
    let first = decide(&job(0), &blocked(Some(hour)));
    assert_eq!(first.disposition, Disposition::Snooze(in_secs(300)));
    let mut late = job(0);
    late.give_up_at = Some(in_secs(71 * 3600 - 1));
    let decision = decide(&late, &blocked(Some(hour)));
    assert_eq!((decision.disposition, decision.kind), (Disposition::Fail, Some(ErrorKind::NotFound)));
}

#[test]
fn trouble_of_the_agent_costs_the_job_neither_attempt_nor_time() {
    let mut old = job(11);
    old.give_up_at = Some(in_secs(-1));
    for outcome in [held(), Outcome::NotStarted, Outcome::Interrupted, Outcome::ConnectionStale] {
        let decision = decide(&old, &outcome);
        // What was cut off may still be at work at the server.
        let cut_off = matches!(outcome, Outcome::Interrupted | Outcome::ConnectionStale);
        assert_eq!(decision.disposition, Disposition::Snooze(in_secs(if cut_off { 2 } else { 0 })), "{outcome:?}");
        assert_eq!(decision.in_doubt, cut_off);
    }
}

#[test]
fn a_wait_named_beside_any_answer_is_a_floor_for_mailbox_and_job_and_never_longer_than_the_calendar() {
    let with = |outcome: &Outcome, wait| policy().decide_with(&job(0), (outcome, wait), 0, now(), 0.5);
    let minute = Some(Duration::from_secs(60));
    let refused = with(&Outcome::Refused(ErrorKind::Rejected), minute);
    assert_eq!(refused.rest, Some(Rest { wait: Duration::from_secs(60), narrow: false }));
    assert_eq!(with(&Outcome::ServerFault, minute).disposition, Disposition::Retry(in_secs(60)));
    let at_once = with(&Outcome::TooManyAtOnce(minute), minute);
    assert_eq!(at_once.rest, Some(Rest { wait: Duration::from_secs(60), narrow: true }));
    let created = with(&Outcome::Created(EventId("AAMk".into())), minute);
    assert_eq!(created.rest, None, "a success is never repeated because of one");
    let endless = with(&Outcome::MailboxThrottled(Some(Duration::MAX)), Some(Duration::MAX));
    assert_eq!(endless.rest.unwrap().wait, retry_after::LONGEST);
}

#[test]
fn refusals_fail_at_once() {
    for (outcome, kind, in_doubt) in [
        (Outcome::Refused(ErrorKind::Rejected), ErrorKind::Rejected, false),
        (Outcome::RefusedInDoubt, ErrorKind::Rejected, true),
        (Outcome::Duplicate(None), ErrorKind::DuplicateTransaction, false),
        (Outcome::NoMailbox, ErrorKind::NotFound, false),
        (Outcome::Invalid(InvalidJob::new("subject", "is a BLOB")), ErrorKind::InvalidJob, false),
    ] {
        let decision = decide(&job(0), &outcome);
        assert_eq!((decision.disposition, decision.kind, decision.in_doubt), (Disposition::Fail, Some(kind), in_doubt));
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let named = proptest::option::of((0u64..u64::MAX).prop_map(Duration::from_millis));
    prop_oneof![
        Just(Outcome::ServerFault),
        Just(Outcome::ReplyLost),
        Just(Outcome::NotGraph),
        Just(Outcome::RefusedInDoubt),
        Just(held()),
        named.clone().prop_map(Outcome::MailboxAway),
        named.clone().prop_map(Outcome::TooManyAtOnce),
        named.clone().prop_map(Outcome::MailboxThrottled),
        named.prop_map(blocked),
    ]
}

#[test]
fn a_job_in_doubt_without_attempts_is_only_looked_up() {
    let doubtful = |attempts| Job { in_doubt: true, ..job(attempts) };
    let used_up = |job: &Job| policy().is_used_up(job);
    assert_eq!((used_up(&doubtful(11)), used_up(&doubtful(12)), used_up(&job(12))), (false, true, false));
    let end = decide(&doubtful(12), &Outcome::NotFound);
    assert_eq!((end.disposition, end.kind, end.in_doubt), (Disposition::Fail, Some(ErrorKind::Exhausted), true));
}

#[test]
fn a_lookup_that_keeps_failing_is_waited_for_three_attempts_but_never_for_most_of_them() {
    let unseen = |max_attempts, attempts| {
        let policy = RetryPolicy { max_attempts, ..policy() };
        policy.repeats_unseen(&Job { in_doubt: true, ..job(attempts) })
    };
    assert_eq!((0..5).map(|attempts| unseen(12, attempts)).collect::<Vec<_>>(), [false, false, false, true, true]);
    assert_eq!((unseen(2, 0), unseen(2, 1), unseen(2, 2)), (false, true, false));
    assert!(unseen(1, 0));
}

#[test]
fn the_last_attempt_at_a_resting_mailbox_is_followed_by_a_look_and_that_by_the_end() {
    let away = Outcome::MailboxAway(Some(Duration::from_secs(60)));
    let decision = decide(&job(11), &away);
    assert_eq!((decision.disposition, decision.in_doubt), (Disposition::Retry(in_secs(60)), true));
    let decision = decide(&Job { in_doubt: true, ..job(12) }, &away);
    assert_eq!((decision.disposition, decision.kind), (Disposition::Fail, Some(ErrorKind::Exhausted)));
    assert_eq!(decision.rest, Some(Rest { wait: Duration::from_secs(60), narrow: false }));
}

#[test]
fn a_refusal_whose_cause_is_a_default_fails_no_job_but_one_in_doubt() {
    let took = Defaulted { mailbox: true, time_zone: true };
    let unlicensed = Outcome::MailboxBlocked {
        kind: ErrorKind::NotFound,
        recheck: Duration::from_secs(60),
        horizon: Some(Duration::from_secs(60)),
        in_doubt: false,
    };
    for (outcome, key, kind) in [
        (Outcome::NoMailbox, DefaultKey::Mailbox, ErrorKind::NotFound),
        (unlicensed, DefaultKey::Mailbox, ErrorKind::NotFound),
        (Outcome::ZoneRefused, DefaultKey::TimeZone, ErrorKind::Rejected),
    ] {
        let decision = decide(&Job { defaulted: took, ..job(11) }, &outcome);
        assert_eq!((&decision.disposition, decision.default_at_fault), (&Disposition::Snooze(now()), Some(key)));
        assert_eq!((decision.kind, decision.give_up_at, decision.rest), (Some(kind), None, None), "no time runs");
        let own = decide(&job(11), &outcome);
        assert_eq!(own.default_at_fault, None, "the row named it itself");
        let doubtful = decide(&Job { defaulted: took, in_doubt: true, ..job(11) }, &outcome);
        assert!(doubtful.in_doubt && doubtful.default_at_fault.is_none(), "{doubtful:?}");
    }
}

#[test]
fn a_row_that_can_become_no_event_never_did_unless_an_attempt_says_otherwise() {
    let in_doubt = |column, attempts| {
        let invalid = Outcome::Invalid(InvalidJob::new(column, "is wrong"));
        decide(&Job { in_doubt: true, ..job(attempts) }, &invalid).in_doubt
    };
    assert_eq!((in_doubt("subject", 0), in_doubt("subject", 1)), (false, true));
    // Without a mailbox the signed-in user's own was meant, until the settings said otherwise.
    assert!(in_doubt("mailbox", 0));
}

proptest! {
    #[test]
    fn nothing_is_due_in_the_past_nor_before_the_mailbox_may_be_asked_again(
        outcome in any_outcome(), attempts in 0u32..20, strikes in 0u32..100, jitter in 0.0f64..1.0,
        deadline in proptest::option::of(-1000i64..1_000_000),
    ) {
        let mut job = job(attempts);
        job.give_up_at = deadline.map(in_secs);
        let decision = policy().decide(&job, &outcome, strikes, now(), jitter);
        if let Disposition::Retry(due) | Disposition::Snooze(due) = decision.disposition {
            prop_assert!(due >= now());
            if let Some(rest) = &decision.rest {
                prop_assert!(due >= after(now(), rest.wait));
            }
        }
    }

    #[test]
    fn doubt_once_there_is_never_dropped_by_a_failure(outcome in any_outcome(), attempts in 0u32..20) {
        let mut job = job(attempts);
        job.in_doubt = true;
        prop_assert!(policy().decide(&job, &outcome, 0, now(), 0.5).in_doubt);
    }

    #[test]
    fn a_server_that_never_recovers_ends_every_job(jitter in 0.0f64..1.0, spends in any::<bool>()) {
        let outcome = if spends { Outcome::ServerFault } else { Outcome::MailboxThrottled(None) };
        let (mut job, mut time, mut rounds) = (job(0), now(), 0u32);
        loop {
            let decision = policy().decide(&job, &outcome, rounds, time, jitter);
            job.give_up_at = decision.give_up_at;
            match decision.disposition {
                Disposition::Retry(due) => { job.attempts += 1; time = due; }
                Disposition::Snooze(due) => time = due,
                Disposition::Fail => break,
                Disposition::Complete(_) => prop_assert!(false),
            }
            rounds += 1;
            prop_assert!(rounds < 1000);
        }
        prop_assert!(time - now() <= TimeDelta::hours(73));
    }
}
