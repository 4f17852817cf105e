//! The power goes, again and again, and the disk keeps what was synced and a random part of the rest. What the next
//! start finds must know of every request that left, and nothing may be lost or doubled in the end.
//!
//! The agent runs on `shim/disk.c`, which logs what reaches the disk; `disk_log` makes of the log what a disk would hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event_sender::queue::SqliteQueue;
use event_sender::sandbox::{Fault, OptionsChange, RequestKind};
use fastrand::Rng;
use sqlx::{Connection, FromRow};

use crate::bed::{Bed, producer, row_for, side_by_side};
use crate::disk_log::{self, Disk, What};
use crate::process::Process;
use crate::shim;

/// An agent that writes nothing for so long has nothing to do but wait: the cut comes now.
const IDLE: Duration = Duration::from_millis(400);
/// Writes and syncs, about.
const RECORDS_OF_A_JOB: usize = 8;

#[derive(Debug, FromRow)]
struct Row {
    id: i64,
    transaction_id: String,
    state: String,
    in_doubt: bool,
    event_id: Option<String>,
}

/// Every row of a queue, after SQLite found nothing wrong with it.
async fn rows(queue: &Path) -> Vec<Row> {
    let mut connection = producer(queue).await;
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(sound, "ok");
    let all = "SELECT id, transaction_id, state, in_doubt, event_id FROM jobs ORDER BY id";
    let rows = sqlx::query_as(all).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}

/// What the world outside has seen of the queue.
#[derive(Debug, Default)]
struct Outside {
    /// Transaction ids of requests, and when the first one arrived: milliseconds since 1970.
    posted: BTreeMap<String, i64>,
    /// Event ids by job that the agent has called sent, and when.
    told: BTreeMap<i64, (String, i64)>,
}

impl Outside {
    fn learn(&mut self, bed: &Bed, agent: &Process) {
        let millis = |time: &str| chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_millis();
        let requests = bed.sandbox().requests().into_iter().filter(|request| request.kind == RequestKind::Create);
        let requests = requests.filter_map(|request| Some((request.transaction_id?, request.at)));
        let events = bed.events().into_iter().filter_map(|event| Some((event.transaction_id?, event.created_at)));
        for (transaction, at) in requests.chain(events) {
            let at = millis(&at);
            self.posted.entry(transaction).and_modify(|first| *first = at.min(*first)).or_insert(at);
        }
        for line in agent.said("event sent") {
            let told = (line["event_id"].as_str().unwrap().to_owned(), millis(line["timestamp"].as_str().unwrap()));
            self.told.insert(line["job_id"].as_i64().unwrap(), told);
        }
    }

    /// Fails the test if the disk knows less than the world knew before that time (milliseconds since 1970).
    fn assert_known_to(&self, rows: &[Row], before: i64) {
        for row in rows {
            // Times are cut off to milliseconds, so the true one may be nearly one later.
            let posted = self.posted.get(&row.transaction_id).is_some_and(|at| at + 1 < before);
            let untouched = row.state == "pending" && !row.in_doubt;
            assert!(!(posted && untouched), "a request left and the disk does not know of it: {row:?}");
            if let Some((event_id, _)) = self.told.get(&row.id).filter(|(_, at)| at + 1 < before) {
                assert_eq!((row.state.as_str(), row.event_id.as_ref()), ("sent", Some(event_id)), "told and forgotten");
            }
        }
    }
}

fn directory(bed: &Bed, name: &str) -> PathBuf {
    let directory = bed.home().join(name);
    std::fs::create_dir(&directory).unwrap();
    directory.join("queue.db")
}

/// A bed with jobs in a quiescent queue, and a sandbox that answers late or not at all.
async fn bed_with(jobs: usize, jitter: &mut Rng) -> Bed {
    let bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(8), ..OptionsChange::default() });
    let row = |n: usize| row_for(&format!("user{}@contoso.com", n % 6)).with("subject", &format!("job {n}"));
    bed.insert_all((0..jobs).map(row)).await;
    for n in 0..jobs {
        let fault = match jitter.u8(0..10) {
            0 | 1 => Fault::lost_reply(),
            2 => Fault::answer(504, "").applied(),
            3 => Fault::slow(Duration::from_millis(jitter.u64(20..200))),
            _ => continue,
        };
        bed.sandbox().script(fault.subject(&format!("job {n}")));
    }
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
    bed
}

/// The bed's agents run on this queue from now on; on a logging disk, if a log is named.
fn settle_on(bed: &mut Bed, queue: &Path, log: Option<&Path>) {
    bed.set("queue.path", queue.to_str().unwrap());
    bed.env("LD_PRELOAD", log.map_or("", |_| shim::disk().to_str().unwrap()));
    bed.env("DISK_SHIM_QUEUE", queue.to_str().unwrap());
    bed.env("DISK_SHIM_LOG", log.map_or("", |log| log.to_str().unwrap()));
    bed.env("DISK_SHIM_CUT", "0");
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |file| file.len())
}

/// Runs the agent until the power goes, which it does after so many records of the log: at once and in the middle of
/// whatever is being written, or as soon as somebody outside sees it, or when there was nothing to do for a while.
async fn run_until_the_cut(bed: &mut Bed, log: &Path, after: u64, at_once: bool) -> Process {
    if at_once {
        bed.env("DISK_SHIM_CUT", &after.to_string());
    }
    let mut agent = bed.run();
    let (mut seen, mut since) = (0, Instant::now());
    // A record is a page of 4 KiB more often than not.
    while agent.ended().is_none() && (at_once || seen < after * 3000) && since.elapsed() < IDLE {
        let now = length(log);
        if now != seen || agent.said("agent started").is_empty() {
            (seen, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    agent
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    cuts: usize,
    jobs: usize,
    records: usize,
    unsynced: usize,
    doubtful: usize,
    faults: usize,
}

/// Whether the sandbox honours `transactionId`. In every other chain it does not, and the marker alone must hold.
fn honoured(chain: u64) -> bool {
    chain.is_multiple_of(2)
}

/// One queue through several power cuts to its end.
async fn several_cuts_in_a_row(seed: u64, cuts: usize, jobs: usize, deduplicate: bool) -> Figures {
    let mut jitter = Rng::with_seed(seed);
    let mut bed = bed_with(jobs, &mut jitter).await;
    bed.sandbox().configure(OptionsChange { deduplicate: Some(deduplicate), ..OptionsChange::default() });
    let mut figures = Figures { cuts, jobs, ..Figures::default() };
    let mut outside = Outside::default();
    let mut queue = directory(&bed, "life-0");
    std::fs::copy(bed.queue_path(), &queue).unwrap();
    for cut in 1..=cuts {
        let log = bed.home().join(format!("log-{cut}"));
        settle_on(&mut bed, &queue, Some(&log));
        let mut disk = Disk::holding(&queue);
        let after = jitter.u64(1..=(RECORDS_OF_A_JOB * jobs / cuts) as u64);
        let agent = run_until_the_cut(&mut bed, &log, after, jitter.u8(0..4) > 0).await;
        outside.learn(&bed, &kill(agent).await);

        let records = disk_log::read(&log);
        records.iter().for_each(|record| disk.play(record));
        let since_sync = records.iter().rev().take_while(|record| record.what != What::Sync).count();
        figures.records += records.len();
        figures.unsynced += since_sync;
        queue = directory(&bed, &format!("life-{cut}"));
        let luck = [0.0, 0.3, 0.7, 1.0][jitter.usize(0..4)];
        disk.after_a_cut(&queue, luck, &mut jitter);
        let looked_at = looked_at(&bed, &queue, cut);
        let rows = rows(&looked_at).await;
        assert_eq!(rows.len(), jobs);
        figures.doubtful += rows.iter().filter(|row| row.state == "claimed" || row.in_doubt).count();
        outside.assert_known_to(&rows, i64::MAX);
    }
    settle_on(&mut bed, &queue, None);
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_each_job_has_its_one_event(&bed, &rows(&queue).await);
    figures.faults = bed.sandbox().requests().iter().filter(|request| request.fault.is_some()).count();
    figures
}

/// A copy: SQLite fixes what it opens, and the agent must find it as it was.
fn looked_at(bed: &Bed, queue: &Path, cut: usize) -> PathBuf {
    let copy = directory(bed, &format!("look-{cut}"));
    for file in std::fs::read_dir(queue.parent().unwrap()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.with_file_name(file.file_name())).unwrap();
    }
    copy
}

/// Kills it, if that has not happened yet.
async fn kill(mut agent: Process) -> Process {
    if agent.ended().is_none() {
        agent.signal("KILL");
    }
    agent.end().await;
    agent
}

fn assert_each_job_has_its_one_event(bed: &Bed, rows: &[Row]) {
    let unsent: Vec<&Row> = rows.iter().filter(|row| row.state != "sent" || row.in_doubt).collect();
    assert!(unsent.is_empty(), "{unsent:#?}");
    let events = bed.events();
    let recorded: BTreeSet<&str> = rows.iter().filter_map(|row| row.event_id.as_deref()).collect();
    let created: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!((recorded.len(), events.len()), (rows.len(), rows.len()), "one job, one event");
    assert_eq!(recorded, created);
    for row in rows {
        let event = events.iter().find(|event| event.transaction_id.as_ref() == Some(&row.transaction_id));
        assert_eq!(event.map(|event| &event.id), row.event_id.as_ref(), "{row:?}");
    }
}

/// Calls `look` with the disk as it was after every sync of a run, at the worst: the moment before the next sync, which
/// is told in milliseconds since 1970. Gives the number of moments.
async fn after_every_sync(mut disk: Disk, log: &Path, mut look: impl AsyncFnMut(&Disk, i64)) -> usize {
    let records = disk_log::read(log);
    let mut moments = 0;
    for (n, record) in records.iter().enumerate() {
        disk.play(record);
        let next = records.get(n + 1);
        if next.is_none_or(|next| next.what == What::Sync) {
            look(&disk, next.map_or(i64::MAX, |next| next.asked_at / 1_000_000)).await;
            moments += 1;
        }
    }
    moments
}

/// Looks after every sync of a whole run. Gives the number of looks.
async fn a_run_looked_at_after_every_sync(seed: u64, jobs: usize) -> usize {
    let mut jitter = Rng::with_seed(seed);
    let mut bed = bed_with(jobs, &mut jitter).await;
    let queue = directory(&bed, "life");
    std::fs::copy(bed.queue_path(), &queue).unwrap();
    let log = bed.home().join("log");
    settle_on(&mut bed, &queue, Some(&log));
    let disk = Disk::holding(&queue);
    let agent = bed.run();
    bed.wait("every job is sent", async || (agent.said("event sent").len() == jobs).then_some(())).await;
    let mut outside = Outside::default();
    outside.learn(&bed, &agent);
    agent.stop().await.expect(0);
    let look = async |disk: &Disk, before| {
        for luck in [0.0, 0.5] {
            let image = tempfile::tempdir_in(bed.home()).unwrap();
            let queue = image.path().join("queue.db");
            disk.after_a_cut(&queue, luck, &mut jitter);
            let rows = rows(&queue).await;
            assert_eq!(rows.len(), jobs);
            outside.assert_known_to(&rows, before);
        }
    };
    after_every_sync(disk, &log, look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_whose_making_was_cut_off_at_any_sync_is_made_by_the_next_start() {
    let mut jitter = Rng::with_seed(3);
    let mut bed = Bed::new().await;
    let (queue, log) = (directory(&bed, "new"), bed.home().join("log"));
    settle_on(&mut bed, &queue, Some(&log));
    let disk = Disk::holding(&queue);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    agent.stop().await.expect(0);
    let look = async |disk: &Disk, _| {
        for luck in [0.0, 0.5, 1.0] {
            let image = tempfile::tempdir_in(bed.home()).unwrap();
            let queue = image.path().join("queue.db");
            disk.after_a_cut(&queue, luck, &mut jitter);
            SqliteQueue::open(&queue).await.unwrap().close().await;
            assert!(rows(&queue).await.is_empty());
        }
    };
    let moments = after_every_sync(disk, &log, look).await;
    assert!(moments >= 5, "{moments}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_every_single_sync_the_disk_knows_of_every_request_that_left_and_every_event_that_was_told() {
    let moments = a_run_looked_at_after_every_sync(7, 40).await;
    assert!(moments >= 15, "{moments} syncs for 40 jobs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_one_after_the_other_lose_and_double_nothing() {
    let chain = async |seed: u64| {
        let figures = several_cuts_in_a_row(seed, 5, 60, honoured(seed)).await;
        assert!(figures.unsynced > 0 && figures.doubtful > 0 && figures.faults > 0, "it was too easy: {figures:?}");
    };
    side_by_side((1..=4).map(chain)).await;
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn hundreds_of_power_cuts_lose_and_double_nothing() {
    const IN_A_ROW: usize = 10;
    let seed = setting("EVENT_SENDER_SEED", 20261201);
    let (cuts, jobs) = (setting("EVENT_SENDER_CUTS", 500) as usize, setting("EVENT_SENDER_JOBS", 200) as usize);
    println!("seed {seed}");
    let mut all = Figures::default();
    let mut moments = 0;
    for chain in 0..cuts.div_ceil(IN_A_ROW) as u64 {
        let figures = several_cuts_in_a_row(seed.wrapping_add(chain), IN_A_ROW, jobs, honoured(chain)).await;
        all = Figures {
            cuts: all.cuts + figures.cuts,
            jobs: all.jobs + figures.jobs,
            records: all.records + figures.records,
            unsynced: all.unsynced + figures.unsynced,
            doubtful: all.doubtful + figures.doubtful,
            faults: all.faults + figures.faults,
        };
    }
    for run in 0..5 {
        moments += a_run_looked_at_after_every_sync(seed.wrapping_add(run), jobs).await;
    }
    let Figures { cuts, jobs, records, unsynced, doubtful, faults } = all;
    println!(
        "power cuts {cuts}, jobs {jobs}, disk writes {records}, not synced at the cut {unsynced}, found in doubt \
         {doubtful}, faults {faults}, syncs looked at {moments}, lost 0, doubled 0, seed {seed}"
    );
}
