//! Why an attempt failed, finer than `error_kind`: what advice, `check` and `retry` go by, so that none of them has to know
//! Graph's codes. Set once, by `graph::classify` for an answer and by whoever decides without one; stored as a word in
//! `jobs.cause`.

use super::ErrorKind;

/// Declares the causes: each with the stored word and the kind of failure it is.
macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident $word:literal $kind:ident,)*) => {
        /// `jobs.cause`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $($(#[$doc])* $cause,)*
        }

        impl Cause {
            /// In the order of their declaration.
            pub const ALL: &'static [Cause] = &[$(Cause::$cause),*];

            /// The stored word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Cause::$cause => $word,)*
                }
            }

            /// The kind of a failure with this cause, as long as neither attempts nor time are used up.
            pub fn kind(self) -> ErrorKind {
                match self {
                    $(Cause::$cause => ErrorKind::$kind,)*
                }
            }
        }
    };
}

causes! {
    /// The agent's own columns hold values they cannot have.
    InvalidRow "invalid_row" InvalidJob,
    /// A column of the producer's; `error_code` names it.
    InvalidColumn "invalid_column" InvalidJob,

    /// No URL or header can hold what the row says.
    UnbuildableRequest "unbuildable_request" Rejected,
    /// Exchange will never take this event.
    EventRefused "event_refused" Rejected,
    /// Exchange refuses the attendees, and may have created the event all the same.
    RecipientsRefused "recipients_refused" Rejected,
    ZoneRefused "zone_refused" Rejected,
    TooLarge "too_large" Rejected,
    /// The transaction id belongs to another event.
    Duplicate "duplicate" DuplicateTransaction,

    NoMailbox "no_mailbox" NotFound,
    /// Just created, without a licence, or deleted.
    MailboxNotEnabled "mailbox_not_enabled" NotFound,
    /// In an Exchange server of the organisation's own, or closed to Graph by an access policy.
    MailboxOnPremises "mailbox_on_premises" NotFound,
    /// The mailbox has no such calendar.
    WrongCalendar "wrong_calendar" NotFound,
    /// The application may not write to the mailbox.
    Permission "permission" Denied,
    /// Microsoft lets the mailbox send nothing for a while (personal mailboxes).
    MailboxSuspended "mailbox_suspended" Denied,
    MailboxFull "mailbox_full" Unavailable,
    MailboxLocked "mailbox_locked" Unavailable,
    /// 503: the mailbox's store is away for a moment.
    MailboxAway "mailbox_away" Unavailable,
    BandwidthLimited "bandwidth_limited" Unavailable,

    /// The row names no mailbox, and an application signed in without a user has none.
    MeWithoutUser "me_without_user" Denied,
    /// `graph.api_version` names a version that Graph does not have.
    WrongApiVersion "wrong_api_version" Denied,
    /// The identity platform gives no token.
    SignInRefused "sign_in_refused" Auth,
    /// Graph refuses a token that is new.
    TokenRefused "token_refused" Auth,
    /// The identity platform does not answer.
    SignInUnreachable "sign_in_unreachable" Unavailable,
    /// No connection to Graph.
    NoNetwork "no_network" Unavailable,
    /// A proxy, a portal or a wrong address answered instead of Graph.
    NotGraph "not_graph" Unavailable,

    /// The request left, and no whole answer came back.
    ReplyLost "reply_lost" Unavailable,
    /// A kept connection turned out to be closed before any answer.
    ConnectionStale "connection_stale" Unavailable,
    /// A success that does not say of which event.
    ReplyDamaged "reply_damaged" Unavailable,
    ServerFault "server_fault" Unavailable,
    /// A save conflict in Exchange.
    Conflict "conflict" Unavailable,
    /// The agent was stopped before the answer came.
    Interrupted "interrupted" Unavailable,
    /// No answer came to the requests, and the event was looked for and not found.
    EventNotFound "event_not_found" Exhausted,

    /// `not_after` has passed.
    NotAfterPassed "not_after_passed" Expired,
    /// The event has ended, and attendees are not told of what is over.
    EventIsOver "event_is_over" Expired,
    /// Cancelled by a later delete.
    Superseded "superseded" Superseded,
    /// No job creates an event of this key.
    NoSuchKey "no_such_key" Target,
    /// The job that was to create the event failed or was cancelled.
    CreateFailed "create_failed" Target,
    /// The event that a key has named so far was not deleted, so that the key names no other one.
    KeyInUse "key_in_use" Target,
    /// The event to be changed was deleted.
    EventGone "event_gone" Target,
    /// The event to be changed was cancelled.
    EventCalledOff "event_called_off" Target,
    /// Another one than the mailbox is the organizer.
    NotOrganizer "not_organizer" Target,
    /// One of a series, which is changed as a whole only.
    OneOfSeries "one_of_series" Target,
    /// The event does not bear the marker of the job that created it.
    OtherEvent "other_event" Target,
    /// A new body would take the meeting's join block away.
    JoinBlock "join_block" Rejected,

    /// More requests at once than the mailbox allows.
    TooManyAtOnce "too_many_at_once" Throttled,
    ThrottledMailbox "throttled_mailbox" Throttled,
    /// The application, or the tenant.
    ThrottledApp "throttled_app" Throttled,
    /// Too many requests, says something between here and Graph.
    ThrottledByGateway "throttled_by_gateway" Throttled,
}

impl Cause {
    /// The stored word, back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.as_str() == word)
    }

    /// Something outside the job that an operator can put right: sign-in, permission, a mailbox or calendar that is not
    /// there. Once that is done, the same job may succeed.
    pub fn is_fault_of_settings(self) -> bool {
        matches!(self.kind(), ErrorKind::Auth | ErrorKind::Denied | ErrorKind::NotFound)
    }

    /// The cause of a failure recorded before the column existed. Of a job whose attempts or time were used up the answer
    /// tells, if it tells at all.
    pub fn of_stored(kind: ErrorKind, status: Option<u16>, code: Option<&str>) -> Option<Self> {
        let code = code.unwrap_or_default().to_ascii_lowercase();
        let told = by_code(&code).or_else(|| by_status(kind, status?));
        told.filter(|cause| kind == ErrorKind::Exhausted || cause.kind() == kind).or_else(|| by_kind(kind))
    }
}

/// The codes whose cause does not depend on anything else, in lower case.
fn by_code(code: &str) -> Option<Cause> {
    Some(match code {
        "invalid_row" => Cause::InvalidRow,
        "request_impossible" => Cause::UnbuildableRequest,
        "errorinvalidrecipients" => Cause::RecipientsRefused,
        "timezonenotsupportedexception" => Cause::ZoneRefused,
        "requestentitytoolarge" | "errormessagesizeexceeded" => Cause::TooLarge,
        "errorinvaliduser" | "resourcenotfound" | "request_resourcenotfound" => Cause::NoMailbox,
        "mailboxnotenabledforrestapi" | "mailboxnotsupportedforrestapi" => Cause::MailboxNotEnabled,
        "extensionerror" => Cause::MailboxOnPremises,
        "authenticationerror" => Cause::Permission,
        "insufficient_claims" => Cause::TokenRefused,
        "me_without_user" => Cause::MeWithoutUser,
        "no_such_version" => Cause::WrongApiVersion,
        "errorquotaexceeded" | "quotalimitreached" => Cause::MailboxFull,
        "resourcelocked" | "notallowed" => Cause::MailboxLocked,
        "concurrentitemsave" | "irresolvableconflict" | "errorirresolvableconflict" => Cause::Conflict,
        "no_connection" => Cause::NoNetwork,
        "timeout" | "connection_lost" => Cause::ReplyLost,
        "connection_stale" => Cause::ConnectionStale,
        "another_answer" | "another_event" | "unproven" | "reply_incomplete" | "not_listed_yet" => Cause::ReplyDamaged,
        "interrupted" => Cause::Interrupted,
        "event_not_found" => Cause::EventNotFound,
        "applicationthrottled" => Cause::ThrottledMailbox,
        _ if is_suspension(code) => Cause::MailboxSuspended,
        _ if code.starts_with("invalid_") => Cause::InvalidColumn,
        _ if code.starts_with("http_") => Cause::NotGraph,
        _ => return None,
    })
}

fn is_suspension(code: &str) -> bool {
    matches!(
        code.strip_suffix("showtierupgrade").unwrap_or(code),
        "erroraccountsuspend" | "errorexceededmessagelimit" | "errormessagesubmissionblocked"
    )
}

fn by_status(kind: ErrorKind, status: u16) -> Option<Cause> {
    Some(match status {
        401 => Cause::TokenRefused,
        403 if kind == ErrorKind::Auth => Cause::TokenRefused,
        403 => Cause::Permission,
        404 => Cause::WrongCalendar,
        409 | 412 => Cause::Conflict,
        413 => Cause::TooLarge,
        423 => Cause::MailboxLocked,
        503 => Cause::MailboxAway,
        507 => Cause::MailboxFull,
        509 => Cause::BandwidthLimited,
        _ => return None,
    })
}

/// The most general cause of each kind.
fn by_kind(kind: ErrorKind) -> Option<Cause> {
    Some(match kind {
        ErrorKind::InvalidJob => Cause::InvalidColumn,
        ErrorKind::Rejected => Cause::EventRefused,
        ErrorKind::NotFound => Cause::WrongCalendar,
        ErrorKind::Denied => Cause::Permission,
        ErrorKind::Throttled => Cause::ThrottledApp,
        ErrorKind::Unavailable => Cause::ServerFault,
        ErrorKind::Auth => Cause::SignInRefused,
        ErrorKind::DuplicateTransaction => Cause::Duplicate,
        ErrorKind::Expired => Cause::NotAfterPassed,
        ErrorKind::Superseded => Cause::Superseded,
        ErrorKind::Target => Cause::EventGone,
        ErrorKind::Exhausted => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_word_of_its_own_that_leads_back_to_it() {
        for cause in Cause::ALL {
            let word = cause.as_str();
            assert_eq!(Cause::parse(word), Some(*cause));
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{word}");
        }
        assert_eq!(Cause::parse("ErrorItemNotFound"), None);
    }

    #[test]
    fn a_failure_recorded_before_the_column_existed_gets_its_cause_from_kind_status_and_code() {
        use ErrorKind::{Auth, Denied, DuplicateTransaction, Exhausted, InvalidJob, NotFound, Rejected};
        use ErrorKind::{Throttled, Unavailable};
        for (kind, status, code, cause) in [
            (InvalidJob, None, "invalid_row", Cause::InvalidRow),
            (InvalidJob, None, "invalid_start_time", Cause::InvalidColumn),
            (InvalidJob, None, "", Cause::InvalidColumn),
            (Rejected, None, "request_impossible", Cause::UnbuildableRequest),
            (Rejected, Some(400), "ErrorInvalidRecipients", Cause::RecipientsRefused),
            (Rejected, Some(400), "TimeZoneNotSupportedException", Cause::ZoneRefused),
            (Rejected, Some(413), "RequestEntityTooLarge", Cause::TooLarge),
            (Rejected, Some(413), "", Cause::TooLarge),
            (Rejected, Some(400), "ErrorInvalidRequest", Cause::EventRefused),
            (NotFound, Some(404), "ErrorInvalidUser", Cause::NoMailbox),
            (NotFound, Some(404), "MailboxNotEnabledForRESTAPI", Cause::MailboxNotEnabled),
            (NotFound, Some(404), "ExtensionError", Cause::MailboxOnPremises),
            (NotFound, Some(404), "ErrorItemNotFound", Cause::WrongCalendar),
            (Denied, Some(403), "ErrorAccessDenied", Cause::Permission),
            (Denied, Some(400), "AuthenticationError", Cause::Permission),
            (Denied, Some(400), "me_without_user", Cause::MeWithoutUser),
            (Denied, Some(400), "no_such_version", Cause::WrongApiVersion),
            (Denied, Some(403), "ErrorAccountSuspendShowTierUpgrade", Cause::MailboxSuspended),
            (Denied, Some(429), "ErrorExceededMessageLimit", Cause::MailboxSuspended),
            (Throttled, Some(429), "ApplicationThrottled", Cause::ThrottledMailbox),
            (Throttled, Some(429), "TooManyRequests", Cause::ThrottledApp),
            (Unavailable, None, "timeout", Cause::ReplyLost),
            (Unavailable, None, "connection_lost", Cause::ReplyLost),
            (Unavailable, None, "interrupted", Cause::Interrupted),
            (Unavailable, Some(202), "reply_incomplete", Cause::ReplyDamaged),
            (Unavailable, Some(502), "no_error_code", Cause::ServerFault),
            (Unavailable, None, "no_connection", Cause::NoNetwork),
            (Unavailable, Some(403), "ErrorQuotaExceeded", Cause::MailboxFull),
            (Unavailable, Some(507), "", Cause::MailboxFull),
            (Unavailable, Some(423), "", Cause::MailboxLocked),
            (Unavailable, Some(404), "http_404", Cause::NotGraph),
            (Unavailable, Some(503), "ErrorServerBusy", Cause::MailboxAway),
            (Unavailable, Some(409), "", Cause::Conflict),
            (Unavailable, Some(500), "", Cause::ServerFault),
            (Auth, Some(401), "InvalidAuthenticationToken", Cause::TokenRefused),
            (Auth, None, "AADSTS7000222", Cause::SignInRefused),
            (DuplicateTransaction, Some(409), "ErrorDuplicateTransactionId", Cause::Duplicate),
            (Exhausted, Some(200), "event_not_found", Cause::EventNotFound),
            (Exhausted, Some(403), "ErrorAccessDenied", Cause::Permission),
            (Exhausted, Some(403), "quotaLimitReached", Cause::MailboxFull),
        ] {
            assert_eq!(Cause::of_stored(kind, status, Some(code)), Some(cause), "{kind:?} {status:?} {code}");
        }
        assert_eq!(Cause::of_stored(Exhausted, Some(500), None), None, "used up, and nothing tells by what");
    }

    #[test]
    fn what_an_operator_can_put_right_is_told_from_what_only_time_or_the_producer_can() {
        for cause in [Cause::Permission, Cause::SignInRefused, Cause::NoMailbox, Cause::MailboxOnPremises] {
            assert!(cause.is_fault_of_settings(), "{cause:?}");
        }
        for cause in [Cause::MailboxFull, Cause::EventRefused, Cause::ReplyLost, Cause::Duplicate, Cause::ThrottledApp]
        {
            assert!(!cause.is_fault_of_settings(), "{cause:?}");
        }
    }
}
