//! Files as jobs: what was given on the command line, and the jobs of each, one by one, so that a file of any length takes
//! little memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Chain, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indicatif::ProgressBar;

use super::super::progress;
use super::Format;
use super::documents::Documents;
use super::line::Line;
use super::table::Table;
use crate::agent::Failure;
use crate::encoding;
use crate::exit::Exit;
use crate::queue::NewJob;

/// A file of so many bytes is read in no time: no progress bar.
const SMALL: u64 = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file to read jobs from.
pub(super) struct InputFile {
    pub name: String,
    path: PathBuf,
    format: Format,
}

impl InputFile {
    /// What the command line names.
    pub(super) fn all(files: &[PathBuf], format: Option<Format>) -> Result<Vec<Self>, Failure> {
        files.iter().map(|file| Self::new(file, format)).collect()
    }

    fn new(file: &Path, format: Option<Format>) -> Result<Self, Failure> {
        let stdin = file.as_os_str() == "-";
        let name = if stdin { "stdin".to_owned() } else { file.display().to_string() };
        let Some(format) = format.or_else(|| if stdin { Some(Format::Ndjson) } else { by_name(file) }) else {
            // A workbook or an archive has another cure.
            if let Some(what) = beginning(file).and_then(|beginning| encoding::foreign(&beginning)) {
                return Err(Failure::new(Exit::Usage, format!("{name}: {what}")));
            }
            let text =
                format!("{name}: neither .ndjson, .jsonl, .json, .csv nor .tsv; say --format ndjson or --format csv");
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
    pub(super) fn again(&self) -> Result<RereadableFile<'_>, String> {
        self.kept().map(|(file, stamp)| RereadableFile { given: self, file, stamp }).map_err(|error| self.fault(&error))
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
pub(super) struct RereadableFile<'g> {
    given: &'g InputFile,
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

impl RereadableFile<'_> {
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

fn beginning(file: &Path) -> Option<Vec<u8>> {
    // A pipe would wait for its writer, and what is read of it is gone.
    std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
    let mut beginning = Vec::new();
    File::open(file).ok()?.take(encoding::ENOUGH as u64).read_to_end(&mut beginning).ok()?;
    Some(beginning)
}

fn by_name(file: &Path) -> Option<Format> {
    match file.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        "csv" | "tsv" => Some(Format::Csv),
        _ => None,
    }
}

/// A job and where it came from, for messages.
pub(super) struct Candidate {
    pub from: String,
    pub job: Result<NewJob, String>,
}

/// The jobs of a file, in order. An error is one of the whole file, and its end.
pub(super) struct Candidates<R: Read> {
    name: String,
    lines: Lines<R>,
}

enum Lines<R: Read> {
    /// Nobody has looked at the file yet.
    Unread(R, Format),
    Ndjson(Box<Documents<Text<R>>>),
    Csv(Box<Table<Text<R>>>),
    Ended,
}

/// A file whose beginning has been looked at.
type Text<R> = Chain<Cursor<Vec<u8>>, R>;

impl<R: Read> Candidates<R> {
    fn new(format: Format, name: &str, reader: R) -> Self {
        Self { name: name.to_owned(), lines: Lines::Unread(reader, format) }
    }

    /// An error begins with what follows the file's name.
    fn line(&mut self) -> Result<Option<Line>, String> {
        if let Lines::Unread(..) = self.lines
            && let Lines::Unread(reader, format) = std::mem::replace(&mut self.lines, Lines::Ended)
        {
            let text = text(reader)?;
            self.lines = match format {
                Format::Ndjson => Lines::Ndjson(Box::new(Documents::new(text))),
                Format::Csv => Lines::Csv(Box::new(Table::new(text))),
            };
        }
        match &mut self.lines {
            Lines::Ndjson(documents) => documents.next(),
            Lines::Csv(table) => table.next(),
            Lines::Unread(..) | Lines::Ended => Ok(None),
        }
    }
}

impl<R: Read> Iterator for Candidates<R> {
    type Item = Result<Candidate, String>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.line().transpose()? {
            Ok((line, job)) => Some(Ok(Candidate { from: format!("{}, line {line}", self.name), job })),
            Err(fault) => {
                self.lines = Lines::Ended;
                Some(Err(format!("{}{fault}", self.name)))
            }
        }
    }
}

/// The file from its beginning, without the mark some programs put there, if it is text in UTF-8 as far as can be seen.
fn text<R: Read>(mut reader: R) -> Result<Text<R>, String> {
    let mut beginning = Vec::new();
    let read = reader.by_ref().take(encoding::ENOUGH as u64).read_to_end(&mut beginning);
    read.map_err(|error| format!(": {error}"))?;
    if let Some(what) = encoding::foreign(&beginning) {
        return Err(format!(": {what}"));
    }
    if beginning.starts_with(BYTE_ORDER_MARK) {
        beginning.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(Cursor::new(beginning).chain(reader))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
