//! Jobs that wait no longer, as either database counts them.

use chrono::{DateTime, TimeDelta, Utc};

use super::Ended;
use crate::job::JobState;

/// Minutes that count as lately.
pub const MINUTES: i64 = 60;

pub struct Counted {
    pub claimed: i64,
    pub sent: i64,
    pub in_doubt: i64,
    /// Pending jobs that wait for another of their event.
    pub behind: i64,
    pub failed: Lately,
    pub cancelled: Lately,
}

impl Counted {
    /// Jobs in this state, with so many pending.
    pub fn of_state(&self, state: JobState, pending: i64) -> i64 {
        match state {
            JobState::Pending => pending,
            JobState::Claimed => self.claimed,
            JobState::Sent => self.sent,
            JobState::Failed => self.failed.jobs,
            JobState::Cancelled => self.cancelled.jobs,
        }
    }

    /// Of all that ended within the last minute, whatever their end.
    pub fn ended_in_minute(&self, all: i64) -> Ended {
        Ended { sent: all - self.failed.minute - self.cancelled.minute, failed: self.failed.minute }
    }

    /// Of all that ended within the last hour, whatever their end.
    pub fn ended_in_hour(&self, all: i64) -> Ended {
        Ended { sent: all - self.failed.hour - self.cancelled.hour, failed: self.failed.hour }
    }
}

/// Jobs that ended in one way: all, and lately.
#[derive(Default)]
pub struct Lately {
    pub jobs: i64,
    pub minute: i64,
    pub hour: i64,
    by_kind: Vec<(Option<String>, i64)>,
}

impl Lately {
    /// All, those of the last minute, and those of the last hour.
    pub fn of((jobs, minute, hour): (i64, i64, i64)) -> Self {
        Self { jobs, minute, hour, by_kind: Vec::new() }
    }

    /// The same of each kind, in the order of their names.
    pub fn of_kinds(rows: Vec<(Option<String>, i64, i64, i64)>) -> Self {
        let mut all = Self::default();
        for (kind, jobs, minute, hour) in rows {
            all.jobs += jobs;
            all.minute += minute;
            all.hour += hour;
            all.by_kind.push((kind, jobs));
        }
        all
    }

    /// In the order of their names.
    pub fn kinds(&self) -> impl Iterator<Item = (Option<&str>, i64)> {
        self.by_kind.iter().map(|(kind, jobs)| (kind.as_deref(), *jobs))
    }

    /// The most frequent first.
    pub fn most_frequent_kinds(&self) -> Vec<(Option<String>, i64)> {
        let mut kinds = self.by_kind.clone();
        kinds.sort_by_key(|(_, jobs)| std::cmp::Reverse(*jobs));
        kinds
    }
}

/// Now, a minute ago, an hour ago.
pub fn lately(now: DateTime<Utc>) -> [DateTime<Utc>; 3] {
    [0, 1, MINUTES].map(|minutes| now - TimeDelta::minutes(minutes))
}

/// The last hour, minute by minute, the oldest first: where each begins, and where the last ends.
pub fn minutes(now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    (0..=MINUTES).map(move |minute| now - TimeDelta::minutes(MINUTES - minute))
}
