//! One match from status and `error.code` to an `Outcome`. The specification is graph-facts 4.3; every row of that
//! table is a row here and a row of the test.
//!
//! Codes are compared without case, the innermost known one first. An unknown 4xx fails the row, an unknown 5xx is
//! tried again. An answer that does not bear Graph's marks proves nothing, whatever it says: it leaves a doubt.

use super::hints::is_limited_consumer;
use super::purpose::Purpose;
use super::reply::Reply;
use crate::hint::Hint;
use crate::job::{Cause, GateReason, Outcome};

/// What an operator is told where something else answered.
pub(super) const NOT_GRAPH: Hint =
    Hint::new("The answer did not come from Graph", "check graph.endpoint and any proxy or portal in between.");

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub outcome: Outcome,
    /// The code it rests on.
    pub code: Option<String>,
}

pub(super) fn classify(reply: &Reply, purpose: Purpose) -> Classified {
    // A bare status is judged like a code that is not in the table.
    let codes = if reply.is_graphs() { reply.codes.as_slice() } else { &[] };
    let known = codes.iter().rev().find_map(|code| Some((by_code(reply, code)?, code.clone())));
    let (outcome, code) = match known {
        Some((outcome, code)) => (outcome, Some(code)),
        None => (by_status(reply, purpose), reply.codes.first().cloned()),
    };
    let outcome = match outcome {
        // Asked to wait, the mailbox is left alone, whatever the status; the event is looked for after the pause.
        Outcome::ServerFault if reply.retry_after.is_some() => Outcome::MailboxAway(Cause::ServerFault),
        Outcome::Conflict if reply.retry_after.is_some() => Outcome::MailboxAway(Cause::Conflict),
        outcome => outcome,
    };
    let outcome =
        if purpose.is_of_an_event() { of_an_event(outcome, reply, purpose, code.as_deref()) } else { outcome };
    Classified { outcome, code }
}

/// What an answer means to a request that names an event: the item that is not found is the event, not the calendar, and
/// nothing else that is missing says that the event is gone; and who is not its organizer cannot cancel it (graph-lifecycle 2).
fn of_an_event(outcome: Outcome, reply: &Reply, purpose: Purpose, code: Option<&str>) -> Outcome {
    let code = code.unwrap_or_default().to_ascii_lowercase();
    let says_organizer = reply.message.as_deref().is_some_and(|said| said.to_ascii_lowercase().contains("organizer"));
    match outcome {
        Outcome::Refused(Cause::WrongCalendar) => match code.as_str() {
            "erroritemnotfound" | "itemnotfound" => Outcome::NoTarget(Cause::EventGone),
            "errorfoldernotfound" => outcome,
            _ => Outcome::Refused(Cause::EventRefused),
        },
        Outcome::Refused(Cause::EventRefused) if reply.status == 410 => Outcome::NoTarget(Cause::EventGone),
        Outcome::Refused(Cause::EventRefused) | Outcome::MailboxBlocked { cause: Cause::Permission, .. }
            if purpose == Purpose::End && says_organizer =>
        {
            Outcome::NoTarget(Cause::NotOrganizer)
        }
        outcome => outcome,
    }
}

/// The rows of the table that name a code.
fn by_code(reply: &Reply, code: &str) -> Option<Outcome> {
    let message = reply.message.as_deref().unwrap_or_default();
    let code = code.to_ascii_lowercase();
    Some(match (reply.status, code.as_str()) {
        (400 | 409, "errorduplicatetransactionid") => Outcome::Duplicate(reply.existing_event.clone()),
        (400, "errorinvalidrecipients") => Outcome::RefusedInDoubt(Cause::RecipientsRefused),
        (400, "authenticationerror") => blocked(Cause::Permission),
        (400, "badrequest") if message.starts_with("/me request") => unable(
            Cause::MeWithoutUser,
            "me_without_user",
            Hint::new("An application signed in without a user has no own calendar", "set defaults.mailbox."),
        ),
        (400, "badrequest") if message.starts_with("Invalid version") => unable(
            Cause::WrongApiVersion,
            "no_such_version",
            Hint::new(
                "Graph has no such version of its interface",
                "correct graph.api_version, which is v1.0 or beta.",
            ),
        ),
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
        ) => Outcome::Refused(Cause::EventRefused),
        (400, "timezonenotsupportedexception") => Outcome::ZoneRefused,
        (403, "erroraccessdenied" | "accessdenied" | "authorization_requestdenied" | "errorsendasdenied") => {
            blocked(Cause::Permission)
        }
        (403, "insufficient_claims") => sign_in_refused(reply),
        (400..=599, code) if is_limited_consumer(code) => blocked_in_doubt(Cause::MailboxSuspended),
        (403 | 413 | 507, "errorquotaexceeded" | "quotalimitreached") => blocked(Cause::MailboxFull),
        (404, "errorinvaliduser" | "resourcenotfound" | "request_resourcenotfound") => Outcome::NoMailbox,
        (404, "mailboxnotenabledforrestapi" | "mailboxnotsupportedforrestapi") => blocked(Cause::MailboxNotEnabled),
        (404, "extensionerror") => blocked(Cause::MailboxOnPremises),
        (404, "erroritemnotfound" | "itemnotfound" | "errorfoldernotfound") => Outcome::Refused(Cause::WrongCalendar),
        // Read again and repeat: also without any If-Match, and at times in passing (graph-lifecycle 1.2).
        (400..=599, "concurrentitemsave" | "irresolvableconflict" | "errorirresolvableconflict") => Outcome::Conflict,
        (413, "requestentitytoolarge" | "errormessagesizeexceeded") => Outcome::Refused(Cause::TooLarge),
        (423, "resourcelocked" | "notallowed") => blocked(Cause::MailboxLocked),
        (429, "applicationthrottled") if message.contains("MailboxConcurrency") => Outcome::TooManyAtOnce,
        (429, "applicationthrottled") => Outcome::MailboxThrottled,
        (429, "toomanyrequests" | "activitylimitreached" | "throttledrequest") => Outcome::AppThrottled,
        (500, "errorcorruptdata") => Outcome::Refused(Cause::EventRefused),
        (500, "errorinternalservererror" | "generalexception" | "internalservererror") => Outcome::ServerFault,
        (
            503,
            "servicenotavailable"
            | "errorserverbusy"
            | "errorinternalservertransienterror"
            | "errormailboxstoreunavailable"
            | "resourceunhealthy"
            | "errormailboxmoveinprogress",
        ) => Outcome::MailboxAway(Cause::MailboxAway),
        _ => return None,
    })
}

/// The rows that name only a status, and every code the table does not know.
fn by_status(reply: &Reply, purpose: Purpose) -> Outcome {
    match reply.status {
        // The page of a portal: what answered has not seen the request.
        200..=299 if !reply.is_object && reply.request_id.is_none() => Outcome::NotGraph,
        200 | 201 if purpose == Purpose::Create => reply.event().map_or(Outcome::ReplyDamaged, Outcome::Done),
        200 if purpose == Purpose::Change => reply.event().map_or(Outcome::ReplyDamaged, Outcome::Done),
        200..=299 => Outcome::ReplyDamaged,
        401 if reply.refuses_token() && reply.is_proven() => sign_in_refused(reply),
        300..=399 | 401 | 407 => Outcome::Diverted(GateReason {
            cause: Cause::NotGraph,
            code: format!("http_{}", reply.status),
            hint: NOT_GRAPH,
            wait: None,
        }),
        // A gateway's words: it gave the request up, but may have passed it on before.
        408 | 499 => Outcome::ServerFault,
        409 | 412 => Outcome::Conflict,
        // A gateway's limit on the size does not pass, and it may still have passed the request on.
        413 if !reply.is_graphs() => Outcome::RefusedInDoubt(Cause::TooLarge),
        429 if !reply.is_graphs() => Outcome::Busy,
        507 if !reply.is_graphs() => blocked_in_doubt(Cause::MailboxFull),
        509 if !reply.is_graphs() => blocked_in_doubt(Cause::BandwidthLimited),
        400..=499 if !reply.is_graphs() => Outcome::NotGraph,
        403 => blocked(Cause::Permission),
        404 => Outcome::Refused(Cause::WrongCalendar),
        413 => Outcome::Refused(Cause::TooLarge),
        423 => blocked(Cause::MailboxLocked),
        507 => blocked(Cause::MailboxFull),
        509 => blocked(Cause::BandwidthLimited),
        429 => Outcome::AppThrottled,
        400..=499 => Outcome::Refused(Cause::EventRefused),
        503 => Outcome::MailboxAway(Cause::MailboxAway),
        _ => Outcome::ServerFault,
    }
}

/// The worker has fetched another token and asked once more before this counts.
fn sign_in_refused(reply: &Reply) -> Outcome {
    let code = reply.codes.first().cloned().unwrap_or_else(|| format!("http_{}", reply.status));
    let hint = Hint::new(
        "Graph refuses the sign-in although the token is new",
        "check auth.resource, graph.endpoint and Conditional Access.",
    );
    unable(Cause::TokenRefused, &code, hint)
}

fn unable(cause: Cause, code: &str, hint: Hint) -> Outcome {
    Outcome::Unable(GateReason { cause, code: code.into(), hint, wait: None })
}

fn blocked(cause: Cause) -> Outcome {
    Outcome::MailboxBlocked { cause, in_doubt: false }
}

/// The same, where an event may be there although the answer was a refusal.
fn blocked_in_doubt(cause: Cause) -> Outcome {
    Outcome::MailboxBlocked { cause, in_doubt: true }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
