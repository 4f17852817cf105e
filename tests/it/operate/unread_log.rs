//! A log nobody reads: neither sending nor stopping waits for the reader, and what it misses is counted and told.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::bed::{Bed, row};
use crate::process::{LOOK, PATIENCE, binary};

/// More lines than are kept, and each job that fails writes one.
const FAULTY: usize = 9_500;

/// The daemon, with a log that fills its pipe.
fn unread(bed: &Bed) -> Child {
    bed.write_settings();
    let mut command = binary(bed.home(), &[]);
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn insert_faulty(bed: &Bed) {
    bed.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FAULTY})
         INSERT INTO jobs (start_time, end_time) SELECT 'never', 'never' FROM n"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn results_and_the_stop_do_not_wait_for_who_does_not_read_the_log() {
    let bed = Bed::new().await;
    let mut agent = unread(&bed);
    insert_faulty(&bed).await;
    let last = bed.insert(row()).await;
    bed.until(last, "sent").await;
    bed.until_count(FAULTY, "failed").await;
    let asked = Instant::now();
    assert!(std::process::Command::new("kill").arg(agent.id().to_string()).status().unwrap().success());
    let status = loop {
        if let Some(status) = agent.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < PATIENCE, "TERM is not heard");
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!(status.code(), Some(0));
    assert_eq!(bed.count("claimed").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reader_that_comes_back_is_told_how_many_lines_it_missed() {
    let bed = Bed::new().await;
    let mut agent = unread(&bed);
    insert_faulty(&bed).await;
    bed.until_count(FAULTY, "failed").await;
    let mut log = agent.stdout.take().unwrap();
    let (lines, seen) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut text, mut part) = (String::new(), [0; 65536]);
        while let Ok(read @ 1..) = log.read(&mut part) {
            text.push_str(&String::from_utf8_lossy(&part[..read]));
            while let Some((line, rest)) = text.split_once('\n') {
                let _ = lines.send(serde_json::from_str::<serde_json::Value>(line).unwrap());
                text = rest.to_owned();
            }
        }
    });
    let (mut failed, mut dropped) = (0, 0);
    bed.wait("it is told", async || {
        for line in seen.try_iter() {
            failed += usize::from(line["message"] == "job failed");
            if line["message"] == "log lines dropped, their reader is too slow" {
                dropped += usize::try_from(line["lines"].as_u64().unwrap()).unwrap();
            }
        }
        (dropped > 0 && failed + dropped >= FAULTY).then_some(())
    })
    .await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    reader.join().unwrap();
    assert!(failed < FAULTY, "nothing was dropped, this test shows nothing");
}
