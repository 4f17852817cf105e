//! A pause that is ended by hand: its jobs go out at once, whoever the pause was for; but nobody goes against Microsoft's word.

use event_sender::sandbox::Fault;
use serde_json::json;

use crate::bed::{Bed, MAILBOX, row, row_for};

const ANN: &str = "ann@contoso.com";
const BOB: &str = "bob@contoso.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mailbox_that_was_put_right_is_tried_at_once_and_all_of_its_jobs_go_out() {
    for (status, code, kind) in [
        (403, "ErrorQuotaExceeded", "unavailable"),
        (423, "resourceLocked", "unavailable"),
        (403, "ErrorAccessDenied", "denied"),
        (404, "MailboxNotEnabledForRESTAPI", "not_found"),
    ] {
        let bed = Bed::new().await;
        bed.sandbox().script(Fault::answer(status, code).mailbox(ANN));
        let agent = bed.run();
        let first = bed.insert(row_for(ANN)).await;
        bed.until_back(first, kind).await;
        let more = bed.insert_all((0..5).map(|_| row_for(ANN))).await;
        let other = bed.insert(row_for(BOB)).await;
        bed.until(other, "sent").await;
        assert_eq!(bed.creates(Some(ANN)).len(), 1, "it is paused");

        let resumed = bed.command(&["resume", "Ann@Contoso.com"]).await.expect(0);
        assert!(resumed.stdout.starts_with("resumed ann@contoso.com, which was paused until "), "{resumed:?}");
        assert!(resumed.stdout.contains(" UTC ("), "{resumed:?}");
        assert!(resumed.stdout.contains(kind) && resumed.stdout.ends_with(": 6 jobs wait\n"), "{resumed:?}");
        bed.until_count(1 + more.len() + 1, "sent").await;
        assert_eq!(bed.until_said(&agent, "mailbox resumed").await["mailbox"], ANN);
        bed.command(&["resume", ANN]).await.expect(1);
        bed.assert_one_event_each().await;
    }
}

/// The order is told for some minutes, and all sending may wait for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_that_is_ended_while_all_sending_waits_is_over_at_once() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(403, "ErrorQuotaExceeded").mailbox(ANN));
    let agent = bed.run();
    let id = bed.insert(row_for(ANN)).await;
    bed.until_back(id, "unavailable").await;
    bed.sandbox().script(Fault::redirect("http://127.0.0.1:9/v1.0/elsewhere").mailbox(BOB));
    bed.insert(row_for(BOB)).await;
    bed.until_said(&agent, "sending paused").await;
    bed.command(&["resume", ANN]).await.expect(0);
    assert_eq!(bed.until_said(&agent, "mailbox resumed").await["mailbox"], ANN);
    assert!(agent.said("sending resumed").is_empty());
    assert_eq!(bed.creates(Some(ANN)).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_microsoft_asked_for_is_kept_beside_whatever_answer_it_stood_and_over_a_restart() {
    for (status, code, kind) in [
        (429, "ApplicationThrottled", "throttled"),
        (503, "ErrorServerBusy", "unavailable"),
        (403, "ErrorAccessDenied", "denied"),
    ] {
        let bed = Bed::new().await;
        bed.sandbox().script(Fault::answer(status, code).mailbox(ANN).retry_after("3600"));
        let mut agent = bed.run();
        let id = bed.insert(row_for(ANN)).await;
        bed.until_back(id, kind).await;
        for _ in 0..2 {
            let kept = bed.command(&["resume", ANN]).await.expect(1);
            assert!(kept.stdout.is_empty(), "{kept:?}");
            assert!(
                kept.stderr.contains(" UTC because Microsoft asked") && kept.stderr.contains("Retry-After"),
                "{kept:?}"
            );
            let kept = bed.command(&["resume", "--all", "--json"]).await.expect(1).json();
            assert_eq!((&kept["resumed"], &kept["skipped"][0]["mailbox"]), (&json!([]), &json!(ANN)));
            agent.kill().await;
            agent = bed.run();
            let other = bed.insert(row_for(BOB)).await;
            bed.until(other, "sent").await;
        }
        // Nor by the mark alone, wherever it came from.
        bed.sql("UPDATE mailboxes SET resumed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").await;
        let other = bed.insert(row_for(BOB)).await;
        bed.until(other, "sent").await;
        assert_eq!(bed.creates(Some(ANN)).len(), 1, "{code}");
        assert_eq!(bed.sandbox().counters().retry_after_violations, 0);
        agent.stop().await.expect(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wait_beyond_all_measure_is_ended_after_what_was_asked_for_is_said() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox(ANN).retry_after("172800"));
    let _agent = bed.run();
    let id = bed.insert(row_for(ANN)).await;
    bed.until_back(id, "throttled").await;
    let resumed = bed.command(&["resume", ANN]).await.expect(0);
    assert!(resumed.stdout.contains("Microsoft asked to wait until 20"), "{resumed:?}");
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_that_came_after_the_order_is_not_ended_by_it() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.sandbox().script(Fault::answer(403, "ErrorQuotaExceeded").mailbox(ANN).times(2));
    let id = bed.insert(row_for(ANN)).await;
    bed.until_back(id, "unavailable").await;
    bed.command(&["resume", ANN]).await.expect(0);
    // It was not put right after all.
    bed.wait("it was tried", async || (bed.creates(Some(ANN)).len() == 2).then_some(())).await;
    bed.wait("it is paused again", async || (agent.said("mailbox paused").len() == 2).then_some(())).await;
    for mailbox in [BOB, "cy@contoso.com"] {
        let other = bed.insert(row_for(mailbox)).await;
        bed.until(other, "sent").await;
    }
    assert_eq!(bed.creates(Some(ANN)).len(), 2);
    bed.command(&["resume", ANN]).await.expect(0);
    bed.until(id, "sent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn resume_without_an_agent_counts_from_its_start_on_and_leaves_a_hold_alone() {
    let bed = Bed::new().await;
    let unnamed = bed.insert(row()).await;
    bed.sql(&format!(
        "INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind, held_at) VALUES
        ('{MAILBOX}', '2999-01-01T00:00:00.000Z', 'The mailbox is full.', 'unavailable', '2026-01-01T00:00:00.000Z')"
    ))
    .await;
    let dry = bed.command(&["resume", MAILBOX, "--dry-run"]).await.expect(0);
    assert!(dry.stdout.starts_with("would resume calendar@contoso.com"), "{dry:?}");
    assert!(dry.stdout.contains("(unavailable: The mailbox is full): 1 job waits"), "{dry:?}");
    let resumed = bed.command(&["resume", MAILBOX]).await.expect(0);
    assert!(resumed.stderr.contains("event-sender release calendar@contoso.com"), "{resumed:?}");
    let agent = bed.run();
    let other = bed.insert(row_for(BOB)).await;
    bed.until(other, "sent").await;
    assert_eq!(bed.job(unnamed).await.claims, 0, "it is held");
    bed.command(&["release", MAILBOX]).await.expect(0);
    bed.until(unnamed, "sent").await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn resume_says_what_is_not_paused_and_refuses_nonsense() {
    let bed = Bed::new().await;
    let none = bed.command(&["resume", ANN]).await.expect(1);
    assert!(none.stdout.is_empty() && none.stderr.contains("ann@contoso.com is not paused"), "{none:?}");
    let nothing = bed.command(&["resume", "--all"]).await.expect(0);
    assert!(nothing.stderr.contains("no mailbox is paused"), "{nothing:?}");
    let json = bed.command(&["resume", ANN, "--json"]).await.expect(1).json();
    assert_eq!(json["skipped"], json!([{ "mailbox": ANN, "reason": "is not paused" }]));
    for usage in [&["resume"][..], &["resume", " "], &["resume", "--all", ANN]] {
        bed.command(usage).await.expect(2);
    }
}
