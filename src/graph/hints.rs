//! Graph's refusals in plain words: what an operator should look at (the hints of graph-facts 4.3).

use super::purpose::Purpose;
use crate::hint::Hint;

/// What to do about an answer, from status and code alone. None for a success.
pub(super) fn hint(purpose: Purpose, status: u16, code: Option<&str>) -> Option<Hint> {
    let code = code.unwrap_or_default().to_ascii_lowercase();
    if let Some(hint) = event_hint(status, &code).filter(|_| purpose.is_of_an_event()) {
        return Some(hint);
    }
    if is_limited_consumer(&code) {
        return Some(Hint::new(
            "Microsoft limits this mailbox, as it does with personal ones (Outlook.com)",
            "sign in to it, do what the message in its inbox asks for, or wait.",
        ));
    }
    Some(match (status, code.as_str()) {
        (_, "errorduplicatetransactionid") => {
            Hint::sentence("This transaction id was already used for a different event.")
        }
        (400, "errorpropertyvalidationfailure") => Hint::sentence("Check start, end and time zone."),
        (400, "timezonenotsupportedexception") => Hint::new("Unknown time zone", "use a Windows or IANA name."),
        (400, "errorinvalidrecipients") => Hint::sentence("Check the attendees' addresses."),
        (400, "authenticationerror") => Hint::sentence("Check licence and permissions of the mailbox."),
        (403 | 413 | 507, "errorquotaexceeded" | "quotalimitreached") | (507, _) => {
            Hint::sentence("The mailbox is full.")
        }
        (403, _) => Hint::new(
            "The application may not write to this mailbox",
            "check consent, RBAC scope and access policy; changes need up to 2 hours.",
        ),
        (404, "errorinvaliduser" | "resourcenotfound" | "request_resourcenotfound") => {
            Hint::sentence("No such user or mailbox.")
        }
        (404, "mailboxnotenabledforrestapi" | "mailboxnotsupportedforrestapi" | "extensionerror") => {
            Hint::sentence("The mailbox is not in Exchange Online or has no licence; a new one needs up to 15 minutes.")
        }
        (404, _) => Hint::new("Calendar not found", "check calendar_id, and whether the calendar is shared."),
        (409 | 412, _) | (_, "concurrentitemsave" | "irresolvableconflict" | "errorirresolvableconflict") => {
            Hint::sentence("Save conflict in Exchange.")
        }
        (413, _) => Hint::sentence("The event is too large."),
        (423, _) => Hint::new("The mailbox is locked", "check licence and subscription."),
        (429, _) => Hint::sentence("Microsoft limits the requests."),
        (500, "errorcorruptdata") => Hint::sentence("Exchange cannot store this event."),
        (500..=502 | 504, _) => Hint::sentence("Microsoft reported an internal error."),
        (503, _) => Hint::sentence("The mailbox is temporarily unavailable."),
        (509, _) => Hint::sentence("Microsoft limits the bandwidth."),
        (400..=499, _) => Hint::sentence("Graph rejected the request."),
        (500..=599, _) => Hint::sentence("Microsoft, or a server in between, reported an error."),
        (200..=299, _) => return None,
        (status, _) => {
            let means = format!("The answer has the HTTP status {status}, which Graph does not use.");
            Hint { means: means.into(), cure: None }
        }
    })
}

/// The same, where the request names an event.
fn event_hint(status: u16, code: &str) -> Option<Hint> {
    Some(match (status, code) {
        (404, "erroritemnotfound" | "itemnotfound") | (410, _) => {
            Hint::new("The event is not in this mailbox", "it was deleted, or moved to an archive.")
        }
        (404, "errorfoldernotfound" | "errorinvaliduser" | "resourcenotfound" | "request_resourcenotfound")
        | (404, "mailboxnotenabledforrestapi" | "mailboxnotsupportedforrestapi" | "extensionerror") => return None,
        (404, _) => Hint::sentence("Graph did not find what was asked for, and does not say that it is the event."),
        (409 | 412, _) | (_, "concurrentitemsave" | "irresolvableconflict" | "errorirresolvableconflict") => {
            Hint::sentence("The event changed in the meantime; it is read again before the next attempt.")
        }
        _ => return None,
    })
}

/// Codes, in lower case, of mailboxes that Microsoft lets send no more for a while. They are defined for personal mailboxes
/// (graph-lifecycle 5); an event may have been made all the same (graph-facts 2.3).
pub(super) fn is_limited_consumer(code: &str) -> bool {
    matches!(
        code.strip_suffix("showtierupgrade").unwrap_or(code),
        "erroraccountsuspend" | "errorexceededmessagelimit" | "errormessagesubmissionblocked"
    )
}
