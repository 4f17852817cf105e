//! The body of the request that a row makes, before its event has been seen: for `enqueue`, which judges a row, and `show`, which
//! prints it. What depends on the event is as for a plain one: a delete as of an event with attendees, an update as of one without a
//! join block. Where the event is, is not part of it.

use bytes::Bytes;
use serde_json::Value;

use super::address::GraphBase;
use super::operations::prepare;
use crate::job::{
    AttendeeType, Cell, Created, EventId, EventRef, EventType, InvalidJob, JobId, JobInput, JobState, Operation,
    Snapshot, Target, Undraftable,
};

/// Characters of a date alone.
const DATE: usize = 10;

/// The bytes of the body that this row makes, with its defaults filled in. `create` is the row that makes its event, where that is
/// known: an update of an all-day event or of a series has other times.
///
/// # Errors
/// The row is not valid, or its request would be larger than Graph allows.
pub fn preview(input: &JobInput, create: Option<&JobInput>, own_mailbox: bool) -> Result<Bytes, InvalidJob> {
    Operation::judge(input, own_mailbox)?;
    let target = Target::Created(Box::new(created(input)?));
    let body = || {
        let operation = Operation::from_input(input, &target, own_mailbox)?;
        let prepared = prepare(&GraphBase::new("", ""), operation)?;
        let request = prepared.request(Some(&plain(input, create)))?;
        Ok(request.body.clone().unwrap_or_default())
    };
    body().map_err(|undraftable| match undraftable {
        Undraftable::Invalid(invalid) => invalid,
        Undraftable::Refused(_, words) => InvalidJob::new("operation", words),
    })
}

/// The event as far as the rows tell, with an attendee.
fn plain(input: &JobInput, create: Option<&JobInput>) -> Snapshot {
    let extra =
        create.and_then(|create| text(&create.extra)).and_then(|extra| serde_json::from_str::<Value>(&extra).ok());
    let extra = extra.unwrap_or_default();
    let is_date = text(&input.start_time).is_some_and(|start| start.trim().len() == DATE);
    Snapshot {
        event: EventRef::from(event_id()),
        etag: None,
        kind: if extra["recurrence"].is_object() { EventType::SeriesMaster } else { EventType::Single },
        is_all_day: is_date || extra["isAllDay"] == true,
        body: None,
        is_online: false,
        attendees: vec![(String::new(), AttendeeType::Required)],
        ends_at: None,
        created_at: None,
    }
}

/// The create of its key, where the row says it is.
fn created(input: &JobInput) -> Result<Created, InvalidJob> {
    Ok(Created {
        job: JobId(0),
        state: JobState::Sent,
        in_doubt: false,
        event_id: Some(event_id()),
        mailbox: text(&input.mailbox),
        calendar_id: input.calendar_id.optional_word("calendar_id")?.map(str::to_owned),
        transaction_id: String::new(),
    })
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn event_id() -> EventId {
    EventId("event".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn row(operation: &str) -> JobInput {
        JobInput {
            operation: operation.into(),
            event_key: "visit".into(),
            transaction_id: "tx".into(),
            time_zone: "Europe/Berlin".into(),
            body_type: "text".into(),
            ..JobInput::default()
        }
    }

    fn shown(input: &JobInput, create: Option<&JobInput>) -> Value {
        serde_json::from_slice(&preview(input, create, false).unwrap()).unwrap()
    }

    fn moved(start: &str, end: &str) -> JobInput {
        JobInput { start_time: start.into(), end_time: end.into(), ..row("update") }
    }

    #[test]
    fn an_update_is_what_the_row_says_and_its_revision() {
        let update = JobInput { location: "Room 2".into(), ..row("update") };
        let shown = shown(&update, None);
        assert_eq!(shown["location"], json!({"displayName": "Room 2"}));
        assert_eq!(
            (shown["singleValueExtendedProperties"][0]["value"].as_str(), shown.get("subject")),
            (Some("tx"), None)
        );
    }

    #[test]
    fn the_times_of_an_update_are_those_of_the_event_it_means() {
        let wall = shown(&moved("2026-12-01 09:00", "2026-12-01 10:00"), None);
        assert_eq!(wall["start"]["dateTime"], "2026-12-01T09:00:00");
        let dates = shown(&moved("2026-12-01", "2026-12-02"), None);
        assert_eq!(dates["end"]["dateTime"], "2026-12-02T00:00:00");
        let series = JobInput { extra: r#"{"recurrence":{"pattern":{}}}"#.into(), ..row("create") };
        let instant = shown(&moved("2026-12-01T09:00:00Z", "2026-12-01T10:00:00Z"), Some(&series));
        assert_eq!(instant["start"], json!({"dateTime": "2026-12-01T10:00:00", "timeZone": "Europe/Berlin"}));
    }

    #[test]
    fn a_delete_is_the_comment_that_attendees_read() {
        let delete = JobInput { body: "ill".into(), body_type: Cell::Null, time_zone: Cell::Null, ..row("delete") };
        assert_eq!(shown(&delete, None), json!({"comment": "ill"}));
    }

    #[test]
    fn a_row_that_means_nothing_is_told_with_its_column() {
        let lost = JobInput { event_key: Cell::Null, subject: "x".into(), ..row("update") };
        assert!(preview(&lost, None, false).unwrap_err().to_string().starts_with("event_key"));
        let word = JobInput { operation: "change".into(), ..row("update") };
        assert!(preview(&word, None, false).unwrap_err().to_string().starts_with("operation"));
        let large = JobInput { body: Cell::Text("x".repeat(5 * 1024 * 1024)), ..row("update") };
        assert!(preview(&large, None, false).unwrap_err().to_string().starts_with("body"));
    }
}
