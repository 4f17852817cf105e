//! Permissions. Who runs these tests as root gives files away; anybody else takes rights away.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::{lines, says};
use crate::bed::{Bed, chmod};

/// A user and group this machine has no name for.
const AGENT: u32 = 61_234;

fn root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn give(path: &Path, owner: u32, group: u32) {
    chown(path, Some(owner), Some(group)).unwrap();
}

/// A bed whose queue is installed as the package would: a directory of its own, setgid, the agent's.
async fn installed() -> (Bed, PathBuf) {
    let mut bed = Bed::new().await;
    let directory = bed.home().join("var");
    std::fs::create_dir(&directory).unwrap();
    let queue = directory.join("queue.db");
    event_sender::queue::SqliteQueue::open(&queue).await.unwrap().close().await;
    bed.set("queue.path", queue.to_str().unwrap());
    bed.write_settings();
    // Whose it is, and who may write it, is what these tests change.
    let config = bed.config_path();
    bed.env("EVENT_SENDER_CONFIG", config.to_str().unwrap());
    if root() {
        for path in [&directory, &queue, &bed.config_path()] {
            give(path, AGENT, AGENT);
        }
        // The way there is somebody else's.
        chmod(bed.home(), 0o755);
    }
    chmod(&directory, 0o2770);
    (bed, queue)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_as_installed_is_in_order_for_the_user_whose_it_is() {
    let (bed, _) = installed().await;
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(0);
    let user = if root() { AGENT.to_string() } else { "who runs this check".into() };
    says(&ran, "PASS", "permissions", &["correct", &user]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_left_by_root_is_found_with_its_owner() {
    if !root() {
        return;
    }
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let (bed, queue) = installed().await;
        let file = PathBuf::from(format!("{}{suffix}", queue.display()));
        if !file.exists() {
            std::fs::write(&file, "").unwrap();
        }
        give(&file, 0, 0);
        chmod(&file, 0o644);
        let ran = bed.bare_command(&["check", "--offline"]).await.expect(1);
        let name = file.display().to_string();
        says(
            &ran,
            "FAIL",
            "permissions",
            &[&format!("{name}: "), "may not write", "root:root, mode 0644", "as root", "chown 61234"],
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_directory_the_agent_cannot_fill_fails() {
    let (bed, queue) = installed().await;
    let directory = queue.parent().unwrap();
    chmod(directory, 0o550);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "permissions", &[directory.to_str().unwrap(), "may not make files", "2770"]);
    chmod(directory, 0o2770);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settings_and_secrets_the_agent_cannot_read_fail_although_root_can() {
    if !root() {
        return;
    }
    let (mut bed, _) = installed().await;
    give(&bed.config_path(), 0, 0);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "permissions", &["agent.toml", "61234", "may not read"]);

    let file = bed.home().join("secret");
    std::fs::write(&file, event_sender::sandbox::CLIENT_SECRET).unwrap();
    chmod(&file, 0o600);
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", file.to_str().unwrap());
    bed.write_settings();
    give(&bed.config_path(), AGENT, AGENT);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "permissions", &[file.to_str().unwrap(), "may not read"]);
    // Somewhere on the way there is a door that is shut.
    give(&file, AGENT, AGENT);
    chmod(bed.home(), 0o700);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(1);
    says(&ran, "FAIL", "permissions", &[file.to_str().unwrap(), "may not enter", bed.home().to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_open_to_everybody_gets_a_warning() {
    let (bed, queue) = installed().await;
    chmod(&queue, 0o664);
    chmod(&bed.config_path(), 0o642);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "permissions", &["queue.db", "everybody", "chmod o="]);
    says(&ran, "WARN", "permissions", &["agent.toml", "everybody", "may change it"]);
    chmod(&queue, 0o660);
    chmod(&bed.config_path(), 0o640);
    if root() {
        // To producers as well, by the group without a name.
        chmod(&bed.config_path(), 0o660);
        let ran = bed.bare_command(&["check", "--offline"]).await.expect(0);
        says(&ran, "WARN", "permissions", &["agent.toml", "the group 61234 may change it", "chmod go-w"]);
        chmod(&bed.config_path(), 0o640);
    }
    chmod(queue.parent().unwrap(), 0o777);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "permissions", &["var: ", "everybody", "replace"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_shuts_producers_out_gets_a_warning() {
    let (bed, queue) = installed().await;
    let log = queue.with_file_name("queue.db-wal");
    std::fs::write(&log, "").unwrap();
    if root() {
        give(&log, AGENT, AGENT);
    }
    chmod(&log, 0o600);
    let ran = bed.bare_command(&["check", "--offline"]).await.expect(0);
    says(&ran, "WARN", "permissions", &["queue.db-wal", "cannot insert", "chmod 0660"]);
    assert_eq!(lines(&ran, "permissions").len(), 1, "{ran:?}");
}
