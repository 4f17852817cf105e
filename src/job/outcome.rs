//! What an attempt met. [`Outcome`] is fact, sorted by the reaction it calls for; what becomes of the job is decided
//! by `policy`.

use std::time::Duration;

use super::InvalidJob;

/// Wait before a request whose end nobody saw is repeated: it may still be at work at the server (graph-facts, design
/// consequence 2).
pub const REPEAT_WAIT: Duration = Duration::from_secs(2);

/// Graph's id of an event. Case-sensitive, about 150 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId(pub String);

/// Longest text taken for one: some room above the 150 characters seen.
const MAX_EVENT_ID: usize = 1024;

impl EventId {
    /// None if no event can have this id: blank, with a character that no id has, or absurdly long.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = !text.is_empty() && text.len() <= MAX_EVENT_ID && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_id.then(|| Self(text.to_owned()))
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
    /// Permission.
    Denied,
    /// Too many requests.
    Throttled,
    /// Network, 5xx, timeout.
    Unavailable,
    /// Sign-in.
    Auth,
    /// Attempts or time used up.
    Exhausted,
    /// The transaction id belongs to another event.
    DuplicateTransaction,
}

impl ErrorKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [ErrorKind; 9] = [
        ErrorKind::InvalidJob,
        ErrorKind::Rejected,
        ErrorKind::NotFound,
        ErrorKind::Denied,
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::Auth,
        ErrorKind::Exhausted,
        ErrorKind::DuplicateTransaction,
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
        }
    }
}

/// What was said last about a job, by Graph or by the agent itself. Goes into the row and the attempt's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
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

/// Why the whole agent must hold its sending. Not the fault of any job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// `auth` or `unavailable`.
    pub kind: ErrorKind,
    /// `AADSTS7000215`, `no_connection`, …
    pub code: String,
    /// What it means and what to do. Safe to log.
    pub hint: String,
    /// How long at least; none leaves it to the gate's backoff.
    pub wait: Option<Duration>,
}

/// What an attempt met. The rows of graph-facts 4.3, by reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event exists, created now or by an earlier request of this job.
    Created(EventId),
    /// The row can become no event. Nothing was sent.
    Invalid(InvalidJob),
    /// Graph will never take this event.
    Refused(ErrorKind),
    /// Graph will never take this event, but may have created it all the same (`ErrorInvalidRecipients`).
    RefusedInDoubt,
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
    /// 503: the mailbox's store is away, for the time named if there is one.
    MailboxAway(Option<Duration>),
    /// More requests at once than the mailbox allows.
    TooManyAtOnce(Option<Duration>),
    /// The mailbox's budget is used up.
    MailboxThrottled(Option<Duration>),
    /// The application's or the tenant's budget is used up.
    AppThrottled(Option<Duration>),
    /// Somebody asks for patience who does not bear Graph's marks, and may have passed the request on before.
    Busy(Option<Duration>),
    /// The mailbox cannot be written to now and a person must act: the job waits, looked at again after `recheck`.
    /// With a `horizon` it fails after that time instead of the general one.
    MailboxBlocked {
        /// Kind recorded meanwhile.
        kind: ErrorKind,
        /// Time between two looks.
        recheck: Duration,
        /// Shorter time horizon of this case.
        horizon: Option<Duration>,
        /// An event may exist although the answer was a refusal (`ErrorAccountSuspend`).
        in_doubt: bool,
    },
    /// No attempt is left, and the event a lost answer may have left behind was looked for and not found.
    NotFound,
    /// There is no such mailbox: this job fails, and the mailbox rests for a moment.
    NoMailbox,
    /// Exchange does not know the time zone.
    ZoneRefused,
    /// The agent cannot send at all; the request did not leave, or Graph itself refused it.
    Held(Hold),
    /// The agent cannot send at all: somebody else answers all requests. This one may have been passed on before.
    Diverted(Hold),
    /// The connection had been used before and died without a byte of an answer. Most likely somebody in between had closed
    /// it long ago, and nothing arrived; nobody knows.
    ConnectionStale,
    /// Nothing was sent: the agent is stopping, or the mailbox was told to rest a moment before.
    NotStarted,
    /// The agent is stopping and did not wait for the answer any longer.
    Interrupted,
}

impl Outcome {
    /// A clear no to this one request. It neither passes by itself soon nor asks for a rest.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Outcome::Refused(_)
                | Outcome::RefusedInDoubt
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
