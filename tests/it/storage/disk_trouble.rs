//! A disk that is full, read-only or broken under a running agent, and a queue that others hold for long: outcomes are
//! kept and recorded later, nothing new is begun meanwhile, and it all ends by itself.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use event_sender::sandbox::Fault;

use crate::bed::{Bed, producer, row, row_for, side_by_side};
use crate::operate::systemd;
use crate::process::{Process, binary};
use crate::shim::{Disk, DiskDial};

const KEPT: &str = "results cannot be recorded, kept and tried again";
const RECORDED: &str = "results recorded again";
const NO_CLAIM: &str = "queue cannot be used, trying again";

/// Long enough for an agent that would do the wrong thing to have done it.
const WHILE: Duration = Duration::from_millis(700);

/// The events of four requests exist, but their answers are held back until the disk is in this trouble.
async fn trouble_while_requests_are_out(bed: &Bed, disk: &DiskDial, trouble: Disk) -> (Process, Vec<i64>) {
    bed.sandbox().script(Fault::slow(Duration::from_millis(400)).times(4));
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let ids = bed.insert_all((0..4).map(|_| row())).await;
    bed.wait("the requests are out", async || (bed.creates(None).len() == 4).then_some(())).await;
    disk.is(trouble);
    let line = bed.until_said(&agent, KEPT).await;
    assert_eq!(line["level"], "ERROR");
    (agent, ids)
}

async fn outcomes_outlive(trouble: Disk) {
    let mut bed = Bed::new().await;
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    let (agent, mut ids) = trouble_while_requests_are_out(&bed, &disk, trouble).await;
    // A claim that had begun beside the first outcome shall not meet the rows to come: it may try, and fail like the outcome.
    tokio::time::sleep(WHILE).await;
    // Not for the agent to begin while it cannot record.
    ids.extend(bed.insert_all((0..4).map(|_| row_for("ann@contoso.com"))).await);
    tokio::time::sleep(WHILE).await;
    assert_eq!(bed.creates(None).len(), 4, "{trouble:?}");
    assert_eq!(bed.count("claimed").await, 4, "{trouble:?}");
    assert!(agent.said(NO_CLAIM).is_empty(), "it did not even try: {trouble:?}");
    disk.is(Disk::Well);
    bed.until_count(ids.len(), "sent").await;
    bed.until_said(&agent, RECORDED).await;
    assert_eq!((agent.said(KEPT).len(), agent.said(RECORDED).len()), (1, 1), "{trouble:?}");
    assert_eq!(bed.creates(None).len(), ids.len(), "{trouble:?}");
    assert!(bed.jobs().await.iter().all(|job| job.attempts == 1 && job.claims == 1), "{trouble:?}");
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn outcomes_outlive_a_full_disk_a_read_only_one_and_one_that_cannot_sync() {
    side_by_side([Disk::Full, Disk::ReadOnly, Disk::NoSync].map(outcomes_outlive)).await;
}

async fn trouble_comes_and_goes_while_nothing_is_out(trouble: Disk) {
    let mut bed = Bed::new().await;
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    disk.is(trouble);
    let ids = bed.insert_all((0..8).map(|_| row())).await;
    let line = bed.until_said(&agent, NO_CLAIM).await;
    assert_eq!(line["level"], "ERROR");
    tokio::time::sleep(WHILE).await;
    assert!(bed.creates(None).is_empty(), "what is not recorded as claimed is not sent: {trouble:?}");
    disk.is(Disk::Well);
    bed.until_count(ids.len(), "sent").await;
    assert_eq!(agent.said(NO_CLAIM).len(), 1, "{trouble:?}");
    assert_eq!(bed.creates(None).len(), ids.len(), "{trouble:?}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_sent_from_a_disk_that_cannot_record_the_claim() {
    side_by_side([Disk::Full, Disk::ReadOnly, Disk::NoSync].map(trouble_comes_and_goes_while_nothing_is_out)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn term_on_a_full_disk_ends_inside_the_grace_and_the_next_start_finds_the_events() {
    let mut bed = Bed::new().await;
    bed.set("delivery.shutdown_grace", "1s");
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    let (agent, ids) = trouble_while_requests_are_out(&bed, &disk, Disk::Full).await;
    let begin = Instant::now();
    let ran = agent.stop().await.expect(0);
    // One second of grace, one to close the queue.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(ran.stdout.lines().last().is_some_and(|line| line.contains("\"unrecorded\":4")), "{ran:?}");
    assert_eq!(bed.count("claimed").await, 4);
    disk.is(Disk::Well);
    let agent = bed.run();
    assert_eq!(bed.until_said(&agent, "agent started").await["recovered"], 4);
    bed.until_count(ids.len(), "sent").await;
    bed.assert_one_event_each().await;
}

/// Fails the test unless the loop gives a sign of life at least this often for a while.
fn assert_alive(socket: &UnixDatagram, every: Duration, lasting: Duration) {
    socket.set_read_timeout(Some(every)).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < lasting {
        let mut buffer = [0; 4096];
        socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no sign of life for {every:?}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_is_fed_while_the_disk_is_full() {
    let mut bed = Bed::new().await;
    let socket = systemd::socket(&mut bed);
    bed.env("WATCHDOG_USEC", "900000");
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    let (agent, ids) = trouble_while_requests_are_out(&bed, &disk, Disk::Full).await;
    assert_alive(&socket, Duration::from_millis(900), Duration::from_millis(1800));
    disk.is(Disk::Well);
    bed.until_count(ids.len(), "sent").await;
    agent.stop().await.expect(0);
}

/// An agent on a small file system of its own, seen from here through `/proc`.
struct OnSmallDisk {
    agent: Process,
    root: PathBuf,
}

impl OnSmallDisk {
    /// With a copy of the bed's queue. None, and the reason printed, where this machine does not let us mount.
    fn start(bed: &mut Bed) -> Option<Self> {
        let mount = bed.home().join("small");
        std::fs::create_dir(&mount).unwrap();
        bed.set("queue.path", mount.join("queue.db").to_str().unwrap());
        bed.write_settings();
        let private = ["-m", "-Urm"].into_iter().find(|how| {
            let tried = Command::new("unshare").args([how, "mount", "-t", "tmpfs", "tmpfs"]).arg(&mount).output();
            let refused = match tried {
                Ok(ran) if ran.status.success() => return true,
                Ok(ran) => String::from_utf8_lossy(&ran.stderr).trim().to_owned(),
                Err(error) => error.to_string(),
            };
            println!("not shown on a real file system, unshare {how}: {refused}");
            false
        })?;
        let program = binary(bed.home(), &[]);
        let mut command = Command::new("unshare");
        command.env_clear().current_dir(bed.home()).args([private, "sh", "-c"]);
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.arg("mount -t tmpfs -o size=1m tmpfs small && cp queue.db small && exec \"$0\" run");
        command.arg(program.get_program());
        let agent = Process::start(command, None);
        let root = PathBuf::from(format!("/proc/{}/root", agent.pid())).join(mount.strip_prefix("/").unwrap());
        Some(Self { agent, root })
    }

    /// Writes until not one byte more fits.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.root.join("ballast")).unwrap();
        let mut size = 64 * 1024;
        while size > 0 {
            match ballast.write(&vec![0; size]) {
                Ok(1..) => {}
                _ => size /= 2,
            }
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.root.join("ballast")).unwrap();
    }

    /// The event ids in a copy of its queue, for SQLite does not open files through `/proc`. Nothing may be under way.
    async fn event_ids(&self, bed: &Bed) -> Vec<String> {
        for file in ["queue.db", "queue.db-wal"] {
            std::fs::copy(self.root.join(file), bed.home().join("small").join(file)).unwrap();
        }
        let mut queue = producer(&bed.home().join("small/queue.db")).await;
        let sent = "SELECT event_id FROM jobs WHERE state = 'sent' ORDER BY event_id";
        sqlx::query_scalar(sent).fetch_all(&mut queue).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn outcomes_outlive_a_small_file_system_that_is_really_full() {
    let mut bed = Bed::new().await;
    // Of one mailbox, so that half of them wait while the others are out.
    bed.insert_all((0..8).map(|_| row())).await;
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
    bed.sandbox().script(Fault::slow(Duration::from_millis(400)).times(4));
    let Some(small) = OnSmallDisk::start(&mut bed) else { return };
    bed.wait("the requests are out", async || (bed.creates(None).len() == 4).then_some(())).await;
    small.fill();
    let line = bed.until_said(&small.agent, KEPT).await;
    assert!(line["error"].as_str().unwrap().contains("full"), "{line}");
    // By then it may have found room by itself: a connection that met an error is closed, and the last one to close a
    // queue copies the log back and removes it.
    small.clear();
    bed.until_said(&small.agent, RECORDED).await;
    let all = async || (small.agent.said("event sent").len() == 8).then_some(());
    bed.wait("all are sent", all).await;
    let mut events: Vec<String> = bed.events().into_iter().map(|event| event.id).collect();
    events.sort();
    assert_eq!(small.event_ids(&bed).await, events);
    assert_eq!(bed.creates(None).len(), 8);
    small.agent.stop().await.expect(0);
}

async fn sent_after_a_foreign_lock_of(lasting: Duration) {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::slow(Duration::from_millis(300)));
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.wait("the request is out", async || (bed.creates(None).len() == 1).then_some(())).await;
    bed.sql("BEGIN IMMEDIATE").await;
    let second = bed.insert(row()).await;
    tokio::time::sleep(lasting).await;
    assert_eq!(agent.said(KEPT).len(), 1);
    bed.sql("COMMIT").await;
    for id in [first, second] {
        assert_eq!(bed.until(id, "sent").await.attempts, 1);
    }
    bed.until_said(&agent, RECORDED).await;
    assert_eq!((agent.said(KEPT).len(), bed.creates(None).len()), (1, 2));
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_foreign_lock_longer_than_sqlite_waits_delays_and_breaks_nothing() {
    sent_after_a_foreign_lock_of(Duration::from_millis(6500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn a_foreign_lock_of_half_a_minute_delays_and_breaks_nothing() {
    sent_after_a_foreign_lock_of(Duration::from_secs(35)).await;
    println!("foreign locks 1, seconds 35, lost 0, doubled 0");
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_starves_the_checkpoint_stops_nothing_and_the_log_is_used_again_when_it_ends() {
    let mut bed = Bed::new().await;
    // Many small commits make the log grow.
    bed.set("delivery.max_in_flight", "8");
    let rows = |count: usize| (0..count).map(|n| row_for(&format!("user{}@contoso.com", n % 5)));
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let mut reader = producer(&bed.queue_path()).await;
    for statement in ["BEGIN", "SELECT count(*) FROM jobs"] {
        sqlx::query(statement).execute(&mut reader).await.unwrap();
    }
    let log = bed.home().join("queue.db-wal");
    bed.insert_all(rows(800)).await;
    bed.until_count(800, "sent").await;
    // A thousand pages are what SQLite would have copied back by now, if the reader had let it.
    let starved = size(&log);
    assert!(starved > 1200 * 4096, "{starved}");
    sqlx::query("COMMIT").execute(&mut reader).await.unwrap();
    bed.insert_all(rows(800)).await;
    bed.until_count(1600, "sent").await;
    assert!(size(&log) < starved + starved / 4, "{} after {starved}", size(&log));
    bed.assert_one_event_each().await;
    assert!(agent.said(KEPT).is_empty());
    agent.stop().await.expect(0);
}
