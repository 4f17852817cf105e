//! A queue moves over whole: out of a stopped SQLite file (`queue/sqlite/moving.rs`) into an empty PostgreSQL queue
//! (`queue/postgres/moving.rs`). This is the way between them: in which order, and what may pass.
//!
//! Never do two places have the same jobs to send. The file is shut first, under a mark that the database knows, too: from then on
//! no agent starts on it and no producer writes into it. Then all rows arrive in one transaction of the database, or none. Killed
//! at any moment, the move is either not begun, or begun and finished by the same command; what fails opens the file again.

mod rows;
mod tables;

use std::path::Path;

pub use rows::{Fault, Faults, Passed, Raw};
pub use tables::{Column, TABLES, Table};

use super::error::{MoveError, StartError};
use super::postgres::{Arrival, Arriving, Server};
use super::sqlite::{Leaving, Mark};

/// The number of a migration that says: it has moved. No program will have so many, and one that does not know this one refuses it.
pub const MOVED: i64 = 1_000_000;

/// What has moved, or would.
#[derive(Debug, Default)]
pub struct Moved {
    pub jobs: u64,
    pub attempts: u64,
    pub mailboxes: u64,
    /// Of the jobs: an event may exist, and is looked for before anything is sent.
    pub in_doubt: u64,
    pub to: String,
    /// An earlier run has moved it.
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

/// Told now and then: rows that are done, of how many; twice over, for all are judged before one moves.
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
    if let Some(mark) = &mark
        && has_moved(file, mark, to.clone()).await?
    {
        return Ok(Moved { to: to.name().to_owned(), before: true, ..Moved::default() });
    }
    let mut arriving = Arriving::open(to).await?;
    let to = arriving.name().to_owned();
    if let Some(mark) = &mark
        && !arriving.expects(&mark.id).await?
    {
        let cure = "set queue.url to that queue to finish it, or take it back (docs/operate/postgres.md)";
        let path = file.path().display();
        return Err(MoveError::Settings(format!("the move of {path} to {} has begun; {cure}", mark.to)));
    }
    arriving.has_room().await?;
    // Before anything is written, and before producers are shut out.
    judge(file, &mut *tell).await?;
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

/// Whether all of it is there already: an earlier run has finished, or was killed right at the end. What has moved to one place does
/// not move to another.
async fn has_moved(file: &Leaving, mark: &Mark, to: Server) -> Result<bool, MoveError> {
    if let Some(mut arriving) = Arriving::look(to).await?
        && arriving.has_arrived(&mark.id).await?
    {
        file.has_moved().await?;
        return Ok(true);
    }
    if mark.moved_at.is_some() { Err(MoveError::Settings(mark.says(file.path()))) } else { Ok(false) }
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
    let cure = "run the command again; it checks and finishes the move";
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
