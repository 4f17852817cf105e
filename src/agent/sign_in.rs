//! From `[auth]` to what asks for tokens, and to what reads the credentials anew from their files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;

use crate::agent::Failure;
use crate::agent::network::network;
use crate::auth::{Credentials, ManagedIdentity, Reread, SignIn, TokenEndpoint, Version};
use crate::certificate::{Certificate, Fault, Part};
use crate::config::{AuthMode, SecretFiles, Settings, TokenVersion, read_secret, read_text};
use crate::http::{http_client, local_client};
use crate::secret::Secret;

pub fn token_endpoint(settings: &Settings) -> Result<TokenEndpoint, Failure> {
    let auth = &settings.auth;
    let network = network(&settings.graph);
    let mut passphrase = None;
    let credentials = match auth.mode.clone() {
        AuthMode::ManagedIdentity { host, identity } => {
            let identity = ManagedIdentity { host, identity, resource: auth.resource.clone() };
            let http = local_client(&network).map_err(Failure::failed)?;
            return Ok(TokenEndpoint::managed_identity(http, identity, Utc::now));
        }
        AuthMode::ClientSecret { client_secret } => Credentials::ClientSecret(client_secret),
        AuthMode::Certificate { certificate, passphrase: opens, send_chain } => {
            passphrase = opens;
            Credentials::Certificate { certificate, send_chain }
        }
        AuthMode::Federated { token } => Credentials::Federated(token),
        AuthMode::Password { username, password, client_secret } => {
            Credentials::Password { username, password, client_secret }
        }
    };
    let sign_in = SignIn {
        instance: auth.instance.clone(),
        tenant: auth.tenant_id.clone().unwrap_or_default(),
        client_id: auth.client_id.clone().unwrap_or_default(),
        resource: auth.resource.clone(),
        version: match auth.token_version {
            TokenVersion::V1 => Version::V1,
            TokenVersion::V2 => Version::V2,
        },
        credentials: credentials.clone(),
        secret_expires: auth.secret_expires,
    };
    let http = http_client(&network, &auth.instance).map_err(Failure::failed)?;
    Ok(TokenEndpoint::entra(http, sign_in, reread(credentials, auth.files.clone(), passphrase), Utc::now))
}

/// Reads credentials that are files anew; there is nothing to read where none is.
fn reread(known: Credentials, files: SecretFiles, passphrase: Option<Secret>) -> Option<Reread> {
    if files == SecretFiles::default() {
        return None;
    }
    let pair = Pair::default();
    Some(Box::new(move || {
        let mut credentials = known.clone();
        match &mut credentials {
            Credentials::ClientSecret(secret) => newer(secret, &files.client_secret, read_secret)?,
            Credentials::Certificate { certificate, .. } => *certificate = pair.read(&files, passphrase.as_ref())?,
            Credentials::Federated(token) => newer(token, &files.federated_token, read_text)?,
            Credentials::Password { password, client_secret, .. } => {
                newer(password, &files.password, read_secret)?;
                if let Some(client_secret) = client_secret {
                    newer(client_secret, &files.client_secret, read_secret)?;
                }
            }
        }
        Ok(credentials)
    }))
}

/// How what is in a file is read: as a secret somebody typed, or as it is.
type Reader = fn(&Path) -> Result<Secret, String>;

fn newer(secret: &mut Secret, file: &Option<PathBuf>, reader: Reader) -> Result<(), String> {
    if let Some(file) = file {
        *secret = read(file, reader)?;
    }
    Ok(())
}

fn read(file: &Path, reader: Reader) -> Result<Secret, String> {
    reader(file).map_err(|what| format!("{} {what}", file.display()))
}

/// What the files of a certificate held at the last look, and what came of it. To open a key with a passphrase takes long
/// on purpose, and while a sign-in is refused the files are looked at every second.
#[derive(Default)]
struct Pair(Mutex<Option<(Texts, Read)>>);

/// What came of a reading, or what is wrong with the files.
type Read = Result<Arc<Certificate>, String>;

#[derive(PartialEq)]
struct Texts {
    certificate: Secret,
    key: Secret,
    passphrase: Option<Secret>,
}

impl Pair {
    fn read(&self, files: &SecretFiles, passphrase: Option<&Secret>) -> Read {
        let (Some(own), Some(key)) = (&files.certificate, &files.private_key) else {
            return Err("there is no file of the certificate".into());
        };
        let texts = Texts {
            certificate: read(own, read_text)?,
            key: read(key, read_text)?,
            passphrase: match &files.passphrase {
                Some(file) => Some(read(file, read_secret)?),
                None => passphrase.cloned(),
            },
        };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = last.as_ref().filter(|(read, _)| *read == texts) {
            return known.clone();
        }
        let read = Certificate::from_pem(&texts.certificate, &texts.key, texts.passphrase.as_ref());
        let read = read.map(Arc::new).map_err(|Fault { part, what }| match part {
            Part::Certificate => format!("{} {what}", own.display()),
            Part::Key => format!("{} {what}", key.display()),
            Part::Pair => format!("{} and {}: {what}", own.display(), key.display()),
            Part::Passphrase => format!("auth.private_key_passphrase {what}"),
        });
        *last = Some((texts, read.clone()));
        read
    }
}
