//! What every format of a file is read as: a line's number, and the job that begins in it or its fault.

use crate::queue::NewJob;

/// The number of a line, and the job that begins in it or its fault.
pub(super) type Line = (u64, Result<NewJob, String>);
