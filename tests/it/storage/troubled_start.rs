//! `run` on a queue that cannot be written at this moment: it waits and says so, once, instead of ending, and works as
//! soon as it can. A service that ends is started again and again, and each of its starts looks like the last one.

use std::time::{Duration, Instant};

use crate::bed::{Bed, MAILBOX, row, row_for, side_by_side};
use crate::process::Process;
use crate::shim::{Disk, DiskDial};

/// It is alive, has not claimed to be ready, and has said in one line of the log what it waits for.
async fn assert_it_waits(bed: &Bed, agent: &mut Process, lasting: Duration, why: &str) {
    let begin = Instant::now();
    while begin.elapsed() < lasting {
        assert!(agent.ended().is_none(), "{why}: it ended and wrote\n{}", agent.output.all());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bed.wait(&format!("something is said of {why}"), async || (!agent.log().is_empty()).then_some(())).await;
    let lines = agent.log();
    assert!(agent.said("agent started").is_empty(), "{lines:?}");
    assert_eq!(lines.len(), 1, "{why}: {lines:?}");
    assert!(lines[0]["level"] == "ERROR" || lines[0]["level"] == "WARN", "{lines:?}");
    assert!(bed.creates(None).is_empty());
}

async fn the_start_outlives(trouble: Disk) {
    let mut bed = Bed::new().await;
    let id = bed.insert(row()).await;
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    disk.is(trouble);
    let mut agent = bed.run();
    assert_it_waits(&bed, &mut agent, Duration::from_millis(1500), &format!("{trouble:?}")).await;
    disk.is(Disk::Well);
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn run_on_a_full_disk_waits_until_there_is_room() {
    the_start_outlives(Disk::Full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn run_on_a_read_only_disk_waits_until_it_can_write() {
    the_start_outlives(Disk::ReadOnly).await;
}

/// A job of an agent that was killed. To put it back is a write, before the new agent is ready.
async fn left_claimed(bed: &Bed) -> i64 {
    let id = bed.insert(row_for(MAILBOX).with("body_type", "text").with("time_zone", "UTC")).await;
    bed.sql("UPDATE jobs SET state = 'claimed', claims = 1, claimed_at = '2026-01-01T00:00:00.000Z'").await;
    id
}

async fn the_recovery_outlives(trouble: Disk) {
    let mut bed = Bed::new().await;
    let id = left_claimed(&bed).await;
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    disk.is(trouble);
    let mut agent = bed.run();
    assert_it_waits(&bed, &mut agent, Duration::from_millis(1500), &format!("{trouble:?}")).await;
    disk.is(Disk::Well);
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_recovery_that_cannot_be_written_is_waited_for() {
    side_by_side([Disk::Full, Disk::ReadOnly, Disk::NoSync].map(the_recovery_outlives)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn term_ends_a_start_that_waits() {
    let mut bed = Bed::new().await;
    let queue = bed.queue_path();
    let disk = DiskDial::before(&mut bed, &queue);
    disk.is(Disk::Full);
    let mut agent = bed.run();
    assert_it_waits(&bed, &mut agent, Duration::from_millis(300), "a full disk").await;
    let begin = Instant::now();
    agent.stop().await.expect(0);
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
}

async fn started_under_a_foreign_lock_of(lasting: Duration) {
    let bed = Bed::new().await;
    let id = left_claimed(&bed).await;
    bed.sql("BEGIN IMMEDIATE").await;
    let mut agent = bed.run();
    assert_it_waits(&bed, &mut agent, lasting, "a foreign lock").await;
    bed.sql("COMMIT").await;
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn run_under_a_foreign_lock_longer_than_sqlite_waits_waits_too() {
    started_under_a_foreign_lock_of(Duration::from_millis(6500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "long"]
async fn run_under_a_foreign_lock_of_half_a_minute_waits_too() {
    started_under_a_foreign_lock_of(Duration::from_secs(35)).await;
    println!("starts under a foreign lock 1, seconds 35, lost 0, doubled 0");
}
