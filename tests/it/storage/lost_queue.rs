//! The queue's file is taken away under a running agent. What it would write from then on, nobody would find: it says
//! so, tells every result it knows, and ends with an error.

use std::path::Path;
use std::time::{Duration, Instant};

use event_sender::sandbox::Fault;

use crate::bed::{Bed, row, side_by_side};
use crate::process::{Process, Ran};

/// Inside this it must have noticed and ended.
const SECONDS: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug)]
enum Taken {
    Deleted,
    Moved,
    Replaced,
    LogDeleted,
    IndexDeleted,
    DirectoryMoved,
}

const ALL: [Taken; 6] =
    [Taken::Deleted, Taken::Moved, Taken::Replaced, Taken::LogDeleted, Taken::IndexDeleted, Taken::DirectoryMoved];

/// A bed whose queue is alone in a directory.
async fn bed() -> (Bed, std::path::PathBuf) {
    let mut bed = Bed::new().await;
    let queue = bed.move_queue_apart().await;
    (bed, queue)
}

/// Another queue with a job, and its bytes.
async fn other(bed: &Bed) -> Vec<u8> {
    bed.insert(row().with("subject", "of the other queue")).await;
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
    std::fs::read(bed.queue_path()).unwrap()
}

fn take(how: Taken, queue: &Path, other: &[u8]) {
    let aside = queue.with_file_name("aside.db");
    match how {
        Taken::Deleted => std::fs::remove_file(queue).unwrap(),
        Taken::Moved => std::fs::rename(queue, aside).unwrap(),
        Taken::Replaced => {
            std::fs::write(&aside, other).unwrap();
            std::fs::rename(aside, queue).unwrap();
        }
        Taken::LogDeleted => std::fs::remove_file(queue.with_file_name("queue.db-wal")).unwrap(),
        Taken::IndexDeleted => std::fs::remove_file(queue.with_file_name("queue.db-shm")).unwrap(),
        Taken::DirectoryMoved => {
            let directory = queue.parent().unwrap();
            std::fs::rename(directory, directory.with_file_name("elsewhere")).unwrap();
        }
    }
}

async fn end_of(mut agent: Process, how: Taken, begin: Instant) -> Ran {
    let ran = agent.end().await.expect(1);
    assert!(begin.elapsed() < SECONDS, "{how:?}: only after {:?}", begin.elapsed());
    assert!(ran.stderr.contains("queue.db"), "{how:?}: it says which file: {ran:?}");
    let said = |message: &str| ran.stdout.lines().filter(|line| line.contains(message)).count();
    assert_eq!(said("\"level\":\"ERROR\",\"message\":\"queue gone, stopping\""), 1, "{how:?}: {ran:?}");
    ran
}

async fn an_idle_agent_ends(how: Taken) {
    let (bed, queue) = bed().await;
    let other = other(&bed).await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let begin = Instant::now();
    take(how, &queue, &other);
    end_of(agent, how, begin).await;
    assert!(bed.creates(None).is_empty(), "{how:?}: nothing is sent from a queue nobody meant");
    match how {
        Taken::Replaced => assert_eq!(std::fs::read(&queue).unwrap(), other, "{how:?}"),
        Taken::Deleted | Taken::Moved => assert!(!queue.exists(), "{how:?}: made anew"),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_queue_is_taken_away_says_so_and_ends() {
    side_by_side(ALL.map(an_idle_agent_ends)).await;
}

async fn an_agent_with_requests_out_ends(how: Taken) {
    let (bed, queue) = bed().await;
    let other = other(&bed).await;
    let mut producer = crate::bed::producer(&queue).await;
    bed.sandbox().script(Fault::slow(Duration::from_millis(800)).times(2));
    let agent = bed.run();
    for _ in 0..2 {
        let job = "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01 09:00', '2026-12-01 10:00')";
        sqlx::query(job).execute(&mut producer).await.unwrap();
    }
    bed.wait("the requests are out", async || (bed.creates(None).len() == 2).then_some(())).await;
    let begin = Instant::now();
    take(how, &queue, &other);
    let ran = end_of(agent, how, begin).await;
    assert_eq!(bed.creates(None).len(), 2, "{how:?}: nothing new is begun");
    let events = bed.events();
    assert_eq!(events.len(), 2, "{how:?}");
    for event in events {
        assert!(ran.stdout.contains(&event.id), "{how:?}: the event's id is in the log: {ran:?}");
    }
    if let Taken::Replaced = how {
        assert_eq!(std::fs::read(&queue).unwrap(), other, "{how:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_requests_under_way_is_told_before_the_end() {
    side_by_side(ALL.map(an_agent_with_requests_out_ends)).await;
}
