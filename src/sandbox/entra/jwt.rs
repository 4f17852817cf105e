//! A signed token as a client presents it (a JWT in its compact form), taken apart by hand, so that the client's
//! library is not checked by itself. The signature is verified elsewhere, where the key is known.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The three parts of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Jwt<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// Header and claims as they came: what the signature is about.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// None for anything but three parts of unpadded base64url, the first two of them JSON objects.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: signed.as_bytes(),
            signature: bytes(signature)?,
        })
    }

    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    pub(super) fn claim_text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Seconds since 1970; a fraction is cut off.
    pub(super) fn claim_time(&self, name: &str) -> Option<i64> {
        let value = self.claims.get(name)?;
        // `as` saturates: a number beyond all times becomes the last of them.
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
    }
}

/// Unpadded base64url, as everywhere in a JWT but in `x5c`.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&bytes(part)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_token_has_a_header_claims_and_a_signature() {
        let text = format!("{}.{}.c2ln", part(r#"{"alg":"PS256"}"#), part(r#"{"iss":"app","exp":7.9,"nbf":5}"#));
        let jwt = Jwt::read(&text).unwrap();
        assert_eq!((jwt.header_text("alg"), jwt.claim_text("iss")), (Some("PS256"), Some("app")));
        assert_eq!((jwt.claim_time("exp"), jwt.claim_time("nbf"), jwt.claim_time("iss")), (Some(7), Some(5), None));
        assert_eq!((jwt.signature.as_slice(), jwt.signed), (&b"sig"[..], &text.as_bytes()[..text.len() - 5]));
    }

    #[test]
    fn anything_else_is_none() {
        let (object, list) = (part("{}"), part("[]"));
        for text in [
            String::new(),
            object.clone(),
            format!("{object}.{object}"),
            format!("{object}.{object}.{object}.{object}"),
            format!("{list}.{object}.c2ln"),
            format!("{object}.{list}.c2ln"),
            format!("{object}.{object}.c2ln=="),
            format!("{object}.%7B%7D.c2ln"),
        ] {
            assert_eq!(Jwt::read(&text), None, "{text}");
        }
    }
}
