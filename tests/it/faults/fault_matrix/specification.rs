//! What the specification makes of each fault: the decision table of Graph's answers row by row, the same statuses
//! without a readable body, and everything else a connection can do. Knows no job and no program.

use std::time::Duration;

use event_sender::sandbox::{AnswerBody, Fault};

/// What a fault tells about the request it struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing is wrong: an answer that is late, or whose damage does not matter.
    Fine,
    /// The token is refused; with a new one the same request passes.
    Renewed,
    /// Never this event.
    Refused(&'static str),
    /// Never this event, but it may have been created all the same (`ErrorInvalidRecipients`).
    RefusedInDoubt,
    /// Its transaction id was used before.
    Duplicate,
    /// Save conflict: no evidence either way.
    Conflict,
    /// Nobody knows what became of it.
    Unclear,
    /// Somebody else than Graph has answered, and nobody knows either.
    Strange,
    /// Somebody else asks for patience.
    StrangeBusy,
    /// Somebody else has answered who answers all requests.
    Diverted,
    /// The mailbox is away, and nobody knows either.
    Away,
    /// The mailbox must pause, nothing was done.
    Throttled,
    /// So must all of them, if it goes on.
    AllThrottled,
    /// A person must fix the mailbox; it is looked at again later.
    Blocked(&'static str),
    /// The same, and the event may have been created (`ErrorAccountSuspend`).
    Suspended(&'static str),
    /// There is no such mailbox.
    NoMailbox,
    /// Nothing can be sent at all until somebody fixes sign-in, settings or network.
    AllSending(&'static str),
}

use Meaning::{
    AllSending, AllThrottled, Away, Blocked, Conflict, Diverted, Duplicate, Fine, NoMailbox, Refused, RefusedInDoubt,
    Renewed, Strange, StrangeBusy, Suspended, Throttled, Unclear,
};

/// Graph's answers: status, `error.code`, meaning.
pub const ANSWERS: [(u16, &str, Meaning); 73] = [
    (400, "ErrorDuplicateTransactionId", Duplicate),
    (409, "ErrorDuplicateTransactionId", Duplicate),
    (400, "ErrorInvalidRequest", Refused("rejected")),
    (400, "ErrorPropertyValidationFailure", Refused("rejected")),
    (400, "TimeZoneNotSupportedException", Refused("rejected")),
    (400, "ErrorInvalidRecipients", RefusedInDoubt),
    (400, "RequestBodyRead", Refused("rejected")),
    (400, "BadRequest", Refused("rejected")),
    (400, "invalidRequest", Refused("rejected")),
    (400, "ErrorInvalidParameter", Refused("rejected")),
    (400, "ErrorInvalidProperty", Refused("rejected")),
    (400, "ErrorInvalidIdMalformed", Refused("rejected")),
    (400, "AuthenticationError", Blocked("denied")),
    (400, "SomethingNew", Refused("rejected")),
    (401, "InvalidAuthenticationToken", Renewed),
    (401, "SomethingNew", Renewed),
    (403, "ErrorAccessDenied", Blocked("denied")),
    (403, "accessDenied", Blocked("denied")),
    (403, "Authorization_RequestDenied", Blocked("denied")),
    (403, "insufficient_claims", Renewed),
    (403, "ErrorAccountSuspend", Suspended("denied")),
    (400, "ErrorExceededMessageLimit", Suspended("denied")),
    (403, "ErrorMessageSubmissionBlocked", Suspended("denied")),
    (429, "ErrorExceededMessageLimit", Suspended("denied")),
    (403, "ErrorSendAsDenied", Blocked("denied")),
    (403, "ErrorQuotaExceeded", Blocked("unavailable")),
    (403, "SomethingNew", Blocked("denied")),
    (413, "quotaLimitReached", Blocked("unavailable")),
    (507, "ErrorQuotaExceeded", Blocked("unavailable")),
    (404, "ErrorInvalidUser", NoMailbox),
    (404, "ResourceNotFound", NoMailbox),
    (404, "Request_ResourceNotFound", NoMailbox),
    (404, "MailboxNotEnabledForRESTAPI", Blocked("not_found")),
    (404, "MailboxNotSupportedForRESTAPI", Blocked("not_found")),
    (404, "extensionError", Blocked("not_found")),
    (404, "ErrorItemNotFound", Refused("not_found")),
    (404, "itemNotFound", Refused("not_found")),
    (404, "ErrorFolderNotFound", Refused("not_found")),
    (405, "methodNotAllowed", Refused("rejected")),
    (406, "notAcceptable", Refused("rejected")),
    (408, "requestTimeout", Unclear),
    (409, "IrresolvableConflict", Conflict),
    (409, "ConcurrentItemSave", Conflict),
    (409, "SomethingNew", Conflict),
    (411, "lengthRequired", Refused("rejected")),
    (409, "ErrorInvalidRequest", Conflict),
    (412, "ErrorIrresolvableConflict", Conflict),
    (412, "preconditionFailed", Conflict),
    (413, "RequestEntityTooLarge", Refused("rejected")),
    (413, "ErrorMessageSizeExceeded", Refused("rejected")),
    (415, "unsupportedMediaType", Refused("rejected")),
    (422, "unprocessableEntity", Refused("rejected")),
    (423, "resourceLocked", Blocked("unavailable")),
    (423, "notAllowed", Blocked("unavailable")),
    (429, "ApplicationThrottled", Throttled),
    (429, "TooManyRequests", AllThrottled),
    (429, "activityLimitReached", AllThrottled),
    (429, "throttledRequest", AllThrottled),
    (500, "ErrorInternalServerError", Unclear),
    (500, "generalException", Unclear),
    (500, "InternalServerError", Unclear),
    (500, "ErrorCorruptData", Refused("rejected")),
    (502, "", Unclear),
    (504, "UnknownError", Unclear),
    (503, "serviceNotAvailable", Away),
    (503, "ErrorServerBusy", Away),
    (503, "ErrorInternalServerTransientError", Away),
    (503, "ErrorMailboxStoreUnavailable", Away),
    (503, "ResourceUnhealthy", Away),
    (503, "ErrorMailboxMoveInProgress", Away),
    (503, "ConcurrentItemSave", Conflict),
    (507, "insufficientStorage", Blocked("unavailable")),
    (509, "bandwidthLimitExceeded", Blocked("unavailable")),
];

/// Statuses whose body says nothing: without a code of Graph's, nothing is proven.
pub const BARE: [(u16, Meaning); 19] = [
    (200, Unclear),
    (201, Unclear),
    (202, Unclear),
    (204, Unclear),
    (400, Strange),
    (403, Strange),
    (404, Strange),
    (405, Strange),
    (409, Conflict),
    (412, Conflict),
    (413, RefusedInDoubt),
    (423, Strange),
    (429, StrangeBusy),
    (500, Unclear),
    (502, Unclear),
    (503, Away),
    (504, Unclear),
    (507, Suspended("unavailable")),
    (599, Unclear),
];

/// Answers without Graph's ids, as from somebody in between: status, body, meaning.
const UNMARKED: [(u16, &str, Meaning); 11] = [
    (400, PAGE, Strange),
    (403, PAGE, Strange),
    (404, "", Strange),
    (400, "{\"error\":{\"code\":\"BadRequest\",\"message\":\"Blocked by policy.\"}}", Strange),
    (403, "{\"error\":\"access_denied\"}", Strange),
    (404, "{\"message\":\"no route\"}", Strange),
    (413, PAGE, RefusedInDoubt),
    (429, PAGE, StrangeBusy),
    (200, PAGE, Strange),
    (201, PAGE, Strange),
    (511, PAGE, Unclear),
];
/// As an API gateway has it.
const NAMELESS: &str = "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"No key.\"}}";
const PAGE: &str = "<html>Sign in to the guest network</html>";

/// Statuses of a success that are none of a created event, nor of an answer to a lookup.
const ODD_SUCCESS: [u16; 5] = [202, 203, 204, 206, 299];

/// Answers that concern every mailbox: not from Graph at all, or against the way the agent signs in.
pub const NOT_ABOUT_THE_MAILBOX: [(u16, &str, Meaning); 5] = [
    (300, "", Diverted),
    (302, "", Diverted),
    (308, "", Diverted),
    (400, "BadRequest", AllSending("denied")),
    (407, "", Diverted),
];

/// The message that makes a `BadRequest` one about the way of signing in.
pub const ME_WITHOUT_USER: &str = "/me request is only valid with delegated authentication flow.";
/// The message that tells too many requests at once from a budget used up.
const TOO_MANY_AT_ONCE: &str = "Application is over its MailboxConcurrency limit.";

/// A fault, and what it means.
#[derive(Clone, Debug)]
pub struct Row {
    pub fault: Fault,
    pub meaning: Meaning,
    /// The event is created although the fault strikes its request.
    pub made: bool,
}

fn row(fault: Fault, meaning: Meaning, made: bool) -> Row {
    Row { fault, meaning, made }
}

/// Every answer in every form, with and without the event behind it.
pub fn answers() -> Vec<Row> {
    let coded = ANSWERS.iter().map(|(status, code, meaning)| (Fault::answer(*status, code), *meaning));
    let at_once = (Fault::answer(429, "ApplicationThrottled").message(TOO_MANY_AT_ONCE), Throttled);
    let nothing = [AnswerBody::None, AnswerBody::Html, AnswerBody::Text("{\"error\":".into())];
    let bare = BARE.iter().flat_map(|(status, meaning)| {
        nothing.iter().map(move |body| (Fault::answer(*status, "").body(body.clone()), *meaning))
    });
    let unmarked = UNMARKED.iter().map(|(status, body, meaning)| {
        (Fault::answer(*status, "").unmarked().body(AnswerBody::Text((*body).to_owned())), *meaning)
    });
    let all = coded.chain([at_once]).chain(bare).chain(unmarked);
    all.flat_map(|(fault, meaning)| [row(fault.clone(), meaning, false), row(fault.applied(), meaning, true)]).collect()
}

/// What else a connection can do to a request, quickly.
pub fn broken_connections() -> Vec<Row> {
    vec![
        row(Fault::lost_reply(), Unclear, true),
        row(Fault::reset(), Unclear, false),
        row(Fault::reset().applied(), Unclear, true),
        row(Fault::truncated(), Unclear, true),
        row(Fault::html(), Unclear, true),
        row(Fault::oversized(3), Unclear, true),
        row(Fault::slow(Duration::from_millis(100)), Fine, true),
    ]
}

/// Answers that are not the one to the request, or not what they should be. The request was carried out.
pub fn out_of_step() -> Vec<Row> {
    let odd = ODD_SUCCESS.iter().map(|status| Fault::status(*status));
    let faults = odd.chain([Fault::another_event(), Fault::another_answer()]);
    faults.map(|fault| row(fault, Unclear, true)).collect()
}

/// Requests nobody answers in time.
pub fn hangs() -> Vec<Row> {
    let hang = || Fault::hang(Duration::from_secs(60));
    vec![row(hang(), Unclear, false), row(hang().applied(), Unclear, true)]
}

/// What concerns more than one mailbox, so that each needs an agent of its own.
pub fn agent_wide() -> Vec<Row> {
    let answers = NOT_ABOUT_THE_MAILBOX
        .iter()
        .map(|(status, code, meaning)| row(Fault::answer(*status, code).message(ME_WITHOUT_USER), *meaning, false));
    // Nobody listens on port 9 of this machine; a request that went there would be a lost one.
    let others = [
        row(Fault::redirect("http://127.0.0.1:9/v1.0/elsewhere"), Diverted, false),
        row(Fault::redirect("http://127.0.0.1:9/v1.0/elsewhere").applied(), Diverted, true),
        row(Fault::answer(401, "").unmarked().body(AnswerBody::Html), Diverted, false),
        row(Fault::answer(401, "").unmarked().body(AnswerBody::Html).applied(), Diverted, true),
        row(Fault::answer(401, "").body(AnswerBody::None), Diverted, false),
        row(Fault::answer(401, "").body(AnswerBody::Html).applied(), Diverted, true),
        row(Fault::answer(401, "").unmarked().body(AnswerBody::Text(NAMELESS.to_owned())).applied(), Diverted, true),
        row(Fault::expire_tokens(), Renewed, false),
        row(Fault::claims_challenge(), Renewed, false),
    ];
    answers.chain(others).collect()
}
