//! Where a secret is looked for: the environment, the key itself, the `_file` key, systemd's credential directory.

use std::path::{Path, PathBuf};

use super::Environment;
use super::source::Source;
use crate::secret::Secret;
use crate::secret_file::{self, Links};

/// A base64 text has a slash every 64 letters or so, and looks like a path that far. Longer ones are shown only if they are
/// there.
const LONGEST_SHOWN: usize = 120;
/// Largest file that is read as a secret.
const MAX_BYTES: u64 = 64 * 1024;

/// A secret, and the file it was read from if it was one.
pub(super) struct Found {
    pub secret: Secret,
    pub file: Option<PathBuf>,
}

/// The secret of `auth.<name>`, if there is one anywhere.
pub(super) fn find(source: &mut Source, environment: &Environment, name: &str) -> Option<Found> {
    let key = format!("auth.{name}");
    if let Some(text) = source.text(&key) {
        return Some(Found { secret: Secret::new(text), file: None });
    }
    let file_key = format!("{key}_file");
    if let Some(path) = source.text(&file_key) {
        return match read(Path::new(&path)) {
            Ok(secret) => {
                source.note_secret(Path::new(&path));
                source.note_read(Path::new(&path));
                Some(Found { secret, file: Some(path.into()) })
            }
            Err(what) => {
                source.problem(&file_key, format!("names {}, which {what}", shown(&path)));
                None
            }
        };
    }
    let directory = Path::new(environment.get("CREDENTIALS_DIRECTORY")?);
    let file = [name, key.as_str()].into_iter().map(|name| directory.join(name)).find(|file| file.exists())?;
    match read(&file) {
        Ok(secret) => Some(Found { secret, file: Some(file) }),
        Err(what) => {
            source.problem(&key, format!("is passed as a credential that {what}"));
            None
        }
    }
}

/// A file that is no setting's text but its own, and the key to blame for it.
#[derive(Clone)]
pub(super) struct PassedIn {
    pub key: &'static str,
    pub file: PathBuf,
    /// The settings name it; else it is a systemd credential, which the service is given in its own way.
    pub named: bool,
}

impl PassedIn {
    /// As a problem tells it.
    pub(super) fn shown(&self) -> String {
        shown(&self.file.to_string_lossy()).to_owned()
    }
}

/// The file that `key` names, else the systemd credential of that name.
pub(super) fn find_file(
    source: &mut Source,
    environment: &Environment,
    key: &'static str,
    credential: &str,
) -> Option<PassedIn> {
    if let Some(path) = source.text(key) {
        return Some(PassedIn { key, file: path.into(), named: true });
    }
    let file = Path::new(environment.get("CREDENTIALS_DIRECTORY")?).join(credential);
    file.exists().then_some(PassedIn { key, file, named: false })
}

/// A path, unless it looks like a secret that was written into the key beside its own: a token, a key with or without its
/// first line, a client secret.
pub(super) fn shown(path: &str) -> &str {
    let looks_secret = path.contains("-----") || path.starts_with("eyJ") || path.chars().any(char::is_control);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let a_name = path.len() < LONGEST_SHOWN && (path.contains('/') || (path.len() < 16 && path.chars().all(plain)));
    if Path::new(path).exists() || (a_name && !looks_secret) {
        path
    } else {
        "a file (not shown, in case it is the secret itself)"
    }
}

/// The secret in a file: its content without the line break editors and `echo` leave at the end.
///
/// # Errors
/// What is wrong with the file, to be read after its name.
pub fn read(path: &Path) -> Result<Secret, String> {
    let text = secret_file::read(path, MAX_BYTES, Links::Followed).map_err(|fault| fault.to_string())?;
    let secret = text.expose().trim_end_matches(['\n', '\r']);
    if secret.is_empty() { Err("is empty".into()) } else { Ok(Secret::new(secret.to_owned())) }
}
