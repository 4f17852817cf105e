//! The client: sends a request, whatever it asks for, and classifies the answer. One request per call. Nothing here
//! retries, waits, signs in or remembers a mailbox.

use std::time::Instant;

use bytes::Bytes;

use super::address::GraphBase;
use super::classify::{Classified, NOT_GRAPH, classify};
use super::operations::{self, Doubt, Method, Prepared, Request};
use super::purpose::Purpose;
use super::reply::Reply;
use super::transport::{Answered, Line, Transport};
use crate::clock::Now;
use crate::hint::Hint;
use crate::http::{ClientFault, NetworkSettings};
use crate::job::{Answer, CallResult, Challenge, Explained, MAX_REQUEST_BYTES, Operation, Outcome, Undraftable};
use crate::secret::Secret;

/// Largest answer to a question that is read, and what an answer to a create may have beside the event it repeats.
pub(super) const SMALL_ANSWER: usize = 1024 * 1024;
/// Graph repeats the whole event, text bodies wrapped and escaped as HTML inside JSON.
const ECHO_FACTOR: usize = 8;
/// The largest answer that has an event's body in it.
pub(super) const LARGE_ANSWER: usize = SMALL_ANSWER + ECHO_FACTOR * MAX_REQUEST_BYTES;

/// What stands in `error_code` where an error has none: a gateway's, most likely.
const NO_ERROR_CODE: &str = "no_error_code";

/// Graph, for everything that sends. Each call is handed its token.
pub struct GraphClient {
    pub(super) base: GraphBase,
    pub(super) transport: Transport,
}

impl GraphClient {
    /// A client for `endpoint`.
    ///
    /// # Errors
    /// No connection can be prepared.
    pub fn new(endpoint: &str, api_version: &str, network: NetworkSettings, now: Instant) -> Result<Self, ClientFault> {
        let transport = Transport::new(endpoint, network, now)?;
        Ok(Self { base: GraphBase::new(endpoint, api_version), transport })
    }

    /// Makes an operation ready to be sent.
    ///
    /// # Errors
    /// The request would be larger than Graph allows.
    pub fn prepare(&self, operation: Operation) -> Result<Prepared, Undraftable> {
        operations::prepare(&self.base, operation)
    }

    /// Sends a job's request. A success is one only if the answer tells of this very job.
    pub async fn send(&self, request: &Request, line: Line, token: &Secret, now: Now) -> CallResult {
        let limit = match request.purpose {
            // With a body that may have been there before.
            Purpose::Change => LARGE_ANSWER,
            _ => SMALL_ANSWER + ECHO_FACTOR * request.body.as_ref().map_or(0, Bytes::len),
        };
        let build = |http: &reqwest::Client| {
            let http = match request.method {
                Method::Post => http.post(&request.url),
                Method::Patch => http.patch(&request.url),
                Method::Delete => http.delete(&request.url),
            };
            let http = match &request.if_match {
                Some(etag) => http.header("if-match", etag),
                None => http,
            };
            match &request.body {
                Some(body) => http.header("content-type", "application/json").body(body.clone()),
                None => http,
            }
        };
        let answered = match self.transport.exchange(request.purpose, build, limit, line, token, now).await {
            Ok(answered) => answered,
            Err(result) => return result,
        };
        let result = self.judged(&answered, request.purpose, now);
        let Some(event) = request.done(&answered.reply, &result.outcome) else { return result };
        let Some(doubt) = request.doubts(&answered.reply) else {
            let answer = match result.outcome {
                // Nothing is missing in an answer that has done what it was to do.
                Outcome::ReplyDamaged => answered.reply.answer(None, &answered.id),
                _ => result.answer,
            };
            return CallResult::new(Outcome::Done(event), answer);
        };
        if matches!(doubt, Doubt::AnotherEvent) {
            // Answers have come out of step: what else comes over this connection is not to be believed either.
            self.transport.forsake(answered.client, now.steady);
        }
        damaged(&answered.reply, request.purpose, doubt.code(), doubt.words(), &answered.id)
    }

    /// What an answer means. After a 503 the next request wants a new connection (graph-facts 4.2).
    pub(super) fn judged(&self, answered: &Answered, purpose: Purpose, now: Now) -> CallResult {
        if answered.reply.status == 503 {
            self.transport.reconnect(now.steady);
        }
        judged(&answered.reply, purpose, &answered.id)
    }
}

/// A success that cannot be read, or does not say of what.
pub(super) fn incomplete(reply: &Reply, purpose: Purpose, id: &str) -> CallResult {
    let what = match purpose {
        Purpose::Create | Purpose::Change => "the answer reports success but does not confirm the event",
        Purpose::End => "the answer reports success but does not confirm that the event has ended",
        Purpose::Look | Purpose::Read => "the answer is incomplete, or belongs to another question",
    };
    damaged(reply, purpose, "reply_incomplete", &format!("{what} (HTTP {})", reply.status), id)
}

fn damaged(reply: &Reply, purpose: Purpose, code: &str, what: &str, id: &str) -> CallResult {
    let means = format!("{what}{}", purpose.doubt()).into();
    let explained = Explained::from(Hint { means, cure: None });
    let answer = Answer { message: Some(explained.to_string()), ..reply.answer(Some(code), id) };
    CallResult { explained: Some(explained), ..CallResult::new(Outcome::ReplyDamaged, answer) }
}

fn judged(reply: &Reply, purpose: Purpose, id: &str) -> CallResult {
    let Classified { outcome, code } = classify(reply, purpose);
    if outcome == Outcome::ReplyDamaged {
        return incomplete(reply, purpose, id);
    }
    // What the answer means for the agent says more than its status alone.
    let (code, explained) = match &outcome {
        Outcome::Done(_) => (code, None),
        Outcome::NotGraph => (Some(format!("http_{}", reply.status)), Some(NOT_GRAPH.into())),
        Outcome::Unable(reason) | Outcome::Diverted(reason) => {
            (Some(reason.code.clone()), Some(reason.hint.clone().into()))
        }
        _ => {
            let explained = reply.explained(purpose, code.as_deref());
            (code.or_else(|| Some(NO_ERROR_CODE.to_owned())), explained)
        }
    };
    let message = explained.as_ref().map(Explained::to_string);
    let answer = Answer { message, ..reply.answer(code.as_deref(), id) };
    let challenge =
        reply.refuses_token().then(|| Challenge { claims: reply.claims.clone(), is_proven: reply.is_proven() });
    CallResult { retry_after: reply.retry_after, challenge, explained, ..CallResult::new(outcome, answer) }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
