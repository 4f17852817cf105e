//! A queue moves over whole: out of a stopped SQLite file (`sqlite/moving.rs`) into an empty PostgreSQL queue
//! (`postgres/moving.rs`). This is the way between them: in which order, and what may pass.
//!
//! Never do two places have the same jobs to send. The file is shut first, under a mark that the database knows, too: from then on
//! no agent starts on it and no producer writes into it. Then all rows arrive in one transaction of the database, or none. Killed
//! at any moment, the move is either not begun, or begun and finished by the same command; what fails opens the file again.

use std::path::Path;

use super::error::{MoveError, StartError};
use super::postgres::{Arrival, Arriving, Server};
use super::sqlite::Leaving;
use crate::job::{format_utc, parse_utc};

/// The number of a migration that says: it has moved. No program will have so many, and one that does not know this one refuses it.
pub const MOVED: i64 = 1_000_000;

/// Faults that are told one by one; the others are only counted.
const TOLD: usize = 20;

/// The tables that move, and their columns as both queues call them. What the agents say of themselves and which lanes they have
/// stays behind: that is of the agents that were.
pub const TABLES: [Table; 4] = [
    Table {
        name: "jobs",
        key: &["id"],
        columns: &[
            number("id"),
            text("subject"),
            text("body"),
            text("start_time"),
            text("end_time"),
            text("location"),
            text("attendees"),
            text("mailbox"),
            text("calendar_id"),
            text("body_type"),
            text("time_zone"),
            text("extra"),
            at_most_2000("dedup_key"),
            text("not_before"),
            text("not_after"),
            small("priority"),
            text("operation"),
            text("event_key"),
            at_most_2000("target_event_id"),
            text("state"),
            text("event_id"),
            text("web_link"),
            text("ical_uid"),
            text("join_url"),
            flag("in_doubt"),
            small("attempts"),
            number("claims"),
            time("next_attempt_at"),
            text("transaction_id"),
            text("mailbox_key"),
            flag("mails"),
            text("error_kind"),
            text("cause"),
            small("http_status"),
            text("error_code"),
            text("error_message"),
            text("request_id"),
            time("created_at"),
            time("claimed_at"),
            time("finished_at"),
            time("first_sent_at"),
            time("give_up_at"),
            text("defaulted"),
            text("settled"),
            number("behind"),
            time("expires_at"),
            time("ends_at"),
        ],
    },
    Table {
        name: "attempts",
        key: &["job_id", "claim"],
        columns: &[
            number("job_id"),
            number("claim"),
            time("started_at"),
            number("duration_ms"),
            text("outcome"),
            small("http_status"),
            text("error_code"),
            text("message"),
            text("request_id"),
            text("client_request_id"),
        ],
    },
    Table {
        name: "mailboxes",
        key: &["mailbox"],
        columns: &[
            text("mailbox"),
            time("paused_until"),
            text("reason"),
            text("error_kind"),
            small("strikes"),
            time("updated_at"),
            time("held_at"),
            text("held_reason"),
            time("asked_until"),
            time("resumed_at"),
            time("paced_until"),
            text("paced_reason"),
        ],
    },
    Table {
        name: "mailings",
        key: &["mailbox", "minute"],
        columns: &[text("mailbox"), time("minute"), small("jobs"), small("recipients")],
    },
];

#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Its first columns, by which a row is told.
    pub key: &'static [&'static str],
    pub columns: &'static [Column],
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    /// Of so many bytes.
    AtMost(usize),
    Number,
    /// Of 32 bits.
    Small,
    Flag,
    Time,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn at_most_2000(name: &'static str) -> Column {
    Column { name, kind: Kind::AtMost(2000) }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

const fn small(name: &'static str) -> Column {
    Column { name, kind: Kind::Small }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: Kind::Flag }
}

const fn time(name: &'static str) -> Column {
    Column { name, kind: Kind::Time }
}

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
    fn add(&mut self, fault: Fault) {
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
    fn has_no_place_for(&self, column: String) -> Fault {
        Fault {
            row: format!("table {}", self.name),
            column,
            what: "is not the queue's own, and would be lost".to_owned(),
            cure: "keep what is in it in a table of its own, and drop the column".to_owned(),
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
            (_, Raw::Blob) => Err(("is a BLOB".to_owned(), "write it anew as text")),
            (Kind::Text, Raw::Text(bytes)) => readable(bytes).map(Some),
            (Kind::AtMost(most), Raw::Text(bytes)) => short(bytes, most).map(Some),
            (Kind::Number, Raw::Integer(number)) => Ok(Some(number.to_string())),
            (Kind::Small, Raw::Integer(number)) => i32::try_from(number)
                .map(|number| Some(number.to_string()))
                .map_err(|_| (format!("is {number}, which is too large"), "write the right number into it")),
            (Kind::Flag, Raw::Integer(0)) => Ok(Some("f".to_owned())),
            (Kind::Flag, Raw::Integer(1)) => Ok(Some("t".to_owned())),
            (Kind::Time, Raw::Text(bytes)) => moment(bytes).map(Some),
            (Kind::Text | Kind::AtMost(_), raw) => {
                Err((format!("is {}, not text", raw.kind()), "write it anew as text"))
            }
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
    let text = String::from_utf8(bytes).map_err(|_| ("is not UTF-8".to_owned(), "write it anew in UTF-8"))?;
    if text.contains('\0') {
        return Err(("has a NUL character, which PostgreSQL cannot store".to_owned(), "write it anew without that"));
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
        _ => Err((format!("is {:?}, which is no time", text.chars().take(40).collect::<String>()), A_TIME)),
    }
}

/// What has moved, or would.
#[derive(Debug, Default)]
pub struct Moved {
    pub jobs: u64,
    pub attempts: u64,
    pub mailboxes: u64,
    /// Of the jobs: an event may exist, and is looked for before anything is sent.
    pub in_doubt: u64,
    /// Where to.
    pub to: String,
    /// The rows were there already: an earlier run was killed before it could say so.
    pub before: bool,
}

impl Moved {
    fn count(&mut self, table: &Table, row: &Passed) {
        match table.name {
            "jobs" => {
                self.jobs += 1;
                let is_set = |(column, value): (&Column, &Option<String>)| {
                    column.name == "in_doubt" && value.as_deref() == Some("t")
                };
                self.in_doubt += u64::from(table.columns.iter().zip(row).any(is_set));
            }
            "attempts" => self.attempts += 1,
            "mailboxes" => self.mailboxes += 1,
            _ => {}
        }
    }
}

/// Told now and then: rows that are done, of how many.
pub type OnMoved<'o> = &'o mut dyn FnMut(u64, u64);

/// Says what would move, and what cannot. Changes nothing, and may be asked while the agent runs.
///
/// # Errors
/// One of the two queues cannot be used, the database's is not empty, or rows cannot pass.
pub async fn would_move(from: &Path, to: Server, tell: OnMoved<'_>) -> Result<Moved, MoveError> {
    let file = Leaving::look(from).await?;
    let to_name = to.name().to_owned();
    if let Some(mut arriving) = Arriving::look(to).await? {
        arriving.has_room().await?;
    }
    let judged = judge(&file, tell).await;
    file.close().await;
    Ok(Moved { to: to_name, ..judged? })
}

/// Moves all of it. `unnamed` is whose mailbox the rows are for that name none.
///
/// # Errors
/// As for [`would_move`], an agent runs on one of the two, or a server or file system is in trouble. But for an end of the database's
/// connection right at the end, the file is then as it was before.
pub async fn move_over(from: &Path, to: Server, unnamed: Option<&str>, tell: OnMoved<'_>) -> Result<Moved, MoveError> {
    let file = Leaving::take(from).await?;
    let moved = through(&file, to, unnamed, tell).await;
    file.close().await;
    moved
}

async fn through(file: &Leaving, to: Server, unnamed: Option<&str>, tell: OnMoved<'_>) -> Result<Moved, MoveError> {
    let mark = file.mark().await?;
    if let Some(mark) = mark.as_ref().filter(|mark| mark.moved_at.is_some()) {
        return Err(MoveError::Settings(mark.says(file.path())));
    }
    let mut arriving = Arriving::open(to).await?;
    let to = arriving.name().to_owned();
    if let Some(mark) = &mark {
        if arriving.has_arrived(&mark.id).await? {
            file.has_moved().await?;
            return Ok(Moved { to, before: true, ..Moved::default() });
        }
        if !arriving.expects(&mark.id).await? {
            let cure = "name that queue in queue.url to finish, or take it back (docs/operate/postgres.md)";
            return Err(MoveError::Settings(format!(
                "the move of {} to {} was begun; {cure}",
                file.path().display(),
                mark.to
            )));
        }
    }
    arriving.has_room().await?;
    // Before anything is written, and before producers are shut out.
    judge(file, &mut |_, _| {}).await?;
    let id = match mark {
        Some(mark) => mark.id,
        None => {
            let id = format!("{:032x}", fastrand::u128(..));
            arriving.expect(&id).await?;
            file.shut(&id, &to).await?;
            id
        }
    };
    let moved = match arrive(file, &mut arriving, &id, unnamed, tell).await {
        Ok((moved, arrival)) => {
            arrival.commit().await.map(|()| moved).map_err(|error| unfinished(file.path(), &error))?
        }
        // Its transaction was not asked to end well, so it has not: the file is the one place that has the jobs.
        Err(error) => return Err(opened_again(file, error).await),
    };
    file.has_moved().await?;
    Ok(Moved { to, ..moved })
}

async fn opened_again(file: &Leaving, error: MoveError) -> MoveError {
    match file.open_again().await {
        Ok(()) => error,
        Err(why) => {
            let path = file.path().display();
            MoveError::Failed(format!("{error}; and {path} stays shut ({why}) until the command is run again"))
        }
    }
}

/// Whether the rows have arrived is not known.
fn unfinished(from: &Path, error: &dyn std::fmt::Display) -> MoveError {
    let cure = "run the command again, which finds out and finishes";
    MoveError::Failed(format!("whether {} has moved is not known: {error}; {cure}", from.display()))
}

async fn arrive<'a>(
    file: &Leaving,
    arriving: &'a mut Arriving,
    id: &str,
    unnamed: Option<&str>,
    tell: OnMoved<'_>,
) -> Result<(Moved, Arrival<'a>), MoveError> {
    let of = file.rows().await?;
    let mut moved = Moved::default();
    let mut done = 0;
    let mut arrival = arriving.begin(id).await?;
    for table in &TABLES {
        let mut rows = file.read(table).await?;
        while let Some(row) = rows.next().await? {
            let row = table.judge(row).map_err(|faults| MoveError::Unfit(faults.into()))?;
            moved.count(table, &row);
            done += 1;
            if arrival.take(table, &row).await? {
                tell(done, of);
            }
        }
        arrival.flush(table).await?;
    }
    let suspects = file.suspects().await?;
    arrival.settle_in(file.last_id().await?, &suspects, unnamed).await?;
    tell(of, of);
    Ok((moved, arrival))
}

/// Every row, before one is written.
async fn judge(file: &Leaving, tell: OnMoved<'_>) -> Result<Moved, MoveError> {
    let of = file.rows().await?;
    let (mut moved, mut faults, mut done) = (Moved::default(), Faults::default(), 0);
    for table in &TABLES {
        file.other_columns(table).await?.into_iter().for_each(|column| faults.add(table.has_no_place_for(column)));
        let mut rows = file.read(table).await?;
        while let Some(row) = rows.next().await? {
            match table.judge(row) {
                Ok(row) => moved.count(table, &row),
                Err(found) => found.into_iter().for_each(|fault| faults.add(fault)),
            }
            done += 1;
            if done % 1000 == 0 {
                tell(done, of);
            }
        }
    }
    if faults.count > 0 { Err(MoveError::Unfit(faults)) } else { Ok(moved) }
}

impl From<StartError> for MoveError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::InUse(why) => Self::InUse(why),
            StartError::Settings(why) => Self::Settings(why),
            StartError::MayPass(why) | StartError::Refused(why) => Self::Failed(why),
        }
    }
}
