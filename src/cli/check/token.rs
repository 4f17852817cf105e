//! The token: whether there is one, and what it permits.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;

use super::findings::Finding;
use super::network::Peer;
use crate::agent::wiring;
use crate::auth::{TokenCache, TokenClaims, only_time_helps};
use crate::config::{AuthMode, AuthSettings, Settings};
use crate::format::clock;
use crate::queue::AgentRow;
use crate::secret::Secret;

const CHECK: &str = "token";
/// What sending needs.
const NEEDED: &str = "Calendars.ReadWrite";
/// Graph's own application id, which names it as a resource in every cloud.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

pub(super) struct Token {
    pub(super) findings: Vec<Finding>,
    pub(super) secret: Option<Arc<Secret>>,
}

/// Signs in as the agent does, unless that would do harm.
pub(super) async fn get(settings: &Settings, tokens: &TokenCache, at: Peer, agent: Option<&AgentRow>) -> Token {
    let none = |finding| Token { findings: vec![finding], secret: None };
    if at == Peer::Unexpected {
        return none(Finding::not_checked(CHECK, "the secret is not sent to an unexpected server"));
    }
    if let Some(until) = better_left_alone(agent) {
        let why = format!("more tries make it worse, as the agent has learnt; nothing is tried before {until}");
        return none(Finding::not_checked(CHECK, &why));
    }
    match tokens.get(Instant::now()).await {
        Ok(secret) => {
            let text = match (&settings.auth.tenant_id, &settings.auth.client_id) {
                (Some(tenant), Some(client)) if !wiring::own_identity(settings) => {
                    format!("tenant {tenant} gave application {client} a token")
                }
                // Which of them it is shows nowhere else.
                _ => match TokenClaims::read(&secret).and_then(|claims| claims.application) {
                    Some(application) => {
                        format!("this machine's managed identity, application {application}, got a token")
                    }
                    None => "this machine's managed identity got a token".to_owned(),
                },
            };
            Token { findings: vec![Finding::pass(CHECK, text)], secret: Some(secret) }
        }
        Err(refusal) => {
            let finding = Finding::fail(CHECK, refusal.hint.means).cured_by(refusal.hint.cure).about(refusal.code);
            none(finding.unreachable(refusal.unreachable))
        }
    }
}

/// Until when the agent, running or stopped meanwhile, leaves the sign-in alone because of a lock or limit that grows with every try.
fn better_left_alone(agent: Option<&AgentRow>) -> Option<String> {
    let gate = agent?.said.as_ref()?.gate.as_ref()?;
    let until = gate.closed_until(Utc::now())?;
    only_time_helps(&gate.code).then(|| clock(until, Utc::now()))
}

/// What the token says it permits, and whether it is the one that was asked for. `readable`: whether a mailbox could be
/// read with it.
pub(super) fn permissions(settings: &Settings, token: Option<&Secret>, readable: bool) -> Vec<Finding> {
    let Some(claims) = token.and_then(TokenClaims::read) else {
        let text = "it is opaque, so what it permits is unknown";
        return vec![Finding::warn(CHECK, text).cure("what the mailboxes say is what counts")];
    };
    let mut findings = vec![permission(Holder::of(&settings.auth.mode), &claims.permissions, readable)];
    findings.extend(mismatches(&settings.auth, &claims));
    findings
}

/// Whose the permission is, which says how it is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Application,
    ManagedIdentity,
    User,
}

impl Holder {
    fn of(mode: &AuthMode) -> Self {
        match mode {
            AuthMode::Password { .. } => Self::User,
            AuthMode::ManagedIdentity { .. } => Self::ManagedIdentity,
            AuthMode::ClientSecret { .. } | AuthMode::Certificate { .. } | AuthMode::Federated { .. } => {
                Self::Application
            }
        }
    }

    /// What an administrator must do.
    fn cure(self) -> String {
        match self {
            Self::User => format!(
                "an administrator must grant consent for {NEEDED} (the delegated permission, docs/sign-in/password.md)"
            ),
            Self::Application => format!(
                "an administrator must grant consent for {NEEDED} (the application permission, docs/sign-in/register.md)"
            ),
            Self::ManagedIdentity => {
                format!("an administrator must assign {NEEDED} to the identity (docs/sign-in/managed-identity.md)")
            }
        }
    }
}

fn permission(holder: Holder, given: &[String], readable: bool) -> Finding {
    let user = holder == Holder::User;
    let has = |name: &str| given.iter().any(|one| one.eq_ignore_ascii_case(name));
    let named = |finding: Finding| finding.about(if user { "scp" } else { "roles" });
    if has(NEEDED) || (user && has("Calendars.ReadWrite.Shared")) {
        return named(Finding::pass(CHECK, format!("it permits {NEEDED}")));
    }
    let list = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
    let text = format!("it does not permit {NEEDED}, only {list}");
    // With this one, that a mailbox can be read says nothing of writing.
    let reads_only = ["Calendars.Read", "Calendars.ReadBasic", "Calendars.ReadBasic.All"].into_iter().any(has);
    if !user && !reads_only && readable {
        let text = format!("it does not name {NEEDED}, but a mailbox can be read: Exchange itself grants access");
        let cure = "in order if it is meant so (RBAC for Applications, docs/sign-in/limit-mailboxes.md)";
        return named(Finding::warn(CHECK, text).cure(cure));
    }
    named(Finding::fail(CHECK, text).cure(holder.cure()))
}

/// Where token and settings do not say the same.
fn mismatches(auth: &AuthSettings, claims: &TokenClaims) -> Vec<Finding> {
    let mut findings = Vec::new();
    let warn = |about: &str, text: String, cure: &str| {
        Finding::warn(CHECK, text).about(about.to_owned()).cure(cure.to_owned())
    };
    let alike = |a: &str, b: &str| a.trim_end_matches('/').eq_ignore_ascii_case(b.trim_end_matches('/'));
    if let Some(audience) = &claims.audience
        && !alike(audience, &auth.resource)
        && !alike(audience, GRAPH)
        && !alike(&auth.resource, GRAPH)
    {
        let text = format!("it is for {audience}, not for {}", auth.resource);
        findings.push(warn("aud", text, "leave auth.resource out, or give it the address of graph.endpoint"));
    }
    // A tenant may be named by a domain, which the token does not repeat.
    if let Some((tenant, asked)) = claims.tenant.as_ref().zip(auth.tenant_id.as_deref())
        && uuid::Uuid::try_parse(asked).is_ok()
        && !alike(tenant, asked)
    {
        findings.push(warn("tid", format!("it was issued in tenant {tenant}"), "compare auth.tenant_id"));
    }
    if let Some((application, asked)) = claims.application.as_ref().zip(auth.client_id.as_deref())
        && !alike(application, asked)
    {
        findings.push(warn("appid", format!("it was issued to application {application}"), "compare auth.client_id"));
    }
    if claims.expires.is_some_and(|at| at <= Utc::now().timestamp()) {
        let text = "by this machine's clock it has expired already".to_owned();
        findings.push(warn("exp", text, "look at the clock ('date')"));
    }
    findings
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
