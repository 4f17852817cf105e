//! The operator's writes beside the running agent: put back, cancel, delete. Each says what it did to how many jobs, and
//! none of them makes a second event.

use event_sender::sandbox::{Fault, FaultOn};
use serde_json::{Value, json};

use crate::bed::{Bed, MAILBOX, Row, row, row_for};
use crate::process::Ran;

const ANN: &str = "ann@contoso.com";
const BOB: &str = "bob@contoso.com";

fn ids(told: &Value) -> Vec<i64> {
    told["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

/// Ids left alone, each with the reason.
fn skipped(told: &Value) -> Vec<(i64, String)> {
    let pair = |skipped: &Value| (skipped["id"].as_i64().unwrap(), skipped["reason"].as_str().unwrap().to_owned());
    told["skipped"].as_array().unwrap().iter().map(pair).collect()
}

/// A row that failed, with what was said.
fn failed(row: Row, kind: &str, code: &str) -> Row {
    row.with("state", "failed")
        .with("finished_at", "2026-11-24T12:00:00.000Z")
        .with("first_sent_at", "2026-11-24T11:59:00.000Z")
        .with("error_kind", kind)
        .with("error_code", code)
}

async fn told(bed: &Bed, arguments: &[&str], code: i32) -> Value {
    bed.command(&[arguments, &["--json"]].concat()).await.expect(code).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_failed_for_the_settings_is_sent_after_one_command_and_nothing_is_sent_twice() {
    let bed = Bed::new().await;
    let refuse = |code| Fault::answer(404, code).subject("later").times(2);
    bed.sandbox().script(refuse("ErrorItemNotFound"));
    let agent = bed.run();
    let sent = bed.insert(row_for(BOB)).await;
    let first = bed.insert(row_for(BOB).with("subject", "later")).await;
    let second = bed.insert(row_for(BOB).with("subject", "later").with("calendar_id", "AAMkGone")).await;
    let invalid = bed.insert(row_for(BOB).with("end_time", "2026-02-30 10:00")).await;
    for (id, end) in [(sent, "sent"), (first, "failed"), (second, "failed"), (invalid, "failed")] {
        bed.until(id, end).await;
    }
    let transaction = bed.job(first).await.transaction_id;

    let dry = bed.command(&["retry", "--configuration", "--dry-run"]).await.expect(0);
    assert!(dry.stdout.starts_with("would retry 2 jobs\n") && dry.stdout.lines().count() == 4, "{dry:?}");
    assert_eq!(bed.count("failed").await, 3);
    let done = bed.command(&["retry", "--configuration"]).await.expect(0);
    assert_eq!(done.stdout, format!("retried 2 jobs: {first}, {second}\n"));
    bed.until(first, "sent").await;
    bed.until(second, "sent").await;
    let job = bed.job(first).await;
    assert_eq!((job.transaction_id, job.attempts), (transaction, 1));
    assert_eq!(bed.count("failed").await, 1, "a row that makes no event is left alone");
    bed.assert_one_event_each().await;

    let none = bed.command(&["retry", "--configuration"]).await.expect(0);
    assert!(none.stdout.is_empty() && none.stderr == "no job matches\n", "{none:?}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn retry_finds_jobs_by_what_they_have_in_common_and_leaves_invalid_ones_alone() {
    let bed = Bed::new().await;
    let rows = [
        failed(row_for(ANN), "denied", "ErrorAccessDenied"),
        failed(row_for("ANN@contoso.com"), "rejected", "ErrorInvalidRequest"),
        failed(row_for(BOB), "denied", "ErrorAccessDenied").with("finished_at", "2026-10-01T12:00:00.000Z"),
        failed(row_for(BOB), "exhausted", "ErrorAccessDenied").with("http_status", "403"),
        failed(row_for(BOB), "invalid_job", "invalid_end_time").null("first_sent_at"),
        row_for(ANN).with("state", "cancelled").with("finished_at", "2026-11-24T12:00:00.000Z"),
        failed(row(), "not_found", "ErrorItemNotFound"),
    ];
    bed.insert_all(rows).await;
    for (options, expected) in [
        (&["--error-kind", "denied"][..], vec![1, 3]),
        (&["--error-kind", "denied,rejected", "--mailbox", ANN], vec![1, 2]),
        (&["--mailbox", ANN], vec![1, 2]),
        (&["--mailbox", ANN, "--state", "cancelled"], vec![6]),
        (&["--mailbox", MAILBOX], vec![7]),
        (&["--since", "2026-11-01"], vec![1, 2, 4, 7]),
        (&["--configuration"], vec![1, 3, 4, 7]),
        (&["--configuration", "--since", "2026-11-01"], vec![1, 4, 7]),
        (&["--all"], vec![1, 2, 3, 4, 7]),
        (&["--all", "--limit", "2"], vec![1, 2]),
        (&["--error-kind", "invalid_job"], vec![5]),
        (&["5", "1", "1"], vec![1, 5]),
    ] {
        let told = told(&bed, &[&["retry", "--dry-run"], options].concat(), 0).await;
        assert_eq!((ids(&told), &told["retried"]), (expected.clone(), &json!(expected.len())), "{options:?}");
    }
    let told = told(&bed, &["retry", "--all"], 0).await;
    assert!(skipped(&told)[0].1.contains("invalid_job"), "{told}");
    assert_eq!((bed.count("pending").await, bed.count("failed").await), (5, 1));
    for usage in
        [&[][..], &["--state", "failed"], &["1", "--all"], &["--error-kind", "nix"], &["--since", "soon"], &["one"]]
    {
        let ran = bed.command(&[&["retry"], usage].concat()).await.expect(2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_id_that_cannot_be_retried_is_named_with_the_reason_and_the_others_are_done() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let sent = bed.insert(row_for(BOB)).await;
    bed.until(sent, "sent").await;
    agent.stop().await.expect(0);
    let gone = bed.insert(failed(row_for(BOB), "denied", "ErrorAccessDenied")).await;
    let invalid = bed.insert(failed(row_for(BOB).with("end_time", "never"), "invalid_job", "invalid_end_time")).await;
    let wished = bed.insert(row_for(BOB).with("not_before", "2999-01-01T00:00:00Z")).await;
    let named: Vec<String> = [sent, gone, invalid, wished, 4711].map(|id| id.to_string()).into();
    let ran =
        bed.command(&[&["retry"], &named.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat()).await.expect(1);
    assert_eq!(ran.stdout, format!("retried 2 jobs: {gone}, {invalid}\n"));
    for part in [
        format!("not retried, job {sent}: is sent"),
        "not retried, job 4711: there is no such job".into(),
        format!("not retried, job {wished}: waits for its not_before, 2999-01-01"),
        format!("job {invalid} will fail again: end_time"),
    ] {
        assert!(ran.stderr.contains(&part), "{part} in {ran:?}");
    }
    // As it should be already: no failure.
    bed.command(&["retry", &wished.to_string()]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_waiting_job_is_tried_at_once_when_it_is_told_to_and_a_paused_mailbox_is_named() {
    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "10m");
    bed.set("delivery.longest_retry", "10m");
    bed.sandbox().script(Fault::answer(500, "generalException").mailbox(ANN));
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox(BOB).retry_after("600"));
    let agent = bed.run();
    let waits = bed.insert(row_for(ANN)).await;
    let rests = bed.insert(row_for(BOB)).await;
    bed.until_back(waits, "unavailable").await;
    bed.until_back(rests, "throttled").await;
    bed.command(&["retry", &waits.to_string()]).await.expect(0);
    bed.until(waits, "sent").await;
    let ran = bed.command(&["retry", "--mailbox", BOB, "--state", "pending"]).await.expect(0);
    assert!(ran.stdout.contains("queued, waits until "), "{ran:?}");
    assert!(ran.stdout.contains(" UTC: bob@contoso.com is paused, as Microsoft asked (1 job)"), "{ran:?}");
    let dry = bed.command(&["retry", &rests.to_string(), "--dry-run", "--json"]).await.expect(0).json();
    assert!(dry["waits"][0].as_str().unwrap().contains(" UTC: bob@contoso.com is paused"), "{dry}");
    bed.command(&["hold", BOB]).await.expect(0);
    let ran = bed.command(&["retry", &rests.to_string()]).await.expect(0);
    assert!(ran.stdout.contains("queued, waits until bob@contoso.com is released (1 job)"), "{ran:?}");
    bed.command(&["release", BOB]).await.expect(0);
    let other = bed.insert(row()).await;
    bed.until(other, "sent").await;
    assert_eq!(bed.creates(Some(BOB)).len(), 1, "Retry-After is obeyed all the same");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_in_doubt_is_cancelled_only_by_who_has_looked_and_retried_without_a_second_event() {
    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "10m");
    bed.set("delivery.longest_retry", "10m");
    // The event is made, the answer lost, and Exchange does not say whether the event is there.
    bed.sandbox().script(Fault::lost_reply().mailbox(ANN).times(2));
    bed.sandbox().script(Fault::answer(500, "generalException").on(FaultOn::Lookup).mailbox(ANN).times(0));
    let agent = bed.run();
    let doubtful = bed.insert(row_for(ANN)).await;
    bed.until_back(doubtful, "unavailable").await;
    let id = doubtful.to_string();
    let refused = bed.command(&["cancel", &id]).await.expect(1);
    assert!(
        refused.stdout.starts_with("cancelled 0 jobs") && refused.stderr.contains("--even-if-in-doubt"),
        "{refused:?}"
    );
    let refused = bed.command(&["cancel", "--mailbox", ANN]).await.expect(1);
    assert!(refused.stderr.contains("an event may exist"), "{refused:?}");
    assert_eq!(bed.job(doubtful).await.state, "pending");

    bed.command(&["cancel", &id, "--even-if-in-doubt"]).await.expect(0);
    let job = bed.job(doubtful).await;
    assert_eq!((job.state.as_str(), job.in_doubt), ("cancelled", 1));
    // It was there after all: put back, it is found and not sent again.
    bed.sandbox().clear_faults();
    bed.command(&["retry", &id]).await.expect(0);
    bed.until(doubtful, "sent").await;
    bed.assert_one_event_each().await;
    let sent = bed.command(&["cancel", &id]).await.expect(1);
    assert!(sent.stderr.contains("delete the event in the calendar"), "{sent:?}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn cancel_calls_off_what_waits_beside_the_agent_and_says_what_is_being_sent() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.sandbox().script(Fault::hang(std::time::Duration::from_secs(3)).mailbox(ANN).applied());
    let agent = bed.run();
    let first = bed.insert(row_for(ANN)).await;
    bed.until(first, "claimed").await;
    bed.command(&["hold", ANN]).await.expect(0);
    bed.until_said(&agent, "mailbox held").await;
    let rest = bed.insert_all((0..3).map(|_| row_for(ANN))).await;
    let dry = told(&bed, &["cancel", "--mailbox", ANN, "--dry-run"], 0).await;
    assert_eq!((ids(&dry), &dry["cancelled"]), (rest.clone(), &json!(3)));
    let done = told(&bed, &["cancel", "--mailbox", ANN], 0).await;
    assert_eq!(ids(&done), rest);
    assert!(skipped(&done)[0].0 == first && skipped(&done)[0].1.contains("is being sent"), "{done}");
    bed.command(&["release", ANN]).await.expect(0);
    let after = bed.insert(row_for(ANN)).await;
    bed.until(after, "sent").await;
    assert_eq!(bed.count("cancelled").await, 3);
    agent.stop().await.expect(0);
    let again = bed.command(&["cancel", &rest[0].to_string()]).await.expect(0);
    assert!(again.stderr.contains("is cancelled already"), "{again:?}");
    for usage in [&[][..], &["--state", "pending"], &["--state", "sent", "--all"], &["1", "--mailbox", ANN]] {
        bed.command(&[&["cancel"], usage].concat()).await.expect(2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_great_many_are_retried_in_batches_while_the_agent_sends_them() {
    let bed = Bed::new().await;
    bed.insert_all(
        (0..950).map(|n| failed(row_for(&format!("m{}@contoso.com", n % 100)), "denied", "ErrorAccessDenied")),
    )
    .await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let dry = bed.command(&["retry", "--all", "--dry-run"]).await.expect(0).stdout;
    assert!(
        dry.starts_with("would retry 950 jobs\n") && dry.ends_with("and 930 more\n") && dry.lines().count() == 23,
        "{dry}"
    );
    let done = bed.command(&["retry", "--all"]).await.expect(0).stdout;
    assert!(done.starts_with("retried 950 jobs: 1, 2, 3") && done.ends_with("20 and 930 more\n"), "{done}");
    bed.until_count(950, "sent").await;
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn purge_deletes_what_ended_long_ago_with_its_history_and_keeps_what_is_in_doubt() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
    let old = failed(row(), "denied", "ErrorAccessDenied").with("finished_at", "2026-01-01T12:00:00.000Z");
    bed.insert_all((0..250).map(|_| old.clone())).await;
    let doubtful = bed.insert(old.clone().with("in_doubt", "1")).await;
    let waiting = bed.insert(row().with("not_before", "2999-01-01T00:00:00Z")).await;

    let dry = bed.command(&["purge", "--older-than", "30d", "--dry-run"]).await.expect(0);
    assert_eq!(dry.stdout, "would purge 250 jobs\n");
    assert!(dry.stderr.starts_with("1 kept: an event may exist"), "{dry:?}");
    assert_eq!(told(&bed, &["purge", "--older-than", "30d", "--state", "sent,cancelled"], 0).await["purged"], 0);
    assert_eq!(bed.jobs().await.len(), 253);
    let done = told(&bed, &["purge", "--older-than", "30d"], 0).await;
    assert_eq!(done, json!({"dry_run": false, "purged": 250, "kept_in_doubt": 1}));
    let left = told(&bed, &["list"], 0).await;
    let left: Vec<i64> = left.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
    assert_eq!(left, [sent, doubtful, waiting]);

    assert_eq!(bed.command(&["purge", "--older-than", "0s"]).await.expect(0).stdout, "purged 1 job\n");
    assert!(bed.attempts(sent).await.is_empty());
    let usage: Vec<Ran> = vec![bed.command(&["purge"]).await, bed.command(&["purge", "--older-than", "30"]).await];
    usage.into_iter().for_each(|ran| drop(ran.expect(2)));
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_that_finds_the_queue_locked_says_so_and_changes_nothing() {
    let bed = Bed::new().await;
    let id = bed.insert(failed(row(), "denied", "ErrorAccessDenied")).await;
    bed.sql("BEGIN IMMEDIATE").await;
    for arguments in [&["retry", "--all"][..], &["cancel", "1"], &["hold", ANN], &["purge", "--older-than", "0s"]] {
        let ran = bed.command(arguments).await.expect(1);
        assert!(ran.stderr.contains("database is locked"), "{ran:?}");
    }
    bed.sql("COMMIT").await;
    assert_eq!(bed.job(id).await.state, "failed");
}
