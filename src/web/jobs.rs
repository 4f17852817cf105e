//! `GET /api/v1/jobs` and `GET /api/v1/jobs/{id}`: jobs by what they have in common or by what somebody has in hand, and one of
//! them with all that is known of it. Fields are only ever added.

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::reply::{Refusal, Reply, json};
use super::{Filled, Web};
use crate::advice::request::request_of;
use crate::advice::waits::waits_for;
use crate::advice::{Case, row_json};
use crate::job::{ErrorKind, JobId, JobState};
use crate::queue::{JobFilter, JobRow, JobSummary};

/// Jobs of one answer, if nobody says how many, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 200;

/// Columns with what a producer wrote for people's eyes, and with what may quote it.
const CONTENT: [&str; 7] = ["subject", "body", "location", "attendees", "extra", "error_message", "join_url"];

/// What is asked for.
#[derive(Debug, Default)]
struct Asked {
    filter: JobFilter,
    search: Option<String>,
}

impl Asked {
    fn of(query: &[(String, String)]) -> Result<Self, Refusal> {
        let mut asked = Self { filter: JobFilter { limit: USUAL, ..JobFilter::default() }, search: None };
        for (name, value) in query.iter().filter(|(_, value)| !value.trim().is_empty()) {
            asked.take(name, value.trim())?;
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let wrong = |rule: &str| Refusal::bad(format!("{name} is \"{value}\"; it must be {rule}"));
        let words = |words: &[&str]| format!("one of {}", words.join(", "));
        let filter = &mut self.filter;
        match name {
            "search" => self.search = Some(value.to_owned()),
            "mailbox" => filter.mailbox = Some(value.to_owned()),
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
            _ => {
                let known = "search, state, mailbox, error_kind, event_key, in_doubt, limit";
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
            && filter.mailbox.as_ref().is_none_or(|mailbox| job.mailbox.to_string().eq_ignore_ascii_case(mailbox))
            && (!filter.in_doubt || job.is_in_doubt())
    }
}

impl Web {
    /// The newest first.
    pub async fn jobs(&self, query: &[(String, String)]) -> Reply {
        let asked = Asked::of(query)?;
        let queue = &self.standing.get().ok_or_else(Refusal::starting)?.queue;
        let limit = asked.filter.limit;
        // No index knows the mailbox of jobs that have ended: all rows would be read.
        let by_mailbox = asked.filter.mailbox.clone().filter(|_| {
            let filter = &asked.filter;
            matches!(filter.state, None | Some(JobState::Sent)) && filter.event_key.is_none() && !filter.in_doubt
        });
        let jobs = match asked.search.clone().or(by_mailbox) {
            Some(text) => {
                let mut found = queue.find(&text, MOST).await?;
                found.retain(|job| asked.fits(job));
                found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                found
            }
            None => {
                let mut found = queue.jobs(&asked.filter).await?;
                found.reverse();
                found
            }
        };
        let shown = jobs.iter().map(|job| Value::Object(self.hidden(row_json::summary(job))));
        Ok(json(&json!({
            "jobs": shown.collect::<Value>(),
            "limit": limit,
            "show_content": self.settings.show_content,
        })))
    }

    pub async fn job(&self, id: &str) -> Reply {
        let id = id.parse().map(JobId).map_err(|_| Refusal::bad("The id of a job is a whole number."))?;
        let queue = &self.standing.get().ok_or_else(Refusal::starting)?.queue;
        let Some((job, attempts)) = queue.job(id).await? else {
            let status = axum::http::StatusCode::NOT_FOUND;
            return Err(Refusal::new(status, "not_found", format!("there is no job {id}")));
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
