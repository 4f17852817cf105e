//! Small files that hold a secret. Only a regular file is read, and only so much of it: a pipe or a device in its place
//! must not hold up the agent, which reads such files while it runs.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::access;
use crate::encoding;
use crate::secret::Secret;

/// Why a file gives no secret, to be read after its name. Nothing of its content is in it.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The system refuses it.
    #[error("cannot be read: {why}")]
    Unreadable {
        error: io::Error,
        /// In words.
        why: String,
    },
    /// A directory, a pipe, a device, a link where none may be.
    #[error("is not a regular file")]
    NoFile,
    /// More than was asked for.
    #[error("is too large for a secret or a certificate")]
    TooLarge,
    /// Bytes that are not UTF-8.
    #[error("is not a text file; a certificate or key must be in PEM form (docs/sign-in/certificate.md converts it)")]
    NoText,
    /// Text in another encoding, an archive; what it is and the cure.
    #[error("{0}")]
    Foreign(String),
}

/// Whether the file itself may be a link; directories before it may always be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// As Kubernetes and systemd lay out what they renew.
    Followed,
    /// Whoever named the file is not trusted.
    Refused,
}

/// The text of a file of at most `most` bytes.
///
/// # Errors
/// See [`FileFault`].
pub fn read(path: &Path, most: u64, links: Links) -> Result<Secret, FileFault> {
    let bytes = bytes(path, most, links)?;
    if let Some(what) = encoding::foreign(bytes.get(..encoding::ENOUGH).unwrap_or(&bytes)) {
        return Err(FileFault::Foreign(what));
    }
    std::str::from_utf8(&bytes).map(|text| Secret::new(text.to_owned())).map_err(|_| FileFault::NoText)
}

/// The same, whatever is in it.
///
/// # Errors
/// See [`FileFault`].
pub fn bytes(path: &Path, most: u64, links: Links) -> Result<Zeroizing<Vec<u8>>, FileFault> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = i32::try_from(flags.bits()).map_err(|_| FileFault::NoFile)?;
    // Of a file that is not there the name is not told: it may be the secret, in the wrong key.
    let unreadable = |error: io::Error| FileFault::Unreadable {
        why: if error.kind() == io::ErrorKind::PermissionDenied {
            access::why(path, &error)
        } else {
            error.to_string()
        },
        error,
    };
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
        // What O_NOFOLLOW makes of a link.
        if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) { FileFault::NoFile } else { unreadable(error) }
    })?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(FileFault::NoFile);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(FileFault::TooLarge);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_plain_file_is_read_and_nothing_else_holds_anybody_up() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("plain"), "secret\n").unwrap();
        symlink(at("plain"), at("link")).unwrap();
        std::fs::write(at("bytes"), [0x30, 0x82, 0xff]).unwrap();
        std::fs::write(at("wide"), b"\xff\xfes\0e\0").unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        assert_eq!(read(&at("plain"), 7, Links::Refused).unwrap().expose(), "secret\n");
        assert_eq!(read(&at("link"), 7, Links::Followed).unwrap().expose(), "secret\n");
        for (path, links, fault) in [
            (at("link"), Links::Refused, "is not a regular file"),
            (at("pipe"), Links::Followed, "is not a regular file"),
            (dir.path().to_owned(), Links::Followed, "is not a regular file"),
            ("/dev/zero".into(), Links::Followed, "is not a regular file"),
            (at("bytes"), Links::Followed, "is not a text file"),
            (at("wide"), Links::Followed, "is UTF-16; save it as UTF-8"),
            (at("missing"), Links::Followed, "cannot be read"),
        ] {
            let found = read(&path, 7, links).unwrap_err().to_string();
            assert!(found.starts_with(fault), "{}: {found}", path.display());
        }
        assert!(matches!(read(&at("plain"), 6, Links::Followed), Err(FileFault::TooLarge)));
    }
}
