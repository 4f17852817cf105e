//! Files that go in whole or not at all. Each is read twice: once to be judged, which takes the time, and once to be
//! inserted in one transaction, which others wait for; so no file is held in memory.

use indicatif::ProgressBar;

use super::super::progress;
use super::files::{InputFile, RereadableFile};
use super::results::{FileResult, Results};
use super::{Judge, ends, inserted, jobs, open, unprinted};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue::{InsertError, Produce};

/// Faults shown of a file before the rest is only counted.
const SHOWN: usize = 20;
/// So many jobs are inserted in no time: no progress bar.
const FEW: u64 = 2000;

/// Inserts what is in order into the queue there; without one, only judges.
pub(super) async fn insert(
    given: Vec<InputFile>,
    judge: &Judge,
    queue: Option<&LocalSettings>,
    results: Results,
) -> Result<Exit, Failure> {
    let mut good = Vec::new();
    let only_judged = queue.is_none();
    let mut told = FileResults { good: Vec::new(), bad: false, output_closed: false, only_judged, results };
    for given in &given {
        match given.again().map_err(Faults::from).and_then(|file| Ok((judged(&file, judge)?, file))) {
            Ok((count, file)) => good.push((file, count)),
            Err(faults) => told.bad(&given.name, &faults),
        }
    }
    match queue {
        None => {
            good.iter().for_each(|(file, count)| told.judged(file.name(), *count));
            let all = good.iter().map(|(_, count)| count).sum::<u64>();
            told.results.line(&format!("would insert {}", jobs(usize::try_from(all).unwrap_or(usize::MAX))))?;
        }
        Some(settings) if !good.is_empty() => {
            let queue = open(settings).await?;
            for (file, count) in &good {
                if told.output_closed {
                    told.good.push(format!("{}: not inserted", file.name()));
                    continue;
                }
                match one(file, *count, &*queue).await {
                    Ok(ids) => told.inserted(file.name(), &ids),
                    Err(fault) => told.bad(file.name(), &fault.into()),
                }
            }
        }
        Some(_) => {}
    }
    told.end()
}

/// What is wrong with a file: some of it in words, the rest only counted.
#[derive(Default)]
struct Faults {
    shown: Vec<String>,
    more: u64,
}

impl Faults {
    fn add(&mut self, fault: String) {
        if self.shown.len() < SHOWN { self.shown.push(fault) } else { self.more += 1 }
    }
}

impl From<String> for Faults {
    fn from(fault: String) -> Self {
        Self { shown: vec![fault], more: 0 }
    }
}

/// What was said of the files.
struct FileResults {
    good: Vec<String>,
    bad: bool,
    /// Nobody reads the ids any more: nothing further goes in.
    output_closed: bool,
    only_judged: bool,
    results: Results,
}

impl FileResults {
    fn judged(&mut self, name: &str, count: u64) {
        let mut result = FileResult::of(name);
        result.would_insert(count);
        self.results.add(result);
    }

    fn inserted(&mut self, name: &str, ids: &[i64]) {
        let printed = self.results.print_ids(ids);
        self.output_closed = printed.is_err();
        let text = match printed {
            Ok(()) => inserted(ids.len(), ends(ids)),
            Err(error) => unprinted(ids, &error),
        };
        self.good.push(format!("{name}: {text}"));
        let mut result = FileResult::of(name);
        result.inserted(ids);
        self.results.add(result);
    }

    fn bad(&mut self, name: &str, faults: &Faults) {
        self.bad = true;
        let mut result = FileResult::of(name);
        faults.shown.iter().for_each(|fault| result.problem(fault));
        result.more_problems(faults.more);
        self.results.add(result);
        faults.shown.iter().for_each(|fault| eprintln!("event-sender: {fault}"));
        if faults.more > 0 {
            eprintln!("and {} more", faults.more);
        }
        if !self.only_judged {
            eprintln!("nothing was inserted from {name}");
        }
    }

    /// Where one file went in and another did not, each is named: only the other is to be given again.
    fn end(self) -> Result<Exit, Failure> {
        let well = !self.bad && !self.output_closed;
        if !well {
            self.good.iter().for_each(|line| eprintln!("{line}"));
        }
        self.results.end()?;
        Ok(if well { Exit::Done } else { Exit::Failed })
    }
}

/// How many jobs are in it, if every one of them is in order.
fn judged(file: &RereadableFile, judge: &Judge) -> Result<u64, Faults> {
    let (mut count, mut faults) = (0, Faults::default());
    let bar = file.bar();
    for candidate in file.read(&bar)? {
        match candidate.and_then(|candidate| judge.candidate(candidate)) {
            Ok(_) => count += 1,
            Err(fault) => faults.add(fault),
        }
    }
    bar.finish_and_clear();
    if count == 0 && faults.shown.is_empty() {
        faults.add(format!("{}: there is no job in it", file.name()));
    }
    if faults.shown.is_empty() { Ok(count) } else { Err(faults) }
}

/// All of its jobs, in one transaction.
async fn one(file: &RereadableFile<'_>, count: u64, queue: &dyn Produce) -> Result<Vec<i64>, String> {
    let of_file = |error: &dyn std::fmt::Display| format!("{}: {error}", file.name());
    let bar = if count > FEW { progress::of(count, "jobs") } else { ProgressBar::hidden() };
    let mut insertion = queue.begin().await.map_err(|error| of_file(&error))?;
    let mut ids = Vec::new();
    for candidate in file.read(&ProgressBar::hidden())? {
        let candidate = candidate?;
        // They were in order when they were judged.
        let job = candidate.job.map_err(|fault| format!("{}: {fault}", candidate.from))?;
        ids.push(insertion.add(&job).await.map_err(|error| match error {
            InsertError::Refused { reason, .. } => format!("{}: {reason}", candidate.from),
            error => of_file(&error),
        })?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if ids.len() as u64 != count || !file.is_the_same() {
        return Err(of_file(&"it was changed while it was read"));
    }
    insertion.commit().await.map_err(|error| of_file(&error))?;
    Ok(ids)
}
