//! The database, and the agent on it.

use std::os::unix::fs::FileExt;

use super::{lines, says};
use crate::bed::{Bed, row};
use crate::process::Process;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_schema_of_another_version_is_a_matter_of_updating() {
    let bed = Bed::new().await;
    let newest = "(SELECT max(version) FROM _sqlx_migrations)";
    bed.sql(&format!("UPDATE _sqlx_migrations SET version = version + 100 WHERE version = {newest}")).await;
    let ran = bed.command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "database", &["schema is newer", "update this program"]);
    bed.sql(&format!("DELETE FROM _sqlx_migrations WHERE version = {newest}")).await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "database", &["schema is older", "'event-sender run' brings it up to date"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_queue_is_told_from_what_will_be_one() {
    let mut bed = Bed::new().await;
    for (name, content, grade, word) in [
        ("nothing.db", None, "WARN", "no queue here yet"),
        ("empty.db", Some(""), "WARN", "it is empty"),
        (
            "letter.txt",
            Some("Dear database, this is a letter and no database, with regards"),
            "FAIL",
            "has 61 bytes and is not a database",
        ),
    ] {
        let path = bed.home().join(name);
        content.iter().for_each(|content| std::fs::write(&path, content).unwrap());
        bed.set("queue.path", path.to_str().unwrap());
        let ran = bed.command(&["check", "--offline"]).await;
        says(&ran, grade, "database", &[name, word]);
        assert_eq!(content.map(str::to_owned), std::fs::read_to_string(&path).ok(), "checking changes nothing");
    }
    let path = bed.home().join("other.db");
    std::fs::write(&path, "").unwrap();
    let mut other = crate::bed::producer(&path).await;
    sqlx::query("CREATE TABLE customers (id INTEGER)").execute(&mut other).await.unwrap();
    bed.set("queue.path", path.to_str().unwrap());
    let ran = bed.command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "database", &["of something else", "queue.path"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_queue_fails_and_another_journal_mode_gets_a_warning() {
    let bed = Bed::new().await;
    bed.insert_all((0..200).map(|n| row().with("subject", &"x".repeat(500)).with("dedup_key", &n.to_string()))).await;
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
    bed.sql("PRAGMA journal_mode = DELETE").await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "database", &["journal mode is \"delete\""]);
    says(&ran, "PASS", "database", &["quick check passed"]);
    bed.sql("PRAGMA journal_mode = WAL").await;
    let file = std::fs::OpenOptions::new().write(true).open(bed.queue_path()).unwrap();
    let length = file.metadata().unwrap().len();
    // Pages of rows, far behind the schema.
    file.write_all_at(&[0xa5; 16 * 4096], length / 4096 / 2 * 4096).unwrap();
    let ran = bed.command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "database", &["damaged", "backup"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_that_are_due_and_nobody_to_send_them_get_a_warning() {
    let bed = Bed::new().await;
    bed.insert(row()).await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "agent", &["none is running", "due"]);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    says(&ran, "PASS", "agent", &[&format!("process {}", agent.pid()), "of user"]);
}

/// Starts an agent and waits until it has said its own word: what is put in its place after that stays.
async fn outspoken(bed: &Bed) -> Process {
    let agent = bed.run();
    let said = "SELECT started_at <> '2026-11-25T08:00:00.000Z' FROM agents ORDER BY id DESC";
    bed.wait("the agent's own word", async || bed.is_so(said).await.then_some(())).await;
    agent
}

/// What the running agent is made to say of itself, in a row after its own: what it reports meanwhile is not the newest word.
async fn word(bed: &Bed, columns: &str, values: &str) {
    bed.sql("DELETE FROM agents").await;
    let start = "'2026-11-25T08:00:00.000Z'";
    bed.sql(&format!(
        "INSERT INTO agents (id, started_at, settings_at, {columns})
         SELECT coalesce(max(seq), 0) + 1, {start}, {start}, {values} FROM sqlite_sequence WHERE name = 'agents'"
    ))
    .await;
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_running_agent_says_of_itself_is_told_with_what_to_do() {
    let bed = Bed::new().await;
    word(&bed, "version", "'0.0.1'").await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    assert_eq!(lines(&ran, "agent").len(), 1, "the word of one that is gone does not count: {ran:?}");

    let _agent = outspoken(&bed).await;
    word(&bed, "version", "'0.0.1'").await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "agent", &["version 0.0.1 is running", "restart"]);
    word(&bed, "version, settings_refused", &format!("'{VERSION}', 'delivery.max_attempts: is 0'")).await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "agent", &["earlier settings", "delivery.max_attempts: is 0"]);
    let gate = format!(
        "'{VERSION}', '2026-11-25T08:00:00.000Z', '2099-01-01T00:00:00.000Z', 'auth', 'AADSTS7000222', 'The client secret has expired.'"
    );
    word(&bed, "version, gate_since, gate_until, gate_kind, gate_code, gate_hint", &gate).await;
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "agent", &["sends nothing at all", "AADSTS7000222", "expired", "2099"]);
    says(&ran, "WARN", "agent", &["has expired; it looks again at 2099", "systemctl reload event-sender"]);
    says(&ran, "PASS", "token", &["gave application"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_was_told_to_stop_asking_is_not_asked_by_the_doctor_either() {
    let bed = Bed::new().await;
    let _agent = outspoken(&bed).await;
    let columns = "version, gate_since, gate_until, gate_kind, gate_code";
    let shut = |kind: &str, code: &str, until: &str| {
        format!("'{VERSION}', '2026-11-25T08:00:00.000Z', '{until}T00:00:00.000Z', '{kind}', '{code}'")
    };
    word(&bed, columns, &shut("auth", "AADSTS50053", "2099-01-01")).await;
    let before = bed.sandbox().counters().token_requests;
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "token", &["not checked", "more tries make it worse"]);
    says(&ran, "WARN", "mailbox", &["not checked", "no token"]);
    assert_eq!(bed.sandbox().counters().token_requests, before);

    word(&bed, columns, &shut("throttled", "TooManyRequests", "2099-01-01")).await;
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "mailbox", &["not checked", "limits the whole application"]);
    says(&ran, "WARN", "agent", &["resumes by itself, not before 2099"]);
    assert!(!ran.stdout.contains("systemctl"), "there is nothing to change: {ran:?}");
    assert!(bed.sandbox().requests().iter().all(|request| request.mailbox.is_none()));
    // Over.
    word(&bed, columns, &shut("throttled", "TooManyRequests", "2026-11-25")).await;
    says(&bed.command(&["check"]).await.expect(0), "PASS", "mailbox", &["can be read"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_stopped_agent_was_told_to_leave_alone_is_left_alone_until_its_time() {
    let bed = Bed::new().await;
    let columns = "version, gate_since, gate_until, gate_kind, gate_code";
    let shut = |kind: &str, code: &str| {
        format!("'{VERSION}', '2026-11-25T08:00:00.000Z', '2099-01-01T00:00:00.000Z', '{kind}', '{code}'")
    };
    word(&bed, columns, &shut("auth", "AADSTS50053")).await;
    let before = bed.sandbox().counters().token_requests;
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "token", &["not checked", "more tries make it worse"]);
    assert_eq!(bed.sandbox().counters().token_requests, before);
    word(&bed, columns, &shut("throttled", "TooManyRequests")).await;
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "mailbox", &["not checked", "limits the whole application"]);
    assert!(bed.sandbox().requests().iter().all(|request| request.mailbox.is_none()));
}
