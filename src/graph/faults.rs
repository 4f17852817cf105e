//! Calls that ended without a whole answer: no connection, or a reply that was lost on the way.

use std::io::{self, ErrorKind};

use super::purpose::Purpose;
use crate::hint::Hint;
use crate::http::causes;
use crate::job::{Answer, CallResult, Cause, GateReason, Outcome};

/// The connection never stood: nothing was sent.
pub(super) fn no_connection(error: &reqwest::Error, id: &str) -> CallResult {
    let hint = Hint::new("No connection to Graph", "check network, DNS, TLS, proxy and graph.endpoint.");
    let causes = causes(error);
    let answer = said("no_connection", format!("{hint} ({causes})"), id);
    let means = format!("{} ({causes})", hint.means).into();
    let explained = Some(Hint { means, ..hint.clone() }.into());
    let reason = GateReason { cause: Cause::NoNetwork, code: "no_connection".into(), hint, wait: None };
    CallResult { explained, ..CallResult::new(Outcome::Unable(reason), answer) }
}

/// The request cannot even be made: something in the row that no URL or header can hold.
pub(super) fn unbuildable_request(error: &reqwest::Error) -> CallResult {
    let message = format!("no request can be made of this row ({})", causes(error));
    let answer = Answer { code: Some("request_impossible".into()), message: Some(message), ..Answer::default() };
    CallResult::new(Outcome::Refused(Cause::UnbuildableRequest), answer)
}

/// The request left, or part of it, and no whole answer came back.
pub(super) fn reply_lost(error: &reqwest::Error, purpose: Purpose, id: &str, status: Option<u16>) -> CallResult {
    let (code, what) = match error.is_timeout() {
        true => ("timeout", "no answer in time"),
        false => ("connection_lost", "the connection broke before the answer was complete"),
    };
    let answer = said(code, format!("{what}{}", purpose.doubt()), id);
    CallResult::new(Outcome::ReplyLost, Answer { status, ..answer })
}

/// A connection that had been used before died without a byte of an answer.
pub(super) fn stale(purpose: Purpose, id: &str) -> CallResult {
    let what = format!("a kept connection turned out to be closed before any answer{}", purpose.doubt());
    CallResult::new(Outcome::ConnectionStale, said("connection_stale", what, id))
}

/// An answer that says itself that it belongs to another request: whatever it says is said of that one.
pub(super) fn misdirected(echo: &str, purpose: Purpose, id: &str, status: u16) -> CallResult {
    let echo: String = echo.chars().filter(|c| !c.is_control()).take(60).collect();
    let what = format!("the answer belongs to another request ({echo}){}", purpose.doubt());
    CallResult::new(Outcome::ReplyDamaged, Answer { status: Some(status), ..said("another_answer", what, id) })
}

fn said(code: &str, message: impl Into<String>, id: &str) -> Answer {
    Answer {
        code: Some(code.into()),
        message: Some(message.into()),
        client_request_id: Some(id.to_owned()),
        ..Answer::default()
    }
}

/// Whether the other side ended the connection: not that it did not answer in time, or with something that is not HTTP.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_come_of_a_request_is_said_of_the_operation_it_was() {
        for (purpose, end) in [
            (Purpose::Create, "before any answer; the event may have been created"),
            (Purpose::Change, "before any answer; the change may have been made"),
            (Purpose::End, "before any answer; the event may be gone"),
            (Purpose::Look, "before any answer"),
            (Purpose::Read, "before any answer"),
        ] {
            let said = stale(purpose, "c").answer.message;
            assert!(said.as_deref().is_some_and(|said| said.ends_with(end)), "{purpose:?}: {said:?}");
        }
    }
}
