//! What others make large stays out of the agent's memory: rows, and what `enqueue` is given to read.

use std::io::Write;
use std::process::Stdio;

use crate::bed::{Bed, row};
use crate::process::binary;

/// Peak memory of a process that still runs, in megabytes, where the system tells it.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

/// SQLite itself needs a row two times over to rewrite it, one row at a time, and more for a column in an index. Beyond
/// that is nobody's need: not the columns' content in the agent, not one row's beside another's.
async fn large_rows(columns: &'static [&'static str], at_most: u64) {
    let bed = Bed::new().await;
    for column in columns {
        bed.sql(&format!(
            "INSERT INTO jobs (start_time, end_time, {column})
             VALUES ('2026-12-01 09:00', '2026-12-01 10:00', replace(hex(zeroblob(15000000)), '0', 'x'))"
        ))
        .await;
    }
    let small = bed.insert(row()).await;
    let agent = bed.run();
    bed.wait("the small row is sent", async || bed.end_of(small).await.filter(|end| end.0 == "sent")).await;
    for (column, id) in columns.iter().zip(1..) {
        let (state, kind, message, _) = bed.wait("each has its end", async || bed.end_of(id).await).await;
        assert_eq!((state.as_str(), kind.as_deref()), ("failed", Some("invalid_job")), "{column}");
        assert!(message.is_some_and(|message| message.starts_with(column) && message.contains("30000000")), "{column}");
    }
    let peak = peak(agent.pid()).unwrap_or(0);
    assert!(peak < at_most, "{columns:?}: {peak} MB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rows_of_thirty_megabytes_fail_one_by_one_and_stop_no_other() {
    large_rows(&["subject", "body", "body"], 4 * 30 + 40).await;
    large_rows(&["mailbox"], 5 * 30 + 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_that_would_fill_every_readers_memory_is_refused_at_insert() {
    let bed = Bed::new().await;
    let large = "replace(hex(zeroblob(10000000)), '0', 'x')";
    let insert = format!(
        "INSERT INTO jobs (start_time, end_time, subject, body) VALUES ('2026-12-01 09:00', '2026-12-01 10:00', {large}, {large})"
    );
    let refused = bed.try_sql(&insert).await.unwrap_err().to_string();
    assert!(refused.contains("more than 32 MB"), "{refused}");
    let id = bed.insert(row()).await;
    let refused = bed.try_sql(&format!("UPDATE jobs SET subject = {large} || {large} WHERE id = {id}")).await;
    assert!(refused.unwrap_err().to_string().contains("more than 32 MB"));
}

/// `enqueue` reading bytes without end until it has enough of them; its peak of memory, and how it ended.
fn endless(bed: &Bed, format: &str, begin: &[u8], chunk: &[u8]) -> (u64, Option<i32>, String) {
    bed.write_settings();
    let mut command = binary(bed.home(), &[]);
    command.args(["enqueue", "--format", format, "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let mut most = 0;
    let mut going = pipe.write_all(begin).is_ok();
    // A gigabyte stands for endless.
    for _ in 0..1024 {
        going = going && (0..16).all(|_| pipe.write_all(chunk).is_ok());
        most = most.max(peak(child.id()).unwrap_or(0));
        if !going || most > 400 {
            break;
        }
    }
    drop(pipe);
    if most > 400 {
        child.kill().unwrap();
    }
    let ended = child.wait_with_output().unwrap();
    (most, ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn enqueue_reads_no_line_and_no_field_without_end() {
    let bed = Bed::new().await;
    let (letters, commas) = ([b'x'; 64 * 1024], [b','; 64 * 1024]);
    for (format, begin, chunk) in [
        ("ndjson", &b"{\"subject\":\""[..], &letters),
        ("csv", b"subject,start_time,end_time\n\"", &letters),
        ("csv", b"subject,start_time,end_time\n", &commas),
    ] {
        let (peak, code, said) = endless(&bed, format, begin, chunk);
        assert_eq!(code, Some(1), "{format} {:?}: {peak} MB, {said}", begin.escape_ascii().to_string());
        assert!(said.contains("longer than") && peak < 250, "{format}: {peak} MB, {said}");
    }
    assert!(bed.jobs().await.is_empty());
}
