//! Another identity provider, such as a Kubernetes cluster: the tokens it signs for a workload, and the credential
//! configured for the application that lets such a token stand in for a secret.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::aadsts::TokenRefusal;
use super::assertion::{check_time, malformed};
use super::jwt::Jwt;
use crate::sandbox::options::FederatedCredential;

/// Lifetime of a token when none is asked for, seconds; that of a Kubernetes service account token.
const LIFETIME_S: i64 = 3600;

/// What the other provider is asked to sign. The JSON of `POST /sandbox/federated-token`; what is left out is as the
/// configured credential wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FederatedToken {
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: Option<String>,
    /// Seconds from now until it ends, an hour when left out; below zero: it has ended.
    pub lifetime_s: Option<i64>,
}

/// The other provider. Its key is made when it is first needed, which most sandboxes never do.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Provider(OnceLock<Option<KeyPair>>);

impl Provider {
    /// A token of the shape Kubernetes gives to a pod.
    pub(in crate::sandbox) fn issue(
        &self,
        wanted: &FederatedToken,
        credential: &FederatedCredential,
        now: DateTime<Utc>,
    ) -> String {
        let or = |wanted: &Option<String>, usual: &String| wanted.clone().unwrap_or_else(|| usual.clone());
        let now = now.timestamp();
        let end = now.saturating_add(wanted.lifetime_s.unwrap_or(LIFETIME_S));
        let header = json!({"alg": "RS256", "kid": "sandbox-cluster"});
        let claims = json!({
            "aud": [or(&wanted.audience, &credential.audience)],
            "exp": end,
            "iat": now.min(end),
            "iss": or(&wanted.issuer, &credential.issuer),
            "jti": Uuid::new_v4().to_string(),
            "nbf": now.min(end),
            "sub": or(&wanted.subject, &credential.subject),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        // Without random numbers there is no signature; such a token is refused like any forged one.
        let signature = self.sign(signed.as_bytes()).unwrap_or_default();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let key = self.key()?;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }

    fn has_signed(&self, jwt: &Jwt) -> bool {
        let Some(key) = self.key().filter(|_| jwt.header_text("alg") == Some("RS256")) else { return false };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
        key.verify(jwt.signed, &jwt.signature).is_ok()
    }

    fn key(&self) -> Option<&KeyPair> {
        self.0.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).ok()).as_ref()
    }
}

/// Accepts the provider's token for the application, or says why not.
pub(in crate::sandbox) fn check(
    jwt: &Jwt,
    credential: &FederatedCredential,
    provider: &Provider,
    now: DateTime<Utc>,
) -> Result<(), TokenRefusal> {
    let time = |name: &str| jwt.claim_time(name).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let end = time("exp").ok_or_else(|| malformed("The claim 'exp' is missing or is not a time."))?;
    let issuer = jwt.claim_text("iss").unwrap_or_default();
    if issuer != credential.issuer {
        return Err(no_match(700_211, "issuer", issuer));
    }
    let subject = jwt.claim_text("sub").unwrap_or_default();
    if subject != credential.subject {
        return Err(no_match(700_213, "subject", subject));
    }
    let audiences = audiences(jwt);
    if !audiences.contains(&credential.audience.as_str()) {
        return Err(no_match(700_212, "audience", &audiences.join(",")));
    }
    if !provider.has_signed(jwt) {
        let key = jwt.header_text("kid").unwrap_or_default();
        let message = format!(
            "Assertion failed signature validation. [Reason - The provided signature value did not match the expected signature value., Thumbprint of key used by client: '{key}']."
        );
        return Err(TokenRefusal::client(50_013, message));
    }
    let begin = time("nbf").unwrap_or(DateTime::UNIX_EPOCH);
    check_time(begin, end, now)
}

fn audiences<'a>(jwt: &'a Jwt) -> Vec<&'a str> {
    match jwt.claims.get("aud") {
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn no_match(number: u32, claim: &str, presented: &str) -> TokenRefusal {
    let message = format!(
        "No matching federated identity record found for presented assertion {claim} '{presented}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    );
    TokenRefusal::client(number, message)
}

#[cfg(test)]
#[path = "federation_tests.rs"]
mod tests;
