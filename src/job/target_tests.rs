//! How a row names its event, and what the queue knows of it.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::job::{Cell, Defaults, Operation};

fn row(operation: &str, change: impl FnOnce(&mut JobInput)) -> JobInput {
    let mut input = JobInput {
        operation: operation.into(),
        event_key: "visit-7".into(),
        transaction_id: "7d9f6d5e-0000-4000-8000-000000000000".into(),
        ..JobInput::default()
    };
    if operation == "update" {
        input.subject = "Moved".into();
    }
    change(&mut input);
    input
}

fn created(change: impl FnOnce(&mut Created)) -> Target {
    let mut created = Created {
        job: JobId(7),
        state: JobState::Sent,
        in_doubt: false,
        event_id: Some(EventId("AAMk".into())),
        mailbox: Some(" Ann@contoso.com".into()),
        calendar_id: Some("cal/1 ".into()),
        transaction_id: "t-7".into(),
    };
    change(&mut created);
    Target::Created(Box::new(created))
}

fn aimed(input: &JobInput, target: &Target) -> Result<EventTarget, Undraftable> {
    Ok(match Operation::from_input(input, target, false)? {
        Operation::Update(target, _) | Operation::Delete(target, _) => target,
        Operation::Create(draft) => panic!("{draft:?}"),
    })
}

fn fault(input: &JobInput, target: &Target) -> InvalidJob {
    match aimed(input, target) {
        Err(Undraftable::Invalid(invalid)) => invalid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_named_by_its_key_is_where_its_create_put_it_whatever_the_defaults_are() {
    let defaults = Defaults {
        mailbox: Some("default@contoso.com".into()),
        body_type: crate::job::BodyType::Html,
        time_zone: None,
        own_mailbox: false,
    };
    for operation in ["update", "delete"] {
        for (mailbox, calendar_id) in
            [(Cell::Null, Cell::Null), ("ann@CONTOSO.com ".into(), Cell::Null), (Cell::Null, " cal/1".into())]
        {
            let input = row(operation, |input| (input.mailbox, input.calendar_id) = (mailbox, calendar_id));
            let target = aimed(&input.with_defaults(&defaults), &created(|_| {})).unwrap();
            let expected = EventTarget {
                mailbox: Some("Ann@contoso.com".into()),
                calendar_id: Some("cal/1".into()),
                event_id: EventId("AAMk".into()),
                marker: Some("t-7".into()),
            };
            assert_eq!(target, expected);
        }
    }
    let own = created(|created| created.mailbox = None);
    assert_eq!(aimed(&row("delete", |_| {}), &own).unwrap().mailbox, None);
}

#[test]
fn another_mailbox_or_calendar_than_the_events_is_refused_by_name() {
    let input = row("update", |input| input.mailbox = "bob@contoso.com".into());
    for (target, place) in
        [(created(|_| {}), "'Ann@contoso.com'"), (created(|created| created.mailbox = None), "the signed-in user")]
    {
        let error = fault(&input, &target);
        assert!(error.column == "mailbox" && error.fault.contains(place) && error.fault.contains("leave it NULL"));
    }
    let input = row("delete", |input| input.calendar_id = "cal/2".into());
    for target in [created(|_| {}), created(|created| created.calendar_id = None)] {
        let error = fault(&input, &target);
        assert!(error.column == "calendar_id" && error.fault.contains("stays in its calendar"), "{error}");
    }
}

#[test]
fn an_event_named_by_its_id_needs_a_mailbox_and_bears_no_marker() {
    let by_id = |change: &dyn Fn(&mut JobInput)| {
        row("update", |input| {
            (input.event_key, input.target_event_id) = (Cell::Null, " AAMkAD= ".into());
            change(input);
        })
    };
    let named = by_id(&|input| (input.mailbox, input.calendar_id) = ("ann@contoso.com".into(), "c".into()));
    let target = aimed(&named, &Target::NotAsked).unwrap();
    let expected = EventTarget {
        mailbox: Some("ann@contoso.com".into()),
        calendar_id: Some("c".into()),
        event_id: EventId("AAMkAD=".into()),
        marker: None,
    };
    assert_eq!(target, expected);
    assert_eq!(fault(&by_id(&|_| {}), &Target::NotAsked).column, "mailbox");
    assert!(Operation::judge(&by_id(&|_| {}), true).is_ok());
    for bad in [".", "..", "A B", "Ä", "a\u{200b}b", &"x".repeat(2000)] {
        let error = fault(&by_id(&|input| input.target_event_id = bad.into()), &Target::NotAsked);
        assert!(error.column == "target_event_id" && error.fault.contains("EventID"), "{error}");
    }
}

#[test]
fn a_row_names_its_event_by_one_name_and_a_create_by_none_or_a_key() {
    let judge = |operation: &str, key: Cell, id: Cell| {
        let input = row(operation, |input| {
            (input.event_key, input.target_event_id, input.mailbox) = (key, id, "ann@contoso.com".into());
            if operation == "create" {
                (input.start_time, input.end_time) = ("2026-12-01T09:00".into(), "2026-12-01T10:00".into());
            }
        });
        Operation::judge(&input, false).map_err(|invalid| invalid.column)
    };
    for (operation, key, id, expected) in [
        ("create", Cell::Null, Cell::Null, Ok(OperationKind::Create)),
        ("create", "k".into(), Cell::Null, Ok(OperationKind::Create)),
        ("create", Cell::Null, "A".into(), Err("target_event_id")),
        ("create", Cell::Blob, Cell::Null, Err("event_key")),
        ("update", "k".into(), Cell::Null, Ok(OperationKind::Update)),
        ("delete", Cell::Null, "A".into(), Ok(OperationKind::Delete)),
        ("update", Cell::Null, Cell::Null, Err("event_key")),
        ("delete", "k".into(), "A".into(), Err("target_event_id")),
        ("delete", "".into(), Cell::Null, Err("event_key")),
        ("delete", "k".repeat(256).as_str().into(), Cell::Null, Err("event_key")),
        ("delete", "ä".repeat(255).as_str().into(), Cell::Null, Ok(OperationKind::Delete)),
        ("delete", Cell::NotUtf8, Cell::Null, Err("event_key")),
        ("delete", Cell::Null, Cell::TooLarge(9_000_000), Err("target_event_id")),
        ("Update", "k".into(), Cell::Null, Err("operation")),
    ] {
        assert_eq!(judge(operation, key.clone(), id.clone()), expected, "{operation} {key:?} {id:?}");
    }
}

#[test]
fn an_event_that_was_never_created_is_told_as_such_with_the_job_that_was_to_create_it() {
    let words = |target: Target| match aimed(&row("delete", |_| {}), &target) {
        Err(Undraftable::Refused(cause, words)) => (cause, words),
        other => panic!("{other:?}"),
    };
    for target in [Target::Unknown, Target::NotAsked] {
        let (cause, said) = words(target);
        assert!(cause == Cause::NoSuchKey && said.starts_with("event_key: "), "{said}");
    }
    for (state, in_doubt, part) in [
        (JobState::Failed, false, "failed: there is no event"),
        (JobState::Failed, true, "may exist"),
        (JobState::Cancelled, false, "was cancelled"),
        (JobState::Cancelled, true, "may exist"),
        (JobState::Pending, false, "not sent yet"),
        (JobState::Claimed, true, "not sent yet"),
    ] {
        let target = created(|created| (created.state, created.in_doubt) = (state, in_doubt));
        let (cause, said) = words(target);
        assert!(cause == Cause::CreateFailed && said.contains("job 7") && said.contains(part), "{said}");
    }
    for event_id in [None, Some(EventId("..".into())), Some(EventId("a b".into()))] {
        assert_eq!(words(created(|created| created.event_id = event_id)).0, Cause::CreateFailed);
    }
}

#[test]
fn the_rows_own_fault_is_told_before_what_became_of_its_event() {
    let input = row("update", |input| input.extra = "[]".into());
    assert_eq!(fault(&input, &Target::Unknown).column, "extra");
    let input = row("delete", |input| input.not_after = "soon".into());
    assert_eq!(fault(&input, &Target::Unknown).column, "not_after");
}

#[test]
fn a_create_whose_key_names_an_event_still_is_refused() {
    let input = row("create", |input| {
        input.start_time = "2026-12-01T09:00".into();
        input.end_time = "2026-12-01T10:00".into();
        input.mailbox = "ann@contoso.com".into();
        input.attendees = "[]".into();
        input.body_type = "text".into();
        input.time_zone = "UTC".into();
    });
    assert!(matches!(Operation::from_input(&input, &Target::NotAsked, false), Ok(Operation::Create(_))));
    let refused = Operation::from_input(&input, &Target::Taken(JobId(7)), false);
    let Err(Undraftable::Refused(Cause::KeyInUse, words)) = refused else { panic!("{refused:?}") };
    assert!(words.starts_with("event_key: ") && words.contains("job 7"), "{words}");
}
