//! What became of what was given: for people as it happens, for programs (`--json`) at the end.

use serde_json::{Value, json};

use super::print_ids;
use crate::agent::Failure;
use crate::cli::output;

/// Faults kept of a file before the rest is only counted: those a person reads.
const KEPT: usize = 20;

/// What became of one file, or of the job in the flags.
#[derive(Debug, Default)]
pub(super) struct FileResult {
    /// None for the job in the flags.
    name: Option<String>,
    /// Of a dry run, those that would be inserted have none.
    ids: Vec<i64>,
    inserted: u64,
    problems: Vec<String>,
    more_problems: u64,
}

impl FileResult {
    pub(super) fn of(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// These are in.
    pub(super) fn inserted(&mut self, ids: &[i64]) {
        self.ids.extend(ids);
        self.inserted += ids.len() as u64;
    }

    /// So many would be in.
    pub(super) fn would_insert(&mut self, count: u64) {
        self.inserted += count;
    }

    pub(super) fn problem(&mut self, text: &str) {
        if self.problems.len() < KEPT { self.problems.push(text.to_owned()) } else { self.more_problems += 1 }
    }

    pub(super) fn more_problems(&mut self, count: u64) {
        self.more_problems += count;
    }

    fn json(&self) -> Value {
        json!({
            "file": self.name,
            "inserted": self.inserted,
            "ids": self.ids,
            "problems": self.problems,
            "more_problems": self.more_problems,
        })
    }
}

/// What is printed: ids as they come, or one object at the end.
pub(super) struct Results {
    as_json: bool,
    dry_run: bool,
    files: Vec<FileResult>,
}

impl Results {
    pub(super) fn new(as_json: bool, dry_run: bool) -> Self {
        Self { as_json, dry_run, files: Vec::new() }
    }

    /// Ids of jobs that are in now.
    pub(super) fn print_ids(&self, ids: &[i64]) -> std::io::Result<()> {
        if self.as_json { Ok(()) } else { print_ids(ids) }
    }

    /// A line for people.
    pub(super) fn line(&self, text: &str) -> std::io::Result<()> {
        if self.as_json { Ok(()) } else { output::line(text) }
    }

    pub(super) fn add(&mut self, file: FileResult) {
        self.files.push(file);
    }

    /// The object for programs. Whoever does not get it does not know what is in.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if !self.as_json {
            return Ok(());
        }
        let inserted: u64 = self.files.iter().map(|file| file.inserted).sum();
        let ids: Vec<i64> = self.files.iter().flat_map(|file| file.ids.iter().copied()).collect();
        let files: Vec<Value> = self.files.iter().map(FileResult::json).collect();
        let told = json!({ "dry_run": self.dry_run, "inserted": inserted, "ids": ids, "files": files });
        output::json(&told).map_err(|error| {
            let range = ids.first().zip(ids.last()).map(|(first, last)| (*first, *last));
            let text = super::inserted(ids.len(), range);
            Failure::failed(format!("{text}; the result could not be printed: {error}"))
        })
    }
}
