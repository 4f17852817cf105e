//! Why whoever asks may not use a file, and what would change that: the commonest first error is not to be in the group.
//! The system says "permission denied" and no more; here is said which directory or file it was, whose it is, and the cure.

use std::fs::Metadata;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, getegid, geteuid, getgrouplist, getgroups};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::accounts::{group, owner_and_mode, user};

/// What is wanted, in words and bits.
#[derive(Clone, Copy)]
struct Wanted {
    verb: &'static str,
    access: Access,
    bits: u32,
}

const ENTER: Wanted = Wanted { verb: "enter", access: Access::EXEC_OK, bits: 0o1 };
const READ: Wanted = Wanted { verb: "read", access: Access::READ_OK, bits: 0o4 };
const CHANGE: Wanted = Wanted { verb: "write to", access: Access::READ_OK.union(Access::WRITE_OK), bits: 0o6 };
const MAKE_FILES_IN: Wanted =
    Wanted { verb: "make files in", access: Access::WRITE_OK.union(Access::EXEC_OK), bits: 0o3 };

/// What is said of a file that cannot be read, to be read after its name.
pub fn unreadable(path: &Path, error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => why(path, error),
        _ => format!("cannot be read: {}", why(path, error)),
    }
}

/// Why it cannot be read.
pub fn why(path: &Path, error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("there is no such file{}", looked_for(path)),
        ErrorKind::IsADirectory => "it is a directory; name a file in it".to_owned(),
        ErrorKind::PermissionDenied => {
            on_the_way(path).or_else(|| refused(path, READ)).unwrap_or_else(|| error.to_string())
        }
        _ => error.to_string(),
    }
}

/// Where a relative name led to.
fn looked_for(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(absolute) if path.is_relative() => format!(" (looked for {})", absolute.display()),
        _ => String::new(),
    }
}

/// Why files cannot be read, written and made there as a database needs it, with those of these suffixes beside it. None if
/// the system would allow all of it; what is not there yet is in order.
pub fn no_database(path: &Path, beside: &[&str]) -> Option<String> {
    if let Some(why) = on_the_way(path) {
        return Some(why);
    }
    let files = beside.iter().map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        refused(Path::new(&name), CHANGE)
    });
    let files = std::iter::once_with(|| refused(path, CHANGE)).chain(files).find_map(|why| why);
    let directory = || path.parent().filter(|directory| !directory.as_os_str().is_empty());
    files.or_else(|| refused(directory().unwrap_or(Path::new(".")), MAKE_FILES_IN))
}

/// The first directory above it that shuts.
fn on_the_way(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    above.into_iter().find_map(|directory| refused(directory, ENTER))
}

fn refused(path: &Path, wanted: Wanted) -> Option<String> {
    let shown = path.display();
    match accessat(CWD, path, wanted.access, AtFlags::EACCESS).err()? {
        Errno::ROFS => Some(format!(
            "{shown} is on a file system that is mounted read-only; use another place, or mount it writable"
        )),
        Errno::ACCESS | Errno::PERM => {
            let you = format!("you (user {}) may not {} {shown}", user(geteuid().as_raw()), wanted.verb);
            Some(match std::fs::metadata(path) {
                Ok(seen) => format!("{you}: it belongs to {}; {}", owner_and_mode(&seen), cure(&seen, wanted.bits)),
                Err(_) => you,
            })
        }
        _ => None,
    }
}

/// A membership, where the group may what its owner may, and is not the administrators' own.
fn cure(seen: &Metadata, bits: u32) -> String {
    let gid = seen.gid();
    if gid == 0 || (seen.mode() >> 3) & bits != bits {
        return match seen.uid() {
            0 => "use sudo, or have it opened to you".to_owned(),
            owner => format!("run the command as its owner, 'sudo -u {} …', or have it opened to you", user(owner)),
        };
    }
    let (own, group) = (user(geteuid().as_raw()), group(gid));
    match is_member(gid) {
        true => format!("you are a member of the group {group}, but were not when you logged in: log in again"),
        false => format!("become a member of the group: 'sudo usermod -aG {group} {own}', then log in again"),
    }
}

/// As the system's lists have it, whatever this process was given when it began.
fn is_member(gid: u32) -> bool {
    let gid = Gid::from_raw(gid);
    if gid == getegid() || getgroups().is_ok_and(|groups| groups.contains(&gid)) {
        return false;
    }
    let Some(own) = User::from_uid(Uid::from_raw(geteuid().as_raw())).ok().flatten() else { return false };
    let name = std::ffi::CString::new(own.name).unwrap_or_default();
    getgrouplist(&name, own.gid).is_ok_and(|groups| groups.contains(&gid))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named_by_where_it_was_looked_for() {
        let missing = Error::from(ErrorKind::NotFound);
        let here = std::env::current_dir().unwrap();
        let told = unreadable(Path::new("no.ndjson"), &missing);
        assert_eq!(told, format!("there is no such file (looked for {})", here.join("no.ndjson").display()));
        assert_eq!(unreadable(Path::new("/no.ndjson"), &missing), "there is no such file");
    }

    #[test]
    fn a_group_that_may_is_the_cure_and_the_administrators_own_never_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let with = |mode, group| {
            std::os::unix::fs::chown(&file, None, group).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::metadata(&file).unwrap()
        };
        if geteuid().is_root() {
            assert!(cure(&with(0o660, Some(61_234)), 0o6).contains("'sudo usermod -aG 61234 root', then log in again"));
            assert!(cure(&with(0o640, Some(61_234)), 0o6).starts_with("use sudo"));
            assert!(cure(&with(0o660, Some(0)), 0o6).starts_with("use sudo"));
        }
        assert_eq!(no_database(&file, &["-wal"]), None);
    }
}
