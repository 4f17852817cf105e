//! A settings file that nobody named, but that was found: in the directory a command happens to be typed in, or below
//! `/etc`. It says to whom the secret is sent, so it counts only if nobody but root and the user can have written it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::geteuid;
use rustix::fs::{OFlags, StatVfsMountFlags};
use rustix::io::Errno;

use crate::access;
use crate::accounts::other_writer;

/// The extended attribute in which a file system keeps a list of access rights.
const ACCESS_LIST: &str = "system.posix_acl_access";
const GROUP_WRITES: u32 = 0o020;
const CURE: &str = "if it is the one you mean, name it with --config";

/// The text of the file.
///
/// # Errors
/// Why it cannot be read or does not count, and the cure; to be read after its name.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    // Below /etc root decides, and a link is how Kubernetes puts settings there.
    let link = if path.is_absolute() { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | link).bits() as i32;
    if path.is_relative() && path.is_symlink() {
        return Err(format!("is a link, and was only found, not named; {CURE}"));
    }
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| access::unreadable(path, &error))?;
    judge(path, &file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
}

fn judge(path: &Path, file: &File) -> Result<(), String> {
    let seen = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !seen.is_file() {
        return Err("is not a regular file; remove it, or name another one with --config".to_owned());
    }
    if let Some(who) = writer(path, &seen) {
        let cure = if seen.uid() == 0 || seen.uid() == geteuid().as_raw() { ", or 'chmod go-w' it" } else { "" };
        return Err(format!("may be changed by {who}, and was only found, not named; {CURE}{cure}"));
    }
    // Where the name is, and where the file is: whoever may write there can put another one in its place.
    let real = std::fs::canonicalize(path).map_err(|error| format!("cannot be read: {error}"))?;
    for directory in [path.parent(), real.parent()].into_iter().flatten() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let seen = std::fs::metadata(directory).map_err(|error| format!("cannot be read: {error}"))?;
        if let Some(who) = writer(directory, &seen) {
            let shown = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
            return Err(format!(
                "is in {}, where {who} may replace it, and was only found, not named; {CURE}",
                shown.display()
            ));
        }
    }
    Ok(())
}

fn writer(path: &Path, seen: &Metadata) -> Option<String> {
    let user = geteuid().as_raw();
    // As Kubernetes mounts settings: open to everybody by their mode, and to nobody in fact.
    let is_read_only = rustix::fs::statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only && [0, user].contains(&seen.uid()) {
        return None;
    }
    // With a list the group's bit is the most that anybody in it has.
    let listed = || {
        let list = rustix::fs::getxattr(path, ACCESS_LIST, &mut [0_u8; 1024]);
        let has_list = matches!(list, Ok(_) | Err(Errno::RANGE));
        (has_list && seen.mode() & GROUP_WRITES != 0)
            .then(|| "a user or group in its access control list ('getfacl')".to_owned())
    };
    other_writer(seen, user).or_else(listed)
}
