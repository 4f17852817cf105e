//! The samples of `docs/insert.md`, as files of `docs/samples/`: each inserts a row as its reader would, passes over it the
//! second time, and gets the EventID back. Those whose language is not installed are named on stderr, past the test's own capture;
//! `EVENT_SENDER_SAMPLES=all`, as in `.ci/run`, wants all of them but PowerShell.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed::Bed;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples").join(name)
}

fn works(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|ran| ran.status.success())
}

/// Node.js has SQLite from version 22 on; `.ci/samples` puts one there where the system's is older.
fn node() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/samples/node_modules/.bin/node");
    [PathBuf::from("node"), own].into_iter().find(|node| works(node, &["-e", "require('node:sqlite')"]))
}

/// The command for a sample, without its arguments; none where its language is not installed.
fn command(name: &str) -> Option<Command> {
    let file = sample(name);
    let mut command = match file.extension().unwrap().to_str().unwrap() {
        "sh" => Command::new("sh"),
        "py" => Command::new("python3"),
        "php" if works("php", &["-r", "new PDO('sqlite::memory:');"]) => Command::new("php"),
        "mjs" => Command::new(node()?),
        "java" => {
            let driver = Path::new("/usr/share/java/sqlite-jdbc.jar").to_str().filter(|jar| Path::new(jar).exists())?;
            let mut java = works("java", &["-version"]).then(|| Command::new("java"))?;
            java.args(["-cp", driver]);
            java
        }
        "go" => {
            let packages = Path::new("/usr/share/gocode");
            let driver = packages.join("src/github.com/mattn/go-sqlite3").exists();
            let mut go = (driver && works("go", &["version"])).then(|| Command::new("go"))?;
            go.arg("run").env("GO111MODULE", "off").env("GOPATH", packages);
            go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
            go
        }
        "cs" => {
            let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("Insert.exe");
            let compiled = Command::new("mcs")
                .args(["-langversion:latest", "-d:MONO", "-r:Mono.Data.Sqlite.dll", "-r:System.Data.dll"])
                .arg(format!("-out:{}", program.display()))
                .arg(&file)
                .output()
                .ok()?;
            assert!(compiled.status.success(), "{compiled:?}");
            let mut mono = works("mono", &["--version"]).then(|| Command::new("mono"))?;
            mono.arg(program);
            return Some(mono);
        }
        _ => return None,
    };
    command.arg(file);
    Some(command)
}

async fn run(mut command: Command) -> String {
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

async fn inserts_once_and_gets_the_event_id(name: &str) {
    if command(name).is_none() {
        assert!(std::env::var("EVENT_SENDER_SAMPLES").as_deref() != Ok("all"), "{name}: its language is not installed");
        // Straight to the process's stderr: what a test says through the macros is shown only when it fails.
        let said = format!("NOT RUN: docs/samples/{name}, its language is not installed\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    let bed = Bed::new().await;
    let agent = bed.run();
    let with = |queue: &Path| {
        let mut command = command(name).unwrap();
        command.arg(queue).arg("order-4711");
        command
    };
    let ids = [run(with(&bed.queue_path())).await, run(with(&bed.queue_path())).await];
    let event = &bed.events()[0].id;
    assert!(ids.iter().all(|said| said.contains(event.as_str()) && said.contains("sent")), "{ids:?}, not {event}");
    assert_eq!(bed.events().len(), 1);
    // A wrong path: said, and no empty file left. The shell's own program knows no such care.
    if name != "insert.sh" {
        let mut lost = with(&bed.home().join("lost.db"));
        let ran = tokio::task::spawn_blocking(move || lost.output().unwrap()).await.unwrap();
        assert!(!ran.status.success() && !bed.home().join("lost.db").exists(), "{ran:?}");
    }
    agent.stop().await.expect(0);
}

macro_rules! samples {
    ($($test:ident: $name:literal,)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $test() {
            inserts_once_and_gets_the_event_id($name).await;
        }
    )* };
}

samples! {
    the_shell_sample_works: "insert.sh",
    the_python_sample_works: "insert.py",
    the_php_sample_works: "insert.php",
    the_node_sample_works: "insert.mjs",
    the_java_sample_works: "Insert.java",
    the_go_sample_works: "insert.go",
    the_csharp_sample_works: "Insert.cs",
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_sql_sample_works() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let sql = || {
        let mut shell = Command::new("sqlite3");
        shell.args(["-bail", "-init", "/dev/null", "-cmd", ".timeout 30000"]).arg(bed.queue_path());
        shell.stdin(std::fs::File::open(sample("insert.sql")).unwrap());
        shell
    };
    run(sql()).await;
    bed.until(1, "sent").await;
    let said = run(sql()).await;
    assert!(said.starts_with("sent|") && bed.events().len() == 1, "{said}");
    agent.stop().await.expect(0);
}

/// Three jobs of one event, which the second run passes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_sample_of_an_events_life_works() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let life = || {
        let mut python = Command::new("python3");
        python.arg(sample("life.py")).arg(bed.queue_path()).arg("visit-4711");
        python
    };
    let said = [run(life()).await, run(life()).await];
    assert_eq!(said[0], said[1], "nothing is done twice");
    let event = &bed.events()[0].id;
    let done = ["create", "update", "delete"].map(|operation| format!("{operation} sent {event}\n"));
    assert_eq!(said[0], done.concat());
    assert_eq!((bed.events().len(), bed.jobs().await.len()), (1, 3));
    agent.stop().await.expect(0);
}
