//! The rows of a CSV file. The reader of the csv crate takes any quoting and makes something of it; here the bytes are held
//! to RFC 4180 on their way to it, so that no field is changed and no row swallowed without a word.
//!
//! One liberty: a quotation mark inside a field that does not begin with one is itself, as in `Room 12"`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufReader, Cursor, Read};
use std::rc::Rc;

use csv::{ByteRecord, StringRecord};

use super::super::columns;
use super::bytes::{Bytes, Place};
use super::delimiter;
use super::line::Line;
use crate::queue::NewJob;

/// Longest row of a CSV file, which escapes nothing but quotes. A CSV reader takes as much memory as one row has bytes.
const LONGEST_ROW: u64 = 16 * 1024 * 1024;

/// The rows of a file.
pub(super) struct Table<R> {
    /// None before its first line has told how it is to be read.
    reader: Option<csv::Reader<Checked<R>>>,
    unread: Option<R>,
    delimiter: u8,
    starts: Starts,
    header: StringRecord,
}

/// Lines in which rows begin that the reader has been given and has not returned yet.
type Starts = Rc<RefCell<VecDeque<u64>>>;

/// A file from its header on.
type Rest<R> = std::io::Chain<Cursor<Vec<u8>>, BufReader<R>>;

impl<R: Read> Table<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: None,
            unread: Some(reader),
            delimiter: b',',
            starts: Starts::default(),
            header: StringRecord::new(),
        }
    }

    /// None at the end. An error begins with what follows the file's name.
    pub(super) fn next(&mut self) -> Result<Option<Line>, String> {
        if let Some(reader) = self.unread.take() {
            self.open(reader)?;
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut row = ByteRecord::new();
        if !reader.read_byte_record(&mut row).map_err(told)? {
            return Ok(None);
        }
        let line = self.starts.borrow_mut().pop_front().unwrap_or_default();
        Ok(Some((line, self.job(row))))
    }

    fn job(&self, row: ByteRecord) -> Result<NewJob, String> {
        if row.len() != self.header.len() {
            let cure = match row.len() > self.header.len() {
                true => format!("; a field with {} in it belongs in quotation marks", sign(self.delimiter)),
                false => String::new(),
            };
            let fields = if row.len() == 1 { "field" } else { "fields" };
            return Err(format!("has {} {fields}, the header has {}{cure}", row.len(), self.header.len()));
        }
        let row = text(row)?;
        columns::from_fields(self.header.iter().zip(row.iter()))
    }

    /// Reads the header, and how the file is to be read.
    fn open(&mut self, reader: R) -> Result<(), String> {
        let mut bytes = Bytes::new(reader);
        let mut place = bytes.place;
        let mut first = line(&mut bytes)?;
        let announced = delimiter::announced(&first);
        if announced.is_some() {
            place = bytes.place;
            first = line(&mut bytes)?;
        }
        let json = first.trim_ascii();
        if json.starts_with(b"{") || json.starts_with(b"[{") || json == b"[" {
            return Err(": is a JSON file by its first line; say --format ndjson".to_owned());
        }
        self.delimiter = announced.unwrap_or_else(|| delimiter::of(&first));
        let checked = Checked {
            reader: Cursor::new(first).chain(bytes.into_reader()),
            quoting: Quoting::new(self.delimiter, place),
            starts: self.starts.clone(),
            fault: None,
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .flexible(true)
            .trim(csv::Trim::Headers)
            .from_reader(checked);
        let header = reader.byte_headers().map_err(told)?.clone();
        let line = self.starts.borrow_mut().pop_front().unwrap_or(1);
        let header = text(header).map_err(|fault| format!(", line {line}: {fault}"))?;
        self.header = known(header).map_err(|fault| format!(", line {line}, the header: {fault}"))?;
        self.reader = Some(reader);
        Ok(())
    }
}

/// The first line that is not blank, and the blank ones before it, with its end.
fn line(bytes: &mut Bytes<impl Read>) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let mut blank = true;
    while let Some(byte) = bytes.peek()? {
        line.push(byte);
        bytes.pass(byte);
        blank &= byte.is_ascii_whitespace();
        if line.len() as u64 > LONGEST_ROW || (matches!(byte, b'\n' | b'\r') && !blank) {
            break;
        }
    }
    Ok(line)
}

fn told(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        kind => format!(": {kind:?}"),
    }
}

fn text(row: ByteRecord) -> Result<StringRecord, String> {
    StringRecord::from_byte_record(row).map_err(|error| {
        let place = error.utf8_error().field();
        let row = error.into_byte_record();
        let field = row.get(place).unwrap_or_default();
        let byte = field.utf8_chunks().find_map(|chunk| chunk.invalid().first().copied()).unwrap_or_default();
        format!("field {} is not UTF-8 (byte 0x{byte:02X}); save the file as UTF-8, in Excel as CSV UTF-8", place + 1)
    })
}

/// The header, if every name in it is a column's.
fn known(header: StringRecord) -> Result<StringRecord, String> {
    for (place, column) in header.iter().enumerate() {
        if column.is_empty() {
            return Err(format!("column {} has no name; name it or remove it", place + 1));
        }
        if !columns::COLUMNS.contains(&column) {
            return Err(columns::unknown(column));
        }
        if header.iter().take(place).any(|other| other == column) {
            return Err(format!("column '{column}' is there twice; leave one of them out"));
        }
    }
    Ok(header)
}

fn sign(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "a tab".to_owned(),
        other => format!("'{}'", char::from(other)),
    }
}

/// Hands bytes on as long as their quoting is right; the fault of what is not follows them.
struct Checked<R> {
    reader: Rest<R>,
    quoting: Quoting,
    starts: Starts,
    fault: Option<String>,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(fault) = self.fault.take() {
            return Err(std::io::Error::other(fault));
        }
        // What the system says comes without a place, as of any file.
        let read = self.reader.read(buffer).map_err(|error| std::io::Error::new(error.kind(), format!(": {error}")))?;
        if read == 0 && !buffer.is_empty() {
            return self.quoting.end().map(|()| 0).map_err(std::io::Error::other);
        }
        for (at, byte) in buffer.iter().take(read).enumerate() {
            match self.quoting.pass(*byte) {
                Ok(None) => {}
                Ok(Some(line)) => self.starts.borrow_mut().push_back(line),
                Err(fault) if at == 0 => return Err(std::io::Error::other(fault)),
                Err(fault) => {
                    self.fault = Some(fault);
                    return Ok(at);
                }
            }
        }
        Ok(read)
    }
}

/// Where in a row the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a row; empty lines are none.
    Between,
    /// At the beginning of a field.
    Field,
    /// After blanks at the beginning of a field.
    Blanks,
    Unquoted,
    Quoted,
    /// After a quotation mark inside a quoted field: its end, or the first of two.
    Closed,
}

struct Quoting {
    delimiter: u8,
    state: State,
    place: Place,
    /// Of the quoted field last begun.
    opened: Place,
    /// Bytes of the row so far.
    length: u64,
}

impl Quoting {
    fn new(delimiter: u8, place: Place) -> Self {
        Self { delimiter, state: State::Between, place, opened: place, length: 0 }
    }

    /// The line a row begins in, if one begins with this byte. An error begins with what follows the file's name.
    fn pass(&mut self, byte: u8) -> Result<Option<u64>, String> {
        let line_ends = matches!(byte, b'\n' | b'\r');
        let begins = (self.state == State::Between && !line_ends).then_some(self.place.line);
        if begins.is_some() {
            (self.state, self.length) = (State::Field, 0);
        }
        self.length += 1;
        if self.length > LONGEST_ROW {
            return Err(": a row is longer than 16 MB; one row is one job".to_owned());
        }
        if byte == 0 {
            return self.fault("contains U+0000, which text never does; save the file as text in UTF-8");
        }
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) => State::Quoted,
            (State::Closed, b'"') => State::Quoted,
            (_, byte) if byte == self.delimiter => State::Field,
            _ if line_ends => State::Between,
            (State::Closed, _) => {
                let opened = self.opened;
                return self.fault(&format!("text follows the closing quotation mark of the field that begins in {opened}; a quotation mark inside a quoted field is written twice (\"\")"));
            }
            (State::Field, b'"') => {
                self.opened = self.place;
                State::Quoted
            }
            (State::Blanks, b'"') => {
                return self.fault("there is a space before the opening quotation mark; remove it");
            }
            (State::Field | State::Blanks, b' ' | b'\t') => State::Blanks,
            _ => State::Unquoted,
        };
        self.place.pass(byte);
        Ok(begins)
    }

    fn end(&self) -> Result<(), String> {
        match self.state {
            State::Quoted => Err(format!(
                ", {}: the quotation mark is never closed, and all that follows would be one field; close it, or write it twice within quotation marks if it is meant",
                self.opened
            )),
            _ => Ok(()),
        }
    }

    fn fault<T>(&self, what: &str) -> Result<T, String> {
        Err(format!(", {}: {what}", self.place))
    }
}
