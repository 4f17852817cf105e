//! What others wrote, on an operator's terminal: rows, the agent's row, the lock's text, answers of servers, files and their
//! names. It is shown, it steers nothing, it turns and hides nothing; and in JSON it is the same value as ever.

use event_sender::sandbox::Fault;
use event_sender::visible::is_hidden;
use serde_json::{Value, json};

use super::status::on_a_terminal;
use crate::bed::{Bed, row, row_for};
use crate::process::Ran;

/// One of each kind: ESC, CSI, DEL, override, isolate, mark, separators, zero width, byte order mark, a tag.
const NASTY: &str = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{2066}\u{61c}\u{2028}\u{2029}\u{200b}\u{feff}\u{e0041}end";

/// What is written is harmless, and shows what was there if `shows`.
fn harmless(ran: &Ran, shows: bool) {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let hidden: Vec<char> = all.chars().filter(|c| *c != '\n' && is_hidden(*c)).collect();
    assert!(hidden.is_empty(), "{hidden:?} in {ran:?}");
    assert!(!shows || all.contains("202e"), "it is shown: {ran:?}");
}

fn sql(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_in_the_database_steers_the_terminal_of_whoever_looks_at_it() {
    let bed = Bed::new().await;
    let mailbox = format!("ann{NASTY}@contoso.com");
    let id = bed.insert(row_for(&mailbox).with("subject", NASTY).with("body", NASTY).with("extra", "{}")).await;
    let nasty = sql(NASTY);
    bed.sql(&format!(
        "UPDATE jobs SET error_kind = 'unavailable', error_code = {nasty}, error_message = {nasty};
        INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, message, request_id)
            VALUES ({id}, 1, {nasty}, 1, 'retry', {nasty}, {nasty});
        INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind)
            VALUES (lower({}), '2999-01-01T00:00:00.000Z', {nasty}, {nasty});
        INSERT INTO mailboxes (mailbox, paused_until, reason, held_at, held_reason)
            VALUES (lower({nasty}), '', {nasty}, {nasty}, {nasty});
        INSERT INTO agents (id, version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code,
            gate_hint) VALUES (1, {nasty}, {nasty}, {nasty}, {nasty}, {nasty}, {nasty}, {nasty}, {nasty}, {nasty})",
        sql(&mailbox)
    ))
    .await;
    let lock = bed.home().join("queue.db.lock");
    std::fs::write(&lock, &NASTY[..8]).unwrap();
    let held = std::fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let number = id.to_string();
    for command in [
        &["list"][..],
        &["show", &number],
        &["status"],
        &["hold", "--list"],
        &["retry", "--all", "--dry-run", "--state", "pending"],
        &["resume", "--all", "--dry-run"],
        &["release", "--all", "--dry-run"],
        &["check", "--offline"],
        &["check"],
    ] {
        let ran = bed.command(command).await;
        assert!(ran.code.is_some_and(|code| code < 70), "{ran:?}");
        harmless(&ran, true);
    }
    for command in [
        &["list", "--json"][..],
        &["show", &number, "--json"],
        &["status", "--json"],
        &["hold", "--list", "--json"],
        &["check", "--offline", "--json"],
    ] {
        let ran = bed.command(command).await;
        harmless(&ran, true);
        ran.json();
    }
    let job = bed.command(&["show", &number, "--json"]).await.json();
    assert_eq!((&job["subject"], &job["mailbox"]), (&json!(NASTY), &json!(mailbox)), "the same value");
    // To the byte, for programs.
    let request = bed.command(&["show", &number, "--request"]).await;
    if request.code == Some(0) {
        assert!(request.stdout.contains('\u{202e}'), "{request:?}");
        assert_eq!(request.json()["subject"], NASTY);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_server_steers_the_terminal_of_whoever_reads_the_log_or_the_reason() {
    for format in ["json", "text"] {
        let mut bed = Bed::new().await;
        bed.set("log.format", format);
        bed.set("delivery.max_attempts", "1");
        bed.sandbox().script(Fault::answer(400, &format!("Error{NASTY}")).mailbox("ann@contoso.com"));
        bed.insert(row_for(&format!("bob{NASTY}@contoso.com"))).await;
        let id = bed.insert(row_for("ann@contoso.com")).await;
        let ran = bed.command(&["run", "--until-empty"]).await.expect(0);
        harmless(&ran, false);
        harmless(&bed.command(&["show", &id.to_string()]).await.expect(0), false);
        if format == "json" {
            ran.stdout.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn neither_a_file_nor_its_name_steers_the_terminal_of_whoever_gives_it_to_enqueue() {
    let bed = Bed::new().await;
    let name = format!("jobs{}.ndjson", NASTY.replace('/', ""));
    for (content, name) in [
        (format!("{{\"{NASTY}\":1}}\n"), "a.ndjson"),
        (json!({ NASTY: "x" }).to_string(), "b.ndjson"),
        (json!({ "start_time": NASTY, "end_time": "2026-12-01 10:00" }).to_string(), "c.ndjson"),
        (format!("start_time,{NASTY}\nx,y\n"), "d.csv"),
        ("{".to_owned(), name.as_str()),
    ] {
        std::fs::write(bed.home().join(name), content).unwrap();
        let ran = bed.command(&["enqueue", name]).await;
        assert_ne!(ran.code, Some(0), "{ran:?}");
        harmless(&ran, false);
        harmless(&bed.command(&["enqueue", "--skip-invalid", name]).await, false);
    }
    // Nor what the settings say, or their name.
    harmless(&bed.bare_command(&["list", "--config", &format!("{NASTY}.toml")]).await.expect(78), true);
    // What TOML lets through as it is.
    let nasty: String = NASTY.chars().filter(|c| !c.is_ascii_control()).collect();
    std::fs::write(bed.config_path(), format!("[queue]\n\"{nasty}\" = 1\npoll_interval = \"{nasty}\"\n")).unwrap();
    harmless(&bed.bare_command(&["run"]).await.expect(78), true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ordinary_text_is_shown_as_it_is() {
    let bed = Bed::new().await;
    let subject = "Größe \"x\" 日本 مرحبا 🎉";
    let id = bed.insert(row().with("subject", subject)).await;
    for command in [&["list"][..], &["show", &id.to_string()], &["list", "--json"]] {
        let shown = bed.command(command).await.expect(0).stdout;
        assert!(shown.contains("Größe") && shown.contains("日本 مرحبا 🎉"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_terminal_nothing_but_the_programs_own_colours_gets_through() {
    let bed = Bed::new().await;
    let id = bed.insert(row().with("subject", NASTY).with("body", NASTY)).await.to_string();
    bed.write_settings();
    for command in [&["show", &id, "--request"][..], &["show", &id], &["list"], &["list", "--json"], &["status"]] {
        let shown = on_a_terminal(&bed, command, "");
        let own = |c: char| matches!(c, '\r' | '\n' | '\x1b');
        assert!(shown.chars().all(|c| own(c) || !is_hidden(c)), "{command:?}: {shown:?}");
        // Of the escape sequences only those that begin a colour.
        let colour = |rest: &str| rest.split_once('m').is_some_and(|(code, _)| code.parse::<u8>().is_ok());
        let mut sequences = shown.split("\x1b[").skip(1);
        assert!(sequences.all(colour) && shown.contains("exit 0"), "{command:?}: {shown:?}");
        assert!(command == ["status"] || shown.contains("9b"), "{command:?}: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_terminal_refused_settings_are_told_once() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_atempts", "3");
    bed.write_settings();
    let shown = on_a_terminal(&bed, &["run"], "");
    assert_eq!(shown.matches("delivery.max_atempts").count(), 1, "{shown}");
    assert!(shown.contains("exit 78") && !shown.contains("settings refused"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_daemon_on_a_terminal_tells_in_words_what_happens_and_leaves_nothing_out() {
    let mut bed = Bed::new().await;
    bed.set_literal("monitor.listen", &format!("\"{}\"", bed.sandbox().address()));
    bed.insert(row_for("ann@contoso.com")).await;
    let shown = on_a_terminal(&bed, &["run"], "as event|\x03");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [" UTC", "the agent is up", "job 1", "the agent has stopped"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    // A line that has no words of its own stands with its fields.
    assert!(shown.contains("monitor cannot listen, trying again") && shown.contains("key monitor.listen"), "{shown}");
    assert!(!shown.contains("INFO") && !shown.contains("job_id") && shown.ends_with("exit 0"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_form_of_the_log_is_obeyed_on_a_terminal_too() {
    let mut bed = Bed::new().await;
    bed.set("log.format", "json");
    let id = bed.insert(row()).await;
    let shown = on_a_terminal(&bed, &["run"], "event sent|\x03");
    assert!(shown.contains(&format!("\"job_id\":{id}")), "{shown}");
}
