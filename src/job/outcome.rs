//! What a request met. [`Outcome`] is fact, sorted by the reaction it calls for; what becomes of the job is decided
//! by `policy`.

use std::fmt;
use std::time::Duration;

use super::{Cause, EventRef, InvalidJob};
use crate::hint::Hint;

/// Wait before a request with an unknown end is repeated: it may still be at work at the server (graph-facts, design
/// consequence 2).
pub const REPEAT_WAIT: Duration = Duration::from_secs(2);

/// Graph's id of an event. Case-sensitive, about 150 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId(pub String);

/// Longest text taken for one: some room above the 150 characters seen.
const MAX_EVENT_ID: usize = 1024;

impl EventId {
    /// None if no event can have this id: blank, with a character that no id has, absurdly long, or a place that a URL knows
    /// no other way to say, so that the request would be about something else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = !text.is_empty() && text.len() <= MAX_EVENT_ID && text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_id && !matches!(text, "." | "..")).then(|| Self(text.to_owned()))
    }
}

/// `jobs.error_kind`: stable words other programs branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The row itself.
    InvalidJob,
    /// Graph refuses this event.
    Rejected,
    /// No such mailbox or calendar.
    NotFound,
    Denied,
    Throttled,
    /// Network, 5xx, timeout.
    Unavailable,
    Auth,
    /// Attempts or time used up.
    Exhausted,
    /// The transaction id belongs to another event.
    DuplicateTransaction,
    /// `not_after` has passed, or the event is over.
    Expired,
    /// A later delete of the same event came before anything had left.
    Superseded,
    /// The event to change is not there, not ours to change, or its create failed.
    Target,
}

impl ErrorKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [ErrorKind; 12] = [
        ErrorKind::InvalidJob,
        ErrorKind::Rejected,
        ErrorKind::NotFound,
        ErrorKind::Denied,
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::Auth,
        ErrorKind::Exhausted,
        ErrorKind::DuplicateTransaction,
        ErrorKind::Expired,
        ErrorKind::Superseded,
        ErrorKind::Target,
    ];

    /// The stored word, back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::InvalidJob => "invalid_job",
            ErrorKind::Rejected => "rejected",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Denied => "denied",
            ErrorKind::Throttled => "throttled",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Auth => "auth",
            ErrorKind::Exhausted => "exhausted",
            ErrorKind::DuplicateTransaction => "duplicate_transaction",
            ErrorKind::Expired => "expired",
            ErrorKind::Superseded => "superseded",
            ErrorKind::Target => "target",
        }
    }
}

/// What was said last about a job, by Graph or by the agent itself. Goes into the row and the attempt's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it comes down to; none of a success.
    pub cause: Option<Cause>,
    /// HTTP status; none if no answer came.
    pub status: Option<u16>,
    /// The most specific `error.code`, or a word of the agent's own.
    pub code: Option<String>,
    /// In words. May repeat parts of the event, so it goes into the database and never into a log.
    pub message: Option<String>,
    /// Graph's id of the request, for Microsoft's support.
    pub request_id: Option<String>,
    /// The agent's id of the request.
    pub client_request_id: Option<String>,
}

/// Why the gate must shut: the whole agent cannot send. Not the fault of any job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateReason {
    pub cause: Cause,
    /// `AADSTS7000215`, `no_connection`, …
    pub code: String,
    /// Safe to log.
    pub hint: Hint,
    /// How long at least, where a server said so.
    pub wait: Option<Duration>,
}

impl GateReason {
    pub fn kind(&self) -> ErrorKind {
        self.cause.kind()
    }
}

/// What a request met. The rows of graph-facts 4.3, by reaction. How long an answer asked to wait stands beside it, in
/// [`CallResult`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the job asks for is there, brought about now or by an earlier request of this job.
    Done(EventRef),
    /// The row can become no event. Nothing was sent.
    Invalid(InvalidJob),
    /// The time for it is over. Nothing was sent.
    Expired(Cause),
    /// The event to be changed is not there, or not to be changed. Nothing was changed.
    NoTarget(Cause),
    /// The mailbox has mailed as many as it may: not before `wait` has passed. `is_known`: the row itself says that it mails
    /// somebody, so that it can be left alone meanwhile. Nothing was sent.
    Paced { wait: Duration, is_known: bool },
    /// Graph will never take this event.
    Refused(Cause),
    /// Graph will never take this event, but may have created it all the same.
    RefusedInDoubt(Cause),
    /// The transaction id was used before; the event named here, if any, may be this job's.
    Duplicate(Option<EventId>),
    /// A refusal that does not bear Graph's marks: a proxy, a portal or a wrong address may have answered, and may have
    /// passed the request on before.
    NotGraph,
    /// Save conflict: no evidence either way.
    Conflict,
    /// 500, 502, 504: result unknown.
    ServerFault,
    /// 2xx that does not say that this very event exists: it most likely does.
    ReplyDamaged,
    /// Timeout or reset after the request was written: result unknown.
    ReplyLost,
    /// 503, or another unclear answer that asks for patience: the mailbox's store is away.
    MailboxAway(Cause),
    /// More requests at once than the mailbox allows.
    TooManyAtOnce,
    /// The mailbox's budget is used up.
    MailboxThrottled,
    /// The application's or the tenant's budget is used up.
    AppThrottled,
    /// Too many requests, says an answer without Graph's marks; the request may have been passed on before.
    Busy,
    /// The mailbox cannot be written to now and a person must act: the job waits.
    MailboxBlocked {
        cause: Cause,
        /// An event may exist although the answer was a refusal (a suspended mailbox, a gateway's 507).
        in_doubt: bool,
    },
    /// No attempt is left, and the event a lost answer may have left behind was looked for and not found.
    NotFound,
    /// There is no such mailbox: this job fails, and the mailbox pauses for a moment.
    NoMailbox,
    /// Exchange does not know the time zone.
    ZoneRefused,
    /// The agent cannot send at all; the request did not leave, or Graph itself refused it.
    Unable(GateReason),
    /// The agent cannot send at all: something else answers all requests. This one may have been passed on before.
    Diverted(GateReason),
    /// The connection had been used before and died without a byte of an answer. Most likely it had been closed long ago
    /// between here and there, and nothing arrived; but that is not certain.
    ConnectionStale,
    /// Nothing was sent: the agent is stopping, or the mailbox was paused a moment before.
    NotStarted,
    /// The agent is stopping and did not wait for the answer any longer.
    Interrupted,
}

impl Outcome {
    /// None where nothing failed.
    pub fn cause(&self) -> Option<Cause> {
        Some(match self {
            Outcome::Done(_) | Outcome::NotStarted | Outcome::Paced { .. } => return None,
            Outcome::Invalid(_) => Cause::InvalidColumn,
            Outcome::Expired(cause) | Outcome::NoTarget(cause) => *cause,
            Outcome::Refused(cause) | Outcome::RefusedInDoubt(cause) | Outcome::MailboxAway(cause) => *cause,
            Outcome::MailboxBlocked { cause, .. } => *cause,
            Outcome::Unable(reason) | Outcome::Diverted(reason) => reason.cause,
            Outcome::Duplicate(_) => Cause::Duplicate,
            Outcome::NotGraph => Cause::NotGraph,
            Outcome::Conflict => Cause::Conflict,
            Outcome::ServerFault => Cause::ServerFault,
            Outcome::ReplyDamaged => Cause::ReplyDamaged,
            Outcome::ReplyLost => Cause::ReplyLost,
            Outcome::TooManyAtOnce => Cause::TooManyAtOnce,
            Outcome::MailboxThrottled => Cause::ThrottledMailbox,
            Outcome::AppThrottled => Cause::ThrottledApp,
            Outcome::Busy => Cause::ThrottledByGateway,
            Outcome::NotFound => Cause::EventNotFound,
            Outcome::NoMailbox => Cause::NoMailbox,
            Outcome::ZoneRefused => Cause::ZoneRefused,
            Outcome::ConnectionStale => Cause::ConnectionStale,
            Outcome::Interrupted => Cause::Interrupted,
        })
    }

    /// A clear no to this one request. It neither passes by itself soon nor asks for a pause.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Outcome::Refused(_)
                | Outcome::NoTarget(_)
                | Outcome::RefusedInDoubt(_)
                | Outcome::Duplicate(_)
                | Outcome::NoMailbox
                | Outcome::ZoneRefused
                | Outcome::MailboxBlocked { .. }
        )
    }

    /// Nothing is known of the request's fate, and the same one may meet something else soon.
    pub fn is_unclear(&self) -> bool {
        matches!(
            self,
            Outcome::Conflict
                | Outcome::ServerFault
                | Outcome::ReplyDamaged
                | Outcome::ReplyLost
                | Outcome::ConnectionStale
                | Outcome::NotGraph
        )
    }
}

/// One call's end: all that is known of it, and nothing of what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    pub outcome: Outcome,
    pub answer: Answer,
    /// The wait named by an answer other than a success.
    pub retry_after: Option<Duration>,
    /// The token was refused.
    pub challenge: Option<Challenge>,
    /// What `answer.message` is made of, where it is more than one sentence.
    pub explained: Option<Explained>,
}

/// For a person: what an answer other than a success means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    pub hint: Hint,
    /// Graph's own words.
    pub said: Option<String>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hint.fmt(f)?;
        self.said.as_ref().map_or(Ok(()), |said| write!(f, " Graph said: {said}"))
    }
}

impl From<Hint> for Explained {
    fn from(hint: Hint) -> Self {
        Self { hint, said: None }
    }
}

/// How a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What the next token must carry.
    pub claims: Option<String>,
    /// Only Graph can have said so, and Graph carries out nothing that it refuses a token for.
    pub is_proven: bool,
}

impl CallResult {
    /// The answer gets its cause from the outcome.
    pub fn new(outcome: Outcome, answer: Answer) -> Self {
        let answer = Answer { cause: outcome.cause(), ..answer };
        Self { outcome, answer, retry_after: None, challenge: None, explained: None }
    }

    /// No call: nothing was sent.
    pub fn not_made() -> Self {
        Self::new(Outcome::NotStarted, Answer::default())
    }

    /// A clear no to this one request, after which another one may be made at once.
    pub fn is_refusal(&self) -> bool {
        self.outcome.is_refusal() && self.retry_after.is_none()
    }

    /// Nothing is known of the request's fate, and it may be asked about at once.
    pub fn is_unclear(&self) -> bool {
        self.outcome.is_unclear() && self.retry_after.is_none()
    }

    /// A request was made, whatever came of it.
    pub fn was_made(&self) -> bool {
        self.answer.client_request_id.is_some()
    }
}
