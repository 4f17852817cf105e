//! The JSON of faults.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;

#[test]
fn every_action_has_a_json_form_with_its_word() {
    for action in [
        json!({"answer": {"status": 429, "code": "ApplicationThrottled", "retry_after": "5", "body": {"text": "x"}}}),
        json!({"answer": {"status": 503, "body": "none", "created": true}}),
        json!("lost_reply"),
        json!({"reset": {}}),
        json!({"hang": {"seconds": 5, "created": true}}),
        json!({"slow": {"ms": 200}}),
        json!({"late": {"ms": 200}}),
        json!("truncated"),
        json!("html"),
        json!("no_id"),
        json!({"answer": {"status": 429, "headers": [["retry-after-ms", "5"]], "unmarked": true}}),
        json!({"redirect": {"location": "http://127.0.0.1:1/"}}),
        json!({"redirect": {"location": "http://127.0.0.1:1/", "created": true}}),
        json!({"status": {"status": 206}}),
        json!("another_event"),
        json!("another_answer"),
        json!("unnamed"),
        json!({"next_page": {}}),
        json!({"next_page": {"link": "http://127.0.0.1:1/"}}),
        json!("expire_tokens"),
        json!("claims_challenge"),
        json!({"token_refused": {"number": 50196, "error": "invalid_grant"}}),
        json!({"oversized": {"mib": 8}}),
    ] {
        let fault: Fault = serde_json::from_value(json!({"action": action})).unwrap();
        let word = fault.action.word();
        assert!(action == word || action.get(word).is_some(), "{action}");
        assert_eq!((fault.on, fault.times), (FaultOn::Create, 1));
        let again: Fault = serde_json::from_value(serde_json::to_value(&fault).unwrap()).unwrap();
        assert_eq!(again, fault);
    }
}

#[test]
fn every_request_of_an_events_life_can_be_struck() {
    for on in ["create", "lookup", "get", "patch", "delete", "cancel", "token", "any"] {
        let fault: Fault = serde_json::from_value(json!({"on": on, "action": {"reset": {"applied": true}}})).unwrap();
        assert_eq!(serde_json::to_value(fault.on).unwrap(), on);
        assert_eq!(fault.action, Action::Reset { applied: true });
    }
}

#[test]
fn unknown_fields_are_refused() {
    for fault in [
        json!({"action": "no_id", "mailboxes": "x"}),
        json!({"action": {"slow": {"ms": 1, "seconds": 2}}}),
        json!({"action": {"answer": {"state": 1}}}),
    ] {
        assert!(serde_json::from_value::<Fault>(fault.clone()).is_err(), "{fault}");
    }
}
