//! What a row may hold to pass, and what is said of one that does not. SQLite takes anything into any column; PostgreSQL takes what
//! the column is for.

use super::tables::{Column, Kind, Table};
use crate::job::{format_utc, parse_utc};

/// Faults that are told one by one; the others are only counted.
const TOLD: usize = 20;

/// A column as SQLite has it, whatever its type says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    Null,
    Integer(i64),
    Real,
    Text(Vec<u8>),
    Blob,
}

/// A row that may pass: each column as PostgreSQL reads it, or NULL.
pub type Passed = Vec<Option<String>>;

/// Why a row cannot pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `job 17`, `attempt 2 of job 17`, `mailbox ann@contoso.com`.
    pub row: String,
    pub column: String,
    /// Goes on after the column's name.
    pub what: String,
    pub cure: String,
}

/// What cannot pass, as far as it is told.
#[derive(Debug, Default)]
pub struct Faults {
    pub told: Vec<Fault>,
    /// How many there are.
    pub count: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(fault);
        }
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(told: Vec<Fault>) -> Self {
        Self { count: told.len() as u64, told }
    }
}

impl Table {
    /// The row, or every fault of it.
    pub fn judge(&self, row: Vec<Raw>) -> Result<Passed, Vec<Fault>> {
        let name = self.name_of(&row);
        let mut passed = Vec::with_capacity(row.len());
        let mut faults = Vec::new();
        for (column, raw) in self.columns.iter().zip(row) {
            match column.judge(raw) {
                Ok(value) => passed.push(value),
                Err((what, cure)) => faults.push(Fault {
                    row: name.clone(),
                    column: column.name.to_owned(),
                    what,
                    cure: self.cure(cure),
                }),
            }
        }
        if faults.is_empty() { Ok(passed) } else { Err(faults) }
    }

    /// What people call this row.
    fn name_of(&self, row: &[Raw]) -> String {
        let key: Vec<String> = row.iter().take(self.key.len()).map(Raw::shown).collect();
        self.called(&key)
    }

    /// The same, of a row that has passed.
    pub fn name_of_passed(&self, row: &Passed) -> String {
        let key: Vec<String> = row.iter().take(self.key.len()).map(|value| value.clone().unwrap_or_default()).collect();
        self.called(&key)
    }

    fn called(&self, key: &[String]) -> String {
        match (self.name, key) {
            ("jobs", [id]) => format!("job {id}"),
            ("attempts", [job, claim]) => format!("attempt {claim} of job {job}"),
            ("mailings", [mailbox, minute]) => format!("the count of mailbox {mailbox} at {minute}"),
            (_, key) => format!("mailbox {}", key.join(", ")),
        }
    }

    /// A column that is not the queue's own.
    pub(super) fn has_no_place_for(&self, column: String) -> Fault {
        Fault {
            row: format!("table {}", self.name),
            column,
            what: "is not the queue's own, and would be lost".to_owned(),
            cure: "keep its values in a table of their own, and drop the column".to_owned(),
        }
    }

    /// The rules of the queue fix what a job holds once a request may have left.
    fn cure(&self, cure: &str) -> String {
        match self.name {
            "jobs" => {
                format!("{cure}; a job whose content is fixed can be deleted once it has ended, and is not in doubt")
            }
            _ => format!("{cure}, or delete that row of {}", self.name),
        }
    }
}

impl Raw {
    fn shown(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Null | Self::Real | Self::Blob => "?".to_owned(),
        }
    }
}

/// What is wrong with a column, and its cure.
type Wrong = (String, &'static str);

impl Column {
    fn judge(&self, raw: Raw) -> Result<Option<String>, Wrong> {
        match (self.kind, raw) {
            (_, Raw::Null) => Ok(None),
            (_, Raw::Blob) => Err(("is a BLOB".to_owned(), "rewrite it as text")),
            (Kind::Text, Raw::Text(bytes)) => readable(bytes).map(Some),
            (Kind::AtMost(most), Raw::Text(bytes)) => short(bytes, most).map(Some),
            (Kind::Number, Raw::Integer(number)) => Ok(Some(number.to_string())),
            (Kind::Small, Raw::Integer(number)) => i32::try_from(number)
                .map(|number| Some(number.to_string()))
                .map_err(|_| (format!("is {number}, which is too large"), "write the right number into it")),
            (Kind::Flag, Raw::Integer(0)) => Ok(Some("f".to_owned())),
            (Kind::Flag, Raw::Integer(1)) => Ok(Some("t".to_owned())),
            (Kind::Time, Raw::Text(bytes)) => moment(bytes).map(Some),
            (Kind::Text | Kind::AtMost(_), raw) => Err((format!("is {}, not text", raw.kind()), "rewrite it as text")),
            (Kind::Flag, raw) => Err((format!("is {}, not 0 or 1", raw.kind()), "write 0 or 1 into it")),
            (Kind::Time, raw) => Err((format!("is {}, not a time", raw.kind()), A_TIME)),
            (Kind::Number | Kind::Small, raw) => {
                Err((format!("is {}, not a whole number", raw.kind()), "write the right number into it"))
            }
        }
    }
}

const A_TIME: &str = "write a UTC time into it, like 2030-12-01T09:00:00.000Z";

impl Raw {
    fn kind(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Real => "a fraction".to_owned(),
            Self::Text(_) => "text".to_owned(),
            Self::Blob => "a BLOB".to_owned(),
        }
    }
}

fn readable(bytes: Vec<u8>) -> Result<String, Wrong> {
    let text = String::from_utf8(bytes).map_err(|_| ("is not UTF-8".to_owned(), "rewrite it in UTF-8"))?;
    if text.contains('\0') {
        return Err(("has a NUL character, which PostgreSQL cannot store".to_owned(), "remove that character"));
    }
    Ok(text)
}

fn short(bytes: Vec<u8>, most: usize) -> Result<String, Wrong> {
    match bytes.len() {
        length if length > most => {
            Err((format!("has {length} bytes, and PostgreSQL indexes at most {most}"), "shorten it"))
        }
        _ => readable(bytes),
    }
}

/// Other programs write times as SQL does.
fn moment(bytes: Vec<u8>) -> Result<String, Wrong> {
    let text = readable(bytes)?;
    let sql =
        || chrono::NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f").ok().map(|time| time.and_utc());
    match parse_utc(&text).or_else(sql).map(format_utc) {
        Some(time) if &time[..4] > "0000" => Ok(time),
        _ => Err((format!("is {:?}, not a time", text.chars().take(40).collect::<String>()), A_TIME)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TABLES;
    use super::*;

    fn judged(column: &str, raw: Raw) -> Result<Option<String>, String> {
        let mut columns = TABLES[0].columns.iter();
        columns
            .find(|known| known.name == column)
            .map_or(Err("no such column".to_owned()), |column| column.judge(raw).map_err(|(what, _)| what))
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn what_fits_its_column_passes_as_postgresql_reads_it() {
        for (column, raw, passed) in [
            ("subject", text("a\tb\\N"), Some("a\tb\\N")),
            ("subject", Raw::Null, None),
            ("id", Raw::Integer(1 << 40), Some("1099511627776")),
            ("in_doubt", Raw::Integer(1), Some("t")),
            ("created_at", text("2026-12-01T09:00:00.123Z"), Some("2026-12-01T09:00:00.123Z")),
            ("created_at", text("2026-12-01 09:00:00"), Some("2026-12-01T09:00:00.000Z")),
            ("created_at", text("2026-12-01T09:00:00+01:00"), Some("2026-12-01T08:00:00.000Z")),
        ] {
            assert_eq!(judged(column, raw), Ok(passed.map(str::to_owned)), "{column}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (column, raw, what) in [
            ("subject", text("a\0b"), "has a NUL character, which PostgreSQL cannot store"),
            ("subject", Raw::Text(vec![0xff]), "is not UTF-8"),
            ("subject", Raw::Blob, "is a BLOB"),
            ("dedup_key", text(&"k".repeat(2001)), "has 2001 bytes, and PostgreSQL indexes at most 2000"),
            ("id", text("x"), "is text, not a whole number"),
            ("http_status", Raw::Real, "is a fraction, not a whole number"),
            ("http_status", Raw::Integer(1 << 40), "is 1099511627776, which is too large"),
            ("in_doubt", Raw::Integer(2), "is 2, not 0 or 1"),
            ("created_at", text("0000-01-01T00:00:00Z"), "is \"0000-01-01T00:00:00Z\", not a time"),
            ("created_at", Raw::Integer(7), "is 7, not a time"),
        ] {
            assert_eq!(judged(column, raw), Err(what.to_owned()), "{column}");
        }
    }

    #[test]
    fn a_row_is_told_by_its_key() {
        let attempt = &TABLES[1];
        let row = attempt.columns.iter().map(|_| Raw::Integer(7)).collect();
        let told = attempt.judge(row).err().and_then(|faults| faults.into_iter().next());
        assert_eq!(
            told.map(|fault| (fault.row, fault.column)),
            Some(("attempt 7 of job 7".into(), "started_at".into()))
        );
    }
}
