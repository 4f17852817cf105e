//! Who else on this machine may read what the agent keeps: the queue's files, and the files with secrets in them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use event_sender::sandbox;

use crate::bed::{Bed, chmod, producer};
use crate::process::Process;

const OTHERS: u32 = 0o007;
const MESSAGE: &str = "secret is readable for everybody";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}

/// The daemon, started by a shell that is this careless or careful.
fn run_under_umask(bed: &Bed, mask: &str) -> Process {
    bed.write_settings();
    let mut command = Command::new("sh");
    let script = format!("umask {mask}; exec \"$0\" run");
    command.env_clear().current_dir(bed.home()).args(["-c", &script, env!("CARGO_BIN_EXE_event-sender")]);
    Process::start(command, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_the_agent_makes_is_open_to_everybody_whatever_the_umask() {
    for mask in ["000", "022", "077"] {
        let mut bed = Bed::new().await;
        let queue = bed.home().join("var/lib/queue.db");
        bed.set("queue.path", queue.to_str().unwrap());
        let agent = run_under_umask(&bed, mask);
        bed.until_said(&agent, "agent started").await;
        // A producer's write makes the log and its index.
        let mut other = producer(&queue).await;
        sqlx::query("INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01 09:00', '2026-12-01 10:00')")
            .execute(&mut other)
            .await
            .unwrap();
        bed.wait("the event is there", async || (bed.events().len() == 1).then_some(())).await;
        for name in ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock"] {
            let file = queue.with_file_name(name);
            assert_eq!(mode(&file) & OTHERS, 0, "umask {mask}: {name} is {:o}", mode(&file));
        }
        let directory = queue.parent().unwrap();
        assert_eq!(mode(directory) & OTHERS, 0, "umask {mask}: {:o}", mode(directory));
        agent.stop().await.expect(0);
    }
}

/// What `run` and `check` say of files that everybody may read: one line per file, and both the same.
async fn warnings(bed: &Bed) -> Vec<String> {
    let agent = bed.spawn(&["run"]);
    bed.until_said(&agent, "agent started").await;
    let lines = agent.said(MESSAGE);
    agent.stop().await.expect(0);
    assert!(lines.iter().all(|line| line["level"] == "WARN"), "{lines:?}");
    assert!(lines.iter().all(|line| line["hint"].as_str().is_some_and(|hint| hint.contains("chmod"))), "{lines:?}");
    let files: Vec<String> = lines.iter().map(|line| line["file"].as_str().unwrap().to_owned()).collect();
    let check = bed.bare_command(&["check", "--offline"]).await.expect(0);
    let warned: Vec<&str> = check.stdout.lines().filter(|line| line.starts_with("WARN  settings")).collect();
    assert_eq!(warned.len(), files.len(), "{check:?} {files:?}");
    assert!(warned.iter().zip(&files).all(|(line, file)| line.contains(file) && line.contains("chmod")), "{check:?}");
    assert!(!bed.all_output().contains(sandbox::CLIENT_SECRET));
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settings_with_a_secret_that_everybody_may_read_get_a_warning_with_the_file_and_the_cure() {
    let mut bed = Bed::new().await;
    bed.write_settings();
    // Only found, it would not count where everybody may write it.
    let config = bed.config_path();
    bed.env("EVENT_SENDER_CONFIG", config.to_str().unwrap());
    for (mode, warned) in [(0o644, 1), (0o604, 1), (0o666, 1), (0o640, 0), (0o600, 0), (0o660, 0), (0o400, 0)] {
        chmod(&bed.config_path(), mode);
        let files = warnings(&bed).await;
        assert_eq!(files.len(), warned, "{mode:o}: {files:?}");
        assert!(files.iter().all(|file| file.ends_with("agent.toml")), "{files:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_file_of_a_secret_is_looked_at_too_and_settings_without_secrets_may_be_read_by_everybody() {
    let mut bed = Bed::new().await;
    let file = bed.home().join("client-secret");
    std::fs::write(&file, sandbox::CLIENT_SECRET).unwrap();
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", file.to_str().unwrap());
    bed.write_settings();
    chmod(&bed.config_path(), 0o644);
    for (mode, expected) in [(0o644, vec![file.to_str().unwrap()]), (0o640, vec![]), (0o600, vec![])] {
        chmod(&file, mode);
        assert_eq!(warnings(&bed).await, expected, "{mode:o}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_that_the_environment_overrides_stands_in_the_file_all_the_same() {
    let mut bed = Bed::new().await;
    bed.set("auth.client_secret", "an older one");
    bed.env("EVENT_SENDER__AUTH__CLIENT_SECRET", sandbox::CLIENT_SECRET);
    bed.write_settings();
    chmod(&bed.config_path(), 0o644);
    assert_eq!(warnings(&bed).await.len(), 1);
    // A secret that is only in the environment is in no file.
    bed.unset("auth.client_secret");
    bed.write_settings();
    chmod(&bed.config_path(), 0o644);
    assert_eq!(warnings(&bed).await.len(), 0);
}
