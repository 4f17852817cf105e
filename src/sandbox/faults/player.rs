//! Plays a scripted fault: carries the request out or not, and damages the answer. Token requests and calendar requests
//! have the same faults.

use std::time::Duration;

use axum::http::header::{HeaderName, LOCATION};
use axum::http::{StatusCode, Uri};
use chrono::Utc;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fault::{Action, AnswerBody};
use crate::sandbox::entra::{TokenRefusal, Tokens};
use crate::sandbox::journal::RequestKind;
use crate::sandbox::refusal::{Refusal, insufficient_claims};
use crate::sandbox::reply::{Content, Cut, Ids, Reply};
use crate::sandbox::retry_after::RetryAfter;

/// The largest answer a script can ask for; it is held in memory.
const MAX_MIB: u32 = 256;
/// Longer than any test: stands for a hang whose time is not a duration.
const LONGEST_HANG: Duration = Duration::from_secs(24 * 3600);

const EXTENDED: &str = "singleValueExtendedProperties";

const HTML_PAGE: &str = "<html><head><title>Service unavailable</title></head>\r\n\
    <body><h1>Our services aren't available right now</h1></body></html>\r\n";

/// The request that a fault strikes.
pub(in crate::sandbox) struct FaultPlayer<'a> {
    pub(in crate::sandbox) kind: RequestKind,
    pub(in crate::sandbox) ids: &'a Ids,
    pub(in crate::sandbox) tokens: &'a Tokens,
    /// The token the request came with.
    pub(in crate::sandbox) bearer: Option<&'a str>,
    pub(in crate::sandbox) uri: &'a Uri,
}

impl FaultPlayer<'_> {
    /// Plays the action; `usual` carries the request out and returns the answer it would have had.
    pub(in crate::sandbox) async fn play(
        &self,
        action: &Action,
        usual: impl FnOnce() -> Reply + Send + 'static,
    ) -> Reply {
        match action {
            Action::Answer { applied, .. } => {
                if *applied {
                    usual();
                }
                self.scripted_answer(action)
            }
            Action::LostReply => after(usual, Cut::Close),
            Action::Reset { applied: true } => after(usual, Cut::Reset),
            Action::Reset { applied: false } => Reply::cut(Cut::Reset),
            Action::Hang { seconds, applied } => {
                if *applied {
                    usual();
                }
                tokio::time::sleep(hang_time(*seconds)).await;
                Reply::cut(Cut::Close)
            }
            Action::Slow { ms } => {
                let reply = usual();
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                reply
            }
            Action::Late { ms } => late(usual, Duration::from_millis(*ms)).await,
            Action::Truncated => {
                let mut reply = usual();
                reply.cut = Some(Cut::MidBody);
                reply
            }
            Action::Html => with_content(usual(), html()),
            Action::NoId => without_id(usual()),
            Action::Redirect { location, applied } => {
                if *applied {
                    usual();
                }
                Reply::new(StatusCode::TEMPORARY_REDIRECT, Content::Empty).header(LOCATION, location)
            }
            Action::Status { status } => {
                let mut reply = usual();
                reply.status = StatusCode::from_u16(*status).unwrap_or(reply.status);
                reply
            }
            Action::AnotherEvent => another_event(usual()),
            Action::AnotherAnswer => {
                usual().header(HeaderName::from_static("client-request-id"), &Uuid::new_v4().to_string())
            }
            Action::Unnamed => unnamed(usual()),
            Action::NextPage { link } => self.next_page(link.as_deref()),
            Action::ExpireTokens => self.expire(usual),
            Action::ClaimsChallenge => self.claims_challenge(),
            Action::TokenRefused { .. } => self.token_refused(action),
            Action::Oversized { mib } => oversized(usual(), *mib),
        }
    }

    fn scripted_answer(&self, action: &Action) -> Reply {
        let Action::Answer { status, code, message, retry_after, body, headers, unmarked, .. } = action else {
            return Reply::cut(Cut::Close);
        };
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = match body {
            AnswerBody::Json => self.error_json(status, code, message),
            AnswerBody::None => Reply::new(status, Content::Empty).error_code(code),
            AnswerBody::Html => Reply::new(status, html()).error_code(code),
            AnswerBody::Text(text) => {
                let text = Content::Bytes("text/plain; charset=utf-8", text.clone().into_bytes());
                Reply::new(status, text).error_code(code)
            }
        };
        reply.unmarked = *unmarked;
        let reply = with_retry_after(reply, retry_after.as_deref());
        headers.iter().fold(reply, |reply, (name, value)| reply.scripted_header(name, value))
    }

    /// Without a link of its own it leads to the same request once more, relative as OData allows.
    fn next_page(&self, link: Option<&str>) -> Reply {
        let same = || self.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let link = link.map_or_else(same, str::to_owned);
        Reply::json(StatusCode::OK, json!({"value": [], "@odata.nextLink": link}))
    }

    /// Token requests are refused in Entra's words, all others in Graph's.
    fn error_json(&self, status: StatusCode, code: &str, message: &str) -> Reply {
        match self.kind {
            RequestKind::Token => TokenRefusal::scripted(status, code, message).reply(self.ids),
            _ => Refusal::new(status, code, message).reply(self.ids),
        }
    }

    fn expire(&self, usual: impl FnOnce() -> Reply) -> Reply {
        self.tokens.expire_all();
        match self.kind {
            RequestKind::Token => usual(),
            _ => Refusal::unauthorized("Lifetime validation failed, the token is expired.").reply(self.ids),
        }
    }

    fn claims_challenge(&self) -> Reply {
        if let Some(token) = self.bearer {
            self.tokens.revoke(token);
        }
        let claims =
            format!("{{\"access_token\":{{\"nbf\":{{\"essential\":true,\"value\":\"{}\"}}}}}}", Utc::now().timestamp());
        insufficient_claims(&claims, self.ids)
    }

    fn token_refused(&self, action: &Action) -> Reply {
        let Action::TokenRefused { number, error, status, suberror, retry_after } = action else {
            return Reply::cut(Cut::Close);
        };
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut refusal = TokenRefusal::new(status, error, *number, "The request was refused by the script.");
        refusal.suberror = suberror.clone();
        with_retry_after(refusal.reply(self.ids), retry_after.as_deref())
    }
}

/// Carried out by a task of its own, which goes on when the client hangs up and this future is dropped.
async fn late(usual: impl FnOnce() -> Reply + Send + 'static, wait: Duration) -> Reply {
    let task = tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        usual()
    });
    task.await.unwrap_or_else(|_| Reply::cut(Cut::Close))
}

fn after(usual: impl FnOnce() -> Reply, cut: Cut) -> Reply {
    usual();
    Reply::cut(cut)
}

fn with_retry_after(reply: Reply, value: Option<&str>) -> Reply {
    match value {
        Some(value) => reply.retry_after(&RetryAfter::scripted(value, Utc::now())),
        None => reply,
    }
}

fn with_content(mut reply: Reply, content: Content) -> Reply {
    reply.content = content;
    reply
}

fn html() -> Content {
    Content::Bytes("text/html; charset=utf-8", HTML_PAGE.as_bytes().to_vec())
}

/// Every event in the answer becomes another job's; an answer without events gets one.
fn another_event(mut reply: Reply) -> Reply {
    if let Content::Json(Value::Object(body)) = &mut reply.content {
        match body.get_mut("value") {
            Some(Value::Array(events)) if events.is_empty() => {
                events.push(Value::Object(foreign_identity(&Map::new())))
            }
            Some(Value::Array(events)) => events.iter_mut().filter_map(Value::as_object_mut).for_each(replace_identity),
            _ => replace_identity(body),
        }
    }
    reply
}

fn replace_identity(event: &mut Map<String, Value>) {
    let other = foreign_identity(event);
    event.extend(other);
}

/// The properties that tell another job's event from this one.
fn foreign_identity(event: &Map<String, Value>) -> Map<String, Value> {
    let transaction = Uuid::new_v4().to_string();
    let mut other = Map::new();
    other.insert("id".into(), json!(format!("AAMkAnother{}", Uuid::new_v4().simple())));
    other.insert("transactionId".into(), json!(transaction));
    let mut properties = event.get(EXTENDED).cloned().unwrap_or_else(|| json!([]));
    for property in properties.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        property.insert("value".into(), json!(transaction));
    }
    other.insert(EXTENDED.into(), properties);
    other
}

fn unnamed(mut reply: Reply) -> Reply {
    if let Content::Json(Value::Object(body)) = &mut reply.content {
        let listed = body.get_mut("value").and_then(Value::as_array_mut);
        let events = listed.into_iter().flatten().filter_map(Value::as_object_mut);
        for event in events {
            event.shift_remove("transactionId");
            event.shift_remove(EXTENDED);
        }
        body.shift_remove("transactionId");
        body.shift_remove(EXTENDED);
    }
    reply
}

fn without_id(mut reply: Reply) -> Reply {
    if let Content::Json(Value::Object(body)) = &mut reply.content {
        body.shift_remove("id");
    }
    reply
}

/// White space before JSON is JSON: only a client that bounds what it reads is safe.
fn oversized(reply: Reply, mib: u32) -> Reply {
    let Content::Json(body) = &reply.content else {
        return reply;
    };
    let mut bytes = vec![b' '; (mib.min(MAX_MIB) as usize) << 20];
    bytes.extend_from_slice(body.to_string().as_bytes());
    with_content(reply, Content::Bytes("application/json", bytes))
}

fn hang_time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_HANG).min(LONGEST_HANG)
}
