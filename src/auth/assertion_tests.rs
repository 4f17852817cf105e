//! An assertion taken apart by hand and held against graph-facts 5.2, field by field.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::*;
use crate::certificate::tests::joined;

fn certificate(names: &[&str]) -> Certificate {
    let text = joined(names);
    Certificate::from_pem(&text, &text, None).unwrap()
}

fn signed(certificate: &Certificate, chain: bool, now: DateTime<Utc>) -> (Value, Value, Vec<u8>, String) {
    let assertion = sign(certificate, "app", "https://login/tenant/oauth2/v2.0/token", chain, now).unwrap();
    let parts: Vec<&str> = assertion.expose().split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts: {parts:?}") };
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (json(header), json(claims), URL_SAFE_NO_PAD.decode(signature).unwrap(), format!("{header}.{claims}"))
}

#[test]
fn it_has_the_fields_of_the_fact_sheet_and_no_others() {
    let now = DateTime::from_timestamp(1_800_000_000, 5).unwrap();
    let (header, claims, ..) = signed(&certificate(&["certificate", "pkcs8"]), false, now);
    let thumbprint: Vec<u8> = include_str!("../../tests/pem/certificate.sha256")
        .trim()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let expected = serde_json::json!({ "typ": "JWT", "alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint) });
    assert_eq!(header, expected);
    let jti = claims["jti"].as_str().unwrap();
    assert!(uuid::Uuid::try_parse(jti).is_ok_and(|jti| jti.get_version_num() == 4), "{jti}");
    let expected = serde_json::json!({
        "aud": "https://login/tenant/oauth2/v2.0/token",
        "iss": "app",
        "sub": "app",
        "jti": jti,
        "nbf": 1_800_000_000,
        "iat": 1_800_000_000,
        "exp": 1_800_000_600,
    });
    assert_eq!(claims, expected);
}

#[test]
fn no_two_are_alike() {
    let (certificate, now) = (certificate(&["certificate", "pkcs8"]), Utc::now());
    let jti = || signed(&certificate, false, now).1["jti"].clone();
    assert_ne!(jti(), jti());
}

#[test]
fn the_signature_is_one_of_the_certificates_key() {
    let certificate = certificate(&["certificate", "pkcs8"]);
    let (_, _, signature, message) = signed(&certificate, false, Utc::now());
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.chain()[0]).unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PSS_2048_8192_SHA256,
        &parsed.public_key().subject_public_key.data,
    );
    key.verify(message.as_bytes(), &signature).unwrap();
    assert!(key.verify(b"another message", &signature).is_err());
}

#[test]
fn the_chain_goes_along_if_it_is_wished_with_the_own_certificate_first() {
    let certificate = certificate(&["other", "certificate", "pkcs8"]);
    let (header, ..) = signed(&certificate, true, Utc::now());
    let sent: Vec<Vec<u8>> =
        header["x5c"].as_array().unwrap().iter().map(|der| STANDARD.decode(der.as_str().unwrap()).unwrap()).collect();
    assert_eq!((sent.len(), sent.as_slice()), (2, certificate.chain()));
}
