//! `GET /api/v1/jobs` and `GET /api/v1/jobs/{id}`: jobs by what they have in common or by what somebody has in hand, and one of
//! them with all that is known of it. Fields are only ever added.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::reply::{Refusal, Reply, json};
use super::{Filled, Web};
use crate::advice::request::request_of;
use crate::advice::waits::waits_for;
use crate::advice::{Case, row_json};
use crate::job::{ErrorKind, JobId, JobState};
use crate::queue::{JobFilter, JobRow, JobSummary, LaneKey, Queue, QueueError, Sought, Step};

/// Jobs of one answer, if nobody says how many, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 200;
/// What no index knows is looked for so long in one answer, so many rows at a time; whoever asks may go on from there.
const WALK: Duration = Duration::from_millis(80);
const ROWS: u32 = 2000;
/// Jobs of a state that are read as a whole.
const FEW: u32 = 20_000;

/// Columns with what a producer wrote for people's eyes, and with what may quote it.
const CONTENT: [&str; 7] = ["subject", "body", "location", "attendees", "extra", "error_message", "join_url"];

/// What is asked for.
#[derive(Debug, Default)]
struct Asked {
    filter: JobFilter,
    search: Option<String>,
    /// Only older jobs than this.
    before: Option<JobId>,
    /// These and no others.
    ids: Option<Vec<JobId>>,
}

/// Jobs, the newest first, and how far they were looked for.
#[derive(Default)]
struct Found {
    jobs: Vec<JobSummary>,
    searched: Option<Searched>,
}

#[derive(Default)]
struct Searched {
    rows: u64,
    /// Where to go on; none where all have been looked at.
    before: Option<JobId>,
}

impl Searched {
    fn json(&self) -> Value {
        json!({ "jobs": self.rows, "all": self.before.is_none(), "before": self.before.map(|id| id.0) })
    }
}

impl Asked {
    fn of(query: &[(String, String)], unnamed: Option<&str>) -> Result<Self, Refusal> {
        let mut asked = Self { filter: JobFilter { limit: USUAL, ..JobFilter::default() }, ..Self::default() };
        for (name, value) in query.iter().filter(|(_, value)| !value.trim().is_empty()) {
            asked.take(name, value.trim(), unnamed)?;
        }
        if asked.before.is_some() && !asked.may_be_walked() {
            let why = "before continues a search, or a list by state, mailbox or error_kind";
            return Err(Refusal::bad(why));
        }
        Ok(asked)
    }

    /// The newest jobs are not simply those that are asked for, and no index leads straight to them.
    fn may_be_walked(&self) -> bool {
        let JobFilter { state, lanes, error_kind, event_key, in_doubt, .. } = &self.filter;
        let is_narrowed = !lanes.is_empty() || error_kind.is_some() || state.is_some();
        self.search.is_some() || is_narrowed && event_key.is_none() && !in_doubt && self.ids.is_none()
    }

    /// An index has these jobs and so few others that it may be read as a whole.
    async fn is_short(&self, queue: &dyn Queue) -> Result<bool, QueueError> {
        match self.filter.state {
            None | Some(JobState::Sent) => Ok(false),
            Some(_) if self.search.is_some() || self.before.is_some() => Ok(false),
            Some(state) => queue.are_few(state, FEW).await,
        }
    }

    fn sought(&self) -> Sought {
        let JobFilter { state, lanes, error_kind, .. } = self.filter.clone();
        Sought { text: self.search.clone(), state, lanes, error_kind }
    }

    fn take(&mut self, name: &str, value: &str, unnamed: Option<&str>) -> Result<(), Refusal> {
        let wrong = |rule: &str| Refusal::bad(format!("{name} is \"{value}\"; it must be {rule}"));
        let words = |words: &[&str]| format!("one of {}", words.join(", "));
        let filter = &mut self.filter;
        match name {
            "search" => self.search = Some(value.to_owned()),
            "mailbox" => filter.lanes = LaneKey::all_of(value, unnamed),
            "event_key" => filter.event_key = Some(value.to_owned()),
            "state" => {
                let states = JobState::ALL.map(JobState::as_str);
                filter.state = Some(JobState::parse(value).ok_or_else(|| wrong(&words(&states)))?);
            }
            "error_kind" => {
                let kinds = ErrorKind::ALL.map(ErrorKind::as_str);
                ErrorKind::parse(value).ok_or_else(|| wrong(&words(&kinds)))?;
                filter.error_kind = Some(value.to_owned());
            }
            "in_doubt" => filter.in_doubt = value.parse().map_err(|_| wrong("true or false"))?,
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                filter.limit = limit.ok_or_else(|| wrong(&format!("a whole number from 1 to {MOST}")))?;
            }
            "before" => self.before = Some(value.parse().map(JobId).map_err(|_| wrong("the id of a job"))?),
            "ids" => {
                let ids: Option<Vec<JobId>> = value.split(',').map(|id| id.trim().parse().ok().map(JobId)).collect();
                let ids = ids.filter(|ids| ids.len() <= MOST as usize);
                self.ids = Some(ids.ok_or_else(|| wrong(&format!("at most {MOST} ids with commas between them")))?);
            }
            _ => {
                let known = "search, state, mailbox, error_kind, event_key, in_doubt, ids, before, limit";
                return Err(Refusal::bad(format!("there is no parameter {name}; there are {known}")));
            }
        }
        Ok(())
    }

    /// Whether a job that was found is one that is asked for.
    fn fits(&self, job: &JobSummary) -> bool {
        let filter = &self.filter;
        filter.state.is_none_or(|state| job.state.known() == Some(state))
            && filter.error_kind.as_ref().is_none_or(|kind| job.error_kind.word() == *kind)
            && filter.event_key.as_deref().is_none_or(|key| job.event_key.text() == Some(key))
            && (filter.lanes.is_empty() || filter.lanes.contains(&LaneKey::of(job.mailbox.text().unwrap_or_default())))
            && (!filter.in_doubt || job.is_in_doubt())
    }
}

impl Web {
    /// The newest first.
    pub async fn jobs(&self, query: &[(String, String)]) -> Reply {
        let asked = Asked::of(query, self.filled().unnamed.as_deref())?;
        let queue = &self.standing.get().ok_or_else(Refusal::starting)?.queue;
        let found = found(&**queue, &asked).await?;
        let shown = found.jobs.iter().map(|job| Value::Object(self.hidden(row_json::summary(job))));
        Ok(json(&json!({
            "jobs": shown.collect::<Value>(),
            "limit": asked.filter.limit,
            "searched": found.searched.as_ref().map(Searched::json),
            "show_content": self.settings.show_content,
        })))
    }

    pub async fn job(&self, id: &str) -> Reply {
        let id = id.parse().map(JobId).map_err(|_| Refusal::bad("The id of a job is a whole number."))?;
        let queue = &self.standing.get().ok_or_else(Refusal::starting)?.queue;
        let Some((job, attempts)) = queue.job(id).await? else {
            let status = axum::http::StatusCode::NOT_FOUND;
            return Err(Refusal::new(status, "not_found", format!("There is no job {id}.")));
        };
        let mut shown = self.hidden(row_json::job(&job));
        let history = attempts.iter().map(|attempt| {
            let mut shown = row_json::attempt(attempt);
            if !self.settings.show_content {
                shown["message"] = Value::Null;
            }
            shown
        });
        // `attempts` is the column that counts them.
        shown.insert("history".into(), history.collect());
        shown.insert("advice".into(), self.advice(&job).await?);
        shown.insert("request".into(), self.request(&job).await?);
        shown.insert("show_content".into(), self.settings.show_content.into());
        Ok(json(&Value::Object(shown)))
    }

    async fn advice(&self, job: &JobRow) -> Result<Value, Refusal> {
        let queue = &self.standing.get().ok_or_else(Refusal::starting)?.queue;
        let now = Utc::now();
        let Filled { unnamed, .. } = self.filled();
        let named = job.summary.mailbox.text().map(str::trim).filter(|mailbox| !mailbox.is_empty());
        let whose = named.or(unnamed.as_deref()).unwrap_or_default();
        let advice = Case::of(job, whose).map(|case| case.advice(now)).unwrap_or_default();
        let waits_for = match job.summary.state.known() {
            Some(JobState::Pending | JobState::Claimed) => waits_for(&**queue, job, whose, now).await?,
            _ => Vec::new(),
        };
        Ok(json!({
            "happened": advice.happened,
            "by_itself": advice.by_itself,
            "to_do": advice.to_do,
            "waits_for": waits_for,
        }))
    }

    /// The body of its request, where content may be seen; null where none can be made of the row.
    async fn request(&self, job: &JobRow) -> Result<Value, Refusal> {
        if !self.settings.show_content {
            return Ok(Value::Null);
        }
        let queue = &self.standing.get().ok_or_else(Refusal::starting)?.queue;
        let Filled { defaults, .. } = self.filled();
        let made = request_of(&**queue, job.summary.id, &defaults).await?;
        Ok(made.and_then(Result::ok).map_or(Value::Null, |request| {
            let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
            json!({ "body": body, "note": request.note })
        }))
    }

    /// A row without what is not to be seen.
    fn hidden(&self, mut row: Map<String, Value>) -> Map<String, Value> {
        if !self.settings.show_content {
            row.iter_mut()
                .filter(|(name, _)| CONTENT.contains(&name.as_str()))
                .for_each(|(_, value)| *value = Value::Null);
        }
        row
    }
}

async fn found(queue: &dyn Queue, asked: &Asked) -> Result<Found, QueueError> {
    if asked.may_be_walked() && !asked.is_short(queue).await? {
        return search(queue, asked).await;
    }
    let mut jobs = match &asked.ids {
        Some(ids) => queue.jobs_by_id(ids).await?,
        None => queue.jobs(&asked.filter).await?,
    };
    jobs.reverse();
    jobs.retain(|job| asked.fits(job));
    Ok(Found { jobs, searched: None })
}

/// What an index knows, and then from the newest job back, until as many more are found or the time is over.
async fn search(queue: &dyn Queue, asked: &Asked) -> Result<Found, QueueError> {
    let begun = Instant::now();
    let (sought, limit) = (asked.sought(), asked.filter.limit);
    let (mut jobs, mut searched) = (Vec::new(), Searched { rows: 0, before: asked.before });
    loop {
        let left = limit.saturating_sub(u32::try_from(jobs.len()).unwrap_or(limit));
        let walked = queue.walk(&sought, Step { before: searched.before, rows: ROWS, limit: left }).await?;
        jobs.extend(walked.jobs.into_iter().filter(|job| asked.fits(job)));
        searched = Searched { rows: searched.rows + u64::from(walked.rows), before: walked.before };
        if searched.before.is_none() || jobs.len() >= limit as usize || begun.elapsed() >= WALK {
            break;
        }
    }
    if let (Some(text), None) = (&asked.search, asked.before) {
        jobs.extend(queue.known_by(text, limit).await?.into_iter().filter(|job| asked.fits(job)));
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    jobs.dedup_by_key(|job| job.id);
    Ok(Found { jobs, searched: Some(searched) })
}
