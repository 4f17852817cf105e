//! Mailboxes that stand still: held by an operator, or paused by what the agent met.

use chrono::{TimeDelta, Utc};
use event_sender::job::ErrorKind;
use event_sender::queue::{Operate, Pause, Read};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, TEAM, far, is_about, lane, pause};

async fn nothing_is_claimed_of_a_mailbox_on_hold_until_it_is_released<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.insert(&[ANN, BOB]).await;
    let operator = bed.backend.beside().await;
    operator.hold_mailbox(&lane("Ann@contoso.com"), None, Utc::now()).await.unwrap();
    let taken = bed.claim(ALL).await;
    assert_eq!(taken.ids(), [ids[1]]);
    assert!(taken.held.contains(&lane(ANN)) && taken.held.len() == 1, "{:?}", taken.held);
    assert!(operator.release_mailbox(&lane(ANN)).await.unwrap());
    assert_eq!(bed.claim(ALL).await.ids(), [ids[0]]);
}

async fn rows_that_name_no_mailbox_are_held_with_the_default_one<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&["", TEAM]).await;
    bed.queue().hold_mailbox(&lane(TEAM), None, Utc::now()).await.unwrap();
    assert!(bed.claim(ALL).await.jobs.is_empty());
}

async fn a_mailbox_held_twice_keeps_its_time_and_takes_the_new_reason<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = Utc::now() - TimeDelta::hours(1);
    bed.queue().hold_mailbox(&lane(ANN), Some("moved"), first).await.unwrap();
    bed.queue().hold_mailbox(&lane(ANN), Some("still moved"), Utc::now()).await.unwrap();
    bed.queue().hold_mailbox(&lane(ANN), None, Utc::now()).await.unwrap();
    let hold = bed.mailbox(ANN).await.hold.unwrap();
    let since = hold.since.time().unwrap();
    assert!((since - first).abs() < TimeDelta::milliseconds(2), "{since}");
    assert_eq!(hold.reason.text(), Some("still moved"));
}

async fn a_release_says_whether_there_was_a_hold_and_leaves_nothing_of_it<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.queue().hold_mailbox(&lane(ANN), Some("moved"), Utc::now()).await.unwrap();
    assert!(bed.queue().release_mailbox(&lane(ANN)).await.unwrap());
    assert!(!bed.queue().release_mailbox(&lane(ANN)).await.unwrap());
    assert_eq!(bed.queue().mailbox(&lane(ANN)).await.unwrap(), None);
}

async fn a_pause_is_kept_with_its_reason_and_survives_a_hold<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.pause(pause(ANN, "full"), ErrorKind::Unavailable).await;
    bed.queue().hold_mailbox(&lane(ANN), None, Utc::now()).await.unwrap();
    bed.queue().release_mailbox(&lane(ANN)).await.unwrap();
    let row = bed.mailbox(ANN).await;
    assert!(is_about(row.paused_until(Utc::now()), far()) && row.pause.reason == "full", "{row:?}");
    assert_eq!((row.pause.kind.known(), row.pause.pauses_in_a_row.integer()), (Some(ErrorKind::Unavailable), Some(2)));
}

async fn stopped_mailboxes_are_listed_by_name_and_no_others<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.pause(pause(BOB, "full"), ErrorKind::Unavailable).await;
    bed.pause(Pause { until: Utc::now() - TimeDelta::hours(1), ..pause(TEAM, "over") }, ErrorKind::Unavailable).await;
    bed.queue().hold_mailbox(&lane(ANN), None, Utc::now()).await.unwrap();
    let stopped = bed.queue().mailboxes(Utc::now()).await.unwrap();
    assert_eq!(stopped.iter().map(|row| row.mailbox.as_str()).collect::<Vec<_>>(), [ANN, BOB]);
}

async fn resuming_ends_the_pause_that_was_looked_at_and_no_other<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.pause(pause(ANN, "full"), ErrorKind::Unavailable).await;
    let (seen, operator) = (bed.mailbox(ANN).await, bed.backend.beside().await);
    let now = Utc::now();
    assert!(operator.resume_mailbox(&seen, &[lane(ANN)], now).await.unwrap());
    assert_eq!(bed.mailbox(ANN).await.paused_until(Utc::now()), None);
    assert!(!operator.resume_mailbox(&seen, &[lane(ANN)], now).await.unwrap(), "that one is over");
}

async fn what_met_the_same_comes_forward_when_a_mailbox_is_resumed<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let other = bed.doubtful(ANN).await;
    let met = bed.pause(pause(ANN, "full"), ErrorKind::Unavailable).await;
    let seen = bed.mailbox(ANN).await;
    bed.backend.beside().await.resume_mailbox(&seen, &[lane(ANN)], Utc::now()).await.unwrap();
    assert_eq!(bed.claim(ALL).await.ids(), [met]);
    assert!(is_about(bed.job(other).await.summary.next_attempt_at.time(), far()));
}

async fn a_pause_that_microsoft_asked_for_is_kept<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let now = Utc::now();
    let asked = now + TimeDelta::minutes(5);
    let paused = Pause { asked_until: Some(asked), until: now + TimeDelta::hours(1), ..pause(ANN, "busy") };
    bed.pause(paused, ErrorKind::Unavailable).await;
    let row = bed.mailbox(ANN).await;
    let kept = row.kept_until(now).unwrap();
    assert!(is_about(Some(kept), asked), "{kept}");
    assert!(row.paused_as_asked(now));
    bed.pause(pause(BOB, "full"), ErrorKind::Unavailable).await;
    assert_eq!(bed.mailbox(BOB).await.kept_until(now), None, "an operator may know that it is over");
}

on_every_queue! {
    nothing_is_claimed_of_a_mailbox_on_hold_until_it_is_released
    rows_that_name_no_mailbox_are_held_with_the_default_one
    a_mailbox_held_twice_keeps_its_time_and_takes_the_new_reason
    a_release_says_whether_there_was_a_hold_and_leaves_nothing_of_it
    a_pause_is_kept_with_its_reason_and_survives_a_hold
    stopped_mailboxes_are_listed_by_name_and_no_others
    resuming_ends_the_pause_that_was_looked_at_and_no_other
    what_met_the_same_comes_forward_when_a_mailbox_is_resumed
    a_pause_that_microsoft_asked_for_is_kept
}
