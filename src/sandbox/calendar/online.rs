//! Teams: the link of an online meeting, and the block with it that Exchange writes behind the body. Whoever replaces the
//! body without the link takes the link away.

use serde_json::{Map, Value};
use uuid::Uuid;

/// The calendar allows Teams only; any other provider is ignored without a word.
pub(super) fn is_wanted(event: &Map<String, Value>) -> bool {
    let provider = event.get("onlineMeetingProvider").and_then(Value::as_str).unwrap_or("unknown");
    event.get("isOnlineMeeting") == Some(&Value::Bool(true))
        && ["unknown", "teamsForBusiness"].iter().any(|known| known.eq_ignore_ascii_case(provider))
}

pub(super) fn new_join_url() -> String {
    let thread = Uuid::new_v4().simple();
    format!("https://teams.microsoft.com/l/meetup-join/19%3ameeting_{thread}%40thread.v2/0?context=%7b%22sandbox%22%7d")
}

/// What stands behind the body of a meeting with this link.
pub(super) fn join_block(join_url: &str) -> String {
    let line = "_".repeat(80);
    let line = format!("<div style=\"width:100%\"><span style=\"white-space:nowrap; opacity:.36\">{line}</span></div>");
    format!(
        "<br>\r\n{line}\r\n<div class=\"me-email-text\"><span>Microsoft Teams meeting</span></div>\r\n\
         <div class=\"me-email-text\"><a href=\"{join_url}\">Join the meeting now</a></div>\r\n{line}"
    )
}
