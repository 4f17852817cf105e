//! Calls that ended without a whole answer: no token, no connection, or a reply that was lost on the way.

use std::io::{self, ErrorKind};

use super::client::Call;
use crate::auth::TokenRefusal;
use crate::http::causes;
use crate::job::{self, Answer, Hold, Outcome};

/// No token: nothing was sent, and nothing can be.
pub fn no_token(refusal: TokenRefusal) -> Call {
    let kind = if refusal.unreachable { job::ErrorKind::Unavailable } else { job::ErrorKind::Auth };
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
            kind: job::ErrorKind::Unavailable,
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
        outcome: Outcome::Refused(job::ErrorKind::Rejected),
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

/// A connection that had been used before died without a byte of an answer.
pub(super) fn stale(id: &str) -> Call {
    Call {
        outcome: Outcome::ConnectionStale,
        answer: Answer {
            code: Some("connection_stale".into()),
            message: Some(
                "a kept connection turned out to be closed before any answer; the event may have been created".into(),
            ),
            client_request_id: Some(id.to_owned()),
            ..Answer::default()
        },
        retry_after: None,
    }
}

/// An answer that says itself that it belongs to another request: whatever it says is said of that one.
pub(super) fn misdirected(echo: &str, id: &str, status: u16) -> Call {
    let echo: String = echo.chars().filter(|c| !c.is_control()).take(60).collect();
    Call {
        outcome: Outcome::ReplyDamaged,
        answer: Answer {
            status: Some(status),
            code: Some("another_answer".into()),
            message: Some(format!("the answer belongs to another request ({echo}); the event may have been created")),
            request_id: None,
            client_request_id: Some(id.to_owned()),
        },
        retry_after: None,
    }
}

/// Whether the other side ended the connection: not that it did not answer in time, or with something that is no HTTP.
pub(super) fn has_died(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(http) = current.downcast_ref::<hyper::Error>()
            && (http.is_incomplete_message() || http.is_closed() || http.is_canceled())
        {
            return true;
        }
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::NotConnected
                    | ErrorKind::UnexpectedEof
            );
        }
        cause = current.source();
    }
    false
}
