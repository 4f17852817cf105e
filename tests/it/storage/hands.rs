//! Other hands in the table while the agent works: scripts that put jobs back, triggers that refuse, mappers that rebuild the
//! table, numbers that would stop all producers. The promise holds, the agent stays calm, and it is told who was it.

use std::time::Duration;

use event_sender::sandbox::{Fault, SandboxOptions};

use crate::bed::{Bed, row, row_for};
use crate::process::Process;

/// Where only the marker keeps an event from being made twice.
async fn without_deduplication() -> Bed {
    Bed::with_sandbox(SandboxOptions { deduplicate: false, ..SandboxOptions::default() }).await
}

/// Four rows of as many mailboxes, whose requests are out and held up.
async fn four_held_up(bed: &Bed) -> Process {
    bed.insert_all((0..4).map(|n| row_for(&format!("user{n}@contoso.com")))).await;
    bed.sandbox().script(Fault::slow(Duration::from_millis(1500)).times(4));
    let agent = bed.run();
    bed.wait("the requests are out", async || (bed.creates(None).len() == 4).then_some(())).await;
    agent
}

const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_put_back_by_a_script_while_they_are_sent_are_sent_once() {
    for script in [
        vec![format!("UPDATE jobs SET state = 'pending', next_attempt_at = {NOW} WHERE state = 'claimed'")],
        vec![format!(
            "UPDATE jobs SET state = 'pending', next_attempt_at = {NOW}, in_doubt = 0, attempts = 0, claimed_at = NULL,
             first_sent_at = NULL, claims = claims + 1, settled = NULL WHERE state = 'claimed'"
        )],
        vec![
            format!("UPDATE jobs SET state = 'failed', finished_at = {NOW} WHERE state = 'claimed'"),
            format!(
                "UPDATE jobs SET state = 'pending', finished_at = NULL, next_attempt_at = {NOW} WHERE state = 'failed'"
            ),
        ],
        vec![
            "UPDATE jobs SET state = 'pending' WHERE state = 'claimed'".to_owned(),
            format!("UPDATE jobs SET state = 'cancelled', finished_at = {NOW} WHERE state = 'pending'"),
            format!(
                "UPDATE jobs SET state = 'pending', finished_at = NULL, next_attempt_at = {NOW} WHERE state = 'cancelled'"
            ),
        ],
    ] {
        let bed = without_deduplication().await;
        let agent = four_held_up(&bed).await;
        bed.sql("BEGIN IMMEDIATE").await;
        for statement in &script {
            bed.sql(statement).await;
        }
        assert!(
            bed.is_so("SELECT count(*) = 4 FROM jobs WHERE state = 'pending' AND in_doubt = 1").await,
            "{script:?}"
        );
        bed.sql("COMMIT").await;
        for write in ["UPDATE jobs SET subject = 'other'", "DELETE FROM jobs"] {
            bed.try_sql(write).await.unwrap_err();
        }
        bed.until_count(4, "sent").await;
        assert_eq!(bed.creates(None).len(), 4, "{script:?}");
        bed.assert_one_event_each().await;
        agent.stop().await.expect(0);
    }
}

/// Statements the agent's rows meet, and what the log and `status` say of them.
const REFUSALS: [&str; 4] = [
    "RAISE(ABORT, 'audit says no')",
    "RAISE(FAIL, 'audit says no')",
    "RAISE(ROLLBACK, 'audit says no')",
    "RAISE(IGNORE)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_a_trigger_refuses_is_kept_told_and_recorded_when_the_trigger_is_gone() {
    for refusal in REFUSALS {
        let bed = Bed::new().await;
        bed.sql(&format!(
            "CREATE TRIGGER audit_jobs BEFORE UPDATE ON jobs WHEN NEW.state = 'sent' AND NEW.subject = 'audited'
             BEGIN SELECT {refusal}; END"
        ))
        .await;
        let agent = bed.run();
        let audited = bed.insert(row().with("subject", "audited")).await;
        let line = bed.until_said(&agent, "result refused by the queue, kept and tried again").await;
        assert_eq!(
            (&line["job_id"], &line["event_id"]),
            (&audited.into(), &bed.events()[0].id.clone().into()),
            "{line}"
        );
        let words = if refusal.contains("IGNORE") { "no effect" } else { "audit says no" };
        assert!(line["error"].as_str().unwrap().contains(words), "{line}");
        // Others go on, and none is sent again.
        for _ in 0..3 {
            let other = bed.insert(row()).await;
            bed.until(other, "sent").await;
        }
        let status = bed.command(&["status"]).await.expect(0).stdout;
        assert!(status.contains("Needs a look") && status.contains("audit_jobs"), "{status}");
        let check = bed.command(&["check", "--offline"]).await.expect(1).stdout;
        assert!(
            check.contains("trigger audit_jobs on jobs") && check.contains("1 result cannot be recorded"),
            "{check}"
        );
        assert_eq!(agent.said("result refused by the queue, kept and tried again").len(), 1, "told once");
        bed.sql("DROP TRIGGER audit_jobs").await;
        bed.until(audited, "sent").await;
        assert_eq!(bed.creates(None).len(), 4);
        bed.assert_one_event_each().await;
        let well = async || bed.command(&["status"]).await.stdout.contains("All is well").then_some(());
        bed.wait("all is well again", well).await;
        agent.stop().await.expect(0);
    }
}

/// However few slots there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_are_refused_take_no_room_from_others() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight", "1");
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.sql(
        "CREATE TRIGGER audit_jobs BEFORE UPDATE ON jobs WHEN NEW.state = 'sent' AND NEW.subject = 'audited'
         BEGIN SELECT RAISE(ABORT, 'audit says no'); END",
    )
    .await;
    let audited = bed.insert_all((0..12).map(|_| row().with("subject", "audited"))).await;
    let agent = bed.run();
    let told = async || (agent.said("result refused by the queue, kept and tried again").len() == 12).then_some(());
    bed.wait("all are told", told).await;
    let other = bed.insert(row()).await;
    bed.until(other, "sent").await;
    bed.sql("DROP TRIGGER audit_jobs").await;
    bed.until_count(audited.len() + 1, "sent").await;
    bed.assert_one_event_each().await;
    assert_eq!(bed.creates(None).len(), 13);
}

/// The second change of a row's state breaks it, whatever the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_table_that_takes_a_job_once_loses_no_result() {
    let bed = Bed::new().await;
    bed.sql("CREATE TABLE audit (job_id INTEGER UNIQUE)").await;
    bed.sql("CREATE TRIGGER audit_jobs AFTER UPDATE OF state ON jobs BEGIN INSERT INTO audit VALUES (NEW.id); END")
        .await;
    bed.insert_all((0..5).map(|_| row())).await;
    let agent = bed.run();
    let line = bed.until_said(&agent, "result refused by the queue, kept and tried again").await;
    assert!(line["error"].as_str().unwrap().contains("UNIQUE constraint failed: audit.job_id"), "{line}");
    bed.wait("all are sent", async || (bed.events().len() == 5).then_some(())).await;
    // Stopped meanwhile, it says what it could not record, and looks it up when it starts again.
    let told = async || (agent.said("result refused by the queue, kept and tried again").len() == 5).then_some(());
    bed.wait("all are told", told).await;
    let ran = agent.stop().await.expect(0);
    let lost = ran.stdout.lines().filter(|line| line.contains("\"result not recorded\"") && line.contains("event_id"));
    assert_eq!(lost.count(), 5, "{}", ran.stdout);
    bed.sql("DROP TRIGGER audit_jobs").await;
    let agent = bed.run();
    bed.until_count(5, "sent").await;
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_a_trigger_refuses_is_told_once_and_holds_up_neither_its_mailbox_nor_the_processor() {
    for refusal in REFUSALS {
        let mut bed = Bed::new().await;
        bed.set("delivery.max_in_flight_per_mailbox", "1");
        let audited = bed.insert(row().with("subject", "audited")).await;
        bed.sql(&format!(
            "CREATE TRIGGER audit_jobs AFTER UPDATE ON jobs WHEN NEW.subject = 'audited' BEGIN SELECT {refusal}; END"
        ))
        .await;
        if refusal.contains("IGNORE") {
            bed.sql("DROP TRIGGER audit_jobs").await;
            bed.sql("CREATE TRIGGER audit_jobs BEFORE UPDATE ON jobs WHEN NEW.subject = 'audited' BEGIN SELECT RAISE(IGNORE); END")
                .await;
        }
        let agent = bed.run();
        let line = bed.until_said(&agent, "job cannot be claimed, tried again").await;
        assert_eq!(line["job_id"], audited);
        for id in bed.insert_all((0..5).map(|_| row())).await {
            bed.until(id, "sent").await;
        }
        let busy = processor_time(&agent);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let busy = processor_time(&agent) - busy;
        assert!(busy < 20, "{busy} ticks of 200");
        assert_eq!(agent.said("job cannot be claimed, tried again").len(), 1, "told once");
        assert_eq!(bed.job(audited).await.state, "pending");
        let check = bed.command(&["check", "--offline"]).await.expect(1).stdout;
        assert!(check.contains("1 job cannot be claimed") && check.contains("trigger audit_jobs on jobs"), "{check}");
        bed.sql("DROP TRIGGER audit_jobs").await;
        bed.until(audited, "sent").await;
        bed.assert_one_event_each().await;
        agent.stop().await.expect(0);
    }
}

/// In ticks of a hundredth of a second.
fn processor_time(agent: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_no_start_can_put_back_stops_no_start() {
    let bed = Bed::new().await;
    // As an agent has claimed them.
    let claimed = || row_for("ann@contoso.com").with("body_type", "text").with("time_zone", "UTC");
    let ids = bed.insert_all((0..3).map(|_| claimed())).await;
    bed.sql(&format!("UPDATE jobs SET state = 'claimed', claims = 1, claimed_at = {NOW}")).await;
    bed.sql("PRAGMA ignore_check_constraints = ON").await;
    bed.sql(&format!("UPDATE jobs SET event_id = 'forged' WHERE id = {}", ids[0])).await;
    bed.sql(&format!(
        "CREATE TRIGGER audit_jobs BEFORE UPDATE ON jobs WHEN OLD.id = {} BEGIN SELECT RAISE(ROLLBACK, 'audit says no'); END",
        ids[1]
    ))
    .await;
    let agent = bed.run();
    let started = bed.until_said(&agent, "agent started").await;
    assert_eq!(started["recovered"], 1);
    bed.until(ids[2], "sent").await;
    let left = agent.said("job of an earlier run cannot be put back, left as it is");
    let left: Vec<_> = left.iter().map(|line| (line["job_id"].as_i64(), line["error"].as_str().unwrap())).collect();
    assert!(left[0].0 == Some(ids[0]) && left[0].1.contains("sent_means_event_id"), "{left:?}");
    assert_eq!(left[1..], [(Some(ids[1]), "audit says no")]);
    let noted = async || bed.is_so("SELECT refused IS NOT NULL FROM agents ORDER BY id DESC").await.then_some(());
    bed.wait("it is noted", noted).await;
    let status = bed.command(&["status"]).await.expect(0).stdout;
    assert!(status.contains("2 jobs of an earlier run cannot be put back"), "{status}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_insert_stops_the_producers_after_it() {
    let bed = Bed::new().await;
    let insert = |id: &str| {
        format!("INSERT INTO jobs (id, start_time, end_time) VALUES ({id}, '2026-12-01 09:00', '2026-12-01 10:00')")
    };
    for id in ["9007199254740991", "9007199254740000", "2000000000000000", "9223372036854775807"] {
        let refused = bed.try_sql(&insert(id)).await.unwrap_err().to_string();
        assert!(refused.contains("id") && refused.contains("leave id out"), "{refused}");
    }
    let first = bed.insert(row()).await;
    bed.try_sql(&format!("UPDATE jobs SET rowid = 9007199254740991 WHERE id = {first}")).await.unwrap_err();
    assert_eq!(bed.insert(row()).await, first + 1);
    bed.sql("UPDATE sqlite_sequence SET seq = 9007199254740991 WHERE name = 'jobs'").await;
    bed.try_sql("INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01', '2026-12-02')").await.unwrap_err();
    let check = bed.command(&["check", "--offline"]).await.expect(1).stdout;
    let line = check.lines().find(|line| line.contains("ids are nearly used up")).unwrap();
    let (_, cure) = line.split_once("sqlite3: ").unwrap();
    bed.sql(cure).await;
    assert_eq!(bed.insert(row()).await, first + 2);
    let check = bed.command(&["check", "--offline"]).await.expect(0).stdout;
    assert!(!check.contains("ids are"), "{check}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rules_dropped_by_a_rebuild_are_findings_and_are_made_again_by_the_next_start() {
    let bed = Bed::new().await;
    bed.sql("DROP TRIGGER jobs_content_is_fixed").await;
    bed.sql("DROP TRIGGER jobs_doubt_is_kept").await;
    bed.sql("DROP INDEX jobs_claimed").await;
    let check = bed.command(&["check", "--offline"]).await.expect(1).stdout;
    let found = ["FAIL", "missing", "jobs_content_is_fixed on jobs", "index jobs_claimed on jobs"];
    assert!(check.lines().any(|line| found.iter().all(|part| line.contains(part))), "{check}");
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    assert_eq!(agent.said("rule of the queue was missing or changed, made again").len(), 3);
    assert!(bed.try_sql("UPDATE jobs SET subject = 'other'").await.is_err(), "it holds again");
    bed.command(&["check", "--offline"]).await.expect(0);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pauses_that_are_over_leave_no_rows_behind() {
    let bed = Bed::new().await;
    bed.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO mailboxes (mailbox, paused_until, reason) SELECT 'nobody' || i, '2026-01-01T00:00:00.000Z', 'x' FROM n",
    )
    .await;
    bed.sql("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('ann@contoso.com', '2999-01-01T00:00:00.000Z', 'x')")
        .await;
    bed.command(&["hold", "bob@contoso.com"]).await.expect(0);
    let agent = bed.run();
    bed.wait("they are gone", async || (bed.pauses().await.len() == 2).then_some(())).await;
    let left: Vec<String> = bed.pauses().await.into_iter().map(|pause| pause.mailbox).collect();
    assert_eq!(left, ["ann@contoso.com", "bob@contoso.com"]);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_not_inserted_as_claimed() {
    let bed = Bed::new().await;
    let insert = "INSERT INTO jobs (start_time, end_time, state, claimed_at, claims)
        VALUES ('2026-12-01 09:00', '2026-12-01 10:00', 'claimed', 'x', 1)";
    let refused = bed.try_sql(insert).await.unwrap_err().to_string();
    assert!(refused.contains("only the agent claims it"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_another_program_marks_as_claimed_does_not_wait_for_a_restart() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.command(&["hold", "ann@contoso.com"]).await.expect(0);
    let id = bed.insert(row_for("ann@contoso.com").with("body_type", "text").with("time_zone", "UTC")).await;
    bed.sql("UPDATE jobs SET state = 'claimed', claims = 1, claimed_at = '2026-01-01T00:00:00.000Z'").await;
    bed.until_said(&agent, "jobs claimed by nobody put back, in doubt").await;
    bed.command(&["release", "ann@contoso.com"]).await.expect(0);
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}
