//! An answer of Graph, read whatever it is: JSON in the documented shape, another shape, HTML, nothing. Bodies are
//! read up to a limit, so that no server can fill the memory.

use std::time::{Duration, SystemTime};

use base64::Engine;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::hints::hint;
use super::purpose::Purpose;
use super::wire::marker;
use crate::hint::Hint;
use crate::job::{Answer, EventId, EventRef, Explained};
use crate::retry_after::{self, RetryAfter};

/// What an answer said, before it is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    /// Every `code` of the error, the outermost first.
    pub codes: Vec<String>,
    pub message: Option<String>,
    pub retry_after: Option<Duration>,
    /// What is said where a longer wait was asked for than is obeyed.
    pub asked: Option<String>,
    pub request_id: Option<String>,
    /// Decoded claims of a challenge.
    pub claims: Option<String>,
    /// `@event.existingEventId`.
    pub existing_event: Option<EventId>,
    /// `id` of the event, in a 2xx.
    pub event_id: Option<EventId>,
    /// Beside it, where the answer has them.
    pub web_link: Option<String>,
    pub ical_uid: Option<String>,
    pub join_url: Option<String>,
    /// Whose it says it is: by the marker, which a create is not answered with as a rule, else by its `transactionId`; none if
    /// it has none, which Graph never says of an event that was given one.
    pub told: Option<String>,
    /// The event's `subject`, if the answer tells it.
    pub subject: Option<String>,
    /// Somebody in between had kept the answer, of which nobody knows when it was true.
    pub is_kept: bool,
    /// The sign-in is refused in the words of OAuth.
    pub challenged: bool,
    /// The body of a 2xx is an object, as all of Graph's are.
    pub is_object: bool,
}

impl Reply {
    /// Reads head and body. `now` only serves a `Retry-After` date without a `Date` beside it.
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let challenges = || headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        // A 2xx may carry one too; nothing is ever repeated because of that (graph-facts 4.2).
        let named = (!(200..300).contains(&status)).then(|| RetryAfter::read(headers, now)).flatten();
        let mut reply = Self {
            status,
            retry_after: named.as_ref().map(|named| named.wait),
            asked: named.and_then(|named| named.sentence("Microsoft", retry_after::LONGEST)),
            request_id: text("request-id").map(short),
            claims: challenges().find_map(claims),
            is_kept: text("age").is_some_and(|age| age.trim() != "0"),
            challenged: challenges()
                .any(|value| value.trim_start().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))),
            ..Self::default()
        };
        if (200..300).contains(&status) {
            reply.read_event(body);
        } else if let Ok(body) = serde_json::from_slice::<Value>(body) {
            reply.read_error(&body["error"]);
        }
        reply
    }

    /// Only an object is an event: of an array nobody knows which one is meant. The rest of it may be as deep as it likes.
    fn read_event(&mut self, body: &[u8]) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            id: Option<Value>,
            transaction_id: Option<Value>,
            subject: Option<Value>,
            error: Option<Value>,
            web_link: Option<Value>,
            #[serde(rename = "iCalUId")]
            ical_uid: Option<Value>,
            online_meeting: Option<Value>,
            #[serde(default)]
            single_value_extended_properties: Value,
        }
        if body.trim_ascii_start().first() != Some(&b'{') {
            return;
        }
        let Ok(told) = serde_json::from_slice::<Told>(body) else { return };
        self.is_object = true;
        // Half an error is not a success.
        self.event_id = told.id.as_ref().and_then(event_id).filter(|_| told.error.is_none());
        self.web_link = told.web_link.as_ref().and_then(link);
        self.ical_uid = told.ical_uid.as_ref().and_then(word);
        self.join_url = told.online_meeting.as_ref().and_then(|meeting| link(&meeting["joinUrl"]));
        self.subject = told.subject.and_then(|subject| subject.as_str().map(str::to_owned));
        // What is not text is nobody's id, and so another one.
        let transaction_id =
            told.transaction_id.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        self.told = marker(&told.single_value_extended_properties).map(str::to_owned).or(transaction_id);
    }

    /// The event that a success tells of.
    pub(super) fn event(&self) -> Option<EventRef> {
        Some(EventRef {
            id: self.event_id.clone()?,
            web_link: self.web_link.clone(),
            ical_uid: self.ical_uid.clone(),
            join_url: self.join_url.clone(),
            seen: None,
        })
    }

    /// Graph puts a request-id on every answer and a code into every error (graph-facts 4.1). Codes of Exchange's own are
    /// nobody else's.
    pub(super) fn is_graphs(&self) -> bool {
        let exchange = |code: &String| code.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("error"));
        !self.codes.is_empty() && (self.request_id.is_some() || self.codes.iter().any(exchange))
    }

    /// An error that only Graph can have answered: whoever else says the same may have passed the request on before.
    pub(super) fn is_proven(&self) -> bool {
        self.is_graphs() || self.claims.is_some()
    }

    /// Whether it is the token that is not taken: a proxy that wants a password knows nothing of ours.
    pub(super) fn refuses_token(&self) -> bool {
        match self.status {
            401 => !self.codes.is_empty() || self.request_id.is_some() || self.challenged,
            403 => {
                self.claims.is_some() || self.codes.iter().any(|code| code.eq_ignore_ascii_case("insufficient_claims"))
            }
            _ => false,
        }
    }

    fn read_error(&mut self, error: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.message = text(&error["message"]).filter(|said| !said.trim().is_empty());
        self.existing_event = event_id(&error["@event.existingEventId"]);
        let mut level = Some(error);
        // Nesting is one or two levels deep in life; a hostile answer must not make this loop long.
        for _ in 0..8 {
            let Some(current) = level.filter(|value| value.is_object()) else { break };
            self.codes.extend(text(&current["code"]).map(|code| short(&code)).filter(|code| !code.trim().is_empty()));
            let id = text(&current["request-id"]).map(|id| short(&id));
            self.request_id = self.request_id.take().or(id);
            level = ["innerError", "innererror"].iter().map(|name| &current[*name]).find(|value| value.is_object());
        }
    }

    /// The agent's own words and Graph's, where there are any; `code` is the one the outcome rests on.
    pub(super) fn explained(&self, purpose: Purpose, code: Option<&str>) -> Option<Explained> {
        let sentence = |text: &String| Hint { means: text.clone().into(), cure: None };
        let own = match (hint(purpose, self.status, code), &self.asked) {
            (Some(hint), Some(asked)) => Some(hint.and(asked)),
            (hint, asked) => hint.or_else(|| asked.as_ref().map(sentence)),
        };
        match own {
            Some(hint) => Some(Explained { hint, said: self.message.clone() }),
            None => self.message.as_ref().map(|said| sentence(said).into()),
        }
    }

    /// What goes into the row but for its cause, which the outcome has, and for its words.
    pub(super) fn answer(&self, code: Option<&str>, client_request_id: &str) -> Answer {
        Answer {
            cause: None,
            status: Some(self.status),
            code: code.map(str::to_owned),
            message: None,
            request_id: self.request_id.clone(),
            client_request_id: Some(client_request_id.to_owned()),
        }
    }
}

/// A word of an answer that goes into the log. Real ones are shorter.
fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// An event's id, if it can be one.
pub(super) fn event_id(value: &Value) -> Option<EventId> {
    EventId::parse(value.as_str()?)
}

/// What Graph gives back with an event goes into the row for others to use, or into a header: nothing that is none, or absurdly
/// long.
const MAX_WORD: usize = 4096;

pub(super) fn word(value: &Value) -> Option<String> {
    let is_word =
        |text: &&str| !text.is_empty() && text.len() <= MAX_WORD && text.bytes().all(|byte| byte.is_ascii_graphic());
    value.as_str().filter(is_word).map(str::to_owned)
}

/// A link that somebody may click on.
fn link(value: &Value) -> Option<String> {
    word(value).filter(|link| link.starts_with("https://") || link.starts_with("http://"))
}

/// An event in an answer, with what Graph gives back of it; none without an id.
pub(super) fn event_ref(event: &Value) -> Option<EventRef> {
    Some(EventRef {
        id: event_id(&event["id"])?,
        web_link: link(&event["webLink"]),
        ical_uid: word(&event["iCalUId"]),
        join_url: link(&event["onlineMeeting"]["joinUrl"]),
        seen: None,
    })
}

/// The decoded claims of `Bearer …, error="insufficient_claims", claims="<base64>"`.
fn claims(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("claims=\"")?;
    let (encoded, _) = rest.split_once('"')?;
    let standard = encoded.replace('-', "+").replace('_', "/");
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(standard.trim_end_matches('=')).ok()?;
    // They go into a token request; anything but a claims request would be refused there.
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
    use super::super::wire::MARKER;
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
        let long = format!(r#"{{"id":"{}"}}"#, "A".repeat(1025));
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"id":""}"#,
            r#"{"id":" "}"#,
            r#"{"id":"AA Mk"}"#,
            r#"{"id":"AAMk\n"}"#,
            r#"{"id":"AAM\u00e9"}"#,
            r#"{"id":5}"#,
            r#"{"id":"AAMk","error":{"code":"ErrorServerBusy"}}"#,
            r#"{"id":["AAMk"]}"#,
            r#"["AAMk"]"#,
            r#"[{"id":"AAMk"}]"#,
            r#"{"id":"AAMk","subj"#,
            &long,
        ] {
            assert_eq!(read(201, &[], body).event_id, None, "{body}");
        }
    }

    #[test]
    fn whose_event_an_answer_tells_of_is_read_and_what_is_no_text_is_somebody_elses() {
        let told = |rest: &str| read(201, &[], &format!(r#"{{"id":"A"{rest}}}"#)).told;
        let transaction = |value: &str| told(&format!(r#","transactionId":{value}"#));
        assert_eq!(transaction(r#""t-1""#).as_deref(), Some("t-1"));
        assert_eq!((transaction("null"), told("")), (None, None));
        let marked =
            format!(r#","transactionId":"t-1","singleValueExtendedProperties":[{{"id":"{MARKER}","value":"t-2"}}]"#);
        assert_eq!(told(&marked).as_deref(), Some("t-2"));
        assert_eq!(told(r#","transactionId":"t-1","singleValueExtendedProperties":7"#).as_deref(), Some("t-1"));
        assert_eq!(transaction("7").as_deref(), Some("7"));
        assert_eq!(transaction(r#"["t-1"]"#).as_deref(), Some(r#"["t-1"]"#));
    }

    #[test]
    fn graphs_marks_are_a_request_id_and_a_code() {
        let marked = [("request-id", "r1")];
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
        assert!(read(400, &marked, &error("BadRequest")).is_graphs());
        assert!(read(400, &[], &error("ErrorInvalidRequest")).is_graphs(), "a code of Exchange's own");
        assert!(!read(400, &[], &error("BadRequest")).is_graphs());
        for body in
            ["", "<html>Blocked</html>", "{}", r#"{"error":"denied"}"#, r#"{"message":"denied"}"#, "[]", &error("")]
        {
            assert!(!read(403, &marked, body).is_graphs(), "{body}");
        }
    }

    #[test]
    fn a_token_is_refused_by_graph_and_not_by_a_proxy_that_wants_a_password() {
        let refuses = |status, header| read(status, &[header], "<html>").refuses_token();
        assert!(!read(401, &[("request-id", "r1"), ("www-authenticate", "Bearer realm=\"\"")], "<html>").is_proven());
        assert!(refuses(401, ("request-id", "r1")));
        assert!(refuses(401, ("www-authenticate", "Bearer realm=\"\"")));
        assert!(!refuses(401, ("www-authenticate", "Basic realm=\"proxy\"")));
        assert!(!refuses(401, ("via", "1.1 proxy")));
        assert!(!refuses(403, ("request-id", "r1")));
    }

    #[test]
    fn a_wait_that_is_not_obeyed_to_the_end_is_said() {
        let reply =
            read(429, &[("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT")], r#"{"error":{"code":"x","message":"m"}}"#);
        assert_eq!(reply.retry_after, Some(retry_after::LONGEST));
        let said = reply.explained(Purpose::Create, None).unwrap().to_string();
        assert!(
            said.contains("Microsoft asked to wait until 2099-10-21T07:28:00Z; capped at 24 h. Graph said: m"),
            "{said}"
        );
    }

    #[test]
    fn an_answer_that_somebody_had_kept_says_so_itself() {
        let is_kept = |age: &str| read(200, &[("age", age)], r#"{"value":[]}"#).is_kept;
        assert!(is_kept("86400") && is_kept("1") && is_kept("x"));
        assert!(!is_kept("0") && !read(200, &[], "{}").is_kept);
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
        // "%%" is not base64, and "W10=" is a list.
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
            assert_eq!(reply.event_id, None, "beside an error");
            let event_id = read(status, &[], &serde_json::json!({ "id": words[0] }).to_string()).event_id;
            assert_eq!(event_id.is_some(), status < 300 && EventId::parse(&words[0]).is_some());
        }
    }
}
