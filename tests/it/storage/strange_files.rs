//! What somebody who may write to the queue's directory can put there in a file's place: links, pipes, journals, another
//! program's database. It is refused by its name, in finite time, and nothing is changed through it.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::bed::{Bed, chmod, row, side_by_side};
use crate::process::Process;
use crate::shim::ClockDial;

/// A user and group this machine has no name for.
const STRANGER: u32 = 61_234;
const ENQUEUE: [&str; 5] = ["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];
/// Every command that opens the queue in a way of its own.
const COMMANDS: [&[&str]; 6] =
    [&["run"], &["status"], &["list"], &ENQUEUE, &["after-restore"], &["check", "--offline"]];

fn root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A bed whose queue, with a row in it, is alone in a directory and open to nobody.
async fn bed() -> (Bed, PathBuf) {
    let mut bed = Bed::new().await;
    bed.insert(row()).await;
    let queue = bed.move_queue_apart().await;
    bed.write_settings();
    (bed, queue)
}

fn beside(queue: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", queue.display()).into()
}

/// What must stay as it is.
fn state(path: &Path) -> (Vec<u8>, u32, u32) {
    let seen = std::fs::metadata(path).unwrap();
    (std::fs::read(path).unwrap(), seen.mode(), seen.uid())
}

/// Each command ends with 1 and says this of the file.
async fn is_refused_by_everybody(bed: &Bed, path: &Path, word: &str) {
    for command in COMMANDS {
        let ran = bed.bare_command(command).await.expect(1);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let told = ["", ":"].map(|colon| format!("{}{colon} {word}", path.display()));
        assert!(told.iter().any(|told| said.contains(told)), "{command:?}: {said}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Put {
    Link,
    HardLink,
    Pipe,
    Socket,
}

async fn what_is_put_in_a_files_place_is_refused(suffix: &'static str, put: Put) {
    let (bed, queue) = bed().await;
    let victim = bed.home().join("victim");
    // Of the right kind where it can be: the queue itself is refused for being a link, not for what it leads to.
    std::fs::copy(&queue, &victim).unwrap();
    chmod(&victim, 0o400);
    let path = beside(&queue, suffix);
    let _ = std::fs::remove_file(&path);
    let word = match put {
        Put::Link => {
            symlink(&victim, &path).unwrap();
            "is a link"
        }
        Put::HardLink => {
            std::fs::hard_link(&victim, &path).unwrap();
            "has 2 names"
        }
        Put::Pipe => {
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            "is a named pipe"
        }
        Put::Socket => {
            drop(UnixListener::bind(&path).unwrap());
            "is a socket"
        }
    };
    let before = (state(&victim), std::fs::symlink_metadata(&path).unwrap().mode());
    is_refused_by_everybody(&bed, &path, word).await;
    let after = (state(&victim), std::fs::symlink_metadata(&path).unwrap().mode());
    assert_eq!(before, after, "{suffix} {put:?}");
    assert!(bed.events().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_pipes_in_the_place_of_any_file_are_refused_by_name_and_nothing_is_changed_through_them() {
    for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
        side_by_side([Put::Link, Put::Pipe].map(|put| what_is_put_in_a_files_place_is_refused(suffix, put))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_are_second_names_and_sockets() {
    side_by_side(
        [("", Put::HardLink), (".lock", Put::HardLink), (".lock", Put::Socket), ("-journal", Put::Socket)]
            .map(|(suffix, put)| what_is_put_in_a_files_place_is_refused(suffix, put)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_directory_that_is_a_link_is_no_matter() {
    let (mut bed, queue) = bed().await;
    let link = bed.home().join("data");
    symlink(queue.parent().unwrap(), &link).unwrap();
    bed.set("queue.path", link.join("queue.db").to_str().unwrap());
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.events().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_whose_name_looks_like_an_address_is_refused_with_the_likely_file() {
    let (mut bed, _) = bed().await;
    bed.set("queue.path", "file:queue.db?mode=memory");
    let ran = bed.command(&ENQUEUE).await.expect(78);
    assert!(ran.stderr.contains("queue.path") && ran.stderr.contains("did you mean \"queue.db\"?"), "{ran:?}");
    assert!(!bed.home().join("file:queue.db?mode=memory").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_locks_text_is_neither_believed_nor_changed() {
    let (bed, queue) = bed().await;
    let lock = beside(&queue, ".lock");
    std::fs::write(&lock, "1").unwrap();
    chmod(&lock, 0o640);
    let before = state(&lock);
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let pid = format!("process {}", agent.pid());
    let second = bed.bare_command(&["run"]).await.expect(69);
    assert!(second.stderr.contains(&pid), "{second:?}");
    let check = bed.bare_command(&["check", "--offline"]).await.expect(0);
    assert!(check.stdout.contains(&pid), "{check:?}");
    agent.stop().await.expect(0);
    assert_eq!(state(&lock), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lock_of_a_stranger_is_refused_and_left_as_it_is() {
    if !root() {
        return;
    }
    let (bed, queue) = bed().await;
    let lock = beside(&queue, ".lock");
    std::fs::write(&lock, "theirs").unwrap();
    chmod(&lock, 0o600);
    chown(&lock, Some(STRANGER), Some(STRANGER)).unwrap();
    let before = state(&lock);
    for command in [&["run"][..], &["after-restore"]] {
        let refused = bed.bare_command(command).await.expect(1);
        let parts = [lock.to_str().unwrap(), "belongs to user 61234", "rm "];
        assert!(parts.iter().all(|part| refused.stderr.contains(part)), "{refused:?}");
        assert_eq!(state(&lock), before);
    }
    // To whom the directory belongs may have made it.
    chown(queue.parent().unwrap(), Some(STRANGER), None).unwrap();
    bed.bare_command(&["after-restore"]).await.expect(0);
    assert_eq!(state(&lock), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_that_keeps_the_agent_away_for_a_moment_leaves_no_lock_of_its_own() {
    let (bed, queue) = bed().await;
    bed.command(&["after-restore"]).await.expect(0);
    assert!(!beside(&queue, ".lock").exists());
    bed.command(&["run", "--until-empty"]).await.expect(0);
    bed.command(&["after-restore"]).await.expect(0);
    assert!(beside(&queue, ".lock").exists(), "the agent's own stays");
}

/// A journal as an interrupted write of another database leaves it.
async fn foreign_journal(bed: &Bed) -> Vec<u8> {
    let path = bed.home().join("other.db");
    let mut other = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    for statement in [
        "CREATE TABLE theirs (x)",
        "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 900) INSERT INTO theirs SELECT zeroblob(1000) FROM n",
        "BEGIN",
        "UPDATE theirs SET x = randomblob(1000)",
    ] {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut other).await.unwrap();
    }
    let mut journal = std::fs::read(beside(&path, "-journal")).unwrap();
    other.close().await.unwrap();
    assert!(journal.len() > 8192, "{}", journal.len());
    // As when it has been synced: SQLite's mark, and a number of pages that is for the reader to count.
    journal[..12].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0xff, 0xff, 0xff, 0xff]);
    journal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_journal_of_another_database_is_not_written_over_the_queue() {
    let (bed, queue) = bed().await;
    let (path, before) = (beside(&queue, "-journal"), std::fs::read(&queue).unwrap());
    for journal in [foreign_journal(&bed).await, b"left by a copy".to_vec()] {
        std::fs::write(&path, &journal).unwrap();
        is_refused_by_everybody(&bed, &path, "is the journal of something else").await;
        assert!(std::fs::read(&queue).unwrap() == before && std::fs::read(&path).unwrap() == journal);
    }
    std::fs::remove_file(&path).unwrap();
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.events().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn beside_a_running_agent_it_is_named_by_check_and_disturbs_no_sending() {
    let (bed, queue) = bed().await;
    let agent: Process = bed.run();
    bed.until_said(&agent, "event sent").await;
    // One that has the queue open is not kept out.
    let mut producer = crate::bed::producer(&queue).await;
    sqlx::query("SELECT count(*) FROM jobs").execute(&mut producer).await.unwrap();
    let path = beside(&queue, "-journal");
    std::fs::write(&path, foreign_journal(&bed).await).unwrap();
    let check = bed.bare_command(&["check", "--offline"]).await.expect(1);
    let line = check.stdout.lines().find(|line| line.starts_with("FAIL  database")).unwrap();
    assert!(line.contains("queue.db-journal") && line.contains("mv "), "{line}");
    let job = "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01 09:00', '2026-12-01 10:00')";
    sqlx::query(job).execute(&mut producer).await.unwrap();
    bed.wait("the second event is there", async || (bed.events().len() == 2).then_some(())).await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_programs_database_is_refused_by_everybody_and_not_touched() {
    let (mut bed, _) = bed().await;
    let path = bed.home().join("browser.sqlite");
    let mut other = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    sqlx::query("CREATE TABLE bookmarks (url TEXT)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    bed.set("queue.path", path.to_str().unwrap());
    bed.write_settings();
    let before = state(&path);
    for command in COMMANDS {
        let ran = bed.bare_command(command).await.expect(1);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("browser.sqlite") && said.contains("queue.path"), "{command:?}: {said}");
        assert_eq!(state(&path), before, "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clock_before_1970_or_after_9999_is_told_and_nothing_is_begun() {
    let (mut bed, _) = bed().await;
    let clock = ClockDial::before(&mut bed);
    for (hours, told) in [(-600_000, "clock says 19"), (80_000_000, "clock is after the year 9999")] {
        clock.is_off_by_hours(hours);
        for command in COMMANDS {
            let ran = bed.bare_command(command).await.expect(1);
            assert!(ran.stderr.contains(told) && ran.stderr.contains("timedatectl"), "{command:?}: {ran:?}");
        }
    }
    assert!(bed.events().is_empty());
}
