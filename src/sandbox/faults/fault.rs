//! Scripted faults: what goes wrong, for which requests, how often. The same values serve Rust tests and, as JSON, tests
//! in other processes. `script` decides which one strikes; `player` knows what that does to a request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sandbox::journal::RequestKind;

/// The requests a fault waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultOn {
    Token,
    /// Requests to create an event.
    #[default]
    Create,
    /// Lookups by a `$filter`.
    Lookup,
    /// Reads of one event by its id.
    Get,
    /// Requests to change an event.
    Patch,
    /// Requests to delete an event.
    Delete,
    /// Requests to cancel an event.
    Cancel,
    Any,
}

impl FaultOn {
    fn includes(self, kind: RequestKind) -> bool {
        match self {
            FaultOn::Any => true,
            FaultOn::Token => kind == RequestKind::Token,
            FaultOn::Create => kind == RequestKind::Create,
            FaultOn::Lookup => kind == RequestKind::Lookup,
            FaultOn::Get => kind == RequestKind::Get,
            FaultOn::Patch => kind == RequestKind::Patch,
            FaultOn::Delete => kind == RequestKind::Delete,
            FaultOn::Cancel => kind == RequestKind::Cancel,
        }
    }
}

/// A request, as far as a fault can choose by it.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox) struct FaultTarget<'a> {
    pub(in crate::sandbox) kind: RequestKind,
    pub(in crate::sandbox) mailbox: Option<&'a str>,
    pub(in crate::sandbox) subject: Option<&'a str>,
    /// It came over a connection that had brought a request before.
    pub(in crate::sandbox) kept: bool,
}

/// One scripted fault. The first that fits a request and is not used up strikes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests; `token_refused` waits for token requests whatever this says.
    #[serde(default)]
    pub on: FaultOn,
    /// Only this mailbox, in any case.
    #[serde(default)]
    pub mailbox: Option<String>,
    /// Only events with exactly this subject: that of the body, or else that of the event in the address.
    #[serde(default)]
    pub subject: Option<String>,
    /// Only requests over a connection that has brought one before.
    #[serde(default)]
    pub kept: bool,
    /// How many matching requests are let through first.
    #[serde(default)]
    pub after: u32,
    /// How often it strikes; 0 means always.
    #[serde(default = "once")]
    pub times: u32,
    pub action: Action,
}

fn once() -> u32 {
    1
}

/// What happens to a request. "Applied" means: the request is carried out as usual, and its answer is thrown away. In
/// JSON this is `created`, from when creating was all there was; `applied` is understood too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Another answer than the real one.
    Answer {
        /// 200 to 599.
        status: u16,
        /// `error.code`, or `error` of a token request.
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
        /// The header as it is: `5`, `2.128`, any text; `date:+5` is the HTTP date five seconds ahead.
        #[serde(default)]
        retry_after: Option<String>,
        #[serde(default)]
        body: AnswerBody,
        /// The request is applied first.
        #[serde(default, rename = "created", alias = "applied")]
        applied: bool,
        /// Further headers, name and value; one may come more than once.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Without the ids that Graph puts on every answer, as something in between would answer.
        #[serde(default)]
        unmarked: bool,
    },
    /// Applied, then the connection is closed without an answer.
    LostReply,
    /// The connection is reset (RST) without an answer.
    Reset {
        /// The request is applied first.
        #[serde(default, rename = "created", alias = "applied")]
        applied: bool,
    },
    /// No answer for this long, then the connection is closed.
    Hang {
        seconds: f64,
        /// The request is applied first.
        #[serde(default, rename = "created", alias = "applied")]
        applied: bool,
    },
    /// The usual answer, late.
    Slow {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// Carried out only after this time, whether or not the client is still there.
    Late {
        /// How late, in milliseconds.
        ms: u64,
    },
    /// Applied; the answer breaks off in the middle of its body.
    Truncated,
    /// Applied; the body of the answer is an HTML page.
    Html,
    /// Applied; the answer is JSON without an `id`.
    NoId,
    /// 307 to another place.
    Redirect {
        /// The `Location` header.
        location: String,
        /// The request is applied first.
        #[serde(default, rename = "created", alias = "applied")]
        applied: bool,
    },
    /// Carried out; the usual answer under another status.
    Status {
        /// 200 to 599.
        status: u16,
    },
    /// Carried out; the answer shows the event of another job: other id, other `transactionId`, other marker. So does an
    /// answer that would show no event.
    AnotherEvent,
    /// Carried out; the answer says that it belongs to another request, as where answers have come out of step.
    AnotherAnswer,
    /// Carried out; the answer does not show whose event it is: neither `transactionId` nor extended property.
    Unnamed,
    /// The answer to a lookup is an empty page with a link to the next.
    NextPage {
        /// The link; without one, the same request once more.
        #[serde(default)]
        link: Option<String>,
    },
    /// All tokens expire, then the request is answered.
    ExpireTokens,
    /// 401 with a claims challenge; the token used is revoked.
    ClaimsChallenge,
    /// The token endpoint's error.
    TokenRefused {
        /// The AADSTS number.
        number: u32,
        /// `error`.
        error: String,
        /// 200 to 599.
        #[serde(default = "bad_request")]
        status: u16,
        /// `suberror`.
        #[serde(default)]
        suberror: Option<String>,
        /// The `Retry-After` header, as in `answer`.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Applied; the answer is the usual one behind this many MiB of white space (at most 256).
    Oversized {
        /// How much, in MiB.
        mib: u32,
    },
}

fn bad_request() -> u16 {
    400
}

/// The body of a scripted answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    /// The error JSON of the service that was asked.
    #[default]
    Json,
    None,
    /// An HTML page, as gateways send.
    Html,
    /// This text, as it is.
    Text(String),
}

impl Fault {
    /// A fault that strikes the next create.
    pub fn new(action: Action) -> Self {
        Self { on: FaultOn::default(), mailbox: None, subject: None, kept: false, after: 0, times: 1, action }
    }

    pub fn answer(status: u16, code: &str) -> Self {
        Self::new(Action::Answer {
            status,
            code: code.to_owned(),
            message: String::new(),
            retry_after: None,
            body: AnswerBody::Json,
            applied: false,
            headers: Vec::new(),
            unmarked: false,
        })
    }

    /// The event is created, the reply is lost.
    pub fn lost_reply() -> Self {
        Self::new(Action::LostReply)
    }

    /// The connection is reset, nothing is created.
    pub fn reset() -> Self {
        Self::new(Action::Reset { applied: false })
    }

    /// No answer for this long, nothing is created.
    pub fn hang(time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self::new(Action::Hang { seconds, applied: false })
    }

    /// The usual answer, late.
    pub fn slow(time: Duration) -> Self {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self::new(Action::Slow { ms })
    }

    /// Carried out late, even if the client has hung up by then.
    pub fn late(time: Duration) -> Self {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self::new(Action::Late { ms })
    }

    /// The answer breaks off in the middle of its body.
    pub fn truncated() -> Self {
        Self::new(Action::Truncated)
    }

    /// The answer is an HTML page.
    pub fn html() -> Self {
        Self::new(Action::Html)
    }

    /// The answer has no `id`.
    pub fn no_id() -> Self {
        Self::new(Action::NoId)
    }

    /// 307 to another place.
    pub fn redirect(location: &str) -> Self {
        let location = location.to_owned();
        Self::new(Action::Redirect { location, applied: false })
    }

    /// The usual answer under another status.
    pub fn status(status: u16) -> Self {
        Self::new(Action::Status { status })
    }

    /// The answer shows another job's event.
    pub fn another_event() -> Self {
        Self::new(Action::AnotherEvent)
    }

    /// The answer belongs to another request.
    pub fn another_answer() -> Self {
        Self::new(Action::AnotherAnswer)
    }

    /// The answer does not show whose event it is.
    pub fn unnamed() -> Self {
        Self::new(Action::Unnamed)
    }

    /// An empty page, and a link to the next: to the same request once more.
    pub fn next_page() -> Self {
        Self::new(Action::NextPage { link: None }).on(FaultOn::Lookup)
    }

    /// An empty page, and this link to the next.
    pub fn next_page_at(link: &str) -> Self {
        Self::new(Action::NextPage { link: Some(link.to_owned()) }).on(FaultOn::Lookup)
    }

    pub fn expire_tokens() -> Self {
        Self::new(Action::ExpireTokens)
    }

    /// 401 with a claims challenge.
    pub fn claims_challenge() -> Self {
        Self::new(Action::ClaimsChallenge)
    }

    /// The next token request is refused with 400.
    pub fn token_refused(number: u32, error: &str) -> Self {
        let refused = Action::TokenRefused {
            number,
            error: error.to_owned(),
            status: bad_request(),
            suberror: None,
            retry_after: None,
        };
        Self::new(refused).on(FaultOn::Token)
    }

    /// An answer of this many MiB.
    pub fn oversized(mib: u32) -> Self {
        Self::new(Action::Oversized { mib })
    }

    /// Waits for these requests instead of creates.
    pub fn on(mut self, on: FaultOn) -> Self {
        self.on = on;
        self
    }

    /// Only this mailbox.
    pub fn mailbox(mut self, mailbox: &str) -> Self {
        self.mailbox = Some(mailbox.to_owned());
        self
    }

    /// Only events with this subject.
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    /// Only requests over a connection that has brought one before.
    pub fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Lets this many requests through first.
    pub fn after(mut self, after: u32) -> Self {
        self.after = after;
        self
    }

    /// Strikes this often; 0 means always.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// The request is applied first (answers, resets, hangs and redirects; the other actions imply it).
    pub fn applied(mut self) -> Self {
        match &mut self.action {
            Action::Answer { applied, .. }
            | Action::Reset { applied }
            | Action::Hang { applied, .. }
            | Action::Redirect { applied, .. } => *applied = true,
            _ => {}
        }
        self
    }

    /// Adds a header to an answer.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Action::Answer { headers, .. } = &mut self.action {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Takes Graph's ids off an answer.
    pub fn unmarked(mut self) -> Self {
        if let Action::Answer { unmarked, .. } = &mut self.action {
            *unmarked = true;
        }
        self
    }

    /// Adds a Retry-After header (answers and refused tokens).
    pub fn retry_after(mut self, value: &str) -> Self {
        if let Action::Answer { retry_after, .. } | Action::TokenRefused { retry_after, .. } = &mut self.action {
            *retry_after = Some(value.to_owned());
        }
        self
    }

    /// Sets the message of an error answer.
    pub fn message(mut self, text: &str) -> Self {
        if let Action::Answer { message, .. } = &mut self.action {
            *message = text.to_owned();
        }
        self
    }

    /// Sets the body of an answer.
    pub fn body(mut self, kind: AnswerBody) -> Self {
        if let Action::Answer { body, .. } = &mut self.action {
            *body = kind;
        }
        self
    }

    pub(in crate::sandbox) fn fits(&self, target: FaultTarget<'_>) -> bool {
        let on = match self.action {
            Action::TokenRefused { .. } => FaultOn::Token,
            _ => self.on,
        };
        let is_mailbox = |wanted: &String| target.mailbox.is_some_and(|mailbox| mailbox.eq_ignore_ascii_case(wanted));
        on.includes(target.kind)
            && (target.kept || !self.kept)
            && self.mailbox.as_ref().is_none_or(is_mailbox)
            && self.subject.as_deref().is_none_or(|wanted| target.subject == Some(wanted))
    }
}

impl Action {
    /// The action's word in JSON, for the journal.
    pub fn word(&self) -> &'static str {
        match self {
            Action::Answer { .. } => "answer",
            Action::LostReply => "lost_reply",
            Action::Reset { .. } => "reset",
            Action::Hang { .. } => "hang",
            Action::Slow { .. } => "slow",
            Action::Late { .. } => "late",
            Action::Truncated => "truncated",
            Action::Html => "html",
            Action::NoId => "no_id",
            Action::Redirect { .. } => "redirect",
            Action::Status { .. } => "status",
            Action::AnotherEvent => "another_event",
            Action::AnotherAnswer => "another_answer",
            Action::Unnamed => "unnamed",
            Action::NextPage { .. } => "next_page",
            Action::ExpireTokens => "expire_tokens",
            Action::ClaimsChallenge => "claims_challenge",
            Action::TokenRefused { .. } => "token_refused",
            Action::Oversized { .. } => "oversized",
        }
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
