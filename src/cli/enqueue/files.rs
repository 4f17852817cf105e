//! Files as jobs: what was given on the command line, and the lines of each, one by one, so that a file of any length takes
//! little memory.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use csv::StringRecord;
use indicatif::ProgressBar;
use serde_json::Value;

use super::super::{Failure, columns, progress};
use super::Format;
use crate::exit::Exit;
use crate::queue::NewJob;

/// Longest line of a file: a request is at most 4 MB, and JSON may escape every byte of it.
const LONGEST_LINE: u64 = 32 * 1024 * 1024;
/// Longest row of a CSV file, which escapes nothing but quotes.
const LONGEST_ROW: u64 = 16 * 1024 * 1024;
/// A file of so many bytes is read in no time: no progress bar.
const SMALL: u64 = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file to read jobs from.
pub(super) struct Given {
    pub name: String,
    path: PathBuf,
    format: Format,
}

impl Given {
    /// What the command line names.
    pub(super) fn all(files: &[PathBuf], format: Option<Format>) -> Result<Vec<Self>, Failure> {
        files.iter().map(|file| Self::new(file, format)).collect()
    }

    fn new(file: &Path, format: Option<Format>) -> Result<Self, Failure> {
        let stdin = file.as_os_str() == "-";
        let name = if stdin { "stdin".to_owned() } else { file.display().to_string() };
        let Some(format) = format.or_else(|| if stdin { Some(Format::Ndjson) } else { by_name(file) }) else {
            let text = format!("{name}: neither .ndjson, .jsonl nor .csv; say --format ndjson or --format csv");
            return Err(Failure::new(Exit::Usage, text));
        };
        Ok(Self { name, path: file.to_owned(), format })
    }

    fn open(&self) -> std::io::Result<Box<dyn Read>> {
        Ok(match self.path.as_os_str() == "-" {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(File::open(&self.path)?),
        })
    }

    /// For reading it once.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn once(&self) -> Result<(Candidates<Box<dyn Read>>, ProgressBar), String> {
        let reader = self.open().map_err(|error| self.fault(&error))?;
        let bytes = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        let bar = bar_of(bytes);
        Ok((Candidates::new(self.format, &self.name, Box::new(bar.wrap_read(reader))), bar))
    }

    /// For reading it several times. What can be read only once, as a pipe can, is put aside into a temporary file.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn again(&self) -> Result<Again<'_>, String> {
        self.kept().map(|(file, stamp)| Again { given: self, file, stamp }).map_err(|error| self.fault(&error))
    }

    fn kept(&self) -> std::io::Result<(File, Stamp)> {
        let file = match self.path.as_os_str() == "-" || !std::fs::metadata(&self.path)?.is_file() {
            true => {
                let mut aside = tempfile::tempfile()?;
                std::io::copy(&mut self.open()?, &mut aside)?;
                aside
            }
            false => File::open(&self.path)?,
        };
        let stamp = Stamp::of(&file)?;
        Ok((file, stamp))
    }

    fn fault(&self, error: &dyn std::fmt::Display) -> String {
        format!("{}: {error}", self.name)
    }
}

/// A file that can be read more than once, and is the same each time.
pub(super) struct Again<'g> {
    given: &'g Given,
    file: File,
    stamp: Stamp,
}

#[derive(PartialEq, Eq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self(metadata.len(), metadata.modified().ok()))
    }
}

impl Again<'_> {
    pub(super) fn name(&self) -> &str {
        &self.given.name
    }

    /// For a reading of it.
    pub(super) fn bar(&self) -> ProgressBar {
        bar_of(self.stamp.0)
    }

    /// From its beginning, told to `bar`.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(&self, bar: &ProgressBar) -> Result<Candidates<impl Read>, String> {
        let mut file = &self.file;
        file.rewind().map_err(|error| self.given.fault(&error))?;
        Ok(Candidates::new(self.given.format, self.name(), bar.wrap_read(file)))
    }

    /// Nobody has written into it since it was opened.
    pub(super) fn is_the_same(&self) -> bool {
        Stamp::of(&self.file).is_ok_and(|stamp| stamp == self.stamp)
    }
}

fn bar_of(bytes: u64) -> ProgressBar {
    if bytes > SMALL { progress::of_bytes(bytes, "read") } else { ProgressBar::hidden() }
}

fn by_name(file: &Path) -> Option<Format> {
    match file.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

/// A job and where it came from, for messages.
pub(super) struct Candidate {
    pub from: String,
    pub job: Result<NewJob, String>,
}

/// The jobs of a file, in order. An error is one of the whole file, and its end.
pub(super) struct Candidates<R> {
    name: String,
    lines: Lines<R>,
}

enum Lines<R> {
    Ndjson {
        reader: BufReader<R>,
        number: u64,
    },
    Csv {
        reader: Box<csv::Reader<Bounded<R>>>,
        left: Rc<Cell<u64>>,
        /// None before it is read.
        header: Option<StringRecord>,
    },
    Ended,
}

impl<R: Read> Candidates<R> {
    fn new(format: Format, name: &str, reader: R) -> Self {
        let lines = match format {
            Format::Ndjson => Lines::Ndjson { reader: BufReader::new(reader), number: 0 },
            Format::Csv => {
                let left = Rc::new(Cell::new(LONGEST_ROW));
                let bounded = Bounded { reader, left: left.clone() };
                let reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(bounded);
                Lines::Csv { reader: Box::new(reader), left, header: None }
            }
        };
        Self { name: name.to_owned(), lines }
    }
}

impl<R: Read> Iterator for Candidates<R> {
    type Item = Result<Candidate, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.lines {
            Lines::Ndjson { reader, number } => next_line(reader, number),
            Lines::Csv { reader, left, header } => next_row(reader, left, header),
            Lines::Ended => return None,
        };
        match next.transpose()? {
            Ok((line, job)) => Some(Ok(Candidate { from: format!("{}, line {line}", self.name), job })),
            Err(fault) => {
                self.lines = Lines::Ended;
                Some(Err(format!("{}{fault}", self.name)))
            }
        }
    }
}

/// The number of a line, and the job in it or its fault.
type Line = (u64, Result<NewJob, String>);

/// None at the end. An error begins with what follows the file's name.
fn next_line(reader: &mut impl BufRead, number: &mut u64) -> Result<Option<Line>, String> {
    loop {
        let mut line = Vec::new();
        *number += 1;
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| format!(": {error}"))?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LONGEST_LINE {
            return Err(format!(", line {number}: longer than 32 MB; one line is one job"));
        }
        // Windows PowerShell puts it in front of what it writes as UTF-8.
        let line = if *number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line) } else { &line };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let job = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(object)) => columns::from_object(object),
            Ok(_) => Err("is not a JSON object; write {\"subject\": …, \"start_time\": …, \"end_time\": …}".into()),
            Err(error) => Err(format!("is not JSON: {error}")),
        };
        return Ok(Some((*number, job)));
    }
}

fn next_row<R: Read>(
    reader: &mut csv::Reader<Bounded<R>>,
    left: &Cell<u64>,
    header: &mut Option<StringRecord>,
) -> Result<Option<Line>, String> {
    let fault = |error: csv::Error| format!(": {error}");
    let header = match header {
        Some(header) => header,
        None => header.insert(checked(reader.headers().map_err(fault)?)?),
    };
    let mut record = StringRecord::new();
    left.set(LONGEST_ROW);
    match reader.read_record(&mut record) {
        Ok(false) => Ok(None),
        Ok(true) => {
            let line = record.position().map_or(0, csv::Position::line);
            Ok(Some((line, columns::from_fields(header.iter().zip(record.iter())))))
        }
        Err(error) => match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let job = Err(format!("has {len} fields, the header has {expected_len}"));
                Ok(Some((pos.as_ref().map_or(0, csv::Position::line), job)))
            }
            csv::ErrorKind::Utf8 { pos, err } => {
                let job = Err(format!("field {} is not UTF-8", err.field() + 1));
                Ok(Some((pos.as_ref().map_or(0, csv::Position::line), job)))
            }
            _ => Err(fault(error)),
        },
    }
}

/// The header, without the mark some programs put in front of it.
fn checked(header: &StringRecord) -> Result<StringRecord, String> {
    let header: StringRecord = header.iter().map(|column| column.trim_start_matches('\u{feff}')).collect();
    if let Some(unknown) = header.iter().find(|column| !columns::COLUMNS.contains(column)) {
        let separator = match unknown {
            _ if header.len() > 1 => "",
            one if one.contains(';') => "; columns are separated by commas, not by semicolons",
            one if one.contains('\t') => "; columns are separated by commas, not by tabs",
            _ => "",
        };
        return Err(format!(": {}{separator}", columns::unknown(unknown)));
    }
    let twice =
        header.iter().enumerate().find(|(place, column)| header.iter().take(*place).any(|other| other == *column));
    match twice {
        Some((_, column)) => Err(format!(": column '{column}' is there twice in the header; leave one of them out")),
        None => Ok(header),
    }
}

/// Reads on until the allowance is used up. A CSV reader takes as much memory as one row has bytes, and a quote that
/// is never closed makes the rest of the file one row; so each row read renews the allowance.
struct Bounded<R> {
    reader: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| std::io::Error::other("a row is longer than 16 MB; one row is one job"))?);
        Ok(read)
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
