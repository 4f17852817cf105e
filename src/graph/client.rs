//! The calls: create an event, look one up, read a calendar. One request per call. Nothing here retries, waits or
//! remembers a mailbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::address::{GraphBase, segment};
use super::classify::{NOT_GRAPH, classify};
use super::reply::Reply;
use super::transport::{Answered, MayLeave, NetworkSettings, Now, Transport};
use super::wire::{MARKER, encode};
use crate::auth::TokenCache;
use crate::job::{Answer, EventDraft, EventId, InvalidJob, Outcome};

/// Largest answer to a lookup that is read, and what an answer to a create may have beside the event it repeats.
const SMALL_ANSWER: usize = 1024 * 1024;
/// Graph repeats the whole event, text bodies wrapped and escaped as HTML inside JSON.
const ECHO_FACTOR: usize = 8;

/// The create request of one job: the same bytes on every attempt.
pub struct EventRequest {
    draft: EventDraft,
    body: Bytes,
}

impl EventRequest {
    /// Encodes the draft.
    ///
    /// # Errors
    /// The request would be larger than Graph allows.
    pub fn new(mut draft: EventDraft) -> Result<Self, InvalidJob> {
        let body = Bytes::from(encode(&draft)?);
        // The body is all that is ever sent of these; half of a large job's memory is given back.
        draft.body = None;
        draft.attendees = Vec::new();
        Ok(Self { draft, body })
    }
}

/// One call's end.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it met.
    pub outcome: Outcome,
    /// What was said.
    pub answer: Answer,
    /// The wait named by an answer that is no success.
    pub retry_after: Option<Duration>,
}

impl Call {
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

    /// No call: nothing was sent.
    pub fn not_made() -> Self {
        Self { outcome: Outcome::NotStarted, answer: Answer::default(), retry_after: None }
    }
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum LookUp {
    /// The job's event.
    Found(EventId),
    /// No event of this job. Soon after a create this is no proof (graph-facts 2.4).
    Nothing,
    /// The lookup itself met something else: judged as if it had been a create.
    Failed(Box<Call>),
}

/// Graph, for everything that sends.
pub struct GraphClient {
    pub(super) base: GraphBase,
    transport: Transport,
}

impl GraphClient {
    /// A client for `endpoint`, taking its tokens from `tokens`.
    ///
    /// # Errors
    /// The extra certificates cannot be read.
    pub fn new(
        endpoint: &str,
        api_version: &str,
        network: NetworkSettings,
        tokens: Arc<TokenCache>,
        now: Instant,
    ) -> Result<Self, reqwest::Error> {
        let transport = Transport::new(endpoint, network, tokens, now)?;
        Ok(Self { base: GraphBase::new(endpoint, api_version), transport })
    }

    /// Posts the event.
    pub async fn create(&self, request: &EventRequest, now: Now, may_leave: MayLeave<'_>) -> Call {
        let url = self.base.events(&request.draft);
        let limit = SMALL_ANSWER + ECHO_FACTOR * request.body.len();
        let build = |http: &reqwest::Client| {
            http.post(&url).header("content-type", "application/json").body(request.body.clone())
        };
        let answered = self.transport.exchange(build, limit, now, may_leave).await;
        answered.map_or_else(|lost| lost, |answered| self.judged(&answered, now))
    }

    /// Looks the job's event up: the one Graph named as existing, if its marker or its transaction id and subject
    /// prove it, else by the marker.
    pub async fn look_up(
        &self,
        request: &EventRequest,
        named: Option<&EventId>,
        now: Now,
        may_leave: MayLeave<'_>,
    ) -> LookUp {
        if let Some(named) = named {
            match self.look_at(request, named, now, may_leave).await {
                // Refused by name, it may still be found by its marker. Whoever asks for a rest is given one.
                LookUp::Nothing => {}
                LookUp::Failed(call) if call.is_refusal() => {}
                end => return end,
            }
        }
        self.look_for(request, now, may_leave).await.unwrap_or_else(|call| LookUp::Failed(Box::new(call)))
    }

    /// Reads the default calendar of `mailbox`: whether the agent may, without writing anything.
    pub async fn probe(&self, mailbox: Option<&str>, now: Now) -> Call {
        let url = format!("{}?$select=id", self.base.calendar(mailbox));
        let answered = self.transport.exchange(|http| http.get(&url), SMALL_ANSWER, now, &|| true).await;
        answered.map_or_else(|lost| lost, |answered| self.judged(&answered, now))
    }

    async fn look_at(&self, request: &EventRequest, named: &EventId, now: Now, may_leave: MayLeave<'_>) -> LookUp {
        let expand = segment(&format!("singleValueExtendedProperties($filter=id eq '{MARKER}')"));
        let url =
            format!("{}?$select=id,subject,transactionId&$expand={expand}", self.base.event(&request.draft, &named.0));
        let event = match self.get(&url, now, may_leave).await {
            Ok((event, _)) => event,
            Err(call) => return LookUp::Failed(Box::new(call)),
        };
        let own = &request.draft.transaction_id;
        let marked = event["singleValueExtendedProperties"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["id"] == MARKER && one["value"] == own.as_str()));
        let same = event["transactionId"] == own.as_str()
            && event["subject"].as_str().unwrap_or_default() == request.draft.subject.as_deref().unwrap_or_default();
        if marked || same { LookUp::Found(named.clone()) } else { LookUp::Nothing }
    }

    async fn look_for(&self, request: &EventRequest, now: Now, may_leave: MayLeave<'_>) -> Result<LookUp, Call> {
        let draft = &request.draft;
        let url = self.base.marked(draft.mailbox.as_deref(), draft.calendar_id.as_deref(), &draft.transaction_id);
        let (answer, seen) = self.get(&url, now, may_leave).await?;
        let dated = |event: &Value| {
            let id = event["id"].as_str().filter(|id| !id.is_empty())?;
            Some((event["createdDateTime"].as_str().unwrap_or_default().to_owned(), EventId(id.to_owned())))
        };
        // An event without an id is neither one that was found nor none.
        let events: Option<Vec<_>> = answer["value"].as_array().and_then(|events| events.iter().map(dated).collect());
        // A copy made in Outlook carries the marker along: the oldest is the one that was created for this job.
        let oldest = events.ok_or(seen)?.into_iter().min_by(|(a, _), (b, _)| a.cmp(b));
        Ok(oldest.map_or(LookUp::Nothing, |(_, event_id)| LookUp::Found(event_id)))
    }

    /// The JSON of an answer, and what is to be said should it not be the JSON that was asked for.
    pub(super) async fn get(&self, url: &str, now: Now, may_leave: MayLeave<'_>) -> Result<(Value, Call), Call> {
        let answered = self.transport.exchange(|http| http.get(url), SMALL_ANSWER, now, may_leave).await?;
        if !(200..300).contains(&answered.reply.status) {
            return Err(self.judged(&answered, now));
        }
        let mut damaged = Call {
            outcome: Outcome::ReplyDamaged,
            answer: answered.reply.answer(None, &answered.id),
            retry_after: None,
        };
        damaged.answer.message = Some("the answer could not be read".into());
        match serde_json::from_slice(&answered.body) {
            Ok(value) => Ok((value, damaged)),
            Err(_) => Err(damaged),
        }
    }

    /// What an answer means. After a 503 the next request wants a new connection (graph-facts 4.2).
    fn judged(&self, answered: &Answered, now: Now) -> Call {
        if answered.reply.status == 503 {
            self.transport.reconnect(now.steady);
        }
        judged(&answered.reply, &answered.id)
    }
}

fn judged(reply: &Reply, id: &str) -> Call {
    let (outcome, code) = classify(reply);
    let mut answer = reply.answer(code.as_deref(), id);
    // What the answer means for the agent says more than its status alone.
    match &outcome {
        Outcome::NotGraph => {
            answer.code = Some(format!("http_{}", reply.status));
            answer.message = Some(NOT_GRAPH.to_owned());
        }
        Outcome::Held(hold) => {
            answer.code = Some(hold.code.clone());
            answer.message = Some(hold.hint.clone());
        }
        _ => {}
    }
    Call { outcome, answer, retry_after: reply.retry_after }
}
