//! `init`: settings from flags or from answers on a terminal. Never overwrites, takes no secret from the command line.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use event_sender::sandbox;

use crate::bed::{Bed, MAILBOX, row};

/// What a person who has registered an application knows.
const FLAGS: [&str; 9] = [
    "init",
    "--tenant",
    sandbox::TENANT_ID,
    "--client",
    sandbox::CLIENT_ID,
    "--mailbox",
    MAILBOX,
    "--time-zone",
    "Europe/Berlin",
];

/// A bed whose sandbox is found through the environment, as `init` asks for no addresses.
async fn bed() -> Bed {
    let mut bed = Bed::new().await;
    let url = bed.sandbox().url();
    bed.env("EVENT_SENDER__AUTH__INSTANCE", &url);
    bed.env("EVENT_SENDER__GRAPH__ENDPOINT", &url);
    bed
}

fn put_secret(bed: &Bed) -> String {
    let file = bed.home().join("client_secret");
    std::fs::write(&file, sandbox::CLIENT_SECRET).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn flags_make_settings_that_pass_the_check_and_send() {
    let bed = bed().await;
    let secret = put_secret(&bed);
    let ran = bed.bare_command(&[&FLAGS[..], &["--client-secret-file", &secret]].concat()).await.expect(0);
    assert!(ran.stdout.contains("PASS  token"), "{ran:?}");
    let file = bed.config_path();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\ntime_zone = \"Europe/Berlin\"\n") && !text.contains(sandbox::CLIENT_SECRET), "{text}");
    let id = bed.insert(row()).await;
    bed.bare_command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.job(id).await.state, "sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_terminal_what_is_missing_is_named_by_its_flags() {
    let bed = bed().await;
    let ran = bed.bare_command(&["init", "--tenant", sandbox::TENANT_ID]).await.expect(2);
    for flag in ["--client", "--client-secret-file", "--mailbox"] {
        assert!(ran.stderr.contains(flag), "{ran:?}");
    }
    assert!(!ran.stderr.contains("--tenant") && !ran.stderr.contains("--queue"), "{ran:?}");
    let absent = bed.home().join("nowhere");
    let ran =
        bed.bare_command(&[&FLAGS[..], &["--client-secret-file", absent.to_str().unwrap()]].concat()).await.expect(2);
    assert!(ran.stderr.contains("--client-secret-file") && ran.stderr.contains("there is no file"), "{ran:?}");
    assert!(!bed.config_path().exists() && !absent.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_that_is_there_is_overwritten() {
    let bed = bed().await;
    let secret = put_secret(&bed);
    let flags = [&FLAGS[..], &["--client-secret-file", &secret]].concat();
    for make in ["# mine\n", ""] {
        std::fs::write(bed.config_path(), make).unwrap();
        let ran = bed.bare_command(&flags).await.expect(1);
        assert!(ran.stderr.contains("is there already"), "{ran:?}");
        assert_eq!(std::fs::read_to_string(bed.config_path()).unwrap(), make);
    }
    std::fs::remove_file(bed.config_path()).unwrap();
    std::os::unix::fs::symlink("elsewhere.toml", bed.config_path()).unwrap();
    bed.bare_command(&flags).await.expect(1);
    assert!(!bed.home().join("elsewhere.toml").exists(), "a link to nowhere was followed");
    bed.bare_command(&[&flags[..], &["--config", "another.toml"]].concat()).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_answer_is_named_by_its_key_and_nothing_is_written() {
    let bed = bed().await;
    let secret = put_secret(&bed);
    let flags = ["init", "--tenant", "contoso", "--client", "no-guid", "--mailbox", "mailto:ann@contoso.com"];
    let ran = bed.bare_command(&[&flags[..], &["--client-secret-file", &secret]].concat()).await.expect(78);
    for key in ["auth.client_id", "defaults.mailbox"] {
        assert!(ran.stderr.contains(key), "{ran:?}");
    }
    assert!(!bed.config_path().exists());
    let names: Vec<_> = std::fs::read_dir(bed.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_path_is_judged_as_it_was_typed() {
    let bed = bed().await;
    let secret = put_secret(&bed);
    for (flag, value, part) in [
        ("--queue", "~/q.db", "queue.path: is \"~/q.db\", which begins with ~"),
        ("--queue", "$HOME/q.db", "queue.path: is \"$HOME/q.db\", which begins with $"),
        ("--queue", ":memory:", "queue.path: is \":memory:\", which is a database that ends with the process"),
        ("--queue", "postgres://u@h/db", "queue.path: is \"postgres://u@h/db\", which is an address"),
        ("--queue", "there/", "queue.path: is \"there/\", which is a directory"),
        ("--client-secret-file", "~/secret", "auth.client_secret_file: begins with ~, which is not expanded here"),
    ] {
        let others = if flag == "--queue" { ["--client-secret-file", &secret] } else { ["--queue", "queue.db"] };
        let ran = bed.bare_command(&[&FLAGS[..], &others, &[flag, value]].concat()).await.expect(78);
        assert!(ran.stderr.contains(part), "{value}: {ran:?}");
        assert!(!bed.config_path().exists());
    }
    let others = ["--client-secret-file", "client_secret", "--queue", "there/q.db"];
    bed.bare_command(&[&FLAGS[..], &others].concat()).await.expect(0);
    let text = std::fs::read_to_string(bed.config_path()).unwrap();
    assert!(text.contains(&format!("\npath = \"{}\"\n", bed.home().join("there/q.db").display())), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flag_that_the_mode_does_not_use_is_refused() {
    let bed = bed().await;
    for (mode, flags, told) in [
        ("managed_identity", ["--password-file", "x"], "--password-file: mode managed_identity does not use it"),
        ("managed_identity", ["--tenant", sandbox::TENANT_ID], "--tenant: mode managed_identity does not use it"),
        ("certificate", ["--client-secret-file", "x"], "--client-secret-file: mode certificate does not use it"),
        ("client_secret", ["--username", "x"], "--username: mode client_secret does not use it"),
        ("password", ["--private-key-file", "x"], "--private-key-file: mode password does not use it"),
    ] {
        let ran = bed.bare_command(&[&["init", "--mode", mode], &flags[..]].concat()).await.expect(2);
        assert!(ran.stderr.contains(told), "{ran:?}");
    }
    let ran = [&FLAGS[..], &["--systemd-credential", "--client-secret-file", "x"]].concat();
    let ran = bed.bare_command(&ran).await.expect(2);
    assert!(ran.stderr.contains("--client-secret-file: --systemd-credential is in its place"), "{ran:?}");
    let ran = [&FLAGS[..], &["--systemd-credential", "--mode", "federated"]].concat();
    let ran = bed.bare_command(&ran).await.expect(2);
    assert!(ran.stderr.contains("give --federated-token-file"), "{ran:?}");
    assert!(!bed.config_path().exists());
    // A user may sign in to an application that has a secret.
    let secret = put_secret(&bed);
    let user = ["--mode", "password", "--username", "ann@contoso.com", "--password-file", &secret];
    let ran = [&FLAGS[..], &user, &["--client-secret-file", &secret]].concat();
    bed.bare_command(&ran).await;
    let text = std::fs::read_to_string(bed.config_path()).unwrap();
    assert!(text.contains(&format!("\nclient_secret_file = \"{secret}\"\n")), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_systemd_credential_needs_no_file() {
    let bed = bed().await;
    let ran = bed.bare_command(&[&FLAGS[..], &["--systemd-credential"]].concat()).await.expect(0);
    assert!(ran.stdout.contains("credential"), "{ran:?}");
    assert!(!std::fs::read_to_string(bed.config_path()).unwrap().contains("\nclient_secret"));
}

/// Answers questions on a terminal of its own: for each the words it waits for, and what it types.
const PERSON: &str = r#"
import json, os, pty, sys, termios, time
answers, command = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
seen, rest = b"", b""
def read():
    global seen, rest
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        piece = b""
    seen, rest = seen + piece, rest + piece
    return piece
for question, answer in answers:
    while question.encode() not in rest:
        if not read():
            sys.exit(f"{question} was not asked: {seen.decode()}")
    rest = b""
    # The question is there a moment before the echo is gone; a person is slower than that.
    while question == "not shown" and termios.tcgetattr(terminal)[3] & termios.ECHO:
        time.sleep(0.01)
    os.write(terminal, answer.encode() + b"\n")
while read():
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_terminal_it_asks_what_matters_and_shows_no_secret() {
    let bed = bed().await;
    let secret = sandbox::CLIENT_SECRET;
    let answers = serde_json::json!([
        ["How does it sign in", "nonsense"],
        ["How does it sign in", ""],
        ["Directory (tenant) ID", sandbox::TENANT_ID],
        ["Application (client) ID", ""],
        ["Application (client) ID", sandbox::CLIENT_ID],
        ["File for the client secret", ""],
        ["Mailbox of jobs", "mailto:ann@contoso.com"],
        ["Zone of times", "Europe/Berlin"],
        ["queue's database", ""],
        ["not shown", secret],
        // What was wrong is named, and everything is asked again, with the earlier answers to be taken.
        ["defaults.mailbox: ", ""],
        ["Application (client) ID [", ""],
        ["File for the client secret", ""],
        ["Mailbox of jobs", MAILBOX],
        ["Zone of times", ""],
        ["queue's database", ""],
    ]);
    let url = bed.sandbox().url();
    let home = bed.home().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("python3")
            .args(["-c", PERSON, &answers.to_string(), env!("CARGO_BIN_EXE_event-sender"), "init"])
            .current_dir(home)
            .env("EVENT_SENDER__AUTH__INSTANCE", &url)
            .env("EVENT_SENDER__GRAPH__ENDPOINT", &url)
            .env_remove("EVENT_SENDER_CONFIG")
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(shown.contains("PASS") && !shown.contains(secret), "{shown}");
    let file = bed.home().join("client_secret");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o400);
    assert!(std::fs::read_to_string(bed.config_path()).unwrap().contains(file.to_str().unwrap()));
}
