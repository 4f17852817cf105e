//! A queue that moves here out of a SQLite file. All its rows arrive in one transaction, in which the triggers are off: they would take
//! the past of a job for news. What they write is put right before the end, and what they would refuse is looked for.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, Row};

use super::agent::AgentSettings;
use super::errors::{self, gave_way, is_refusal, may_pass, words};
use super::heads::lane_key;
use super::link::{STATEMENT, within};
use super::schema::OpenError;
use super::server::Server;
use super::store::PostgresQueue;
use crate::queue::error::MoveError;
use crate::queue::moving::{Fault, Passed, TABLES, Table};

/// For one step: where there are millions of rows, an index takes its time.
const STEP: Duration = Duration::from_secs(3600);

/// So many rows, or so many bytes, are sent at once.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;

/// What moves here, and whether it is there.
const EXPECTED: &str = "SELECT copy_of, copied_at IS NOT NULL FROM queue_state WHERE id = 1";
/// Only an empty queue expects another one; what it expected before and never got is forgotten.
const EXPECT: &str = "UPDATE queue_state SET copy_of = $1 WHERE id = 1 AND copied_at IS NULL";
const ARRIVED: &str =
    "UPDATE queue_state SET copied_at = clock_timestamp() WHERE id = 1 AND copy_of = $1 AND copied_at IS NULL";

/// Nobody inserts, claims or joins until all of it is there. Who looks is not disturbed. What is there is there for good, whatever
/// else the server is set to: the file is not used any more.
const ALONE: &str = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = on; SET LOCAL idle_in_transaction_session_timeout = '10min';
    LOCK TABLE agents, jobs, attempts, mailboxes, mailings, queue_state IN SHARE ROW EXCLUSIVE MODE";
const RULES_REST: &str = "ALTER TABLE jobs DISABLE TRIGGER USER";
const RULES_AGAIN: &str = "ALTER TABLE jobs ENABLE TRIGGER USER";

const RUNS: &str =
    "SELECT name, coalesce(host, '') FROM agents WHERE gone_at IS NULL AND lease_until > clock_timestamp() LIMIT 1";

/// As the triggers would have written it: the file's own triggers say the same in SQLite's words.
const DERIVED: &str = "UPDATE jobs AS j SET mailbox_key = job_lane(j.mailbox) WHERE j.mailbox_key <> job_lane(j.mailbox);
    UPDATE jobs AS j SET expires_at = job_moment(j.not_after)
    WHERE (j.not_after IS NOT NULL OR j.expires_at IS NOT NULL) AND j.expires_at IS DISTINCT FROM job_moment(j.not_after);
    UPDATE jobs AS j SET mails = NOT j.mails
    WHERE j.state <> 'sent' AND j.mails <> (NOT j.in_doubt AND j.attendees <> '[]' AND json_array_length(j.attendees::json) > 0);
    UPDATE jobs AS j SET behind = job_turn(j)
    WHERE (j.event_key IS NOT NULL OR j.target_event_id IS NOT NULL OR j.behind IS NOT NULL) AND j.behind IS DISTINCT FROM job_turn(j)";

/// What the triggers would not have let in, which a file has only if its rules were switched off.
const UNFIT: &str = "SELECT id, 'attendees' AS col, 'is not a JSON array' AS what FROM jobs
        WHERE attendees <> '[]' AND job_json_type(attendees) IS DISTINCT FROM 'array'
    UNION ALL SELECT id, 'extra', 'is not a JSON object' FROM jobs
        WHERE extra IS NOT NULL AND job_json_type(extra) IS DISTINCT FROM 'object'
    ORDER BY id LIMIT 20";

/// One request finds out what they were told last.
const SUSPECT: &str = "INSERT INTO lanes (lane, suspect) SELECT DISTINCT lane, true FROM unnest($1::text[]) AS l(lane)
    ON CONFLICT (lane) DO UPDATE SET suspect = true";

/// No id is ever given twice.
const IDS: &str = "SELECT setval('jobs_id_seq', greatest($1, (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM jobs_id_seq)))
    WHERE $1 > 0";

const NEWS: &str = "SELECT pg_notify('event_sender_jobs', current_schema() || E'\\n*')";
const ANALYZE: &str = "ANALYZE jobs; ANALYZE attempts; ANALYZE mailboxes; ANALYZE mailings";

/// The database, before anything moves.
pub struct Arriving {
    server: Server,
    connection: PgConnection,
}

impl Arriving {
    /// To look only. None: there is no queue yet.
    pub async fn look(server: Server) -> Result<Option<Self>, MoveError> {
        match PostgresQueue::open_as(server.clone(), AgentSettings::default()).await {
            Ok(queue) => queue.links.close().await,
            Err(OpenError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(Some(Self::connect(server).await?))
    }

    /// Makes the queue if there is none, and brings it up to date if it is old.
    pub async fn open(server: Server) -> Result<Self, MoveError> {
        PostgresQueue::migrate(server.clone()).await?.links.close().await;
        Self::connect(server).await
    }

    async fn connect(server: Server) -> Result<Self, MoveError> {
        let connection = server.connect().await.map_err(errors::read)?;
        Ok(Self { server, connection })
    }

    pub fn name(&self) -> &str {
        self.server.name()
    }

    /// Whether the rows that have moved under this mark are here.
    pub async fn has_arrived(&mut self, mark: &str) -> Result<bool, MoveError> {
        let (of, arrived) = self.expected().await?;
        Ok(arrived && of.as_deref() == Some(mark))
    }

    /// Whether those are what it waits for.
    pub async fn expects(&mut self, mark: &str) -> Result<bool, MoveError> {
        let (of, arrived) = self.expected().await?;
        Ok(!arrived && of.as_deref() == Some(mark))
    }

    async fn expected(&mut self) -> Result<(Option<String>, bool), MoveError> {
        let asked = sqlx::query_as(EXPECTED).fetch_one(&mut self.connection);
        Ok(within(STATEMENT, asked).await.map_err(errors::read)?)
    }

    /// From here on it waits for what moves under this mark.
    pub async fn expect(&mut self, mark: &str) -> Result<(), MoveError> {
        let told = sqlx::query(EXPECT).bind(mark).execute(&mut self.connection);
        match within(STATEMENT, told).await.map_err(errors::written)?.rows_affected() {
            0 => Err(MoveError::Failed(format!("{} holds a queue that has moved there already", self.name()))),
            _ => Ok(()),
        }
    }

    /// Whether it is empty, and nobody is about to fill it.
    pub async fn has_room(&mut self) -> Result<(), MoveError> {
        has_room(&mut self.connection, self.server.name()).await
    }

    /// Begins what happens whole or not at all, for what it expects under this mark.
    pub async fn begin(&mut self, mark: &str) -> Result<Arrival<'_>, MoveError> {
        let name = self.server.name().to_owned();
        alone(&mut self.connection).await.map_err(|error| refused(&name, &error))?;
        has_room(&mut self.connection, &name).await?;
        let told = sqlx::query(ARRIVED).bind(mark).execute(&mut self.connection).await.map_err(errors::written)?;
        if told.rows_affected() == 0 {
            return Err(MoveError::Failed(format!("another queue is moving to {name} meanwhile")));
        }
        let rest = sqlx::raw_sql(RULES_REST).execute(&mut self.connection).await;
        rest.map_err(|error| refused(&name, &error))?;
        Ok(Arrival { name, connection: &mut self.connection, lines: String::new(), rows: Vec::new() })
    }
}

async fn alone(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(ALONE).execute(connection).await.map(drop)
}

/// Who may insert may not do this.
fn refused(name: &str, error: &sqlx::Error) -> MoveError {
    match errors::code(error).as_deref() {
        Some("42501") => MoveError::Failed(format!(
            "the role in queue.url may not move a queue to {name}: {}; run the command as the owner of the schema",
            words(error)
        )),
        _ if may_pass(error) || gave_way(error) => MoveError::Failed(format!(
            "{name} is in use: {}; stop what uses it, and run the command again",
            words(error)
        )),
        _ => MoveError::Failed(format!("cannot move to {name}: {}", words(error))),
    }
}

async fn has_room(connection: &mut PgConnection, name: &str) -> Result<(), MoveError> {
    for table in &TABLES {
        let there = AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM {})", table.name));
        let there = within(STATEMENT, sqlx::query_scalar(there).fetch_one(&mut *connection)).await;
        if there.map_err(errors::read)? {
            return Err(MoveError::Settings(format!(
                "the queue {name} is not empty (table {}), and its ids would clash with those being moved; name an empty one in queue.url, by options=-csearch_path%3DNAME in a schema of its own",
                table.name
            )));
        }
    }
    let runs: Option<(String, String)> =
        within(STATEMENT, sqlx::query_as(RUNS).fetch_optional(connection)).await.map_err(errors::read)?;
    match runs {
        Some((agent, host)) => Err(MoveError::InUse(format!(
            "agent {agent:?} on {host} is running on {name}: stop it first: it would not know what each mailbox has already mailed"
        ))),
        None => Ok(()),
    }
}

/// What arrives. Dropped without [`Arrival::commit`], nothing has.
pub struct Arrival<'a> {
    name: String,
    connection: &'a mut PgConnection,
    /// As COPY reads them.
    lines: String,
    /// What each of them is called.
    rows: Vec<String>,
}

impl Arrival<'_> {
    /// One more row. True: it was sent, with those before it.
    pub async fn take(&mut self, table: &Table, row: &Passed) -> Result<bool, MoveError> {
        write_line(&mut self.lines, row);
        self.rows.push(table.name_of_passed(row));
        let is_full = self.rows.len() >= ROWS || self.lines.len() >= BYTES;
        if is_full {
            self.flush(table).await?;
        }
        Ok(is_full)
    }

    /// Sends what is left of this table.
    pub async fn flush(&mut self, table: &Table) -> Result<(), MoveError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let done = within(STEP, copy(self.connection, table, std::mem::take(&mut self.lines))).await;
        let arrived = done.map_err(|error| self.fault(&error))?;
        if arrived != self.rows.len() as u64 {
            let why = format!("a trigger on its table {} drops rows; remove it for the move", table.name);
            return Err(MoveError::Failed(format!("cannot move to {}: {why}", self.name)));
        }
        self.rows.clear();
        Ok(())
    }

    /// A row that the server refuses is named.
    fn fault(&self, error: &sqlx::Error) -> MoveError {
        let seen = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        let row = seen.and_then(|error| line(error.r#where()?)).and_then(|line| self.rows.get(line.checked_sub(1)?));
        let (Some(error), Some(row), true) = (seen, row, is_refusal(error)) else {
            return MoveError::Failed(format!("cannot move to {}: {}", self.name, words(error)));
        };
        let column = error.column().or(column(error)).or(error.constraint()).unwrap_or("row");
        let detail = error.detail().filter(|_| error.code().starts_with("23505")).map(|detail| format!(" ({detail})"));
        MoveError::Unfit(
            vec![Fault {
                row: row.clone(),
                column: column.to_owned(),
                what: format!("is refused by PostgreSQL: {}{}", error.message(), detail.unwrap_or_default()),
                cure: "correct it, or delete the row once it has ended".to_owned(),
            }]
            .into(),
        )
    }

    /// When all rows are there. `last` is the largest id that was ever given.
    pub async fn settle_in(&mut self, last: i64, suspects: &[String], unnamed: Option<&str>) -> Result<(), MoveError> {
        let unfit = within(STEP, sqlx::query(UNFIT).fetch_all(&mut *self.connection)).await.map_err(errors::read)?;
        if !unfit.is_empty() {
            let faults = unfit.iter().map(unfit_job).collect::<sqlx::Result<Vec<_>>>().map_err(errors::read)?;
            return Err(MoveError::Unfit(faults.into()));
        }
        let lanes = suspects.iter().map(|raw| lane_key(raw, unnamed).as_str().to_owned()).collect();
        let done = within(STEP, settle_in(self.connection, last, lanes)).await;
        done.map_err(|error| refused(&self.name, &error))
    }

    /// All of it is there for good. After an error that is not known.
    pub async fn commit(self) -> sqlx::Result<()> {
        within(STATEMENT, sqlx::raw_sql("COMMIT").execute(self.connection)).await.map(drop)
    }
}

async fn settle_in(connection: &mut PgConnection, last: i64, lanes: Vec<String>) -> sqlx::Result<()> {
    sqlx::raw_sql(DERIVED).execute(&mut *connection).await?;
    sqlx::query(SUSPECT).bind(lanes).execute(&mut *connection).await?;
    sqlx::query(IDS).bind(last).execute(&mut *connection).await?;
    sqlx::raw_sql(RULES_AGAIN).execute(&mut *connection).await?;
    sqlx::raw_sql(ANALYZE).execute(&mut *connection).await?;
    sqlx::query(NEWS).execute(connection).await.map(drop)
}

fn unfit_job(row: &sqlx::postgres::PgRow) -> sqlx::Result<Fault> {
    Ok(Fault {
        row: format!("job {}", row.try_get::<i64, _>("id")?),
        column: row.try_get("col")?,
        what: row.try_get("what")?,
        cure: "correct it, or delete the job once it has ended".to_owned(),
    })
}

async fn copy(connection: &mut PgConnection, table: &Table, lines: String) -> sqlx::Result<u64> {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let statement = format!("COPY {} ({}) FROM STDIN", table.name, columns.join(", "));
    let mut copy = connection.copy_in_raw(&statement).await?;
    copy.send(lines.into_bytes()).await?;
    copy.finish().await
}

/// COPY's own form of text.
fn write_line(lines: &mut String, row: &Passed) {
    for (at, value) in row.iter().enumerate() {
        if at > 0 {
            lines.push('\t');
        }
        match value {
            None => lines.push_str("\\N"),
            Some(text) => text.chars().for_each(|char| match char {
                '\\' => lines.push_str("\\\\"),
                '\t' => lines.push_str("\\t"),
                '\n' => lines.push_str("\\n"),
                '\r' => lines.push_str("\\r"),
                char => lines.push(char),
            }),
        }
    }
    lines.push('\n');
}

/// `COPY jobs, line 3, column subject: "…"`
fn line(context: &str) -> Option<usize> {
    let (_, rest) = context.split_once(", line ")?;
    rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

fn column(error: &PgDatabaseError) -> Option<&str> {
    let (_, rest) = error.r#where()?.split_once(", column ")?;
    rest.split(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_whatever_a_text_may_hold() {
        let mut lines = String::new();
        write_line(&mut lines, &vec![Some("a\tb\nc\rd\\N".to_owned()), None, Some(String::new())]);
        assert_eq!(lines, "a\\tb\\nc\\rd\\\\N\t\\N\t\n");
    }

    #[test]
    fn the_row_that_the_server_means_is_found_by_its_line() {
        assert_eq!(line("COPY jobs, line 3, column subject: \"x\""), Some(3));
        assert_eq!(line("COPY jobs, line 12"), Some(12));
        assert_eq!(line("SQL function \"job_turn\""), None);
    }
}
