//! A queue of an old version, with rows in every state, is brought up by the real binary: killed on the way again and again it
//! has lost nothing, and neither has a disk that was full.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::bed::Bed;
use crate::shim::{Disk, DiskDial};

/// The version the queue is of.
const OLD: i64 = 4;
/// Held, so that nothing of what is compared afterwards is sent.
const MAILBOXES: i64 = 20;

/// Of a hundred rows 60 wait (three of them in doubt), 2 are claimed, 30 are sent, 6 have failed and 2 were cancelled.
const ROWS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
    r(i, state) AS (SELECT i, CASE WHEN i % 100 < 60 THEN 'pending' WHEN i % 100 < 62 THEN 'claimed' WHEN i % 100 < 92 THEN 'sent'
        WHEN i % 100 < 98 THEN 'failed' ELSE 'cancelled' END FROM n)
    INSERT INTO jobs (subject, body, start_time, end_time, location, mailbox, extra, dedup_key, not_before, state, event_id, in_doubt,
        attempts, claims, error_kind, claimed_at, finished_at, first_sent_at)
    SELECT 'Review ' || i, 'Agenda attached. Agenda attached. Agenda attached. Agenda attached. Agenda attached.',
        '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room ' || (i % 7),
        CASE WHEN i % 10 = 0 THEN NULL ELSE ' User' || (i % 20) || '@contoso.com' END, CASE WHEN i % 11 = 0 THEN '{\"showAs\":\"free\"}' END,
        CASE WHEN i % 3 = 0 THEN 'order-' || i END, CASE WHEN i % 13 = 0 THEN '2100-01-01T00:00:00Z' END, state,
        CASE state WHEN 'sent' THEN 'AAMk' || i END, i % 100 < 3, state <> 'pending', state <> 'pending',
        CASE state WHEN 'failed' THEN 'denied' END, CASE WHEN state <> 'pending' THEN '2026-11-01T00:00:00.000Z' END,
        CASE WHEN state IN ('sent', 'failed', 'cancelled') THEN '2026-11-01T00:00:01.000Z' END,
        CASE WHEN state IN ('sent', 'failed') OR i % 100 < 3 THEN '2026-11-01T00:00:00.000Z' END
    FROM r";
const ATTEMPTS: &str = "INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, http_status)
    SELECT id, 1, claimed_at, 7, state, 201 FROM jobs WHERE state IN ('sent', 'failed')";
/// No id is ever given twice, also after those that were deleted.
const GAP: &str = "DELETE FROM jobs WHERE id = (SELECT max(id) FROM jobs)";

/// What was there before, and is to be there afterwards.
const COMPARED: &str = "id, subject, body, start_time, end_time, location, attendees, calendar_id, extra, dedup_key,
    not_before, transaction_id, event_id, error_kind, created_at, claimed_at, finished_at";

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(30)).connect().await.unwrap()
}

async fn number(db: &mut SqliteConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(db)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// A queue of [`OLD`] with as many rows, and a copy of it.
struct OldQueue {
    path: PathBuf,
    copy: PathBuf,
}

impl OldQueue {
    /// In the place of the bed's own.
    async fn in_place_of(bed: &mut Bed, rows: i64) -> Self {
        let directory = bed.home().join("old");
        std::fs::create_dir(&directory).unwrap();
        let (path, copy) = (directory.join("queue.db"), bed.home().join("copy.db"));
        let mut db = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
        let older = sqlx::migrate!().iter().filter(|step| step.version <= OLD).cloned().collect::<Vec<_>>();
        let migrator = sqlx::migrate::Migrator { migrations: older.into(), ..sqlx::migrate!() };
        migrator.run_direct(None, &mut db, false).await.unwrap();
        fill(&mut db, rows).await;
        db.close().await.unwrap();
        std::fs::copy(&path, &copy).unwrap();
        bed.set("queue.path", path.to_str().unwrap());
        Self { path, copy }
    }

    fn log(&self) -> PathBuf {
        self.path.with_file_name("queue.db-wal")
    }

    /// As it was at first.
    fn put_back(&self) {
        for beside in ["queue.db-wal", "queue.db-shm"] {
            let _ = std::fs::remove_file(self.path.with_file_name(beside));
        }
        std::fs::copy(&self.copy, &self.path).unwrap();
    }

    /// Bytes of the file and its log.
    fn size(&self) -> u64 {
        [&self.path, &self.log()]
            .into_iter()
            .filter_map(|file| std::fs::metadata(file).ok())
            .map(|file| file.len())
            .sum()
    }

    async fn schema(&self) -> i64 {
        number(&mut connect(&self.path).await, "SELECT max(version) FROM _sqlx_migrations").await
    }

    /// Every row has what it had, and what was claimed is in doubt.
    async fn assert_nothing_is_lost(&self) {
        let mut db = connect(&self.path).await;
        sqlx::query("ATTACH ?1 AS old").bind(self.copy.to_str().unwrap()).execute(&mut db).await.unwrap();
        for (both, why) in [
            (format!("SELECT {COMPARED} FROM old.jobs EXCEPT SELECT {COMPARED} FROM main.jobs"), "rows"),
            (format!("SELECT {COMPARED} FROM main.jobs EXCEPT SELECT {COMPARED} FROM old.jobs"), "rows that were not there"),
            ("SELECT job_id, claim, outcome FROM old.attempts EXCEPT SELECT job_id, claim, outcome FROM main.attempts".into(), "attempts"),
            (
                "SELECT id, iif(state = 'claimed', 'pending', state), in_doubt OR state = 'claimed' FROM old.jobs
                 EXCEPT SELECT id, state, in_doubt FROM main.jobs".into(),
                "states",
            ),
        ] {
            assert_eq!(number(&mut db, &format!("SELECT count(*) FROM ({both})")).await, 0, "{why}");
        }
        let counts = "SELECT (SELECT count(*) FROM old.attempts) - (SELECT count(*) FROM main.attempts)";
        assert_eq!(number(&mut db, counts).await, 0, "attempts");
        let sequence = |schema| format!("SELECT seq FROM {schema}.sqlite_sequence WHERE name = 'jobs'");
        assert_eq!(number(&mut db, &sequence("main")).await, number(&mut db, &sequence("old")).await, "sequence");
        let lanes = "SELECT count(*) FROM jobs WHERE mailbox_key IS NOT coalesce(lower(trim(mailbox)), '')";
        assert_eq!(number(&mut db, lanes).await, 0, "lanes");
        let sound: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut db).await.unwrap();
        assert_eq!(sound, "ok");
    }
}

async fn fill(db: &mut SqliteConnection, rows: i64) {
    let triggers: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetch_all(&mut *db).await.unwrap();
    let drops = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect::<String>();
    let makes = triggers.iter().map(|(_, sql)| format!("{sql};")).collect::<String>();
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA synchronous = OFF; BEGIN; {drops}"))).execute(&mut *db).await.unwrap();
    sqlx::query(ROWS).bind(rows + 1).execute(&mut *db).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("{ATTEMPTS}; {GAP}; {makes} COMMIT"))).execute(&mut *db).await.unwrap();
    let held: String = (0..MAILBOXES).map(|n| format!("('user{n}@contoso.com', '', '', 'x'),")).collect();
    let held = format!(
        "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at) VALUES {held} ('organizer@contoso.com', '', '', 'x')"
    );
    sqlx::raw_sql(AssertSqlSafe(held)).execute(&mut *db).await.unwrap();
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(db).await.unwrap();
}

/// Until the agent is at work; how long that took, and how large the queue's files were at most.
async fn brought_up(bed: &Bed, queue: &OldQueue) -> (Duration, u64) {
    let begin = Instant::now();
    let mut agent = bed.run();
    let mut most = 0;
    while agent.said("agent started").is_empty() {
        most = queue.size().max(most);
        assert!(agent.ended().is_none(), "{}", agent.output.all());
        assert!(begin.elapsed() < Duration::from_secs(900), "{}", agent.output.all());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begin.elapsed();
    assert_eq!(agent.said("queue is up to date").len(), 1, "{:?}", agent.log());
    agent.stop().await.expect(0);
    (took, most)
}

/// A number below one, another one each time.
fn random() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

/// Killed at so many moments of the way up.
async fn killed_on_the_way_up(rows: i64, kills: usize) {
    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", "organizer@contoso.com");
    let queue = OldQueue::in_place_of(&mut bed, rows).await;
    let size = queue.size();
    let (took, most) = brought_up(&bed, &queue).await;
    queue.assert_nothing_is_lost().await;
    queue.put_back();
    let (mut killed, mut schemas) = (0, HashSet::new());
    while killed < kills {
        let agent = bed.run();
        tokio::time::sleep(took.mul_f64(random())).await;
        agent.kill().await;
        match queue.schema().await {
            10.. => queue.put_back(),
            schema => {
                schemas.insert(schema);
                killed += 1;
            }
        }
    }
    let (again, _) = brought_up(&bed, &queue).await;
    queue.assert_nothing_is_lost().await;
    assert!(bed.creates(None).is_empty());
    println!(
        "upgrade of {rows} rows ({} MB): killed {killed} times on the way (found at schema {schemas:?}), lost 0; alone {:.1} s, \
         after the kills {:.1} s, files at most {} MB, afterwards {} MB",
        size >> 20,
        took.as_secs_f64(),
        again.as_secs_f64(),
        most >> 20,
        queue.size() >> 20,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_old_queue_killed_on_its_way_up_loses_nothing() {
    killed_on_the_way_up(30_000, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "long"]
async fn an_old_queue_of_a_million_rows_killed_twenty_times_on_its_way_up_loses_nothing() {
    killed_on_the_way_up(1_000_000, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_is_full_on_the_way_up_is_waited_for() {
    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", "organizer@contoso.com");
    let queue = OldQueue::in_place_of(&mut bed, 30_000).await;
    let path = queue.path.clone();
    let disk = DiskDial::before(&mut bed, &path);
    let agent = bed.run();
    bed.until_said(&agent, "bringing the queue up to date").await;
    disk.is(Disk::Full);
    let said = bed.until_said(&agent, "queue cannot be used, trying again").await;
    // Where it is the log's index that cannot grow, SQLite calls a full disk an I/O error (SQLITE_IOERR_SHMSIZE).
    let error = said["error"].as_str().unwrap();
    assert!(error.contains("full") || error.contains("(code: 4618)"), "{said}");
    assert!((OLD..10).contains(&queue.schema().await));
    disk.is(Disk::Well);
    bed.until_said(&agent, "queue is up to date").await;
    bed.until_said(&agent, "agent started").await;
    agent.stop().await.expect(0);
    queue.assert_nothing_is_lost().await;
}
