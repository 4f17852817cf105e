//! What an access token says of itself, for the person who asks why Graph refuses it.
//!
//! Tokens are opaque to their client (graph-facts 5.3): Microsoft may change or encrypt them at any time. So nothing that
//! sends may rest on this. It is read by `check` alone, leniently, and "cannot tell" is an answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::secret::Secret;

/// The claims a diagnosis looks at. The others, among them a person's name, are left where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims {
    /// `aud`: what the token is for.
    pub audience: Option<String>,
    /// `tid`: the tenant it was issued in.
    pub tenant: Option<String>,
    /// `appid`: the application it was issued to (`azp` in tokens of version 2).
    pub application: Option<String>,
    /// `roles` of an application, or `scp` of an application on behalf of a user.
    pub permissions: Vec<String>,
    /// `exp`: its end, in seconds since 1970.
    pub expires: Option<i64>,
}

impl TokenClaims {
    /// Looks into a token; none if there is nothing to be seen.
    pub fn read(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        let read = Self {
            audience: text("aud"),
            tenant: text("tid"),
            application: text("appid").or_else(|| text("azp")),
            permissions: words(&claims["roles"]).chain(words(&claims["scp"])).collect(),
            expires: claims["exp"].as_i64(),
        };
        (read != Self::default()).then_some(read)
    }
}

/// A list of words, or words in one text.
fn words(claim: &Value) -> impl Iterator<Item = String> {
    let listed = claim.as_array().into_iter().flatten().filter_map(Value::as_str);
    listed.chain(claim.as_str().into_iter().flat_map(str::split_whitespace)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(payload: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn an_applications_roles_and_a_users_scopes_are_permissions() {
        let app =
            r#"{"aud":"https://graph.microsoft.com","tid":"t","appid":"a","roles":["Calendars.ReadWrite"],"exp":7}"#;
        let claims = TokenClaims::read(&token(app)).unwrap();
        assert_eq!(claims.permissions, ["Calendars.ReadWrite"]);
        assert_eq!((claims.tenant.as_deref(), claims.application.as_deref()), (Some("t"), Some("a")));
        assert_eq!((claims.audience.as_deref(), claims.expires), (Some("https://graph.microsoft.com"), Some(7)));
        let user = TokenClaims::read(&token(r#"{"azp":"a","scp":"User.Read Calendars.ReadWrite"}"#)).unwrap();
        assert_eq!(user.permissions, ["User.Read", "Calendars.ReadWrite"]);
        assert_eq!(user.application.as_deref(), Some("a"));
    }

    #[test]
    fn a_token_that_shows_nothing_is_no_error() {
        for text in ["", "opaque", "sandbox.abc", "a.b.c", "e30.e30.x", "....", "e30.W10.x"] {
            assert_eq!(TokenClaims::read(&Secret::new(text.into())), None, "{text}");
        }
        for payload in ["[]", "7", "{}", r#"{"roles":7,"aud":[]}"#, r#"{"roles":[1,null]}"#] {
            assert_eq!(TokenClaims::read(&token(payload)), None, "{payload}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_token_makes_a_panic(text in "\\PC{0,80}", payload in "\\PC{0,80}") {
            let _ = TokenClaims::read(&Secret::new(text));
            let _ = TokenClaims::read(&token(&payload));
        }
    }
}
