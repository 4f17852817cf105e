//! What the agent signs in to Entra with: the form fields of each mode (graph-facts 5.1).

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{TokenRefusal, assertion};
use crate::certificate::Certificate;
use crate::hint::Hint;
use crate::secret::Secret;

/// Says that an assertion is a JWT (RFC 7523).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// One of the modes that sign in to Entra itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The application itself, with a secret.
    ClientSecret(Secret),
    /// The application itself, with a certificate.
    Certificate {
        /// Signs an assertion for each request.
        certificate: Arc<Certificate>,
        /// Sends the certificate along, so that Entra may trust its issuer instead of the one certificate.
        send_chain: bool,
    },
    /// The application itself, with the token that another provider gave it.
    Federated(Secret),
    /// A user's name and password (ROPC), with the secret of a confidential client or none for a public one.
    Password {
        username: String,
        password: Secret,
        /// `auth.client_secret`, if the app registration is confidential.
        client_secret: Option<Secret>,
    },
}

impl Credentials {
    /// What an administrator calls the part of them that is renewed.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ClientSecret(_) | Self::Password { .. } => "secret",
            Self::Certificate { .. } => "certificate",
            Self::Federated(_) => "token file",
        }
    }
}

/// Which of Entra's token endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `/oauth2/token`, which takes a resource.
    V1,
    /// `/oauth2/v2.0/token`, which takes a scope.
    V2,
}

/// When credentials end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialEnd {
    /// `certificate` or `client_secret`.
    pub credential: &'static str,
    /// They serve until here, …
    pub at: DateTime<Utc>,
    /// … and from here on, as far as that is known.
    pub begins: Option<DateTime<Utc>>,
}

/// Everything a token request says.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Base of the token endpoint, without a slash at the end: `https://login.microsoftonline.com`.
    pub instance: String,
    /// Tenant id or verified domain.
    pub tenant: String,
    pub client_id: String,
    /// Resource the token is for, without a slash at the end.
    pub resource: String,
    pub version: Version,
    pub credentials: Credentials,
    /// When the client secret ends, as far as somebody wrote it down.
    pub secret_expires: Option<DateTime<Utc>>,
}

impl SignIn {
    /// The token endpoint of the tenant.
    pub fn url(&self) -> String {
        let tenant = percent_encoding::utf8_percent_encode(&self.tenant, percent_encoding::NON_ALPHANUMERIC);
        // '-' and '.' are all that tenant ids and domains have besides letters and digits.
        let tenant = tenant.to_string().replace("%2D", "-").replace("%2E", ".");
        let version = match self.version {
            Version::V1 => "",
            Version::V2 => "/v2.0",
        };
        format!("{}/{tenant}/oauth2{version}/token", self.instance)
    }

    /// The fields of the form at `now`; `claims` answers a claims challenge.
    ///
    /// # Errors
    /// No assertion can be signed with the key.
    pub fn form<'a>(
        &'a self,
        claims: Option<&'a str>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, Cow<'a, str>)>, TokenRefusal> {
        let mut form: Vec<(&'static str, Cow<'a, str>)> = vec![("client_id", self.client_id.as_str().into())];
        form.push(match self.version {
            Version::V1 => ("resource", self.resource.as_str().into()),
            Version::V2 => ("scope", format!("{}/.default", self.resource).into()),
        });
        let grant =
            if matches!(self.credentials, Credentials::Password { .. }) { "password" } else { "client_credentials" };
        form.push(("grant_type", grant.into()));
        match &self.credentials {
            Credentials::ClientSecret(secret) => form.push(("client_secret", secret.expose().into())),
            Credentials::Certificate { certificate, send_chain } => {
                let signed = assertion::sign(certificate, &self.client_id, &self.url(), *send_chain, now);
                let assertion = signed.map_err(|_| unsigned())?;
                form.push(("client_assertion_type", JWT_BEARER.into()));
                form.push(("client_assertion", assertion.expose().to_owned().into()));
            }
            Credentials::Federated(token) => {
                form.push(("client_assertion_type", JWT_BEARER.into()));
                form.push(("client_assertion", token.expose().into()));
            }
            Credentials::Password { username, password, client_secret } => {
                form.push(("username", username.as_str().into()));
                form.push(("password", password.expose().into()));
                form.extend(client_secret.as_ref().map(|secret| ("client_secret", secret.expose().into())));
            }
        }
        form.extend(claims.map(|claims| ("claims", claims.into())));
        Ok(form)
    }

    /// When the credentials end, as far as that can be known.
    pub fn credential_end(&self) -> Option<CredentialEnd> {
        match &self.credentials {
            Credentials::Certificate { certificate, .. } => Some(CredentialEnd {
                credential: "certificate",
                at: certificate.ends(),
                begins: Some(certificate.begins()),
            }),
            Credentials::ClientSecret(_) | Credentials::Password { client_secret: Some(_), .. } => {
                Some(CredentialEnd { credential: "client_secret", at: self.secret_expires?, begins: None })
            }
            _ => None,
        }
    }
}

fn unsigned() -> TokenRefusal {
    let hint = Hint::new("No assertion can be signed with the private key", "make a new key and certificate.");
    TokenRefusal::needs_fix("unsigned", hint)
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
