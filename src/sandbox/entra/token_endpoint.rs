//! Entra's token endpoints, v2 and v1, and the documents that describe them: client credentials, and user name with
//! password (ROPC). Every refusal an operator can cause occurs by itself, in the order Entra checks: request, tenant,
//! application, scope or resource, the application's proof, user.

use std::collections::HashMap;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::aadsts::TokenRefusal;
use super::client_proof::ClientProof;
use super::federation::Provider;
use super::scope::{check_resource, check_scope};
use super::state::Entra;
use super::token_rate_limit::TOO_OFTEN_WAIT;
use super::token_text::token_text;
use super::tokens::Caller;
use crate::sandbox::options::{Options, check_claims};
use crate::sandbox::reply::{Ids, Reply};
use crate::sandbox::retry_after::RetryAfter;
use crate::sandbox::tenant::{CLIENT_ID, NO_CONSENT_CLIENT_ID, PUBLIC_CLIENT_ID, TENANT_DOMAIN, TENANT_ID, USERNAME};

/// The generations of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Takes `resource`, answers numbers as text.
    V1,
    /// Takes `scope`.
    V2,
}

impl Version {
    /// The addresses of the second generation say so.
    fn of(path: &str) -> Self {
        if path.contains("/v2.0/") { Self::V2 } else { Self::V1 }
    }
}

/// A token request, taken apart.
#[derive(Debug)]
pub(in crate::sandbox) struct TokenRequest {
    version: Version,
    tenant: String,
    /// The address it was sent to, without the scheme.
    endpoint: String,
    form: HashMap<String, String>,
}

impl TokenRequest {
    pub(in crate::sandbox) fn read(tenant: &str, parts: &Parts, body: &[u8]) -> Self {
        let mut form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        if let Some((id, secret)) = basic_credentials(&parts.headers) {
            form.entry("client_id".into()).or_insert(id);
            form.entry("client_secret".into()).or_insert(secret);
        }
        let endpoint = format!("{}{}", host(parts), parts.uri.path());
        let version = Version::of(parts.uri.path());
        Self { version, tenant: tenant.to_lowercase(), endpoint, form }
    }

    /// The claims a client passes on after a challenge.
    pub(in crate::sandbox) fn claims(&self) -> Option<&str> {
        self.field("claims")
    }

    /// What is presented instead of a secret.
    pub(in crate::sandbox) fn assertion(&self) -> Option<&str> {
        self.field("client_assertion")
    }

    /// A token, or why there is none.
    pub(in crate::sandbox) fn answer(&self, entra: &Entra, options: &Options, ids: &Ids) -> Reply {
        if entra.token_rate_limit.is_over(options.token_requests_per_minute) {
            return self.too_often(ids);
        }
        match self.caller(options, &entra.provider) {
            Ok(caller) => {
                let client_id = self.field("client_id").unwrap_or_default().to_lowercase();
                let token = token_text(&caller, &client_id, self.audience(), options);
                entra.tokens.issue(&token, caller, &options.roles, options.token_lifetime);
                if let Some(claims) = self.claims() {
                    entra.tokens.note_claims(&token, claims);
                }
                self.granted(token, options)
            }
            Err(refusal) => refusal.reply(ids),
        }
    }

    /// The resource as it was asked for; a bare permission is one of Graph's.
    fn audience(&self) -> &str {
        if self.version == Version::V1 {
            return self.field("resource").unwrap_or_default();
        }
        let scopes = self.field("scope").unwrap_or_default().split_whitespace();
        let resource = scopes.filter_map(|scope| Some(scope.rsplit_once('/')?.0)).next();
        resource.unwrap_or("https://graph.microsoft.com")
    }

    fn caller(&self, options: &Options, provider: &Provider) -> Result<Caller, TokenRefusal> {
        let grant = self.needed("grant_type")?;
        let ropc = match grant {
            "client_credentials" => false,
            "password" => true,
            other => return Err(unsupported_grant(other)),
        };
        check_tenant(&self.tenant, ropc)?;
        if self.version == Version::V2 && self.field("resource").is_some() {
            let message = "The 'resource' request parameter isn't supported.";
            return Err(TokenRefusal::bad("invalid_request", 901_002, message));
        }
        let client_id = self.needed("client_id")?.to_lowercase();
        check_client(&client_id)?;
        self.check_target(ropc)?;
        self.check_claims()?;
        self.proof(&client_id, ropc).check(options, provider)?;
        if client_id == NO_CONSENT_CLIENT_ID {
            let message =
                format!("The user or administrator has not consented to use the application with ID '{client_id}'.");
            return Err(TokenRefusal::bad("invalid_grant", 65_001, message).suberror("consent_required"));
        }
        if ropc { self.user(options) } else { Ok(Caller::App) }
    }

    fn check_target(&self, ropc: bool) -> Result<(), TokenRefusal> {
        match self.version {
            Version::V1 => check_resource(self.needed("resource")?),
            Version::V2 => check_scope(self.field("scope").ok_or_else(|| TokenRefusal::missing("scope"))?, ropc),
        }
    }

    /// Catches a client that passes a challenge on without decoding it.
    fn check_claims(&self) -> Result<(), TokenRefusal> {
        let claims = self.claims().unwrap_or_default();
        check_claims(claims).map_err(|_| {
            let message = "Invalid STS request. The value of the request parameter 'claims' is not valid JSON.";
            TokenRefusal::bad("invalid_request", 90_023, message)
        })
    }

    fn proof<'a>(&'a self, client_id: &'a str, ropc: bool) -> ClientProof<'a> {
        ClientProof {
            client_id,
            ropc,
            secret: self.field("client_secret"),
            assertion: self.assertion(),
            assertion_type: self.field("client_assertion_type"),
            endpoint: &self.endpoint,
        }
    }

    /// Accounts with trouble are refused whatever the password.
    fn user(&self, options: &Options) -> Result<Caller, TokenRefusal> {
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
        if password != options.password {
            let message = "Error validating credentials due to invalid username or password.";
            return Err(TokenRefusal::bad("invalid_grant", 50_126, message));
        }
        Ok(Caller::User(username))
    }

    fn granted(&self, token: String, options: &Options) -> Reply {
        let is_text = options.expires_in_as_text || self.version == Version::V1;
        let seconds = |seconds: u64| if is_text { json!(seconds.to_string()) } else { json!(seconds) };
        let lifetime = options.token_lifetime.as_secs();
        let mut body =
            json!({"token_type": "Bearer", "expires_in": seconds(lifetime), "ext_expires_in": seconds(lifetime)});
        if let Some(body) = body.as_object_mut() {
            if let Some(refresh_in) = options.refresh_in_s {
                body.insert("refresh_in".into(), seconds(refresh_in));
            }
            if self.version == Version::V1 {
                let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
                body.insert("expires_on".into(), seconds(now.saturating_add(lifetime)));
                body.insert("not_before".into(), seconds(now));
                body.insert("resource".into(), json!(self.audience()));
            }
            if self.field("grant_type") == Some("password") {
                let scope = match self.version {
                    Version::V1 => "Calendars.ReadWrite",
                    Version::V2 => "https://graph.microsoft.com/Calendars.ReadWrite",
                };
                body.insert("scope".into(), json!(scope));
            }
            body.insert("access_token".into(), Value::String(token));
        }
        Reply::json(StatusCode::OK, body).header(CACHE_CONTROL, "no-store, no-cache")
    }

    /// Applications get a Retry-After; users get the error for a client that loops.
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

/// A tenant's public discovery document, or the refusal of an unknown tenant.
pub(in crate::sandbox) fn discovery(tenant: &str, parts: &Parts, ids: &Ids) -> Reply {
    if let Err(refusal) = check_tenant(&tenant.to_lowercase(), true) {
        return refusal.reply(ids);
    }
    let base = format!("http://{}/{tenant}", host(parts));
    let (endpoint, issuer) = match Version::of(parts.uri.path()) {
        Version::V1 => ("oauth2/token", format!("https://sts.windows.net/{TENANT_ID}/")),
        Version::V2 => ("oauth2/v2.0/token", format!("https://login.microsoftonline.com/{TENANT_ID}/v2.0")),
    };
    let document = json!({
        "token_endpoint": format!("{base}/{endpoint}"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "issuer": issuer,
        "tenant_region_scope": "EU",
    });
    Reply::json(StatusCode::OK, document)
}

/// The host the client asked for; HTTP/2 has it in the address instead of a header.
fn host(parts: &Parts) -> &str {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| parts.uri.authority().map(Authority::as_str)).unwrap_or_default()
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
#[path = "token_endpoint_tests.rs"]
mod tests;
