//! Every row of graph-facts 4.3, in its order.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::job::EventId;

fn reply(status: u16, code: &str, message: &str) -> Reply {
    Reply {
        status,
        codes: (!code.is_empty()).then(|| code.to_owned()).into_iter().collect(),
        message: Some(message.to_owned()),
        retry_after: matches!(status, 429 | 503).then_some(Duration::from_secs(7)),
        request_id: Some("r".into()),
        ..Reply::default()
    }
}

fn outcome(status: u16, code: &str) -> Outcome {
    classify(&reply(status, code, "m")).0
}

fn is_held(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Held(_))
}

#[test]
fn created_and_damaged() {
    let graphs = || Reply { request_id: Some("r".into()), ..Reply::default() };
    let created = Reply { status: 201, is_object: true, event_id: Some(EventId("AAMk".into())), ..Reply::default() };
    assert_eq!(classify(&created).0, Outcome::Created(EventId("AAMk".into())));
    assert_eq!(classify(&Reply { status: 201, ..graphs() }).0, Outcome::ReplyDamaged);
    assert_eq!(classify(&Reply { status: 201, is_object: true, ..Reply::default() }).0, Outcome::ReplyDamaged);
    // Neither an object nor Graph's request-id: the page of a portal.
    for status in [200, 201, 204] {
        assert_eq!(classify(&Reply { status, ..Reply::default() }).0, Outcome::NotGraph);
    }
    for status in [202, 203, 204, 206, 207, 226, 299] {
        let odd = Reply { status, event_id: Some(EventId("AAMk".into())), ..graphs() };
        assert_eq!(classify(&odd).0, Outcome::ReplyDamaged, "{status}");
    }
    for status in [100, 101, 199, 600, 999] {
        assert_eq!(classify(&Reply { status, ..Reply::default() }).0, Outcome::ServerFault, "{status}");
    }
}

#[test]
fn every_code_of_the_table_has_its_outcome() {
    let seven = Some(Duration::from_secs(7));
    let rejected = Outcome::Refused(ErrorKind::Rejected);
    let not_found = Outcome::Refused(ErrorKind::NotFound);
    let denied = blocked(ErrorKind::Denied, SLOW_RECHECK, None);
    let unavailable = blocked(ErrorKind::Unavailable, SLOW_RECHECK, None);
    let new_mailbox = blocked(ErrorKind::NotFound, NEW_MAILBOX_RECHECK, Some(NEW_MAILBOX_HORIZON));
    let limited = blocked_in_doubt(ErrorKind::Denied);
    for (status, code, expected) in [
        (400, "ErrorDuplicateTransactionId", Outcome::Duplicate(None)),
        (409, "ErrorDuplicateTransactionId", Outcome::Duplicate(None)),
        (400, "ErrorInvalidRequest", rejected.clone()),
        (400, "ErrorPropertyValidationFailure", rejected.clone()),
        (400, "TimeZoneNotSupportedException", Outcome::ZoneRefused),
        (400, "ErrorInvalidRecipients", Outcome::RefusedInDoubt),
        (400, "RequestBodyRead", rejected.clone()),
        (400, "BadRequest", rejected.clone()),
        (400, "invalidRequest", rejected.clone()),
        (400, "ErrorInvalidParameter", rejected.clone()),
        (400, "ErrorInvalidProperty", rejected.clone()),
        (400, "ErrorInvalidIdMalformed", rejected.clone()),
        (400, "AuthenticationError", denied.clone()),
        (400, "SomethingNew", rejected.clone()),
        (403, "ErrorAccessDenied", denied.clone()),
        (403, "accessDenied", denied.clone()),
        (403, "Authorization_RequestDenied", denied.clone()),
        (403, "SomethingNew", denied.clone()),
        (403, "ErrorAccountSuspend", limited.clone()),
        (400, "ErrorExceededMessageLimit", limited.clone()),
        (429, "ErrorExceededMessageLimit", limited.clone()),
        (403, "ErrorMessageSubmissionBlocked", limited.clone()),
        (403, "ErrorAccountSuspendShowTierUpgrade", limited),
        (403, "ErrorSendAsDenied", denied.clone()),
        (403, "ErrorQuotaExceeded", unavailable.clone()),
        (413, "ErrorQuotaExceeded", unavailable.clone()),
        (507, "quotaLimitReached", unavailable.clone()),
        (404, "ErrorInvalidUser", Outcome::NoMailbox),
        (404, "ResourceNotFound", Outcome::NoMailbox),
        (404, "Request_ResourceNotFound", Outcome::NoMailbox),
        (404, "MailboxNotEnabledForRESTAPI", new_mailbox.clone()),
        (404, "MailboxNotSupportedForRESTAPI", new_mailbox),
        (404, "extensionError", blocked(ErrorKind::NotFound, SLOW_RECHECK, None)),
        (404, "ErrorItemNotFound", not_found.clone()),
        (404, "itemNotFound", not_found.clone()),
        (404, "ErrorFolderNotFound", not_found.clone()),
        (404, "SomethingNew", not_found),
        (405, "methodNotAllowed", rejected.clone()),
        (406, "notAcceptable", rejected.clone()),
        (411, "lengthRequired", rejected.clone()),
        (415, "unsupportedMediaType", rejected.clone()),
        (409, "IrresolvableConflict", Outcome::Conflict),
        (409, "ErrorInvalidRequest", Outcome::Conflict),
        (409, "", Outcome::Conflict),
        (409, "ConcurrentItemSave", Outcome::Conflict),
        (409, "SomethingNew", Outcome::Conflict),
        (412, "ErrorIrresolvableConflict", Outcome::Conflict),
        (412, "preconditionFailed", Outcome::Conflict),
        (412, "", Outcome::Conflict),
        (400, "ErrorIrresolvableConflict", Outcome::Conflict),
        (413, "RequestEntityTooLarge", rejected.clone()),
        (413, "ErrorMessageSizeExceeded", rejected.clone()),
        (422, "unprocessableEntity", rejected.clone()),
        (423, "resourceLocked", unavailable.clone()),
        (423, "notAllowed", unavailable.clone()),
        (429, "ApplicationThrottled", Outcome::MailboxThrottled(seven)),
        (429, "TooManyRequests", Outcome::AppThrottled(seven)),
        (429, "activityLimitReached", Outcome::AppThrottled(seven)),
        (429, "throttledRequest", Outcome::AppThrottled(seven)),
        (429, "SomethingNew", Outcome::AppThrottled(seven)),
        (429, "", Outcome::Busy(seven)),
        (500, "ErrorInternalServerError", Outcome::ServerFault),
        (500, "generalException", Outcome::ServerFault),
        (500, "InternalServerError", Outcome::ServerFault),
        (500, "ErrorCorruptData", rejected),
        (500, "SomethingNew", Outcome::ServerFault),
        (502, "", Outcome::ServerFault),
        (504, "UnknownError", Outcome::ServerFault),
        (503, "serviceNotAvailable", Outcome::MailboxAway(seven)),
        (503, "ErrorServerBusy", Outcome::MailboxAway(seven)),
        (503, "ErrorInternalServerTransientError", Outcome::MailboxAway(seven)),
        (503, "ErrorMailboxStoreUnavailable", Outcome::MailboxAway(seven)),
        (503, "ResourceUnhealthy", Outcome::MailboxAway(seven)),
        (503, "ErrorMailboxMoveInProgress", Outcome::MailboxAway(seven)),
        (503, "", Outcome::MailboxAway(seven)),
        (503, "ConcurrentItemSave", Outcome::MailboxAway(seven)),
        (507, "insufficientStorage", unavailable.clone()),
        (509, "bandwidthLimitExceeded", unavailable),
        (507, "", blocked_in_doubt(ErrorKind::Unavailable)),
        (509, "", blocked_in_doubt(ErrorKind::Unavailable)),
    ] {
        assert_eq!(outcome(status, code), expected, "{status} {code}");
    }
}

#[test]
fn an_unclear_answer_that_names_a_wait_is_looked_into_after_it_and_any_other_at_once() {
    let told = |status, code: &str, wait| classify(&Reply { retry_after: wait, ..reply(status, code, "m") }).0;
    let wait = Some(Duration::from_secs(7));
    for (status, code) in [(503, "ConcurrentItemSave"), (409, "IrresolvableConflict"), (500, ""), (502, ""), (504, "")]
    {
        assert_eq!(told(status, code, wait), Outcome::MailboxAway(wait), "{status}");
        assert!(matches!(told(status, code, None), Outcome::Conflict | Outcome::ServerFault), "{status}");
    }
}

#[test]
fn a_refusal_without_graphs_marks_proves_nothing() {
    // Neither a request-id alone nor a code alone that others have, too.
    for reply in [
        Reply::default(),
        Reply { request_id: Some("r".into()), ..Reply::default() },
        Reply { codes: vec!["BadRequest".into()], ..Reply::default() },
        Reply { codes: vec!["Forbidden".into()], message: Some("/me request".into()), ..Reply::default() },
    ] {
        let told = |status| classify(&Reply { status, ..reply.clone() }).0;
        for status in [400, 402, 403, 404, 405, 406, 410, 418, 421, 422, 423, 426, 451] {
            assert_eq!(told(status), Outcome::NotGraph, "{status}");
        }
        assert_eq!((told(409), told(412)), (Outcome::Conflict, Outcome::Conflict));
        assert_eq!((told(413), told(429)), (Outcome::RefusedInDoubt, Outcome::Busy(None)));
        for status in [507, 509] {
            assert!(matches!(told(status), Outcome::MailboxBlocked { in_doubt: true, .. }), "{status}");
        }
        for status in [408, 499, 500, 502, 504, 511, 520, 599] {
            assert_eq!(told(status), Outcome::ServerFault, "{status}");
        }
    }
}

#[test]
fn who_sends_elsewhere_or_wants_another_sign_in_than_graphs_leaves_a_doubt_and_holds_the_agent() {
    for status in [300, 301, 302, 303, 304, 307, 308, 401, 407] {
        let told = classify(&Reply { status, ..Reply::default() }).0;
        assert!(matches!(told, Outcome::Diverted(hold) if hold.code == format!("http_{status}")), "{status}");
    }
    // Graph itself has not carried out what it wants another token for.
    assert!(is_held(&outcome(401, "InvalidAuthenticationToken")));
    // The same status with nothing but a part of its marks is anybody's.
    let some = [
        Reply { challenged: true, ..Reply::default() },
        Reply { request_id: Some("r".into()), challenged: true, ..Reply::default() },
        Reply { codes: vec!["Unauthorized".into()], challenged: true, ..Reply::default() },
    ];
    for reply in some {
        let told = classify(&Reply { status: 401, ..reply }).0;
        assert!(matches!(told, Outcome::Diverted(_)), "{told:?}");
    }
}

#[test]
fn too_many_at_once_is_told_from_a_used_up_budget_by_its_message() {
    let message = "Application is over its MailboxConcurrency limit.";
    let (outcome, _) = classify(&reply(429, "ApplicationThrottled", message));
    assert_eq!(outcome, Outcome::TooManyAtOnce(Some(Duration::from_secs(7))));
}

#[test]
fn what_concerns_the_whole_agent_holds_it() {
    assert!(is_held(&outcome(401, "InvalidAuthenticationToken")));
    assert!(is_held(&outcome(403, "insufficient_claims")));
    let me = "/me request is only valid with delegated authentication flow.";
    assert!(is_held(&classify(&reply(400, "BadRequest", me)).0));
    let Outcome::Held(hold) = classify(&reply(400, "BadRequest", "Invalid version: v2.7")).0 else { panic!() };
    assert!(hold.hint.contains("graph.api_version"), "{hold:?}");
    assert_eq!(outcome(400, "BadRequest"), Outcome::Refused(ErrorKind::Rejected));
}

#[test]
fn codes_are_compared_without_case_and_from_the_inside_out() {
    assert_eq!(outcome(404, "ERRORITEMNOTFOUND"), Outcome::Refused(ErrorKind::NotFound));
    let nested = Reply {
        codes: vec!["generalException".into(), "ErrorInvalidRecipients".into(), "NobodyKnows".into()],
        ..reply(400, "", "m")
    };
    assert_eq!(classify(&nested), (Outcome::RefusedInDoubt, Some("ErrorInvalidRecipients".into())));
}

#[test]
fn the_existing_event_of_a_duplicate_is_kept() {
    let duplicate = Reply {
        existing_event: Some(EventId("AAMkOld".into())),
        ..reply(400, "ErrorDuplicateTransactionId", "has already been used")
    };
    assert_eq!(classify(&duplicate).0, Outcome::Duplicate(Some(EventId("AAMkOld".into()))));
}
