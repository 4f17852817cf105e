//! The calls: create an event, look one up, read a calendar. One request per call. Nothing here retries, waits or
//! remembers a mailbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::address::GraphBase;
use super::classify::{NOT_GRAPH, classify};
use super::reply::{Reply, event_id};
use super::transport::{Answered, Line, MayLeave, Transport};
use super::wire::{EXTENDED, encode, marker};
use crate::auth::TokenCache;
use crate::clock::Now;
use crate::http::{ClientFault, NetworkSettings};
use crate::job::{Answer, EventDraft, EventId, InvalidJob, Outcome};

/// Largest answer to a lookup that is read, and what an answer to a create may have beside the event it repeats.
const SMALL_ANSWER: usize = 1024 * 1024;
/// Most pages of one lookup. More than one event with the marker of one job is rare, and a page has ten.
const MOST_PAGES: u32 = 8;
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
    /// No connection can be prepared.
    pub fn new(
        endpoint: &str,
        api_version: &str,
        network: NetworkSettings,
        tokens: Arc<TokenCache>,
        now: Instant,
    ) -> Result<Self, ClientFault> {
        let transport = Transport::new(endpoint, network, tokens, now)?;
        Ok(Self { base: GraphBase::new(endpoint, api_version), transport })
    }

    /// Posts the event. Only an answer that tells of this very event says that it was created.
    pub async fn create(&self, request: &EventRequest, line: Line, now: Now, may_leave: MayLeave<'_>) -> Call {
        let url = self.base.events(&request.draft);
        let limit = SMALL_ANSWER + ECHO_FACTOR * request.body.len();
        let build = |http: &reqwest::Client| {
            http.post(&url).header("content-type", "application/json").body(request.body.clone())
        };
        let answered = match self.transport.exchange(build, limit, line, now, may_leave).await {
            Ok(answered) => answered,
            Err(call) => return call,
        };
        let call = self.judged(&answered, now);
        let Outcome::Created(_) = &call.outcome else { return call };
        match &answered.reply.told {
            Some(told) if !is_same(told, &request.draft.transaction_id) => {
                // Answers have come out of step: what else comes over this connection is not to be believed either.
                self.transport.forsake(answered.client, now.steady);
                self.unproven(
                    &answered,
                    "another_event",
                    "the answer tells of another event than the one that was sent",
                )
            }
            // Graph's word for a created event is 201, and it names the transaction id it was given. The subject may say so, too.
            None if answered.reply.status != 201 || is_another(&answered.reply, &request.draft) => {
                self.unproven(&answered, "unproven", "the answer does not say which event it tells of")
            }
            _ => call,
        }
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
        match self.get(&url, now, &|| true).await {
            Ok((calendar, damaged)) => match event_id(&calendar["id"]) {
                Some(id) => Call { outcome: Outcome::Created(id), ..damaged },
                None => damaged,
            },
            Err(call) => call,
        }
    }

    async fn look_at(&self, request: &EventRequest, named: &EventId, now: Now, may_leave: MayLeave<'_>) -> LookUp {
        let (event, damaged) = match self.get(&self.base.event(&request.draft, &named.0), now, may_leave).await {
            Ok(answer) => answer,
            Err(call) => return LookUp::Failed(Box::new(call)),
        };
        let own_subject = request.draft.subject.as_deref().unwrap_or_default();
        match whose(&event, &request.draft.transaction_id) {
            _ if event_id(&event["id"]).is_none() => LookUp::Failed(Box::new(damaged)),
            Whose::Marked => LookUp::Found(named.clone()),
            Whose::Same if event["subject"].as_str().unwrap_or_default() == own_subject => LookUp::Found(named.clone()),
            _ => LookUp::Nothing,
        }
    }

    /// Reads page after page, within bounds. An event of another job among them, or one nobody can tell whose it is, makes
    /// the answer one to another question: it proves neither that there is an event nor that there is none.
    async fn look_for(&self, request: &EventRequest, now: Now, may_leave: MayLeave<'_>) -> Result<LookUp, Call> {
        let draft = &request.draft;
        let begin = Instant::now();
        let mut url = self.base.marked(draft.mailbox.as_deref(), draft.calendar_id.as_deref(), &draft.transaction_id);
        let mut found = Vec::new();
        for page in 1.. {
            let (answer, damaged) = self.get(&url, now, may_leave).await?;
            let events = answer["value"].as_array().ok_or_else(|| damaged.clone())?;
            for event in events {
                let id = event_id(&event["id"]).ok_or_else(|| damaged.clone())?;
                match whose(event, &draft.transaction_id) {
                    Whose::Marked | Whose::Same => {
                        found.push((event["createdDateTime"].as_str().unwrap_or_default().to_owned(), id));
                    }
                    // The filter does not tell small letters from capital ones.
                    Whose::Likeness => {}
                    Whose::Another => return Err(damaged),
                }
            }
            let next = match &answer["@odata.nextLink"] {
                Value::Null => break,
                link => link.as_str().and_then(|link| GraphBase::next(&url, link)),
            };
            let goes_on = page < MOST_PAGES && begin.elapsed() < self.transport.patience();
            match next.filter(|_| goes_on) {
                Some(next) => url = next,
                // What was found is proven; that there is nothing is not.
                None if found.is_empty() => return Err(damaged),
                None => break,
            }
        }
        // A copy made in Outlook carries the marker along: the oldest is the one that was created for this job.
        let oldest = found.into_iter().min_by(|(a, _), (b, _)| a.cmp(b));
        Ok(oldest.map_or(LookUp::Nothing, |(_, event_id)| LookUp::Found(event_id)))
    }

    /// The JSON of an answer, and what is to be said should it not be the JSON that was asked for. To read something twice
    /// does no harm: a kept connection that turns out to be dead is replaced at once.
    pub(super) async fn get(&self, url: &str, now: Now, may_leave: MayLeave<'_>) -> Result<(Value, Call), Call> {
        let build = |http: &reqwest::Client| http.get(url);
        let answered = match self.transport.exchange(build, SMALL_ANSWER, Line::Kept, now, may_leave).await {
            Err(Call { outcome: Outcome::ConnectionStale, .. }) => {
                self.transport.exchange(build, SMALL_ANSWER, Line::Fresh, now, may_leave).await?
            }
            answered => answered?,
        };
        if !(200..300).contains(&answered.reply.status) {
            return Err(self.judged(&answered, now));
        }
        match serde_json::from_slice::<Value>(&answered.body) {
            // Nothing else is the whole answer.
            Ok(value) if answered.reply.status == 200 && !answered.reply.is_kept && value["error"].is_null() => {
                Ok((value, self.damaged(&answered)))
            }
            // The page of a portal is another matter than half an answer.
            _ => match self.judged(&answered, now) {
                call @ Call { outcome: Outcome::NotGraph, .. } => Err(call),
                _ => Err(self.damaged(&answered)),
            },
        }
    }

    fn damaged(&self, answered: &Answered) -> Call {
        let answer = answered.reply.answer(None, &answered.id);
        let answer = Answer { message: Some("the answer could not be read".into()), ..answer };
        Call { outcome: Outcome::ReplyDamaged, answer, retry_after: None }
    }

    /// A success that does not say of what.
    fn unproven(&self, answered: &Answered, code: &str, what: &str) -> Call {
        let answer = answered.reply.answer(Some(code), &answered.id);
        let answer = Answer { message: Some(format!("{what}; the event may have been created")), ..answer };
        Call { outcome: Outcome::ReplyDamaged, answer, retry_after: None }
    }

    /// What an answer means. After a 503 the next request wants a new connection (graph-facts 4.2).
    fn judged(&self, answered: &Answered, now: Now) -> Call {
        if answered.reply.status == 503 {
            self.transport.reconnect(now.steady);
        }
        judged(&answered.reply, &answered.id)
    }
}

/// Whose event one in an answer is.
enum Whose {
    /// This job's, by its marker.
    Marked,
    /// This job's, by its transaction id.
    Same,
    /// Its marker or id is another one, which differs in capital letters only.
    Likeness,
    /// Another's, or nobody can tell.
    Another,
}

fn whose(event: &Value, own: &str) -> Whose {
    let marker = marker(&event[EXTENDED]);
    let told = marker.or_else(|| event["transactionId"].as_str());
    match told {
        Some(told) if is_same(told, own) && marker.is_some() => Whose::Marked,
        Some(told) if is_same(told, own) => Whose::Same,
        Some(told) if told.to_lowercase() == own.to_lowercase() => Whose::Likeness,
        _ => Whose::Another,
    }
}

fn is_another(reply: &Reply, draft: &EventDraft) -> bool {
    reply.subject.as_deref().is_some_and(|subject| subject != draft.subject.as_deref().unwrap_or_default())
}

/// A UUID is the same one in capital letters. Of other ids Exchange tells the letters apart in some places and not in others.
fn is_same(told: &str, own: &str) -> bool {
    told == own || (told.eq_ignore_ascii_case(own) && uuid::Uuid::try_parse(own).is_ok())
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
        Outcome::Held(hold) | Outcome::Diverted(hold) => {
            answer.code = Some(hold.code.clone());
            answer.message = Some(hold.hint.clone());
        }
        _ => {}
    }
    Call { outcome, answer, retry_after: reply.retry_after }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::wire::MARKER;
    use super::*;

    const OWN: &str = "0f7a2b1c-1d2e-4f30-8a4b-5c6d7e8f9a0b";

    #[test]
    fn an_event_is_the_jobs_by_its_marker_or_else_by_its_transaction_id_and_a_uuid_in_capital_letters_is_the_same() {
        let marked = |value: &str, id: &str| json!({ EXTENDED: [{ "id": id, "value": value }], "transactionId": "t" });
        let same = |value: &str| json!({ "transactionId": value });
        let whose = |event: &Value, own: &str| match whose(event, own) {
            Whose::Marked => "marked",
            Whose::Same => "same",
            Whose::Likeness => "likeness",
            Whose::Another => "another",
        };
        let capital = OWN.to_uppercase();
        assert_eq!(whose(&marked(OWN, MARKER), OWN), "marked");
        assert_eq!(whose(&marked(&capital, &MARKER.to_uppercase()), OWN), "marked");
        assert_eq!(whose(&same(&capital), OWN), "same");
        assert_eq!(whose(&marked("another", MARKER), "t"), "another");
        assert_eq!((whose(&same("T-1"), "t-1"), whose(&same("t-1"), "t-1")), ("likeness", "same"));
        assert_eq!(whose(&json!({}), OWN), "another");
    }
}
