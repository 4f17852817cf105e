//! What becomes of changes and ends of events, and what comes too late, by example and by property.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::tests::{any_result, decide, done, in_secs, job, met, moment, policy, secs};
use super::*;
use crate::job::{Ending, EventId, EventType, Snapshot, Verified};

fn change(operation: OperationKind, attempts: u32, in_doubt: bool) -> Job {
    Job { operation, in_doubt, ..job(attempts) }
}

fn update(attempts: u32, in_doubt: bool) -> Job {
    change(OperationKind::Update, attempts, in_doubt)
}

fn open() -> Verified {
    Verified::Open(Box::new(Snapshot {
        event: EventId("AAMk".into()).into(),
        etag: Some("W/\"1\"".into()),
        kind: EventType::Single,
        is_all_day: false,
        body: None,
        is_online: false,
        attendees: Vec::new(),
        ends_at: None,
        created_at: None,
    }))
}

fn told(outcome: &Outcome) -> CallResult {
    let met = met(outcome);
    CallResult { answer: Answer { status: Some(200), ..met.answer }, ..met }
}

fn before(job: &Job, verified: Verified) -> Option<Decision> {
    policy().before_request(job, verified, &moment())
}

#[test]
fn a_change_is_made_once_the_event_was_seen_and_not_again_where_it_shows() {
    for in_doubt in [false, true] {
        assert_eq!(before(&update(0, in_doubt), open()), None);
        let found = before(&update(0, in_doubt), Verified::Done(EventId("AAMk".into()).into())).unwrap();
        assert_eq!(found.disposition, Disposition::Complete(EventId("AAMk".into()).into()));
        assert!(!found.in_doubt);
    }
}

#[test]
fn an_event_that_is_not_there_or_not_ours_fails_the_change_and_leaves_no_doubt() {
    for in_doubt in [false, true] {
        let end = before(&update(2, in_doubt), told(&Outcome::NoTarget(Cause::EventGone)).into()).unwrap();
        assert_eq!((&end.disposition, end.kind, end.in_doubt), (&Disposition::Fail, Some(ErrorKind::Target), false));
        assert_eq!(end.record.ending, Some(Ending::Failed));
        assert!(!end.answer.message.unwrap().contains("may have been made"));
    }
}

#[test]
fn a_look_without_an_answer_puts_the_change_off_and_makes_no_doubt_of_its_own() {
    for outcome in [Outcome::ServerFault, Outcome::ReplyLost, Outcome::NotGraph] {
        let put_off = before(&update(0, false), told(&outcome).into()).unwrap();
        assert!(matches!(put_off.disposition, Disposition::Retry(_)), "{outcome:?}");
        assert_eq!(
            (put_off.in_doubt, put_off.record.departure),
            (false, Departure::NotNow),
            "only a question has left"
        );
        let doubtful = before(&update(0, true), told(&outcome).into()).unwrap();
        assert!(doubtful.in_doubt, "{outcome:?}");
        assert!(before(&update(8, true), told(&outcome).into()).is_some(), "it is never made unseen");
    }
}

#[test]
fn a_change_that_met_another_one_is_no_doubt_and_tried_again_soon() {
    for operation in [OperationKind::Update, OperationKind::Delete] {
        let decision = decide(&change(operation, 0, false), &Outcome::Conflict);
        assert_eq!((decision.disposition, decision.in_doubt), (Disposition::Retry(in_secs(1)), false));
        assert!(!decision.mailbox.halves_slots(), "the mailbox has no part in it");
        let later = decide(&change(operation, 3, false), &Outcome::Conflict);
        assert_eq!(later.disposition, Disposition::Retry(in_secs(40)));
        assert!(!policy().needs_evidence(&change(operation, 0, false), &met(&Outcome::Conflict), &moment()));
    }
}

#[test]
fn a_change_whose_answers_were_lost_is_looked_at_before_it_is_given_up() {
    let last = update(11, true);
    let lost = met(&Outcome::ReplyLost);
    assert!(policy().needs_evidence(&last, &lost, &moment()));
    let end = |verified| policy().after_verification(&last, lost.clone(), verified, &moment());
    assert_eq!(end(Verified::Done(EventId("AAMk".into()).into())).disposition, decide(&last, &done()).disposition);
    let not_made = end(open());
    assert_eq!((not_made.disposition, not_made.in_doubt), (Disposition::Fail, false), "the event is as it was");
    let unseen = end(told(&Outcome::ServerFault).into());
    assert_eq!((unseen.disposition, unseen.in_doubt), (Disposition::Fail, true));
    assert!(unseen.answer.message.unwrap().contains("The change may have been made"));
    let used_up = before(&update(12, true), open()).unwrap();
    assert_eq!((used_up.disposition, used_up.kind), (Disposition::Fail, Some(ErrorKind::Exhausted)));
    assert!(!used_up.in_doubt);
}

fn stakes(recipients: u32, ends_in: Option<i64>) -> Stakes {
    Stakes { recipients, ends_at: ends_in.map(in_secs) }
}

#[test]
fn nothing_is_sent_after_not_after_and_nobody_is_mailed_about_what_is_over() {
    let too_late = |job: &Job, stakes: Stakes| policy().too_late(job, &stakes, &moment());
    let until = |seconds| Job { expires_at: Some(in_secs(seconds)), ..job(0) };
    let end = too_late(&until(0), Stakes::default()).unwrap();
    assert_eq!((&end.disposition, end.kind, end.in_doubt), (&Disposition::Fail, Some(ErrorKind::Expired), false));
    assert_eq!((end.answer.cause, end.record.spent), (Some(Cause::NotAfterPassed), false));
    assert_eq!((end.record.departure, end.record.ending), (Departure::NotNow, Some(Ending::Failed)));
    assert_eq!(too_late(&until(1), Stakes::default()), None);

    let over = too_late(&job(0), stakes(1, Some(0))).unwrap();
    assert_eq!((over.kind, over.answer.cause), (Some(ErrorKind::Expired), Some(Cause::EventIsOver)));
    for allowed in [stakes(0, Some(-60)), stakes(1, Some(1)), stakes(1, None)] {
        assert_eq!(too_late(&job(0), allowed), None, "{allowed:?}");
    }
    let sends = RetryPolicy { refuses_past_events: false, ..policy() };
    assert_eq!(sends.too_late(&job(0), &stakes(1, Some(-60)), &moment()), None);
    let doubtful = too_late(&Job { in_doubt: true, ..until(0) }, Stakes::default()).unwrap();
    assert!(doubtful.in_doubt && doubtful.answer.message.unwrap().contains("may exist"));
}

#[test]
fn a_job_that_waits_for_others_mails_spends_nothing_and_leaves_no_trace() {
    let (wait, due) = (secs(600), moment().now - TimeDelta::seconds(60));
    let job = Job { due: Some(due), ..job(11) };
    let doubtful = Job { in_doubt: true, ..job.clone() };
    for (job, is_known, until) in [(&job, false, in_secs(600)), (&job, true, due), (&doubtful, true, in_secs(600))] {
        let decision = decide(job, &Outcome::Paced { wait, is_known });
        assert_eq!((&decision.disposition, decision.kind), (&Disposition::Snooze(until), None));
        assert_eq!((decision.record.spent, decision.record.ending), (false, None));
        assert_eq!((decision.record.departure, decision.mailbox.pause), (Departure::NotNow, None));
    }
}

proptest! {
    /// Whatever a lookup meets before a change, nothing is sent on the strength of it but where the event was seen; and a
    /// question is never what puts a job in doubt.
    #[test]
    fn no_change_is_made_unseen(
        look in any_result().prop_filter("a look is no success", |look| look.outcome != done()),
        attempts in 0_u32..14,
        in_doubt in any::<bool>(),
        operation in prop_oneof![Just(OperationKind::Update), Just(OperationKind::Delete)],
    ) {
        let job = change(operation, attempts, in_doubt);
        let decision = policy().before_request(&job, look.into(), &moment()).unwrap();
        prop_assert!(in_doubt || !decision.in_doubt);
        prop_assert!(!matches!(decision.disposition, Disposition::Complete(_)));
    }

    /// A deadline is judged by nothing but the times.
    #[test]
    fn what_is_too_late_follows_from_the_times(
        expires in proptest::option::of(-1000_i64..1000),
        ends in proptest::option::of(-1000_i64..1000),
        recipients in 0_u32..3,
    ) {
        let job = Job { expires_at: expires.map(in_secs), ..job(0) };
        let late = policy().too_late(&job, &stakes(recipients, ends), &moment());
        let passed = |at: Option<i64>| at.is_some_and(|at| at <= 0);
        prop_assert_eq!(late.is_some(), passed(expires) || (recipients > 0 && passed(ends)));
    }
}
