//! The sandbox as a whole: sign-in, limits, windows, and every fault on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::testbed::{Bed, MAILBOX, client_credentials, meeting, read, with};
use super::*;

/// Posts a meeting over a bare connection and reads whatever comes until the connection ends.
async fn raw(bed: &Bed) -> (Vec<u8>, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(bed.sandbox.address()).await.unwrap();
    let body = meeting("Review", Some("t-1")).to_string();
    let head = format!(
        "POST /v1.0/users/{MAILBOX}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        bed.token,
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (bytes, end)
}

async fn faulty(fault: Fault) -> Bed {
    let bed = Bed::new().await;
    bed.sandbox.script(fault);
    bed
}

fn last(bed: &Bed) -> RequestRecord {
    bed.sandbox.requests().pop().unwrap()
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let error = Sandbox::start(SandboxOptions { listen, ..SandboxOptions::default() }).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("0.0.0.0:0"));
}

#[tokio::test]
async fn settings_name_everything_a_client_needs() {
    let bed = Bed::new().await;
    let settings = bed.sandbox.settings();
    for part in [bed.sandbox.url().as_str(), TENANT_ID, CLIENT_ID, CLIENT_SECRET, "[graph]", MAILBOX] {
        assert!(settings.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_missing_or_made_up_token_is_refused() {
    let bed = Bed::new().await;
    let url = format!("{}/v1.0/users/{MAILBOX}/calendar", bed.sandbox.url());
    let missing = read(bed.client.get(&url).header("client-request-id", "abc")).await.unwrap();
    assert_eq!((missing.status, missing.code()), (401, "InvalidAuthenticationToken"));
    assert_eq!(missing.headers["client-request-id"], "abc");
    assert_eq!(missing.body["error"]["innerError"]["client-request-id"], "abc");
    let request_id = missing.headers["request-id"].to_str().unwrap();
    assert_eq!(missing.body["error"]["innerError"]["request-id"], request_id);
    assert_eq!(read(bed.client.get(&url).bearer_auth("x")).await.unwrap().status, 401);
}

#[tokio::test]
async fn me_needs_a_signed_in_user() {
    let bed = Bed::new().await;
    let app = read(bed.post("/v1.0/me/events", &meeting("Review", None))).await.unwrap();
    assert_eq!((app.status, app.code()), (400, "BadRequest"));
    assert_eq!(app.body["error"]["message"], "/me request is only valid with delegated authentication flow.");
    let bed = bed.signed_in().await;
    let user = read(bed.post("/v1.0/me/events", &meeting("Review", None))).await.unwrap();
    assert_eq!((user.status, bed.sandbox.events()[0].mailbox.as_str()), (201, USERNAME));
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);
    assert_eq!(bed.get("/v1.0/me/calendar").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_over_four_mebibytes_is_refused() {
    let bed = Bed::new().await;
    let mut event = meeting("Review", None);
    event["body"]["content"] = json!("x".repeat(5 << 20));
    let got = bed.create(MAILBOX, &event).await.unwrap();
    assert_eq!((got.status, got.code()), (413, "RequestEntityTooLarge"));
    assert!(bed.sandbox.events().is_empty());
}

#[tokio::test]
async fn a_fifth_request_in_flight_is_refused() {
    let bed = faulty(Fault::hang(Duration::from_secs(600)).times(4)).await;
    let path = format!("/v1.0/users/{MAILBOX}/events");
    let hanging: Vec<_> = (0..4).map(|_| tokio::spawn(bed.post(&path, &meeting("Review", None)).send())).collect();
    bed.until(|sandbox| sandbox.counters().max_in_flight.get(MAILBOX) == Some(&4)).await;
    let fifth = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert_eq!((fifth.status, fifth.code()), (429, "ApplicationThrottled"));
    assert_eq!(fifth.body["error"]["message"], "Application is over its MailboxConcurrency limit.");
    assert!(!fifth.headers.contains_key("retry-after"));
    assert_eq!(bed.create("other@contoso.com", &meeting("Review", None)).await.unwrap().status, 201);
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    bed.until(|sandbox| sandbox.requests().iter().all(|record| record.duration_ms.is_some())).await;
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);
}

#[tokio::test]
async fn coming_back_inside_a_retry_after_window_is_counted() {
    let bed =
        faulty(Fault::answer(429, "ApplicationThrottled").retry_after("600").mailbox("CALENDAR@contoso.com")).await;
    let got = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert_eq!(
        (got.status, got.code(), &got.headers["retry-after"]),
        (429, "ApplicationThrottled", &"600".parse().unwrap())
    );
    assert_eq!(bed.create("other@contoso.com", &meeting("Review", None)).await.unwrap().status, 201);
    assert_eq!(bed.sandbox.counters().retry_after_violations, 0);
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);
    assert!(last(&bed).early_by_ms.is_some());
    let counters = bed.sandbox.counters();
    assert_eq!((counters.retry_after_violations, counters.throttled), (1, 1));
}

#[tokio::test]
async fn a_retry_after_may_be_a_decimal_or_a_date() {
    let bed = Bed::new().await;
    for value in ["2.128", "date:+5"] {
        bed.sandbox.script(Fault::answer(503, "serviceNotAvailable").retry_after(value));
    }
    let decimal = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert_eq!(decimal.headers["retry-after"], "2.128");
    let date = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert!(date.headers["retry-after"].to_str().unwrap().ends_with(" GMT"));
    assert!(last(&bed).retry_after_ms.is_some_and(|ms| ms > 3_000 && ms <= 5_000));
}

#[tokio::test]
async fn a_date_is_no_later_because_its_answer_is() {
    let options = SandboxOptions { latency: Duration::from_millis(1200), ..SandboxOptions::default() };
    let bed = Bed::with(options).await;
    for value in ["date:+5", "5"] {
        bed.sandbox.script(Fault::answer(429, "ApplicationThrottled").retry_after(value));
    }
    bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert!(last(&bed).retry_after_ms.is_some_and(|ms| ms <= 3_800), "{:?}", last(&bed));
    bed.create("other@contoso.com", &meeting("Review", None)).await.unwrap();
    assert_eq!(last(&bed).retry_after_ms, Some(5_000));
}

#[tokio::test]
async fn an_answer_has_the_body_it_was_given() {
    let bed = Bed::new().await;
    let plain = || Fault::answer(502, "UnknownError");
    for body in [AnswerBody::None, AnswerBody::Html, AnswerBody::Text("busy".into())] {
        bed.sandbox.script(plain().body(body));
    }
    bed.sandbox.script(plain().message("why").applied());
    for expected in ["", "<html>", "busy", "{\"error\""] {
        let got = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
        assert_eq!(got.status, 502);
        assert!(got.text.starts_with(expected), "{}", got.text);
    }
    assert_eq!(bed.sandbox.events().len(), 1);
}

#[tokio::test]
async fn a_lost_reply_leaves_the_event_and_closes_the_connection() {
    let bed = faulty(Fault::lost_reply()).await;
    let (bytes, end) = raw(&bed).await;
    assert!(bytes.is_empty() && end.is_ok());
    assert_eq!(bed.sandbox.events().len(), 1);
    let record = last(&bed);
    assert_eq!((record.status, record.fault.as_deref()), (None, Some("lost_reply")));
    assert_eq!(record.transaction_id.as_deref(), Some("t-1"));
    let again = bed.create(MAILBOX, &meeting("Review", Some("t-1"))).await.unwrap();
    assert_eq!(again.id(), bed.sandbox.events()[0].id);
}

#[tokio::test]
async fn a_reset_reaches_the_client_as_a_reset() {
    let bed = faulty(Fault::reset()).await;
    let (bytes, end) = raw(&bed).await;
    assert_eq!((bytes.len(), end.unwrap_err().kind()), (0, io::ErrorKind::ConnectionReset));
    assert!(bed.sandbox.events().is_empty());
    bed.sandbox.script(Fault::reset().applied());
    raw(&bed).await.1.unwrap_err();
    assert_eq!(bed.sandbox.events().len(), 1);
}

#[tokio::test]
async fn a_hang_ends_without_an_answer() {
    let bed = faulty(Fault::hang(Duration::from_millis(1)).applied()).await;
    let (bytes, end) = raw(&bed).await;
    assert!(bytes.is_empty() && end.is_ok());
    assert_eq!((bed.sandbox.events().len(), last(&bed).status), (1, None));
}

#[tokio::test]
async fn a_truncated_answer_has_its_head_and_half_its_body() {
    let bed = faulty(Fault::truncated()).await;
    let (bytes, end) = raw(&bed).await;
    assert!(end.is_ok());
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(head.starts_with("HTTP/1.1 201") && !body.is_empty());
    assert!(body.len() < length.parse().unwrap());
    assert_eq!((bed.sandbox.events().len(), last(&bed).status), (1, Some(201)));
}

#[tokio::test]
async fn damaged_answers_leave_the_event_behind() {
    let bed = Bed::new().await;
    for fault in [Fault::html(), Fault::no_id(), Fault::oversized(1), Fault::slow(Duration::from_millis(1))] {
        bed.sandbox.script(fault);
    }
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap());
    }
    assert!(got.iter().all(|got| got.status == 201));
    assert!(got[0].text.starts_with("<html>"));
    assert_eq!((got[1].id(), &got[1].body["subject"]), ("", &json!("Review")));
    assert!(got[2].text.len() > 1 << 20 && !got[2].id().is_empty());
    assert!(!got[3].id().is_empty());
    assert_eq!(bed.sandbox.events().len(), 4);
}

#[tokio::test]
async fn a_redirect_names_its_place_and_creates_nothing() {
    let bed = faulty(Fault::redirect("http://127.0.0.1:9/x")).await;
    let got = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert_eq!((got.status, &got.headers["location"]), (307, &"http://127.0.0.1:9/x".parse().unwrap()));
    assert!(bed.sandbox.events().is_empty());
}

#[tokio::test]
async fn expired_tokens_are_refused_until_a_new_one_is_fetched() {
    let mut bed = faulty(Fault::expire_tokens()).await;
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 401);
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 401);
    bed.token = bed.new_token().await;
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);
}

#[tokio::test]
async fn a_claims_challenge_carries_claims_and_revokes_the_token() {
    use base64::Engine;
    let bed = faulty(Fault::claims_challenge()).await;
    let got = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    let challenge = got.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("error=\"insufficient_claims\""));
    let claims = challenge.split("claims=\"").nth(1).unwrap().trim_end_matches('"');
    let claims = base64::engine::general_purpose::STANDARD.decode(claims).unwrap();
    assert!(serde_json::from_slice::<Value>(&claims).unwrap()["access_token"]["nbf"].is_object());
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 401);
}

#[tokio::test]
async fn graph_wants_the_claims_it_is_told_to_want() {
    use base64::Engine;
    let mut bed = Bed::new().await;
    let wanted = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#;
    bed.control("options", &json!({"claims_challenge": wanted})).await;
    let got = bed.create(MAILBOX, &meeting("Review", None)).await.unwrap();
    assert_eq!((got.status, got.code()), (401, "InvalidAuthenticationToken"));
    let challenge = got.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/"));
    let encoded = base64::engine::general_purpose::STANDARD.encode(wanted);
    assert!(challenge.ends_with(&format!("error=\"insufficient_claims\", claims=\"{encoded}\"")), "{challenge}");
    let path = format!("/v1.0/applications(appId='{CLIENT_ID}')");
    assert_eq!(bed.get(&path).await.unwrap().status, 401);

    let others = bed.ask_token(TENANT_ID, &with(client_credentials(), "claims", Some("{}"))).await.unwrap();
    bed.token = others.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 401, "issued with other claims");
    let undecoded = bed.ask_token(TENANT_ID, &with(client_credentials(), "claims", Some(&encoded))).await.unwrap();
    assert_eq!((undecoded.status, &undecoded.body["error_codes"]), (400, &json!([90_023])));
    let form = with(client_credentials(), "claims", Some(wanted));
    bed.token = bed.ask_token(TENANT_ID, &form).await.unwrap().body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);

    bed.token = bed.new_token().await;
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 401);
    bed.control("options", &json!({"claims_challenge": ""})).await;
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);
    let wrong = bed.control("options", &json!({"claims_challenge": "[]"})).await;
    assert!(wrong.body["error"].as_str().unwrap().starts_with("claims_challenge: "), "{}", wrong.text);
    let options = SandboxOptions { claims_challenge: Some("x".into()), ..SandboxOptions::default() };
    assert!(Sandbox::start(options).await.unwrap_err().to_string().starts_with("claims_challenge: "));
}

#[tokio::test]
async fn the_token_endpoint_can_fail_like_any_other_server() {
    let bed = faulty(Fault::lost_reply().on(FaultOn::Token)).await;
    bed.sandbox.script(Fault::answer(503, "temporarily_unavailable").on(FaultOn::Token).retry_after("1"));
    assert!(bed.ask_token(TENANT_ID, &client_credentials()).await.is_err());
    let busy = bed.ask_token(TENANT_ID, &client_credentials()).await.unwrap();
    assert_eq!((busy.status, &busy.body["error"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(bed.sandbox.counters().token_requests, 3);
}

#[tokio::test]
async fn a_client_that_hangs_up_early_leaves_its_event_behind() {
    let options = SandboxOptions { latency: Duration::from_secs(600), ..SandboxOptions::default() };
    let bed = Bed::with(options).await;
    let path = format!("/v1.0/users/{MAILBOX}/events");
    let request = tokio::spawn(bed.post(&path, &meeting("Review", None)).send());
    bed.until(|sandbox| sandbox.events().len() == 1).await;
    request.abort();
    bed.until(|sandbox| sandbox.requests().iter().all(|record| record.duration_ms.is_some())).await;
    assert_eq!(last(&bed).status, None);
}

#[tokio::test]
async fn a_late_request_is_carried_out_although_its_client_has_gone() {
    let bed = faulty(Fault::late(Duration::from_millis(1500))).await;
    let event = meeting("Review", Some("t-1"));
    let impatient = bed.post(&format!("/v1.0/users/{MAILBOX}/events"), &event).timeout(Duration::from_millis(300));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    bed.until(|_| last(&bed).duration_ms.is_some()).await;
    assert!(bed.sandbox.events().is_empty(), "the client has gone, the request has not been carried out");
    bed.until(|sandbox| sandbox.events().len() == 1).await;
    assert_eq!((last(&bed).status, last(&bed).kind), (None, RequestKind::Create));

    bed.sandbox.script(Fault::late(Duration::from_millis(50)));
    let patient = bed.create(MAILBOX, &event).await.unwrap();
    assert_eq!(
        (patient.status, patient.id(), bed.sandbox.events().len()),
        (201, bed.sandbox.events()[0].id.as_str(), 1)
    );
    assert_eq!(last(&bed).fault.as_deref(), Some("late"));
}

#[tokio::test]
async fn stopping_ends_requests_in_flight() {
    let bed = faulty(Fault::hang(Duration::from_secs(600))).await;
    let path = format!("/v1.0/users/{MAILBOX}/events");
    let request = tokio::spawn(bed.post(&path, &meeting("Review", None)).send());
    bed.until(|sandbox| sandbox.counters().create_requests == 1).await;
    let address = bed.sandbox.address();
    bed.sandbox.stop().await;
    assert!(request.await.unwrap().is_err());
    assert!(TcpStream::connect(address).await.is_err());
}
