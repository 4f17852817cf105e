//! Users and groups of this machine: by name, and who besides a user may use what is opened to a group.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Group, Uid, User};

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// The user's name, or its number.
pub fn user(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// The group's name, or its number.
pub fn group(gid: u32) -> String {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

/// `root:root, mode 0644`, as `ls -l` would say it.
pub fn owner_and_mode(file: &Metadata) -> String {
    format!("{}:{}, mode {:04o}", user(file.uid()), group(file.gid()), file.mode() & 0o7777)
}

/// Whether the group is this user's alone, as where each user has a group of the same name (`umask 002`): named like the
/// user, and nobody else was made a member. A group without a name may have anybody in it.
pub fn is_own_group(gid: u32, uid: u32) -> bool {
    let (user, group) = (User::from_uid(Uid::from_raw(uid)), Group::from_gid(Gid::from_raw(gid)));
    let (Ok(Some(user)), Ok(Some(group))) = (user, group) else { return false };
    user.gid == group.gid && user.name == group.name && group.mem.iter().all(|member| *member == user.name)
}

/// Who besides root and this user may write a file, or make and replace files in a directory; none if nobody.
pub fn other_writer(file: &Metadata, uid: u32) -> Option<String> {
    if file.uid() != 0 && file.uid() != uid {
        return Some(format!("user {}", user(file.uid())));
    }
    if file.mode() & OTHERS_WRITE != 0 {
        return Some("everybody on this machine".to_owned());
    }
    let shared = file.mode() & GROUP_WRITES != 0 && ![0, uid].into_iter().any(|one| is_own_group(file.gid(), one));
    shared.then(|| format!("the group {}", group(file.gid())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn what_only_root_and_the_user_may_write_has_no_other_writer() {
        let dir = tempfile::tempdir().unwrap();
        let with = |mode: u32| {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::metadata(dir.path()).unwrap()
        };
        let own = geteuid().as_raw();
        for mode in [0o700, 0o755, 0o750] {
            assert_eq!(other_writer(&with(mode), own), None, "{mode:o}");
        }
        for mode in [0o777, 0o1777, 0o702] {
            assert_eq!(other_writer(&with(mode), own).as_deref(), Some("everybody on this machine"), "{mode:o}");
        }
        // Where the file is root's, root is not a stranger.
        if own != 0 {
            assert!(other_writer(&with(0o700), own + 1).unwrap().starts_with("user "));
        }
    }

    #[test]
    fn a_group_without_a_name_is_nobodys_own() {
        assert!(!is_own_group(61_234, 61_234));
        assert!(is_own_group(0, 0), "as every system has it");
    }
}
