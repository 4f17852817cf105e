//! Which jobs an operator's command is about: named by their ids, or by what they have in common. Shared by the commands
//! that write.

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::time_arg;
use crate::config::LocalSettings;
use crate::job::{ErrorKind, JobId, JobState};
use crate::queue::{Chosen, LaneKey, Operate, QueueError, Selection};

/// One of these must be given, or a command of few letters would be about everything.
pub(super) const ONE_OF: [&str; 5] = ["ids", "error_kind", "mailbox", "since", "all"];

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct JobSelector {
    /// Ids of jobs
    #[arg(value_name = "ID")]
    pub ids: Vec<i64>,
    /// Jobs whose last failure is of this kind; several with commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), conflicts_with = "ids")]
    pub error_kind: Vec<ErrorKind>,
    /// Jobs of this mailbox
    #[arg(long, value_parser = mailbox, conflicts_with = "ids")]
    pub mailbox: Option<LaneKey>,
    /// Jobs that ended since then (waiting ones: were inserted since then): an age like 2h, or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_arg::past, conflicts_with = "ids")]
    pub since: Option<DateTime<Utc>>,
    /// All jobs in the state
    #[arg(long, conflicts_with_all = ["ids", "error_kind", "mailbox", "since"])]
    pub all: bool,
    /// At most this many, the first inserted
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub limit: Option<u32>,
}

impl JobSelector {
    /// The jobs were named one by one.
    pub(super) fn is_by_id(&self) -> bool {
        !self.ids.is_empty()
    }

    /// The jobs, and the ids of which there are none.
    pub(super) async fn find(
        &self,
        queue: &dyn Operate,
        settings: &LocalSettings,
        states: &[JobState],
        settings_at_fault: bool,
    ) -> Result<(Vec<Chosen>, Vec<i64>), QueueError> {
        if self.is_by_id() {
            let mut ids: Vec<JobId> = self.ids.iter().copied().map(JobId).collect();
            ids.sort_unstable();
            ids.dedup();
            let chosen = queue.chosen(&ids).await?;
            ids.retain(|id| chosen.iter().all(|job| job.id != *id));
            return Ok((chosen, ids.into_iter().map(|id| id.0).collect()));
        }
        let selection = Selection {
            states: states.to_vec(),
            error_kinds: self.error_kind.clone(),
            settings_at_fault,
            lanes: self.mailbox.as_ref().map(|mailbox| lanes(mailbox.as_str(), settings)).unwrap_or_default(),
            since: self.since,
            limit: self.limit,
        };
        Ok((queue.select(&selection).await?, Vec::new()))
    }
}

/// A mailbox on the command line. An empty one would be that of the jobs that name none.
pub(super) fn mailbox(text: &str) -> Result<LaneKey, &'static str> {
    let lane = LaneKey::of(text);
    if lane.as_str().is_empty() { Err("is empty; name the mailbox as the jobs do") } else { Ok(lane) }
}

/// The lanes of a mailbox: its own, and that of the rows that name none, if they go to it.
pub(super) fn lanes(mailbox: &str, settings: &LocalSettings) -> Vec<LaneKey> {
    LaneKey::all_of(mailbox, settings.unnamed.as_deref())
}

/// The other way round: whose lane that is.
pub(super) fn lane_of(job: &Chosen, settings: &LocalSettings) -> LaneKey {
    match &settings.unnamed {
        Some(name) if job.lane.as_str().is_empty() => LaneKey::of(name),
        _ => job.lane.clone(),
    }
}

pub(super) fn kinds() -> impl TypedValueParser<Value = ErrorKind> {
    PossibleValuesParser::new(ErrorKind::ALL.map(ErrorKind::as_str))
        .try_map(|word| ErrorKind::parse(&word).ok_or("is not a kind of failure"))
}

/// One of these states.
pub(super) fn states(of: &'static [JobState]) -> impl TypedValueParser<Value = JobState> {
    PossibleValuesParser::new(of.iter().map(|state| state.as_str()))
        .try_map(|word| JobState::parse(&word).ok_or("is not a state"))
}
