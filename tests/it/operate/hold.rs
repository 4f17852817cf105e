//! A mailbox on hold: nothing is sent to it while others go on, whatever happens meanwhile, until it is released.

use std::time::Duration;

use event_sender::sandbox::Fault;
use serde_json::json;

use crate::bed::{Bed, MAILBOX, row, row_for};

const ANN: &str = "ann@contoso.com";
const BOB: &str = "bob@contoso.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_sent_to_a_mailbox_on_hold_while_others_go_on_and_its_jobs_go_out_once_it_is_released() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let first = bed.insert(row_for(ANN)).await;
    bed.until(first, "sent").await;

    let held = bed.command(&["hold", "Ann@Contoso.com", "--reason", "being moved"]).await.expect(0);
    assert_eq!(held.stdout, "held ann@contoso.com: no job waits\n");
    assert_eq!(bed.until_said(&agent, "mailbox held").await["mailbox"], ANN);
    let waiting = bed.insert_all((0..5).map(|_| row_for(ANN))).await;
    let others = bed.insert_all((0..5).map(|_| row_for(BOB))).await;
    bed.until_count(1 + others.len(), "sent").await;
    assert_eq!(bed.creates(Some(ANN)).len(), 1);
    assert_eq!(bed.count("pending").await, 5);

    let list = bed.command(&["hold", "--list", "--json"]).await.expect(0).json();
    assert_eq!(
        (&list[0]["mailbox"], &list[0]["reason"], &list[0]["waiting"]),
        (&json!(ANN), &json!("being moved"), &json!(5))
    );
    let human = bed.command(&["hold", "--list"]).await.expect(0).stdout;
    assert!(human.contains(ANN) && human.contains("being moved") && human.contains('5'), "{human}");

    let released = bed.command(&["release", ANN]).await.expect(0);
    assert_eq!(released.stdout, "released ann@contoso.com: 5 jobs wait\n");
    bed.until_count(1 + others.len() + waiting.len(), "sent").await;
    assert_eq!(bed.until_said(&agent, "mailbox released").await["mailbox"], ANN);
    assert_eq!((agent.said("mailbox held").len(), agent.said("mailbox released").len()), (1, 1));
    assert_eq!(bed.pauses().await.len(), 0, "nothing is left of a hold");
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hold_outlives_a_kill_and_a_restart() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.command(&["hold", ANN]).await.expect(0);
    let waiting = bed.insert(row_for(ANN)).await;
    bed.until_said(&agent, "mailbox held").await;
    agent.kill().await;
    for _ in 0..2 {
        let agent = bed.run();
        bed.until_said(&agent, "mailbox held").await;
        let other = bed.insert(row_for(BOB)).await;
        bed.until(other, "sent").await;
        agent.stop().await.expect(0);
    }
    assert!(bed.creates(Some(ANN)).is_empty());
    assert_eq!(bed.job(waiting).await.claims, 0);
    bed.command(&["release", "--all"]).await.expect(0);
    bed.command(&["run", "--until-empty"]).await.expect(0);
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hold_during_a_pause_does_not_lose_the_retry_after() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox(ANN).retry_after("4"));
    let agent = bed.run();
    let id = bed.insert(row_for(ANN)).await;
    bed.until_back(id, "throttled").await;
    let until = bed.pauses().await[0].paused_until.clone();
    bed.command(&["hold", ANN]).await.expect(0);
    bed.until_said(&agent, "mailbox held").await;
    // A restart knows of the pause only what the row says.
    agent.kill().await;
    bed.command(&["release", ANN]).await.expect(0);
    assert_eq!(bed.pauses().await[0].paused_until, until);
    let agent = bed.run();
    bed.until(id, "sent").await;
    assert!(bed.creates(Some(ANN)).iter().all(|request| request.early_by_ms.is_none()));
    assert_eq!(bed.sandbox().counters().retry_after_violations, 0);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_taken_ahead_of_a_mailbox_goes_back_when_it_is_held_though_every_slot_is_in_use() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight", "1");
    bed.sandbox().script(Fault::slow(Duration::from_secs(4)).mailbox(ANN));
    let agent = bed.run();
    let ids = bed.insert_all((0..8).map(|_| row_for(ANN))).await;
    bed.wait("some are taken ahead", async || (bed.count("claimed").await > 2).then_some(())).await;
    bed.command(&["hold", ANN]).await.expect(0);
    bed.until_said(&agent, "mailbox held").await;
    // Back in their places, unspent, while the one under way may finish.
    bed.wait("only one is under way", async || (bed.count("claimed").await == 1).then_some(())).await;
    assert_eq!(bed.creates(Some(ANN)).len(), 1);
    let waiting: Vec<_> = bed.jobs().await.into_iter().filter(|job| job.state == "pending").collect();
    assert!(waiting.len() == 7 && waiting.iter().all(|job| job.attempts == 0 && job.in_doubt == 0), "{waiting:?}");
    let other = bed.insert(row_for(BOB)).await;
    bed.until(other, "sent").await;
    bed.wait("it has ended", async || (bed.count("claimed").await == 0).then_some(())).await;
    assert_eq!(bed.count("pending").await, 7);
    bed.command(&["release", ANN]).await.expect(0);
    bed.until_count(ids.len() + 1, "sent").await;
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_that_name_no_mailbox_are_held_with_the_one_they_go_to() {
    let bed = Bed::new().await;
    let unnamed = bed.insert(row()).await;
    let held = bed.command(&["hold", MAILBOX]).await.expect(0);
    assert_eq!(held.stdout, format!("held {MAILBOX}: 1 job waits\n"));
    let agent = bed.run();
    let other = bed.insert(row_for(BOB)).await;
    bed.until(other, "sent").await;
    assert_eq!(bed.job(unnamed).await.claims, 0);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_waits_for_an_empty_queue_is_told_that_only_held_jobs_are_left() {
    let bed = Bed::new().await;
    bed.insert_all([row_for(ANN), row_for(BOB)]).await;
    bed.command(&["hold", ANN]).await.expect(0);
    let mut agent = bed.run_with(&["--until-empty"]);
    let said = bed.until_said(&agent, "only mailboxes on hold have jobs left, waiting for their release").await;
    assert_eq!((&said["jobs"], &said["level"]), (&json!(1), &json!("WARN")));
    assert!(agent.ended().is_none());
    bed.command(&["release", ANN]).await.expect(0);
    agent.end().await.expect(0);
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hold_and_release_say_what_they_would_do_and_refuse_nonsense() {
    let bed = Bed::new().await;
    bed.insert(row_for(ANN)).await;
    assert_eq!(
        bed.command(&["hold", "--dry-run", ANN]).await.expect(0).stdout,
        "would hold ann@contoso.com: 1 job waits\n"
    );
    assert!(bed.pauses().await.is_empty());
    let unknown = bed.command(&["hold", "anne@contoso.com"]).await.expect(0);
    assert!(unknown.stderr.contains("no job waits for anne@contoso.com"), "{unknown:?}");
    bed.command(&["hold", ANN, "--reason", "first"]).await.expect(0);
    let again = bed.command(&["hold", ANN]).await.expect(0);
    assert!(
        again.stdout.starts_with("ann@contoso.com is on hold since ") && again.stdout.contains(" UTC: "),
        "{again:?}"
    );
    assert!(!again.stdout.contains("reason"), "it stays: {again:?}");
    let again = bed.command(&["hold", ANN, "--reason", "second"]).await.expect(0);
    assert!(again.stdout.contains("its reason is replaced (it was \"first\"): 1 job waits"), "{again:?}");
    let dry = bed.command(&["release", "--all", "--dry-run", "--json"]).await.expect(0).json();
    assert_eq!((&dry["dry_run"], &dry["released"][0]["mailbox"]), (&json!(true), &json!(ANN)));
    assert_eq!(bed.pauses().await.len(), 2);
    bed.command(&["release", ANN, "anne@contoso.com"]).await.expect(0);
    let none = bed.command(&["release", ANN]).await.expect(1);
    assert!(none.stdout.is_empty() && none.stderr.contains("is not on hold"), "{none:?}");
    bed.command(&["release", "--all"]).await.expect(0);
    // Whatever its name, a mailbox is told on one line.
    let broken = "x\nheld bob@contoso.com: no job waits";
    for (command, part) in [
        (&["hold", broken][..], "held x held bob"),
        (&["release", "--all"], "released x held bob"),
        (&["release", broken], "x held bob@contoso.com: no job waits is not on hold"),
        (&["resume", broken], "x held bob@contoso.com: no job waits is not paused"),
    ] {
        let ran = bed.command(command).await;
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(part) && said.lines().all(|line| !line.starts_with("held bob")), "{said}");
    }
    for usage in [&["hold"][..], &["release"], &["hold", " "], &["hold", "--list", ANN], &["release", "--all", ANN]] {
        bed.command(usage).await.expect(2);
    }
}
