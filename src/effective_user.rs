//! Whose eyes the files are looked at with. `check` is often run by root or by an administrator, and what these may do
//! says nothing of what the agent may.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};
use rustix::fs::{self, AtFlags, CWD, accessat};

use crate::accounts::user;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadAndWrite,
    /// Of a directory: to pass through it.
    Enter,
    /// Of a directory: to make files in it.
    CreateIn,
}

impl Access {
    fn bits(self) -> u32 {
        match self {
            Access::Read => 0o4,
            Access::ReadAndWrite => 0o6,
            Access::Enter => 0o1,
            Access::CreateIn => 0o3,
        }
    }

    fn flags(self) -> fs::Access {
        match self {
            Access::Read => fs::Access::READ_OK,
            Access::ReadAndWrite => fs::Access::READ_OK | fs::Access::WRITE_OK,
            Access::Enter => fs::Access::EXEC_OK,
            Access::CreateIn => fs::Access::WRITE_OK | fs::Access::EXEC_OK,
        }
    }
}

/// A user of this machine.
pub struct EffectiveUser {
    uid: u32,
    groups: Vec<u32>,
    /// Why this one.
    pub why: String,
}

impl EffectiveUser {
    /// The user the agent runs as: that of the running one, or the one the queue's directory belongs to; where that is
    /// root's or not there, whoever asks.
    pub fn of_agent(pid: Option<&str>, directory: Option<&Metadata>) -> Self {
        let process = pid.and_then(|pid| Some((pid, std::fs::metadata(format!("/proc/{pid}")).ok()?.uid())));
        if let Some((pid, uid)) = process {
            return Self::new(uid, format!("the user of the running agent (process {pid})"));
        }
        match directory.map(Metadata::uid).filter(|owner| *owner != 0) {
            Some(owner) if owner != geteuid().as_raw() => {
                Self::new(owner, "to whom the queue's directory belongs".into())
            }
            _ => Self::new(geteuid().as_raw(), "who runs this check".into()),
        }
    }

    fn new(uid: u32, why: String) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let groups = user.and_then(|user| {
            let name = std::ffi::CString::new(user.name).ok()?;
            getgrouplist(&name, user.gid).ok()
        });
        Self { uid, groups: groups.unwrap_or_default().into_iter().map(Gid::as_raw).collect(), why }
    }

    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// By name where there is one.
    pub fn name(&self) -> String {
        user(self.uid)
    }

    /// The first directory above a file that this user cannot pass.
    pub fn blocked_on_the_way_to(&self, path: &Path) -> Option<PathBuf> {
        let path = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok()?;
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        let shut = above.into_iter().find(|directory| {
            std::fs::metadata(directory).is_ok_and(|seen| !self.may(Access::Enter, directory, &seen))
        })?;
        Some(shut.to_owned())
    }

    /// Whether this user may do that with the file. The kernel is asked where the user is the one who asks, which takes
    /// lists of access rights and read-only file systems into account; else owner, group and mode decide.
    pub fn may(&self, access: Access, path: &Path, file: &Metadata) -> bool {
        if self.uid == geteuid().as_raw() {
            return accessat(CWD, path, access.flags(), AtFlags::EACCESS).is_ok();
        }
        let shift = match file {
            _ if self.uid == 0 => return true,
            file if file.uid() == self.uid => 6,
            file if self.groups.contains(&file.gid()) => 3,
            _ => 0,
        };
        (file.mode() >> shift) & access.bits() == access.bits()
    }
}

/// Whether others than this user were made members of the group.
pub fn has_others(gid: u32, uid: u32) -> bool {
    let own = user(uid);
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().is_some_and(|group| group.mem.iter().any(|name| *name != own))
}
