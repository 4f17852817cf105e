//! The numbers as they are fed.
#![allow(clippy::unwrap_used)]

use chrono::TimeDelta;

use super::*;
use crate::clock::Now;
use crate::job::{Answer, Cause, EventId, JobId};
use crate::queue::AttemptRecord;

fn end(verdict: Verdict, ending: Ending, kind: Option<ErrorKind>) -> Settlement {
    Settlement {
        id: JobId(1),
        claim: 1,
        verdict,
        spent: true,
        at: Now::read(),
        in_doubt: false,
        give_up_at: None,
        kind,
        answer: Answer::default(),
        sent_at: None,
        never_left: false,
        attempt: Some(AttemptRecord { started_at: Utc::now(), duration_ms: 1, ending }),
        pause: None,
    }
}

#[test]
fn kinds_and_endings_have_their_places_in_the_order_of_their_declaration() {
    for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, place, "{kind:?}");
    }
    for (place, ending) in Ending::ALL.into_iter().enumerate() {
        assert_eq!(ending as usize, place, "{ending:?}");
    }
}

#[test]
fn each_end_is_counted_once_and_what_was_not_recorded_only_as_such() {
    let measures = Measures::default();
    let sent = end(Verdict::Sent(EventId("AAMk".into())), Ending::Sent, None);
    let throttled = end(Verdict::Again(Utc::now()), Ending::Snoozed, Some(ErrorKind::Throttled));
    let failed = end(Verdict::Failed, Ending::Failed, Some(ErrorKind::Exhausted));
    measures.ended_as(&sent, Settled::Recorded);
    measures.ended_as(&sent, Settled::Stale);
    measures.ended_as(&throttled, Settled::Recorded);
    measures.ended_as(&Settlement { in_doubt: true, ..failed.clone() }, Settled::Recorded);
    measures.ended_as(&failed, Settled::Recorded);
    // Given back: no attempt at all.
    measures.ended_as(&Settlement { attempt: None, ..throttled }, Settled::Recorded);
    assert_eq!((measures.sent.get(), measures.failed.get(), measures.ended()), (1, 2, 3));
    assert_eq!((measures.failed_in_doubt.get(), measures.unrecorded.get()), (1, 1));
    assert_eq!(measures.attempts(Ending::Sent, None), 1);
    assert_eq!(measures.attempts(Ending::Snoozed, Some(ErrorKind::Throttled)), 1);
    assert_eq!(measures.attempts(Ending::Failed, Some(ErrorKind::Exhausted)), 2);
    assert_eq!(measures.attempts(Ending::Retry, Some(ErrorKind::Throttled)), 0);
}

#[test]
fn trouble_keeps_its_beginning_and_ends() {
    let (measures, now) = (Measures::default(), Utc::now());
    let later = now + TimeDelta::seconds(5);
    let hold =
        |code: &str| GateReason { cause: Cause::SignInRefused, code: code.into(), hint: "fix it".into(), wait: None };
    measures.shut(&hold("AADSTS1"), now, later);
    measures.shut(&hold("AADSTS2"), later, later + TimeDelta::seconds(60));
    let shut = measures.gate().unwrap();
    assert_eq!((shut.since, shut.code.as_str()), (now, "AADSTS2"));
    measures.reopened();
    assert_eq!(measures.gate(), None);

    let error = QueueError::Trouble { action: "written", may_pass: true, source: "pool timed out".into() };
    measures.settling_fails(&error, now);
    measures.settling_fails(&error, later);
    assert_eq!(measures.settle_trouble().unwrap().since, now);
    assert_eq!((measures.settle_failures.get(), measures.queue_trouble()), (2, None));
    measures.settling_works();
    assert_eq!(measures.settle_trouble(), None);
}

#[test]
fn a_loop_that_stands_still_is_noticed_and_a_clock_set_back_is_no_negative_wait() {
    let measures = Measures::default();
    let start = Instant::now();
    assert!(measures.still_for(start + Duration::from_secs(50)) > Duration::from_secs(49));
    measures.turned(start + Duration::from_secs(50), 3, 2);
    assert!(measures.still_for(start + Duration::from_secs(51)) < Duration::from_secs(2));
    assert_eq!((measures.claimed_ahead.get(), measures.unsettled.get()), (3, 2));

    let now = Utc::now();
    measures.began(Some(now + TimeDelta::hours(1)), now);
    measures.began(Some(now - TimeDelta::seconds(3)), now);
    measures.began(None, now);
    let pickup = measures.pickup.distribution();
    assert_eq!((pickup.count, pickup.sum), (2, 3.0));
}
