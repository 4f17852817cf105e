//! No answer but a success is without a reason, whatever it looks like.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use proptest::prelude::*;
use reqwest::header::HeaderMap;

use super::*;

const PURPOSES: [Purpose; 5] = [Purpose::Create, Purpose::Change, Purpose::End, Purpose::Look, Purpose::Read];

const BODIES: [&str; 14] = [
    "",
    " ",
    "null",
    "[]",
    "{}",
    "<html>",
    r#"{"subject":"x"}"#,
    r#"{"id":""}"#,
    r#"{"id":"AAMk"}"#,
    r#"{"id":"AAMk","error":{"code":"ErrorServerBusy"}}"#,
    r#"{"error":{"code":"","message":""}}"#,
    r#"{"error":{"code":" \n","message":" "}}"#,
    r#"{"error":{"code":"SomethingNew"}}"#,
    "\u{1f}\u{8b}\u{8}",
];

fn read(status: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> Reply {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Reply::read(status, &headers, body, SystemTime::now())
}

fn check(status: u16, headers: &[(&'static str, &'static str)], body: &[u8], purpose: Purpose) {
    let CallResult { outcome, answer, explained, .. } = judged(&read(status, headers, body), purpose, "c");
    if matches!(outcome, Outcome::Done(_)) {
        assert_eq!((answer.code, answer.message, explained), (None, None, None));
        return;
    }
    let is_said = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    assert!(
        is_said(answer.code.as_deref())
            && is_said(answer.message.as_deref())
            && is_said(explained.as_ref().map(|explained| &*explained.hint.means)),
        "{status} {purpose:?} {headers:?} {body:?}: {outcome:?} {answer:?} {explained:?}"
    );
}

#[test]
fn no_answer_but_a_success_is_without_code_and_message() {
    for status in 100..=999 {
        for body in BODIES {
            for headers in [&[][..], &[("request-id", "r")], &[("request-id", "r"), ("retry-after", "999999")]] {
                for purpose in PURPOSES {
                    check(status, headers, body.as_bytes(), purpose);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn nor_is_one_of_any_body(
        status in 100_u16..=999,
        body in proptest::collection::vec(any::<u8>(), 0..60),
        code in "\\PC{0,8}|[ \\t\\n\u{0}]{0,3}",
        message in "\\PC{0,8}|[ \\t\\n]{0,3}",
        marked in any::<bool>(),
    ) {
        let error = serde_json::json!({ "error": { "code": code, "message": message } }).to_string();
        let headers: &[_] = if marked { &[("request-id", "r")] } else { &[] };
        for purpose in PURPOSES {
            check(status, headers, &body, purpose);
            check(status, headers, error.as_bytes(), purpose);
        }
    }
}

#[test]
fn a_success_that_confirms_nothing_says_so_and_what_may_have_come_of_it() {
    let told = |status, body: &str, purpose| {
        let result = judged(&read(status, &[("request-id", "r")], body.as_bytes()), purpose, "c");
        assert_eq!(result.outcome, Outcome::ReplyDamaged);
        assert_eq!(result.answer.code.as_deref(), Some("reply_incomplete"));
        result.answer.message.unwrap()
    };
    for (status, body) in [(202, ""), (201, r#"{"subject":"x"}"#), (201, "\u{1f}\u{8b}\u{8}")] {
        assert_eq!(
            told(status, body, Purpose::Create),
            format!(
                "the answer reports success but does not confirm the event (HTTP {status}); the event may have been created"
            )
        );
    }
    assert!(told(204, "", Purpose::Change).ends_with("(HTTP 204); the change may have been made"));
    assert!(told(200, "{}", Purpose::End).ends_with("(HTTP 200); the event may be gone"));
    assert!(told(206, "{}", Purpose::Look).ends_with("question (HTTP 206)"));
}

#[test]
fn an_error_without_a_code_and_a_status_of_no_meaning_have_words_all_the_same() {
    let told = |status| judged(&read(status, &[("request-id", "r")], b""), Purpose::Create, "c").answer;
    for (status, word) in [(503, "temporarily unavailable"), (511, "in between"), (599, "in between"), (999, "999")] {
        let answer = told(status);
        assert_eq!(answer.code.as_deref(), Some("no_error_code"), "{status}");
        assert!(answer.message.as_deref().is_some_and(|said| said.contains(word)), "{status}: {answer:?}");
    }
}
