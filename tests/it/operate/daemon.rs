//! The daemon's life: start, one per queue, stop, death and recovery.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use event_sender::sandbox::{Fault, OptionsChange};

use crate::bed::{Bed, producer, row, row_for};
use crate::process::Process;

/// An agent whose one request is carried out but never answered.
async fn hanging(bed: &Bed) -> (Process, i64) {
    bed.sandbox().script(Fault::hang(Duration::from_secs(600)).applied());
    let agent = bed.run();
    let id = bed.insert(row().with("subject", "Review")).await;
    bed.wait("the event is there", async || (!bed.events().is_empty()).then_some(())).await;
    (agent, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_agent_on_the_same_queue_is_refused_and_told_who_holds_it() {
    let bed = Bed::new().await;
    let first = bed.run();
    bed.until_said(&first, "agent started").await;
    let second = bed.command(&["run"]).await.expect(69);
    assert!(second.stderr.contains(&first.pid().to_string()), "{second:?}");
    // The first one goes on, and its end frees the queue.
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    first.stop().await.expect(0);
    bed.command(&["run", "--until-empty"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_lock_of_an_agent_that_was_killed_holds_nobody_up() {
    let bed = Bed::new().await;
    let first = bed.run();
    bed.until_said(&first, "agent started").await;
    first.kill().await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn term_under_load_finishes_what_is_under_way_and_leaves_the_rest_for_the_next_start() {
    let bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(50), ..OptionsChange::default() });
    let agent = bed.run();
    let ids = bed.insert_all((0..100).map(|n| row_for(&format!("user{}@contoso.com", n % 3)))).await;
    bed.wait("some are sent", async || (bed.count("sent").await >= 5).then_some(())).await;
    agent.stop().await.expect(0);
    assert_eq!(bed.count("claimed").await, 0);
    assert!(bed.jobs().await.iter().all(|job| job.in_doubt == 0));
    bed.assert_one_event_each().await;

    bed.sandbox().configure(OptionsChange { latency_ms: Some(0), ..OptionsChange::default() });
    let _agent = bed.run();
    bed.until_count(ids.len(), "sent").await;
    bed.assert_one_event_each().await;
    assert_eq!(bed.creates(None).len(), ids.len(), "no request was made twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn int_ends_the_agent_like_term() {
    let bed = Bed::new().await;
    let mut agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    agent.signal("INT");
    agent.end().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn term_cuts_a_hanging_request_when_the_grace_is_over_and_the_job_is_sent_once_later() {
    let mut bed = Bed::new().await;
    bed.set("delivery.shutdown_grace", "500ms");
    let (agent, id) = hanging(&bed).await;
    agent.stop().await.expect(0);
    let job = bed.job(id).await;
    assert_eq!((job.state.as_str(), job.in_doubt, job.attempts), ("pending", 1, 0), "{job:?}");
    let _agent = bed.run();
    let job = bed.until(id, "sent").await;
    assert_eq!((job.in_doubt, job.attempts), (0, 1));
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_term_ends_the_agent_at_once_and_the_next_start_sends_the_job_once() {
    let mut bed = Bed::new().await;
    // Longer than the test waits for the end.
    bed.set("delivery.shutdown_grace", "10m");
    let (mut agent, id) = hanging(&bed).await;
    agent.signal("TERM");
    bed.until_said(&agent, "stopping, finishing what is under way").await;
    assert!(agent.ended().is_none());
    agent.signal("TERM");
    let ran = agent.end().await;
    assert_ne!(ran.code, Some(0));
    assert_eq!(bed.job(id).await.state, "claimed");
    let _agent = bed.run();
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kill_9_in_the_middle_of_a_request_loses_and_doubles_nothing() {
    let bed = Bed::new().await;
    let (agent, id) = hanging(&bed).await;
    assert_eq!(bed.job(id).await.state, "claimed");
    agent.kill().await;
    assert_eq!(bed.job(id).await.state, "claimed");
    let agent = bed.run();
    let line = bed.until_said(&agent, "agent started").await;
    assert_eq!(line["recovered"], 1);
    assert_eq!(bed.job(id).await.in_doubt, 1);
    let job = bed.until(id, "sent").await;
    assert_eq!((job.in_doubt, job.claims), (0, 2));
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kill_9_under_load_again_and_again_loses_and_doubles_nothing() {
    let bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(20), ..OptionsChange::default() });
    let ids = bed.insert_all((0..60).map(|n| row_for(&format!("user{}@contoso.com", n % 5)))).await;
    for round in 1..=3 {
        let agent = bed.run();
        bed.wait("it works", async || (bed.creates(None).len() >= round * 10).then_some(())).await;
        agent.kill().await;
    }
    let _agent = bed.run();
    bed.until_count(ids.len(), "sent").await;
    assert_eq!(bed.events().len(), ids.len());
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn until_empty_ends_by_itself_when_every_job_has_its_end() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(503, "serviceNotAvailable").retry_after("1"));
    let ids = bed.insert_all((0..20).map(|n| row_for(&format!("user{}@contoso.com", n % 3)))).await;
    bed.insert(row().with("end_time", "never")).await;
    let ran = bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!((bed.count("sent").await, bed.count("failed").await), (ids.len() as i64, 1));
    assert!(ran.stdout.lines().all(|line| line.starts_with('{')) && ran.stderr.is_empty(), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_of_a_newer_version_is_refused_by_every_command_and_left_alone() {
    let bed = Bed::new().await;
    let id = bed.insert(row()).await;
    bed.sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'from the future', 1, x'00', 0)",
    )
    .await;
    for command in [&["run"][..], &["list"], &["status"], &["show", "1"]] {
        let ran = bed.command(command).await;
        assert!(ran.code != Some(0), "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("newer") && ran.stderr.contains("999"), "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("update the program"), "{ran:?}");
    }
    assert_eq!(bed.job(id).await.state, "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_queue_is_made_with_its_directory_and_open_to_the_group_only() {
    let mut bed = Bed::new().await;
    let queue = bed.home().join("var/lib/new.db");
    bed.set("queue.path", queue.to_str().unwrap());
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(queue.parent().unwrap()), 0o770);
    assert_eq!(mode(&queue), 0o660);
    let mut other = producer(&queue).await;
    sqlx::query("INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01 09:00', '2026-12-01 10:00')")
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(mode(&bed.home().join("var/lib/new.db-wal")), 0o660);
    bed.wait("the event is there", async || (bed.events().len() == 1).then_some(())).await;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut other).await.unwrap();
    assert_eq!(journal, "wal");
    agent.stop().await.expect(0);
}

/// The agent, and the job whose answer it will want to record.
async fn locked_by_a_producer_while_a_request_is_under_way() -> (Bed, Process, i64) {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::slow(Duration::from_millis(300)));
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.wait("the request is there", async || (bed.creates(None).len() == 1).then_some(())).await;
    bed.sql("BEGIN IMMEDIATE").await;
    (bed, agent, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_producers_open_write_delays_outcomes_and_breaks_nothing() {
    let (bed, agent, first) = locked_by_a_producer_while_a_request_is_under_way().await;
    let second = bed.insert(row()).await;
    bed.wait("the event is there", async || (bed.events().len() == 1).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    bed.sql("COMMIT").await;
    assert_eq!(bed.until(first, "sent").await.attempts, 1);
    assert_eq!(bed.until(second, "sent").await.attempts, 1);
    assert!(agent.said("attempt failed").is_empty());
    bed.assert_one_event_each().await;
    assert_eq!(bed.creates(None).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_outcome_that_cannot_be_recorded_is_kept_and_recorded_later() {
    let (bed, agent, first) = locked_by_a_producer_while_a_request_is_under_way().await;
    let line = bed.until_said(&agent, "results cannot be recorded, kept and tried again").await;
    assert_eq!(line["level"], "ERROR");
    bed.sql("COMMIT").await;
    assert_eq!(bed.until(first, "sent").await.attempts, 1);
    bed.until_said(&agent, "results recorded again").await;
    let second = bed.insert(row()).await;
    bed.until(second, "sent").await;
    bed.assert_one_event_each().await;
    assert_eq!(bed.creates(None).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn finished_jobs_are_deleted_when_their_retention_is_over_and_no_others() {
    let mut bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { lookup: Some(false), ..OptionsChange::default() });
    let agent = bed.run();
    let sent = bed.insert(row()).await;
    let failed = bed.insert(row().with("end_time", "never")).await;
    let invalid = r#"[{"address":"invalid-recipient@contoso.com","required":true}]"#;
    let doubtful = bed.insert(row().with("attendees", invalid)).await;
    let waiting = bed.insert(row().with("not_before", "2999-01-01T00:00:00Z")).await;
    bed.until(sent, "sent").await;
    bed.until(failed, "failed").await;
    assert_eq!(bed.until(doubtful, "failed").await.in_doubt, 1);
    agent.stop().await.expect(0);
    bed.set("queue.retention", "1ms");
    let agent = bed.run();
    bed.wait("the finished jobs are gone", async || (bed.jobs().await.len() == 2).then_some(())).await;
    assert_eq!(bed.job(doubtful).await.state, "failed", "an event may exist: somebody has to look");
    assert_eq!(bed.job(waiting).await.state, "pending");
    assert!(bed.attempts(sent).await.is_empty() && bed.attempts(failed).await.is_empty());
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn finished_jobs_are_kept_by_default() {
    let bed = Bed::new().await;
    let id = bed.insert(row()).await;
    for _ in 0..2 {
        bed.command(&["run", "--until-empty"]).await.expect(0);
    }
    assert_eq!(bed.job(id).await.state, "sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_log_can_be_text_for_people() {
    let mut bed = Bed::new().await;
    bed.set("log.format", "text");
    bed.set("log.level", "warn");
    bed.insert(row()).await;
    assert_eq!(bed.command(&["run", "--until-empty"]).await.expect(0).stdout, "", "nothing to warn of");
    bed.set("log.level", "info");
    bed.insert(row()).await;
    let ran = bed.command(&["run", "--until-empty"]).await.expect(0);
    assert!(ran.stdout.contains("event sent") && !ran.stdout.contains('{') && !ran.stdout.contains('\x1b'), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_outcome_that_cannot_be_recorded_before_the_end_is_found_out_by_the_next_start() {
    let mut bed = Bed::new().await;
    bed.set("delivery.shutdown_grace", "1s");
    bed.sandbox().script(Fault::slow(Duration::from_millis(300)));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.wait("the request is there", async || (bed.creates(None).len() == 1).then_some(())).await;
    bed.sql("BEGIN IMMEDIATE").await;
    let ran = agent.stop().await.expect(0);
    assert!(ran.stdout.lines().last().is_some_and(|line| line.contains("\"unrecorded\":1")), "{ran:?}");
    bed.sql("COMMIT").await;
    assert_eq!(bed.job(id).await.state, "claimed");
    let _agent = bed.run();
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
}
