//! How an application proves who it is: a secret, an assertion signed with its certificate, or another provider's
//! token; a public application by nothing at all.

use chrono::Utc;

use super::aadsts::TokenRefusal;
use super::assertion::{self, Expected};
use super::federation::{self, Provider};
use super::jwt::Jwt;
use crate::sandbox::options::Options;
use crate::sandbox::tenant::{EXPIRED_SECRET, PUBLIC_CLIENT_ID};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a token request shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientProof<'a> {
    pub(super) client_id: &'a str,
    /// A user signs in: a public application needs no proof then.
    pub(super) ropc: bool,
    pub(super) secret: Option<&'a str>,
    pub(super) assertion: Option<&'a str>,
    pub(super) assertion_type: Option<&'a str>,
    /// The token endpoint as it was asked, without the scheme.
    pub(super) endpoint: &'a str,
}

impl ClientProof<'_> {
    pub(super) fn check(&self, options: &Options, provider: &Provider) -> Result<(), TokenRefusal> {
        let is_public = self.client_id == PUBLIC_CLIENT_ID;
        match (self.secret, self.assertion) {
            (None, None) if is_public && self.ropc => Ok(()),
            (None, None) => Err(self.nothing()),
            _ if is_public => Err(TokenRefusal::client(
                700_025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
            )),
            (Some(_), Some(_)) => Err(TokenRefusal::bad(
                "invalid_request",
                90_023,
                "Invalid STS request. Only one of 'client_assertion' and 'client_secret' may be presented.",
            )),
            (Some(secret), None) => self.check_secret(secret, options),
            (None, Some(text)) => self.check_assertion(text, options, provider),
        }
    }

    fn nothing(&self) -> TokenRefusal {
        match self.ropc {
            true => TokenRefusal::client(
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            ),
            false => TokenRefusal::client(
                7_000_216,
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
            ),
        }
    }

    fn check_secret(&self, secret: &str, options: &Options) -> Result<(), TokenRefusal> {
        let client_id = self.client_id;
        match secret {
            secret if secret == options.client_secret => Ok(()),
            EXPIRED_SECRET => Err(TokenRefusal::client(
                7_000_222,
                format!("The provided client secret keys for app '{client_id}' are expired."),
            )),
            _ => Err(TokenRefusal::client(
                7_000_215,
                format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
                ),
            )),
        }
    }

    /// A token that names no certificate is another provider's, unless it claims to come from the application itself.
    fn check_assertion(&self, text: &str, options: &Options, provider: &Provider) -> Result<(), TokenRefusal> {
        self.check_type()?;
        let jwt = Jwt::read(text).ok_or_else(|| assertion::malformed("Token format not valid."))?;
        let now = Utc::now();
        let is_own = jwt.claim_text("iss").is_some_and(|issuer| issuer.eq_ignore_ascii_case(self.client_id));
        if assertion::names_certificate(&jwt) || is_own {
            let expected = Expected { client_id: self.client_id, endpoint: self.endpoint, now };
            return assertion::check(&jwt, expected, &options.certificates);
        }
        federation::check(&jwt, &options.federated, provider, now)
    }

    fn check_type(&self) -> Result<(), TokenRefusal> {
        match self.assertion_type {
            Some(JWT_BEARER) => Ok(()),
            None | Some("") => Err(TokenRefusal::missing("client_assertion_type")),
            Some(other) => {
                let message = format!("Invalid STS request. The 'client_assertion_type' '{other}' is not supported.");
                Err(TokenRefusal::bad("invalid_request", 90_023, message))
            }
        }
    }
}

#[cfg(test)]
#[path = "client_proof_tests.rs"]
mod tests;
