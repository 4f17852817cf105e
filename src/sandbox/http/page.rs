//! The sandbox's own page: what would be in whose calendar, who would have got mail, and which faults are armed. For people who
//! watch; programs ask below `/sandbox`. It needs no script: the browser loads it again by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use serde_json::Value;

use super::state::SandboxState;
use crate::sandbox::calendar::{EventState, Mail, MailKind, StoredEvent};
use crate::sandbox::faults::Fault;

/// The newest events and mails; more would take a browser longer to show than it takes to load the page again.
const ROWS: usize = 200;

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\">\
    <title>Sandbox calendars</title><style>\
    :root{color-scheme:light dark}\
    body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem}\
    section{overflow-x:auto}\
    h2{margin:2rem 0 .3rem}h3{margin:1.2rem 0 .2rem;font-size:1rem}\
    table{border-collapse:collapse;table-layout:fixed;width:100%;min-width:56rem}th:nth-child(-n+2){width:13rem}td{overflow-wrap:break-word}\
    th,td{text-align:left;vertical-align:top;padding:.3rem .9rem .3rem 0;border-bottom:1px solid #8884}\
    th{font-weight:600;white-space:nowrap}\
    .when{white-space:nowrap;font-variant-numeric:tabular-nums}\
    .gone td{opacity:.7}.gone .subject{text-decoration:line-through}\
    pre,code{font:13px/1.5 ui-monospace,monospace}\
    </style></head><body><h1>Sandbox calendars</h1>";

/// What there is to do while nothing has come.
const EMPTY: &str = "<p>No event has come yet. With settings that name this sandbox (<code>event-sender sandbox --write \
    agent.toml</code>), insert a job and run the agent:</p>\
    <pre>event-sender enqueue --subject Visit --start \"2030-12-01 09:00\" --end \"2030-12-01 09:30\" --attendee ann@contoso.com\n\
    event-sender run --until-empty</pre>";

pub(super) async fn page(State(state): State<Arc<SandboxState>>) -> Html<String> {
    let (events, mails, faults) = (state.store.events(), state.store.mails(), state.script.armed());
    Html([HEAD, &summary(&events, &mails), &calendars(&events), &mailed(&mails), &armed(&faults), FOOT].concat())
}

const FOOT: &str = "<p>The same for programs: <a href=\"/sandbox/events\">events</a>, <a href=\"/sandbox/mails\">mails</a>, \
    <a href=\"/sandbox/requests\">requests</a>, <a href=\"/sandbox/counters\">counters</a>, \
    <a href=\"/sandbox/faults\">faults</a>. This page loads itself again every 5 s. Times of events are as they were sent; \
    times of mails are UTC.</p></body></html>";

fn summary(events: &[StoredEvent], mails: &[Mail]) -> String {
    let present = events.iter().filter(|event| event.state == EventState::Present).count();
    let newest = if events.len().max(mails.len()) > ROWS {
        format!(" The newest {ROWS} of each are shown.")
    } else {
        String::new()
    };
    format!(
        "<p>{present} in the calendars, {} cancelled or deleted, {} sent.{newest}</p>",
        events.len() - present,
        counted(mails.len(), "mail"),
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// One table for each calendar, its newest event first.
fn calendars(events: &[StoredEvent]) -> String {
    if events.is_empty() {
        return EMPTY.to_owned();
    }
    let mut calendars: BTreeMap<(&str, Option<&str>), Vec<&StoredEvent>> = BTreeMap::new();
    for event in events.iter().rev().take(ROWS) {
        calendars.entry((&event.mailbox, event.calendar_id.as_deref())).or_default().push(event);
    }
    let tables = calendars.into_iter().map(|((mailbox, calendar), events)| {
        let calendar = calendar.map_or_else(String::new, |id| format!(", calendar {}", escaped(id)));
        let rows = events.into_iter().map(event_row).collect();
        let names = ["Start", "End", "Subject", "Location", "Attendees", "State"];
        format!("<h3>{}{calendar}</h3>{}", escaped(mailbox), table(&names, rows))
    });
    format!("<h2>Calendars</h2>{}", tables.collect::<String>())
}

fn event_row(event: &StoredEvent) -> String {
    let properties = event.changed.as_ref().unwrap_or(&event.received);
    let text = |path: &str| properties.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let zone = text("/start/timeZone");
    let end_zone = Some(text("/end/timeZone")).filter(|end| *end != zone).unwrap_or_default();
    let cells = [
        ("when", format!("{} {zone}", minute(text("/start/dateTime")))),
        ("when", format!("{} {end_zone}", minute(text("/end/dateTime")))),
        ("subject", text("/subject").to_owned()),
        ("", text("/location/displayName").to_owned()),
        ("", attendees(properties)),
        ("", state(event)),
    ];
    let gone = if event.state == EventState::Present { "" } else { "gone" };
    row(gone, &cells)
}

/// Without the seconds of a whole minute.
fn minute(time: &str) -> String {
    let (minute, seconds) = time.split_at_checked("2030-12-01T09:00".len()).unwrap_or((time, ""));
    let is_whole = seconds.chars().all(|c| matches!(c, ':' | '.' | '0'));
    (if is_whole { minute } else { time }).replacen('T', " ", 1)
}

fn attendees(properties: &Value) -> String {
    let all = properties.get("attendees").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = |attendee: &Value| {
        let address = attendee.pointer("/emailAddress/address").and_then(Value::as_str).unwrap_or_default();
        let kind = attendee.get("type").and_then(Value::as_str).filter(|kind| *kind != "required");
        kind.map_or_else(|| address.to_owned(), |kind| format!("{address} ({kind})"))
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn state(event: &StoredEvent) -> String {
    let word = match event.state {
        EventState::Present => "there",
        EventState::Cancelled => "cancelled",
        EventState::Deleted => "deleted",
    };
    match event.changes {
        0 => word.to_owned(),
        changes => format!("{word}, changed {}", if changes == 1 { "once".into() } else { format!("{changes} times") }),
    }
}

fn mailed(mails: &[Mail]) -> String {
    let rows: Vec<String> = mails.iter().rev().take(ROWS).map(mail_row).collect();
    if rows.is_empty() {
        return "<h2>Mails</h2><p>No mail has been sent.</p>".to_owned();
    }
    format!("<h2>Mails</h2>{}", table(&["Sent", "Kind", "To", "From", "Comment"], rows))
}

fn mail_row(mail: &Mail) -> String {
    let kind = match mail.kind {
        MailKind::Invitation => "invitation",
        MailKind::Update => "update",
        MailKind::Cancellation => "cancellation",
    };
    let at = mail.at.get(..19).unwrap_or(&mail.at).replacen('T', " ", 1);
    let comment = mail.comment.clone().unwrap_or_default();
    row("", &[("when", at), ("", kind.into()), ("", mail.attendee.clone()), ("", mail.mailbox.clone()), ("", comment)])
}

fn armed(faults: &[Fault]) -> String {
    if faults.is_empty() {
        return "<h2>Armed faults</h2><p>None: everything is answered as Microsoft 365 would.</p>".to_owned();
    }
    let line = |fault: &Fault| escaped(&serde_json::to_string(fault).unwrap_or_default()) + "\n";
    format!("<h2>Armed faults</h2><section><pre>{}</pre></section>", faults.iter().map(line).collect::<String>())
}

fn table(names: &[&str], rows: Vec<String>) -> String {
    let cells: String = names.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    format!("<section><table><thead><tr>{cells}</tr></thead><tbody>{}</tbody></table></section>", rows.concat())
}

/// Cells with their classes.
fn row(class: &str, cells: &[(&str, String)]) -> String {
    let cell = |(class, text): &(&str, String)| format!("<td class=\"{class}\">{}</td>", escaped(text.trim()));
    format!("<tr class=\"{class}\">{}</tr>", cells.iter().map(cell).collect::<String>())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
