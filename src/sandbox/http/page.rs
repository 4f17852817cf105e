//! The sandbox's own page: what is in the calendars, what was called off, and who would have got mail. For people who
//! watch; programs ask below `/sandbox`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use serde_json::Value;

use super::state::SandboxState;
use crate::sandbox::calendar::{EventState, Mail, MailKind, StoredEvent};

/// The newest rows of each table.
const ROWS: usize = 200;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}\
    .deleted,.cancelled{color:#a33}";

pub(super) async fn page(State(state): State<Arc<SandboxState>>) -> Html<String> {
    let (events, mails) = (state.store.events(), state.store.mails());
    let event_rows: String = events.iter().rev().take(ROWS).map(event_row).collect();
    let mail_rows: String = mails.iter().rev().take(ROWS).map(mail_row).collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandbox calendars</title><style>{STYLE}</style>\
         <h1>Sandbox calendars</h1><h2>Events: {}</h2>{}{event_rows}</table><h2>Mails: {}</h2>{}{mail_rows}</table></html>",
        events.len(),
        head(&["Mailbox", "Subject", "Start", "State", "Changes"]),
        mails.len(),
        head(&["At", "Kind", "To", "From", "Comment"]),
    ))
}

fn head(names: &[&str]) -> String {
    let cells: String = names.iter().map(|name| format!("<th>{name}")).collect();
    format!("<table><tr>{cells}")
}

fn event_row(event: &StoredEvent) -> String {
    let properties = event.changed.as_ref().unwrap_or(&event.received);
    let text = |path: &str| properties.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let state = match event.state {
        EventState::Present => "present",
        EventState::Cancelled => "cancelled",
        EventState::Deleted => "deleted",
    };
    let start = format!("{} {}", text("/start/dateTime"), text("/start/timeZone"));
    row(state, &[&event.mailbox, text("/subject"), &start, state, &event.changes.to_string()])
}

fn mail_row(mail: &Mail) -> String {
    let kind = match mail.kind {
        MailKind::Invitation => "invitation",
        MailKind::Update => "update",
        MailKind::Cancellation => "cancellation",
    };
    let comment = mail.comment.as_deref().unwrap_or_default();
    row(kind, &[&mail.at, kind, &mail.attendee, &mail.mailbox, comment])
}

fn row(class: &str, cells: &[&str]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}", escaped(cell))).collect();
    format!("<tr class=\"{class}\">{cells}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
