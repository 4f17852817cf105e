//! The proof that comes in the place of a secret: a short-lived JWT signed with the application's private key
//! (`private_key_jwt`, graph-facts 5.2).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::certificate::Certificate;
use crate::secret::Secret;

/// How long it serves, seconds. Entra asks for five to ten minutes.
const LIFETIME: i64 = 600;

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: i64,
    iat: i64,
    exp: i64,
}

/// An assertion of `client_id` for the token endpoint `audience`, good from `now` on and never to be used twice.
/// `chain`: the certificate goes along with it, and those beside it in its file.
///
/// # Errors
/// The key signs nothing, which [`Certificate`] has looked at before.
pub(super) fn sign(
    certificate: &Certificate,
    client_id: &str,
    audience: &str,
    chain: bool,
    now: DateTime<Utc>,
) -> Result<Secret, jsonwebtoken::errors::Error> {
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(certificate.thumbprint()));
    header.x5c = chain.then(|| certificate.chain().iter().map(|der| STANDARD.encode(der)).collect());
    let now = now.timestamp();
    let claims = Claims {
        aud: audience,
        iss: client_id,
        sub: client_id,
        jti: uuid::Uuid::new_v4().to_string(),
        nbf: now,
        iat: now,
        exp: now.saturating_add(LIFETIME),
    };
    encode(&header, &claims, &EncodingKey::from_rsa_der(certificate.key())).map(Secret::new)
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
