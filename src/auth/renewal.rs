//! The credentials in use, and how they are read anew from where they are kept: a secret that an administrator has
//! replaced is used without a restart. Knows no files; how to read is told by whoever makes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Credentials, SignIn};

/// Reads the credentials anew, or says what is wrong with the place where they are kept.
pub type Reread = Box<dyn Fn() -> Result<Credentials, String> + Send + Sync>;

/// What to sign in with, now and later.
pub(super) struct Renewal {
    sign_in: Mutex<SignIn>,
    reread: Option<Reread>,
    /// The last reading failed, which is said once.
    unreadable: AtomicBool,
}

impl Renewal {
    pub(super) fn new(sign_in: SignIn, reread: Option<Reread>) -> Self {
        Self { sign_in: Mutex::new(sign_in), reread, unreadable: AtomicBool::new(false) }
    }

    pub(super) fn current(&self) -> SignIn {
        self.sign_in.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over credentials that are others than before, and tells whether they are. What cannot be read changes
    /// nothing: the file may be about to be replaced.
    pub(super) fn renew(&self) -> bool {
        let Some(reread) = &self.reread else { return false };
        let credentials = match reread() {
            Ok(credentials) => credentials,
            Err(error) => {
                if !self.unreadable.swap(true, Ordering::Relaxed) {
                    let credential = self.current().credentials.name();
                    tracing::warn!(credential, error, "credentials cannot be read again, the last ones known are used");
                }
                return false;
            }
        };
        self.unreadable.store(false, Ordering::Relaxed);
        let mut sign_in = self.sign_in.lock().unwrap_or_else(PoisonError::into_inner);
        if sign_in.credentials == credentials {
            return false;
        }
        sign_in.credentials = credentials;
        tell(&sign_in.credentials);
        true
    }
}

fn tell(credentials: &Credentials) {
    match credentials {
        Credentials::Certificate { certificate, .. } => tracing::info!(
            subject = certificate.subject(),
            expires = %certificate.ends().format("%Y-%m-%d"),
            "certificate has changed, the new one is used from now on"
        ),
        // Its provider writes a new one several times a day.
        Credentials::Federated(_) => tracing::debug!("token file has changed, the new token is used from now on"),
        _ => tracing::info!("secret has changed, the new one is used from now on"),
    }
}
