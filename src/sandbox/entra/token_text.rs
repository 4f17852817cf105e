//! What a token looks like: a JWT with the claims of a Graph token, with a signature that is not valid. Clients must
//! not rely on the claims, and Graph's own may be opaque one day; a diagnosis reads them all the same, so they are there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

use super::tokens::Caller;
use crate::sandbox::options::Options;
use crate::sandbox::tenant::TENANT_ID;

/// The token for `caller`, asked for by `client_id` for the resource `audience`.
pub(super) fn token_text(caller: &Caller, client_id: &str, audience: &str, options: &Options) -> String {
    let signature = URL_SAFE_NO_PAD.encode(random());
    if options.opaque_tokens {
        return format!("sandbox.{signature}");
    }
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "sandbox", "x5t": "sandbox"});
    format!("{}.{}.{signature}", part(&header), part(&claims(caller, client_id, audience, options)))
}

/// The claims of a version 1.0 token, which is what Graph takes.
fn claims(caller: &Caller, client_id: &str, audience: &str, options: &Options) -> Value {
    let now = Utc::now().timestamp();
    let lifetime = i64::try_from(options.token_lifetime.as_secs()).unwrap_or(i64::MAX);
    let mut claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{TENANT_ID}/"),
        "iat": now,
        "nbf": now,
        "exp": now.saturating_add(lifetime),
        "app_displayname": "Exchange Event Sender",
        "appid": client_id,
        "idtyp": "app",
        "tid": TENANT_ID,
        "uti": Uuid::new_v4().to_string(),
        "ver": "1.0",
    });
    match caller {
        // Without any permission the claim is not there at all.
        Caller::App if options.roles.is_empty() => {}
        Caller::App => claims["roles"] = json!(options.roles),
        Caller::User(name) => {
            claims["idtyp"] = json!("user");
            claims["upn"] = json!(name);
            claims["scp"] = json!(options.roles.join(" "));
        }
    }
    claims
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn random() -> Vec<u8> {
    (0..6).flat_map(|_| *Uuid::new_v4().as_bytes()).collect()
}
