//! Settings say to whom the secret is sent. A file that was only found counts if nobody but root and the user can have
//! written it; one that is named counts as it is. And who reads a secret besides the agent is told.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::bed::{Bed, chmod};
use crate::process::Ran;

/// A user and group this machine has no name for.
const STRANGER: u32 = 61_234;

fn root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

async fn is_refused(bed: &Bed, parts: &[&str]) {
    for command in [&["check", "--offline"][..], &["status"], &["run"]] {
        let ran: Ran = bed.bare_command(command).await.expect(78);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for part in ["agent.toml", "--config"].iter().chain(parts) {
            assert!(said.contains(part), "{command:?} {part}: {said}");
        }
    }
    assert!(bed.sandbox().requests().is_empty(), "nothing was sent to whom the file names");
}

async fn is_taken(bed: &Bed, file: &Path) {
    bed.bare_command(&["status", "--config", file.to_str().unwrap()]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settings_that_others_may_write_count_only_if_named() {
    let bed = Bed::new().await;
    bed.write_settings();
    let file = bed.config_path();
    bed.bare_command(&["status"]).await.expect(0);
    for mode in [0o666, 0o642] {
        chmod(&file, mode);
        is_refused(&bed, &["may be changed by everybody", "chmod go-w"]).await;
        is_taken(&bed, &file).await;
    }
    chmod(&file, 0o640);
    for mode in [0o777, 0o1777] {
        chmod(bed.home(), mode);
        is_refused(&bed, &["is in", bed.home().to_str().unwrap(), "everybody"]).await;
        is_taken(&bed, &file).await;
    }
    chmod(bed.home(), 0o755);
    bed.bare_command(&["status"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn so_do_those_of_a_stranger_and_of_a_group_with_others_in_it() {
    if !root() {
        return;
    }
    let bed = Bed::new().await;
    bed.write_settings();
    let (file, home) = (bed.config_path(), bed.home().to_owned());
    for path in [&file, &home] {
        chown(path, Some(STRANGER), None).unwrap();
        is_refused(&bed, &["61234"]).await;
        is_taken(&bed, &file).await;
        chown(path, Some(0), Some(STRANGER)).unwrap();
        let mode = std::fs::metadata(path).unwrap().mode() & 0o777;
        chmod(path, mode | 0o020);
        is_refused(&bed, &["the group 61234"]).await;
        is_taken(&bed, &file).await;
        // Reading alone does no harm here.
        chmod(path, mode & !0o020);
        bed.bare_command(&["status"]).await.expect(0);
        // Root's own group has nobody else in it.
        chown(path, None, Some(0)).unwrap();
        chmod(path, mode | 0o020);
        bed.bare_command(&["status"]).await.expect(0);
        chmod(path, mode);
    }
}

/// A list that lets the stranger read and write, as `setfacl -m u:61234:rw` makes it: version, then tag, rights, number.
fn list_of_access_rights() -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, number) in
        [(1_u16, 6_u16, u32::MAX), (2, 6, STRANGER), (4, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(number.to_le_bytes());
    }
    list
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn so_do_those_with_somebody_else_in_their_list_of_access_rights() {
    let bed = Bed::new().await;
    bed.write_settings();
    let (file, list) = (bed.config_path(), list_of_access_rights());
    let set = rustix::fs::setxattr(&file, "system.posix_acl_access", &list, rustix::fs::XattrFlags::empty());
    if set.is_err() {
        // This file system has none.
        return;
    }
    is_refused(&bed, &["may be changed by"]).await;
    is_taken(&bed, &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_link_and_a_pipe_that_were_only_found_are_refused_at_once() {
    let bed = Bed::new().await;
    bed.write_settings();
    let (file, elsewhere) = (bed.config_path(), bed.home().join("elsewhere.toml"));
    std::fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    is_refused(&bed, &["is a link"]).await;
    is_taken(&bed, &file).await;
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    is_refused(&bed, &["not a regular file"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reload_judges_a_file_that_was_found_again() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.set("delivery.first_retry", "60ms");
    bed.write_settings();
    chmod(&bed.config_path(), 0o666);
    agent.signal("HUP");
    bed.until_said(&agent, "settings refused, the old ones hold").await;
    chmod(&bed.config_path(), 0o640);
    agent.signal("HUP");
    bed.until_said(&agent, "setting changed").await;
    agent.stop().await.expect(0);
}

/// What `run` and `check` say of files that producers may read, both the same.
async fn warned_of(bed: &Bed) -> Vec<String> {
    let config = bed.config_path();
    let named = ["--config", config.to_str().unwrap()];
    let agent = bed.spawn(&[&["run"][..], &named].concat());
    bed.until_said(&agent, "agent started").await;
    let lines = agent.said("secret is readable for producers");
    agent.stop().await.expect(0);
    assert!(lines.iter().all(|line| line["hint"].as_str().unwrap().contains("systemd credential")), "{lines:?}");
    let files: Vec<String> = lines.iter().map(|line| line["file"].as_str().unwrap().to_owned()).collect();
    let check = bed.bare_command(&[&["check", "--offline"][..], &named].concat()).await;
    let told =
        |line: &&str| line.starts_with("WARN  settings") && line.contains("group 61234") && line.contains("0400");
    let warned: Vec<&str> = check.stdout.lines().filter(told).collect();
    assert!(
        warned.len() == files.len() && warned.iter().zip(&files).all(|(line, file)| line.contains(file)),
        "{check:?}"
    );
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_that_those_who_insert_may_read_gets_a_warning_with_the_cure() {
    if !root() {
        return;
    }
    let mut bed = Bed::new().await;
    let directory = bed.home().join("var");
    std::fs::create_dir(&directory).unwrap();
    chown(&directory, None, Some(STRANGER)).unwrap();
    chmod(&directory, 0o2770);
    bed.set("queue.path", directory.join("queue.db").to_str().unwrap());
    bed.write_settings();
    let config = bed.config_path();
    assert_eq!(warned_of(&bed).await, [""; 0], "root's group inserts nothing");
    // As the package installs it.
    chown(&config, None, Some(STRANGER)).unwrap();
    assert_eq!(warned_of(&bed).await, [config.to_str().unwrap()]);
    chmod(&config, 0o600);
    assert_eq!(warned_of(&bed).await, [""; 0]);
    // The same of a file of its own.
    let file = bed.home().join("secret");
    std::fs::write(&file, event_sender::sandbox::CLIENT_SECRET).unwrap();
    chown(&file, None, Some(STRANGER)).unwrap();
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", file.to_str().unwrap());
    bed.write_settings();
    chown(&config, None, Some(STRANGER)).unwrap();
    for (mode, expected) in [(0o640, vec![file.to_str().unwrap()]), (0o400, vec![])] {
        chmod(&file, mode);
        assert_eq!(warned_of(&bed).await, expected, "{mode:o}");
    }
    // Where the group can only look at the queue, it is not the producers'.
    chmod(&file, 0o640);
    chmod(&directory, 0o2750);
    chmod(&directory.join("queue.db"), 0o640);
    assert_eq!(warned_of(&bed).await, [""; 0]);
}
