//! Which fault strikes which request.

use super::*;
use crate::sandbox::journal::RequestKind;

fn target<'a>(kind: RequestKind, mailbox: &'a str, subject: &'a str) -> FaultTarget<'a> {
    FaultTarget { kind, mailbox: Some(mailbox), subject: Some(subject), kept: false }
}

fn take(script: &Script, mailbox: &str, subject: &str) -> Option<&'static str> {
    script.take(target(RequestKind::Create, mailbox, subject)).map(|action| action.word())
}

#[test]
fn a_fault_strikes_as_often_as_it_says() {
    let script = Script::default();
    script.add(Fault::reset().times(2));
    let struck: Vec<bool> = (0..3).map(|_| take(&script, "a@x", "s").is_some()).collect();
    assert_eq!(struck, [true, true, false]);
    script.add(Fault::reset().times(0));
    assert!((0..50).all(|_| take(&script, "a@x", "s").is_some()));
}

#[test]
fn a_fault_aims_at_a_mailbox_and_a_subject() {
    let script = Script::default();
    script.add(Fault::reset().mailbox("A@X").subject("Review"));
    assert_eq!(take(&script, "b@x", "Review"), None);
    assert_eq!(take(&script, "a@x", "review"), None);
    assert_eq!(script.take(target(RequestKind::Lookup, "a@x", "Review")), None);
    assert_eq!(take(&script, "a@x", "Review"), Some("reset"));
}

#[test]
fn requests_let_through_are_left_to_the_next_fault() {
    let script = Script::default();
    script.add(Fault::reset().after(1));
    script.add(Fault::no_id().times(0));
    assert_eq!(take(&script, "a@x", "s"), Some("no_id"));
    assert_eq!(take(&script, "a@x", "s"), Some("reset"));
    assert_eq!(take(&script, "a@x", "s"), Some("no_id"));
}

#[test]
fn a_refused_token_waits_for_token_requests() {
    let script = Script::default();
    script.add(Fault::new(Fault::token_refused(50076, "invalid_grant").action));
    assert_eq!(take(&script, "a@x", "s"), None);
    assert!(script.take(target(RequestKind::Token, "", "")).is_some());
}
