//! What the agent signs in with: the form fields of each mode (graph-facts 5.1).

use crate::secret::Secret;

/// One of the two modes of the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The application itself: client credentials.
    ClientSecret(Secret),
    /// A user's name and password (ROPC), with the secret of a confidential client or none for a public one.
    Password {
        /// User principal name.
        username: String,
        /// The user's password.
        password: Secret,
        /// `auth.client_secret`, if the app registration is confidential.
        client_secret: Option<Secret>,
    },
}

/// Everything a token request says.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Base of the token endpoint, without a slash at the end: `https://login.microsoftonline.com`.
    pub instance: String,
    /// Tenant id or verified domain.
    pub tenant: String,
    /// Application (client) id.
    pub client_id: String,
    /// Resource whose `/.default` scope is asked for, without a slash at the end.
    pub resource: String,
    /// How.
    pub credentials: Credentials,
}

impl SignIn {
    /// The v2 endpoint of the tenant.
    pub fn url(&self) -> String {
        let tenant = percent_encoding::utf8_percent_encode(&self.tenant, percent_encoding::NON_ALPHANUMERIC);
        // '-' and '.' are all that tenant ids and domains have besides letters and digits.
        let tenant = tenant.to_string().replace("%2D", "-").replace("%2E", ".");
        format!("{}/{tenant}/oauth2/v2.0/token", self.instance)
    }

    /// The fields of the form; `claims` answers a claims challenge.
    pub fn form<'a>(&'a self, scope: &'a str, claims: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
        let mut form = vec![("client_id", self.client_id.as_str()), ("scope", scope)];
        match &self.credentials {
            Credentials::ClientSecret(secret) => {
                form.push(("grant_type", "client_credentials"));
                form.push(("client_secret", secret.expose()));
            }
            Credentials::Password { username, password, client_secret } => {
                form.push(("grant_type", "password"));
                form.push(("username", username));
                form.push(("password", password.expose()));
                if let Some(secret) = client_secret {
                    form.push(("client_secret", secret.expose()));
                }
            }
        }
        form.extend(claims.map(|claims| ("claims", claims)));
        form
    }

    /// The one scope a daemon may ask for.
    pub fn scope(&self) -> String {
        format!("{}/.default", self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_secret_nor_password() {
        let secret = || Secret::new("s3cret-Zebra".into());
        let password = |client_secret| Credentials::Password {
            username: "agent@contoso.com".into(),
            password: secret(),
            client_secret,
        };
        for credentials in [Credentials::ClientSecret(secret()), password(None), password(Some(secret()))] {
            let sign_in = SignIn {
                instance: "https://login.microsoftonline.com".into(),
                tenant: "t".into(),
                client_id: "c".into(),
                resource: "r".into(),
                credentials,
            };
            let shown = format!("{sign_in:?} {sign_in:#?}");
            assert!(!shown.contains("Zebra") && shown.contains("[redacted]"), "{shown}");
        }
    }
}
