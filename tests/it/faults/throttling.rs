//! Mailboxes that ask for patience: pauses, their persistence, and the limits at one time.

use std::time::Duration;

use event_sender::sandbox::{AnswerBody, Fault, FaultOn, OptionsChange};

use crate::bed::{Bed, row_for, side_by_side};

const ANN: &str = "ann@contoso.com";
const BOB: &str = "bob@contoso.com";

/// Outlook's own way of refusing: one mailbox's budget.
fn over_rate(mailbox: &str) -> Fault {
    Fault::answer(429, "ApplicationThrottled").message("Application is over its RequestRate limit.").mailbox(mailbox)
}

/// One mailbox is refused once with this fault; the job is sent later and not too early.
async fn refused_once(fault: Fault, attempts: i64) {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    let form = format!("{fault:?}");
    bed.sandbox().script(fault);
    let agent = bed.run();
    let ids = bed.insert_all((0..3).map(|_| row_for(ANN))).await;
    bed.until_count(ids.len(), "sent").await;
    let counters = bed.sandbox().counters();
    assert_eq!(counters.retry_after_violations, 0, "{form}");
    assert_eq!(counters.create_requests, 4, "{form}");
    assert!(bed.creates(Some(ANN)).iter().all(|request| request.early_by_ms.is_none()), "{form}");
    assert_eq!(bed.job(ids[0]).await.attempts, attempts, "{form}");
    assert_eq!(bed.pauses().await.iter().map(|pause| pause.mailbox.as_str()).collect::<Vec<_>>(), [ANN], "{form}");
    let paused = &agent.said("mailbox paused")[0];
    assert!(paused["mailbox"] == ANN && paused["retry_at"].is_string(), "{paused}");
    assert_eq!(bed.until_said(&agent, "mailbox resumed").await["mailbox"], ANN);
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_mailbox_is_left_alone_until_retry_after_in_each_of_its_forms() {
    let told = ["1", "1.2", "date:+2"].map(|value| over_rate(ANN).retry_after(value));
    // No time, or one nobody can read: the agent waits as long as it thinks fit.
    let untold = [over_rate(ANN), over_rate(ANN).retry_after("soon")];
    side_by_side(told.into_iter().chain(untold).map(|fault| refused_once(fault, 1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttling_answer_needs_no_body_to_be_understood() {
    let bodies = [AnswerBody::None, AnswerBody::Html, AnswerBody::Text("{\"error\":".into())];
    let faults = bodies.map(|body| [over_rate(ANN).retry_after("1").body(body.clone()), over_rate(ANN).body(body)]);
    side_by_side(faults.into_iter().flatten().map(|fault| refused_once(fault, 1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_mailbox_store_is_left_alone_too_and_costs_an_attempt() {
    let busy = |code| Fault::answer(503, code).mailbox(ANN);
    let faults = [
        busy("serviceNotAvailable").retry_after("1"),
        busy("ErrorServerBusy").retry_after("1.5"),
        busy("").body(AnswerBody::None).retry_after("date:+2"),
        busy("ErrorMailboxStoreUnavailable"),
    ];
    side_by_side(faults.map(|fault| refused_once(fault, 2))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_says_wait_for_no_time_is_not_asked_in_a_circle() {
    let bed = Bed::new().await;
    bed.sandbox().script(over_rate(ANN).retry_after("0").times(0));
    let agent = bed.run();
    bed.insert(row_for(ANN)).await;
    bed.until_said(&agent, "mailbox resumed").await;
    let requests = bed.creates(Some(ANN));
    let pauses = agent.said("mailbox paused");
    assert!(requests.len() <= 3 && !pauses.is_empty(), "{requests:?}");
    for (request, next) in requests.iter().zip(requests.iter().skip(1)) {
        // Times with milliseconds sort like text; the seconds must differ.
        assert!(next.at[..19] > request.at[..19], "{request:?} {next:?}");
    }
}

/// The longest header a server could make up pauses the mailbox for a day, and neither the agent nor its next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_retry_after_beyond_all_time_pauses_its_mailbox_and_harms_nobody() {
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::hours(25);
    for value in ["10000000000000000000", "1e9", "Wed, 21 Oct 2099 07:28:00 GMT"] {
        let bed = Bed::new().await;
        bed.sandbox().script(over_rate(ANN).retry_after(value));
        let agent = bed.run();
        bed.insert(row_for(ANN)).await;
        bed.until_said(&agent, "mailbox paused").await;
        let bob = bed.insert(row_for(BOB)).await;
        bed.until(bob, "sent").await;
        agent.stop().await.expect(0);
        let pause = bed.pauses().await.remove(0);
        let until: chrono::DateTime<chrono::Utc> = pause.paused_until.parse().unwrap();
        assert!(until < tomorrow && until > chrono::Utc::now() + chrono::TimeDelta::hours(23), "{value}: {pause:?}");
        assert!(
            pause.reason.contains("Microsoft asked to wait ") && pause.reason.contains("; capped at 24 h."),
            "{pause:?}"
        );
        // One header fails no row.
        let row = bed.job(1).await;
        assert_eq!((row.state.as_str(), row.error_kind.as_deref(), row.attempts), ("pending", Some("throttled"), 0));
        let _agent = bed.run();
        let bob = bed.insert(row_for(BOB)).await;
        bed.until(bob, "sent").await;
        assert_eq!(bed.creates(Some(ANN)).len(), 1, "{value}");
    }
}

/// Of several headers the longest wait counts, in whatever unit it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_waits_in_one_answer_the_longest_is_obeyed() {
    let faults = [
        over_rate(ANN).retry_after("1").header("retry-after", "3"),
        over_rate(ANN).retry_after("3").header("retry-after", "1"),
        over_rate(ANN).header("retry-after-ms", "1500"),
        over_rate(ANN).retry_after("1").header("x-ms-retry-after-ms", "2500"),
    ];
    side_by_side(faults.map(|fault| refused_once(fault, 1))).await;
}

/// Where the row's own time is shorter than the wait, it still has its chance after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wait_beyond_the_rows_own_time_fails_no_row_at_once() {
    let mut bed = Bed::new().await;
    bed.set("delivery.give_up_after", "500ms");
    bed.sandbox().script(over_rate(ANN).retry_after("2"));
    let _agent = bed.run();
    let id = bed.insert(row_for(ANN)).await;
    bed.until(id, "sent").await;
    assert_eq!(bed.sandbox().counters().retry_after_violations, 0);
    bed.assert_one_event_each().await;
}

/// Whatever the answer is, the wait it names is a wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wait_named_beside_another_answer_than_throttling_is_obeyed() {
    let answers = [(404, "ErrorItemNotFound"), (400, "ErrorInvalidRequest"), (500, "InternalServerError"), (409, "x")];
    side_by_side(answers.map(async |(status, code)| {
        let mut bed = Bed::new().await;
        bed.set("delivery.max_in_flight_per_mailbox", "1");
        bed.sandbox().script(Fault::answer(status, code).mailbox(ANN).retry_after("2"));
        let _agent = bed.run();
        let ids = bed.insert_all((0..2).map(|_| row_for(ANN))).await;
        bed.until(ids[1], "sent").await;
        let asked: Vec<_> =
            bed.sandbox().requests().into_iter().filter(|request| request.mailbox.as_deref() == Some(ANN)).collect();
        let at = |n: usize| chrono::DateTime::parse_from_rfc3339(&asked[n].at).unwrap();
        assert!((at(1) - at(0)).num_milliseconds() >= 1990, "{status}: {asked:#?}");
    }))
    .await;
}

/// A pause learnt while another request of the mailbox waits for a new token holds that one, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_that_waited_for_a_token_does_not_leave_into_a_pause() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "2");
    bed.sandbox().script(Fault::slow(Duration::from_millis(1500)).on(FaultOn::Token).after(1));
    bed.sandbox().script(Fault::expire_tokens().subject("first"));
    // Answered while the first one's new token is on its way.
    bed.sandbox().script(over_rate(ANN).subject("second").retry_after("4"));
    bed.sandbox().configure(OptionsChange { latency_ms: Some(300), ..OptionsChange::default() });
    let _agent = bed.run();
    let rows = ["first", "second"].map(|subject| row_for(ANN).with("subject", subject));
    bed.insert_all(rows).await;
    bed.until_count(2, "sent").await;
    assert_eq!(bed.sandbox().counters().retry_after_violations, 0, "{:#?}", bed.sandbox().requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_throttled_mailbox_delays_no_other() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.set("delivery.max_in_flight", "2");
    bed.sandbox().script(over_rate(ANN).retry_after("600"));
    let agent = bed.run();
    let waiting = bed.insert_all((0..20).map(|_| row_for(ANN))).await;
    bed.until_said(&agent, "mailbox paused").await;
    let healthy = bed.insert_all((0..20).map(|_| row_for(BOB))).await;
    bed.until_count(healthy.len(), "sent").await;
    bed.until_count(waiting.len(), "pending").await;
    let first = bed.until_back(waiting[0], "throttled").await;
    assert_eq!((first.attempts, first.http_status, first.in_doubt), (0, Some(429), 0));
    assert_eq!(first.error_code.as_deref(), Some("ApplicationThrottled"));
    assert_eq!(bed.creates(Some(ANN)).len(), 1);
    let said = &agent.said("attempt failed")[0];
    assert_eq!((said["outcome"].as_str(), said["error_kind"].as_str()), (Some("snoozed"), Some("throttled")));
    assert!(agent.said("sending paused").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_survives_kill_9_and_a_restart() {
    let bed = Bed::new().await;
    bed.sandbox().script(over_rate(ANN).retry_after("600"));
    let agent = bed.run();
    let waiting = bed.insert(row_for(ANN)).await;
    let pause = bed.wait("the pause is in the database", async || bed.pauses().await.into_iter().next()).await;
    assert_eq!(pause.mailbox, ANN);
    assert!(pause.paused_until > bed.job(waiting).await.created_at && !pause.reason.is_empty(), "{pause:?}");
    bed.until_back(waiting, "throttled").await;
    agent.kill().await;

    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.insert(row_for("Ann@Contoso.COM")).await;
    let healthy = bed.insert(row_for(BOB)).await;
    bed.until(healthy, "sent").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bed.creates(Some(ANN)).len(), 1);
    assert_eq!(bed.sandbox().counters().retry_after_violations, 0);
    assert_eq!(bed.pauses().await[0].paused_until, pause.paused_until);
    let status = bed.command(&["status"]).await.expect(0);
    // Date and thousandths are left to `--json`.
    let until = format!("{} UTC", &pause.paused_until[11..19]);
    assert!(status.stdout.contains(ANN) && status.stdout.contains(&until), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_that_ended_while_nobody_ran_holds_nothing_up() {
    let bed = Bed::new().await;
    bed.sql("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('ann@contoso.com', '2020-01-01T00:00:00.000Z', 'past')").await;
    let _agent = bed.run();
    let id = bed.insert(row_for(ANN)).await;
    bed.until(id, "sent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_application_throttled_on_two_mailboxes_at_once_pauses_all_sending() {
    let bed = Bed::new().await;
    let throttled = |mailbox| Fault::answer(429, "TooManyRequests").mailbox(mailbox).retry_after("600");
    bed.sandbox().script(throttled(ANN));
    bed.sandbox().script(throttled(BOB));
    let agent = bed.run();
    bed.insert_all([row_for(ANN), row_for(BOB)]).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_kind"], "throttled");
    let third = bed.insert(row_for("cy@contoso.com")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bed.job(third).await.state, "pending");
    assert_eq!(bed.creates(Some("cy@contoso.com")).len(), 0);
    assert!(bed.jobs().await.iter().all(|job| job.attempts == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_application_throttled_on_one_mailbox_pauses_that_one_only() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "TooManyRequests").mailbox(ANN).retry_after("600"));
    let agent = bed.run();
    bed.insert(row_for(ANN)).await;
    bed.until_said(&agent, "mailbox paused").await;
    let other = bed.insert(row_for(BOB)).await;
    bed.until(other, "sent").await;
    assert!(agent.said("sending paused").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn too_many_at_once_narrows_the_mailbox_and_costs_nothing() {
    let bed = Bed::new().await;
    let narrow =
        Fault::answer(429, "ApplicationThrottled").message("Application is over its MailboxConcurrency limit.");
    bed.sandbox().script(narrow.mailbox(ANN));
    let agent = bed.run();
    let ids = bed.insert_all((0..12).map(|_| row_for(ANN))).await;
    bed.until_count(ids.len(), "sent").await;
    assert!(bed.jobs().await.iter().all(|job| job.attempts == 1));
    assert_eq!(agent.said("mailbox paused").len(), 1);
    bed.assert_one_event_each().await;
}

async fn most_at_once(limit: &str) -> u32 {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", limit);
    bed.sandbox().configure(OptionsChange { latency_ms: Some(30), ..OptionsChange::default() });
    // In several spellings: case does not make another mailbox.
    let spellings = [ANN, "Ann@contoso.com", "ANN@CONTOSO.COM"];
    let ids = bed.insert_all((0..40).map(|n| row_for(spellings[n % 3]))).await;
    let _agent = bed.run();
    bed.until_count(ids.len(), "sent").await;
    let counters = bed.sandbox().counters();
    assert_eq!(counters.throttled, 0);
    counters.max_in_flight[ANN]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_requests_at_once_to_one_mailbox_than_allowed() {
    let (four, two, one) = tokio::join!(most_at_once("4"), most_at_once("2"), most_at_once("1"));
    assert!((2..=4).contains(&four), "{four}");
    assert_eq!((two, one), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rows_without_mailbox_share_the_limit_of_the_default_mailbox() {
    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", "Ann@contoso.com");
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.sandbox().configure(OptionsChange { latency_ms: Some(10), ..OptionsChange::default() });
    let rows = (0..20).map(|n| if n % 2 == 0 { row_for(ANN) } else { crate::bed::row() });
    let ids = bed.insert_all(rows).await;
    let _agent = bed.run();
    bed.until_count(ids.len(), "sent").await;
    assert_eq!(bed.sandbox().counters().max_in_flight[ANN], 1);
}
