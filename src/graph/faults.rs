//! Calls that ended without a whole answer: no token, no connection, or a reply that was lost on the way.

use super::client::Call;
use crate::auth::TokenRefusal;
use crate::job::{Answer, ErrorKind, Hold, Outcome};

/// No token: nothing was sent, and nothing can be.
pub fn no_token(refusal: TokenRefusal) -> Call {
    let kind = if refusal.unreachable { ErrorKind::Unavailable } else { ErrorKind::Auth };
    let answer =
        Answer { code: Some(refusal.code.clone()), message: Some(refusal.sentence.clone()), ..Answer::default() };
    let hold = Hold { kind, code: refusal.code, hint: refusal.sentence, wait: refusal.retry_after };
    Call { outcome: Outcome::Held(hold), answer, retry_after: None }
}

/// The connection never stood: nothing was sent.
pub(super) fn no_connection(error: &reqwest::Error, id: &str) -> Call {
    let hint = "No connection to Graph: check network, DNS, TLS, proxy and graph.endpoint.";
    Call {
        outcome: Outcome::Held(Hold {
            kind: ErrorKind::Unavailable,
            code: "no_connection".into(),
            hint: hint.into(),
            wait: None,
        }),
        answer: Answer {
            code: Some("no_connection".into()),
            message: Some(format!("{hint} ({})", causes(error))),
            client_request_id: Some(id.to_owned()),
            ..Answer::default()
        },
        retry_after: None,
    }
}

/// The request cannot even be made: something in the row that no URL or header can hold.
pub(super) fn unsayable(error: &reqwest::Error) -> Call {
    Call {
        outcome: Outcome::Refused(ErrorKind::Rejected),
        answer: Answer {
            code: Some("request_impossible".into()),
            message: Some(format!("no request can be made of this row ({})", causes(error))),
            ..Answer::default()
        },
        retry_after: None,
    }
}

/// The request left, or part of it, and no whole answer came back.
pub(super) fn lost(error: &reqwest::Error, id: &str, status: Option<u16>) -> Call {
    let (code, what) = if error.is_timeout() {
        ("timeout", "no answer in time; the event may have been created")
    } else {
        ("connection_lost", "the connection broke before the answer was complete; the event may have been created")
    };
    Call {
        outcome: Outcome::ReplyLost,
        answer: Answer {
            status,
            code: Some(code.into()),
            message: Some(what.into()),
            request_id: None,
            client_request_id: Some(id.to_owned()),
        },
        retry_after: None,
    }
}

/// The innermost cause, which is the one that says something ("connection refused").
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
