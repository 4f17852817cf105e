//! The operator's verbs, as the commands have them: bound to the ids and the mailbox that were seen, judged by the same rules,
//! logged: who, what and how many.

use axum::http::StatusCode;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::overview::retry_command;
use super::reply::{Refusal, Reply, json};
use super::{Standing, Web};
use crate::advice::judgement::{self, Judgement, PAUSED_ANEW, kept_paused};
use crate::advice::shell;
use crate::job::JobId;
use crate::queue::{Changed, Chosen, LaneKey};
use crate::visible;

/// Jobs of one request.
const MOST: usize = 5000;

/// Jobs that were seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    ids: Vec<i64>,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
    /// Of a cancel: also jobs in doubt.
    #[serde(default)]
    even_if_in_doubt: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    pub mailbox: String,
    #[serde(default)]
    pub reason: Option<String>,
}

/// What is to be done, and what is left alone.
struct Plan {
    jobs: Vec<JobId>,
    skipped: Vec<(i64, String)>,
}

impl Plan {
    fn new(asked: &[JobId], chosen: &[Chosen], judge: impl Fn(&Chosen) -> Judgement) -> Self {
        let missing = asked.iter().filter(|id| chosen.iter().all(|job| job.id != **id));
        let mut plan =
            Self { jobs: Vec::new(), skipped: missing.map(|id| (id.0, "there is no such job".into())).collect() };
        for job in chosen {
            match judge(job) {
                Judgement::Change => plan.jobs.push(job.id),
                Judgement::Already(reason) | Judgement::Refuse(reason) => plan.skipped.push((job.id.0, reason)),
            }
        }
        plan
    }

    /// A batch is done; what was not had its reason.
    fn note(&mut self, batch: &[JobId], changed: &Changed, done: &mut Vec<JobId>) {
        for id in batch.iter().filter(|id| !changed.done.contains(id)) {
            let refused = changed.refused.iter().find(|(refused, _)| refused == id);
            let reason = refused.map_or("has moved on meanwhile", |(_, reason)| reason);
            self.skipped.push((id.0, reason.to_owned()));
        }
        done.extend(&changed.done);
    }

    fn json(&self, verb: &str, dry_run: bool, done: &[JobId], command: String) -> Value {
        let skipped = self.skipped.iter().map(|(id, reason)| json!({ "id": id, "reason": reason }));
        let ids: Vec<i64> = done.iter().map(|id| id.0).collect();
        json!({ "dry_run": dry_run, verb: ids.len(), "ids": ids, "skipped": skipped.collect::<Value>(), "command": command })
    }
}

impl Web {
    fn operated(&self) -> Result<&Standing, Refusal> {
        self.standing.get().ok_or_else(Refusal::starting)
    }

    pub async fn retry(&self, who: &str, asked: Jobs) -> Reply {
        let (standing, ids, now) = (self.operated()?, ids(&asked)?, Utc::now());
        let chosen = standing.queue.chosen(&ids).await?;
        // Each was seen and named.
        let mut plan = Plan::new(&ids, &chosen, |job| judgement::retry(job, true, now));
        let mut done = plan.jobs.clone();
        if !asked.dry_run {
            let jobs = std::mem::take(&mut done);
            standing.queue.retry(&jobs, now, &mut |batch, changed| plan.note(batch, &changed, &mut done)).await?;
            tracing::info!(who, jobs = done.len(), skipped = plan.skipped.len(), "jobs retried from the page");
            standing.look.outdate();
        }
        let named: Vec<i64> = ids.iter().map(|id| id.0).collect();
        Ok(json(&plan.json("retried", asked.dry_run, &done, retry_command(&named))))
    }

    pub async fn cancel(&self, who: &str, asked: Jobs) -> Reply {
        let (standing, ids, now) = (self.operated()?, ids(&asked)?, Utc::now());
        let chosen = standing.queue.chosen(&ids).await?;
        let mut plan = Plan::new(&ids, &chosen, |job| judgement::cancel(job, asked.even_if_in_doubt));
        let mut done = plan.jobs.clone();
        if !asked.dry_run {
            let jobs = std::mem::take(&mut done);
            let mut on_batch = |batch: &[JobId], changed: Changed| plan.note(batch, &changed, &mut done);
            standing.queue.cancel(&jobs, asked.even_if_in_doubt, now, &mut on_batch).await?;
            tracing::info!(who, jobs = done.len(), skipped = plan.skipped.len(), "jobs cancelled from the page");
            standing.look.outdate();
        }
        let named: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let command = retry_command(&named).replacen("retry", "cancel", 1);
        Ok(json(&plan.json("cancelled", asked.dry_run, &done, command)))
    }

    pub async fn hold(&self, who: &str, asked: Mailbox) -> Reply {
        let (standing, lane) = (self.operated()?, lane(&asked)?);
        let reason = asked.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        standing.queue.hold_mailbox(&lane, reason, Utc::now()).await?;
        tracing::info!(who, mailbox = lane.as_str(), reason, "mailbox held from the page");
        let why = reason.map(|reason| format!("--reason {} ", shell::word(reason))).unwrap_or_default();
        let command = format!("event-sender hold {why}{}", shell::last(lane.as_str()));
        self.done(standing, "held", &lane, command).await
    }

    pub async fn release(&self, who: &str, asked: Mailbox) -> Reply {
        let (standing, lane) = (self.operated()?, lane(&asked)?);
        if !standing.queue.release_mailbox(&lane).await? {
            return Err(conflict(&lane, "is not on hold"));
        }
        tracing::info!(who, mailbox = lane.as_str(), "mailbox released from the page");
        self.done(standing, "released", &lane, format!("event-sender release {}", shell::last(lane.as_str()))).await
    }

    pub async fn resume(&self, who: &str, asked: Mailbox) -> Reply {
        let (standing, lane, now) = (self.operated()?, lane(&asked)?, Utc::now());
        let row = standing.queue.mailbox(&lane).await?.filter(|row| row.paused_until(now).is_some());
        let row = row.ok_or_else(|| conflict(&lane, "is not paused"))?;
        if let Some(reason) = kept_paused(&row, now) {
            return Err(conflict(&lane, &reason));
        }
        let lanes = LaneKey::all_of(lane.as_str(), self.filled().unnamed.as_deref());
        if !standing.queue.resume_mailbox(&row, &lanes, now).await? {
            return Err(conflict(&lane, PAUSED_ANEW));
        }
        tracing::info!(who, mailbox = lane.as_str(), "mailbox resumed from the page");
        self.done(standing, "resumed", &lane, format!("event-sender resume {}", shell::last(lane.as_str()))).await
    }

    async fn done(&self, standing: &Standing, verb: &str, lane: &LaneKey, command: String) -> Reply {
        standing.look.outdate();
        let lanes = LaneKey::all_of(lane.as_str(), self.filled().unnamed.as_deref());
        let waiting = standing.queue.waiting_for(&lanes).await?;
        Ok(json(&json!({ verb: 1, "mailbox": lane.as_str(), "waiting": waiting, "command": command })))
    }
}

/// Each once, in order.
fn ids(asked: &Jobs) -> Result<Vec<JobId>, Refusal> {
    if asked.ids.is_empty() || asked.ids.len() > MOST {
        return Err(Refusal::bad(format!("ids has {} entries; it must have from 1 to {MOST}", asked.ids.len())));
    }
    let mut ids: Vec<JobId> = asked.ids.iter().copied().map(JobId).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn lane(asked: &Mailbox) -> Result<LaneKey, Refusal> {
    let lane = LaneKey::of(&asked.mailbox);
    if lane.as_str().is_empty() {
        return Err(Refusal::bad("mailbox is empty; name it as the jobs do"));
    }
    Ok(lane)
}

fn conflict(lane: &LaneKey, why: &str) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "conflict", format!("{} {why}", visible::line(lane.as_str())))
}
