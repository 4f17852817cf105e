//! Jobs as text: from an object of an NDJSON file or a row of a CSV file to the columns of a job.

use serde_json::{Map, Value};

use crate::queue::NewJob;

/// The columns a producer may write.
pub(super) const COLUMNS: [&str; 13] = [
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
];

/// Sets one column.
pub(super) fn set(job: &mut NewJob, column: &str, text: String) -> Result<(), String> {
    let place = match column {
        "subject" => &mut job.subject,
        "body" => &mut job.body,
        "start_time" => &mut job.start_time,
        "end_time" => &mut job.end_time,
        "location" => &mut job.location,
        "attendees" => &mut job.attendees,
        "mailbox" => &mut job.mailbox,
        "calendar_id" => &mut job.calendar_id,
        "body_type" => &mut job.body_type,
        "time_zone" => &mut job.time_zone,
        "extra" => &mut job.extra,
        "dedup_key" => &mut job.dedup_key,
        "not_before" => &mut job.not_before,
        _ => return Err(unknown(column)),
    };
    *place = Some(text);
    Ok(())
}

/// What is said of a name that is no column.
pub(super) fn unknown(column: &str) -> String {
    format!("'{column}' is no column; the columns are {}", COLUMNS.join(", "))
}

/// A job from a JSON object whose keys are columns. `attendees` and `extra` may be JSON or text that holds JSON.
pub(super) fn from_object(object: Map<String, Value>) -> Result<NewJob, String> {
    let mut job = NewJob::default();
    for (column, value) in object {
        let nested = matches!(column.as_str(), "attendees" | "extra");
        match value {
            Value::Null => {}
            Value::String(text) => set(&mut job, &column, text)?,
            value @ (Value::Array(_) | Value::Object(_)) if nested => set(&mut job, &column, value.to_string())?,
            _ if !COLUMNS.contains(&column.as_str()) => return Err(unknown(&column)),
            _ => return Err(format!("{column}: is not text; write it in quotes")),
        }
    }
    Ok(job)
}

/// A job from a CSV row; empty fields are NULL.
pub(super) fn from_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Result<NewJob, String> {
    let mut job = NewJob::default();
    for (column, text) in fields {
        if text.is_empty() && COLUMNS.contains(&column) {
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
            set(&mut job, column, "x".into()).unwrap();
        }
        assert!(set(&mut job, "state", "sent".into()).unwrap_err().contains("'state' is no column"));
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
        assert!(object(r#"{"attendes":[]}"#).unwrap_err().contains("'attendes' is no column"));
    }
}
