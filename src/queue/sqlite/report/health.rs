//! What the queue finds of itself, for `check`: is it there, a queue, of this version, sound; is there room for it, on a
//! disk that suits it. Reads only, and never for long: other programs live on this file.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{StatVfs, statvfs};
use sqlx::sqlite::SqliteConnection;

use crate::queue::sqlite::errors::{CORRUPT, primary_code, read};
use crate::queue::sqlite::files::{Strange, beside, network_file_system};
use crate::queue::sqlite::open::{OpenError, newest};
use crate::queue::sqlite::schema::{Rule, Rules};
use crate::queue::sqlite::store::SqliteQueue;
use crate::queue::sqlite::transaction::words;
use crate::queue::{Examined, QueueError, StorageFinding};

/// Longest time for looking into every page. Long enough for some hundred megabytes.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// Longest time for everything asked of the database: it may be on a disk that hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// With less than this, commits are about to fail.
const HARDLY_ANY: u64 = 16 << 20;
/// The log alone takes 64 MB before it is cut back (`journal_size_limit`), and somebody's long transaction more.
const LITTLE: u64 = 256 << 20;
/// A log this large was kept from being cut back for a long time.
const LONG_LOG: u64 = 256 << 20;
const FEW_INODES: u64 = 100;
/// The largest id the schema takes, and how many left are few.
const LARGEST_ID: i64 = 9_007_199_254_740_991;
const FEW_IDS: i64 = 1_000_000_000_000;

/// Looks at a queue that may be anything, and opens it if it is one.
pub async fn examine(path: &Path) -> Examined {
    if let Some(finding) = hidden(path) {
        return Examined { findings: vec![finding], queue: None };
    }
    let mut found = Examined::default();
    if tokio::time::timeout(ANSWER_WITHIN, open(path, &mut found)).await.is_err() {
        let text = format!("it did not answer within {} s", ANSWER_WITHIN.as_secs());
        let cure = "look at the disk, and for programs that hold its lock ('fuser -v FILE')";
        found.findings.push(StorageFinding::fail(text).cure(cure).about(path));
    }
    found.findings.extend(place(path).into_iter().map(|finding| finding.about(path)));
    found
}

async fn open(path: &Path, found: &mut Examined) {
    let queue = match SqliteQueue::open_existing(path).await {
        Ok(queue) => queue,
        Err(error) => return found.findings.push(refused(path, error)),
    };
    let begin = Instant::now();
    match content(&queue, LOOK_WITHIN).await {
        Ok(content) => {
            let findings = sound(&content, begin.elapsed(), LOOK_WITHIN);
            found.findings.extend(findings.into_iter().map(|finding| finding.about(path)));
            // Nothing that a damaged file says can be relied on.
            if !matches!(content.integrity, Integrity::Broken(_)) {
                found.queue = Some(Arc::new(queue));
            }
        }
        Err(error) => {
            let cure = "look at the permissions above, and at the disk ('dmesg')";
            let finding = StorageFinding::fail(format!("it cannot be read: {error}")).cure(cure);
            found.findings.push(finding.about(path));
        }
    }
}

/// Of an open queue.
pub async fn health(queue: &SqliteQueue, within: Duration) -> Result<Vec<StorageFinding>, QueueError> {
    let begin = Instant::now();
    let content = content(queue, within).await.map_err(read)?;
    let findings = sound(&content, begin.elapsed(), within);
    Ok(findings.into_iter().map(|finding| finding.about(&queue.path)).collect())
}

/// A file one may not see is not one that is missing.
fn hidden(path: &Path) -> Option<StorageFinding> {
    let denied = std::fs::metadata(path).err()?.kind() == std::io::ErrorKind::PermissionDenied;
    let cure = "become a member of the group it belongs to, or run this check as the agent's user";
    denied.then(|| StorageFinding::fail("you may not look at it").cure(cure).about(path))
}

/// Not `.recover`: the sqlite3 of Debian and its kin is built without it.
fn damaged(fault: &str) -> StorageFinding {
    let cure = "stop the agent, copy all of its files away, and restore a backup ('event-sender after-restore'); without one, \
                'sqlite3 -init /dev/null FILE .dump' writes out what can still be read";
    StorageFinding::fail(format!("it is damaged ({})", first_line(fault))).cure(cure)
}

/// Why it could not be opened.
fn refused(path: &Path, error: OpenError) -> StorageFinding {
    let finding = match error {
        OpenError::Missing(_) => {
            let cure = "'event-sender run' and 'event-sender enqueue' make it, or check queue.path";
            StorageFinding::warn("there is no queue here yet").cure(cure)
        }
        OpenError::Strange(Strange { path, what, cure }) => return StorageFinding::fail(what).cure(cure).about(&path),
        OpenError::Foreign(_) => {
            StorageFinding::fail("it is a database, but of something else").cure("check queue.path")
        }
        OpenError::Older { found: 0, .. } => {
            StorageFinding::warn("it is empty").cure("'event-sender run' makes a queue of it")
        }
        OpenError::Older { found, known, .. } => {
            StorageFinding::warn(format!("its schema is older ({found}, this program's is {known})"))
                .cure("'event-sender run' brings it up to date; until then no other command works on it")
        }
        OpenError::Newer { found, known, .. } => {
            StorageFinding::fail(format!("its schema is newer ({found}) than this program knows ({known})"))
                .cure("update this program; is an old copy of it in the way ('command -v event-sender')?")
        }
        OpenError::Sqlite { source, .. } if primary_code(&source) == Some(CORRUPT) => damaged(&words(&source)),
        other => StorageFinding::fail(other.to_string())
            .cure("look at the permissions above, and whether it is a queue at all"),
    };
    finding.about(path)
}

/// What is in the file.
#[derive(Debug)]
pub struct Content {
    /// `wal`, as it should be.
    journal_mode: String,
    pub integrity: Integrity,
    /// What is not as this program makes it.
    rules: Rules,
    /// The next job's id is beyond this one.
    pub last_id: i64,
}

/// The result of `PRAGMA quick_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// All of it was looked at, and fits.
    Sound,
    /// The time was over before all of it was looked at.
    Unfinished,
    /// The file is in order, but a row breaks the rules of its table: in SQLite's words.
    Unruly(String),
    /// What does not fit, in SQLite's words.
    Broken(String),
}

/// What a writer leaves who has switched the checks off does not count as damage.
fn judged(mut faults: Vec<String>) -> Integrity {
    let breaks_a_rule =
        |fault: &str| ["CHECK constraint failed in", "NULL value in"].iter().any(|rule| fault.starts_with(rule));
    match faults.iter().position(|fault| !breaks_a_rule(fault)) {
        Some(damage) => Integrity::Broken(faults.swap_remove(damage)),
        None => Integrity::Unruly(faults.first().cloned().unwrap_or_default()),
    }
}

/// As AUTOINCREMENT sees it.
const LAST_ID: &str = "SELECT max(coalesce((SELECT max(id) FROM jobs), 0),
    coalesce((SELECT CAST(max(seq) AS INTEGER) FROM sqlite_sequence WHERE name = 'jobs'), 0))";

pub async fn content(queue: &SqliteQueue, within: Duration) -> sqlx::Result<Content> {
    let journal_mode = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&queue.pool).await?;
    let integrity = integrity(queue, within).await?;
    if let Integrity::Broken(_) = integrity {
        // Nothing it says can be relied on.
        return Ok(Content { journal_mode, integrity, rules: Rules::default(), last_id: 0 });
    }
    let rules = queue.rules().await?;
    let last_id = sqlx::query_scalar(LAST_ID).fetch_one(&queue.pool).await?;
    Ok(Content { journal_mode, integrity, rules, last_id })
}

async fn integrity(queue: &SqliteQueue, within: Duration) -> sqlx::Result<Integrity> {
    let mut connection = queue.pool.acquire().await?;
    let look =
        async |db: &mut SqliteConnection| sqlx::query_scalar::<_, String>("PRAGMA quick_check").fetch_all(db).await;
    // Told to end, it may report the end as a fault of the page it was at.
    match super::within::within(&mut connection, within, look).await {
        Ok(None) => Ok(Integrity::Unfinished),
        Ok(Some(words)) if words == ["ok"] => Ok(Integrity::Sound),
        Ok(Some(faults)) => Ok(judged(faults)),
        Err(error) if primary_code(&error) == Some(CORRUPT) => Ok(Integrity::Broken(error.to_string())),
        Err(error) => Err(error),
    }
}

/// What its content says.
fn sound(content: &Content, took: Duration, within: Duration) -> Vec<StorageFinding> {
    let schema = newest();
    let depth = match content.integrity {
        Integrity::Unfinished => format!("checked in part within {} s", within.as_secs()),
        _ => format!("quick check passed in {} ms", took.as_millis()),
    };
    let mut findings = Vec::new();
    if let Integrity::Unruly(fault) = &content.integrity {
        let cure = "the agent names such jobs in its log, at its start or when it meets them; correct them by hand, or let them end";
        let text = format!(
            "a row breaks the rules of its table ({}): it was written with the checks off; the file itself is sound",
            first_line(fault)
        );
        findings.push(StorageFinding::warn(text).cure(cure));
    } else if let Integrity::Broken(fault) = &content.integrity {
        findings.push(damaged(fault));
    } else {
        findings.push(StorageFinding::pass(format!("a queue, schema {schema}, {depth}")));
    }
    findings.extend(rules(&content.rules));
    findings.extend(ids(content.last_id));
    if !content.journal_mode.eq_ignore_ascii_case("wal") {
        let text =
            format!("its journal mode is \"{}\": readers and writers stand in each other's way", content.journal_mode);
        findings.push(
            StorageFinding::warn(text).cure("'event-sender run' sets it to WAL again; another program changed it"),
        );
    }
    findings
}

/// Whether its rules are those of this program, and nobody else's in the way.
fn rules(rules: &Rules) -> Vec<StorageFinding> {
    let mut findings = Vec::new();
    let (tables, others): (Vec<&Rule>, Vec<&Rule>) = rules.changed.iter().partition(|rule| rule.kind == "table");
    for (lost, fate) in [(rules.missing.iter().collect(), "missing"), (others, "changed")] {
        let lost: Vec<&Rule> = lost;
        if !lost.is_empty() {
            let text = format!("rules of its own are {fate}: {}; what they forbid is not refused now", named(&lost));
            let cure = "restart the agent, which recreates them; whatever rebuilt the table must keep its triggers and indexes";
            findings.push(StorageFinding::fail(text).cure(cure));
        }
    }
    if !tables.is_empty() {
        let text = format!("another program has rebuilt or altered {}: rules of the table may be gone", named(&tables));
        let cure = "compare it with a new queue ('.schema'), and move the jobs into one if rules are missing";
        findings.push(StorageFinding::warn(text).cure(cure));
    }
    if !rules.strange.is_empty() {
        let strange: Vec<&Rule> = rules.strange.iter().collect();
        let text = format!(
            "not the queue's own: {}; what it refuses, the agent can neither claim nor record",
            named(&strange)
        );
        findings.push(StorageFinding::warn(text).cure("see that it refuses no update of a job, or drop it"));
    }
    findings
}

fn named(rules: &[&Rule]) -> String {
    let names = rules.iter().map(|rule| match rule.kind.as_str() {
        "table" => format!("table {}", rule.name),
        kind => format!("{kind} {} on {}", rule.name, rule.table),
    });
    cut(&names.collect::<Vec<_>>().join(", "), 400)
}

/// Every new job gets an id beyond all others, and there is a largest one.
fn ids(last: i64) -> Option<StorageFinding> {
    if LARGEST_ID.saturating_sub(last) > FEW_IDS {
        return None;
    }
    let text = format!("its ids are nearly used up: the last was {last}, the largest there can be is {LARGEST_ID}");
    let cure = "with the agent stopped, delete the job with that id if there is one, then run in sqlite3: \
                UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM jobs) WHERE name = 'jobs'";
    Some(if last >= LARGEST_ID { StorageFinding::fail(text) } else { StorageFinding::warn(text) }.cure(cure))
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("***"));
    cut(line.unwrap_or(text), 160)
}

/// Where it is.
fn place(path: &Path) -> Vec<StorageFinding> {
    // Of a queue that is still to be made: where that would be.
    let real = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into());
    let Some(directory) = real.ancestors().skip(1).find(|directory| directory.is_dir()) else { return Vec::new() };
    let mut findings = Vec::new();
    if let Some(kind) = network_file_system(directory) {
        let text = format!("it is on a network file system ({kind}): locks do not hold there, and rows can be lost");
        findings.push(StorageFinding::warn(text).cure("move it to a local disk"));
    }
    let size = |suffix: &str| std::fs::metadata(beside(&real, suffix)).map_or(0, |file| file.len());
    if let Ok(system) = statvfs(directory) {
        findings.extend(room(&system, size("") + size("-wal")));
    }
    let log = size("-wal");
    if log >= LONG_LOG {
        let text = format!(
            "its log has grown to {}: a program has had a read transaction open for a long time",
            megabytes(log)
        );
        findings.push(StorageFinding::warn(text).cure("find it ('fuser -v FILE') and let it end its transaction"));
    }
    findings
}

/// Whether there is room beside a queue of `size` bytes.
fn room(system: &StatVfs, size: u64) -> Option<StorageFinding> {
    if system.f_blocks == 0 {
        // It does not count.
        return None;
    }
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // Some file systems have no number of files to run out of.
    if system.f_files > 0 && system.f_favail < FEW_INODES {
        let text = format!("its file system has room for {} more files", system.f_favail);
        let finding = if system.f_favail == 0 { StorageFinding::fail(text) } else { StorageFinding::warn(text) };
        return Some(finding.cure("delete small files there ('df -i')"));
    }
    let text = format!("its file system has {} left", megabytes(free));
    let cure = "make room, or set queue.retention; a full disk loses nothing, but nothing is sent either";
    if free < HARDLY_ANY {
        return Some(StorageFinding::fail(text).cure(cure));
    }
    (free < LITTLE.max(size / 10)).then(|| StorageFinding::warn(text).cure(cure))
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// So much of what others wrote.
fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
