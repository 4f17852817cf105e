//! Hosts that have an identity of their own and give tokens to the programs on them: a virtual machine (IMDS), App
//! Service, and a machine connected by Azure Arc. Each asks for its own signs that the request comes from this machine.

use std::collections::HashMap;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use chrono::{NaiveDate, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::scope::check_resource;
use super::state::Entra;
use super::token_text::token_text;
use super::tokens::Caller;
use crate::sandbox::options::Options;
use crate::sandbox::reply::{Ids, Reply};
use crate::sandbox::tenant::{
    IDENTITY_CLIENT_ID, IDENTITY_HEADER, IDENTITY_OBJECT_ID, IDENTITY_RESOURCE_ID, SYSTEM_IDENTITY_CLIENT_ID, TENANT_ID,
};

/// The kinds of host, each with an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Host {
    VirtualMachine,
    AppService,
    Arc,
}

impl Host {
    pub(in crate::sandbox) const ALL: [Self; 3] = [Self::VirtualMachine, Self::AppService, Self::Arc];

    pub(in crate::sandbox) fn path(self) -> &'static str {
        match self {
            Self::VirtualMachine => "/metadata/identity/oauth2/token",
            Self::AppService => "/msi/token",
            Self::Arc => "/arc/metadata/identity/oauth2/token",
        }
    }

    /// Which parameters name the user-assigned identity, and what they must say. An Arc machine has none.
    fn selectors(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::VirtualMachine | Self::Arc => &[
                ("client_id", IDENTITY_CLIENT_ID),
                ("object_id", IDENTITY_OBJECT_ID),
                ("msi_res_id", IDENTITY_RESOURCE_ID),
            ],
            Self::AppService => &[
                ("client_id", IDENTITY_CLIENT_ID),
                ("principal_id", IDENTITY_OBJECT_ID),
                ("object_id", IDENTITY_OBJECT_ID),
                ("mi_res_id", IDENTITY_RESOURCE_ID),
            ],
        }
    }

    fn takes_version(self, version: &str) -> bool {
        let since = match self {
            Self::VirtualMachine => NaiveDate::from_ymd_opt(2018, 2, 1),
            Self::AppService => return version == "2019-08-01",
            Self::Arc => NaiveDate::from_ymd_opt(2019, 11, 1),
        };
        NaiveDate::parse_from_str(version, "%Y-%m-%d").is_ok_and(|version| Some(version) >= since)
    }
}

/// A request for a token of the host's identity.
#[derive(Debug)]
pub(in crate::sandbox) struct IdentityRequest<'a> {
    host: Host,
    headers: &'a HeaderMap,
    query: HashMap<String, String>,
}

#[derive(Debug)]
struct IdentityRefusal {
    status: StatusCode,
    error: &'static str,
    description: String,
    /// The challenge of a 401.
    realm: Option<String>,
}

impl<'a> IdentityRequest<'a> {
    pub(in crate::sandbox) fn read(host: Host, parts: &'a Parts) -> Self {
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        Self { host, headers: &parts.headers, query }
    }

    /// A token, or why there is none. For Arc this writes or removes a file.
    pub(in crate::sandbox) fn answer(&self, entra: &Entra, options: &Options, ids: &Ids) -> Reply {
        if entra.token_rate_limit.is_over(options.token_requests_per_minute) {
            let refusal = IdentityRefusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests");
            return refusal.reply(self.host, ids);
        }
        match self.identity(entra, options) {
            Err(refusal) => refusal.reply(self.host, ids),
            Ok(client_id) => {
                let token = token_text(&Caller::App, client_id, self.resource(), options);
                entra.tokens.issue(&token, Caller::App, &options.roles, options.token_lifetime);
                self.granted(token, client_id, options)
            }
        }
    }

    /// The client id of the identity asked for.
    fn identity(&self, entra: &Entra, options: &Options) -> Result<&'static str, IdentityRefusal> {
        self.check_origin()?;
        let version = self.query.get("api-version").map(String::as_str).unwrap_or_default();
        if !self.host.takes_version(version) {
            let description = format!("The api-version '{version}' is missing or not supported");
            return Err(IdentityRefusal::bad("invalid_request", description));
        }
        if self.resource().is_empty() {
            return Err(IdentityRefusal::bad("invalid_request", "Required query variable 'resource' is missing"));
        }
        let identity = self.selected(options)?;
        if check_resource(self.resource()).is_err() {
            let description = format!(
                "AADSTS500011: The resource principal named {} was not found in the tenant named {TENANT_ID}.",
                self.resource()
            );
            return Err(IdentityRefusal::bad("invalid_resource", description));
        }
        if self.host == Host::Arc {
            self.check_challenge(entra, options)?;
        }
        Ok(identity)
    }

    /// Catches forwarded requests (SSRF): those lack the header, or carry one too many.
    fn check_origin(&self) -> Result<(), IdentityRefusal> {
        let has = |name: &str, value: &str| self.headers.get(name).is_some_and(|given| given == value);
        if self.host == Host::AppService {
            let unauthorized =
                || IdentityRefusal::new(StatusCode::UNAUTHORIZED, "unauthorized", "Wrong X-IDENTITY-HEADER");
            return has("x-identity-header", IDENTITY_HEADER).then_some(()).ok_or_else(unauthorized);
        }
        if !has("metadata", "true") {
            return Err(IdentityRefusal::bad("invalid_request", "Required metadata header not specified"));
        }
        if self.headers.contains_key("x-forwarded-for") {
            return Err(IdentityRefusal::bad(
                "invalid_request",
                "Requests with an X-Forwarded-For header are not served",
            ));
        }
        Ok(())
    }

    fn resource(&self) -> &str {
        self.query.get("resource").map(String::as_str).unwrap_or_default()
    }

    fn selected(&self, options: &Options) -> Result<&'static str, IdentityRefusal> {
        let given = |selector: &&(&str, &str)| self.query.contains_key(selector.0);
        let given: Vec<_> = self.host.selectors().iter().filter(given).collect();
        let not_found = match self.host {
            Host::AppService => {
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            }
            Host::VirtualMachine | Host::Arc => "Identity not found",
        };
        match given.as_slice() {
            [] if options.system_identity => Ok(SYSTEM_IDENTITY_CLIENT_ID),
            [_, ..] if self.host == Host::Arc => {
                Err(IdentityRefusal::bad("invalid_request", "Only the system-assigned identity is supported"))
            }
            [(name, id)] if self.query.get(*name).is_some_and(|given| given.eq_ignore_ascii_case(id)) => {
                Ok(IDENTITY_CLIENT_ID)
            }
            [_, _, ..] => {
                Err(IdentityRefusal::bad("invalid_request", "Only one of the identity's ids may be specified"))
            }
            _ => Err(IdentityRefusal::bad("invalid_request", not_found)),
        }
    }

    fn check_challenge(&self, entra: &Entra, options: &Options) -> Result<(), IdentityRefusal> {
        let Some(answer) = self.headers.get(AUTHORIZATION) else { return Err(challenge(entra, options)) };
        let content = answer.to_str().ok().and_then(|answer| answer.strip_prefix("Basic "));
        if content.is_some_and(|content| entra.challenges.redeem(content)) {
            return Ok(());
        }
        Err(IdentityRefusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The authorization is not the content of the file",
        ))
    }

    /// On every kind of host, numbers are text.
    fn granted(&self, token: String, client_id: &str, options: &Options) -> Reply {
        let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
        let lifetime = options.token_lifetime.as_secs();
        let expires_on = now.saturating_add(lifetime).to_string();
        let body = match self.host {
            Host::AppService => json!({
                "access_token": token, "expires_on": expires_on, "resource": self.resource(), "token_type": "Bearer",
                "client_id": client_id,
            }),
            Host::VirtualMachine | Host::Arc => json!({
                "access_token": token, "client_id": client_id, "expires_in": lifetime.to_string(),
                "expires_on": expires_on, "ext_expires_in": lifetime.to_string(), "not_before": now.to_string(),
                "resource": self.resource(), "token_type": "Bearer",
            }),
        };
        Reply::json(StatusCode::OK, body).header(CACHE_CONTROL, "no-store, no-cache")
    }
}

fn challenge(entra: &Entra, options: &Options) -> IdentityRefusal {
    let Some(dir) = &options.arc_tokens_dir else {
        let description = "The sandbox was started without --arc-tokens-dir, so it has no place for challenge files";
        return IdentityRefusal::new(StatusCode::NOT_FOUND, "not_found", description);
    };
    match entra.challenges.issue(dir) {
        Ok(file) => IdentityRefusal {
            realm: Some(format!("Basic realm={}", file.display())),
            ..IdentityRefusal::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized_client",
                "Missing Basic Authorization header",
            )
        },
        Err(error) => {
            let description = format!("cannot write a challenge file into {}: {error}", dir.display());
            IdentityRefusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", description)
        }
    }
}

impl IdentityRefusal {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), realm: None }
    }

    fn bad(error: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, description)
    }

    fn reply(&self, host: Host, ids: &Ids) -> Reply {
        let body: Value = match host {
            Host::AppService => json!({
                "statusCode": self.status.as_u16(), "message": self.description, "correlationId": ids.request_id,
            }),
            Host::VirtualMachine | Host::Arc => {
                json!({"error": self.error, "error_description": self.description})
            }
        };
        let reply = Reply::json(self.status, body).error_code(self.error);
        match &self.realm {
            Some(realm) => reply.header(WWW_AUTHENTICATE, realm),
            None => reply,
        }
    }
}

#[cfg(test)]
#[path = "managed_identity_tests.rs"]
mod tests;
