//! The database: is it there, a queue, of this version, sound; is there room for it, on a disk that suits it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::fs::{StatVfs, statvfs};

use super::agent;
use super::findings::Finding;
use crate::cli::standing::Word;
use crate::queue::{Health, Integrity, OpenError, Rule, Rules, SqliteQueue, Strange, network_file_system};

const CHECK: &str = "database";
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
const LAST_ID: i64 = 9_007_199_254_740_991;
const FEW_IDS: i64 = 1_000_000_000_000;

/// What was found of it, for those who come after.
pub(super) struct Database {
    pub(super) findings: Vec<Finding>,
    /// The open queue, if it is one.
    pub(super) queue: Option<SqliteQueue>,
    /// What the agent that ran last says of itself. What it was told to leave alone until a time is left alone until then,
    /// also when it has been stopped meanwhile.
    pub(super) word: Option<Word>,
}

impl Database {
    /// `agent` is the process id of the one that holds its lock.
    pub(super) async fn look(path: &Path, agent: Option<&str>) -> Self {
        let mut found = Self { findings: Vec::new(), queue: None, word: None };
        if let Err(finding) = visible(path) {
            found.findings.push(finding);
            return found;
        }
        match tokio::time::timeout(ANSWER_WITHIN, found.open(path, agent)).await {
            Ok(()) => {}
            Err(_) => {
                let text = format!("it did not answer within {} s", ANSWER_WITHIN.as_secs());
                let cure = "look at the disk, and for programs that hold its lock ('fuser -v FILE')";
                found.findings.push(about(path, Finding::fail(CHECK, text).cure(cure)));
            }
        }
        found.findings.extend(place(path).into_iter().map(|finding| about(path, finding)));
        found
    }

    async fn open(&mut self, path: &Path, agent: Option<&str>) {
        let begin = Instant::now();
        let queue = match SqliteQueue::open_existing(path).await {
            Ok(queue) => queue,
            Err(error) => return self.findings.push(refused(path, error)),
        };
        match queue.health(Utc::now(), LOOK_WITHIN).await {
            Ok(health) => {
                self.findings.extend(sound(&health, begin.elapsed()).into_iter().map(|finding| about(path, finding)));
                self.word = health.agent.as_ref().map(Word::of);
                self.findings.extend(agent::findings(agent, self.word.as_ref(), health.due, Utc::now()));
                self.queue = Some(queue);
            }
            Err(error) => {
                let text = format!("it cannot be read: {error}");
                self.findings.push(about(
                    path,
                    Finding::fail(CHECK, text).cure("look at the permissions above, and at the disk ('dmesg')"),
                ));
            }
        }
    }
}

fn about(path: &Path, finding: Finding) -> Finding {
    finding.about(path.display().to_string())
}

/// A file one may not see is not one that is missing.
fn visible(path: &Path) -> Result<(), Finding> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let text = "you may not look at it";
            let cure = "become a member of the group it belongs to, or run this check as the agent's user";
            Err(about(path, Finding::fail(CHECK, text).cure(cure)))
        }
        _ => Ok(()),
    }
}

/// Why it could not be opened.
fn refused(path: &Path, error: OpenError) -> Finding {
    let finding = match error {
        OpenError::Missing(_) => {
            let cure = "'event-sender run' and 'event-sender enqueue' make it, or check queue.path";
            Finding::warn(CHECK, "there is no queue here yet").cure(cure)
        }
        OpenError::Strange(Strange { path, what, cure }) => return about(&path, Finding::fail(CHECK, what).cure(cure)),
        OpenError::Foreign(_) => {
            Finding::fail(CHECK, "it is a database, but of something else").cure("check queue.path")
        }
        OpenError::Older { found: 0, .. } => {
            Finding::warn(CHECK, "it is empty").cure("'event-sender run' makes a queue of it")
        }
        OpenError::Older { found, known, .. } => {
            Finding::warn(CHECK, format!("its schema is older ({found}, this program's is {known})"))
                .cure("'event-sender run' brings it up to date; until then no other command works on it")
        }
        OpenError::Newer { found, known, .. } => {
            Finding::fail(CHECK, format!("its schema is newer ({found}) than this program knows ({known})"))
                .cure("update this program; is an old copy of it in the way ('command -v event-sender')?")
        }
        other => Finding::fail(CHECK, other.to_string())
            .cure("look at the permissions above, and whether it is a queue at all"),
    };
    about(path, finding)
}

/// What its content says.
fn sound(health: &Health, took: Duration) -> Vec<Finding> {
    let schema = SqliteQueue::newest_schema();
    let depth = match health.integrity {
        Integrity::Unfinished => format!("looked at for {} s, not all of it", LOOK_WITHIN.as_secs()),
        _ => format!("looked through in {} ms", took.as_millis()),
    };
    let mut findings = Vec::new();
    if let Integrity::Unruly(fault) = &health.integrity {
        let cure = "the agent names such jobs in its log, at its start or when it meets them; correct them by hand, or let them end";
        let text = format!(
            "a row breaks the rules of its table ({}): somebody wrote it with the checks off; the file itself is sound",
            first_line(fault)
        );
        findings.push(Finding::warn(CHECK, text).cure(cure));
    } else if let Integrity::Broken(fault) = &health.integrity {
        // Not `.recover`: the sqlite3 of Debian and its kin is built without it.
        let cure = "stop the agent, copy all of its files away, and put a backup back ('event-sender after-restore'); without one, \
                    'sqlite3 -init /dev/null FILE .dump' writes out what can still be read";
        findings.push(Finding::fail(CHECK, format!("it is damaged ({})", first_line(fault))).cure(cure));
    } else {
        findings.push(Finding::pass(CHECK, format!("a queue, schema {schema}, {depth}")));
    }
    findings.extend(rules(&health.rules));
    findings.extend(ids(health.last_id));
    if !health.journal_mode.eq_ignore_ascii_case("wal") {
        let text =
            format!("its journal mode is \"{}\": readers and writers stand in each other's way", health.journal_mode);
        findings.push(Finding::warn(CHECK, text).cure("'event-sender run' sets it to WAL again; somebody changed it"));
    }
    findings
}

/// Whether its rules are those of this program, and nobody else's in the way.
fn rules(rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (tables, others): (Vec<&Rule>, Vec<&Rule>) = rules.changed.iter().partition(|rule| rule.kind == "table");
    for (lost, fate) in [(rules.missing.iter().collect(), "missing"), (others, "changed")] {
        let lost: Vec<&Rule> = lost;
        if !lost.is_empty() {
            let text = format!("rules of its own are {fate}: {}; what they forbid is not refused now", named(&lost));
            let cure = "start the agent anew, it makes them again; whatever rebuilt the table must keep its triggers and indexes";
            findings.push(Finding::fail(CHECK, text).cure(cure));
        }
    }
    if !tables.is_empty() {
        let text = format!("somebody has rebuilt or altered {}: rules of the table may be gone", named(&tables));
        let cure = "compare it with a new queue ('.schema'), and move the jobs into one if rules are missing";
        findings.push(Finding::warn(CHECK, text).cure(cure));
    }
    if !rules.strange.is_empty() {
        let strange: Vec<&Rule> = rules.strange.iter().collect();
        let text = format!(
            "not the queue's own: {}; what it refuses, the agent can neither claim nor record",
            named(&strange)
        );
        findings.push(Finding::warn(CHECK, text).cure("see that it refuses no update of a job, or drop it"));
    }
    findings
}

fn named(rules: &[&Rule]) -> String {
    let names = rules.iter().map(|rule| match rule.kind.as_str() {
        "table" => format!("table {}", rule.name),
        kind => format!("{kind} {} on {}", rule.name, rule.table),
    });
    crate::cli::output::short(&names.collect::<Vec<_>>().join(", "), 400)
}

/// Every new job gets an id beyond all others, and there is a largest one.
fn ids(last: i64) -> Option<Finding> {
    if LAST_ID.saturating_sub(last) > FEW_IDS {
        return None;
    }
    let text = format!("its ids are nearly used up: the last was {last}, the largest there can be is {LAST_ID}");
    let cure = "with the agent stopped, delete the job with that id if there is one, then run in sqlite3: \
                UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM jobs) WHERE name = 'jobs'";
    Some(if last >= LAST_ID { Finding::fail(CHECK, text) } else { Finding::warn(CHECK, text) }.cure(cure))
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("***"));
    crate::cli::output::short(line.unwrap_or(text), 160)
}

/// Where it is.
fn place(path: &Path) -> Vec<Finding> {
    // Of a queue that is still to be made: where that would be.
    let real = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into());
    let Some(directory) = real.ancestors().skip(1).find(|directory| directory.is_dir()) else { return Vec::new() };
    let mut findings = Vec::new();
    if let Some(kind) = network_file_system(directory) {
        let text = format!("it is on a network file system ({kind}): locks do not hold there, and rows can be lost");
        findings.push(Finding::warn(CHECK, text).cure("move it to a local disk"));
    }
    let size = |suffix: &str| {
        let mut name = real.clone().into_os_string();
        name.push(suffix);
        std::fs::metadata(PathBuf::from(name)).map_or(0, |file| file.len())
    };
    if let Ok(system) = statvfs(directory) {
        findings.extend(room(&system, size("") + size("-wal")));
    }
    let log = size("-wal");
    if log >= LONG_LOG {
        let text = format!("its log has grown to {}: a program has been reading it for long", megabytes(log));
        findings.push(Finding::warn(CHECK, text).cure("find it ('fuser -v FILE') and let it end its transaction"));
    }
    findings
}

/// Whether there is room beside a queue of `size` bytes.
fn room(system: &StatVfs, size: u64) -> Option<Finding> {
    if system.f_blocks == 0 {
        // It does not count.
        return None;
    }
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // Some file systems have no number of files to run out of.
    if system.f_files > 0 && system.f_favail < FEW_INODES {
        let text = format!("its file system has room for {} more files", system.f_favail);
        let finding = if system.f_favail == 0 { Finding::fail(CHECK, text) } else { Finding::warn(CHECK, text) };
        return Some(finding.cure("delete small files there ('df -i')"));
    }
    let text = format!("its file system has {} left", megabytes(free));
    let cure = "make room, or set queue.retention; a full disk loses nothing, but nothing is sent either";
    if free < HARDLY_ANY {
        return Some(Finding::fail(CHECK, text).cure(cure));
    }
    (free < LITTLE.max(size / 10)).then(|| Finding::warn(CHECK, text).cure(cure))
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
