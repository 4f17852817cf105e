//! Tokens without any secret of ours: the machine the agent runs on is asked for one of its managed identity
//! (graph-facts 5.6). Its services differ in address, header and selectors; Azure Arc wants proof that the caller may read a
//! file first.

use std::io::ErrorKind;
use std::path::{Component, Path};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::answer::{Answer, Fresh, REQUEST_TIMEOUT};
use super::{Patience, TokenRefusal};
use crate::hint::Hint;
use crate::identity::{Identity, IdentityHost};
use crate::secret::Secret;
use crate::secret_file::{self, FileFault, Links};

/// Largest challenge file of Azure Arc that is read.
const MAX_CHALLENGE_BYTES: u64 = 4096;

/// Everything a request to the machine says.
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    /// Whom to ask.
    pub host: IdentityHost,
    /// For which identity.
    pub identity: Identity,
    /// Resource the token is for, without a slash at the end.
    pub resource: String,
}

impl ManagedIdentity {
    /// Asks once; of Azure Arc that is two requests.
    pub(super) async fn ask(&self, http: &reqwest::Client, now: DateTime<Utc>) -> Result<Fresh, TokenRefusal> {
        let request = self.request(http);
        let mut answer = self.answer(request, now).await?;
        if let IdentityHost::Arc { tokens_dir, .. } = &self.host
            && answer.status == 401
        {
            let proof = proof(answer.challenge.as_deref().unwrap_or_default(), tokens_dir)?;
            let basic = Zeroizing::new(format!("Basic {}", proof.expose()));
            let basic = hidden(&basic).ok_or_else(|| TokenRefusal::needs_fix("arc_challenge", STRAY))?;
            answer = self.answer(self.request(http).header("authorization", basic), now).await?;
        }
        answer.token(now).map_err(|refusal| self.explained(answer.status, answer.retry_after, refusal))
    }

    fn request(&self, http: &reqwest::Client) -> RequestBuilder {
        let (endpoint, version, resource_id) = match &self.host {
            IdentityHost::VirtualMachine { endpoint } => (endpoint, "2018-02-01", "msi_res_id"),
            IdentityHost::AppService { endpoint, .. } => (endpoint, "2019-08-01", "mi_res_id"),
            IdentityHost::Arc { endpoint, .. } => (endpoint, "2020-06-01", "msi_res_id"),
        };
        let mut query = vec![("api-version", version), ("resource", self.resource.as_str())];
        query.extend(match &self.identity {
            Identity::System => None,
            Identity::ClientId(id) => Some(("client_id", id.as_str())),
            Identity::ObjectId(id) => Some(("object_id", id.as_str())),
            Identity::ResourceId(id) => Some((resource_id, id.as_str())),
        });
        let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let request = http.get(format!("{endpoint}?{query}")).timeout(REQUEST_TIMEOUT);
        match &self.host {
            // The settings take no other value than one a header can hold.
            IdentityHost::AppService { header, .. } => match hidden(header.expose()) {
                Some(header) => request.header("x-identity-header", header),
                None => request,
            },
            // Without it the services answer nobody: what a web page could make a browser send has no such header.
            IdentityHost::VirtualMachine { .. } | IdentityHost::Arc { .. } => request.header("metadata", "true"),
        }
    }

    async fn answer(&self, request: RequestBuilder, now: DateTime<Utc>) -> Result<Answer, TokenRefusal> {
        let sent = request.send().await.map_err(|error| self.unreachable(&error))?;
        Answer::read(sent, now).await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> TokenRefusal {
        let what = if error.is_timeout() { "does not answer in time" } else { "does not answer" };
        let hint = match &self.host {
            IdentityHost::VirtualMachine { .. } => {
                "is this an Azure VM, with a managed identity and no firewall before 169.254.169.254? Elsewhere, set another auth.mode."
            }
            IdentityHost::AppService { .. } => "it is at IDENTITY_ENDPOINT, which App Service sets.",
            IdentityHost::Arc { .. } => "look at Azure Arc's agent ('azcmagent show').",
        };
        TokenRefusal::no_connection(Hint {
            means: format!("The managed identity service of this machine {what}").into(),
            cure: Some(hint.into()),
        })
    }

    /// IMDS asks to be tried again after 404, 410, 429 and 5xx, and not after other 4xx (graph-facts 5.6).
    /// Its wait is the server's own, or none.
    fn explained(&self, status: u16, retry_after: Option<Duration>, refusal: TokenRefusal) -> TokenRefusal {
        if refusal.code.starts_with("AADSTS") {
            return refusal;
        }
        let (hint, patience) = match status {
            404 | 408 | 410 | 429 | 500.. => (self.not_ready(), Patience::Transient),
            401 | 403 => (self.unwelcome(), Patience::Refused),
            400 if self.identity == Identity::System => (
                Hint::new(
                    "This machine has no managed identity of its own",
                    "switch the system-assigned identity on, or name a user-assigned one with auth.client_id.",
                ),
                Patience::Refused,
            ),
            400 => (
                Hint::new(
                    "This machine has no such managed identity",
                    "assign it to the machine, or correct auth.client_id, auth.identity_object_id or auth.identity_resource_id.",
                ),
                Patience::Refused,
            ),
            _ => (
                Hint::new(
                    "The managed identity service of this machine gives an answer that cannot be read",
                    "what listens there?",
                ),
                Patience::Refused,
            ),
        };
        TokenRefusal { hint, patience, retry_after, ..refusal }
    }

    fn not_ready(&self) -> Hint {
        match &self.host {
            // Other clouds have something at the same address.
            IdentityHost::VirtualMachine { .. } => Hint::new(
                "The managed identity service of this machine is busy or not ready",
                "waiting. If this lasts: is this an Azure VM?",
            ),
            _ => Hint::new("The managed identity service of this machine is busy or not ready", "waiting."),
        }
    }

    fn unwelcome(&self) -> Hint {
        match &self.host {
            IdentityHost::VirtualMachine { .. } => Hint::new(
                "What answers in place of the managed identity service refuses the caller",
                "is this an Azure VM? Elsewhere, set another auth.mode.",
            ),
            IdentityHost::AppService { .. } => Hint::new(
                "The managed identity service refuses the caller",
                "IDENTITY_HEADER must be the one App Service sets for this process.",
            ),
            IdentityHost::Arc { .. } => Hint::new(
                "Azure Arc's agent refuses the proof",
                "make the user of this service a member of the group himds, and restart it.",
            ),
        }
    }
}

/// A header that no log of a library shows; none if no header can hold it.
fn hidden(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok()?;
    header.set_sensitive(true);
    Some(header)
}

const STRAY: Hint = Hint::new(
    "Azure Arc's agent names a file outside auth.arc_tokens_dir, which is not read",
    "is what listens at its address really the agent?",
);
const MISSING: Hint = Hint::new(
    "The challenge file that Azure Arc's agent names is not there",
    "is auth.arc_tokens_dir the directory of the agent that answers?",
);
const UNREADABLE: Hint = Hint::new(
    "The challenge file of Azure Arc's agent cannot be read",
    "make the user of this service a member of the group himds, and restart it.",
);

/// What is in the file that the challenge names. Whoever answers in the agent's place must not get another file's content:
/// only a small `.key` file right in the agent's own directory is read.
fn proof(challenge: &str, tokens_dir: &Path) -> Result<Secret, TokenRefusal> {
    let stray = || TokenRefusal::needs_fix("arc_challenge", STRAY);
    let named = challenge.strip_prefix("Basic realm=").map(|path| Path::new(path.trim().trim_matches('"')));
    let path = named.filter(|path| !path.as_os_str().is_empty()).ok_or_else(stray)?;
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !plain || path.parent() != Some(tokens_dir) || path.extension().is_none_or(|end| end != "key") {
        return Err(stray());
    }
    match secret_file::read(path, MAX_CHALLENGE_BYTES, Links::Refused) {
        Ok(content) => Ok(Secret::new(content.expose().trim().to_owned())),
        Err(FileFault::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => {
            Err(TokenRefusal::needs_fix("arc_challenge", MISSING))
        }
        Err(FileFault::Unreadable { .. }) => Err(TokenRefusal::needs_fix("arc_challenge", UNREADABLE)),
        Err(_) => Err(stray()),
    }
}

#[cfg(test)]
#[path = "managed_identity_tests.rs"]
mod tests;
