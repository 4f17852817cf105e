//! Entra's v2 token endpoint and the document that describes it: client credentials with a secret, and user name with password (ROPC). Every refusal an
//! operator can cause occurs by itself, in the order Entra checks: request, tenant, application, scope, secret, user.

use std::collections::HashMap;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::aadsts::TokenRefusal;
use super::knobs::Knobs;
use super::reply::{Ids, Reply};
use super::retry_after::RetryAfter;
use super::scope::check_scope;
use super::token_rate::{AskedTooOften, TOO_OFTEN_WAIT};
use super::token_text::token_text;
use super::tokens::{Caller, Tokens};
use super::{CLIENT_ID, EXPIRED_SECRET, NO_CONSENT_CLIENT_ID, PUBLIC_CLIENT_ID, TENANT_DOMAIN, TENANT_ID, USERNAME};

/// A token request, taken apart.
#[derive(Debug)]
pub(super) struct TokenRequest {
    tenant: String,
    form: HashMap<String, String>,
}

impl TokenRequest {
    pub(super) fn read(tenant: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        if let Some((id, secret)) = basic_credentials(headers) {
            form.entry("client_id".into()).or_insert(id);
            form.entry("client_secret".into()).or_insert(secret);
        }
        Self { tenant: tenant.to_lowercase(), form }
    }

    /// The claims a client passes on after a challenge.
    pub(super) fn claims(&self) -> Option<&str> {
        self.field("claims")
    }

    /// A token, or why there is none.
    pub(super) fn answer(&self, tokens: &Tokens, knobs: &Knobs, rate: &AskedTooOften, ids: &Ids) -> Reply {
        if rate.is_over(knobs.token_requests_per_minute) {
            return self.too_often(ids);
        }
        match self.caller(knobs) {
            Ok(caller) => {
                let client_id = self.field("client_id").unwrap_or_default().to_lowercase();
                let token = token_text(&caller, &client_id, self.audience(), knobs);
                tokens.issue(&token, caller, &knobs.roles, knobs.token_lifetime);
                self.granted(token, knobs)
            }
            Err(refusal) => refusal.reply(ids),
        }
    }

    /// The resource as it was asked for; a bare permission is one of Graph's.
    fn audience(&self) -> &str {
        let scopes = self.field("scope").unwrap_or_default().split_whitespace();
        let resource = scopes.filter_map(|scope| Some(scope.rsplit_once('/')?.0)).next();
        resource.unwrap_or("https://graph.microsoft.com")
    }

    fn caller(&self, knobs: &Knobs) -> Result<Caller, TokenRefusal> {
        let grant = self.needed("grant_type")?;
        let ropc = match grant {
            "client_credentials" => false,
            "password" => true,
            other => return Err(unsupported_grant(other)),
        };
        check_tenant(&self.tenant, ropc)?;
        if self.field("resource").is_some() {
            let message = "The 'resource' request parameter isn't supported.";
            return Err(TokenRefusal::bad("invalid_request", 901_002, message));
        }
        let client_id = self.needed("client_id")?.to_lowercase();
        check_client(&client_id)?;
        let scope = self.field("scope").ok_or_else(|| TokenRefusal::missing("scope"))?;
        check_scope(scope, ropc)?;
        self.check_secret(&client_id, ropc, knobs)?;
        if client_id == NO_CONSENT_CLIENT_ID {
            let message =
                format!("The user or administrator has not consented to use the application with ID '{client_id}'.");
            return Err(TokenRefusal::bad("invalid_grant", 65_001, message).suberror("consent_required"));
        }
        if ropc { self.user(knobs) } else { Ok(Caller::App) }
    }

    fn check_secret(&self, client_id: &str, ropc: bool, knobs: &Knobs) -> Result<(), TokenRefusal> {
        if self.field("client_assertion").is_some() {
            return Err(TokenRefusal::client(
                700_027,
                "The certificate with identifier used to sign the client assertion is not registered on application.",
            ));
        }
        let secret = self.field("client_secret");
        match (client_id == PUBLIC_CLIENT_ID, secret) {
            (true, Some(_)) => Err(TokenRefusal::client(
                700_025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
            )),
            (true, None) if ropc => Ok(()),
            (_, None) if ropc => Err(TokenRefusal::client(
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )),
            (_, None) => Err(TokenRefusal::client(
                7_000_216,
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
            )),
            (_, Some(secret)) if secret == knobs.client_secret => Ok(()),
            (_, Some(EXPIRED_SECRET)) => Err(TokenRefusal::client(
                7_000_222,
                format!("The provided client secret keys for app '{client_id}' are expired."),
            )),
            (_, Some(_)) => Err(TokenRefusal::client(
                7_000_215,
                format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
                ),
            )),
        }
    }

    /// Accounts with trouble have it whatever the password is.
    fn user(&self, knobs: &Knobs) -> Result<Caller, TokenRefusal> {
        let username = self.needed("username")?.to_lowercase();
        let password = self.needed("password")?;
        if let Some(refusal) = troubled(&username) {
            return Err(refusal);
        }
        if username != USERNAME {
            let message = format!(
                "The user account {username} does not exist in the Contoso directory. To sign into this application, the account must be added to the directory."
            );
            return Err(TokenRefusal::bad("invalid_grant", 50_034, message));
        }
        if password != knobs.password {
            let message = "Error validating credentials due to invalid username or password.";
            return Err(TokenRefusal::bad("invalid_grant", 50_126, message));
        }
        Ok(Caller::User(username))
    }

    fn granted(&self, token: String, knobs: &Knobs) -> Reply {
        let seconds = |seconds: u64| match knobs.expires_in_as_text {
            true => json!(seconds.to_string()),
            false => json!(seconds),
        };
        let lifetime = knobs.token_lifetime.as_secs();
        let mut body =
            json!({"token_type": "Bearer", "expires_in": seconds(lifetime), "ext_expires_in": seconds(lifetime)});
        if let Some(body) = body.as_object_mut() {
            if let Some(refresh_in) = knobs.refresh_in_s {
                body.insert("refresh_in".into(), seconds(refresh_in));
            }
            if self.field("grant_type") == Some("password") {
                body.insert("scope".into(), json!("https://graph.microsoft.com/Calendars.ReadWrite"));
            }
            body.insert("access_token".into(), Value::String(token));
        }
        Reply::json(StatusCode::OK, body).header(CACHE_CONTROL, "no-store, no-cache")
    }

    /// Applications are told when to come back; users are told that their client loops.
    fn too_often(&self, ids: &Ids) -> Reply {
        if self.field("grant_type") == Some("password") {
            let message = "The server terminated an operation because it encountered a client request loop.";
            return TokenRefusal::bad("invalid_grant", 50_196, message).reply(ids);
        }
        let message = "Too many token requests; use the token you have.";
        let refusal = TokenRefusal::scripted(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", message);
        refusal.reply(ids).retry_after(&RetryAfter::seconds(TOO_OFTEN_WAIT))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    fn needed(&self, name: &str) -> Result<&str, TokenRefusal> {
        let value = self.field(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| TokenRefusal::missing(name))
    }
}

/// What the public discovery document of a tenant says of its endpoints, or that there is no such tenant.
pub(super) fn discovery(tenant: &str, host: &str, ids: &Ids) -> Reply {
    if let Err(refusal) = check_tenant(&tenant.to_lowercase(), true) {
        return refusal.reply(ids);
    }
    let base = format!("http://{host}/{tenant}");
    let document = json!({
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "issuer": format!("https://login.microsoftonline.com/{TENANT_ID}/v2.0"),
        "tenant_region_scope": "EU",
    });
    Reply::json(StatusCode::OK, document)
}

fn check_tenant(tenant: &str, ropc: bool) -> Result<(), TokenRefusal> {
    match (tenant, ropc) {
        (TENANT_ID | TENANT_DOMAIN | "contoso.com", _) | ("organizations", true) => Ok(()),
        ("common" | "consumers", _) => Err(TokenRefusal::bad(
            "invalid_request",
            9_001_023,
            "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.",
        )),
        ("organizations", false) => Err(TokenRefusal::bad(
            "invalid_request",
            50_059,
            "No tenant-identifying information found in either the request or implied by any provided credentials.",
        )),
        (other, _) => Err(TokenRefusal::bad(
            "invalid_request",
            90_002,
            format!(
                "Tenant '{other}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
            ),
        )),
    }
}

fn check_client(client_id: &str) -> Result<(), TokenRefusal> {
    match client_id {
        CLIENT_ID | PUBLIC_CLIENT_ID | NO_CONSENT_CLIENT_ID => Ok(()),
        other => Err(TokenRefusal::bad(
            "unauthorized_client",
            700_016,
            format!(
                "Application with identifier '{other}' was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
            ),
        )),
    }
}

fn troubled(username: &str) -> Option<TokenRefusal> {
    let (local, domain) = username.split_once('@')?;
    let (number, message) = match local {
        _ if domain != "contoso.com" => return None,
        "locked" => (
            50_053,
            "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
        ),
        "expired" => (50_055, "The password is expired."),
        "disabled" => (50_057, "The user account is disabled."),
        "mfa" => (
            50_076,
            "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
        ),
        "policy" => (
            53_003,
            "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
        ),
        _ => return None,
    };
    let refusal = TokenRefusal::bad("invalid_grant", number, message);
    Some(match number {
        50_076 => refusal.suberror("basic_action"),
        53_003 => refusal.suberror("message_only"),
        _ => refusal,
    })
}

fn unsupported_grant(grant: &str) -> TokenRefusal {
    let message = format!("The app requested an unsupported grant type '{grant}'.");
    TokenRefusal::bad("unsupported_grant_type", 70_003, message)
}

/// `Authorization: Basic`, both parts form-encoded before they were joined.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    Some((decoded(id), decoded(secret)))
}

#[cfg(test)]
#[path = "entra_tests.rs"]
mod tests;
