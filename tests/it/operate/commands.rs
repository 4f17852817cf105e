//! The commands beside the daemon: what they print, where, and how they end.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use event_sender::sandbox::Fault;
use serde_json::{Value, json};

use crate::bed::{Bed, MAILBOX, row, row_for};
use crate::process::{Process, binary};
use crate::recorder::Recorder;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn list_shows_jobs_for_people_and_for_programs() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox("busy@contoso.com").retry_after("600"));
    let agent = bed.run();
    let sent = bed.insert(row_for("ann@contoso.com").with("subject", "Review")).await;
    let failed = bed.insert(row().with("subject", "Broken").with("end_time", "2026-02-30 10:00")).await;
    let waiting = bed.insert(row_for("busy@contoso.com")).await;
    let event_id = bed.until(sent, "sent").await.event_id.unwrap();
    bed.until(failed, "failed").await;
    bed.until_back(waiting, "throttled").await;
    agent.stop().await.expect(0);

    let human = bed.command(&["list"]).await.expect(0);
    for part in [
        "Review",
        "Broken",
        "sent",
        "failed",
        "pending",
        "ann@contoso.com",
        "invalid_job",
        "throttled",
        &event_id[..12],
        &event_id[event_id.len() - 16..],
    ] {
        assert!(human.stdout.contains(part), "'{part}' in {human:?}");
    }
    assert_eq!(human.stdout.lines().count(), 4, "a header and a line for each: {human:?}");
    assert!(human.stderr.is_empty() && !human.stdout.contains('\x1b'), "no colours outside a terminal: {human:?}");

    let jobs = bed.command(&["list", "--json"]).await.expect(0).json();
    let ids: Vec<i64> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [sent, failed, waiting]);
    assert_eq!((&jobs[0]["state"], &jobs[0]["event_id"]), (&json!("sent"), &json!(event_id)));
    assert_eq!((&jobs[1]["state"], &jobs[1]["error_kind"]), (&json!("failed"), &json!("invalid_job")));

    for (options, expected) in [
        (&["--state", "failed"][..], vec![failed]),
        (&["--mailbox", "ANN@contoso.com"], vec![sent]),
        (&["--error-kind", "throttled"], vec![waiting]),
        (&["--limit", "1"], vec![waiting]),
        (&["--state", "cancelled"], vec![]),
    ] {
        let jobs = bed.command(&[&["list", "--json"], options].concat()).await.expect(0).json();
        let ids: Vec<i64> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{options:?}");
    }
    let nothing = bed.command(&["list", "--state", "cancelled"]).await.expect(0);
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("no jobs"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn show_tells_everything_about_one_job_and_its_history() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(500, "generalException"));
    let agent = bed.run();
    let id = bed.insert(row().with("subject", "Review").with("body", "Agenda")).await;
    let job = bed.until(id, "sent").await;
    agent.stop().await.expect(0);

    let human = bed.command(&["show", &id.to_string()]).await.expect(0);
    let event_id = job.event_id.as_deref().unwrap();
    for part in ["Review", "Agenda", "sent", "retry", "generalException", &job.transaction_id, event_id] {
        assert!(human.stdout.contains(part), "'{part}' in {human:?}");
    }
    let shown = bed.command(&["show", &id.to_string(), "--json"]).await.expect(0).json();
    assert_eq!(shown["event_id"], event_id);
    assert_eq!(shown["body"], "Agenda");
    let attempts: Vec<&Value> = shown["history"].as_array().unwrap().iter().collect();
    assert_eq!(attempts.len(), 2);
    assert_eq!((&attempts[0]["http_status"], &attempts[1]["outcome"]), (&json!(500), &json!("sent")));

    let missing = bed.command(&["show", "4711"]).await.expect(1);
    assert!(missing.stdout.is_empty() && missing.stderr.contains("4711"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn show_request_prints_the_exact_bytes_that_are_sent() {
    let mut bed = Bed::new().await;
    let recorder = Recorder::before(bed.sandbox().address()).await;
    bed.set("graph.endpoint", &recorder.url);
    bed.set("defaults.time_zone", "Europe/Berlin");
    let attendees = r#"[{"name":"Jörg","address":"joerg@contoso.com","required":false}]"#;
    let full = row().with("subject", "Größe \"x\"").with("body", "<b>é</b>").with("body_type", "html");
    let id = bed.insert(full.with("attendees", attendees).with("extra", r#"{"z":1,"showAs":"busy"}"#)).await;
    bed.sql("UPDATE jobs SET extra = '{\"showAs\":\"busy\",\"importance\":\"low\"}'").await;
    let shown = bed.command(&["show", &id.to_string(), "--request"]).await.expect(0);
    let agent = bed.run();
    bed.until(id, "sent").await;
    agent.stop().await.expect(0);
    let sent = String::from_utf8(recorder.creates().remove(0)).unwrap();
    assert_eq!(shown.stdout, format!("{sent}\n"));
    assert_eq!(shown.json(), bed.event_of(id).await.received);
    assert_eq!(
        bed.command(&["show", &id.to_string(), "--request"]).await.expect(0).stdout,
        shown.stdout,
        "also afterwards"
    );

    let poison = bed.insert(row().with("end_time", "never")).await;
    let refused = bed.command(&["show", &poison.to_string(), "--request"]).await.expect(1);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("end_time"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn status_counts_the_queue_and_names_the_agent() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let sent = bed.insert(row()).await;
    let denied = bed.insert(row_for("denied@contoso.com")).await;
    bed.insert(row().with("not_before", "2999-01-01T00:00:00Z")).await;
    bed.until(sent, "sent").await;
    bed.until_back(denied, "denied").await;

    let status = bed.command(&["status", "--json"]).await.expect(0).json();
    for (state, count) in
        [("pending", 2), ("claimed", 0), ("sent", 1), ("failed", 0), ("cancelled", 0), ("in_doubt", 0)]
    {
        assert_eq!(status[state], count, "{state}");
    }
    assert_eq!(status["troubles"][0]["error_code"], "ErrorAccessDenied");
    assert_eq!((&status["agent_running"], &status["agent_pid"]), (&json!(true), &json!(agent.pid())));
    assert_eq!(status["paused_mailboxes"][0]["mailbox"], "denied@contoso.com");
    let human = bed.command(&["status"]).await.expect(0);
    for part in ["pending         2", "sent            1", "denied@contoso.com", &agent.pid().to_string()] {
        assert!(human.stdout.contains(part), "'{part}' in {human:?}");
    }
    agent.stop().await.expect(0);
    let status = bed.command(&["status", "--json"]).await.expect(0).json();
    assert_eq!((&status["agent_running"], &status["agent_pid"]), (&json!(false), &Value::Null));
    assert!(bed.command(&["status"]).await.expect(0).stdout.contains("not running"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reading_commands_neither_make_a_queue_nor_need_the_sign_in() {
    let mut bed = Bed::new().await;
    for key in ["auth.tenant_id", "auth.client_id", "auth.client_secret"] {
        bed.unset(key);
    }
    bed.command(&["list"]).await.expect(0);
    let missing = bed.home().join("missing.db");
    bed.set("queue.path", missing.to_str().unwrap());
    for command in [&["list"][..], &["status"], &["show", "1"]] {
        let ran = bed.command(command).await.expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("missing.db"), "{ran:?}");
    }
    assert!(!missing.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn broken_rows_are_shown_and_break_no_command() {
    let bed = Bed::new().await;
    bed.sql(
        "INSERT INTO jobs (start_time, end_time, subject, body, location) VALUES
        ('2026-12-01 09:00', '2026-12-01 10:00', x'ff00', CAST(x'48ff' AS TEXT), char(27) || '[31mred' || char(10))",
    )
    .await;
    let human = bed.command(&["list"]).await.expect(0);
    assert_eq!(human.stdout.lines().count(), 2, "{human:?}");
    let shown = bed.command(&["show", "1"]).await.expect(0);
    assert!(!shown.stdout.contains('\x1b'), "nothing in a row steers the terminal: {shown:?}");
    bed.command(&["list", "--json"]).await.expect(0).json();
    bed.command(&["show", "1", "--json"]).await.expect(0).json();
    bed.command(&["status"]).await.expect(0);
    bed.command(&["show", "1", "--request"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let bed = Bed::new().await;
    let long = "x".repeat(200);
    bed.insert_all((0..1500).map(|n| row_for(&format!("user{n}@contoso.com")).with("subject", &long))).await;
    bed.write_settings();
    for options in [&["list", "--limit", "1500"][..], &["list", "--limit", "1500", "--json"]] {
        let mut command = binary(bed.home(), &[]);
        let mut child = command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        if options.len() == 3 {
            out.read_line(&mut String::new()).unwrap();
        } else {
            out.fill_buf().unwrap();
        }
        drop(out);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{options:?}: {ended:?}");
        assert!(ended.stderr.is_empty(), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_passes_what_works_with_one_line_each() {
    let bed = Bed::new().await;
    let ran = bed.command(&["check"]).await.expect(0);
    let grades: Vec<(&str, &str)> =
        ran.stdout.lines().map(|line| (&line[..4], line[6..].split(' ').next().unwrap())).collect();
    assert!(grades.iter().all(|(grade, _)| *grade == "PASS"), "{ran:?}");
    for check in ["settings", "permissions", "database", "agent", "clock", "secret", "mailbox"] {
        assert_eq!(grades.iter().filter(|(_, found)| *found == check).count(), 1, "{check} in {ran:?}");
    }
    assert!(ran.stdout.contains(MAILBOX) && ran.stderr.is_empty());
    assert!(bed.events().is_empty() && bed.creates(None).is_empty(), "checking writes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_offline_asks_nobody() {
    let mut bed = Bed::new().await;
    bed.stop_sandbox().await;
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    assert!(ran.stdout.contains("WARN  network") && ran.stdout.contains("PASS  settings"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_says_what_fails_and_what_to_do() {
    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", "denied@contoso.com");
    let ran =
        bed.command(&["check", "--mailbox", "ann@contoso.com", "--mailbox", "nobody@contoso.com"]).await.expect(1);
    let line = |part: &str| ran.stdout.lines().find(|line| line.contains(part)).unwrap().to_owned();
    assert!(line("denied@").starts_with("FAIL  mailbox") && line("denied@").contains("ErrorAccessDenied"), "{ran:?}");
    assert!(line("ann@").starts_with("PASS  mailbox") && line("nobody@").starts_with("FAIL  mailbox"), "{ran:?}");

    bed.set("auth.client_secret", "wrong");
    let ran = bed.command(&["check"]).await.expect(1);
    assert!(ran.stdout.contains("FAIL  token") && ran.stdout.contains("AADSTS7000215"), "{ran:?}");

    bed.unset("defaults.mailbox");
    bed.set("auth.client_secret", event_sender::sandbox::CLIENT_SECRET);
    bed.set("queue.path", "missing.db");
    let ran = bed.command(&["check"]).await.expect(0);
    assert!(ran.stdout.contains("WARN  database") && ran.stdout.contains("WARN  mailbox"), "{ran:?}");
    assert!(!bed.home().join("missing.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_ends_with_69_when_the_service_cannot_be_reached() {
    let mut bed = Bed::new().await;
    // A port that was refused a moment ago on an address nobody else uses.
    let gone = std::net::TcpListener::bind("127.0.0.4:0").unwrap().local_addr().unwrap();
    bed.set("graph.endpoint", &format!("http://{gone}"));
    bed.set("auth.resource", "https://graph.microsoft.com");
    let ran = bed.command(&["check"]).await.expect(69);
    assert!(ran.stdout.contains("PASS  token") && ran.stdout.contains("FAIL  mailbox"), "{ran:?}");
    bed.set("auth.instance", &format!("http://{gone}"));
    let ran = bed.command(&["check"]).await.expect(69);
    assert!(ran.stdout.contains("FAIL  token"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_knows_a_running_agent_and_a_user_who_signs_in() {
    let mut bed = Bed::new().await;
    bed.sign_in_as_user();
    bed.unset("defaults.mailbox");
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let ran = bed.command(&["check"]).await.expect(0);
    assert!(ran.stdout.contains(&agent.pid().to_string()) && ran.stdout.contains("WARN  settings"), "{ran:?}");
    assert!(ran.stdout.contains("PASS  mailbox"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_sandbox_command_prints_settings_that_work() {
    let bed = Bed::new().await;
    let sandbox = bed.spawn(&["sandbox", "--listen", "127.0.0.1:0"]);
    let complete =
        |text: &str| text.contains("[defaults]") && text.lines().last().is_some_and(|line| line.starts_with("mailbox"));
    let printed = async || Some(sandbox.output.stdout.lock().unwrap().clone()).filter(|text| complete(text));
    let settings = bed.wait("the settings are printed", printed).await;
    std::fs::write(bed.config_path(), &settings).unwrap();
    let url = settings.split('"').find(|part| part.starts_with("http://")).unwrap().to_owned();

    bed.bare_command(&["check"]).await.expect(0);
    let ran = bed
        .bare_command(&["enqueue", "--subject", "Hi", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"])
        .await;
    assert_eq!(ran.expect(0).stdout, "1\n");
    bed.bare_command(&["run", "--until-empty"]).await.expect(0);
    let events = reqwest::get(format!("{url}/sandbox/events")).await.unwrap().text().await.unwrap();
    let events: Value = serde_json::from_str(&events).unwrap();
    assert_eq!((events.as_array().unwrap().len(), &events[0]["received"]["subject"]), (1, &json!("Hi")));
    let ran = sandbox.stop().await.expect(0);
    assert!(ran.stderr.contains("/sandbox/faults"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_sandbox_stays_on_this_machine() {
    let bed = Bed::new().await;
    let ran = bed.bare_command(&["sandbox", "--listen", "0.0.0.0:0"]).await.expect(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("loopback"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_demo_needs_nothing_and_ends_well() {
    let home = tempfile::tempdir().unwrap();
    // Settings and variables of the place are meant for a real tenant.
    std::fs::write(home.path().join("agent.toml"), "[auth]\nmode = \"broken\"\n").unwrap();
    let environment = [("EVENT_SENDER__AUTH__TENANT_ID".to_owned(), "common".to_owned())];
    let mut command = binary(home.path(), &environment);
    command.arg("demo");
    let ran = Process::start(command, None).end().await.expect(0);
    assert!(ran.stdout.lines().any(|line| line.starts_with("OK  8 jobs sent, 6 events")), "{}", ran.stdout);
    let last = ran.stdout.lines().last().unwrap();
    assert!(last.contains("mails: 3 invitations, 1 update, 2 cancellations; none lost, none doubled"), "{last}");
    for part in
        ["throttled", "Misspelt date", "invalid_job", "found in the calendar", "sent", "updated event", "deleted event"]
    {
        assert!(ran.stdout.contains(part), "'{part}' in {}", ran.stdout);
    }
    assert!(ran.stderr.is_empty() && !ran.stdout.contains('\x1b'), "{ran:?}");
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["agent.toml"], "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settings_prints_the_annotated_file() {
    let bed = Bed::new().await;
    let ran = bed.bare_command(&["settings"]).await.expect(0);
    assert_eq!(ran.stdout.trim_end(), include_str!("../../../agent.toml").trim_end());
    for section in ["[auth]", "[graph]", "[defaults]", "[queue]", "[delivery]", "[log]"] {
        assert!(ran.stdout.contains(section));
    }
    // As printed it is a file with nothing set: what it lacks is exactly what every installation must give.
    std::fs::write(bed.config_path(), &ran.stdout).unwrap();
    let ran = bed.bare_command(&["run"]).await.expect(78);
    for key in ["auth.tenant_id", "auth.client_id", "auth.client_secret"] {
        assert!(ran.stderr.contains(key), "{ran:?}");
    }
    assert!(ran.stderr.contains("3 problems"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn wrong_usage_ends_with_2_and_an_explanation_on_stderr() {
    let bed = Bed::new().await;
    for arguments in [
        &[][..],
        &["fly"],
        &["list", "--state", "asleep"],
        &["show"],
        &["show", "1", "--key", "one"],
        &["show", "--key", "one", "--request"],
        &["show", "1", "--request", "--json"],
        &["run", "--faster"],
        &["enqueue"],
        &["enqueue", "--start", "2026-12-01 09:00"],
        &["enqueue", "--subject", "x", "jobs.csv"],
        &["enqueue", "--update", "k", "jobs.csv"],
        &["enqueue", "--update", "k", "--delete", "k"],
        &["enqueue", "--update", "k", "--start", "2026-12-01 09:00"],
        &["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00", "--priority", "2"],
        &["sandbox", "--listen", "here"],
        &["sandbox", "--latency", "5"],
    ] {
        let ran = bed.bare_command(arguments).await.expect(2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn help_and_version_are_results() {
    let bed = Bed::new().await;
    let help = bed.bare_command(&["--help"]).await.expect(0);
    for command in ["run", "demo", "sandbox", "check", "enqueue", "list", "show", "status", "settings"] {
        assert!(help.stdout.contains(command), "{command}");
        assert!(!bed.bare_command(&[command, "--help"]).await.expect(0).stdout.is_empty());
    }
    let version = bed.bare_command(&["-V"]).await.expect(0);
    assert_eq!(version.stdout, format!("event-sender {}\n", env!("CARGO_PKG_VERSION")));
    assert!(help.stderr.is_empty() && version.stderr.is_empty());
}
