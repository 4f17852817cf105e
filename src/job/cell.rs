//! One column of a row as a foreign program left it, before anybody has judged it.
//!
//! SQLite stores what it is given: a BLOB, bytes that are not UTF-8, ten megabytes. None of that may stop the queue,
//! so reading a row never fails; what is wrong with a cell is found when the event is drafted from it.

use super::InvalidJob;

/// A column a producer wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// Proper text.
    Text(String),
    /// A BLOB where text belongs.
    Blob,
    /// Text whose bytes are not UTF-8.
    NotUtf8,
    /// Larger than one request may be; the content was not even read. Size in bytes.
    TooLarge(u64),
}

impl Cell {
    /// The text, or none for NULL.
    pub fn optional(&self, column: &'static str) -> Result<Option<&str>, InvalidJob> {
        match self {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Blob => Err(InvalidJob::new(column, "is a BLOB; write it as TEXT")),
            Cell::NotUtf8 => Err(InvalidJob::new(column, "is not valid UTF-8; write the text in UTF-8")),
            Cell::TooLarge(bytes) => Err(InvalidJob::new(
                column,
                format!("is {bytes} bytes long, more than the 4 MB a whole request may have; shorten it"),
            )),
        }
    }

    /// The text of a column that must have one.
    pub fn required(&self, column: &'static str) -> Result<&str, InvalidJob> {
        self.optional(column)?.ok_or_else(|| InvalidJob::new(column, "is NULL; it must have a value"))
    }

    /// The text of a column that may be NULL but, if given, must say something.
    pub fn optional_word(&self, column: &'static str) -> Result<Option<&str>, InvalidJob> {
        match self.optional(column)? {
            Some(text) if text.trim().is_empty() => {
                Err(InvalidJob::new(column, "is empty; give a value, or NULL for the default"))
            }
            // The same white space as the queue's index of mailboxes takes off.
            other => Ok(other.map(|text| text.trim_matches(['\t', '\n', '\u{b}', '\u{c}', '\r', ' ']))),
        }
    }
}

impl From<Option<String>> for Cell {
    fn from(value: Option<String>) -> Self {
        value.map_or(Cell::Null, Cell::Text)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}
