//! Rows of updates and deletes, good and bad.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::job::{EventId, Operation, Target};

fn row(change: impl FnOnce(&mut JobInput)) -> JobInput {
    let mut input = JobInput {
        operation: "update".into(),
        target_event_id: "AAMk".into(),
        mailbox: "ann@contoso.com".into(),
        transaction_id: "t-9".into(),
        body_type: "text".into(),
        time_zone: "Europe/Berlin".into(),
        ..JobInput::default()
    };
    change(&mut input);
    input
}

fn change(with: impl FnOnce(&mut JobInput)) -> EventChange {
    EventChange::from_input(&row(with)).unwrap()
}

fn fault(with: impl FnOnce(&mut JobInput)) -> InvalidJob {
    EventChange::from_input(&row(with)).unwrap_err()
}

fn timed(start: &'static str, end: &'static str) -> impl Fn(&mut JobInput) {
    move |input| (input.start_time, input.end_time) = (start.into(), end.into())
}

fn seen(kind: EventType, is_all_day: bool) -> Snapshot {
    Snapshot {
        event: EventId("AAMk".into()).into(),
        etag: Some("W/\"1\"".into()),
        kind,
        is_all_day,
        body: None,
        is_online: false,
        attendees: Vec::new(),
        ends_at: Some(utc("2026-12-01T12:00:00Z")),
        created_at: None,
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn sent(change: &EventChange, seen: &Snapshot) -> (String, String, String) {
    let (start, end) = change.times(seen).unwrap().unwrap();
    assert_eq!(start.time_zone, end.time_zone);
    (start.date_time, end.date_time, start.time_zone)
}

fn span_of(start: &str, end: &str, zone: &str) -> (String, String, String) {
    (start.into(), end.into(), zone.into())
}

#[test]
fn null_leaves_as_it_is_empty_text_clears_and_the_empty_list_leaves_the_attendees() {
    let subject = change(|input| input.subject = "".into());
    assert_eq!((subject.subject.as_deref(), subject.body, subject.location), (Some(""), None, None));
    assert_eq!((subject.attendees, subject.revision.as_str()), (None, "t-9"));
    let cleared = change(|input| (input.body, input.location) = ("".into(), "".into()));
    assert_eq!((cleared.body.unwrap().content, cleared.location), (String::new(), Some(String::new())));
}

#[test]
fn attendees_alone_are_told_from_attendees_beside_something_else() {
    let ann = r#"[{"address":"ann@contoso.com"}]"#;
    let alone = change(|input| input.attendees = ann.into());
    assert!(alone.is_of_attendees_alone() && alone.attendees.unwrap().len() == 1);
    let away = change(|input| input.extra = r#"{"attendees":[]}"#.into());
    assert!(away.is_of_attendees_alone() && away.extra.is_empty());
    assert_eq!(away.attendees, Some(Vec::new()));
    for beside in [
        change(|input| (input.attendees, input.subject) = (ann.into(), "x".into())),
        change(|input| (input.attendees, input.extra) = (ann.into(), r#"{"showAs":"oof"}"#.into())),
        change(|input| input.extra = r#"{"attendees":[],"showAs":"oof"}"#.into()),
        change(|input| input.subject = "x".into()),
    ] {
        assert!(!beside.is_of_attendees_alone());
    }
}

#[test]
fn extra_takes_all_attendees_away_and_nothing_more() {
    for extra in [
        r#"{"attendees":[{"emailAddress":{"address":"a@b.c"}}]}"#,
        r#"{"attendees":null}"#,
        r#"{"Attendees":[]}"#,
        r#"{"attendees":[],"Attendees":[{"emailAddress":{"address":"a@b.c"}}]}"#,
        r#"{"attendees":[]," attendees":[]}"#,
        r#"{"attendees":[],"transactionId":"x"}"#,
    ] {
        assert_eq!(fault(|input| input.extra = extra.into()).column, "extra", "{extra}");
    }
    let both = fault(|input| {
        (input.extra, input.attendees) = (r#"{"attendees":[]}"#.into(), r#"[{"address":"a@b.c"}]"#.into());
    });
    assert!(both.column == "extra" && both.fault.contains("leave one of them out"), "{both}");
}

#[test]
fn a_row_that_changes_nothing_is_refused() {
    for change in [
        (|_| {}) as fn(&mut JobInput),
        |input| input.body_type = "html".into(),
        |input| input.extra = "{}".into(),
        |input| input.attendees = " [ ] ".into(),
    ] {
        let error = fault(change);
        assert!(error.column == "operation" && error.fault.contains("changes nothing"), "{error}");
    }
}

#[test]
fn start_and_end_come_together_and_mean_something() {
    assert_eq!(fault(|input| input.start_time = "2026-12-01T09:00".into()).column, "end_time");
    assert_eq!(fault(|input| input.end_time = "2026-12-01T09:00".into()).column, "start_time");
    assert_eq!(fault(timed("soon", "2026-12-01T09:00")).column, "start_time");
    assert_eq!(fault(timed("2026-12-01T09:00", "2026-12-01T08:00")).column, "end_time");
    assert_eq!(fault(timed("2026-12-02", "2026-12-01")).column, "start_time");
    assert_eq!(fault(timed("2026-03-29T02:30", "2026-03-29T04:00")).column, "start_time");
    let all_day = |input: &mut JobInput| {
        timed("2026-12-01T09:00", "2026-12-01T10:00")(input);
        input.extra = r#"{"isAllDay":true}"#.into();
    };
    assert_eq!(fault(all_day).column, "start_time");
    let odd = |input: &mut JobInput| input.extra = r#"{"isAllDay":"yes"}"#.into();
    assert_eq!(fault(odd).column, "extra");
}

#[test]
fn times_are_those_that_the_event_wants() {
    let moved = change(timed("2026-12-01T09:00+01:00", "2026-12-01T10:00+01:00"));
    let (single, series, dates) =
        (seen(EventType::Single, false), seen(EventType::SeriesMaster, false), seen(EventType::Single, true));
    assert_eq!(sent(&moved, &single), span_of("2026-12-01T08:00:00", "2026-12-01T09:00:00", "UTC"));
    assert_eq!(sent(&moved, &series), span_of("2026-12-01T09:00:00", "2026-12-01T10:00:00", "Europe/Berlin"));
    assert_eq!(moved.times(&dates).unwrap_err().column, "start_time");
    let days = change(timed("2026-12-01", "2026-12-03"));
    let expected = span_of("2026-12-01T00:00:00", "2026-12-03T00:00:00", "Europe/Berlin");
    assert_eq!(sent(&days, &dates), expected);
    assert_eq!(sent(&days, &seen(EventType::SeriesMaster, true)), expected);
    assert_eq!(days.times(&single).unwrap_err().column, "start_time");
    // An hour that comes twice: an instant of a single event, the clock's of a series, which cannot end before it starts.
    let twice = change(timed("2026-10-25 02:45", "2026-10-25 02:15"));
    assert_eq!(sent(&twice, &single), span_of("2026-10-25T00:45:00", "2026-10-25T01:15:00", "UTC"));
    assert_eq!(twice.times(&series).unwrap_err().column, "end_time");
    let once = change(timed("2026-10-25 02:15", "2026-10-25 02:45"));
    assert_eq!(sent(&once, &series), span_of("2026-10-25T02:15:00", "2026-10-25T02:45:00", "Europe/Berlin"));
    // What the row says of itself goes before what was seen.
    let timed_now = change(|input| {
        timed("2026-12-01T09:00", "2026-12-01T10:00")(input);
        input.extra = r#"{"isAllDay":false,"recurrence":null}"#.into();
    });
    let expected = span_of("2026-12-01T09:00:00", "2026-12-01T10:00:00", "Europe/Berlin");
    assert_eq!(sent(&timed_now, &seen(EventType::SeriesMaster, true)), expected);
    assert_eq!(change(|input| input.subject = "x".into()).times(&single).unwrap(), None);
}

#[test]
fn midnight_that_the_clocks_skip_is_a_date_of_an_event_of_whole_days() {
    let days = change(|input| {
        timed("2018-11-04T00:00", "2018-11-05T00:00")(input);
        input.time_zone = "America/Sao_Paulo".into();
    });
    let expected = span_of("2018-11-04T00:00:00", "2018-11-05T00:00:00", "America/Sao_Paulo");
    assert_eq!(sent(&days, &seen(EventType::Single, true)), expected);
    assert_eq!(days.times(&seen(EventType::Single, false)).unwrap_err().column, "start_time");
}

#[test]
fn a_change_knows_when_its_event_is_over() {
    let (single, series) = (seen(EventType::Single, false), seen(EventType::SeriesMaster, false));
    let times = timed("2027-01-01T09:00", "2027-01-01T10:00");
    assert_eq!(change(&times).ends_at(&single), Some(utc("2027-01-01T09:00:00Z")));
    assert_eq!(change(&times).ends_at(&series), None);
    assert_eq!(change(|input| input.subject = "x".into()).ends_at(&single), single.ends_at);
    let recurring = |range: &'static str| {
        change(|input| {
            times(input);
            input.extra = format!(r#"{{"recurrence":{{"pattern":{{}},"range":{range}}}}}"#).as_str().into();
        })
    };
    let until = recurring(r#"{"type":"endDate","endDate":"2027-02-01"}"#);
    assert_eq!(until.ends_at(&single), Some(utc("2027-02-01T23:00:00Z")));
    let for_ever = recurring(r#"{"type":"noEnd"}"#).ends_at(&single).unwrap();
    assert!(for_ever > utc("9000-01-01T00:00:00Z"), "{for_ever}");
    let ended = change(|input| {
        times(input);
        input.extra = r#"{"recurrence":null}"#.into();
    });
    assert_eq!(ended.ends_at(&series), Some(utc("2027-01-01T09:00:00Z")));
}

#[test]
fn a_recurrence_without_times_needs_no_zone() {
    let recurring = row(|input| {
        input.time_zone = Cell::Null;
        input.extra = r#"{"recurrence":{"pattern":{}}}"#.into();
    });
    assert!(EventChange::from_input(&recurring).is_ok());
}

#[test]
fn a_delete_has_a_comment_and_nothing_else_but_what_defaults_fill_in() {
    let delete = |change: &dyn Fn(&mut JobInput)| Cancellation::from_input(&row(change));
    assert_eq!(delete(&|_| {}).unwrap().comment, None);
    assert_eq!(delete(&|input| input.body = "Sorry".into()).unwrap().comment.as_deref(), Some("Sorry"));
    type Set = (&'static str, fn(&mut JobInput));
    let cases: [Set; 8] = [
        ("subject", |input| input.subject = "[]".into()),
        ("subject", |input| input.subject = Cell::Blob),
        ("start_time", |input| input.start_time = "2026-12-01".into()),
        ("end_time", |input| input.end_time = "".into()),
        ("location", |input| input.location = "x".into()),
        ("extra", |input| input.extra = "{}".into()),
        ("attendees", |input| input.attendees = r#"[{"address":"a@b.c"}]"#.into()),
        ("body", |input| input.body = Cell::NotUtf8),
    ];
    for (column, change) in cases {
        assert_eq!(delete(&change).unwrap_err().column, column);
    }
}

#[test]
fn a_request_too_large_names_the_column_that_fills_it() {
    let change = change(|input| {
        input.subject = "x".repeat(2000).as_str().into();
        input.body = "y".into();
    });
    assert!(change.check_size(MAX_REQUEST_BYTES).is_ok());
    assert_eq!(change.check_size(MAX_REQUEST_BYTES + 1).unwrap_err().column, "subject");
    assert_eq!(Cancellation { comment: None }.check_size(MAX_REQUEST_BYTES + 1).unwrap_err().column, "body");
}

/// What stands in a column, mostly of what means something in one.
fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        4 => Just(Cell::Null),
        1 => Just(Cell::Blob),
        1 => Just(Cell::NotUtf8),
        1 => Just(Cell::TooLarge(u64::MAX)),
        3 => "\\PC{0,20}".prop_map(Cell::Text),
        3 => prop::sample::select(vec![
            "", "[]", "{}", "..", "update", "delete", "create", "2026-12-01", "2026-12-01T09:00", "9999-12-31T23:59:59-14:00",
            "1900-01-01T00:00+14:00", "+262142-12-31", "UTC", "Europe/Berlin", "html", "ann@contoso.com", "\u{0}", " \u{a0}",
            r#"{"attendees":[]}"#, r#"{"isAllDay":true}"#, r#"[{"address":"a@b.c"}]"#,
            r#"{"recurrence":{"range":{"type":"endDate","endDate":"+262142-12-31"}}}"#,
            r#"{"recurrence":{"range":{"type":"endDate","endDate":"9999-12-31","recurrenceTimeZone":"x"}}}"#,
        ])
        .prop_map(Cell::from),
    ]
}

fn input() -> impl Strategy<Value = JobInput> {
    let operation =
        prop_oneof![4 => prop::sample::select(vec!["create", "update", "delete"]).prop_map(Cell::from), 1 => cell()];
    (operation, prop::collection::vec(cell(), 17)).prop_map(|(operation, cells)| {
        let mut cells = cells.into_iter();
        let mut next = || cells.next().unwrap();
        JobInput {
            operation,
            subject: next(),
            body: next(),
            start_time: next(),
            end_time: next(),
            location: next(),
            attendees: next(),
            mailbox: next(),
            calendar_id: next(),
            body_type: next(),
            time_zone: next(),
            extra: next(),
            dedup_key: next(),
            not_before: next(),
            not_after: next(),
            event_key: next(),
            target_event_id: next(),
            transaction_id: next(),
        }
    })
}

proptest! {
    /// Whatever is judged good without the queue is drafted, and what is not is told by the same fault.
    #[test]
    fn no_row_makes_a_panic_and_it_is_judged_as_it_is_drafted(
        input in input(),
        own in any::<bool>(),
        is_all_day in any::<bool>(),
        is_series in any::<bool>(),
    ) {
        let judged = Operation::judge(&input, own);
        match (Operation::from_input(&input, &Target::NotAsked, own), judged) {
            (Err(crate::job::Undraftable::Invalid(invalid)), judged) => prop_assert_eq!(judged, Err(invalid)),
            (_, judged) => prop_assert!(judged.is_ok()),
        }
        if let Ok(change) = EventChange::from_input(&input) {
            let kind = if is_series { EventType::SeriesMaster } else { EventType::Single };
            let seen = seen(kind, is_all_day);
            let _ = (change.times(&seen), change.ends_at(&seen));
        }
        if let Ok(draft) = crate::job::EventDraft::from_input(&input, own) {
            let over = draft.ends_at().map(crate::job::format_utc);
            prop_assert!(over.is_none_or(|over| over.len() == 24), "as text it must sort");
        }
    }
}
