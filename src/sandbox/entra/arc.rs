//! How the agent of Azure Arc makes sure that a client may read its directory: it writes a secret into a file there,
//! names the file, and gives a token to the client that sends the content back. Each file serves once.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::sandbox::guarded::Guarded;

/// Beyond this number, the oldest unanswered challenges are withdrawn.
const OPEN_CHALLENGES: usize = 100;

/// The challenges not answered yet, the oldest first. Their files go with them.
#[derive(Debug, Default)]
pub(super) struct Challenges(Guarded<VecDeque<Challenge>>);

#[derive(Debug)]
struct Challenge {
    file: PathBuf,
    content: String,
}

impl Challenges {
    /// Writes a fresh file into `dir`, which is made if it is missing; readable by its owner alone.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn issue(&self, dir: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(dir)?;
        let file = dir.join(format!("{}.key", Uuid::new_v4()));
        let content = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let challenge = Challenge { file: file.clone(), content };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&challenge.file)?
            .write_all(challenge.content.as_bytes())?;
        let mut open = self.0.lock();
        open.push_back(challenge);
        while open.len() > OPEN_CHALLENGES {
            open.pop_front();
        }
        Ok(file)
    }

    /// Whether this is what stands in one of the files; that file has served then.
    pub(super) fn redeem(&self, content: &str) -> bool {
        let mut open = self.0.lock();
        let at = open.iter().position(|challenge| challenge.content == content);
        at.and_then(|at| open.remove(at)).is_some()
    }

    pub(super) fn reset(&self) {
        self.0.lock().clear();
    }
}

impl Drop for Challenge {
    fn drop(&mut self) {
        // The file may be gone already, and one that stays is useless from now on.
        let _ = fs::remove_file(&self.file);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_serves_once() {
        let home = tempfile::tempdir().unwrap();
        let (challenges, dir) = (Challenges::default(), home.path().join("tokens"));
        let (first, second) = (challenges.issue(&dir).unwrap(), challenges.issue(&dir).unwrap());
        assert_eq!(first.extension().unwrap(), "key");
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
        let content = fs::read_to_string(&first).unwrap();
        assert!(!challenges.redeem("made up") && challenges.redeem(&content) && !challenges.redeem(&content));
        assert!(!first.exists() && second.exists());
        drop(challenges);
        assert!(!second.exists());
    }

    #[test]
    fn unanswered_challenges_are_withdrawn() {
        let home = tempfile::tempdir().unwrap();
        let challenges = Challenges::default();
        (0..OPEN_CHALLENGES + 5).for_each(|_| drop(challenges.issue(home.path()).unwrap()));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), OPEN_CHALLENGES);
        challenges.reset();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
