//! Secrets, tokens and what events say: in no output, whatever goes wrong and however much is logged.

use event_sender::sandbox::{self, Fault};

use crate::bed::{Bed, row, row_for};

const SECRET: &str = "s3cr3t-Zebra-9000";

/// What must never be seen, with the begin of every token the sandbox gives.
const HIDDEN: [&str; 9] = [
    "SubjectZebra",
    "BodyZebra",
    "LocationZebra",
    "attendee-zebra",
    "NameZebra",
    "ExtraZebra",
    sandbox::CLIENT_SECRET,
    sandbox::PASSWORD,
    "sandbox.",
];

fn assert_hidden(bed: &Bed, hidden: &[&str]) {
    let output = bed.all_output();
    for word in hidden {
        let line = output.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "'{word}' is in: {}", line.unwrap());
    }
    assert!(!output.contains("Bearer "));
}

fn zebra(mailbox: &str) -> crate::bed::Row {
    row_for(mailbox)
        .with("subject", "SubjectZebra")
        .with("body", "BodyZebra")
        .with("location", "LocationZebra")
        .with("attendees", r#"[{"name":"NameZebra","address":"attendee-zebra@contoso.com","required":true}]"#)
        .with("extra", r#"{"categories":["ExtraZebra"]}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_log_at_any_level_shows_what_an_event_says_nor_a_secret_or_token() {
    for user in [false, true] {
        let mut bed = Bed::new().await;
        bed.set("log.level", "trace");
        if user {
            bed.sign_in_as_user();
        }
        let echo = |status, code: &str| {
            Fault::answer(status, code).message("SubjectZebra BodyZebra attendee-zebra@contoso.com")
        };
        bed.sandbox().script(echo(400, "ErrorInvalidRequest").mailbox("refused@contoso.com"));
        bed.sandbox().script(echo(429, "ApplicationThrottled").mailbox("busy@contoso.com"));
        bed.sandbox().script(echo(500, "generalException").mailbox("broken@contoso.com"));
        bed.sandbox().script(Fault::lost_reply().mailbox("lost@contoso.com"));
        bed.sandbox().script(Fault::expire_tokens().mailbox("expired@contoso.com"));
        let agent = bed.run();
        let fine = ["fine", "busy", "broken", "lost", "expired"].map(|name| zebra(&format!("{name}@contoso.com")));
        bed.insert_all(fine).await;
        bed.insert_all([
            zebra("refused@contoso.com"),
            zebra("denied@contoso.com"),
            zebra("fine@contoso.com").with("end_time", "SubjectZebra"),
            zebra("fine@contoso.com").with("attendees", r#"["attendee-zebra@contoso.com"]"#),
            zebra("fine@contoso.com").with("extra", r#"{"ExtraZebra":1}"#),
        ])
        .await;
        bed.until_count(5, "sent").await;
        bed.until_count(4, "failed").await;
        bed.wait("the denied job waits", async || (bed.pauses().await.len() == 2).then_some(())).await;
        agent.stop().await.expect(0);
        assert_hidden(&bed, &HIDDEN);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_sign_in_shows_no_secret() {
    for user in [false, true] {
        let mut bed = Bed::new().await;
        bed.set("log.level", "trace");
        if user {
            bed.sign_in_as_user();
        }
        bed.set(if user { "auth.password" } else { "auth.client_secret" }, SECRET);
        let agent = bed.run();
        let id = bed.insert(zebra("ann@contoso.com")).await;
        bed.until_back(id, "auth").await;
        agent.stop().await.expect(0);
        bed.command(&["check"]).await.expect(1);
        assert_hidden(&bed, &[SECRET]);
        assert_hidden(&bed, &HIDDEN);
        assert!(!bed.job(id).await.message().contains(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn problems_of_the_settings_are_told_without_the_secrets() {
    let mut bed = Bed::new().await;
    bed.set("auth.client_secret", SECRET);
    bed.set("auth.password", SECRET);
    bed.set("auth.username", "agent@contoso.com");
    bed.set("delivery.max_atempts", "3");
    bed.command(&["run"]).await.expect(78);
    bed.command(&["check"]).await.expect(78);
    bed.set_literal("auth.client_secret", &format!("[\"{SECRET}\"]"));
    bed.command(&["run"]).await.expect(78);
    bed.set_literal("auth.client_secret", &format!("{{ value = \"{SECRET}\" }}"));
    bed.command(&["run"]).await.expect(78);
    bed.set("auth.client_secrt", SECRET);
    bed.command(&["run"]).await.expect(78);
    assert_hidden(&bed, &[SECRET]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn broken_toml_is_told_without_the_secret_it_may_stand_in() {
    let bed = Bed::new().await;
    for text in [
        format!("[auth]\nclient_secret = \"{SECRET}\n"),
        format!("[auth]\nclient_secret = {SECRET}\n"),
        format!("[auth]\nclient_secret = '{SECRET}' oops\n"),
        format!("[auth]\nclient_secret \"{SECRET}\"\n"),
        format!("[auth]\nclient_secret = \"{SECRET}\\q\"\n"),
        format!("[auth]\nclient_secret = \"a\"\nclient_secret = \"{SECRET}\"\n"),
    ] {
        std::fs::write(bed.config_path(), text).unwrap();
        for command in ["run", "check", "list"] {
            bed.bare_command(&[command]).await.expect(78);
        }
    }
    assert_hidden(&bed, &[SECRET]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_in_a_file_or_variable_is_not_shown_either() {
    let mut bed = Bed::new().await;
    let file = bed.home().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", file.to_str().unwrap());
    bed.command(&["check"]).await.expect(1);
    bed.set("auth.tenant_id", "common");
    bed.command(&["run"]).await.expect(78);
    bed.env("EVENT_SENDER__AUTH__CLIENT_SECRET", SECRET);
    bed.env("EVENT_SENDER__AUTH__PASSWORD", SECRET);
    bed.env("EVENT_SENDER__AUTH__CLIENT_SECRT", SECRET);
    bed.command(&["run"]).await.expect(78);
    assert_hidden(&bed, &[SECRET]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rust_log_in_the_environment_cannot_open_what_is_closed() {
    let mut bed = Bed::new().await;
    bed.set("log.level", "trace");
    bed.env("RUST_LOG", "trace");
    let agent = bed.run();
    let id = bed.insert(row().with("subject", "SubjectZebra")).await;
    bed.until(id, "sent").await;
    agent.stop().await.expect(0);
    assert_hidden(&bed, &HIDDEN);
}
