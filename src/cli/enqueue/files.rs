//! Files as jobs: what was given on the command line, and the jobs of each, one by one, so that a file of any length takes
//! little memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Chain, Cursor, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indicatif::ProgressBar;
use rustix::fs::OFlags;
use tokio_util::sync::CancellationToken;

use super::super::{progress, temporary};
use super::Format;
use super::documents::Documents;
use super::line::Line;
use super::stoppable::Stoppable;
use super::table::Table;
use crate::access;
use crate::agent::Failure;
use crate::encoding;
use crate::exit::Exit;
use crate::queue::NewJob;

/// A file of so many bytes is read in no time: no progress bar.
const SMALL: u64 = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Bytes of a pipe that are put aside at a time.
const CHUNK: usize = 64 * 1024;

/// A file to read jobs from.
pub(super) struct InputFile {
    pub name: String,
    path: PathBuf,
    format: Format,
    stop: CancellationToken,
}

impl InputFile {
    /// What the command line names. Nothing more is read once `stop` is cancelled.
    pub(super) fn all(
        files: &[PathBuf],
        format: Option<Format>,
        stop: &CancellationToken,
    ) -> Result<Vec<Self>, Failure> {
        files.iter().map(|file| Self::new(file, format, stop)).collect()
    }

    fn new(file: &Path, format: Option<Format>, stop: &CancellationToken) -> Result<Self, Failure> {
        let stdin = file.as_os_str() == "-";
        let name = if stdin { "stdin".to_owned() } else { file.display().to_string() };
        if !stdin && file.is_dir() {
            let text = format!("{name} is a directory; name the files in it, like {name}/*.ndjson");
            return Err(Failure::new(Exit::Usage, text));
        }
        let Some(format) = format.or_else(|| if stdin { Some(Format::Ndjson) } else { by_name(file) }) else {
            // A workbook or an archive has another cure.
            if let Some(what) = beginning(file).and_then(|beginning| encoding::foreign(&beginning)) {
                return Err(Failure::new(Exit::Usage, format!("{name}: {what}")));
            }
            let text =
                format!("{name}: neither .ndjson, .jsonl, .json, .csv nor .tsv; say --format ndjson or --format csv");
            return Err(Failure::new(Exit::Usage, text));
        };
        Ok(Self { name, path: file.to_owned(), format, stop: stop.clone() })
    }

    /// A pipe that nobody writes to yet is waited for where it is read, not here.
    fn open(&self) -> Result<File, String> {
        let opened = match self.path.as_os_str() == "-" {
            true => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
            false => {
                let no_wait = OFlags::NONBLOCK.bits() as i32;
                File::options().read(true).custom_flags(no_wait).open(&self.path)
            }
        };
        opened.map_err(|error| match self.path.as_os_str() == "-" {
            true => self.fault(&error),
            false => self.fault(&access::unreadable(&self.path, &error)),
        })
    }

    /// For reading it once.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn once(&self) -> Result<(Candidates<impl Read>, ProgressBar), String> {
        let file = self.open()?;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let bar = bar_of(bytes);
        let reader = bar.wrap_read(Stoppable::new(file, self.stop.clone()));
        Ok((Candidates::new(self.format, &self.name, reader), bar))
    }

    /// For reading it several times. What can be read only once, as a pipe can, is put aside into a temporary file.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn again(&self) -> Result<RereadableFile<'_>, String> {
        let mut file = self.open()?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            file = self.put_aside(file)?;
        }
        let stamp = Stamp::of(&file).map_err(|error| self.fault(&error))?;
        Ok(RereadableFile { given: self, file, stamp })
    }

    fn put_aside(&self, pipe: File) -> Result<File, String> {
        let mut aside = temporary::file().map_err(|error| self.fault(&error))?;
        let mut pipe = Stoppable::new(pipe, self.stop.clone());
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = pipe.read(&mut chunk).map_err(|error| self.fault(&error))?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(aside) };
            aside.write_all(bytes).map_err(|error| self.fault(&temporary::refused(&error)))?;
        }
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
        let reader = bar.wrap_read(Stoppable::new(file, self.given.stop.clone()));
        Ok(Candidates::new(self.given.format, self.name(), reader))
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
