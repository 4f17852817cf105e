//! An answer of Graph, read whatever it is: JSON in the documented shape, another shape, HTML, nothing. Bodies are
//! read up to a limit, so that no server can fill the memory.

use std::time::{Duration, SystemTime};

use base64::Engine;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::hints::hint;
use crate::job::{Answer, EventId};
use crate::retry_after;

/// What an answer said, before it is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    /// Every `code` of the error, the outermost first.
    pub codes: Vec<String>,
    pub message: Option<String>,
    pub retry_after: Option<Duration>,
    pub request_id: Option<String>,
    /// Decoded claims of a challenge.
    pub claims: Option<String>,
    /// `@event.existingEventId`.
    pub existing_event: Option<EventId>,
    /// `id` of the created event, in a 2xx.
    pub event_id: Option<EventId>,
}

impl Reply {
    /// Reads head and body. `now` only serves a `Retry-After` date without a `Date` beside it.
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut reply = Self {
            status,
            // A 2xx may carry one too; nothing is ever repeated because of that (graph-facts 4.2).
            retry_after: (!(200..300).contains(&status))
                .then(|| retry_after::parse(text("retry-after")?, text("date"), now))
                .flatten(),
            request_id: text("request-id").map(short),
            claims: headers.get_all("www-authenticate").iter().find_map(|value| claims(value.to_str().ok()?)),
            ..Self::default()
        };
        if (200..300).contains(&status) {
            reply.event_id = created(body);
        } else if let Ok(body) = serde_json::from_slice::<Value>(body) {
            reply.read_error(&body["error"]);
        }
        reply
    }

    fn read_error(&mut self, error: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.message = text(&error["message"]).filter(|said| !said.trim().is_empty());
        self.existing_event = text(&error["@event.existingEventId"]).filter(|id| !id.is_empty()).map(EventId);
        let mut level = Some(error);
        // Nesting is one or two levels deep in life; a hostile answer must not make this loop long.
        for _ in 0..8 {
            let Some(current) = level.filter(|value| value.is_object()) else { break };
            self.codes.extend(text(&current["code"]).filter(|code| !code.is_empty()).map(|code| short(&code)));
            let id = text(&current["request-id"]).map(|id| short(&id));
            self.request_id = self.request_id.take().or(id);
            level = ["innerError", "innererror"].iter().map(|name| &current[*name]).find(|value| value.is_object());
        }
    }

    /// What goes into the row; `code` is the one the judgement was based on.
    pub(super) fn answer(&self, code: Option<&str>, client_request_id: &str) -> Answer {
        let message = match (hint(self.status, code), &self.message) {
            (Some(hint), Some(said)) => Some(format!("{hint} Graph said: {said}")),
            (hint, said) => hint.map(str::to_owned).or_else(|| said.clone()),
        };
        Answer {
            status: Some(self.status),
            code: code.map(str::to_owned),
            message,
            request_id: self.request_id.clone(),
            client_request_id: Some(client_request_id.to_owned()),
        }
    }
}

/// A word of an answer that goes into the log. Real ones are shorter.
fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The id of a created event.
fn created(body: &[u8]) -> Option<EventId> {
    #[derive(Deserialize)]
    struct Created {
        id: String,
    }
    let created: Created = serde_json::from_slice(body).ok()?;
    (!created.id.is_empty()).then_some(EventId(created.id))
}

/// The decoded claims of `Bearer …, error="insufficient_claims", claims="<base64>"`.
fn claims(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("claims=\"")?;
    let (encoded, _) = rest.split_once('"')?;
    let standard = encoded.replace('-', "+").replace('_', "/");
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(standard.trim_end_matches('=')).ok()?;
    // They go into a token request; what is no claims request would be refused there.
    serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// Reads the whole body, or none if it is longer than `limit` bytes.
///
/// # Errors
/// The connection broke in the middle.
pub(super) async fn body(response: &mut reqwest::Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        Reply::read(status, &headers, body.as_bytes(), SystemTime::now())
    }

    #[test]
    fn nested_codes_are_collected_from_the_outside_in() {
        let body = r#"{"error":{"code":"BadRequest","message":"m","innerError":{"code":"Inner","request-id":"r1",
            "innererror":{"code":"Innermost"}}}}"#;
        let reply = read(400, &[], body);
        assert_eq!(reply.codes, ["BadRequest", "Inner", "Innermost"]);
        assert_eq!((reply.message.as_deref(), reply.request_id.as_deref()), (Some("m"), Some("r1")));
    }

    #[test]
    fn an_answer_that_is_no_json_or_another_json_has_no_code() {
        for body in ["", "<html>Service Unavailable</html>", "[]", r#"{"error":"text"}"#, r#"{"error":{"code":7}}"#] {
            assert!(read(503, &[], body).codes.is_empty(), "{body}");
        }
    }

    #[test]
    fn the_id_of_a_created_event_is_read_and_a_damaged_reply_has_none() {
        assert_eq!(read(201, &[], r#"{"id":"AAMk","subject":"s"}"#).event_id, Some(EventId("AAMk".into())));
        for body in ["", "<html>", "{}", r#"{"id":""}"#, r#"{"id":5}"#, r#"{"id":"AAMk","subj"#] {
            assert_eq!(read(201, &[], body).event_id, None, "{body}");
        }
    }

    #[test]
    fn a_retry_after_beside_a_success_is_ignored() {
        assert_eq!(read(201, &[("retry-after", "30")], r#"{"id":"A"}"#).retry_after, None);
        assert_eq!(read(429, &[("retry-after", "2.5")], "").retry_after, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn the_claims_of_a_challenge_are_decoded() {
        let challenge = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        let reply = read(401, &[("www-authenticate", challenge)], "");
        assert_eq!(reply.claims.as_deref(), Some(r#"{"access_token":{}}"#));
        // "%%" is no base64, and "W10=" is a list.
        for bad in [r#"Bearer claims="%%""#, r#"Bearer claims="W10=""#] {
            assert_eq!(read(401, &[("www-authenticate", bad)], "").claims, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_a_panic(status in 0u16..1000, body in "\\PC{0,200}", header in "[ -~]{0,60}") {
            let _ = read(status, &[], &body);
            let _ = claims(&header);
            let _ = claims(&format!("claims=\"{header}\""));
        }

        /// What goes into the log is short and one line, whatever the server wrote, and however deep.
        #[test]
        fn words_for_the_log_are_short_and_on_one_line(
            status in 200u16..600,
            words in proptest::collection::vec("\\PC{0,300}|[a-zA-Z]{1,20}|[\r\n\t\0 ]{1,9}", 4),
            depth in 0usize..400,
            challenge in "Bearer claims=\"[A-Za-z0-9+/=_-]{0,60}\"",
        ) {
            let mut error = serde_json::json!({ "code": words[0], "message": words[1], "request-id": words[2] });
            for _ in 0..depth {
                error = serde_json::json!({ "code": words[3], "innerError": error });
            }
            let body = serde_json::json!({ "error": error, "id": words[0] }).to_string();
            let reply = read(status, &[("www-authenticate", &challenge)], &body);
            let logged = reply.codes.iter().chain(&reply.request_id);
            for word in logged {
                assert!(word.chars().count() <= 200 && !word.chars().any(char::is_control), "{word:?}");
            }
            assert!(reply.codes.len() <= 8);
            assert_eq!(reply.event_id.is_some(), status < 300 && !words[0].is_empty());
        }
    }
}
