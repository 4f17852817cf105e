//! Plays a scripted fault: takes the way to the usual answer, walks it or not, and damages what comes back. The same
//! acts serve token requests and calendar requests.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use chrono::Utc;
use serde_json::Value;

use super::aadsts::TokenRefusal;
use super::connection::Cut;
use super::faults::{Action, AnswerBody};
use super::journal::RequestKind;
use super::refusal::{Refusal, insufficient_claims};
use super::reply::{Content, Ids, Reply};
use super::retry_after::RetryAfter;
use super::tokens::Tokens;

/// The largest answer a script can ask for; it is held in memory.
const MAX_MIB: u32 = 256;
/// Longer than any test: stands for a hang whose time is not a duration.
const LONGEST_HANG: Duration = Duration::from_secs(24 * 3600);

const HTML_PAGE: &str = "<html><head><title>Service unavailable</title></head>\r\n\
    <body><h1>Our services aren't available right now</h1></body></html>\r\n";

/// The request on stage.
pub(super) struct Scene<'a> {
    pub(super) kind: RequestKind,
    pub(super) ids: &'a Ids,
    pub(super) tokens: &'a Tokens,
    /// The token the request came with.
    pub(super) bearer: Option<&'a str>,
}

impl Scene<'_> {
    /// Plays the action; `usual` carries the request out and returns the answer it would have had.
    pub(super) async fn play(&self, action: &Action, usual: impl FnOnce() -> Reply) -> Reply {
        match action {
            Action::Answer { created, .. } => {
                if *created {
                    usual();
                }
                self.scripted_answer(action)
            }
            Action::LostReply => after(usual, Cut::Close),
            Action::Reset { created: true } => after(usual, Cut::Reset),
            Action::Reset { created: false } => Reply::cut(Cut::Reset),
            Action::Hang { seconds, created } => {
                if *created {
                    usual();
                }
                tokio::time::sleep(hang_time(*seconds)).await;
                Reply::cut(Cut::Close)
            }
            // A calendar request that comes late is not played here; a token request leaves nothing behind to come late.
            Action::Slow { ms } | Action::Late { ms } => {
                let reply = usual();
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                reply
            }
            Action::Truncated => {
                let mut reply = usual();
                reply.cut = Some(Cut::MidBody);
                reply
            }
            Action::Html => with_content(usual(), html()),
            Action::NoId => without_id(usual()),
            Action::Redirect { location } => {
                Reply::new(StatusCode::TEMPORARY_REDIRECT, Content::Empty).header(LOCATION, location)
            }
            Action::ExpireTokens => self.expire(usual),
            Action::ClaimsChallenge => self.claims_challenge(),
            Action::TokenRefused { .. } => self.token_refused(action),
            Action::Oversized { mib } => oversized(usual(), *mib),
        }
    }

    fn scripted_answer(&self, action: &Action) -> Reply {
        let Action::Answer { status, code, message, retry_after, body, .. } = action else {
            return Reply::cut(Cut::Close);
        };
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reply = match body {
            AnswerBody::Json => self.error_json(status, code, message),
            AnswerBody::None => Reply::new(status, Content::Empty).error_code(code),
            AnswerBody::Html => Reply::new(status, html()).error_code(code),
            AnswerBody::Text(text) => {
                let text = Content::Bytes("text/plain; charset=utf-8", text.clone().into_bytes());
                Reply::new(status, text).error_code(code)
            }
        };
        with_retry_after(reply, retry_after.as_deref())
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
