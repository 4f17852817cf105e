//! Files of which whatever can go in does: read once, a few hundred jobs in a transaction, and each line left out is named
//! with the reason.

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use indicatif::ProgressBar;

use super::super::{Failure, output};
use super::files::{Candidates, Given};
use super::{Judge, jobs, print_ids};
use crate::exit::Exit;
use crate::queue::{InsertError, NewJob, SqliteQueue, rest_after};

/// Jobs of one transaction: some ten milliseconds of the write lock.
const BATCH: usize = 500;

/// Inserts what is in order into the queue there; without one, only judges.
pub(super) async fn insert(given: Vec<Given>, judge: &Judge, queue: Option<&PathBuf>) -> Result<Exit, Failure> {
    let queue = match queue {
        Some(path) => Some(SqliteQueue::open_to_insert(path).await?),
        None => None,
    };
    let mut gaps = Gaps { queue, inserted: 0, skipped: 0, bar: ProgressBar::hidden() };
    let mut broken = false;
    for given in &given {
        let (candidates, bar) = match given.once() {
            Ok(opened) => opened,
            Err(fault) => {
                broken = true;
                eprintln!("event-sender: {fault}");
                continue;
            }
        };
        gaps.bar = bar;
        let read = gaps.all(candidates, judge).await;
        gaps.bar.finish_and_clear();
        broken |= !read.inspect_err(|_| gaps.sum_up())?;
    }
    if gaps.queue.is_none() {
        output::line(&format!("would insert {}, skip {}", jobs(gaps.inserted), gaps.skipped))?;
    } else {
        gaps.sum_up();
    }
    Ok(if broken || gaps.inserted == 0 { Exit::Failed } else { Exit::Done })
}

/// What went in so far, and what did not.
struct Gaps {
    queue: Option<SqliteQueue>,
    inserted: usize,
    skipped: usize,
    bar: ProgressBar,
}

impl Gaps {
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
                let begin = Instant::now();
                self.insert(&batch).await?;
                batch.clear();
                tokio::time::sleep(rest_after(begin.elapsed())).await;
            }
        }
        self.insert(&batch).await?;
        Ok(whole)
    }

    /// One transaction. What the schema refuses is left out; the rest is in, or nothing of it.
    async fn insert(&mut self, batch: &[(String, NewJob)]) -> Result<(), Failure> {
        let Some(queue) = self.queue.as_ref().filter(|_| !batch.is_empty()) else {
            self.inserted += batch.len();
            return Ok(());
        };
        let (mut ids, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut insertion = queue.insertion().await.map_err(Failure::failed)?;
        for (from, job) in batch {
            match insertion.add(job).await {
                Ok(id) => ids.push(id),
                Err(InsertError::Refused { reason, .. }) => refused.push(format!("{from}: {reason}")),
                Err(error) => return Err(Failure::failed(error)),
            }
        }
        insertion.commit().await.map_err(Failure::failed)?;
        self.inserted += ids.len();
        refused.iter().for_each(|fault| self.skip(fault));
        self.bar.suspend(|| print_ids(&ids))?;
        Ok(())
    }

    fn skip(&mut self, fault: &str) {
        self.skipped += 1;
        self.say(fault);
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("event-sender: {text}"));
    }

    fn sum_up(&self) {
        eprintln!("inserted {}, skipped {}", self.inserted, self.skipped);
    }
}
