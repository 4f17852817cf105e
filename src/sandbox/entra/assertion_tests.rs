//! Every fault of a certificate's assertion, in the order Entra finds them, with assertions signed here by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::CLIENT_ID;
use crate::sandbox::signer::{Signer, claims};

const ENDPOINT: &str = "127.0.0.1:1/tenant/oauth2/v2.0/token";
const AUDIENCE: &str = "http://127.0.0.1:1/tenant/oauth2/v2.0/token";

fn registered(signer: &Signer) -> Vec<Certificate> {
    vec![Certificate::from_der(Signer::stranger().der()).unwrap(), Certificate::from_der(signer.der()).unwrap()]
}

fn judged(text: &str, signer: &Signer) -> Result<(), TokenRefusal> {
    let expected = Expected { client_id: CLIENT_ID, endpoint: ENDPOINT, now: Utc::now() };
    check(&Jwt::read(text).unwrap(), expected, &registered(signer))
}

fn number(text: &str, signer: &Signer) -> Option<u32> {
    judged(text, signer).map_err(|refusal| refusal.number.unwrap()).err()
}

/// What comes of a good assertion with one part of its header changed; null takes it away.
fn with_header(name: &str, value: Value) -> Option<u32> {
    let signer = Signer::valid();
    number(&signer.jwt(&changed(signer.header(), name, value), &claims(CLIENT_ID, AUDIENCE)), &signer)
}

fn with_claim(name: &str, value: Value) -> Option<u32> {
    let signer = Signer::valid();
    number(&signer.jwt(&signer.header(), &changed(claims(CLIENT_ID, AUDIENCE), name, value)), &signer)
}

fn changed(mut object: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}

fn in_seconds(seconds: i64) -> Value {
    json!(Utc::now().timestamp() + seconds)
}

#[test]
fn a_good_assertion_is_accepted_in_every_form_entra_takes() {
    let signer = Signer::valid();
    for header in [
        signer.header(),
        json!({"alg": "PS256", "x5t": signer.sha1()}),
        json!({"alg": "RS256", "typ": "jwt", "x5t": signer.sha1()}),
        json!({"alg": "RS256", "typ": "JWT", "x5t#S256": signer.sha256(), "x5t": signer.sha1(), "kid": "any"}),
        changed(signer.header(), "x5c", json!([signer.x5c(), Signer::stranger().x5c()])),
    ] {
        assert_eq!(judged(&signer.jwt(&header, &claims(CLIENT_ID, AUDIENCE)), &signer), Ok(()), "{header}");
    }
    let secure = format!("https://{ENDPOINT}");
    assert_eq!(with_claim("aud", json!(secure)), None, "something before the sandbox may speak TLS");
    assert_eq!(with_claim("iat", Value::Null), None);
}

#[test]
fn a_header_that_is_not_right_is_refused_as_malformed() {
    for (name, value, expected) in [
        ("alg", json!("HS256"), 5_002_730),
        ("alg", json!("none"), 5_002_730),
        ("alg", Value::Null, 5_002_730),
        ("typ", json!("at+jwt"), 50_027),
        ("typ", json!(1), 50_027),
        ("x5t#S256", Value::Null, 5_002_738),
        ("x5t#S256", json!("no base64url!"), 50_027),
        ("x5t", json!(1), 50_027),
    ] {
        assert_eq!(with_header(name, value.clone()), Some(expected), "{name} {value}");
    }
}

#[test]
fn a_chain_begins_with_the_certificate_that_has_signed() {
    let signer = Signer::valid();
    let url_safe = URL_SAFE_NO_PAD.encode(signer.der());
    for chain in [
        json!([]),
        json!("text"),
        json!([1]),
        json!(["MIIB"]),
        json!([signer.certificate_pem()]),
        json!([url_safe.replace('A', "-")]),
        json!([signer.x5c(), "MIIB"]),
        json!([Signer::stranger().x5c(), signer.x5c()]),
    ] {
        let header = changed(signer.header(), "x5c", chain.clone());
        assert_eq!(number(&signer.jwt(&header, &claims(CLIENT_ID, AUDIENCE)), &signer), Some(50_027), "{chain}");
    }
}

#[test]
fn claims_that_are_missing_or_last_too_long_are_refused_as_malformed() {
    for (name, value) in [
        ("jti", Value::Null),
        ("jti", json!("")),
        ("nbf", Value::Null),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("exp", json!(1e300)),
        ("exp", in_seconds(24 * 3600 + 60)),
    ] {
        assert_eq!(with_claim(name, value.clone()), Some(50_027), "{name} {value}");
    }
    assert_eq!(with_claim("exp", in_seconds(24 * 3600 - 60)), None);
}

#[test]
fn an_assertion_is_for_the_endpoint_it_is_sent_to() {
    for audience in [
        json!("http://127.0.0.1:1/tenant/oauth2/token"),
        json!("http://127.0.0.1:1/tenant/oauth2/v2.0/token/"),
        json!("http://127.0.0.1:2/tenant/oauth2/v2.0/token"),
        json!("127.0.0.1:1/tenant/oauth2/v2.0/token"),
        json!("https://login.microsoftonline.com/tenant/oauth2/v2.0/token"),
        json!([AUDIENCE]),
        Value::Null,
    ] {
        assert_eq!(with_claim("aud", audience.clone()), Some(700_023), "{audience}");
    }
}

#[test]
fn issuer_and_subject_are_the_application() {
    for name in ["iss", "sub"] {
        assert_eq!(with_claim(name, json!("another")), Some(700_021));
        assert_eq!(with_claim(name, Value::Null), Some(700_021));
        assert_eq!(with_claim(name, json!(CLIENT_ID.to_uppercase())), None);
    }
}

#[test]
fn a_certificate_that_is_not_registered_is_named() {
    let (signer, stranger) = (Signer::valid(), Signer::stranger());
    let text = signer.jwt(&signer.header(), &claims(CLIENT_ID, AUDIENCE));
    let refusal = judged(&text, &stranger).unwrap_err();
    assert_eq!(
        (refusal.status.as_u16(), refusal.error.as_str(), refusal.number),
        (401, "invalid_client", Some(700_027))
    );
    let hex: String = bytes(&signer.sha256()).unwrap().iter().map(|byte| format!("{byte:02X}")).collect();
    for part in ["is not registered on application. [Reason - The key was not found., Thumbprint", &hex, CLIENT_ID] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
    assert_eq!(with_header("x5t", json!(stranger.sha1())), Some(700_027), "two thumbprints of two certificates");
}

#[test]
fn a_registered_certificate_counts_only_in_its_time() {
    for (signer, reason) in
        [(Signer::expired(), "The key used is expired."), (Signer::early(), "The key used is not yet valid.")]
    {
        let refusal = judged(&signer.jwt(&signer.header(), &claims(CLIENT_ID, AUDIENCE)), &signer).unwrap_err();
        assert_eq!(refusal.number, Some(700_027));
        assert!(refusal.message.contains(reason) && refusal.message.contains("Found key 'Start="), "{refusal:?}");
    }
}

#[test]
fn a_wrong_signature_is_found_whatever_else_is_right() {
    let (signer, stranger) = (Signer::valid(), Signer::stranger());
    let other_key = stranger.jwt(&signer.header(), &claims(CLIENT_ID, AUDIENCE));
    let refusal = judged(&other_key, &signer).unwrap_err();
    assert_eq!(refusal.number, Some(700_027));
    assert!(refusal.message.contains("use of the key to verify the signature failed"), "{}", refusal.message);
    let good = signer.jwt(&signer.header(), &claims(CLIENT_ID, AUDIENCE));
    let again = signer.jwt(&signer.header(), &claims(CLIENT_ID, AUDIENCE));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = again.rsplit_once('.').unwrap();
    assert_eq!(number(&format!("{signed}.{signature}"), &signer), Some(700_027), "another assertion's signature");
    assert_eq!(number(&format!("{signed}."), &signer), Some(700_027));
    let padding = signer.jwt(&json!({"alg": "RS256", "x5t": signer.sha1()}), &claims(CLIENT_ID, AUDIENCE));
    let (_, signature) = padding.rsplit_once('.').unwrap();
    assert_eq!(number(&format!("{signed}.{signature}"), &signer), Some(700_027), "signed in the other scheme");
}

#[test]
fn clocks_may_be_five_minutes_apart_and_no_more() {
    for (name, seconds, expected) in
        [("nbf", 290, None), ("nbf", 310, Some(700_024)), ("exp", -290, None), ("exp", -310, Some(700_024))]
    {
        assert_eq!(with_claim(name, in_seconds(seconds)), expected, "{name} {seconds}");
    }
    let signer = Signer::valid();
    let late = changed(claims(CLIENT_ID, AUDIENCE), "exp", json!(1_700_000_000));
    let refusal = judged(&signer.jwt(&signer.header(), &late), &signer).unwrap_err();
    assert!(refusal.message.contains("expiry time of assertion 2023-11-14T22:13:20Z."), "{}", refusal.message);
    assert_eq!((refusal.status.as_u16(), refusal.error.as_str()), (401, "invalid_client"));
}

#[test]
fn the_first_fault_in_entras_order_is_the_one_told() {
    let (signer, stranger) = (Signer::valid(), Signer::stranger());
    let mut parts = claims("another", "elsewhere");
    parts["exp"] = json!(1_700_000_000);
    let told = |parts: &Value| number(&stranger.jwt(&signer.header(), parts), &stranger);
    assert_eq!(told(&parts), Some(700_023));
    parts["aud"] = json!(AUDIENCE);
    assert_eq!(told(&parts), Some(700_021));
    (parts["iss"], parts["sub"]) = (json!(CLIENT_ID), json!(CLIENT_ID));
    assert_eq!(told(&parts), Some(700_027));
    assert_eq!(number(&signer.jwt(&signer.header(), &parts), &signer), Some(700_024));
}
