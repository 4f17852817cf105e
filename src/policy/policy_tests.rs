//! The policy by example and by property.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::hint::Hint;
use crate::job::{Defaulted, Ending, EventId, GateReason, InvalidJob, JobId, JobInput, Verified};

pub(super) fn policy() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 12,
        first_retry: Duration::from_secs(5),
        longest_retry: Duration::from_secs(900),
        give_up_after: Duration::from_secs(72 * 3600),
        refuses_past_events: true,
    }
}

pub(super) fn job(attempts: u32) -> Job {
    Job {
        id: JobId(1),
        claim: 1,
        attempts,
        in_doubt: false,
        due: None,
        give_up_at: None,
        input: JobInput::default(),
        defaulted: Default::default(),
        operation: Default::default(),
        expires_at: None,
        target: Default::default(),
    }
}

pub(super) fn now() -> DateTime<Utc> {
    "2026-12-01T09:00:00Z".parse().unwrap()
}

/// At noon by the middle of the jitter, of a mailbox that was not paused before.
pub(super) fn moment() -> Moment {
    Moment { now: now(), jitter: 0.5, pauses_in_a_row: 0 }
}

fn after_pauses(pauses_in_a_row: u32) -> Moment {
    Moment { pauses_in_a_row, ..moment() }
}

pub(super) fn met(outcome: &Outcome) -> CallResult {
    CallResult::new(outcome.clone(), Answer::default())
}

fn told_to_wait(outcome: &Outcome, wait: Duration) -> CallResult {
    CallResult { retry_after: Some(wait), ..met(outcome) }
}

pub(super) fn decide(job: &Job, outcome: &Outcome) -> Decision {
    policy().decide(job, met(outcome), &moment())
}

fn decide_told(job: &Job, outcome: &Outcome, wait: Duration) -> Decision {
    policy().decide(job, told_to_wait(outcome, wait), &moment())
}

fn pause(wait: Duration) -> Option<MailboxPause> {
    Some(MailboxPause { wait, halve_slots: false })
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn away() -> Outcome {
    Outcome::MailboxAway(Cause::MailboxAway)
}

fn blocked(cause: Cause) -> Outcome {
    Outcome::MailboxBlocked { cause, in_doubt: false }
}

fn unable() -> Outcome {
    let (code, hint) = ("AADSTS7000222".into(), Hint::default());
    Outcome::Unable(GateReason { cause: Cause::SignInRefused, code, hint, wait: None })
}

pub(super) fn done() -> Outcome {
    Outcome::Done(EventId("AAMk".into()).into())
}

pub(super) fn in_secs(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

#[test]
fn a_created_event_ends_the_doubt() {
    let mut doubtful = job(3);
    doubtful.in_doubt = true;
    let decision = decide(&doubtful, &done());
    assert_eq!(decision.disposition, Disposition::Complete(EventId("AAMk".into()).into()));
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
        assert_eq!(decision.mailbox.pause, None);
    }
}

#[test]
fn an_absent_mailbox_store_rests_the_mailbox_for_the_time_named() {
    let decision = decide_told(&job(0), &away(), secs(120));
    assert_eq!(decision.disposition, Disposition::Retry(in_secs(120)));
    assert_eq!(decision.mailbox.pause, pause(secs(120)));
}

#[test]
fn throttling_rests_the_mailbox_and_spends_nothing() {
    let wait = Duration::from_millis(2128);
    let decision = decide_told(&job(11), &Outcome::MailboxThrottled, wait);
    assert_eq!(decision.disposition, Disposition::Snooze(now() + TimeDelta::milliseconds(2128)));
    assert_eq!((decision.mailbox.pause, decision.mailbox.named), (pause(wait), Some(wait)));
    assert_eq!((decision.kind, decision.record.spent), (Some(ErrorKind::Throttled), false));
    assert!(!decision.in_doubt);
}

#[test]
fn throttling_without_a_time_backs_off_by_the_mailboxs_pauses() {
    let decision = policy().decide(&job(0), met(&Outcome::AppThrottled), &after_pauses(3));
    assert_eq!(decision.disposition, Disposition::Snooze(in_secs(40)));
}

#[test]
fn a_server_that_says_zero_or_keeps_refusing_is_asked_less_and_less_often() {
    let pause = |named: u64, pauses: u32| {
        let result = told_to_wait(&Outcome::MailboxThrottled, secs(named));
        policy().decide(&job(0), result, &after_pauses(pauses)).mailbox.pause.unwrap().wait.as_secs()
    };
    assert_eq!([pause(0, 0), pause(2, 3), pause(2, 4), pause(2, 6), pause(90, 6)], [1, 2, 5, 20, 90]);
}

#[test]
fn a_503_without_patience_does_not_use_up_the_attempts_in_a_moment() {
    let decision = decide_told(&job(3), &away(), Duration::ZERO);
    assert_eq!(decision.disposition, Disposition::Retry(in_secs(40)));
    assert_eq!(decision.mailbox.pause, pause(secs(1)));
}

#[test]
fn too_many_at_once_narrows_the_lane_for_at_least_a_second() {
    let decision = decide(&job(0), &Outcome::TooManyAtOnce);
    assert_eq!(decision.mailbox.pause, Some(MailboxPause { wait: secs(1), halve_slots: true }));
}

#[test]
fn trouble_that_asks_for_no_rest_halves_the_slots_and_a_dead_connection_does_not() {
    for outcome in [Outcome::ReplyLost, Outcome::ServerFault, Outcome::Conflict] {
        assert!(decide(&job(0), &outcome).mailbox.halves_slots(), "{outcome:?}");
    }
    for outcome in [Outcome::ConnectionStale, Outcome::Interrupted, done(), Outcome::NoMailbox, away()] {
        assert!(!decide(&job(0), &outcome).mailbox.halves_slots(), "{outcome:?}");
    }
}

#[test]
fn a_long_retry_after_is_not_shortened() {
    let decision = decide_told(&job(0), &Outcome::MailboxThrottled, secs(24 * 3600));
    assert_eq!(decision.disposition, Disposition::Snooze(in_secs(86_400)));
}

#[test]
fn a_retry_after_is_obeyed_for_a_day_at_most_and_fails_no_job_at_once() {
    let year = secs(365 * 24 * 3600);
    for outcome in [Outcome::MailboxThrottled, Outcome::AppThrottled, Outcome::TooManyAtOnce] {
        let decision = decide_told(&job(0), &outcome, year);
        assert_eq!(decision.disposition, Disposition::Snooze(in_secs(86_400)), "{outcome:?}");
        assert_eq!(decision.mailbox.pause.unwrap().wait, retry_after::LONGEST);
    }
    assert_eq!(decide_told(&job(0), &away(), year).disposition, Disposition::Retry(in_secs(86_400)));
    // Also where the job's own time is over before the pause is: it has its last chance then.
    let mut hasty = job(3);
    hasty.give_up_at = Some(in_secs(600));
    let decision = decide_told(&hasty, &Outcome::MailboxThrottled, year);
    assert_eq!(decision.disposition, Disposition::Snooze(in_secs(86_400)));
    hasty.give_up_at = Some(now());
    assert_eq!(decide_told(&hasty, &Outcome::MailboxThrottled, year).disposition, Disposition::Fail);
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
fn a_new_mailbox_is_waited_for_an_hour_and_then_fails_under_its_own_name() {
    let first = decide(&job(0), &blocked(Cause::MailboxNotEnabled));
    assert_eq!(first.disposition, Disposition::Snooze(in_secs(300)));
    let mut late = job(0);
    late.give_up_at = Some(in_secs(71 * 3600 - 1));
    let decision = decide(&late, &blocked(Cause::MailboxNotEnabled));
    assert_eq!((decision.disposition, decision.kind), (Disposition::Fail, Some(ErrorKind::NotFound)));
}

#[test]
fn what_a_person_must_put_right_is_tried_every_half_hour_until_the_jobs_time_is_used_up() {
    let causes = [Cause::Permission, Cause::MailboxFull, Cause::MailboxLocked, Cause::MailboxOnPremises];
    for cause in causes {
        let decision = decide(&job(0), &blocked(cause));
        assert_eq!(decision.disposition, Disposition::Snooze(in_secs(1800)), "{cause:?}");
        assert_eq!((decision.mailbox.pause, decision.kind), (pause(secs(1800)), Some(cause.kind())));
        let decision = decide(&Job { give_up_at: Some(now()), ..job(0) }, &blocked(cause));
        assert_eq!((decision.disposition, decision.kind), (Disposition::Fail, Some(ErrorKind::Exhausted)));
        assert_eq!(decision.answer.cause, Some(cause), "what it waited for is still told");
    }
}

#[test]
fn the_gate_waits_a_minute_for_what_only_other_settings_end_and_else_by_its_own_backoff() {
    for cause in [Cause::MeWithoutUser, Cause::WrongApiVersion, Cause::TokenRefused, Cause::NotGraph] {
        assert_eq!(gate_wait(cause), Some(secs(60)), "{cause:?}");
    }
    for cause in [Cause::NoNetwork, Cause::SignInRefused, Cause::SignInUnreachable, Cause::ThrottledApp] {
        assert_eq!(gate_wait(cause), None, "{cause:?}");
    }
}

#[test]
fn trouble_of_the_agent_costs_the_job_neither_attempt_nor_time() {
    let mut old = job(11);
    old.give_up_at = Some(in_secs(-1));
    for outcome in [unable(), Outcome::NotStarted, Outcome::Interrupted, Outcome::ConnectionStale] {
        let decision = decide(&old, &outcome);
        // What was cut off may still be at work at the server.
        let cut_off = matches!(outcome, Outcome::Interrupted | Outcome::ConnectionStale);
        assert_eq!(decision.disposition, Disposition::Snooze(in_secs(if cut_off { 2 } else { 0 })), "{outcome:?}");
        assert_eq!((decision.in_doubt, decision.record.spent), (cut_off, false));
    }
}

#[test]
fn a_wait_named_beside_any_answer_is_a_floor_for_mailbox_and_job_and_never_longer_than_the_calendar() {
    let with = |outcome: &Outcome, wait| decide_told(&job(0), outcome, wait);
    let refused = with(&Outcome::Refused(Cause::EventRefused), secs(60));
    assert_eq!(refused.mailbox.pause, pause(secs(60)));
    assert_eq!(with(&Outcome::ServerFault, secs(60)).disposition, Disposition::Retry(in_secs(60)));
    let at_once = with(&Outcome::TooManyAtOnce, secs(60));
    assert_eq!(at_once.mailbox.pause, Some(MailboxPause { wait: secs(60), halve_slots: true }));
    assert_eq!(with(&done(), secs(60)).mailbox.pause, None, "a success is never repeated because of one");
    let endless = with(&Outcome::MailboxThrottled, Duration::MAX);
    assert_eq!(endless.mailbox.pause.unwrap().wait, retry_after::LONGEST);
}

#[test]
fn refusals_fail_at_once() {
    for (outcome, kind, in_doubt) in [
        (Outcome::Refused(Cause::EventRefused), ErrorKind::Rejected, false),
        (Outcome::Refused(Cause::WrongCalendar), ErrorKind::NotFound, false),
        (Outcome::RefusedInDoubt(Cause::RecipientsRefused), ErrorKind::Rejected, true),
        (Outcome::Duplicate(None), ErrorKind::DuplicateTransaction, false),
        (Outcome::NoMailbox, ErrorKind::NotFound, false),
        (Outcome::Invalid(InvalidJob::new("subject", "is a BLOB")), ErrorKind::InvalidJob, false),
    ] {
        let decision = decide(&job(0), &outcome);
        assert_eq!((decision.disposition, decision.kind, decision.in_doubt), (Disposition::Fail, Some(kind), in_doubt));
    }
}

/// One of each.
fn outcomes() -> Vec<Outcome> {
    let reason = || GateReason { cause: Cause::NotGraph, code: "http_302".into(), hint: Hint::default(), wait: None };
    vec![
        done(),
        Outcome::Invalid(InvalidJob::new("subject", "is a BLOB")),
        Outcome::Refused(Cause::EventRefused),
        Outcome::RefusedInDoubt(Cause::RecipientsRefused),
        Outcome::Duplicate(None),
        Outcome::NotGraph,
        Outcome::Conflict,
        Outcome::ServerFault,
        Outcome::ReplyDamaged,
        Outcome::ReplyLost,
        away(),
        Outcome::TooManyAtOnce,
        Outcome::MailboxThrottled,
        Outcome::AppThrottled,
        Outcome::Busy,
        blocked(Cause::MailboxNotEnabled),
        blocked(Cause::Permission),
        Outcome::MailboxBlocked { cause: Cause::MailboxSuspended, in_doubt: true },
        Outcome::NotFound,
        Outcome::NoMailbox,
        Outcome::ZoneRefused,
        unable(),
        Outcome::Diverted(reason()),
        Outcome::ConnectionStale,
        Outcome::NotStarted,
        Outcome::Interrupted,
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    proptest::sample::select(outcomes())
}

/// What a request met, an answer's wait beside it or none. Nothing but an answer names one.
pub(super) fn any_result() -> impl Strategy<Value = CallResult> {
    let named = proptest::option::of((0u64..u64::MAX).prop_map(Duration::from_millis));
    (any_outcome(), named).prop_map(|(outcome, retry_after)| CallResult { retry_after, ..met(&outcome) })
}

fn any_verified() -> impl Strategy<Value = Verified> {
    prop_oneof![
        Just(Verified::Absent),
        Just(Verified::Done(EventId("AAMk".into()).into())),
        any_unproven().prop_map(Verified::from),
    ]
}

/// What leaves something to look for: no request that was answered with its event, and no lookup that found one.
fn any_unproven() -> impl Strategy<Value = CallResult> {
    any_result().prop_filter("success is evidence enough", |result| result.outcome != done())
}

fn any_job() -> impl Strategy<Value = Job> {
    let deadline = proptest::option::of(-1000i64..1_000_000);
    (0u32..20, any::<bool>(), deadline).prop_map(|(attempts, in_doubt, deadline)| Job {
        in_doubt,
        give_up_at: deadline.map(in_secs),
        ..job(attempts)
    })
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
fn a_look_that_keeps_failing_is_waited_for_three_attempts_but_never_for_most_of_them() {
    let repeats = |max_attempts, attempts, look: &Outcome| {
        let policy = RetryPolicy { max_attempts, ..policy() };
        let job = Job { in_doubt: true, ..job(attempts) };
        policy.before_request(&job, Verified::from(met(look)), &moment()).is_none()
    };
    let lost = |max_attempts, attempts| repeats(max_attempts, attempts, &Outcome::ReplyLost);
    assert_eq!((0..5).map(|attempts| lost(12, attempts)).collect::<Vec<_>>(), [false, false, false, true, true]);
    assert_eq!((lost(2, 0), lost(2, 1), lost(2, 2)), (false, true, false));
    assert!(lost(1, 0));
    assert!(!repeats(12, 4, &Outcome::NotGraph), "whatever answers in Graph's place has looked nowhere");
    assert!(!repeats(12, 4, &Outcome::MailboxThrottled), "a pause is a pause");
}

#[test]
fn before_a_repeat_the_event_is_found_or_the_request_is_made_again_and_without_attempts_the_job_ends() {
    let doubtful = |attempts| Job { in_doubt: true, ..job(attempts) };
    let then = |attempts, verified| policy().before_request(&doubtful(attempts), verified, &moment());
    let found = then(3, Verified::Done(EventId("AAMk".into()).into())).unwrap();
    assert_eq!(found.disposition, Disposition::Complete(EventId("AAMk".into()).into()));
    assert_eq!((found.answer.status, found.record.ending), (Some(200), Some(Ending::Sent)));
    assert_eq!(then(3, Verified::Absent), None);
    assert_eq!(
        then(3, Verified::from(met(&Outcome::NoMailbox))),
        None,
        "a refusal of the look says nothing of the event"
    );

    let found = then(12, Verified::Done(EventId("AAMk".into()).into())).unwrap();
    assert_eq!((found.record.spent, found.record.number), (false, 12), "the last look of all is no attempt");
    for verified in [Verified::Absent, Verified::from(met(&Outcome::NoMailbox))] {
        let end = then(12, verified).unwrap();
        assert_eq!((&end.disposition, end.kind, end.in_doubt), (&Disposition::Fail, Some(ErrorKind::Exhausted), true));
        assert_eq!((end.record.spent, end.answer.cause), (false, Some(Cause::EventNotFound)));
    }
}

#[test]
fn evidence_is_wanted_where_an_answer_cannot_tell_or_a_doubtful_job_would_fail_and_not_of_a_paused_mailbox() {
    let wants = |job: &Job, outcome: &Outcome| policy().needs_evidence(job, &met(outcome), &moment());
    let doubtful = |attempts| Job { in_doubt: true, ..job(attempts) };
    for outcome in outcomes() {
        let cannot_tell = matches!(
            outcome,
            Outcome::Duplicate(_)
                | Outcome::RefusedInDoubt(_)
                | Outcome::Conflict
                | Outcome::NotGraph
                | Outcome::NotFound
                | Outcome::MailboxBlocked { in_doubt: true, .. }
        );
        assert_eq!(wants(&job(0), &outcome), cannot_tell, "{outcome:?}");
    }
    assert!(wants(&doubtful(0), &Outcome::Refused(Cause::EventRefused)));
    assert!(wants(&doubtful(11), &Outcome::ServerFault), "its last attempt");
    assert!(!wants(&doubtful(0), &Outcome::NoMailbox), "the mailbox pauses");
}

#[test]
fn a_duplicate_whose_event_cannot_be_looked_at_is_never_final() {
    let (duplicate, absent) = (met(&Outcome::Duplicate(None)), Verified::Absent);
    let unknown = Verified::from(met(&Outcome::ServerFault));
    let then = |in_doubt, verified: &Verified| {
        policy().after_verification(&Job { in_doubt, ..job(0) }, duplicate.clone(), verified.clone(), &moment())
    };
    let end = then(false, &absent);
    assert_eq!((end.disposition, end.kind), (Disposition::Fail, Some(ErrorKind::DuplicateTransaction)));
    for decision in [then(true, &absent), then(false, &unknown), then(true, &unknown)] {
        assert_eq!((decision.disposition, decision.in_doubt), (Disposition::Retry(in_secs(5)), true));
        assert_eq!(decision.answer.cause, Some(Cause::Duplicate), "the row keeps what was said to the request");
    }
    let found = then(true, &Verified::Done(EventId("AAMk".into()).into()));
    assert_eq!((found.disposition, found.kind), (Disposition::Complete(EventId("AAMk".into()).into()), None));
}

#[test]
fn a_look_that_meets_a_rest_or_a_shut_gate_ends_nothing_and_is_what_mailbox_and_gate_learn_of() {
    let refused = CallResult {
        answer: Answer { status: Some(400), cause: Some(Cause::RecipientsRefused), ..Answer::default() },
        ..met(&Outcome::RefusedInDoubt(Cause::RecipientsRefused))
    };
    let then = |look: CallResult| policy().after_verification(&job(0), refused.clone(), look.into(), &moment());
    let throttled = then(told_to_wait(&Outcome::MailboxThrottled, secs(30)));
    assert_eq!((throttled.disposition, throttled.in_doubt), (Disposition::Retry(in_secs(30)), true));
    assert_eq!((throttled.mailbox.pause, throttled.mailbox.named), (pause(secs(30)), Some(secs(30))));
    assert_eq!(throttled.mailbox.met, Outcome::MailboxThrottled);
    assert_eq!(throttled.answer.cause, Some(Cause::RecipientsRefused));
    assert_eq!((throttled.record.ending, throttled.record.spent), (Some(Ending::Retry), true));

    let shut = then(met(&unable()));
    assert_eq!(
        (shut.disposition, shut.mailbox.met, shut.kind),
        (Disposition::Retry(now()), unable(), Some(ErrorKind::Auth))
    );
}

#[test]
fn what_is_counted_and_written_down_follows_from_what_became_of_the_job() {
    use Departure::{Maybe, Never, NotNow};
    let answered =
        |outcome: &Outcome| CallResult { answer: Answer { status: Some(400), ..met(outcome).answer }, ..met(outcome) };
    let invalid = Outcome::Invalid(InvalidJob::new("subject", "is a BLOB"));
    for (result, spent, departure, ending) in [
        (answered(&done()), true, Maybe, Some(Ending::Sent)),
        (answered(&Outcome::ServerFault), true, Maybe, Some(Ending::Retry)),
        (met(&Outcome::ReplyLost), true, Maybe, Some(Ending::Retry)),
        (answered(&Outcome::MailboxThrottled), false, Maybe, Some(Ending::Snoozed)),
        (met(&Outcome::ConnectionStale), false, Maybe, Some(Ending::Snoozed)),
        (met(&Outcome::Interrupted), false, Maybe, Some(Ending::Interrupted)),
        (answered(&Outcome::Refused(Cause::EventRefused)), true, Maybe, Some(Ending::Failed)),
        (met(&Outcome::Refused(Cause::UnbuildableRequest)), false, NotNow, Some(Ending::Failed)),
        (met(&invalid), false, Never, Some(Ending::Failed)),
        (met(&unable()), false, NotNow, None),
        (met(&Outcome::NotStarted), false, NotNow, None),
    ] {
        let outcome = result.outcome.clone();
        let record = policy().decide(&job(2), result, &moment()).record;
        assert_eq!(record, Record { number: 3, spent, departure, ending }, "{outcome:?}");
    }
    let doubtful = Job { in_doubt: true, ..job(2) };
    assert_eq!(decide(&doubtful, &invalid).record.departure, NotNow, "an earlier request may have left");
}

#[test]
fn a_failed_job_keeps_why_it_was_given_up_what_was_said_last_and_whether_an_event_may_exist() {
    let said = |attempts, in_doubt, outcome: &Outcome, message: Option<&str>| {
        let result =
            CallResult { answer: Answer { message: message.map(str::to_owned), ..Answer::default() }, ..met(outcome) };
        policy().decide(&Job { in_doubt, ..job(attempts) }, result, &moment()).answer.message.unwrap()
    };
    assert_eq!(said(0, false, &Outcome::Refused(Cause::EventRefused), Some("Too late.")), "Too late.");
    assert_eq!(
        said(11, false, &Outcome::ServerFault, Some("Microsoft reported an internal error")),
        "Given up after 12 attempts that count; the last trouble: Microsoft reported an internal error. An event may \
         exist: look into the calendar before inserting this job anew."
    );
    assert!(
        said(0, true, &Outcome::Refused(Cause::EventRefused), None).starts_with("no reason was given. An event may")
    );
}

#[test]
fn the_last_attempt_at_a_paused_mailbox_is_followed_by_a_look_and_that_by_the_end() {
    let decision = decide_told(&job(11), &away(), secs(60));
    assert_eq!((decision.disposition, decision.in_doubt), (Disposition::Retry(in_secs(60)), true));
    let decision = decide_told(&Job { in_doubt: true, ..job(12) }, &away(), secs(60));
    assert_eq!((decision.disposition, decision.kind), (Disposition::Fail, Some(ErrorKind::Exhausted)));
    assert_eq!(decision.mailbox.pause, pause(secs(60)));
}

#[test]
fn a_refusal_whose_cause_is_a_default_fails_no_job_but_one_in_doubt() {
    let took = Defaulted { mailbox: true, time_zone: true };
    for (outcome, key, kind) in [
        (Outcome::NoMailbox, DefaultKey::Mailbox, ErrorKind::NotFound),
        (blocked(Cause::MailboxNotEnabled), DefaultKey::Mailbox, ErrorKind::NotFound),
        (Outcome::ZoneRefused, DefaultKey::TimeZone, ErrorKind::Rejected),
    ] {
        let decision = decide(&Job { defaulted: took, ..job(11) }, &outcome);
        assert_eq!((&decision.disposition, decision.record.spent), (&Disposition::Unfill(now(), key), false));
        assert_eq!(
            (decision.kind, decision.give_up_at, decision.mailbox.pause),
            (Some(kind), None, None),
            "no time runs"
        );
        let unfills = |decision: &Decision| matches!(decision.disposition, Disposition::Unfill(..));
        assert!(!unfills(&decide(&job(11), &outcome)), "the row named it itself");
        let doubtful = decide(&Job { defaulted: took, in_doubt: true, ..job(11) }, &outcome);
        assert!(doubtful.in_doubt && !unfills(&doubtful), "{doubtful:?}");
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

/// Whatever was decided.
fn assert_sound(job: &Job, decision: &Decision) {
    if let Disposition::Retry(due) | Disposition::Snooze(due) | Disposition::Unfill(due, _) = &decision.disposition {
        assert!(*due >= now(), "due in the past: {decision:?}");
    }
    let record = &decision.record;
    match &decision.disposition {
        Disposition::Complete(_) => assert!(!decision.in_doubt && decision.kind.is_none()),
        Disposition::Retry(_) => {
            assert!(record.spent && record.departure == Departure::Maybe && decision.kind.is_some())
        }
        Disposition::Snooze(_) | Disposition::Unfill(..) => assert!(!record.spent),
        Disposition::Fail => {
            assert!(decision.kind.is_some() && decision.answer.message.is_some());
            // Of an event that may exist the row says so.
            let says_so = decision.answer.message.as_deref().is_some_and(|said| said.contains("An event may exist"));
            assert_eq!(says_so, decision.in_doubt, "{decision:?}");
        }
    }
    assert!(record.departure != Departure::Never || !decision.in_doubt);
    assert!(record.departure != Departure::Maybe || record.ending.is_some(), "what may have left is written down");
    assert!(record.number <= job.attempts + 1);
}

proptest! {
    #[test]
    fn nothing_is_due_in_the_past_nor_before_the_mailbox_may_be_asked_again(
        result in any_result(), job in any_job(), pauses in 0u32..100, jitter in 0.0f64..1.0,
    ) {
        let moment = Moment { now: now(), jitter, pauses_in_a_row: pauses };
        let decision = policy().decide(&job, result, &moment);
        assert_sound(&job, &decision);
        if let (Disposition::Retry(due) | Disposition::Snooze(due), Some(pause)) =
            (&decision.disposition, &decision.mailbox.pause)
        {
            prop_assert!(*due >= after(now(), pause.wait));
        }
    }

    #[test]
    fn doubt_once_there_is_ended_by_proof_alone(result in any_unproven(), verified in any_verified(), job in any_job()) {
        let doubtful = Job { in_doubt: true, ..job };
        let proven = matches!(verified, Verified::Done(_));
        // A row that can become no event never did, unless an attempt says otherwise.
        let never_left = |outcome: &Outcome| matches!(outcome, Outcome::Invalid(_)) && doubtful.attempts == 0;
        let request_never_left = never_left(&result.outcome);
        let look_is_impossible = matches!(&verified, Verified::Unknown(look) if never_left(&look.outcome));
        let decision = policy().after_verification(&doubtful, result, verified.clone(), &moment());
        assert_sound(&doubtful, &decision);
        prop_assert!(decision.in_doubt || proven || request_never_left);
        if let Some(decision) = policy().before_request(&doubtful, verified.clone(), &moment()) {
            assert_sound(&doubtful, &decision);
            prop_assert_eq!(decision.in_doubt, !(proven || look_is_impossible));
        }
    }

    #[test]
    fn an_event_that_was_found_ends_the_job_whatever_was_said_before(result in any_result(), job in any_job()) {
        let found = Verified::Done(EventId("AAMk".into()).into());
        let decision = policy().after_verification(&job, result, found, &moment());
        prop_assert_eq!(decision.disposition, Disposition::Complete(EventId("AAMk".into()).into()));
        prop_assert_eq!((decision.record.ending, decision.answer.status), (Some(Ending::Sent), Some(200)));
    }

    #[test]
    fn a_server_that_never_recovers_ends_every_job(jitter in 0.0f64..1.0, spends in any::<bool>()) {
        let outcome = if spends { Outcome::ServerFault } else { Outcome::MailboxThrottled };
        let (mut job, mut time, mut rounds) = (job(0), now(), 0u32);
        loop {
            let decision = policy().decide(&job, met(&outcome), &Moment { now: time, jitter, pauses_in_a_row: rounds });
            job.give_up_at = decision.give_up_at;
            match decision.disposition {
                Disposition::Retry(due) => { job.attempts += 1; time = due; }
                Disposition::Snooze(due) => time = due,
                Disposition::Fail => break,
                Disposition::Complete(_) | Disposition::Unfill(..) => prop_assert!(false),
            }
            rounds += 1;
            prop_assert!(rounds < 1000);
        }
        prop_assert!(time - now() <= TimeDelta::hours(73));
    }
}
