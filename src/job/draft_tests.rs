//! Rows good and bad, as a producer would write them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::job::{Cell, Defaults};

fn row(change: impl FnOnce(&mut JobInput)) -> JobInput {
    let mut input = JobInput {
        start_time: "2026-12-01T09:00:00".into(),
        end_time: "2026-12-01T10:00:00".into(),
        mailbox: "ann@contoso.com".into(),
        transaction_id: "7d9f6d5e-0000-4000-8000-000000000000".into(),
        ..JobInput::default()
    };
    change(&mut input);
    input
}

fn defaults() -> Defaults {
    Defaults {
        mailbox: Some("default@contoso.com".into()),
        body_type: BodyType::Html,
        time_zone: Some("Europe/Berlin".into()),
        own_mailbox: false,
    }
}

fn fault(change: impl FnOnce(&mut JobInput)) -> InvalidJob {
    EventDraft::from_input(&row(change), false).unwrap_err()
}

#[test]
fn a_row_with_everything_becomes_a_draft() {
    let draft = EventDraft::from_input(
        &row(|input| {
            input.subject = "Review".into();
            input.body = "<p>Agenda</p>".into();
            input.body_type = "html".into();
            input.location = "Room 1".into();
            input.time_zone = "Europe/Berlin".into();
            input.calendar_id = "AAMk".into();
            input.attendees = r#"[{"name":"Ann","address":"ann@contoso.com","required":true}]"#.into();
            input.extra = r#"{"showAs":"busy"}"#.into();
            input.not_before = "2026-11-30 08:00".into();
        }),
        false,
    )
    .unwrap();
    assert_eq!(draft.subject.as_deref(), Some("Review"));
    assert_eq!(draft.body, Some(Body { content: "<p>Agenda</p>".into(), kind: BodyType::Html }));
    assert_eq!(draft.start.time_zone, "Europe/Berlin");
    assert_eq!(draft.attendees.len(), 1);
    assert_eq!(draft.extra["showAs"], "busy");
}

#[test]
fn null_is_nothing_and_empty_text_is_empty_text() {
    let draft = EventDraft::from_input(&row(|_| {}), false).unwrap();
    assert_eq!((draft.subject, draft.body, draft.location), (None, None, None));
    let draft = EventDraft::from_input(&row(|input| input.subject = "".into()), false).unwrap();
    assert_eq!(draft.subject.as_deref(), Some(""));
}

#[test]
fn defaults_fill_only_what_is_null() {
    let filled = row(|input| input.mailbox = Cell::Null).with_defaults(&defaults());
    assert_eq!(filled.mailbox, "default@contoso.com".into());
    assert_eq!(filled.body_type, "html".into());
    assert_eq!(filled.time_zone, "Europe/Berlin".into());
    let kept = row(|input| input.time_zone = "Asia/Tokyo".into()).with_defaults(&defaults());
    assert_eq!((kept.mailbox, kept.time_zone), ("ann@contoso.com".into(), "Asia/Tokyo".into()));
}

#[test]
fn instants_without_a_zone_are_sent_in_utc_also_after_the_defaults_are_frozen() {
    let filled = row(|input| {
        input.start_time = "2026-12-01T09:00:00Z".into();
        input.end_time = "2026-12-01T11:00:00+01:00".into();
    })
    .with_defaults(&defaults());
    let draft = EventDraft::from_input(&filled, false).unwrap();
    assert_eq!((draft.start.date_time.as_str(), draft.start.time_zone.as_str()), ("2026-12-01T09:00:00", "UTC"));
    assert_eq!(draft.end.date_time, "2026-12-01T10:00:00");
    assert_eq!(filled.clone().with_defaults(&defaults()), filled);
}

const WEEKLY: &str = r#"{"recurrence":{"pattern":{"type":"weekly","interval":1,"daysOfWeek":["saturday"]}}}"#;

fn series(change: impl FnOnce(&mut JobInput), defaults: &Defaults) -> Result<EventDraft, InvalidJob> {
    let filled = row(|input| {
        input.start_time = "2027-03-06T06:00:00+08:00".into();
        input.end_time = "2027-03-06T07:00:00+08:00".into();
        input.extra = WEEKLY.into();
        change(input);
    });
    EventDraft::from_input(&filled.with_defaults(defaults), false)
}

#[test]
fn a_series_needs_a_zone_somebody_chose() {
    let nobody = Defaults { time_zone: None, ..defaults() };
    for extra in [WEEKLY, r#"{"Recurrence":{}}"#, r#"{"recurrence":{},"isAllDay":false}"#] {
        for time in ["2027-03-06T00:00:00+08:00", "2027-03-06T00:00"] {
            let change = |input: &mut JobInput| (input.start_time, input.extra) = (time.into(), extra.into());
            let error = series(change, &nobody).unwrap_err();
            assert!(error.column == "time_zone" && error.fault.contains("defaults.time_zone"), "{error}");
        }
    }
    let in_row = series(|input| input.time_zone = "Asia/Singapore".into(), &nobody).unwrap();
    let by_default = series(|_| {}, &Defaults { time_zone: Some("Asia/Singapore".into()), ..defaults() }).unwrap();
    assert_eq!(in_row, by_default);
    let time = |text: &str, zone: &str| EventTime { date_time: text.into(), time_zone: zone.into() };
    assert_eq!(in_row.start, time("2027-03-06T06:00:00", "Asia/Singapore"));
    // All-day events are dates wherever one is.
    let dates = |input: &mut JobInput| {
        (input.start_time, input.end_time) = ("2027-03-06".into(), "2027-03-07".into());
        input.extra = r#"{"recurrence":{},"isAllDay":true}"#.into();
    };
    assert_eq!(series(dates, &nobody).unwrap().start, time("2027-03-06T00:00:00", "UTC"));
    // Who chooses UTC has chosen.
    let chosen = Defaults { time_zone: Some("UTC".into()), ..defaults() };
    assert_eq!(series(|_| {}, &chosen).unwrap().start, time("2027-03-05T22:00:00", "UTC"));
}

#[test]
fn a_recurrence_of_null_is_none() {
    let nobody = Defaults { time_zone: None, ..defaults() };
    let draft = series(|input| input.extra = r#"{"recurrence":null}"#.into(), &nobody).unwrap();
    assert_eq!((draft.start.date_time.as_str(), draft.start.time_zone.as_str()), ("2027-03-05T22:00:00", "UTC"));
}

#[test]
fn cells_no_program_should_write_are_refused_by_name() {
    for (cell, part) in [(Cell::Blob, "BLOB"), (Cell::NotUtf8, "UTF-8"), (Cell::TooLarge(10_000_000), "10000000 bytes")]
    {
        let error = fault(|input| input.subject = cell);
        assert!(error.column == "subject" && error.fault.contains(part), "{error}");
    }
    assert_eq!(fault(|input| input.start_time = Cell::Null).column, "start_time");
    assert_eq!(fault(|input| input.time_zone = " ".into()).column, "time_zone");
}

#[test]
fn a_job_without_mailbox_needs_a_default_or_an_own_mailbox() {
    let nobody = row(|input| input.mailbox = Cell::Null);
    let error = EventDraft::from_input(&nobody, false).unwrap_err();
    assert!(error.column == "mailbox" && error.fault.contains("defaults.mailbox"));
    assert_eq!(EventDraft::from_input(&nobody, true).unwrap().mailbox, None);
}

#[test]
fn mailbox_and_calendar_that_no_url_can_hold_are_refused() {
    for bad in ["..", ".", "ann@contoso.com\r\nX: y"] {
        assert_eq!(fault(|input| input.mailbox = bad.into()).column, "mailbox");
        assert_eq!(fault(|input| input.calendar_id = bad.into()).column, "calendar_id");
    }
    for blank in ["ann@contoso.com\u{a0}", "\u{3000}ann@contoso.com", "ann @contoso.com"] {
        assert_eq!(fault(|input| input.mailbox = blank.into()).column, "mailbox");
    }
    assert_eq!(fault(|input| input.calendar_id = "x".repeat(70_000).as_str().into()).column, "calendar_id");
    assert_eq!(fault(|input| input.time_zone = "x".repeat(70_000).as_str().into()).column, "time_zone");
    assert_eq!(fault(|input| input.mailbox = "x".repeat(321).as_str().into()).column, "mailbox");
}

#[test]
fn extra_names_the_key_that_only_differs_in_its_spelling_from_one_it_may_not_set() {
    let said = |key: &str| fault(|input| input.extra = format!(r#"{{"{key}":[]}}"#).as_str().into()).to_string();
    for key in ["Subject", "TransactionId", "ATTENDEES", " start ", "Body"] {
        assert!(said(key).contains(&format!("contains '{key}'")), "{}", said(key));
    }
    for key in ["@odata.type", "@odata.etag", "attendees@odata.type", "calendar@odata.bind", "@removed"] {
        assert!(said(key).contains(key) && said(key).contains("leave it out"), "{}", said(key));
    }
    for key in ["SingleValueExtendedProperties", "singlevalueextendedproperties", "singleValueExtendedProperties "] {
        assert!(said(key).contains("write it 'singleValueExtendedProperties'"), "{}", said(key));
    }
}

#[test]
fn extra_may_not_set_what_a_column_sets() {
    for key in ["subject", "Body", "start", "end", "location", "ATTENDEES", "transactionId"] {
        let error = fault(|input| input.extra = format!(r#"{{"{key}":1}}"#).as_str().into());
        assert!(error.column == "extra" && error.fault.to_lowercase().contains(&key.to_lowercase()), "{error}");
    }
    assert!(fault(|input| input.extra = "[]".into()).fault.contains("not a JSON object"));
    assert!(fault(|input| input.extra = "{".into()).fault.contains("not JSON"));
    assert!(fault(|input| input.extra = "[".repeat(5000).as_str().into()).fault.contains("not JSON"));
}

#[test]
fn an_all_day_event_runs_from_midnight_to_a_later_midnight() {
    let day = |start: &str, end: &str| {
        EventDraft::from_input(
            &row(|input| {
                input.start_time = start.into();
                input.end_time = end.into();
                input.time_zone = "Europe/Berlin".into();
                input.extra = r#"{"isAllDay":true}"#.into();
            }),
            false,
        )
    };
    let sent = day("2026-12-01", "2026-12-03").unwrap();
    assert_eq!(
        (sent.start.date_time.as_str(), sent.end.date_time.as_str()),
        ("2026-12-01T00:00:00", "2026-12-03T00:00:00")
    );
    assert_eq!((sent.start.time_zone.as_str(), sent.end.time_zone.as_str()), ("Europe/Berlin", "Europe/Berlin"));
    assert_eq!(day("2026-11-30T23:00:00Z", "2026-12-02T23:00:00Z").unwrap(), sent);
    assert_eq!(day("2026-12-01 09:00", "2026-12-02 00:00").unwrap_err().column, "start_time");
}

#[test]
fn whether_an_event_is_all_day_is_said_by_true_or_false() {
    let with = |extra: &str| EventDraft::from_input(&row(|input| input.extra = extra.into()), false);
    for timed in [r#"{"isAllDay":false}"#, r#"{"isAllDay":null}"#] {
        assert!(with(timed).is_ok(), "{timed}");
    }
    for odd in [r#"{"isAllDay":1}"#, r#"{"isAllDay":"true"}"#] {
        let error = with(odd).unwrap_err();
        assert!(error.column == "extra" && error.fault.contains("json('true')"), "{error}");
    }
    assert_eq!(with(r#"{"IsAllDay":true}"#).unwrap_err().column, "start_time");
}

#[test]
fn a_not_before_that_is_no_time_is_refused() {
    for text in ["soon", "2099-12-01", "2460000.5", "now", "infinity", "2099-12-01T09:00\u{a0}"] {
        assert_eq!(fault(|input| input.not_before = text.into()).column, "not_before", "{text}");
    }
    for text in ["0001-01-01T00:00:00", "1899-12-31T23:59:59Z", "1900-01-01T00:00:00+05:00"] {
        let error = fault(|input| input.not_before = text.into());
        assert!(error.column == "not_before" && error.fault.contains("1900 to 9999"), "{text}: {error}");
    }
    for text in ["1900-01-01T00:00:00Z", "9999-12-31 23:59:59.999999", "9999-12-31T23:00-05", "2099-12-01 09:00 +01:00"]
    {
        assert!(EventDraft::from_input(&row(|input| input.not_before = text.into()), false).is_ok(), "{text}");
    }
}

#[test]
fn a_request_too_large_names_the_column_that_fills_it() {
    let draft = EventDraft::from_input(
        &row(|input| {
            input.body = "x".repeat(2000).as_str().into();
            input.subject = "y".repeat(20).as_str().into();
        }),
        false,
    )
    .unwrap();
    assert!(draft.check_size(MAX_REQUEST_BYTES).is_ok());
    let error = draft.check_size(MAX_REQUEST_BYTES + 1).unwrap_err();
    assert!(error.column == "body" && error.fault.contains("4 MB"));
}

#[test]
fn an_event_is_over_at_its_end_and_a_series_with_its_last_day() {
    let over = |start: &str, end: &str, zone: &str, extra: &str| {
        let draft = EventDraft::from_input(
            &row(|input| {
                (input.start_time, input.end_time) = (start.into(), end.into());
                (input.time_zone, input.extra) = (zone.into(), extra.into());
            }),
            false,
        );
        draft.unwrap().ends_at().map(crate::job::format_utc)
    };
    let until = |range: &str| format!(r#"{{"recurrence":{{"pattern":{{}},"range":{range}}}}}"#);
    let last = until(r#"{"type":"endDate","startDate":"2026-12-01","endDate":"2026-12-31"}"#);
    let (nine, ten) = ("2026-12-01T09:00", "2026-12-01T10:00");
    for (start, end, zone, extra, expected) in [
        (nine, ten, "Europe/Berlin", "{}", Some("2026-12-01T09:00:00.000Z")),
        (nine, "2026-12-01T10:00Z", "Europe/Berlin", "{}", Some("2026-12-01T10:00:00.000Z")),
        (nine, ten, "Nowhere", "{}", None),
        ("2026-12-01", "2026-12-02", "Europe/Berlin", r#"{"isAllDay":true}"#, Some("2026-12-01T23:00:00.000Z")),
        (nine, ten, "Europe/Berlin", &last, Some("2026-12-31T23:00:00.000Z")),
        ("2026-12-01T22:00", "2026-12-02T02:00", "Europe/Berlin", &last, Some("2027-01-01T23:00:00.000Z")),
        ("2026-12-01T22:00", "2026-12-02T00:00", "Europe/Berlin", &last, Some("2026-12-31T23:00:00.000Z")),
        (nine, ten, "Europe/Berlin", &until(r#"{"type":"noEnd"}"#), None),
        (nine, ten, "Europe/Berlin", &until(r#"{"type":"numbered","numberOfOccurrences":3}"#), None),
        (nine, ten, "Europe/Berlin", &until(r#"{"type":"endDate","endDate":"soon"}"#), None),
        (nine, ten, "Europe/Berlin", &until("[]"), None),
        (nine, ten, "Nowhere", &last, None),
        (
            nine,
            ten,
            "Europe/Berlin",
            &until(r#"{"type":"endDate","endDate":"2026-12-31","recurrenceTimeZone":"Asia/Tokyo"}"#),
            Some("2026-12-31T15:00:00.000Z"),
        ),
        // Past the calendar's end no text of a time sorts any more.
        ("9999-12-31T20:00", "9999-12-31T23:00", "America/New_York", "{}", None),
        (nine, ten, "UTC", &until(r#"{"type":"endDate","endDate":"9999-12-31"}"#), None),
        (nine, ten, "UTC", &until(r#"{"type":"endDate","endDate":"+262142-12-31"}"#), None),
    ] {
        assert_eq!(over(start, end, zone, extra).as_deref(), expected, "{start} {end} {zone} {extra}");
    }
}

#[test]
fn only_a_request_that_names_the_rows_zone_can_be_refused_for_it() {
    let names = |change: &dyn Fn(&mut JobInput)| row(change).goes_out_in_its_zone();
    assert!(names(&|_| {}));
    let no_times = |input: &mut JobInput, operation: &str| {
        (input.operation, input.start_time, input.end_time) = (operation.into(), Cell::Null, Cell::Null);
    };
    assert!(!names(&|input| no_times(input, "update")));
    assert!(!names(&|input| no_times(input, "delete")));
    assert!(names(&|input| input.operation = "update".into()));
}
