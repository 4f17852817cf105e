//! Files of which whatever can go in does: read once, a few hundred jobs in a transaction, and each line left out is named
//! with the reason.

use std::io::Read;
use std::sync::Arc;

use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::files::{Candidates, InputFile};
use super::results::{FileResult, Results};
use super::{Judge, inserted, jobs, open};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue::{NewJob, Queue};

/// Jobs read before they are handed to the queue.
const BATCH: usize = 500;

/// Inserts what is in order into the queue there; without one, only judges.
pub(super) async fn insert(
    all: Vec<InputFile>,
    judge: &Judge,
    queue: Option<&LocalSettings>,
    results: Results,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let queue = match queue {
        Some(settings) => Some(open(settings).await?),
        None => None,
    };
    let mut gaps = PartialInsert {
        queue,
        inserted: 0,
        skipped: 0,
        bar: ProgressBar::hidden(),
        of_file: (0, None),
        told: Vec::new(),
        results,
        result: FileResult::default(),
    };
    let mut broken = false;
    for (place, given) in all.iter().enumerate() {
        let (candidates, bar) = match given.once() {
            Ok(opened) => opened,
            Err(fault) => {
                broken = true;
                eprintln!("event-sender: {fault}");
                let mut result = FileResult::of(&given.name);
                result.problem(&fault);
                gaps.results.add(result);
                continue;
            }
        };
        gaps.bar = bar;
        gaps.of_file = (0, None);
        gaps.result = FileResult::of(&given.name);
        let read = gaps.all(candidates, judge).await;
        gaps.bar.finish_and_clear();
        let (count, ids) = gaps.of_file;
        gaps.told.push(format!("{}: {}", given.name, inserted(count, ids)));
        let result = std::mem::take(&mut gaps.result);
        gaps.results.add(result);
        broken |= !read.inspect_err(|_| gaps.tell_end(all.get(place + 1..).unwrap_or_default()))?;
        if stop.is_cancelled() {
            gaps.tell_end(all.get(place + 1..).unwrap_or_default());
            gaps.results.end()?;
            return Ok(Exit::Failed);
        }
    }
    if gaps.queue.is_none() {
        gaps.results.line(&format!("would insert {}, skip {}", jobs(gaps.inserted), gaps.skipped))?;
    } else {
        gaps.sum_up();
    }
    gaps.results.end()?;
    Ok(if broken || gaps.inserted == 0 { Exit::Failed } else { Exit::Done })
}

/// What went in so far, and what did not.
struct PartialInsert {
    queue: Option<Arc<dyn Queue>>,
    inserted: usize,
    skipped: usize,
    /// From the file being read: how many, the first id and the last.
    of_file: (usize, Option<(i64, i64)>),
    /// What went in from each file, for whoever must know because it ended early.
    told: Vec<String>,
    bar: ProgressBar,
    results: Results,
    /// Of the file being read.
    result: FileResult,
}

impl PartialInsert {
    /// Tells whether the file could be read to its end.
    async fn all(&mut self, candidates: Candidates<impl Read>, judge: &Judge) -> Result<bool, Failure> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut whole = true;
        for candidate in candidates {
            let from = match &candidate {
                Ok(candidate) => candidate.from.clone(),
                Err(fault) => {
                    self.say(fault);
                    whole = false;
                    break;
                }
            };
            match candidate.and_then(|candidate| judge.candidate(candidate)) {
                Ok(job) => batch.push((from, job)),
                Err(fault) => self.skip(&fault),
            }
            if batch.len() == BATCH {
                self.insert(std::mem::take(&mut batch)).await?;
            }
        }
        self.insert(batch).await?;
        Ok(whole)
    }

    /// What the queue refuses is left out.
    async fn insert(&mut self, batch: Vec<(String, NewJob)>) -> Result<(), Failure> {
        let (from, jobs): (Vec<String>, Vec<NewJob>) = batch.into_iter().unzip();
        let Some(queue) = self.queue.clone() else {
            self.inserted += jobs.len();
            self.result.would_insert(jobs.len() as u64);
            return Ok(());
        };
        let mut from = from.into_iter();
        let mut printed = Ok(());
        let mut on_batch = |inserted: Vec<Result<i64, String>>| {
            let from: Vec<String> = from.by_ref().take(inserted.len()).collect();
            let now = self.inserted(&from, inserted);
            if printed.is_ok() {
                printed = now;
            }
        };
        queue.insert_with_gaps(&jobs, &mut on_batch).await.map_err(Failure::failed)?;
        printed
    }

    /// These are in, or were refused.
    fn inserted(&mut self, from: &[String], inserted: Vec<Result<i64, String>>) -> Result<(), Failure> {
        let mut ids = Vec::with_capacity(inserted.len());
        for (from, inserted) in from.iter().zip(inserted) {
            match inserted {
                Ok(id) => ids.push(id),
                Err(reason) => self.skip(&format!("{from}: {reason}")),
            }
        }
        self.inserted += ids.len();
        self.result.inserted(&ids);
        if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
            let (count, range) = self.of_file;
            self.of_file = (count + ids.len(), Some((range.map_or(*first, |(first, _)| first), *last)));
        }
        // Whoever is not told what is in inserts it again.
        self.bar.suspend(|| self.results.print_ids(&ids)).map_err(|error| {
            let up_to = from.last().map(String::as_str).unwrap_or_default();
            Failure::failed(format!("inserted up to {up_to}; the ids could not be printed: {error}"))
        })
    }

    fn skip(&mut self, fault: &str) {
        self.skipped += 1;
        self.say(fault);
    }

    /// It ended early: what went in from each file, and which were not looked at.
    fn tell_end(&self, rest: &[InputFile]) {
        self.told.iter().for_each(|line| eprintln!("{line}"));
        rest.iter().for_each(|given| eprintln!("{}: not inserted", given.name));
        self.sum_up();
    }

    fn say(&mut self, text: &str) {
        self.result.problem(text);
        self.bar.suspend(|| eprintln!("event-sender: {text}"));
    }

    fn sum_up(&self) {
        eprintln!("inserted {}, skipped {}", self.inserted, self.skipped);
    }
}
