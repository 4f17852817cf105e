//! Keys and certificates for the tests of this module, and assertions signed by hand with them: neither the sandbox nor
//! the product takes part in making them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::certificate::Scheme;

/// A key and a certificate for it.
pub(super) struct Signer {
    der: Vec<u8>,
    pem: String,
    key: &'static KeyPair,
}

impl Signer {
    /// Valid from yesterday to tomorrow.
    pub(super) fn valid() -> Self {
        Self::lasting(key(), -1, 1)
    }

    /// The same key, its certificate ended yesterday.
    pub(super) fn expired() -> Self {
        Self::lasting(key(), -9, -1)
    }

    /// The same key, its certificate begins tomorrow.
    pub(super) fn early() -> Self {
        Self::lasting(key(), 1, 9)
    }

    /// Another key.
    pub(super) fn stranger() -> Self {
        static KEY: OnceLock<KeyPair> = OnceLock::new();
        Self::lasting(KEY.get_or_init(new_key), -1, 1)
    }

    fn lasting(key: &'static KeyPair, from_day: i64, to_day: i64) -> Self {
        let day = |days: i64| {
            let at = Utc::now() + chrono::TimeDelta::days(days);
            let (year, month, day) = (at.format("%Y"), at.format("%m"), at.format("%d"));
            let number = |text: String| text.parse::<i32>().unwrap();
            let small = |text: String| text.parse::<u8>().unwrap();
            rcgen::date_time_ymd(number(year.to_string()), small(month.to_string()), small(day.to_string()))
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "event-sender");
        (params.not_before, params.not_after) = (day(from_day), day(to_day + 1));
        let certificate = params.self_signed(key).unwrap();
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), key }
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn certificate_pem(&self) -> String {
        self.pem.clone()
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(super) fn sha1(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }

    pub(super) fn sha256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }

    /// As an element of `x5c`.
    pub(super) fn x5c(&self) -> String {
        STANDARD.encode(&self.der)
    }

    pub(super) fn sign(&self, scheme: Scheme, message: &[u8]) -> Vec<u8> {
        let pair = RsaKeyPair::from_pkcs8(self.key.serialized_der()).unwrap();
        let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = match scheme {
            Scheme::Ps256 => &RSA_PSS_SHA256,
            Scheme::Rs256 => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// An assertion with these parts; its signature is right, whatever stands in them.
    pub(super) fn jwt(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let scheme = if header["alg"] == "RS256" { Scheme::Rs256 } else { Scheme::Ps256 };
        let signature = URL_SAFE_NO_PAD.encode(self.sign(scheme, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The header Microsoft asks for.
    pub(super) fn header(&self) -> Value {
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.sha256()})
    }
}

/// The claims Microsoft asks for.
pub(super) fn claims(client_id: &str, audience: &str) -> Value {
    let now = Utc::now().timestamp();
    json!({
        "aud": audience, "iss": client_id, "sub": client_id, "jti": Uuid::new_v4().to_string(),
        "nbf": now, "iat": now, "exp": now + 600,
    })
}

/// One RSA key for the whole test process: making one takes longer than most tests.
fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(new_key)
}

fn new_key() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}
