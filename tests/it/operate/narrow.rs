//! What people read fits their terminal: no line is wider than it, no word is broken, and what was cut is whole elsewhere.

use std::collections::BTreeSet;

use event_sender::sandbox::Fault;
use textwrap::core::display_width;

use super::status::on_a_terminal_of;
use crate::bed::{Bed, row, row_for};

const LONG: &str = "A subject that goes on and on, as subjects of meetings do, until nobody reads it any more";

/// A queue with something of everything: sent, failed, paused, in doubt, wide characters, an event with a history.
async fn bed() -> Bed {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox("busy@contoso.com").retry_after("600"));
    bed.sandbox().script(Fault::answer(500, "generalException").mailbox("doubt@contoso.com").times(0));
    let agent = bed.run();
    let sent = bed.insert(row().with("subject", LONG).with("body", LONG).with("event_key", "visit 7")).await;
    let failed = bed.insert(row_for("nobody@contoso.com").with("subject", "日本語の件名がとても長いとき")).await;
    let denied = bed.insert(row_for("denied@contoso.com")).await;
    let busy = bed.insert(row_for("busy@contoso.com")).await;
    let doubtful = bed.insert(row_for("doubt@contoso.com")).await;
    bed.until(sent, "sent").await;
    bed.until(failed, "failed").await;
    bed.until_back(denied, "denied").await;
    bed.until_back(busy, "throttled").await;
    bed.until_back(doubtful, "unavailable").await;
    agent.stop().await.expect(0);
    let change = "INSERT INTO jobs (operation, event_key, subject) VALUES ('update', 'visit 7', 'Another subject')";
    bed.sql(change).await;
    bed
}

/// What a terminal of so many columns shows, without colours.
fn shown(columns: usize, bed: &Bed, arguments: &[&str]) -> Vec<String> {
    let shown = on_a_terminal_of(columns, bed, arguments, "");
    let mut plain = String::new();
    let mut rest = shown.as_str();
    while let Some((text, colour)) = rest.split_once("\x1b[") {
        plain.push_str(text);
        rest = colour.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    assert!(!plain.contains("u{1b}"), "colours are colours: {plain}");
    let lines = plain.lines().map(|line| line.trim_end_matches('\r').to_owned());
    let mut lines: Vec<String> = lines.take_while(|line| !line.starts_with("exit ")).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What is looked for elsewhere: numbers and times change from one look to the next.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()))
}

/// The whole of what was cut.
fn cut_of<'w>(cut: &str, whole: &BTreeSet<&'w str>) -> Option<&'w str> {
    let (front, end) = cut.split_once('…')?;
    whole.iter().copied().find(|word| word.starts_with(front) && word.ends_with(end))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_command_writes_a_line_wider_than_the_terminal_nor_breaks_a_word() {
    let bed = bed().await;
    for arguments in
        [&["list"][..], &["show", "1"], &["show", "3"], &["show", "5"], &["show", "visit 7"], &["status"], &["check"]]
    {
        let before = uncut(&bed, arguments).await;
        let narrow = [60, 80, 100, 200].map(|columns| (columns, shown(columns, &bed, arguments)));
        // A pause may have ended meanwhile.
        let after = uncut(&bed, arguments).await;
        let all: BTreeSet<&str> = before.split_whitespace().chain(after.split_whitespace()).collect();
        for (columns, lines) in narrow {
            assert!(lines.len() > 2, "{arguments:?}: {lines:#?}");
            for line in &lines {
                let command = line.trim_start().starts_with("event-sender ");
                assert!(command || display_width(line) <= columns, "{arguments:?} at {columns}: {line}");
                for word in words(line).filter(|word| !word.starts_with("(--wide")) {
                    let known = all.contains(word) || cut_of(word, &all).is_some() || NOT_ELSEWHERE.contains(&word);
                    assert!(known, "{arguments:?} at {columns}: '{word}' in {line}");
                }
            }
        }
    }
}

/// In a pipe, and on a terminal that is told to cut nothing. With numbers: a cut EventID may have lost all of its digits.
async fn uncut(bed: &Bed, arguments: &[&str]) -> String {
    let wide = shown(80, bed, &[arguments, &["--wide"]].concat()).join("\n");
    assert!(!wide.contains('…'), "{arguments:?}: {wide}");
    format!("{}\n{wide}", bed.command(arguments).await.stdout)
}

/// What only a terminal is told: how to see a request whole.
const NOT_ELSEWHERE: [&str; 6] = ["shows", "it", "whole,", "to", "be", "pasted)"];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_one_line_of_the_list_and_its_last_column_ends_in_an_ellipsis() {
    let bed = bed().await;
    let lines = shown(80, &bed, &["list"]);
    assert_eq!(lines.len(), 7, "{lines:#?}");
    let denied = lines.iter().find(|line| line.contains("denied")).unwrap();
    assert!(denied.ends_with('…') && display_width(denied) <= 80, "{denied}");
    assert!(lines[0].starts_with("ID") && lines[0].ends_with("EVENT ID OR REASON"), "{lines:#?}");
    let whole = bed.command(&["list"]).await.expect(0);
    assert!(whole.stdout.contains(LONG) && !whole.stdout.contains('…'), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_to_make_of_it_stands_where_the_eye_is() {
    let bed = bed().await;
    for (arguments, verdict, step) in [
        (&["status"][..], "NOTHING IS SENT: no agent", "event-sender check --mailbox denied@contoso.com"),
        (&["show", "3"], "job 3 is pending", "what to do "),
        (&["check"], "checks: ", "What to do"),
    ] {
        let lines = shown(80, &bed, arguments);
        let seen = &lines[lines.len().saturating_sub(23)..];
        let from = seen.iter().position(|line| line.contains(verdict));
        assert!(
            from.is_some_and(|from| seen[from..].iter().any(|line| line.contains(step))),
            "{arguments:?}: {seen:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_demo_fits_its_terminal_too() {
    let bed = Bed::new().await;
    let lines = shown(80, &bed, &["demo"]);
    assert!(lines.iter().any(|line| line.starts_with("OK  8 jobs sent")), "{lines:#?}");
    let too_wide: Vec<_> = lines.iter().filter(|line| display_width(line) > 80).collect();
    assert!(too_wide.is_empty(), "{too_wide:#?}");
}
