//! Where a token is asked for, with the credentials as they are at that moment: Entra, or a service of this machine.

use chrono::{DateTime, Utc};

use super::answer::Fresh;
use super::renewal::Renewal;
use super::{CredentialEnd, ManagedIdentity, Reread, SignIn, TokenRefusal, entra};

/// Tells the time of day: assertions carry it, and some answers do.
pub type WallClock = fn() -> DateTime<Utc>;

/// What tokens are asked of.
pub struct TokenEndpoint {
    http: reqwest::Client,
    way: Way,
    clock: WallClock,
}

enum Way {
    Entra(Renewal),
    ManagedIdentity(ManagedIdentity),
}

impl TokenEndpoint {
    /// Entra's endpoint of one tenant. `http` must not follow redirects: a redirected token request would carry the secret
    /// elsewhere. `reread` reads the credentials anew, where they are kept outside the settings.
    pub fn entra(http: reqwest::Client, sign_in: SignIn, reread: Option<Reread>, clock: WallClock) -> Self {
        Self { http, way: Way::Entra(Renewal::new(sign_in, reread)), clock }
    }

    /// The service of this machine. `http` must know no proxy: what is asked is the machine itself, and whoever stood
    /// between would get the token.
    pub fn managed_identity(http: reqwest::Client, identity: ManagedIdentity, clock: WallClock) -> Self {
        Self { http, way: Way::ManagedIdentity(identity), clock }
    }

    #[cfg(test)]
    pub(super) fn sign_in(&self) -> Option<SignIn> {
        match &self.way {
            Way::Entra(renewal) => Some(renewal.current()),
            Way::ManagedIdentity(_) => None,
        }
    }

    /// Takes over credentials that are others by now, and tells whether they are.
    pub(super) fn renew(&self) -> bool {
        match &self.way {
            Way::Entra(renewal) => renewal.renew(),
            Way::ManagedIdentity(_) => false,
        }
    }

    /// When the credentials in use end, as far as that can be known.
    pub(super) fn credential_end(&self) -> Option<CredentialEnd> {
        match &self.way {
            Way::Entra(renewal) => renewal.current().credential_end(),
            Way::ManagedIdentity(_) => None,
        }
    }

    /// Asks once, with the credentials as they are now. `claims` are those of a challenge; the service of a machine has no
    /// way to pass them on.
    pub(super) async fn ask(&self, claims: Option<&str>) -> Result<Fresh, TokenRefusal> {
        match &self.way {
            Way::Entra(renewal) => {
                renewal.renew();
                if claims.is_some() {
                    tracing::info!(
                        "token does not satisfy a policy, a new one is asked for with the claims of its challenge"
                    );
                }
                entra::ask(&self.http, &renewal.current(), claims, (self.clock)()).await
            }
            Way::ManagedIdentity(identity) => identity.ask(&self.http, (self.clock)()).await,
        }
    }
}
