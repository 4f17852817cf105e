//! One match from status and `error.code` to an `Outcome`. The specification is graph-facts 4.3; every row of that
//! table is a row here and a row of the test.
//!
//! Codes are compared without case, the innermost known one first. An unknown 4xx fails the row, an unknown 5xx is
//! tried again. An answer that does not bear Graph's marks proves nothing, whatever it says: it leaves a doubt.

use std::time::Duration;

use super::reply::Reply;
use crate::job::{ErrorKind, Hold, Outcome};

/// A permission or licence that a person must mend, looked at again about as often as Exchange's own caches renew.
const SLOW_RECHECK: Duration = Duration::from_secs(30 * 60);
/// A new mailbox answers 404 for up to 15 minutes; an unlicensed one for ever. Looked at this often …
const NEW_MAILBOX_RECHECK: Duration = Duration::from_secs(5 * 60);
/// … for this long.
const NEW_MAILBOX_HORIZON: Duration = Duration::from_secs(60 * 60);
/// Wait before another sign-in or another look at a configuration that cannot work.
const HOLD: Duration = Duration::from_secs(60);

/// What an operator is told where something else answered.
pub(super) const NOT_GRAPH: &str =
    "The answer did not come from Graph: check graph.endpoint and any proxy or portal in between.";

/// The outcome, and the code it rests on.
pub(super) fn classify(reply: &Reply) -> (Outcome, Option<String>) {
    // A bare status is judged like a code nobody knows.
    let codes = if reply.is_graphs() { reply.codes.as_slice() } else { &[] };
    let known = codes.iter().rev().find_map(|code| Some((by_code(reply, code)?, code.clone())));
    let (outcome, code) = match known {
        Some((outcome, code)) => (outcome, Some(code)),
        None => (by_status(reply), reply.codes.first().cloned()),
    };
    match outcome {
        // Asked to wait, the mailbox is left alone, whatever the status; the event is looked for after the rest.
        Outcome::ServerFault | Outcome::Conflict if reply.retry_after.is_some() => {
            (Outcome::MailboxAway(reply.retry_after), code)
        }
        outcome => (outcome, code),
    }
}

/// The rows of the table that name a code.
fn by_code(reply: &Reply, code: &str) -> Option<Outcome> {
    let message = reply.message.as_deref().unwrap_or_default();
    let code = code.to_ascii_lowercase();
    Some(match (reply.status, code.as_str()) {
        (400 | 409, "errorduplicatetransactionid") => Outcome::Duplicate(reply.existing_event.clone()),
        (400, "errorinvalidrecipients") => Outcome::RefusedInDoubt,
        (400, "authenticationerror") => blocked(ErrorKind::Denied, SLOW_RECHECK, None),
        (400, "badrequest") if message.starts_with("/me request") => Outcome::Held(Hold {
            kind: ErrorKind::Denied,
            code: "me_without_user".into(),
            hint: "An application signed in without a user has no own calendar: set defaults.mailbox.".into(),
            wait: Some(HOLD),
        }),
        (400, "badrequest") if message.starts_with("Invalid version") => Outcome::Held(Hold {
            kind: ErrorKind::Denied,
            code: "no_such_version".into(),
            hint: "Graph has no such version of its interface: correct graph.api_version, which is v1.0 or beta."
                .into(),
            wait: Some(HOLD),
        }),
        (
            400,
            "errorinvalidrequest"
            | "errorpropertyvalidationfailure"
            | "requestbodyread"
            | "badrequest"
            | "invalidrequest"
            | "errorinvalidparameter"
            | "errorinvalidproperty"
            | "errorinvalididmalformed",
        ) => Outcome::Refused(ErrorKind::Rejected),
        (400, "timezonenotsupportedexception") => Outcome::ZoneRefused,
        (403, "erroraccessdenied" | "accessdenied" | "authorization_requestdenied" | "errorsendasdenied") => {
            blocked(ErrorKind::Denied, SLOW_RECHECK, None)
        }
        (403, "insufficient_claims") => sign_in_refused(reply),
        (400..=599, code) if is_limited_consumer(code) => blocked_in_doubt(ErrorKind::Denied),
        (403 | 413 | 507, "errorquotaexceeded" | "quotalimitreached") => {
            blocked(ErrorKind::Unavailable, SLOW_RECHECK, None)
        }
        (404, "errorinvaliduser" | "resourcenotfound" | "request_resourcenotfound") => Outcome::NoMailbox,
        (404, "mailboxnotenabledforrestapi" | "mailboxnotsupportedforrestapi") => {
            blocked(ErrorKind::NotFound, NEW_MAILBOX_RECHECK, Some(NEW_MAILBOX_HORIZON))
        }
        (404, "extensionerror") => blocked(ErrorKind::NotFound, SLOW_RECHECK, None),
        (404, "erroritemnotfound" | "itemnotfound" | "errorfoldernotfound") => Outcome::Refused(ErrorKind::NotFound),
        // Read again and repeat: also without any If-Match, and at times in passing (graph-lifecycle 1.2).
        (400..=599, "concurrentitemsave" | "irresolvableconflict" | "errorirresolvableconflict") => Outcome::Conflict,
        (413, "requestentitytoolarge" | "errormessagesizeexceeded") => Outcome::Refused(ErrorKind::Rejected),
        (423, "resourcelocked" | "notallowed") => blocked(ErrorKind::Unavailable, SLOW_RECHECK, None),
        (429, "applicationthrottled") if message.contains("MailboxConcurrency") => {
            Outcome::TooManyAtOnce(reply.retry_after)
        }
        (429, "applicationthrottled") => Outcome::MailboxThrottled(reply.retry_after),
        (429, "toomanyrequests" | "activitylimitreached" | "throttledrequest") => {
            Outcome::AppThrottled(reply.retry_after)
        }
        (500, "errorcorruptdata") => Outcome::Refused(ErrorKind::Rejected),
        (500, "errorinternalservererror" | "generalexception" | "internalservererror") => Outcome::ServerFault,
        (
            503,
            "servicenotavailable"
            | "errorserverbusy"
            | "errorinternalservertransienterror"
            | "errormailboxstoreunavailable"
            | "resourceunhealthy"
            | "errormailboxmoveinprogress",
        ) => Outcome::MailboxAway(reply.retry_after),
        _ => return None,
    })
}

/// The rows that name only a status, and every code the table does not know.
fn by_status(reply: &Reply) -> Outcome {
    match reply.status {
        // The page of a portal: nobody has seen the request who could say anything of it.
        200..=299 if !reply.is_object && reply.request_id.is_none() => Outcome::NotGraph,
        200 | 201 => reply.event_id.clone().map_or(Outcome::ReplyDamaged, Outcome::Created),
        202..=299 => Outcome::ReplyDamaged,
        // The client has renewed the token and asked once more before this is reached.
        401 if reply.refuses_token() && reply.is_proven() => sign_in_refused(reply),
        300..=399 | 401 | 407 => Outcome::Diverted(Hold {
            kind: ErrorKind::Unavailable,
            code: format!("http_{}", reply.status),
            hint: NOT_GRAPH.into(),
            wait: Some(HOLD),
        }),
        // A gateway's words: it gave the request up, but may have passed it on before.
        408 | 499 => Outcome::ServerFault,
        409 | 412 => Outcome::Conflict,
        // A gateway's limit on the size is no matter of the moment, and it may still have passed the request on.
        413 if !reply.is_graphs() => Outcome::RefusedInDoubt,
        429 if !reply.is_graphs() => Outcome::Busy(reply.retry_after),
        507 | 509 if !reply.is_graphs() => blocked_in_doubt(ErrorKind::Unavailable),
        400..=499 if !reply.is_graphs() => Outcome::NotGraph,
        403 => blocked(ErrorKind::Denied, SLOW_RECHECK, None),
        404 => Outcome::Refused(ErrorKind::NotFound),
        423 | 507 | 509 => blocked(ErrorKind::Unavailable, SLOW_RECHECK, None),
        429 => Outcome::AppThrottled(reply.retry_after),
        400..=499 => Outcome::Refused(ErrorKind::Rejected),
        503 => Outcome::MailboxAway(reply.retry_after),
        _ => Outcome::ServerFault,
    }
}

/// Codes, in lower case, of mailboxes that Microsoft lets send no more for a while. They are defined for personal mailboxes
/// (graph-lifecycle 5); an event may have been made all the same (graph-facts 2.3).
pub(super) fn is_limited_consumer(code: &str) -> bool {
    matches!(
        code.strip_suffix("showtierupgrade").unwrap_or(code),
        "erroraccountsuspend" | "errorexceededmessagelimit" | "errormessagesubmissionblocked"
    )
}

fn sign_in_refused(reply: &Reply) -> Outcome {
    let code = reply.codes.first().cloned().unwrap_or_else(|| format!("http_{}", reply.status));
    let hint = "Graph refuses the sign-in although the token is new: check auth.resource, graph.endpoint and Conditional Access.";
    Outcome::Held(Hold { kind: ErrorKind::Auth, code, hint: hint.into(), wait: Some(HOLD) })
}

fn blocked(kind: ErrorKind, recheck: Duration, horizon: Option<Duration>) -> Outcome {
    Outcome::MailboxBlocked { kind, recheck, horizon, in_doubt: false }
}

/// The same, where an event may be there although the answer was a refusal.
fn blocked_in_doubt(kind: ErrorKind) -> Outcome {
    Outcome::MailboxBlocked { kind, recheck: SLOW_RECHECK, horizon: None, in_doubt: true }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
