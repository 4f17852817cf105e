//! What the operator's writes have in common: judge each job, change those that may be changed, a batch at a time, and
//! say what was done to how many and what was not, and why.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::paper::Paper;
use super::{list, output, progress};
use crate::advice::judgement::Judgement;
use crate::agent::Failure;
use crate::exit::Exit;
use crate::job::JobId;
use crate::queue::{Changed, Chosen, OnBatch, QueueError, Read};

/// Jobs named before the rest is only counted.
const SHOWN: usize = 20;
/// So many jobs are changed in no time: no progress bar.
const FEW: usize = 200;

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct WriteArgs {
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// The words of a command: `retry`, and what it did, `retried`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verb {
    pub now: &'static str,
    pub done: &'static str,
}

/// What was asked for, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub verb: Verb,
    pub write_args: WriteArgs,
    /// Each of the jobs was named, so that none may be left alone without the command failing.
    pub by_id: bool,
}

/// What is done, and what is left alone.
#[derive(Debug, Default)]
pub(super) struct BatchChange {
    jobs: Vec<JobId>,
    skipped: Vec<(i64, String)>,
    /// Something that was asked for is not done.
    refused: bool,
    /// Until when jobs wait although they are queued, and for what.
    pub waits: Vec<String>,
    /// What the operator should know besides.
    pub notes: Vec<String>,
}

impl BatchChange {
    pub(super) fn new(chosen: &[Chosen], missing: Vec<i64>, judge: impl Fn(&Chosen) -> Judgement) -> Self {
        let mut plan = Self { refused: !missing.is_empty(), ..Self::default() };
        plan.skipped = missing.into_iter().map(|id| (id, "there is no such job".to_owned())).collect();
        for job in chosen {
            match judge(job) {
                Judgement::Change => plan.jobs.push(job.id),
                Judgement::Already(reason) => plan.skipped.push((job.id.0, reason)),
                Judgement::Refuse(reason) => plan.refuse(job.id, reason),
            }
        }
        plan
    }

    /// The jobs to change.
    pub(super) fn jobs(&self) -> &[JobId] {
        &self.jobs
    }

    fn refuse(&mut self, id: JobId, reason: String) {
        self.refused = true;
        self.skipped.push((id.0, reason));
    }

    /// Changes the jobs, or only says which, and says what came of it.
    pub(super) async fn carry_out(
        mut self,
        queue: &dyn Read,
        asked: Asked,
        change: impl AsyncFnOnce(&[JobId], OnBatch<'_>) -> Result<(), QueueError>,
    ) -> Result<Exit, Failure> {
        let Asked { verb, write_args, by_id } = asked;
        let mut done = Vec::new();
        let mut trouble = None;
        if write_args.dry_run {
            done.clone_from(&self.jobs);
        } else {
            trouble = self.change(&mut done, change).await.err();
        }
        if write_args.json {
            self.print_json(verb, write_args, &done)?;
        } else {
            self.print(queue, verb, write_args, &done).await?;
        }
        if let Some(error) = trouble {
            return Err(Failure::failed(format!("{error}\nrun the command again for the rest")));
        }
        let failed = self.refused && (by_id || done.is_empty());
        Ok(if failed { Exit::Failed } else { Exit::Done })
    }

    async fn change(
        &mut self,
        done: &mut Vec<JobId>,
        change: impl AsyncFnOnce(&[JobId], OnBatch<'_>) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let jobs = std::mem::take(&mut self.jobs);
        let bar = if jobs.len() > FEW { progress::of(jobs.len() as u64, "jobs") } else { ProgressBar::hidden() };
        let mut on_batch = |batch: &[JobId], changed: Changed| {
            for id in batch.iter().filter(|id| changed.done.binary_search(id).is_err()) {
                let refused = changed.refused.iter().find(|(refused, _)| refused == id);
                let reason = refused.map_or("has moved on meanwhile", |(_, reason)| reason);
                self.refuse(*id, reason.to_owned());
            }
            done.extend(changed.done);
            bar.inc(batch.len() as u64);
        };
        let ended = change(&jobs, &mut on_batch).await;
        bar.finish_and_clear();
        ended
    }

    fn print_json(&self, verb: Verb, write_args: WriteArgs, done: &[JobId]) -> std::io::Result<()> {
        let skipped: Value = self.skipped.iter().map(|(id, reason)| json!({ "id": id, "reason": reason })).collect();
        let ids: Vec<i64> = done.iter().map(|id| id.0).collect();
        output::json(&json!({
            "dry_run": write_args.dry_run, verb.done: done.len(), "ids": ids, "skipped": skipped, "waits": self.waits,
            "notes": self.notes,
        }))
    }

    async fn print(&self, queue: &dyn Read, verb: Verb, write_args: WriteArgs, done: &[JobId]) -> Result<(), Failure> {
        if done.is_empty() && self.skipped.is_empty() {
            eprintln!("no job matches");
            return Ok(());
        }
        if write_args.dry_run {
            output::line(&format!("would {} {}", verb.now, jobs(done.len())))?;
            let shown = &done[..done.len().min(SHOWN)];
            if !shown.is_empty() {
                output::lines(&list::table(Paper::new(false), &queue.jobs_by_id(shown).await?))?;
            }
            if done.len() > SHOWN {
                output::line(&format!("and {} more", done.len() - SHOWN))?;
            }
        } else {
            let named =
                if done.is_empty() { String::new() } else { format!(": {}", named(done.iter().map(|id| id.0))) };
            output::line(&format!("{} {}{named}", verb.done, jobs(done.len())))?;
        }
        let queued = if write_args.dry_run { "would be queued" } else { "queued" };
        for wait in &self.waits {
            output::line(&output::short(&format!("{queued}, {wait}"), usize::MAX))?;
        }
        let mut reasons: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (id, reason) in &self.skipped {
            reasons.entry(reason).or_default().push(*id);
        }
        for (reason, ids) in reasons {
            let subject = if ids.len() == 1 { "job" } else { "jobs" };
            eprintln!("not {}, {subject} {}: {reason}", verb.done, named(ids.into_iter()));
        }
        self.notes.iter().for_each(|note| eprintln!("{}", output::short(note, usize::MAX)));
        Ok(())
    }
}

/// `1 job`, `3 jobs`.
pub(super) fn jobs(count: usize) -> String {
    if count == 1 { "1 job".into() } else { format!("{count} jobs") }
}

/// The first of them, and how many there are besides.
pub(super) fn named(ids: impl ExactSizeIterator<Item = i64>) -> String {
    let more = ids.len().saturating_sub(SHOWN);
    let named: Vec<String> = ids.take(SHOWN).map(|id| id.to_string()).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}
