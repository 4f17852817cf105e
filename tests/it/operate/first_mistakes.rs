//! What goes wrong first: not in the group, in the wrong directory, a directory for a file, a read-only root, a port that is
//! taken. Each is told with what there is to do.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::bed::{Bed, row, row_for};
use crate::process::{Process, Ran, binary};

/// Nobody in particular, and a group without a name that this user is not in.
const STRANGER: &str = "65534";
const GROUP: u32 = 61_234;

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|ran| ran.stdout == b"0\n")
}

/// The command as a user who is a member of nothing. A test that is not root's has no other user to be.
async fn as_stranger(bed: &Bed, arguments: &[&str]) -> Ran {
    let program = binary(bed.home(), &[]).get_program().to_owned();
    // The stranger must be able to reach the binary, wherever it was built.
    let reached = bed.home().join("event-sender");
    if !reached.exists() {
        std::fs::copy(&program, &reached).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.current_dir(bed.home()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["--reuid", STRANGER, "--regid", STRANGER, "--clear-groups", "--"]).arg(&reached).args(arguments);
    Process::start(command, None).end().await
}

fn open_to(path: &Path, mode: u32, group: u32) {
    chown(path, None, Some(group)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_not_in_the_group_is_told_whose_the_file_is_and_how_to_become_a_member() {
    if !is_root() {
        eprintln!("only root can be another user: not tried");
        return;
    }
    let mut bed = Bed::new().await;
    let home = bed.home().to_owned();
    let queue = home.join("srv/queue.db");
    std::fs::create_dir(home.join("srv")).unwrap();
    bed.set("queue.path", queue.to_str().unwrap());
    bed.command(&["enqueue", "--start", "2030-12-01 09:00", "--end", "2030-12-01 09:30"]).await.expect(0);
    open_to(&home, 0o755, 0);
    let job = ["enqueue", "--start", "2030-12-01 09:00", "--end", "2030-12-01 09:30"];
    let told = |ran: &Ran, verb: &str, path: &Path, mode: &str| {
        let place = format!("may not {verb} {}: it belongs to root:{GROUP}, mode {mode}; ", path.display());
        let cure = format!("'sudo usermod -aG {GROUP} ");
        assert!(ran.stderr.contains(&place) && ran.stderr.contains(&cure), "{verb} {}: {ran:?}", path.display());
    };

    open_to(&bed.config_path(), 0o640, GROUP);
    told(&as_stranger(&bed, &["list"]).await.expect(78), "read", Path::new("agent.toml"), "0640");
    open_to(&bed.config_path(), 0o644, GROUP);

    open_to(&home.join("srv"), 0o2770, GROUP);
    for command in [&["list"][..], &["hold", "ann@contoso.com"], &job] {
        told(&as_stranger(&bed, command).await.expect(1), "enter", &home.join("srv"), "2770");
    }
    open_to(&home.join("srv"), 0o2775, GROUP);
    open_to(&queue, 0o660, GROUP);
    for command in [&["list"][..], &["hold", "ann@contoso.com"], &job] {
        told(&as_stranger(&bed, command).await.expect(1), "write to", &queue, "0660");
    }

    let file = home.join("jobs.ndjson");
    std::fs::write(&file, "{}").unwrap();
    open_to(&file, 0o640, GROUP);
    told(&as_stranger(&bed, &["enqueue", "jobs.ndjson"]).await.expect(1), "read", Path::new("jobs.ndjson"), "0640");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_the_wrong_directory_it_is_told_where_settings_and_queue_were_looked_for() {
    let bed = Bed::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let here = elsewhere.path().canonicalize().unwrap();
    let typed = async |arguments: &[&str]| {
        let mut command = binary(&here, &[]);
        command.args(arguments);
        Process::start(command, None).end().await
    };
    for command in [&["list"][..], &["status"], &["hold", "ann@contoso.com"], &["show", "1"]] {
        let ran = typed(command).await.expect(1);
        let told = [here.join("queue.db"), here.join("agent.toml"), "/etc/event-sender/agent.toml".into()];
        assert!(told.iter().all(|path| ran.stderr.contains(path.to_str().unwrap())), "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("--config"), "{ran:?}");
    }
    let ran = typed(&["run"]).await.expect(78);
    assert!(ran.stderr.contains(&format!("looked for {}", here.join("agent.toml").display())), "{ran:?}");
    let flags = ["--start", "2030-12-01 09:00", "--end", "2030-12-01 09:30", "--mailbox", "ann@contoso.com"];
    let ran = typed(&[&["enqueue"], &flags[..]].concat()).await.expect(0);
    assert!(ran.stderr.contains(&format!("made a new queue at {}", here.join("queue.db").display())), "{ran:?}");
    // Where settings name the queue there is nothing to wonder about.
    assert!(bed.command(&[&["enqueue"], &flags[..]].concat()).await.expect(0).stderr.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_directory_for_a_file_and_a_file_that_is_not_there_are_named() {
    let bed = Bed::new().await;
    let home = bed.home().to_str().unwrap().to_owned();
    let ran = bed.bare_command(&["list", "--config", &home]).await.expect(78);
    assert!(ran.stderr.contains("is a directory; name the file in it") && ran.stderr.contains("agent.toml"), "{ran:?}");
    let ran = bed.command(&["enqueue", &home]).await.expect(2);
    assert!(ran.stderr.contains("is a directory; name the files in it"), "{ran:?}");
    let ran = bed.command(&["enqueue", "no.ndjson"]).await.expect(1);
    assert!(ran.stderr.contains("looked for ") && ran.stderr.contains("/no.ndjson"), "{ran:?}");
    let ran = bed.bare_command(&["list", "--config", "no.toml"]).await.expect(78);
    assert!(ran.stderr.contains("looked for ") && ran.stderr.contains("/no.toml"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_nothing_can_be_put_aside_the_variable_that_changes_it_is_named() {
    let mut bed = Bed::new().await;
    bed.env("TMPDIR", "/proc/nowhere");
    let line = r#"{"start_time":"2030-12-01T09:00","end_time":"2030-12-01T10:00"}"#;
    let ran = bed.command_reading(line, &["enqueue", "-"]).await.expect(1);
    assert!(ran.stderr.contains("/proc/nowhere") && ran.stderr.contains("TMPDIR"), "{ran:?}");
    let ran = bed.command(&["demo"]).await.expect(1);
    assert!(ran.stderr.contains("TMPDIR"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_that_is_taken_is_told_with_its_key_and_what_to_do() {
    let mut bed = Bed::new().await;
    let another = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bed.set_literal("monitor.listen", &format!("\"{}\"", bed.sandbox().address()));
    bed.set_literal("web.listen", &format!("\"{}\"", another.local_addr().unwrap()));
    let agent = bed.run();
    for (message, key) in
        [("monitor cannot listen, trying again", "monitor.listen"), ("page cannot listen, trying again", "web.listen")]
    {
        let line = bed.until_said(&agent, message).await;
        assert_eq!(line["key"], key);
        assert!(line["hint"].as_str().unwrap().contains("'ss -ltnp' says which"), "{line}");
    }
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_list_of_a_kind_that_there_is_not_says_so() {
    let bed = Bed::new().await;
    bed.write_settings();
    bed.insert(row()).await;
    let listed = bed.command(&["list", "--error-kind", "throttle"]).await.expect(0);
    assert!(
        listed.stderr.starts_with("no jobs: throttle is not a kind of failure; there are invalid_job"),
        "{listed:?}"
    );
    for command in ["list", "retry", "cancel", "check"] {
        let refused = bed.command(&[command, "--mailbox", " "]).await.expect(2);
        assert!(refused.stderr.contains("is empty; name the mailbox as the jobs do"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_interrupted_enqueue_says_what_went_in_and_from_where_nothing_did() {
    let bed = Bed::new().await;
    bed.write_settings();
    let line = r#"{"start_time":"2030-12-01T09:00","end_time":"2030-12-01T10:00","mailbox":"ann@contoso.com"}"#;
    std::fs::write(bed.home().join("first.ndjson"), format!("{line}\n{line}\n")).unwrap();
    // Nobody ever writes to it, so it is waited for until somebody presses Ctrl-C.
    let pipe = bed.home().join("pipe.ndjson");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    for (options, first, ids) in [
        (&[][..], "nothing was inserted from first.ndjson", ""),
        (&["--skip-invalid"], "first.ndjson: inserted 2 jobs, ids 1 to 2", "1\n2\n"),
    ] {
        let arguments = [&["enqueue", "first.ndjson", "pipe.ndjson"], options].concat();
        let mut enqueue = bed.spawn(&arguments);
        // It reads the pipe once it has opened it.
        bed.wait("the pipe to be opened", async || {
            let open = std::fs::read_dir(format!("/proc/{}/fd", enqueue.pid())).ok()?;
            open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).find(|target| *target == pipe)
        })
        .await;
        enqueue.signal("INT");
        let ran = enqueue.end().await.expect(1);
        assert!(ran.stderr.contains("pipe.ndjson: interrupted") && ran.stderr.contains(first), "{ran:?}");
        assert_eq!(ran.stdout, ids, "{ran:?}");
    }
    drop(writer);
    assert_eq!(bed.jobs().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_directory_is_no_matter_where_a_queue_is_named() {
    let bed = Bed::new().await;
    bed.insert(row_for("ann@contoso.com")).await;
    let mut command = binary(Path::new("/"), &[]);
    command.env("EVENT_SENDER__QUEUE__PATH", bed.queue_path()).arg("list");
    let ran = Process::start(command, None).end().await.expect(0);
    assert!(ran.stdout.contains("ann@contoso.com"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_that_may_not_be_read_is_told_with_its_owner_and_its_group() {
    if !is_root() {
        eprintln!("only root can be another user: not tried");
        return;
    }
    let mut bed = Bed::new().await;
    open_to(bed.home(), 0o755, 0);
    let secret = bed.home().join("client_secret");
    std::fs::write(&secret, "s3cret").unwrap();
    open_to(&secret, 0o640, GROUP);
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", secret.to_str().unwrap());
    bed.write_settings();
    open_to(&bed.config_path(), 0o644, 0);
    let ran = as_stranger(&bed, &["run"]).await.expect(78);
    let place = format!("may not read {}: it belongs to root:{GROUP}, mode 0640", secret.display());
    assert!(ran.stderr.contains(&place) && ran.stderr.contains("usermod -aG"), "{ran:?}");
}
