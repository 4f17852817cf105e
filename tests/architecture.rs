//! The walls between the rooms of `src/`: which room may import which. The table is the one of the crate's front page; an
//! arrow that is not in it fails, and so does an entry that nobody uses any more.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room with what it imports. Rooms that are not here import nothing of ours.
const IMPORTS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "access",
            "accounts",
            "advice",
            "agent",
            "auth",
            "certificate",
            "characters",
            "clock",
            "config",
            "encoding",
            "exit",
            "format",
            "graph",
            "hint",
            "job",
            "queue",
            "sandbox",
            "secret",
            "shutdown",
            "telemetry",
            "effective_user",
            "visible",
            "worker",
        ],
    ),
    (
        "agent",
        &[
            "advice",
            "auth",
            "backoff",
            "certificate",
            "config",
            "exit",
            "graph",
            "http",
            "job",
            "monitor",
            "policy",
            "queue",
            "secret",
            "telemetry",
            "web",
            "worker",
        ],
    ),
    ("monitor", &["auth", "job", "listener", "queue", "visible", "worker"]),
    ("web", &["advice", "config", "format", "job", "listener", "queue", "secret", "visible", "worker"]),
    ("listener", &["backoff"]),
    ("advice", &["auth", "format", "graph", "job", "queue"]),
    ("worker", &["auth", "backoff", "clock", "graph", "hint", "job", "policy", "queue", "retry_after", "secret"]),
    ("policy", &["backoff", "job", "retry_after"]),
    ("queue", &["access", "accounts", "backoff", "clock", "config", "job", "effective_user"]),
    ("graph", &["clock", "hint", "http", "job", "retry_after", "secret"]),
    ("auth", &["backoff", "certificate", "hint", "identity", "retry_after", "secret", "secret_file"]),
    (
        "config",
        &[
            "access",
            "accounts",
            "certificate",
            "characters",
            "encoding",
            "hint",
            "identity",
            "job",
            "secret",
            "secret_file",
            "visible",
        ],
    ),
    ("job", &["characters", "hint"]),
    ("certificate", &["secret"]),
    ("identity", &["secret"]),
    ("secret_file", &["access", "encoding", "secret"]),
    ("telemetry", &["visible"]),
    ("format", &["job", "visible"]),
    ("effective_user", &["accounts"]),
    ("access", &["accounts"]),
];

/// The rooms: folders and files right below `src/`.
fn rooms(source: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let rooms = names.map(|name| name.strip_suffix(".rs").unwrap_or(&name).to_owned());
    rooms.filter(|room| !room.ends_with("_tests") && room != "lib" && room != "main").collect()
}

/// The program's own text in a file: without its comments and its tests.
fn own_text(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every room a text names after `start`, such as `crate::`, alone or in a list.
fn named(text: &str, start: &str, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split(start).skip(1) {
        let list = rest.strip_prefix('{').and_then(|rest| rest.split_once("};")).map(|(list, _)| list);
        let words = list.unwrap_or_else(|| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
        let mut depth = 0;
        for word in words.split_inclusive(['{', '}', ',', ':']) {
            let name = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
            if depth == 0 && rooms.contains(name) {
                found.insert(name.to_owned());
            }
            depth += word.matches('{').count() as i32 - word.matches('}').count() as i32;
        }
    }
    found
}

/// The files of the program below a folder, or the file itself.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect();
    }
    let name = path.to_string_lossy();
    let is_source = name.ends_with(".rs") && !name.ends_with("_tests.rs");
    is_source.then(|| path.to_owned()).into_iter().collect()
}

#[test]
fn rooms_import_what_the_front_page_allows_and_nothing_else() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms = rooms(&source);
    let allowed: BTreeMap<&str, BTreeSet<String>> = IMPORTS
        .iter()
        .map(|(room, imports)| (*room, imports.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    for room in &rooms {
        let mut found = BTreeSet::new();
        for path in [source.join(room), source.join(format!("{room}.rs"))] {
            if path.exists() {
                found.extend(sources(&path).iter().flat_map(|file| named(&own_text(file), "crate::", &rooms)));
            }
        }
        found.remove(room);
        let expected = allowed.get(room.as_str()).cloned().unwrap_or_default();
        assert_eq!(
            found, expected,
            "{room} imports (left) what the table (right) does not say, or the other way round"
        );
    }
}

/// The rooms in the order of the crate's front page: from the top of its table to the end, within a row to the right.
fn order() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split("[`").flat_map(|name| name.split('`').next()));
    names.map(|name| name.trim_start_matches("mod@").to_owned()).collect()
}

#[test]
fn no_arrow_runs_back_up() {
    let order = order();
    let rooms = rooms(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(order.iter().cloned().collect::<BTreeSet<_>>(), rooms, "the rooms of the front page (left) and of src/");
    let place = |name: &str| order.iter().position(|room| room == name);
    for (room, imports) in IMPORTS {
        for import in *imports {
            assert!(place(room) < place(import), "{room} imports {import}, which stands above it on the front page");
        }
    }
    let imports: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    fn reaches(from: &str, to: &str, imports: &BTreeMap<&str, &[&str]>) -> bool {
        imports.get(from).is_some_and(|next| next.iter().any(|room| *room == to || reaches(room, to, imports)))
    }
    assert!(!reaches("queue", "graph", &imports) && !reaches("graph", "queue", &imports));
    assert!(!reaches("sandbox", "graph", &imports) && !reaches("sandbox", "auth", &imports));
}

/// Files outside of the two kinds of queue that know sqlx, and why.
const KNOW_SQLX: &[(&str, &str)] = &[
    ("config/database.rs", "a URL is judged by the client that will use it"),
    ("queue/columns.rs", "a row of either database is read in one place"),
];

#[test]
fn only_the_two_queues_know_sqlx() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_queue =
        |file: &Path| ["queue/sqlite", "queue/postgres"].iter().any(|kind| file.starts_with(source.join(kind)));
    let knows = sources(&source).into_iter().filter(|file| !is_queue(file) && own_text(file).contains("sqlx::"));
    let found: BTreeSet<String> =
        knows.map(|file| file.strip_prefix(&source).unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(found, KNOW_SQLX.iter().map(|(file, _)| (*file).to_owned()).collect());
}

#[test]
fn the_two_queues_import_nothing_of_each_other() {
    let queue = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/queue");
    for (kind, other) in [("sqlite", "postgres"), ("postgres", "sqlite")] {
        let other: BTreeSet<String> = [other.to_owned()].into();
        for file in sources(&queue.join(kind)) {
            let text = own_text(&file);
            let found = ["crate::queue::", "super::"].map(|start| named(&text, start, &other));
            assert!(found.iter().all(BTreeSet::is_empty), "{} imports {other:?}", file.display());
        }
    }
}

/// The wings of `src/sandbox/`, each with the wings it imports. The files beside them are the ground floor: every wing may
/// import it, and it imports none.
const WINGS: &[(&str, &[&str])] =
    &[("calendar", &[]), ("entra", &[]), ("faults", &["entra"]), ("http", &["calendar", "entra", "faults"])];

#[test]
fn wings_of_the_sandbox_import_the_wings_below_them_and_nothing_else() {
    let sandbox = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox");
    let wings: BTreeSet<String> = WINGS.iter().map(|(wing, _)| (*wing).to_owned()).collect();
    let files = |path: &Path| {
        let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let tests = |file: &Path| {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            name.ends_with("_tests") || ["signer", "testbed"].contains(&name.as_str())
        };
        files.filter(|file| file.is_file() && !tests(file)).collect::<Vec<_>>()
    };
    let after = |text: &str, start: &str| -> Vec<String> {
        let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || "_{".contains(*c)).collect();
        text.split(start).skip(1).map(name).collect()
    };
    for (wing, below) in WINGS {
        let mut found = BTreeSet::new();
        for file in files(&sandbox.join(wing)) {
            let text = own_text(&file);
            assert!(!text.contains("super::super::"), "{} looks past its wing's door", file.display());
            // In the wing's own file, `super` is the sandbox.
            let starts =
                if file.ends_with("mod.rs") { vec!["crate::sandbox::", "super::"] } else { vec!["crate::sandbox::"] };
            for name in starts.iter().flat_map(|start| after(&text, start)) {
                let is_file = sandbox.join(format!("{name}.rs")).exists();
                assert!(is_file || wings.contains(&name), "{} imports {name:?} of the front page", file.display());
                found.extend(wings.contains(&name).then_some(name));
            }
        }
        let expected: BTreeSet<String> = below.iter().map(|wing| (*wing).to_owned()).collect();
        assert_eq!(
            found, expected,
            "{wing} imports (left) what the table (right) does not say, or the other way round"
        );
    }
    for file in files(&sandbox).iter().filter(|file| !file.ends_with("mod.rs")) {
        let text = own_text(file);
        let names: Vec<String> = ["super::", "crate::sandbox::"].iter().flat_map(|start| after(&text, start)).collect();
        assert!(!names.iter().any(|name| wings.contains(name)), "{} imports a wing: {names:?}", file.display());
    }
}

/// The rooms that drive work, and may ask what time it is. `sandbox` plays Microsoft, which has clocks of its own.
const ASK_THE_CLOCK: &[&str] = &["agent", "cli", "monitor", "sandbox", "web", "worker"];

/// Files elsewhere that read a clock, and why they may. What is due, paused or old is compared with none of these.
const READ_A_CLOCK: &[(&str, &str)] = &[
    ("clock.rs", "what the time is read by"),
    ("queue/postgres/clock.rs", "the server's clock beside this machine's"),
    ("queue/sqlite/clock.rs", "the queue's own clock"),
    ("queue/sqlite/open.rs", "how long a queue that is being made is waited for"),
    ("queue/sqlite/report/census.rs", "how long a count takes"),
    ("queue/sqlite/report/health.rs", "how long a check of the file takes"),
    ("queue/sqlite/report/within.rs", "how long a question may take"),
    ("auth/cache.rs", "when the second of two requests for a token was made"),
    ("graph/search.rs", "how long a search may take"),
    ("graph/transport.rs", "how long a request waits for a connection, and a connection for a request"),
    ("job/rules.rs", "when a zone's file was read last"),
];

#[test]
fn only_those_who_drive_work_ask_the_clock() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    clock_readers(&source, &source, &mut found);
    let allowed: BTreeSet<String> = READ_A_CLOCK.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, allowed, "files that read a clock (left) and those that may (right)");
}

fn clock_readers(path: &Path, source: &Path, found: &mut BTreeSet<String>) {
    let name = path.strip_prefix(source).unwrap().to_string_lossy().into_owned();
    if path.is_dir() {
        if !ASK_THE_CLOCK.contains(&name.as_str()) {
            std::fs::read_dir(path).unwrap().for_each(|entry| clock_readers(&entry.unwrap().path(), source, found));
        }
    } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") {
        // The queue measures by its own clock how long its statements take.
        let text = own_text(path);
        let text = if name.starts_with("queue/") { text.replace(".elapsed()", "") } else { text };
        if reads_a_clock(&text) {
            found.insert(name);
        }
    }
}

fn reads_a_clock(text: &str) -> bool {
    let calls = ["Utc::now", "Local::now", "Instant::now", "SystemTime::now", "Now::read", ".elapsed()"];
    calls.iter().any(|call| text.contains(call))
}

#[test]
fn a_clock_is_found_however_it_is_read() {
    for reader in [
        "let now = Now::read();",
        "TokenEndpoint::entra(http, chrono::Utc::now)",
        "tokio::time::Instant::now()",
        "begin.elapsed()",
    ] {
        assert!(reads_a_clock(reader), "{reader}");
    }
    assert!(!reads_a_clock("fn due(now: DateTime<Utc>) -> bool"));
}

#[test]
fn imports_are_found_in_every_form() {
    let rooms: BTreeSet<String> = ["job", "queue", "graph"].map(str::to_owned).into();
    let found = |text: &str| named(text, "crate::", &rooms).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(found("use crate::job::{Job, queue};"), "job");
    assert_eq!(found("use crate::{graph, job::Job};"), "graph job");
    assert_eq!(found("fn f(job: &crate::queue::Record) {}"), "queue");
    assert_eq!(found("use crate::backoff::doubled;"), "");
}
