//! The objects of a JSON file, one by one: one per line (NDJSON), one after another over as many lines as they like
//! (pretty-printed), or as the entries of one list.

use std::io::Read;

use super::bytes::{Bytes, Place};
use super::delimiter;
use crate::encoding;
use crate::job::json;
use crate::queue::NewJob;

use super::super::columns;
use super::line::Line;

/// Longest object: a request is at most 4 MB, and JSON may escape every byte of it.
const LONGEST: usize = 32 * 1024 * 1024;

const FORM: &str = "write {\"subject\": …, \"start_time\": …, \"end_time\": …}";

/// The objects of a file.
pub(super) struct Documents<R> {
    bytes: Bytes<R>,
    list: List,
    /// Nothing but blanks has been read.
    fresh: bool,
}

/// The brackets around all objects, if there are any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    None,
    /// Opened in this line.
    Open(u64, After),
    Closed,
}

/// What stands before the next thing in the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Bracket,
    Entry,
    Comma,
}

/// What stands where an object belongs, and what the file itself says against it.
struct Found {
    place: Place,
    text: Vec<u8>,
    fault: Option<String>,
}

impl<R: Read> Documents<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { bytes: Bytes::new(reader), list: List::None, fresh: true }
    }

    /// None at the end. An error begins with what follows the file's name.
    pub(super) fn next(&mut self) -> Result<Option<Line>, String> {
        let Some(found) = self.find()? else { return Ok(None) };
        let job = match found.fault {
            Some(fault) => Err(fault),
            None => job(&found.text, found.place),
        };
        Ok(Some((found.place.line, job)))
    }

    /// To the beginning of the next object, or what stands in its place, and over it.
    fn find(&mut self) -> Result<Option<Found>, String> {
        loop {
            let Some(byte) = self.bytes.peek()? else {
                return match self.list {
                    List::Open(line, _) => {
                        Err(format!(", line {line}: the list that begins here is never closed; is the file complete?"))
                    }
                    _ => Ok(None),
                };
            };
            self.list = match (byte, self.list) {
                (b' ' | b'\t' | b'\r' | b'\n', list) => list,
                (b'[', List::None) if self.fresh => List::Open(self.bytes.place.line, After::Bracket),
                (b',', List::Open(line, After::Entry)) => List::Open(line, After::Comma),
                (b']', List::Open(_, After::Bracket | After::Entry)) => List::Closed,
                (b']', List::Open(_, After::Comma)) => {
                    return Err(format!(", {}: the list ends with a comma; remove it", self.bytes.place));
                }
                _ => break,
            };
            self.fresh &= byte.is_ascii_whitespace();
            self.bytes.pass(byte);
        }
        let first = std::mem::replace(&mut self.fresh, false);
        let mut found = self.over()?;
        if first && delimiter::is_header(&found.text) {
            return Err(": is a CSV file by its first line; say --format csv".to_owned());
        }
        match &mut self.list {
            List::Closed => found.fault = Some("comes after the end of the list; one file holds one list".to_owned()),
            List::Open(_, after) => {
                if *after == After::Entry {
                    found.fault = Some("is in the list without a comma before it".to_owned());
                }
                *after = After::Entry;
            }
            List::None => {}
        }
        Ok(Some(found))
    }

    /// Over an object, or over the rest of the line where there is none. One that is cut off, as the last line of an
    /// interrupted writer is, takes no other along: it ends where a line begins as none can go on.
    fn over(&mut self) -> Result<Found, String> {
        let mut found = Found { place: self.bytes.place, text: Vec::new(), fault: None };
        let mut open: Vec<u8> = Vec::new();
        let (mut in_text, mut escaped, mut line_begins, mut last) = (false, false, false, b' ');
        while let Some(byte) = self.bytes.peek()? {
            let line_ends = matches!(byte, b'\n' | b'\r');
            match byte {
                b'{' if line_begins && !goes_on(last, &open) => {
                    let next = self.bytes.place.line;
                    found.fault = Some(format!("is not closed before the next object begins, in line {next}"));
                    return Ok(found);
                }
                // Text runs over no line, and what is not open ends with its own.
                _ if line_ends && (in_text || open.is_empty()) => return Ok(found),
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => open.push(byte),
                b'}' | b']' => {
                    // The end of the list around all; any other sign that closes nothing is a fault to get past.
                    if open.pop().is_none() && byte == b']' && matches!(self.list, List::Open(..)) {
                        return Ok(found);
                    }
                    if open.is_empty() {
                        self.take(byte, &mut found)?;
                        return self.rest_of_line(found);
                    }
                }
                b',' if open.is_empty() && matches!(self.list, List::Open(..)) => return Ok(found),
                _ => {}
            }
            line_begins = line_ends || (line_begins && byte.is_ascii_whitespace());
            if !byte.is_ascii_whitespace() {
                last = byte;
            }
            self.take(byte, &mut found)?;
        }
        match self.bytes.place.line > found.place.line {
            true => {
                Err(format!(", line {}: what begins here is never closed; is the file complete?", found.place.line))
            }
            false => Ok(found),
        }
    }

    /// What stands behind an object in its line belongs to it, and is a fault, unless it is the next one.
    fn rest_of_line(&mut self, mut found: Found) -> Result<Found, String> {
        let mut blanks = Vec::new();
        while let Some(byte) = self.bytes.peek()? {
            let next = match self.list {
                List::Open(..) => matches!(byte, b',' | b']'),
                _ => byte == b'{',
            };
            if matches!(byte, b'\n' | b'\r') || next {
                return Ok(found);
            }
            if !byte.is_ascii_whitespace() {
                found.text.append(&mut blanks);
                while let Some(byte) = self.bytes.peek()?.filter(|byte| !matches!(byte, b'\n' | b'\r')) {
                    self.take(byte, &mut found)?;
                }
                return Ok(found);
            }
            blanks.push(byte);
            self.bytes.pass(byte);
        }
        Ok(found)
    }

    fn take(&mut self, byte: u8, found: &mut Found) -> Result<(), String> {
        self.bytes.pass(byte);
        found.text.push(byte);
        match found.text.len() > LONGEST {
            true => Err(format!(", line {}: longer than 32 MB; one object is one job", found.place.line)),
            false => Ok(()),
        }
    }
}

/// Whether an object may stand behind this: as the value of a key or as an entry.
fn goes_on(last: u8, open: &[u8]) -> bool {
    match last {
        b':' | b'[' => true,
        b',' => open.last() == Some(&b'['),
        _ => open.is_empty(),
    }
}

fn job(text: &[u8], place: Place) -> Result<NewJob, String> {
    let text = std::str::from_utf8(text).map_err(|error| encoding::not_utf8(text, error))?;
    match json::parse(text).map_err(|fault| fault.within(place.line, place.column)) {
        Ok(serde_json::Value::Object(object)) => columns::from_object(object),
        Ok(_) => Err(format!("is not a JSON object; {FORM}")),
        Err(fault) if text.starts_with(['{', '[']) => Err(fault.to_string()),
        Err(fault) => Err(format!("{fault}; {FORM}")),
    }
}
