//! The wall clock is set while the agent runs, or between two runs, by hours. Waits keep their real length: nothing
//! stalls, nothing is sent early, nothing is given up. The sandbox's clock and the producer's are left alone.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta, Utc};
use event_sender::sandbox::Fault;

use crate::bed::{Bed, Row, row_for, side_by_side};
use crate::process::Process;
use crate::shim::ClockDial;

const STEPS: [i64; 4] = [5, -5, 100, -100];

const THROTTLED: &str = "throttled@contoso.com";
const AWAY: &str = "away@contoso.com";
const BROKEN: &str = "broken@contoso.com";
const HEALTHY: &str = "healthy@contoso.com";

/// What the waits of this test may last in real time, with room for a slow machine.
const SOON: Duration = Duration::from_secs(15);

/// A time this far from now, on the true clock.
fn time_in(delta: TimeDelta) -> String {
    (Utc::now() + delta).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Three mailboxes, each with a trouble that makes the next job wait, twice in a row.
fn script(bed: &Bed) {
    let throttled = Fault::answer(429, "ApplicationThrottled").message("Application is over its RequestRate limit.");
    bed.sandbox().script(throttled.retry_after("2").mailbox(THROTTLED).times(2));
    let away = Fault::answer(503, "serviceNotAvailable");
    bed.sandbox().script(away.clone().retry_after("date:+3").mailbox(AWAY));
    bed.sandbox().script(away.retry_after("2").mailbox(AWAY));
    bed.sandbox().script(Fault::answer(500, "ErrorInternalServerError").mailbox(BROKEN).times(2));
}

/// An agent with a clock to set, and a job of each of the three mailboxes that has met its trouble once and waits.
async fn waiting(bed: &mut Bed, hours: i64) -> (ClockDial, Process, Vec<i64>) {
    bed.set("delivery.first_retry", "2s");
    bed.set("delivery.longest_retry", "3s");
    let clock = ClockDial::before(bed);
    clock.is_off_by_hours(hours);
    script(bed);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let ids = bed.insert_all([THROTTLED, AWAY, BROKEN].map(row_for)).await;
    for (id, kind) in ids.iter().zip(["throttled", "unavailable", "unavailable"]) {
        bed.until_back(*id, kind).await;
    }
    (clock, agent, ids)
}

async fn assert_all_sent_in_time(bed: &Bed, begin: Instant, step: i64) {
    let jobs = bed.jobs().await.len();
    bed.wait(&format!("all are sent, clock set by {step} hours"), async || {
        (bed.count("sent").await == jobs as i64 || begin.elapsed() > SOON).then_some(())
    })
    .await;
    assert!(bed.count("failed").await == 0 && bed.count("pending").await == 0, "{step} hours: {:#?}", bed.jobs().await);
    let counters = bed.sandbox().counters();
    assert_eq!(counters.retry_after_violations, 0, "{step} hours");
    assert!(counters.token_requests <= 2, "{step} hours: {counters:?}");
    bed.assert_one_event_each().await;
}

async fn waits_keep_their_length_over_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    let (clock, agent, _) = waiting(&mut bed, 0).await;
    // Behind the pauses: rows that no attempt was made for yet.
    bed.insert_all([THROTTLED, AWAY].map(row_for)).await;
    let begin = Instant::now();
    clock.is_off_by_hours(hours);
    assert_all_sent_in_time(&bed, begin, hours).await;
    assert_eq!(bed.creates(Some(BROKEN)).len(), 3, "{hours} hours");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_keep_their_real_length_whatever_the_clock_is_set_to() {
    side_by_side(STEPS.map(waits_keep_their_length_over_a_step_of)).await;
}

/// The agent's own wait, which no server asked for.
async fn a_backoff_keeps_its_length_over_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "2s");
    bed.set("delivery.longest_retry", "2s");
    let clock = ClockDial::before(&mut bed);
    bed.sandbox().script(Fault::answer(500, "ErrorInternalServerError"));
    let agent = bed.run();
    let id = bed.insert(row_for(BROKEN)).await;
    bed.until_back(id, "unavailable").await;
    clock.is_off_by_hours(hours);
    bed.until(id, "sent").await;
    let at = |time: &str| chrono::DateTime::parse_from_rfc3339(time).unwrap();
    let mut requests = bed.sandbox().requests();
    requests.retain(|request| request.mailbox.as_deref() == Some(BROKEN));
    let waited = at(&requests[1].at) - at(&requests[0].at);
    // Two seconds, give or take a fifth.
    assert!(waited >= TimeDelta::milliseconds(1550), "{hours} hours: {waited}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backoff_keeps_its_length_when_the_clock_is_set_back() {
    side_by_side([-5, -100].map(a_backoff_keeps_its_length_over_a_step_of)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clock_that_jumps_to_and_fro_changes_nothing() {
    let mut bed = Bed::new().await;
    let (clock, agent, _) = waiting(&mut bed, 0).await;
    let begin = Instant::now();
    for hours in [3, -3, 100, -100, 0] {
        clock.is_off_by_hours(hours);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_all_sent_in_time(&bed, begin, 0).await;
    agent.stop().await.expect(0);
}

/// It waits for its mailbox only, and no attempt was made for it yet.
async fn a_row_behind_a_pause_is_sent_after_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    let clock = ClockDial::before(&mut bed);
    let throttled = Fault::answer(429, "ApplicationThrottled").message("Application is over its RequestRate limit.");
    bed.sandbox().script(throttled.retry_after("2").mailbox(THROTTLED));
    let agent = bed.run();
    let first = bed.insert(row_for(THROTTLED)).await;
    bed.until_back(first, "throttled").await;
    let past = time_in(TimeDelta::hours(hours.min(0) - 1));
    bed.insert(row_for(THROTTLED).with("not_before", &past)).await;
    let begin = Instant::now();
    clock.is_off_by_hours(hours);
    assert_all_sent_in_time(&bed, begin, hours).await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_whose_not_before_is_over_is_sent_whatever_the_clock_is_set_to() {
    side_by_side(STEPS.map(a_row_behind_a_pause_is_sent_after_a_step_of)).await;
}

/// A row as a program inserts it that has the agent's clock, which is off by so much.
fn row_stamped(hours: i64) -> Row {
    let now = time_in(TimeDelta::hours(hours));
    row_for(HEALTHY).with("created_at", &now).with("next_attempt_at", &now)
}

async fn new_rows_are_sent_after_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    let clock = ClockDial::before(&mut bed);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let first = bed.insert(row_for(HEALTHY)).await;
    bed.until(first, "sent").await;
    clock.is_off_by_hours(hours);
    let begin = Instant::now();
    // The first one by a program that looked at the clock just before.
    for row in [row_for(HEALTHY), row_stamped(hours), row_stamped(hours)] {
        bed.insert(row).await;
    }
    assert_all_sent_in_time(&bed, begin, hours).await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_rows_are_sent_whatever_the_clock_is_set_to() {
    side_by_side(STEPS.map(new_rows_are_sent_after_a_step_of)).await;
}

/// The transaction of a program that inserted before the clock was set goes on until the agent has seen that.
async fn a_transaction_that_lasts_over_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    let clock = ClockDial::before(&mut bed);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.sql("BEGIN IMMEDIATE").await;
    bed.insert(row_for(HEALTHY)).await;
    clock.is_off_by_hours(hours);
    bed.until_said(&agent, "the system clock was set, waits keep their length").await;
    bed.sql("COMMIT").await;
    assert_all_sent_in_time(&bed, Instant::now(), hours).await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_began_before_the_clock_was_set_delays_no_row() {
    side_by_side(STEPS.map(a_transaction_that_lasts_over_a_step_of)).await;
}

/// The program has looked at the clock before, and inserts when the agent has moved all waits along already.
async fn a_row_stamped_before_comes_after_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    let clock = ClockDial::before(&mut bed);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    // Waits for an hour whatever the clock shows: told by its due time, all waits were moved.
    let in_an_hour = time_in(TimeDelta::hours(1));
    let waiting = bed.insert(row_for(BROKEN).with("claims", "1").with("next_attempt_at", &in_an_hour)).await;
    let stamped = row_stamped(0);
    let (ahead, past) = (time_in(TimeDelta::hours(1)), time_in(TimeDelta::hours(hours - 1)));
    clock.is_off_by_hours(hours);
    bed.wait("the waits are moved", async || (bed.job(waiting).await.next_attempt_at != in_an_hour).then_some(()))
        .await;
    let rows = [stamped.clone(), stamped.clone().with("not_before", &past), row_for(HEALTHY)];
    for id in bed.insert_all(rows).await {
        bed.until(id, "sent").await;
    }
    let later = bed.insert(stamped.with("not_before", &ahead)).await;
    let next = bed.insert(row_for(HEALTHY)).await;
    bed.until(next, "sent").await;
    let later = bed.job(later).await;
    assert_eq!((later.state.as_str(), &later.next_attempt_at), ("pending", &ahead));
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_with_the_old_clocks_times_is_sent_whenever_it_comes() {
    side_by_side([-5, -100].map(a_row_stamped_before_comes_after_a_step_of)).await;
}

/// `not_before` is a time of day: the clock as it is set decides.
async fn not_before_holds_after_a_step_of(hours: i64) {
    let mut bed = Bed::new().await;
    let clock = ClockDial::before(&mut bed);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    // Ahead of both clocks, the old and the new, and behind both.
    let (ahead, past) = (time_in(TimeDelta::hours(hours.max(0) + 1)), time_in(TimeDelta::hours(hours.min(0) - 1)));
    let before = bed.insert(row_for(HEALTHY).with("not_before", &ahead)).await;
    clock.is_off_by_hours(hours);
    let after = bed.insert(row_stamped(hours).with("not_before", &ahead)).await;
    let due = bed.insert(row_stamped(hours).with("not_before", &past)).await;
    bed.until(due, "sent").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for id in [before, after] {
        assert_eq!(bed.job(id).await.state, "pending", "{hours} hours");
    }
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_before_is_waited_for_on_the_clock_as_it_is_set() {
    side_by_side(STEPS.map(not_before_holds_after_a_step_of)).await;
}

/// The first run sees a clock that is ahead by so much, the second one the true clock.
async fn waits_survive_a_clock_set_back_between_two_runs(hours: i64) {
    let mut bed = Bed::new().await;
    let (clock, agent, _) = waiting(&mut bed, hours).await;
    agent.kill().await;
    clock.is_off_by_hours(0);
    let begin = Instant::now();
    let agent = bed.run();
    bed.insert(row_for(HEALTHY)).await;
    bed.insert(row_for(THROTTLED)).await;
    assert_all_sent_in_time(&bed, begin, -hours).await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_set_back_between_two_runs_stalls_nothing() {
    side_by_side([5, 100].map(waits_survive_a_clock_set_back_between_two_runs)).await;
}
