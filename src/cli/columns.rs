//! Jobs as text: from an object of an NDJSON file or a row of a CSV file to the columns of a job.

use serde_json::{Map, Value};

use crate::characters;
use crate::job::attendees_json;
use crate::queue::NewJob;

/// The columns a producer may write.
pub(super) const COLUMNS: [&str; 18] = [
    "subject",
    "body",
    "start_time",
    "end_time",
    "location",
    "attendees",
    "mailbox",
    "calendar_id",
    "body_type",
    "time_zone",
    "extra",
    "dedup_key",
    "not_before",
    "not_after",
    "priority",
    "operation",
    "event_key",
    "target_event_id",
];

/// Sets one column.
pub(super) fn set(job: &mut NewJob, column: &str, text: String) -> Result<(), String> {
    let place = match column {
        "subject" => &mut job.subject,
        "body" => &mut job.body,
        "start_time" => &mut job.start_time,
        "end_time" => &mut job.end_time,
        "location" => &mut job.location,
        "attendees" => {
            job.attendees = Some(attendees_json(&text).map_err(|fault| fault.to_string())?);
            return Ok(());
        }
        "mailbox" => &mut job.mailbox,
        "calendar_id" => &mut job.calendar_id,
        "body_type" => &mut job.body_type,
        "time_zone" => &mut job.time_zone,
        "extra" => &mut job.extra,
        "dedup_key" => &mut job.dedup_key,
        "not_before" => &mut job.not_before,
        "not_after" => &mut job.not_after,
        "priority" => {
            job.priority = Some(priority(&text)?);
            return Ok(());
        }
        "operation" => &mut job.operation,
        "event_key" => &mut job.event_key,
        "target_event_id" => &mut job.target_event_id,
        _ => return Err(unknown(column)),
    };
    *place = Some(text);
    Ok(())
}

/// The rank it gives.
fn priority(text: &str) -> Result<i64, String> {
    let known = text.trim().parse().ok().filter(|priority| (-1..=1).contains(priority));
    known.ok_or_else(|| format!("priority: {} is not -1, 0 or 1; leave it out for 0", characters::quoted(text)))
}

/// What others call the columns.
const ALIASES: [(&str, &str); 31] = [
    ("start", "start_time"),
    ("startdate", "start_time"),
    ("startdatetime", "start_time"),
    ("begin", "start_time"),
    ("from", "start_time"),
    ("end", "end_time"),
    ("enddate", "end_time"),
    ("enddatetime", "end_time"),
    ("finish", "end_time"),
    ("until", "end_time"),
    ("title", "subject"),
    ("summary", "subject"),
    ("description", "body"),
    ("content", "body"),
    ("contenttype", "body_type"),
    ("place", "location"),
    ("room", "location"),
    ("participants", "attendees"),
    ("invitees", "attendees"),
    ("guests", "attendees"),
    ("tz", "time_zone"),
    ("zone", "time_zone"),
    ("calendar", "calendar_id"),
    ("organizer", "mailbox"),
    ("deadline", "not_after"),
    ("expires", "not_after"),
    ("expiresat", "not_after"),
    ("action", "operation"),
    ("method", "operation"),
    ("eventid", "target_event_id"),
    ("targetid", "target_event_id"),
];

/// What is said of an unknown column.
pub(super) fn unknown(column: &str) -> String {
    let meant = nearest(column).map(|column| format!("did you mean {column}? ")).unwrap_or_default();
    let separator = if meant.is_empty() { "the" } else { "The" };
    let column = characters::shown(column);
    format!("'{column}' is not a column; {meant}{separator} columns are {}", COLUMNS.join(", "))
}

/// The column that a name, written in any case and with any signs between its words, looks most like.
fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let name = plain(name);
    if let Some((_, column)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(column);
    }
    let likely = COLUMNS.iter().map(|column| (strsim::jaro_winkler(&name, &plain(column)), *column));
    likely.filter(|(likeness, _)| *likeness > 0.85).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, column)| column)
}

/// A job from a JSON object whose keys are columns. `attendees` and `extra` may be JSON or text that holds JSON.
pub(super) fn from_object(object: Map<String, Value>) -> Result<NewJob, String> {
    let mut job = NewJob::default();
    for (column, value) in object {
        let nested = matches!(column.as_str(), "attendees" | "extra");
        match value {
            Value::Null => {}
            Value::String(text) => set(&mut job, &column, text)?,
            Value::Number(number) if column == "priority" => set(&mut job, &column, number.to_string())?,
            value @ (Value::Array(_) | Value::Object(_)) if nested => set(&mut job, &column, value.to_string())?,
            _ if !COLUMNS.contains(&column.as_str()) => return Err(unknown(&column)),
            _ if column == "priority" => return Err("priority: must be a number: -1, 0 or 1".into()),
            _ => return Err(format!("{column}: must be a string; write it in quotes")),
        }
    }
    Ok(job)
}

/// A job from a CSV row; empty fields are NULL.
pub(super) fn from_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Result<NewJob, String> {
    let mut job = NewJob::default();
    for (column, text) in fields {
        if text.is_empty() {
            continue;
        }
        set(&mut job, column, text.to_owned())?;
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn object(text: &str) -> Result<NewJob, String> {
        from_object(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn every_column_can_be_set_and_nothing_else() {
        let mut job = NewJob::default();
        for column in COLUMNS {
            set(&mut job, column, if column == "priority" { "1" } else { "x@y.z" }.into()).unwrap();
        }
        assert!(set(&mut job, "state", "sent".into()).unwrap_err().contains("'state' is not a column"));
    }

    #[test]
    fn attendees_and_extra_may_be_json_or_text() {
        let job =
            object(r#"{"attendees":[{"address":"a@b.c","required":true}],"extra":"{\"showAs\":\"oof\"}","body":null}"#)
                .unwrap();
        assert_eq!(job.attendees.as_deref(), Some(r#"[{"address":"a@b.c","required":true}]"#));
        assert_eq!(job.extra.as_deref(), Some(r#"{"showAs":"oof"}"#));
        assert_eq!(job.body, None);
    }

    #[test]
    fn wrong_types_and_unknown_columns_are_named() {
        assert!(object(r#"{"subject":5}"#).unwrap_err().starts_with("subject:"));
        assert!(object(r#"{"start_time":{}}"#).unwrap_err().starts_with("start_time:"));
        assert!(
            object(r#"{"attendes":[]}"#).unwrap_err().contains("'attendes' is not a column; did you mean attendees?")
        );
    }

    #[test]
    fn a_priority_is_one_of_three_numbers_in_quotes_or_not() {
        for (text, priority) in [(r#"{"priority":-1}"#, -1), (r#"{"priority":"1"}"#, 1), (r#"{"priority":0}"#, 0)] {
            assert_eq!(object(text).unwrap().priority, Some(priority), "{text}");
        }
        for text in [r#"{"priority":2}"#, r#"{"priority":0.5}"#, r#"{"priority":"high"}"#] {
            let fault = object(text).unwrap_err();
            assert!(fault.contains("is not -1, 0 or 1"), "{text}: {fault}");
        }
        assert!(object(r#"{"priority":true}"#).unwrap_err().contains("must be a number"));
        assert_eq!(from_fields([("priority", "")].into_iter()).unwrap().priority, None);
    }

    #[test]
    fn an_update_and_a_delete_are_rows_like_any_other() {
        let update = object(r#"{"operation":"update","event_key":"visit 7","subject":"","location":null}"#).unwrap();
        assert_eq!(update.operation.as_deref(), Some("update"));
        assert_eq!((update.event_key.as_deref(), update.subject.as_deref()), (Some("visit 7"), Some("")));
        assert_eq!(update.location, None);
        let fields = [("operation", "delete"), ("target_event_id", "AAMk"), ("body", "off"), ("subject", "")];
        let delete = from_fields(fields.into_iter()).unwrap();
        assert_eq!((delete.target_event_id.as_deref(), delete.body.as_deref()), (Some("AAMk"), Some("off")));
        assert_eq!(delete.subject, None);
    }

    #[test]
    fn a_name_that_is_no_column_brings_the_likely_one() {
        for (name, column) in [
            ("start", "start_time"),
            ("Start Time", "start_time"),
            ("start-time", "start_time"),
            ("STARTTIME", "start_time"),
            ("End Date", "end_time"),
            ("Title", "subject"),
            ("timezone", "time_zone"),
            ("atendees", "attendees"),
            ("Subject", "subject"),
            ("dedupkey", "dedup_key"),
            ("Deadline", "not_after"),
            ("notafter", "not_after"),
            ("eventkey", "event_key"),
            ("Event Id", "target_event_id"),
            ("Action", "operation"),
        ] {
            assert!(unknown(name).contains(&format!("did you mean {column}? The columns are")), "{}", unknown(name));
        }
        assert!(unknown("colour").contains("'colour' is not a column; the columns are"));
        assert!(
            unknown("start_time\u{200b}").contains("'start_time<U+200B>' is not a column; did you mean start_time?")
        );
    }

    #[test]
    fn attendees_may_be_a_list_of_people() {
        let job = from_fields([("attendees", "Ann <ann@contoso.com>; b@c.d")].into_iter()).unwrap();
        let expected = r#"[{"name":"Ann","address":"ann@contoso.com"},{"name":null,"address":"b@c.d"}]"#;
        assert_eq!(job.attendees.as_deref(), Some(expected));
        assert!(from_fields([("attendees", "Ann")].into_iter()).unwrap_err().starts_with("attendees: entry 1"));
    }
}
