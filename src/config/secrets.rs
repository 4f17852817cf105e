//! Where a secret is looked for: the environment, the key itself, the `_file` key, systemd's credential directory.

use std::path::{Path, PathBuf};

use super::Environment;
use super::source::Source;
use crate::characters;
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
        return match typed(Secret::new(text).expose()) {
            Ok(secret) => Some(Found { secret, file: None }),
            Err(what) => {
                source.problem(&key, what);
                None
            }
        };
    }
    find_elsewhere(source, environment, &key, name)
}

/// The secret that stands in no key of its own: in the file of `<key>_file`, or in a systemd credential.
pub(super) fn find_elsewhere(source: &mut Source, environment: &Environment, key: &str, name: &str) -> Option<Found> {
    let file_key = format!("{key}_file");
    if let Some(path) = source.text(&file_key) {
        return match read_secret(Path::new(&path)) {
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
    let directory = environment.path("CREDENTIALS_DIRECTORY")?;
    let file = [name, key].into_iter().map(|name| directory.join(name)).find(|file| file.exists())?;
    match read_secret(&file) {
        Ok(secret) => Some(Found { secret, file: Some(file) }),
        Err(what) => {
            source.problem(key, format!("is passed as a credential that {what}"));
            None
        }
    }
}

/// A file with a text of its own, and the key to blame for it.
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
    let file = environment.path("CREDENTIALS_DIRECTORY")?.join(credential);
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

/// The text of a file that is not a typed secret: a certificate, a key, another provider's token. Line breaks at its end
/// are none of it.
///
/// # Errors
/// What is wrong with the file, to be read after its name.
pub fn read_text(path: &Path) -> Result<Secret, String> {
    let text = whole(path)?;
    let text = text.expose().trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err("is empty".into()) } else { Ok(Secret::new(text.to_owned())) }
}

/// The client secret, password or passphrase in a file.
///
/// # Errors
/// What is wrong with the file or its text, to be read after its name.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    typed(whole(path)?.expose())
}

fn whole(path: &Path) -> Result<Secret, String> {
    secret_file::read(path, MAX_BYTES, Links::Followed).map_err(|fault| fault.to_string())
}

/// A secret as somebody typed or copied it, without the line break that editors and `echo` leave at the end, wherever it comes
/// from. What else came along in copying is told; nothing of the secret itself is.
fn typed(text: &str) -> Result<Secret, String> {
    let secret = text.strip_suffix('\n').unwrap_or(text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    let around = |c: char| secret.starts_with(c) && secret.ends_with(c) && secret.chars().nth(1).is_some();
    let quoted = ['"', '\'', '`'].into_iter().any(around) || secret.starts_with('“') || secret.ends_with('”');
    match secret {
        "" => Err("is empty".to_owned()),
        _ if secret.contains(['\n', '\r']) => {
            Err("contains a line break; write the secret alone, on one line".to_owned())
        }
        _ if quoted => {
            Err("is in quotation marks, which would be part of the secret; write it without them".to_owned())
        }
        _ if secret.starts_with([' ', '\t']) => Err("begins with a space; remove it".to_owned()),
        _ if secret.ends_with([' ', '\t']) => Err("ends with a space; remove it".to_owned()),
        _ => match characters::unseen(secret) {
            Some(what) => Err(what),
            None => Ok(Secret::new(secret.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_no_part_of_a_secret() {
        for text in ["ab c~1", "ab c~1\n", "ab c~1\r\n", "ab c~1\r"] {
            assert_eq!(typed(text).as_ref().map(Secret::expose), Ok("ab c~1"), "{text:?}");
        }
        assert_eq!(typed("o'brien\"").as_ref().map(Secret::expose), Ok("o'brien\""));
    }

    #[test]
    fn what_came_along_in_copying_is_told_and_the_secret_is_not() {
        for (text, part) in [
            ("\n", "is empty"),
            (" hunter2", "begins with a space"),
            ("hunter2 ", "ends with a space"),
            ("hunter2 \n", "ends with a space"),
            ("\thunter2", "begins with a space"),
            ("hunter2\n\n", "contains a line break"),
            ("hunter2\nx", "contains a line break"),
            ("\"hunter2\"", "in quotation marks"),
            ("'hunter2'\n", "in quotation marks"),
            ("“hunter2”", "in quotation marks"),
            ("\u{feff}hunter2", "contains U+FEFF"),
            ("hunter2\u{a0}", "contains U+00A0"),
            ("hun\u{200b}ter2", "contains U+200B"),
        ] {
            let what = typed(text).err().unwrap_or_default();
            assert!(what.contains(part) && !what.contains("hunter"), "{text:?}: {what}");
        }
    }
}
