//! Failed jobs grouped by their reason: what an operator decides about is a reason, not a row.

use crate::job::{Cause, ErrorKind, JobId};
use crate::queue::{JobRow, JobSummary, QueueError, Read};

/// Groups that are shown, the largest.
const GROUPS: usize = 30;

/// Jobs that failed for the same reason.
pub struct Group {
    /// The newest first.
    pub ids: Vec<JobId>,
    /// Whose they are, each once.
    pub mailboxes: Vec<String>,
    /// One of them, to tell what happened.
    pub newest: JobRow,
}

#[derive(Clone, Debug, PartialEq)]
struct Reason {
    kind: Option<ErrorKind>,
    cause: Option<Cause>,
    code: String,
    in_doubt: bool,
}

impl Reason {
    fn of(job: &JobSummary) -> Self {
        let cause = job.cause();
        // A cause says more than a code, and codes of one cause are many.
        let code = if cause.is_some() { String::new() } else { job.error_code.to_string() };
        Self { kind: job.error_kind.known(), cause, code, in_doubt: job.is_in_doubt() }
    }
}

/// Groups these jobs, the largest group first.
///
/// # Errors
/// The queue cannot be read.
pub async fn of(queue: &dyn Read, failed: &[JobSummary]) -> Result<Vec<Group>, QueueError> {
    let mut found: Vec<(Reason, Vec<&JobSummary>)> = Vec::new();
    for job in failed {
        let reason = Reason::of(job);
        match found.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, jobs)) => jobs.push(job),
            None => found.push((reason, vec![job])),
        }
    }
    found.sort_by_key(|(_, jobs)| std::cmp::Reverse(jobs.len()));
    let mut groups = Vec::new();
    for (_, mut jobs) in found.into_iter().take(GROUPS) {
        jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut mailboxes: Vec<String> = jobs.iter().map(|job| job.mailbox.to_string()).collect();
        mailboxes.sort_unstable();
        mailboxes.dedup();
        // Deleted meanwhile, it is shown the next time.
        let Some(first) = ids.first() else { continue };
        if let Some((newest, _)) = queue.job(*first).await? {
            groups.push(Group { ids, mailboxes, newest });
        }
    }
    Ok(groups)
}
