//! How things stand, as a person sees it: the words of `status` and `show`, and the live screen on a terminal of its own.

use std::io::Write;
use std::process::{Command, Stdio};

use event_sender::sandbox::Fault;
use serde_json::{Value, json};

use crate::bed::{Bed, MAILBOX, row, row_for};
use crate::process::binary;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn status_says_at_its_end_that_nothing_is_sent_and_why_and_what_to_do() {
    let bed = Bed::new().await;
    bed.insert(row()).await;
    let idle = bed.command(&["status"]).await.expect(0);
    let verdict = "NOTHING IS SENT: no agent is running; 1 job waits";
    let end: Vec<&str> = idle.stdout.lines().skip_while(|line| !line.starts_with(verdict)).collect();
    assert!(end.iter().any(|line| line.trim_start().starts_with("systemctl start event-sender")), "{idle:?}");

    // As the agent writes it while its sign-in is refused.
    let gate = "INSERT OR REPLACE INTO agents (id, version, started_at, settings_at, gate_since, gate_until, gate_kind,
        gate_code, gate_hint) VALUES (1, '9.9', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z',
        '2026-01-01T00:00:00.000Z', '2999-01-01T00:00:00.000Z', 'auth', 'AADSTS7000222', 'The secret has expired.')";
    bed.sql(gate).await;
    let status = bed.command(&["status", "--json"]).await.expect(0).json();
    assert_eq!((&status["gate"], &status["agent"]["running"]), (&Value::Null, &json!(false)), "its agent is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn status_tells_rates_ages_and_holds_to_programs() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let sent = bed.insert(row()).await;
    let failed = bed.insert(row_for("nobody@contoso.com")).await;
    bed.until(sent, "sent").await;
    bed.until(failed, "failed").await;
    agent.stop().await.expect(0);
    bed.insert(row_for("Ann@contoso.com")).await;
    bed.insert(row_for("ann@contoso.com").with("not_before", "2999-01-01T00:00:00Z")).await;
    bed.insert(row()).await;
    bed.sql(
        "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at, held_reason) VALUES
        ('ann@contoso.com', '2026-01-01T00:00:00.000Z', 'held', '2026-01-02T00:00:00.000Z', 'ticket 4711')",
    )
    .await;

    let status = bed.command(&["status", "--json"]).await.expect(0).json();
    assert_eq!(status["rates"]["last_hour"], json!({ "sent": 1, "failed": 1 }));
    assert_eq!(status["rates"]["last_minute"], json!({ "sent": 1, "failed": 1 }));
    assert_eq!(status["failed_by_kind"], json!({ "not_found": 1 }));
    assert_eq!((&status["waiting"]["pending"], &status["waiting"]["later"]), (&json!(3), &json!(1)));
    assert_eq!(status["mailboxes"].as_array().unwrap().len(), 2);
    let ann = &status["mailboxes"][0];
    assert_eq!((&ann["mailbox"], &ann["pending"], &ann["under_1m"]), (&json!("ann@contoso.com"), &json!(2), &json!(1)));
    assert_eq!(status["mailboxes"][1]["mailbox"], MAILBOX, "the unnamed job waits in the default mailbox's lane");
    assert_eq!(status["held_mailboxes"][0]["held_reason"], "ticket 4711");
    assert!(status["oldest_due"].is_string());

    let human = bed.command(&["status", "--mailboxes", "1"]).await.expect(0).stdout;
    let line = human.lines().find(|line| line.trim_start().starts_with("ann@contoso.com")).unwrap();
    assert!(line.ends_with("held"), "{human}");
    for part in
        ["and 1 more mailbox (--mailboxes N)", "ticket 4711", "event-sender release ann@contoso.com", "not_found 1"]
    {
        assert!(human.contains(part), "'{part}' in {human}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn show_says_what_to_do_why_a_job_waits_and_how_its_event_is_found() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(500, "generalException").mailbox("doubt@contoso.com").times(0));
    let agent = bed.run();
    let denied = bed.insert(row_for("denied@contoso.com")).await;
    let invalid = bed.insert(row().with("end_time", "never")).await;
    let doubtful = bed.insert(row_for("doubt@contoso.com")).await;
    bed.until_back(denied, "denied").await;
    bed.until(invalid, "failed").await;
    let doubtful_job = bed.until_back(doubtful, "unavailable").await;

    let shown = bed.command(&["show", &denied.to_string()]).await.expect(0).stdout;
    let attempt = &bed.attempts(denied).await[0];
    for part in [
        "The application may not write to this mailbox.",
        "its mailbox, paused until",
        "event-sender check --mailbox denied@contoso.com",
        "costs no attempt",
        &format!("for Microsoft's support: request-id {}", attempt.request_id.as_deref().unwrap()),
        &format!("client-request-id {}", attempt.client_request_id.as_deref().unwrap()),
    ] {
        assert!(shown.contains(part), "'{part}' in {shown}");
    }
    let advice = bed.command(&["show", &invalid.to_string(), "--json"]).await.expect(0).json()["advice"].clone();
    assert!(advice["to_do"][0].as_str().unwrap().contains("UPDATE jobs SET end_time = …"), "{advice}");
    assert_eq!((&advice["lookup"], &advice["waits_for"]), (&Value::Null, &json!([])));

    // What is shown to be pasted is what the agent itself asks.
    let advice = bed.command(&["show", &doubtful.to_string(), "--json"]).await.expect(0).json()["advice"].clone();
    let lookup = advice["lookup"].as_str().unwrap();
    assert!(lookup.contains("/v1.0/users/doubt@contoso.com/events?"), "{lookup}");
    assert!(lookup.contains(&doubtful_job.transaction_id), "{lookup}");

    bed.sql(
        "UPDATE mailboxes SET held_at = '2026-01-02T00:00:00.000Z', held_reason = 'ticket 4711'
        WHERE mailbox = 'denied@contoso.com'",
    )
    .await;
    agent.stop().await.expect(0);
    let shown = bed.command(&["show", &denied.to_string()]).await.expect(0).stdout;
    for part in ["an agent: none is running", "ticket 4711 (event-sender release denied@contoso.com)"] {
        assert!(shown.contains(part), "'{part}' in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn show_gives_a_program_long_values_whole() {
    let bed = Bed::new().await;
    let long = "x".repeat(5000);
    let id = bed.insert(row().with("body", &long)).await;
    assert!(bed.command(&["show", &id.to_string()]).await.expect(0).stdout.contains(&long));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_live_screen_needs_a_terminal() {
    let bed = Bed::new().await;
    let ran = bed.command(&["status", "--watch"]).await.expect(2);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("--watch needs a terminal"), "{ran:?}");
    bed.command(&["status", "--watch", "0"]).await.expect(2);
    bed.command(&["status", "--watch", "--json"]).await.expect(2);
}

/// Runs a command on a terminal of its own, of so many columns and 24 lines. For each line of its input, waits until the terminal has shown the words before
/// the bar and then does what stands behind it: types a key, sends a signal, or inserts a
/// job. Prints what was shown, and the exit code.
const TERMINAL: &str = r#"
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios, time
steps = [line.rstrip("\n").split("|") for line in sys.stdin]
columns = int(sys.argv.pop(1))
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
shown, seen, end = b"", 0, time.time() + 60
while time.time() < end:
    if steps and steps[0][0].encode() in shown[seen:]:
        seen = len(shown)
        action = steps.pop(0)[1]
        if action == "TERM":
            os.kill(pid, signal.SIGTERM)
        elif action == "INSERT":
            times = ["--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"]
            subprocess.run([sys.argv[1], "enqueue", *times], check=True, stdout=subprocess.DEVNULL)
        else:
            os.write(terminal, action.encode())
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            read = os.read(terminal, 65536)
        except OSError:
            break
        if not read:
            break
        shown += read
else:
    os.kill(pid, signal.SIGKILL)
sys.stdout.buffer.write(shown)
print("\nexit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs a command there, by these steps.
pub fn on_a_terminal(bed: &Bed, arguments: &[&str], steps: &str) -> String {
    on_a_terminal_of(100, bed, arguments, steps)
}

pub fn on_a_terminal_of(columns: usize, bed: &Bed, arguments: &[&str], steps: &str) -> String {
    bed.write_settings();
    let program = binary(bed.home(), &[]).get_program().to_owned();
    let mut command = Command::new("python3");
    command.current_dir(bed.home()).args(["-c", TERMINAL, &columns.to_string()]).arg(program).args(arguments);
    command.env("TERM", "xterm");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(steps.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_live_screen_goes_on_a_key_or_a_signal_and_leaves_the_terminal_as_it_was() {
    const ENTERED: &str = "\x1b[?1049h";
    const LEFT: &str = "\x1b[?1049l";
    let bed = Bed::new().await;
    bed.insert(row()).await;
    for (name, steps) in [("q", "calendar@|q"), ("Ctrl-C", "calendar@|\x03"), ("TERM", "calendar@|TERM")] {
        let shown = on_a_terminal(&bed, &["status", "--watch", "1"], steps);
        assert!(shown.ends_with("exit 0\n"), "{name}: {shown}");
        let (entered, left) = (shown.find(ENTERED).unwrap(), shown.rfind(LEFT).unwrap());
        assert!(entered < left && !shown[left..].contains("mailboxes"), "{name}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_live_screen_waits_for_a_queue_that_is_away() {
    let mut bed = Bed::new().await;
    let later = bed.home().join("later.db");
    bed.set("queue.path", later.to_str().unwrap());
    // Only what changes is drawn: words to wait for must stand where nothing like them stood.
    let steps = "CANNOT BE READ|s\noldest first|INSERT\ncalendar@|q";
    let shown = on_a_terminal(&bed, &["status", "--watch", "1"], steps);
    assert!(shown.contains("there is no queue at") && shown.ends_with("exit 0\n"), "{shown}");
}
