//! The numbers as they are fed.
#![allow(clippy::unwrap_used)]

use chrono::TimeDelta;

use super::*;
use crate::clock::Now;
use crate::hint::Hint;
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
        mailed: 0,
        ends_at: None,
        paced: None,
    }
}

/// The number of attempts, as it is shown.
fn attempts(measures: &Measures, outcome: &str, kind: &str) -> Option<f64> {
    let families = measures.metrics().gather();
    let family = families.iter().find(|family| family.name() == "event_sender_attempts_total").unwrap();
    let has = |metric: &&prometheus::proto::Metric| {
        let label = |name: &str, value: &str| {
            metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
        };
        label("outcome", outcome) && label("error_kind", kind)
    };
    family.get_metric().iter().find(has).map(|metric| metric.get_counter().get_value())
}

#[test]
fn attempts_that_are_to_be_expected_stand_at_zero_and_others_appear_with_the_first() {
    let measures = Measures::new().unwrap();
    assert_eq!(attempts(&measures, "sent", "none"), Some(0.0));
    assert_eq!(attempts(&measures, "retry", "throttled"), Some(0.0));
    assert_eq!(attempts(&measures, "sent", "throttled"), None);
    assert_eq!(attempts(&measures, "failed", "none"), None);
    measures.count_attempt(Ending::Failed, None);
    assert_eq!(attempts(&measures, "failed", "none"), Some(1.0));
}

#[test]
fn each_end_is_counted_once_and_what_was_not_recorded_only_as_such() {
    let measures = Measures::new().unwrap();
    let sent = end(Verdict::Sent(EventId("AAMk".into()).into()), Ending::Sent, None);
    let throttled = end(Verdict::Pending(Utc::now()), Ending::Snoozed, Some(ErrorKind::Throttled));
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
    assert_eq!(attempts(&measures, "sent", "none"), Some(1.0));
    assert_eq!(attempts(&measures, "snoozed", "throttled"), Some(1.0));
    assert_eq!(attempts(&measures, "failed", "exhausted"), Some(2.0));
    assert_eq!(attempts(&measures, "retry", "throttled"), Some(0.0));
}

#[test]
fn trouble_keeps_its_beginning_and_ends() {
    let (measures, now) = (Measures::new().unwrap(), Utc::now());
    let later = now + TimeDelta::seconds(5);
    let hold = |code: &str| GateReason {
        cause: Cause::SignInRefused,
        code: code.into(),
        hint: Hint::sentence("fix it"),
        wait: None,
    };
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
fn a_loop_that_stands_still_is_noticed_and_a_clock_set_back_counts_as_no_wait() {
    let measures = Measures::new().unwrap();
    let start = Instant::now();
    assert!(measures.still_for(start + Duration::from_secs(50)) > Duration::from_secs(49));
    measures.turned(start + Duration::from_secs(50), 3, 2);
    assert!(measures.still_for(start + Duration::from_secs(51)) < Duration::from_secs(2));
    assert_eq!((measures.claimed_ahead.get(), measures.unsettled.get()), (3, 2));

    let now = Utc::now();
    measures.began(Some(now + TimeDelta::hours(1)), now);
    measures.began(Some(now - TimeDelta::seconds(3)), now);
    measures.began(None, now);
    assert_eq!((measures.pickup.get_sample_count(), measures.pickup.get_sample_sum()), (2, 3.0));
}
