//! Settings that are wrong: the key, the rule and the cure, all at once, and exit code 78.

use serde_json::{Value, json};

use crate::bed::{Bed, row};
use crate::process::Ran;

/// What `run` says about the bed's settings. `check` must find the same.
async fn refusal(bed: &Bed) -> Ran {
    let ran = bed.command(&["run"]).await.expect(78);
    // Without a terminal the log is JSON, and who watches it is told the same, problem by problem.
    let told: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let problems: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(told.len(), problems.len(), "{ran:?}");
    for (told, problem) in told.iter().zip(problems) {
        assert_eq!((&told["level"], &told["message"]), (&json!("ERROR"), &json!("settings refused")));
        let text = |field: &str| told[field].as_str().unwrap();
        assert_eq!(format!("{}: {}", text("key"), text("problem")), problem);
        assert!(!text("timestamp").is_empty());
    }
    let check = bed.command(&["check", "--offline"]).await.expect(78);
    assert!(check.stdout.contains("FAIL"), "{check:?}");
    for line in ran.stderr.lines().filter(|line| line.starts_with("  ")) {
        let (key, _) = line.trim().split_once(':').unwrap();
        assert!(check.stdout.contains(key), "{key} in {check:?}");
    }
    ran
}

fn says(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.stderr.contains(part), "'{part}' in {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    for (wrong, meant) in [
        ("delivery.max_atempts", "delivery.max_attempts"),
        ("queue.pol_interval", "queue.poll_interval"),
        ("auth.tenant", "auth.tenant_id"),
        ("graph.mailbox", "defaults.mailbox"),
    ] {
        let mut bed = Bed::new().await;
        bed.set(wrong, "x");
        says(&refusal(&bed).await, &[wrong, meant, "did you mean"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_variable_is_refused_like_an_unknown_key() {
    let mut bed = Bed::new().await;
    bed.env("EVENT_SENDER__QUEUE__PTH", "/nowhere");
    says(&refusal(&bed).await, &["EVENT_SENDER__QUEUE__PTH", "EVENT_SENDER__QUEUE__PATH"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_type_or_value_is_refused_with_the_rule() {
    for (key, literal, parts) in [
        ("delivery.max_in_flight", "\"many\"", &["whole number", "1024"][..]),
        ("delivery.max_in_flight", "0", &["from 1"]),
        ("delivery.max_in_flight_per_mailbox", "0", &["from 1 to"]),
        ("delivery.max_attempts", "2.5", &["whole number"]),
        ("delivery.first_retry", "5", &["unit", "30s"]),
        ("delivery.first_retry", "\"soon\"", &["unit"]),
        ("graph.request_timeout", "\"0s\"", &["duration"]),
        ("defaults.mailbox", "7", &["text in quotes"]),
        ("defaults.body_type", "\"markdown\"", &["\"text\", \"html\""]),
        ("log.level", "\"loud\"", &["\"info\""]),
        ("auth.mode", "\"magic\"", &["client_secret", "password"]),
        ("auth.tenant_id", "\"common\"", &["no daemon"]),
        ("auth.tenant_id", "true", &["text in quotes"]),
        ("graph.ca_file", "\"no-such.pem\"", &["no-such.pem", "cannot be read"]),
        ("graph.endpoint", "\"graph.microsoft.com\"", &["https://"]),
    ] {
        let mut bed = Bed::new().await;
        bed.set_literal(key, literal);
        let ran = refusal(&bed).await;
        says(&ran, &[key]);
        says(&ran, parts);
    }
}

/// Values as they get into settings: copied with what stood around them, by a file of variables that knows no quotes, with
/// a slip of the finger.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_value_that_would_fail_every_row_is_refused_with_the_one_that_was_meant() {
    const GUID: &str = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b";
    let mut bed = Bed::new().await;
    let home = bed.home().display().to_string();
    for (key, value, meant) in [
        ("defaults.time_zone", "\"Europe/Paris\"", Some("Europe/Paris")),
        ("defaults.time_zone", "Europe/Pariss", Some("Europe/Paris")),
        ("defaults.time_zone", "w. europe standard time", Some("W. Europe Standard Time")),
        ("defaults.time_zone", "Middle-Earth/Shire", None),
        ("defaults.mailbox", "'ann@contoso.com'", Some("ann@contoso.com")),
        ("defaults.mailbox", "mailto:ann@contoso.com", Some("ann@contoso.com")),
        ("defaults.mailbox", "Ann <ann@contoso.com>", Some("ann@contoso.com")),
        ("defaults.mailbox", "ann@contoso.com.", Some("ann@contoso.com")),
        ("defaults.mailbox", "ann@con toso.com", Some("ann@contoso.com")),
        ("defaults.mailbox", "ann\u{200b}@contoso.com", Some("ann@contoso.com")),
        ("defaults.mailbox", "calendar", None),
        ("defaults.body_type", "HTML", Some("html")),
        ("graph.endpoint", "https://graph.microsoft.com/v1.0", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "'https://graph.microsoft.com'", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "graph.microsoft.com", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https:/graph.microsoft.com", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https:///graph.microsoft.com/", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https://https://graph.microsoft.com", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https//graph.microsoft.com", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https://graph.microsoft.com,", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https://graph.microsoft.com.", Some("https://graph.microsoft.com")),
        ("graph.endpoint", "https://graph.microsoft,com", None),
        ("graph.api_version", "1.0", Some("v1.0")),
        ("auth.client_id", "{1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b}", Some(GUID)),
        ("auth.client_id", "api://1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b", Some(GUID)),
        ("auth.client_id", "1f2e3d4c-5b6a-4798-8a9b-Oc1d2e3f4a5b", Some(GUID)),
        ("auth.client_id", "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5", None),
        ("auth.client_id", "my-application", None),
        ("auth.client_id", "00000000-0000-0000-0000-000000000000", None),
        ("defaults.mailbox", "calendar@contoso", None),
        ("queue.path", "Data Source=/var/lib/queue.db;Version=3", Some("/var/lib/queue.db")),
        ("auth.tenant_id", "contoso", None),
        ("auth.tenant_id", "\"1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b\"", Some(GUID)),
        ("auth.tenant_id", "1f2e3d4c5b6a47988a9b0c1d2e3f4a5b", Some(GUID)),
        ("queue.path", "sqlite:///var/lib/queue.db", Some("/var/lib/queue.db")),
        ("queue.path", "~/queue.db", None),
        ("queue.path", home.as_str(), Some("/queue.db")),
        ("queue.path", "", None),
        ("queue.path", "/var/lib/queue.db?mode=rwc", Some("/var/lib/queue.db")),
        ("queue.path", "/var/lib/queue.db-wal", Some("/var/lib/queue.db")),
        ("queue.path", "C:\\ProgramData\\queue.db", None),
        ("queue.path", "/dev/null", None),
        ("monitor.listen", "http://127.0.0.1:9185/metrics", Some("127.0.0.1:9185")),
        ("monitor.listen", "metrics.contoso.com:9185", None),
        ("delivery.give_up_after", "\"2h\"", Some("2h")),
        ("log.level", "'info'", Some("info")),
    ] {
        let variable = format!("EVENT_SENDER__{}", key.to_ascii_uppercase().replace('.', "__"));
        bed.env(&variable, value);
        let ran = refusal(&bed).await;
        says(&ran, &[key, &variable, "have a problem"]);
        match meant {
            Some(meant) => says(&ran, &["did you mean", &format!("{meant}\"?")]),
            None => assert!(!ran.stderr.contains("did you mean"), "{}", ran.stderr),
        }
        bed.forget_env();
    }
}

/// Quotes that are right, a line's end that came along, blanks at the ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_legal_or_plain_stays_taken() {
    let mut bed = Bed::new().await;
    for (key, value) in [
        ("defaults.mailbox", "o'brien@contoso.com"),
        ("defaults.mailbox", "\"ann.lee\"@contoso.com"),
        ("defaults.mailbox", "87d349ed-44d7-43e1-9a83-5f2406dee5bd"),
        ("defaults.time_zone", "europe/paris"),
        ("defaults.time_zone", " Europe/Paris\r\n"),
        ("monitor.listen", "[::1]:9185"),
        ("auth.client_secret", "quotes'may\"be part of it"),
    ] {
        let variable = format!("EVENT_SENDER__{}", key.to_ascii_uppercase().replace('.', "__"));
        bed.env(&variable, value);
        bed.command(&["check", "--offline"]).await.expect(0);
        bed.forget_env();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plain_http_is_refused_unless_it_stays_on_this_machine() {
    for key in ["graph.endpoint", "auth.instance"] {
        let mut bed = Bed::new().await;
        bed.set(key, "http://graph.microsoft.com");
        says(&refusal(&bed).await, &[key, "https://"]);
    }
    let mut bed = Bed::new().await;
    bed.set("graph.endpoint", "http://localhost:1");
    bed.command(&["check", "--offline"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn contradictions_are_refused() {
    let mut bed = Bed::new().await;
    bed.set("auth.username", "agent@contoso.com");
    says(&refusal(&bed).await, &["auth.username", "auth.mode"]);

    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "10m");
    bed.set("delivery.longest_retry", "1m");
    says(&refusal(&bed).await, &["delivery.first_retry", "delivery.longest_retry"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_missing_is_named_with_its_cure() {
    let mut bed = Bed::new().await;
    for key in ["auth.tenant_id", "auth.client_id", "auth.client_secret"] {
        bed.unset(key);
    }
    let ran = refusal(&bed).await;
    says(&ran, &["auth.tenant_id", "auth.client_id", "auth.client_secret", "EVENT_SENDER__AUTH__CLIENT_SECRET"]);

    let mut bed = Bed::new().await;
    bed.set("auth.mode", "password");
    says(&refusal(&bed).await, &["auth.username", "auth.password"]);

    let mut bed = Bed::new().await;
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", "no-such-file");
    says(&refusal(&bed).await, &["auth.client_secret_file", "no-such-file"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_problems_are_told_at_once() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_atempts", "3");
    bed.set("delivery.first_retry", "never");
    bed.set("graph.endpoint", "http://graph.microsoft.com");
    bed.unset("auth.tenant_id");
    bed.env("EVENT_SENDER__LOG__LEVEL", "loud");
    let ran = refusal(&bed).await;
    says(&ran, &["delivery.max_atempts", "delivery.first_retry", "graph.endpoint", "auth.tenant_id", "log.level"]);
    says(&ran, &["EVENT_SENDER__LOG__LEVEL", "5 problems", "agent.toml"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_file_and_bad_toml_are_refused() {
    let bed = Bed::new().await;
    let ran = bed.bare_command(&["run", "--config", "no-such.toml"]).await.expect(78);
    says(&ran, &["no-such.toml", "--config"]);

    std::fs::write(bed.config_path(), "[queue]\npath = \n").unwrap();
    let ran = bed.bare_command(&["run"]).await.expect(78);
    says(&ran, &["agent.toml", "TOML", "line 2", "queue.path"]);
    bed.bare_command(&["list"]).await.expect(78);
    // A secret without its quotes: the line is named by its key.
    std::fs::write(bed.config_path(), "[auth]\nclient_secret = not-to-be-seen\n").unwrap();
    let ran = bed.bare_command(&["run"]).await.expect(78);
    says(&ran, &["line 2", "auth.client_secret"]);
    assert!(!ran.stderr.contains("not-to-be-seen") && !ran.stdout.contains("not-to-be-seen"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_settings_file_is_found_by_option_variable_and_directory_in_this_order() {
    let mut bed = Bed::new().await;
    bed.insert(row()).await;
    bed.write_settings();
    assert_eq!(bed.bare_command(&["status", "--json"]).await.expect(0).json()["pending"], 1);

    std::fs::write(bed.home().join("variable.toml"), "[queue]\npath = \"variable.db\"\n").unwrap();
    std::fs::write(bed.home().join("option.toml"), "[queue]\npath = \"option.db\"\n").unwrap();
    bed.env("EVENT_SENDER_CONFIG", "variable.toml");
    says(&bed.bare_command(&["status"]).await.expect(1), &["variable.db"]);
    says(&bed.bare_command(&["status", "--config", "option.toml"]).await.expect(1), &["option.db"]);
    bed.env("EVENT_SENDER__QUEUE__PATH", "environment.db");
    says(&bed.bare_command(&["status", "--config", "option.toml"]).await.expect(1), &["environment.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_environment_alone_is_enough() {
    let mut bed = Bed::new().await;
    let id = bed.insert(row()).await;
    let url = bed.sandbox().url();
    for (key, value) in [
        ("AUTH__INSTANCE", url.as_str()),
        ("AUTH__TENANT_ID", event_sender::sandbox::TENANT_ID),
        ("AUTH__CLIENT_ID", event_sender::sandbox::CLIENT_ID),
        ("AUTH__CLIENT_SECRET", event_sender::sandbox::CLIENT_SECRET),
        ("GRAPH__ENDPOINT", url.as_str()),
        ("DEFAULTS__MAILBOX", "ann@contoso.com"),
        ("DELIVERY__MAX_IN_FLIGHT", "8"),
        ("DELIVERY__SHUTDOWN_GRACE", "5s"),
    ] {
        bed.env(&format!("EVENT_SENDER__{key}"), value);
    }
    assert!(!bed.config_path().exists());
    bed.bare_command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.event_of(id).await.mailbox, "ann@contoso.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_at_the_start_is_a_line_of_the_log_where_the_log_is_json() {
    // Whatever else is wrong with them: the file cannot be parsed, or is not there.
    for (content, format, lines) in [
        (Some("[log]\nformat = \"json\"\nlevl = \"info\"\n"), None, 4),
        (Some("[log]\nformat = \"text\"\nlevl = \"info\"\n"), None, 0),
        (Some("[log]\nformat = \"text\"\n"), Some("json"), 3),
        (Some("[log]\nformat = \"jsn\"\n"), None, 4),
        (Some("[log\n"), None, 1),
        (Some("[log\n"), Some("text"), 0),
        (None, None, 1),
        (None, Some("text"), 0),
    ] {
        let mut bed = Bed::new().await;
        if let Some(format) = format {
            bed.env("EVENT_SENDER__LOG__FORMAT", format);
        }
        let file = bed.home().join("other.toml");
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let ran = bed.bare_command(&["run", "--config", file.to_str().unwrap()]).await.expect(78);
        assert_eq!(ran.stdout.lines().count(), lines, "{content:?} {format:?}: {ran:?}");
        assert!(ran.stdout.lines().all(|line| line.contains("\"message\":\"settings refused\"")), "{ran:?}");
        assert!(ran.stderr.starts_with("event-sender: the settings in "), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_else_keeps_the_agent_from_starting_is_a_line_of_the_log_too() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let told = |ran: &Ran| -> Value {
        let last = ran.stdout.lines().last().map(|line| serde_json::from_str(line).unwrap());
        last.unwrap_or_else(|| panic!("{ran:?}"))
    };
    let ran = bed.command(&["run"]).await.expect(69);
    let line = told(&ran);
    assert_eq!((&line["message"], &line["exit_code"]), (&json!("agent cannot start"), &json!(69)));
    assert!(line["problem"].as_str().unwrap().contains(&agent.pid().to_string()), "{line}");
    assert!(ran.stderr.contains(line["problem"].as_str().unwrap()), "{ran:?}");
    bed.set("queue.path", "agent.toml");
    let ran = bed.command(&["run"]).await.expect(1);
    assert!(told(&ran)["problem"].as_str().unwrap().contains("agent.toml"), "{ran:?}");
    bed.set("log.format", "text");
    let ran = bed.command(&["run"]).await.expect(1);
    assert!(!ran.stdout.contains("cannot start") && ran.stderr.contains("agent.toml"), "{ran:?}");
    agent.stop().await.expect(0);
}
