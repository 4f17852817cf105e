//! The one form of the times the agent writes: UTC text `YYYY-MM-DDTHH:MM:SS.mmmZ`. Text of this form sorts by time.

use chrono::{DateTime, SecondsFormat, Utc};

/// `2026-12-01T09:00:00.000Z`.
pub fn format_utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads a time the agent wrote, or any RFC 3339 time an operator typed into one of the agent's columns.
pub fn parse_utc(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.with_timezone(&Utc))
}
