//! Temporary files and directories. Where none can be made, as on a read-only root, the cure is `$TMPDIR`.

use std::fmt::Display;
use std::fs::File;

use tempfile::TempDir;

/// A file that is gone when it is closed.
pub(super) fn file() -> Result<File, String> {
    tempfile::tempfile().map_err(|error| refused(&error))
}

/// A directory that is gone when it is dropped.
pub(super) fn directory() -> Result<TempDir, String> {
    tempfile::tempdir().map_err(|error| refused(&error))
}

/// What is said where nothing can be written there.
pub(super) fn refused(error: &dyn Display) -> String {
    // The name that was tried is chance's.
    let error = error.to_string();
    let error = error.split(" at path ").next().unwrap_or_default();
    let directory = std::env::temp_dir();
    format!("cannot write a temporary file in {}: {error}; name a directory with room in TMPDIR", directory.display())
}
