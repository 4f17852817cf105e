//! Bytes one by one, with the place an editor shows for the next one: a line ends in CR LF, in LF or in CR alone.

use std::io::{BufRead, BufReader, Read};

/// A line and a column, both from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u64,
    pub column: u64,
    after_cr: bool,
}

impl Place {
    /// The beginning of a line.
    pub(super) fn line(line: u64) -> Self {
        Self { line, column: 1, after_cr: false }
    }

    /// Past this byte.
    pub(super) fn pass(&mut self, byte: u8) {
        match byte {
            b'\n' if self.after_cr => {}
            b'\n' | b'\r' => (self.line, self.column) = (self.line + 1, 1),
            // What goes on with a character of UTF-8.
            0x80..=0xbf => {}
            _ => self.column += 1,
        }
        self.after_cr = byte == b'\r';
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A reader of them.
pub(super) struct Bytes<R> {
    reader: BufReader<R>,
    pub place: Place,
}

impl<R: Read> Bytes<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), place: Place::line(1) }
    }

    /// The next one, which stays.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, String> {
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!(": {error}")),
            }
        }
    }

    /// What follows.
    pub(super) fn into_reader(self) -> BufReader<R> {
        self.reader
    }

    /// Past the one that was peeked at.
    pub(super) fn pass(&mut self, byte: u8) {
        self.place.pass(byte);
        self.reader.consume(1);
    }
}
