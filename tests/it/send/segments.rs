//! Mailboxes and calendar ids that try to be more than a name: on the wire each is one path segment, or the job fails.

use std::collections::BTreeMap;

use event_sender::sandbox::{Fault, OptionsChange};
use percent_encoding::percent_decode_str;

use crate::bed::{Bed, row, row_for};
use crate::recorder::Recorder;

/// A text, and whether a name may look like that.
fn texts() -> Vec<(String, bool)> {
    let fine = [
        "../../me",
        "..%2f..%2fme",
        "a?b=c",
        "a#b",
        "a%2fb",
        "a%00b",
        "a//b",
        "/a",
        "a/",
        "a;b",
        "o'neil",
        "''",
        "a\\b",
        "%2e%2e",
        "...",
        "a&$filter=x",
        "ü@contoso.com",
        "日本@例え.jp",
        "🦓",
        "a@b:80",
        "a+b",
        "{0}",
        "*",
        "~",
        "%",
        "%zz",
        "\"",
        "<script>",
        "[::1]",
        "$value",
        "(x)",
        "a,b",
        "a=b",
        "|^`",
    ];
    let bad = [
        ".",
        "..",
        " .. ",
        "",
        "  ",
        "a\r\nX-Injected: 1",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\0b",
        "a\u{7f}b",
        "a\u{85}b",
        "\u{202e}moc",
        "\u{1b}[2J",
    ];
    let fine = fine.map(|text| (text.to_owned(), true)).into_iter();
    let lengths = [("x".repeat(300), true), ("ü".repeat(320), true), ("x".repeat(2000), false)];
    fine.chain(bad.map(|text| (text.to_owned(), false))).chain(lengths).collect()
}

/// Path and query of a request line.
fn target(head: &str) -> (&str, &str, &str) {
    let mut words = head.lines().next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    assert_eq!((words.next(), words.next()), (Some("HTTP/1.1"), None), "{head}");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (method, path, query)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_or_calendar_id_is_one_segment_of_the_path_whatever_it_contains() {
    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "10ms");
    // Over a kept connection a lost reply is looked into after two seconds.
    bed.sandbox().configure(OptionsChange { keep_alive: Some(false), ..OptionsChange::default() });
    let recorder = Recorder::before(bed.sandbox().address()).await;
    bed.set("graph.endpoint", &recorder.url);
    let resource = bed.sandbox().url();
    bed.set("auth.resource", &resource);
    // What a producer may choose too: it goes into the query of the lookup.
    let transactions = ["t'x", "t') or (1 eq 1", "t&$top=1#?", "t\r\nX-Injected: 1", "t%27", "t ü"];
    let mut expected = BTreeMap::new();
    for (number, (text, fine)) in texts().into_iter().enumerate() {
        let transaction = format!("{number} {}", transactions[number % transactions.len()]);
        let (one, other) = (format!("mailbox {number}"), format!("calendar {number}"));
        // The first POST of each is lost, so that each is looked up too.
        [&one, &other].iter().for_each(|subject| bed.sandbox().script(Fault::reset().subject(subject)));
        let mailbox = row().with("mailbox", &text).with("transaction_id", &transaction).with("subject", &one);
        let mailbox = bed.insert(mailbox).await;
        let calendar = row_for("ann@contoso.com").with("calendar_id", &text).with("subject", &other);
        let calendar = bed.insert(calendar).await;
        expected.insert(mailbox, (text.clone(), fine));
        expected.insert(calendar, (text, fine));
    }
    let agent = bed.run();
    bed.wait("all have their end", async || bed.jobs().await.iter().all(|job| job.finished_at.is_some()).then_some(()))
        .await;
    agent.stop().await.expect(0);

    let mut segments: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for head in recorder.heads() {
        assert!(!head.to_ascii_lowercase().contains("\r\nx-injected"), "{head}");
        let (method, path, query) = target(&head);
        assert!(path.is_ascii() && !path.contains("//"), "{path}");
        let parts: Vec<&str> = path.split('/').collect();
        let decoded = |at: usize| percent_decode_str(parts[at]).decode_utf8().unwrap().into_owned();
        let of = match parts.as_slice() {
            ["", "v1.0", "users", _, "events"] => (0, decoded(3)),
            ["", "v1.0", "users", "ann@contoso.com", "calendars", _, "events"] => (1, decoded(5)),
            _ => panic!("more or less than one segment: {path}"),
        };
        let names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
        match method {
            "POST" => assert_eq!(query, ""),
            _ => assert_eq!(names, ["$select", "$expand", "$filter"], "{head}"),
        }
        segments.entry(of).or_default().push(method.to_owned());
    }
    for (at, (id, (text, fine))) in expected.into_iter().enumerate() {
        let (state, kind, message, _) = bed.end_of(id).await.unwrap();
        let mut asked = segments.remove(&(at % 2, text.clone())).unwrap_or_default();
        asked.sort();
        if fine {
            // Whether there is such a mailbox is not the agent's to judge.
            assert_ne!(kind.as_deref(), Some("invalid_job"), "{text:?}: {message:?}");
            assert_eq!(asked.join(" "), "GET POST POST", "{text:?}: {message:?}");
        } else {
            assert_eq!((state.as_str(), kind.as_deref()), ("failed", Some("invalid_job")), "{text:?}: {message:?}");
            assert!(asked.is_empty(), "{text:?}: {asked:?}");
        }
    }
    assert!(segments.is_empty(), "requests for nobody: {segments:?}");
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sql_in_a_row_or_on_the_command_line_is_text() {
    let bed = Bed::new().await;
    let nasty = "x'); DROP TABLE jobs;--";
    let times = ["--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];
    let mut arguments = vec!["enqueue"];
    arguments.extend(times);
    for flag in ["--subject", "--body", "--location", "--calendar-id", "--time-zone", "--dedup-key"] {
        arguments.extend([flag, nasty]);
    }
    bed.command(&arguments).await.expect(0);
    let extra = serde_json::json!({ "categories": [nasty] }).to_string();
    let attendees = serde_json::json!([{ "name": nasty, "address": "a'--@contoso.com", "required": true }]).to_string();
    let full = row_for("x'drop'table'jobs--@contoso.com").with("subject", nasty).with("extra", &extra);
    let id = bed.insert(full.with("attendees", &attendees).with("transaction_id", nasty)).await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.job(id).await.end(), ("sent", None), "{}", bed.job(id).await.message());
    assert_eq!(bed.event_of(id).await.received["subject"], nasty);
    for arguments in [
        &["list", "--mailbox", nasty, "--json"][..],
        &["list", "--error-kind", nasty, "--json"],
        &["list", "--mailbox", "' OR '1'='1", "--json"],
    ] {
        let ran = bed.command(arguments).await.expect(0);
        assert_eq!(ran.json(), serde_json::json!([]), "{arguments:?}");
    }
    bed.command(&["list", "--state", nasty]).await.expect(2);
    bed.command(&["show", "1; DROP TABLE jobs"]).await.expect(1);
    assert_eq!(bed.jobs().await.len(), 2);
}
