//! Every row of graph-facts 4.3, in its order.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

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

fn told(reply: &Reply) -> Outcome {
    classify(reply, Purpose::Create).outcome
}

fn outcome(status: u16, code: &str) -> Outcome {
    told(&reply(status, code, "m"))
}

fn is_unable(outcome: &Outcome, cause: Cause) -> bool {
    matches!(outcome, Outcome::Unable(reason) if reason.cause == cause && reason.wait.is_none())
}

#[test]
fn created_and_damaged() {
    let graphs = || Reply { request_id: Some("r".into()), ..Reply::default() };
    let created = Reply { status: 201, is_object: true, event_id: Some(EventId("AAMk".into())), ..Reply::default() };
    assert_eq!(told(&created), Outcome::Done(EventId("AAMk".into()).into()));
    assert_eq!(told(&Reply { status: 201, ..graphs() }), Outcome::ReplyDamaged);
    assert_eq!(told(&Reply { status: 201, is_object: true, ..Reply::default() }), Outcome::ReplyDamaged);
    // Neither an object nor Graph's request-id: the page of a portal.
    for status in [200, 201, 204] {
        assert_eq!(told(&Reply { status, ..Reply::default() }), Outcome::NotGraph);
    }
    for status in [202, 203, 204, 206, 207, 226, 299] {
        let odd = Reply { status, event_id: Some(EventId("AAMk".into())), ..graphs() };
        assert_eq!(told(&odd), Outcome::ReplyDamaged, "{status}");
    }
    for status in [100, 101, 199, 600, 999] {
        assert_eq!(told(&Reply { status, ..Reply::default() }), Outcome::ServerFault, "{status}");
    }
}

#[test]
fn every_code_of_the_table_has_its_outcome() {
    let rejected = Outcome::Refused(Cause::EventRefused);
    let too_large = Outcome::Refused(Cause::TooLarge);
    let not_found = Outcome::Refused(Cause::WrongCalendar);
    let denied = blocked(Cause::Permission);
    let full = blocked(Cause::MailboxFull);
    let locked = blocked(Cause::MailboxLocked);
    let new_mailbox = blocked(Cause::MailboxNotEnabled);
    let limited = blocked_in_doubt(Cause::MailboxSuspended);
    let away = Outcome::MailboxAway(Cause::MailboxAway);
    for (status, code, expected) in [
        (400, "ErrorDuplicateTransactionId", Outcome::Duplicate(None)),
        (409, "ErrorDuplicateTransactionId", Outcome::Duplicate(None)),
        (400, "ErrorInvalidRequest", rejected.clone()),
        (400, "ErrorPropertyValidationFailure", rejected.clone()),
        (400, "TimeZoneNotSupportedException", Outcome::ZoneRefused),
        (400, "ErrorInvalidRecipients", Outcome::RefusedInDoubt(Cause::RecipientsRefused)),
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
        (403, "ErrorQuotaExceeded", full.clone()),
        (413, "ErrorQuotaExceeded", full.clone()),
        (507, "quotaLimitReached", full.clone()),
        (404, "ErrorInvalidUser", Outcome::NoMailbox),
        (404, "ResourceNotFound", Outcome::NoMailbox),
        (404, "Request_ResourceNotFound", Outcome::NoMailbox),
        (404, "MailboxNotEnabledForRESTAPI", new_mailbox.clone()),
        (404, "MailboxNotSupportedForRESTAPI", new_mailbox),
        (404, "extensionError", blocked(Cause::MailboxOnPremises)),
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
        (413, "RequestEntityTooLarge", too_large.clone()),
        (413, "ErrorMessageSizeExceeded", too_large),
        (422, "unprocessableEntity", rejected.clone()),
        (423, "resourceLocked", locked.clone()),
        (423, "notAllowed", locked),
        (429, "ApplicationThrottled", Outcome::MailboxThrottled),
        (429, "TooManyRequests", Outcome::AppThrottled),
        (429, "activityLimitReached", Outcome::AppThrottled),
        (429, "throttledRequest", Outcome::AppThrottled),
        (429, "SomethingNew", Outcome::AppThrottled),
        (429, "", Outcome::Busy),
        (500, "ErrorInternalServerError", Outcome::ServerFault),
        (500, "generalException", Outcome::ServerFault),
        (500, "InternalServerError", Outcome::ServerFault),
        (500, "ErrorCorruptData", rejected),
        (500, "SomethingNew", Outcome::ServerFault),
        (502, "", Outcome::ServerFault),
        (504, "UnknownError", Outcome::ServerFault),
        (503, "serviceNotAvailable", away.clone()),
        (503, "ErrorServerBusy", away.clone()),
        (503, "ErrorInternalServerTransientError", away.clone()),
        (503, "ErrorMailboxStoreUnavailable", away.clone()),
        (503, "ResourceUnhealthy", away.clone()),
        (503, "ErrorMailboxMoveInProgress", away.clone()),
        (503, "", away),
        (503, "ConcurrentItemSave", Outcome::MailboxAway(Cause::Conflict)),
        (507, "insufficientStorage", full),
        (509, "bandwidthLimitExceeded", blocked(Cause::BandwidthLimited)),
        (507, "", blocked_in_doubt(Cause::MailboxFull)),
        (509, "", blocked_in_doubt(Cause::BandwidthLimited)),
    ] {
        assert_eq!(outcome(status, code), expected, "{status} {code}");
    }
}

#[test]
fn an_unclear_answer_that_names_a_wait_is_looked_into_after_it_and_any_other_at_once() {
    let told = |status, code: &str, wait| told(&Reply { retry_after: wait, ..reply(status, code, "m") });
    let wait = Some(Duration::from_secs(7));
    for (status, code) in [(503, "ConcurrentItemSave"), (409, "IrresolvableConflict"), (500, ""), (502, ""), (504, "")]
    {
        let at_once = told(status, code, None);
        assert!(matches!(at_once, Outcome::Conflict | Outcome::ServerFault), "{status}");
        // The reason stays what it is.
        assert_eq!(Some(told(status, code, wait)), at_once.cause().map(Outcome::MailboxAway), "{status}");
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
        let told = |status| told(&Reply { status, ..reply.clone() });
        for status in [400, 402, 403, 404, 405, 406, 410, 418, 421, 422, 423, 426, 451] {
            assert_eq!(told(status), Outcome::NotGraph, "{status}");
        }
        assert_eq!((told(409), told(412)), (Outcome::Conflict, Outcome::Conflict));
        assert_eq!((told(413), told(429)), (Outcome::RefusedInDoubt(Cause::TooLarge), Outcome::Busy));
        for status in [507, 509] {
            assert!(matches!(told(status), Outcome::MailboxBlocked { in_doubt: true, .. }), "{status}");
        }
        for status in [408, 499, 500, 502, 504, 511, 520, 599] {
            assert_eq!(told(status), Outcome::ServerFault, "{status}");
        }
    }
}

#[test]
fn an_answer_that_leads_elsewhere_or_wants_another_sign_in_than_graphs_leaves_a_doubt_and_shuts_the_gate() {
    for status in [300, 301, 302, 303, 304, 307, 308, 401, 407] {
        let told = told(&Reply { status, ..Reply::default() });
        assert!(matches!(told, Outcome::Diverted(reason) if reason.code == format!("http_{status}")), "{status}");
    }
    // Graph itself has not carried out what it wants another token for.
    assert!(is_unable(&outcome(401, "InvalidAuthenticationToken"), Cause::TokenRefused));
    // The same status with nothing but a part of its marks is anybody's.
    let some = [
        Reply { challenged: true, ..Reply::default() },
        Reply { request_id: Some("r".into()), challenged: true, ..Reply::default() },
        Reply { codes: vec!["Unauthorized".into()], challenged: true, ..Reply::default() },
    ];
    for reply in some {
        let told = told(&Reply { status: 401, ..reply });
        assert!(matches!(told, Outcome::Diverted(_)), "{told:?}");
    }
}

#[test]
fn too_many_at_once_is_told_from_a_used_up_budget_by_its_message() {
    let message = "Application is over its MailboxConcurrency limit.";
    assert_eq!(told(&reply(429, "ApplicationThrottled", message)), Outcome::TooManyAtOnce);
}

#[test]
fn what_concerns_the_whole_agent_shuts_the_gate() {
    assert!(is_unable(&outcome(401, "InvalidAuthenticationToken"), Cause::TokenRefused));
    assert!(is_unable(&outcome(403, "insufficient_claims"), Cause::TokenRefused));
    let me = "/me request is only valid with delegated authentication flow.";
    assert!(is_unable(&told(&reply(400, "BadRequest", me)), Cause::MeWithoutUser));
    let Outcome::Unable(reason) = told(&reply(400, "BadRequest", "Invalid version: v2.7")) else { panic!() };
    assert!(
        reason.hint.to_string().contains("graph.api_version") && reason.cause == Cause::WrongApiVersion,
        "{reason:?}"
    );
    assert_eq!(outcome(400, "BadRequest"), Outcome::Refused(Cause::EventRefused));
}

#[test]
fn codes_are_compared_without_case_and_from_the_inside_out() {
    assert_eq!(outcome(404, "ERRORITEMNOTFOUND"), Outcome::Refused(Cause::WrongCalendar));
    let nested = Reply {
        codes: vec!["generalException".into(), "ErrorInvalidRecipients".into(), "NobodyKnows".into()],
        ..reply(400, "", "m")
    };
    let Classified { outcome, code } = classify(&nested, Purpose::Create);
    assert_eq!(outcome, Outcome::RefusedInDoubt(Cause::RecipientsRefused));
    assert_eq!(code.as_deref(), Some("ErrorInvalidRecipients"));
}

#[test]
fn the_existing_event_of_a_duplicate_is_kept() {
    let duplicate = Reply {
        existing_event: Some(EventId("AAMkOld".into())),
        ..reply(400, "ErrorDuplicateTransactionId", "has already been used")
    };
    assert_eq!(told(&duplicate), Outcome::Duplicate(Some(EventId("AAMkOld".into()))));
}

#[test]
fn what_was_only_read_never_says_that_a_job_is_done() {
    for status in [200, 201, 204] {
        let calendar = Reply { status, is_object: true, event_id: Some(EventId("AAMk".into())), ..Reply::default() };
        assert_eq!(classify(&calendar, Purpose::Read).outcome, Outcome::ReplyDamaged, "{status}");
        let portal = Reply { status, ..Reply::default() };
        assert_eq!(classify(&portal, Purpose::Read).outcome, Outcome::NotGraph, "{status}");
    }
    assert_eq!(classify(&reply(404, "ErrorInvalidUser", "m"), Purpose::Read).outcome, Outcome::NoMailbox);
}

/// To every purpose that names an event.
const OF_AN_EVENT: [Purpose; 3] = [Purpose::Change, Purpose::End, Purpose::Look];

#[test]
fn a_request_that_names_an_event_is_told_whether_it_is_the_event_that_is_not_there() {
    let refused = Outcome::Refused(Cause::EventRefused);
    let gone = Outcome::NoTarget(Cause::EventGone);
    for (status, code, expected) in [
        (404, "ErrorItemNotFound", gone.clone()),
        (404, "itemNotFound", gone.clone()),
        (410, "SomethingNew", gone),
        // Nothing else that is missing says so.
        (404, "SomethingNew", refused.clone()),
        (404, "UnknownError", refused.clone()),
        (404, "ErrorFolderNotFound", Outcome::Refused(Cause::WrongCalendar)),
        (404, "ErrorInvalidUser", Outcome::NoMailbox),
        (404, "ResourceNotFound", Outcome::NoMailbox),
        (404, "MailboxNotEnabledForRESTAPI", blocked(Cause::MailboxNotEnabled)),
        (404, "extensionError", blocked(Cause::MailboxOnPremises)),
        (400, "ErrorInvalidIdMalformed", refused.clone()),
        (400, "ErrorOccurrenceCrossingBoundary", refused),
        (403, "ErrorAccessDenied", blocked(Cause::Permission)),
        (409, "ErrorIrresolvableConflict", Outcome::Conflict),
        (412, "ErrorIrresolvableConflict", Outcome::Conflict),
        (412, "", Outcome::Conflict),
        (404, "", Outcome::NotGraph),
        (410, "", Outcome::NotGraph),
        (429, "ApplicationThrottled", Outcome::MailboxThrottled),
        (500, "SomethingNew", Outcome::ServerFault),
        (503, "ErrorServerBusy", Outcome::MailboxAway(Cause::MailboxAway)),
    ] {
        for purpose in OF_AN_EVENT {
            assert_eq!(classify(&reply(status, code, "m"), purpose).outcome, expected, "{status} {code} {purpose:?}");
        }
    }
    // A proxy has no say in it: its words bear no mark of Graph's.
    let proxys = Reply { codes: vec!["itemNotFound".into()], status: 404, ..Reply::default() };
    for purpose in OF_AN_EVENT {
        assert_eq!(classify(&proxys, purpose).outcome, Outcome::NotGraph);
    }
}

#[test]
fn who_is_not_the_organizer_is_told_so_when_a_meeting_is_cancelled() {
    let said = "Your request can't be completed. You need to be an organizer to cancel a meeting.";
    for (status, code) in [(400, "ErrorInvalidRequest"), (403, "ErrorAccessDenied")] {
        let told = |purpose| classify(&reply(status, code, said), purpose).outcome;
        assert_eq!(told(Purpose::End), Outcome::NoTarget(Cause::NotOrganizer));
        assert!(!matches!(told(Purpose::Change), Outcome::NoTarget(_)));
    }
}

#[test]
fn a_success_says_that_a_change_is_made_only_in_graphs_own_way() {
    let event = |status| Reply { status, is_object: true, event_id: Some(EventId("A".into())), ..Reply::default() };
    assert_eq!(classify(&event(200), Purpose::Change).outcome, Outcome::Done(EventId("A".into()).into()));
    for (reply, purpose) in [(event(201), Purpose::Change), (event(204), Purpose::Change), (event(200), Purpose::End)] {
        assert_eq!(classify(&reply, purpose).outcome, Outcome::ReplyDamaged, "{}", reply.status);
    }
    for status in [200, 201, 202, 204] {
        for purpose in OF_AN_EVENT {
            assert_eq!(classify(&Reply { status, ..Reply::default() }, purpose).outcome, Outcome::NotGraph, "{status}");
        }
    }
}

#[test]
fn what_is_said_of_an_event_is_not_said_of_a_calendar() {
    let said = |purpose, status, code| reply(status, code, "m").explained(purpose, Some(code)).unwrap().to_string();
    assert!(said(Purpose::Create, 404, "ErrorItemNotFound").starts_with("Calendar not found"));
    for purpose in OF_AN_EVENT {
        assert!(said(purpose, 404, "ErrorItemNotFound").starts_with("The event is not in this mailbox"));
        assert!(said(purpose, 404, "ErrorFolderNotFound").starts_with("Calendar not found"));
        assert!(said(purpose, 404, "ErrorInvalidUser").starts_with("No such user"));
        assert!(!said(purpose, 404, "SomethingNew").contains("alendar"));
        assert!(said(purpose, 412, "ErrorIrresolvableConflict").starts_with("The event changed"));
    }
}
