//! Answers of the token endpoint, as documented and as seen.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn refused(number: u32) -> TokenRefusal {
    let body = format!(
        r#"{{"error":"invalid_client","error_description":"AADSTS{number}: text with a trace","error_codes":[{number}]}}"#
    );
    refusal(401, body.as_bytes(), None)
}

#[test]
fn lifetimes_are_read_as_numbers_as_text_and_when_missing() {
    for (fields, lifetime) in [
        (r#","expires_in":3599"#, 3599),
        (r#","expires_in":"3599""#, 3599),
        ("", 3600),
        (r#","expires_in":"soon""#, 3600),
        (r#","expires_in":-5"#, 3600),
        (r#","expires_in":1e300"#, 3600),
        (r#","expires_in":99999999999"#, 86_400),
        // Over at once would be a request for a token with each job.
        (r#","expires_in":0"#, 60),
        (r#","expires_in":"0""#, 60),
        (r#","expires_in":0.001"#, 60),
        (r#","expires_in":1"#, 1),
        (r#","expires_in":null"#, 3600),
        (r#","expires_in":[3599]"#, 3600),
        // As App Service and the v1 endpoint have it.
        (r#","expires_on":"1700000900""#, 900),
        (r#","expires_on":1700000900"#, 900),
        (r#","expires_on":"1700000900","expires_in":"60""#, 60),
        (r#","expires_on":"1699999999""#, 60),
        (r#","expires_on":"10/17/2026 1:00:00 PM +00:00""#, 3600),
        (r#","expires_on":"1e300""#, 3600),
    ] {
        let fresh =
            token(format!(r#"{{"token_type":"Bearer","access_token":"abc"{fields}}}"#).as_bytes(), now()).unwrap();
        assert_eq!(fresh.expires_in.as_secs(), lifetime, "{fields}");
    }
    let fresh = token(br#"{"access_token":"abc","expires_in":7200,"refresh_in":"3600"}"#, now()).unwrap();
    assert_eq!(fresh.refresh_in, Some(Duration::from_secs(3600)));
}

#[test]
fn an_answer_without_a_usable_token_is_none() {
    for body in ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb"}"#, r#"{"access_token":5}"#]
    {
        assert!(token(body.as_bytes(), now()).is_none(), "{body}");
    }
}

#[test]
fn a_token_is_an_objects_and_a_bearers() {
    for body in [
        r#"["abc","Bearer",3600,null,null]"#,
        r#"[{"access_token":"abc"}]"#,
        r#""abc""#,
        r#"{"access_token":"abc","token_type":"pop"}"#,
        r#"{"access_token":"abc","token_type":"mac"}"#,
        r#"{"access_token":"abc","token_type":""}"#,
        r#"{"access_token":"abc","token_type":["Bearer"]}"#,
        r#"{"access_token":["abc"],"token_type":"Bearer"}"#,
        r#"{"access_token":"abc","token_type":"Bearer","error":"invalid_client"}"#,
    ] {
        assert!(token(body.as_bytes(), now()).is_none(), "{body}");
    }
    for kind in [r#""Bearer""#, r#""bearer""#, r#""BEARER""#, "null"] {
        assert!(
            token(format!(r#"{{"access_token":"abc","token_type":{kind}}}"#).as_bytes(), now()).is_some(),
            "{kind}"
        );
    }
    assert!(token(br#"{"access_token":"abc"}"#, now()).is_some());
    assert_eq!(refusal(400, br#"["invalid_grant","AADSTS50126",[50126]]"#, None).code, "http_400");
}

#[test]
fn a_wait_longer_than_an_hour_is_capped_and_said() {
    let answer = Answer {
        status: 429,
        challenge: None,
        retry_after: Some(LONGEST_WAIT),
        asked: Some("It asked to wait until 2099-10-21T07:28:00Z; capped at 1 h.".into()),
        body: Some(Vec::new()),
    };
    let refusal = answer.token(now()).err().unwrap();
    assert_eq!(refusal.retry_after, Some(LONGEST_WAIT));
    assert!(refusal.hint.to_string().ends_with("capped at 1 h."), "{}", refusal.hint);
}

#[test]
fn a_refusal_carries_number_and_advice_but_nothing_the_server_wrote() {
    let refusal = refused(7_000_222);
    assert_eq!(refusal.code, "AADSTS7000222");
    let told = refusal.hint.to_string();
    assert!(told.contains("expired") && !told.contains("trace"));
    assert_eq!(refusal.patience, Patience::Refused);
    assert_eq!(refused(50_053).patience, Patience::AtLeast(Duration::from_secs(900)));
    assert_eq!(refused(50_196).patience, Patience::AtLeast(Duration::from_secs(300)));
    assert_eq!(refused(90_033).patience, Patience::Transient);
}

#[test]
fn the_number_is_found_in_the_description_when_the_list_is_missing() {
    let refusal = refusal(400, br#"{"error":"invalid_grant","error_description":"AADSTS50126: Error"}"#, None);
    assert_eq!(refusal.code, "AADSTS50126");
}

#[test]
fn every_number_of_the_fact_sheet_has_advice_of_its_own() {
    for number in [
        7000215, 7000222, 700027, 700024, 50012, 500133, 700016, 700011, 7000229, 7000112, 70001, 90002, 50059, 90019,
        900382, 900432, 90038, 500011, 50001, 650057, 70011, 28002, 1002012, 901002, 900144, 90014, 9002313, 90023,
        65001, 90094, 90008, 650056, 7000216, 7000218, 700025, 9001023, 90124, 90130, 50194, 53003, 530032, 530034,
        530035, 50131, 700213, 50126, 50056, 50034, 51004, 50020, 50053, 50055, 50144, 50057, 50076, 50079, 50072,
        50074, 50158, 53000, 53001, 50097, 50173, 70008, 700082, 70043, 50132, 50133, 50196, 90055, 50033, 90006,
        90012, 90024, 90033, 90090, 90091, 50087, 80001, 80002, 80005, 80007, 80014, 50000,
    ] {
        assert_ne!(advice(Some(number)), advice(None), "AADSTS{number}");
    }
}

#[test]
fn throttling_and_server_faults_are_transient_whatever_the_body_says() {
    assert_eq!(refusal(429, b"", None).patience, Patience::Transient);
    let throttled = refusal(429, br#"{"error":"temporarily_unavailable"}"#, None);
    assert_eq!((throttled.patience, throttled.retry_after), (Patience::Transient, Some(Duration::from_secs(60))));
    assert_eq!(refusal(503, b"<html>busy</html>", None).patience, Patience::Transient);
    assert_eq!(refusal(500, br#"{"error":"server_error"}"#, None).code, "server_error");
}

/// JSON of any shape under the names an answer has.
fn fields() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[ -~]{1,20}".prop_map(Value::from),
        "(AADSTS)?[0-9]{0,12}(AADSTS)?[0-9]{0,3}: é".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from));
    let names =
        ["access_token", "expires_in", "refresh_in", "error", "error_description", "error_codes", "suberror", "claims"];
    let fields = prop::collection::vec((prop::sample::select(names.to_vec()), value), 0..8);
    fields.prop_map(|fields| {
        // Names may come twice, as a map of ours could not write them.
        let written: Vec<String> = fields.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{{}}}", written.join(","))
    })
}

proptest! {
    #[test]
    fn no_answer_makes_a_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = token(&body, now());
        let _ = refusal(400, &body, None);
        let _ = refusal(400, format!(r#"{{"error_description":"{text}AADSTS{text}"}}"#).as_bytes(), None);
    }

    #[test]
    fn a_token_can_stand_in_a_header_and_its_lifetimes_on_a_clock(body in fields()) {
        if let Some(fresh) = token(body.as_bytes(), now()) {
            let token = fresh.access_token.expose();
            assert!(reqwest::header::HeaderValue::from_str(&format!("Bearer {token}")).is_ok() && !token.is_empty());
            let longest = Duration::from_secs(86_400);
            assert!(fresh.expires_in <= longest && fresh.refresh_in.unwrap_or_default() <= longest);
        }
    }

    #[test]
    fn a_refusal_says_only_words_of_ours(body in fields(), status in 300u16..600) {
        let refusal = refusal(status, body.as_bytes(), None);
        assert!(refusal.code.len() <= 60 && refusal.code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let ours = |number: Option<u32>| advice(number).hint == refusal.hint;
        let number = refusal.code.strip_prefix("AADSTS").and_then(|number| number.parse().ok());
        assert!(
            ours(number) || ours(None) || refusal.hint.means.starts_with("Entra ID is busy") || refusal.hint.means.starts_with("The sign-in service gave"),
            "{refusal:?}"
        );
    }
}
