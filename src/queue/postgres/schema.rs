//! The schema on the server: made and brought up to date by `migrate`, and by nothing else compared before a queue is used.
//! All of it is in the schema that comes first in the search path, so that one database may hold several queues.

use std::time::Duration;

use sqlx::FromRow;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::agent::AgentSettings;
use super::errors::{BY_TRANSACTION, code, may_pass, refuses_options, shares_a_session};
use super::link::{STATEMENT, within};
use super::server::Server;
use super::store::PostgresQueue;
use crate::queue::moving::MOVED;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// For the way up: where there are millions of rows, an index takes its time.
const MIGRATE: Duration = Duration::from_secs(3600);

/// `server_version_num` of the oldest server the schema is written for.
pub const OLDEST_SERVER: i32 = 130_000;

/// PostgreSQL's codes: no such database; the two refusals of a sign-in; a privilege that is missing.
const NO_DATABASE: &str = "3D000";
const SIGN_IN: [&str; 2] = ["28P01", "28000"];
const DENIED: &str = "42501";

/// Why the queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers, or not in a way that is understood.
    #[error("cannot reach the queue {name}: {source}")]
    Unreachable { name: String, source: sqlx::Error },
    #[error(
        "{name} refuses the sign-in: {said}; look at the user in queue.url, at queue.password_file, and at the server's pg_hba.conf"
    )]
    SignIn { name: String, said: String },
    #[error("there is no database at {name}; create it ('createdb'), or check queue.url")]
    NoDatabase { name: String },
    /// It has none of the schemas of the search path, or may use none.
    #[error(
        "{name} has no schema for the queue: none of those in the search path is there and may be used; create one, or name one at the end of queue.url with options=-csearch_path%3DNAME"
    )]
    NoSchema { name: String },
    #[error("{name} is PostgreSQL {found}; the queue needs 13 or newer")]
    OldServer { name: String, found: String },
    /// Not every text could be stored there, or bytes that mean none.
    #[error(
        "the database of {name} has the encoding {found}, and the queue needs UTF8: create another one ('createdb --encoding=UTF8 --template=template0')"
    )]
    Encoding { name: String, found: String },
    #[error("there is no queue at {name}; 'event-sender migrate' creates it, or check queue.url")]
    Missing { name: String },
    #[error(
        "{name} has tables of another program where the queue's would be, and nothing was changed; give the queue a schema of its own, and name it at the end of queue.url with options=-csearch_path%3DNAME"
    )]
    Foreign { name: String },
    #[error(
        "the queue {name} was made by a newer event-sender (schema {found}, this one knows {known}); update the program"
    )]
    Newer { name: String, found: i64, known: i64 },
    /// By the script that moves a queue into a SQLite file.
    #[error("the queue {name} has moved to a SQLite file, its jobs are there: set queue.path instead of queue.url")]
    Moved { name: String },
    #[error(
        "the queue {name} has an older schema ({found}, this program needs {known}); 'event-sender migrate' brings it up to date"
    )]
    Older { name: String, found: i64, known: i64 },
    #[error(
        "the role in queue.url has too few rights on the queue {name}: {said}; grant them (postgres-roles.sql), or run 'event-sender migrate' as the owner of the schema"
    )]
    Denied { name: String, said: String },
    #[error("queue.url: {name} is {BY_TRANSACTION}")]
    ByTransaction { name: String },
    #[error(
        "queue.url: the pooler at {name} refuses a part of it: {said}; leave options= out, and have the role find the queue by itself: ALTER ROLE … SET search_path = …"
    )]
    NoOptions { name: String, said: String },
    #[error("cannot prepare the queue {name}: {source}")]
    Migrate { name: String, source: Box<MigrateError> },
}

impl OpenError {
    /// Whether it may pass by itself: the server is away, starts or stops, or somebody holds a lock.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => may_pass(source),
            Self::Migrate { source, .. } => sql_error(source).is_some_and(may_pass),
            _ => false,
        }
    }

    fn of(name: &str, source: sqlx::Error) -> Self {
        let name = name.to_owned();
        let said = || source.as_database_error().map_or_else(|| source.to_string(), |error| error.message().to_owned());
        match code(&source).as_deref() {
            Some(NO_DATABASE) => Self::NoDatabase { name },
            Some(code) if SIGN_IN.contains(&code) => Self::SignIn { name, said: said() },
            Some(DENIED) => Self::Denied { name, said: said() },
            _ if shares_a_session(&source) => Self::ByTransaction { name },
            _ if refuses_options(&source) => Self::NoOptions { name, said: said() },
            _ => Self::Unreachable { name, source },
        }
    }

    fn of_migration(name: &str, source: MigrateError) -> Self {
        match source {
            MigrateError::Execute(source) => Self::of(name, source),
            MigrateError::ExecuteMigration(source, _) if code(&source).as_deref() == Some(DENIED) => {
                Self::of(name, source)
            }
            source => Self::Migrate { name: name.to_owned(), source: Box::new(source) },
        }
    }
}

fn sql_error(error: &MigrateError) -> Option<&sqlx::Error> {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => Some(source),
        _ => None,
    }
}

impl PostgresQueue {
    /// For all but `migrate`: changes nothing.
    ///
    /// # Errors
    /// The server does not answer, there is no queue, or its schema is not this program's.
    pub async fn open_existing(server: Server) -> Result<Self, OpenError> {
        Self::open_as(server, AgentSettings::default()).await
    }

    /// The same, for an agent that goes by these settings.
    ///
    /// # Errors
    /// As for [`PostgresQueue::open_existing`].
    pub async fn open_as(server: Server, settings: AgentSettings) -> Result<Self, OpenError> {
        let queue = Self::on(server, settings);
        let name = queue.server.name();
        let mut link = queue.links.others.open().await.map_err(|error| OpenError::of(name, error))?;
        let found = within(STATEMENT, found(&mut link)).await;
        let found = link.done(found).map_err(|error| OpenError::of(name, error))?;
        found.fits(name)?;
        if found.version < newest() {
            return Err(found.older(name));
        }
        Ok(queue)
    }

    /// Makes the queue if there is none, brings it up to date if it is old. Who comes second waits for the first one, and finds
    /// the work done.
    ///
    /// # Errors
    /// The server does not answer or refuses, or the schema is newer than this program.
    pub async fn migrate(server: Server) -> Result<Self, OpenError> {
        let queue = Self::on(server, AgentSettings::default());
        let name = queue.server.name();
        let mut link = queue.links.others.open().await.map_err(|error| OpenError::of(name, error))?;
        let found = within(STATEMENT, found(&mut link)).await.map_err(|error| OpenError::of(name, error))?;
        match found.fits(name) {
            Ok(()) | Err(OpenError::Missing { .. }) => bring_up_to_date(name, &mut link).await?,
            Err(error) => return Err(error),
        }
        drop(link);
        Ok(queue)
    }
}

/// Its settings of the session are not those of a queue any more.
async fn bring_up_to_date(name: &str, connection: &mut PgConnection) -> Result<(), OpenError> {
    let patient = sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *connection).await;
    patient.map_err(|error| OpenError::of(name, error))?;
    let done = tokio::time::timeout(MIGRATE, MIGRATIONS.run(connection)).await;
    done.unwrap_or_else(|_| Err(super::errors::timed_out().into()))
        .map_err(|error| OpenError::of_migration(name, error))
}

/// The newest migration this program has.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The names of the triggers and indexes that this program makes on the table of the jobs.
pub fn rules() -> Vec<String> {
    let mut rules = Vec::new();
    for line in MIGRATIONS.iter().flat_map(|migration| migration.sql.as_str().lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["CREATE", "TRIGGER", name, ..]
            | ["CREATE", "INDEX", name, "ON", "jobs", ..]
            | ["CREATE", "UNIQUE", "INDEX", name, "ON", "jobs", ..] => rules.push(name.to_owned()),
            _ => {}
        }
    }
    rules
}

/// What is in the place of the queue.
struct Found {
    place: Place,
    /// Its migrations, and whether the first one is ours: who else keeps tables of these names has made them in other words.
    migrations: i64,
    ours: i64,
    /// The newest migration it has seen; 0 for none.
    version: i64,
}

#[derive(FromRow)]
struct Place {
    server: i32,
    server_says: String,
    encoding: String,
    schema: Option<String>,
    has_migrations: bool,
    has_jobs: bool,
}

const PLACE: &str =
    "SELECT current_setting('server_version_num')::int AS server, current_setting('server_version') AS server_says, current_setting('server_encoding') AS encoding,
        current_schema()::text AS schema,
        to_regclass(quote_ident(current_schema()) || '._sqlx_migrations') IS NOT NULL AS has_migrations,
        to_regclass(quote_ident(current_schema()) || '.jobs') IS NOT NULL AS has_jobs";
const VERSIONS: &str =
    "SELECT count(*), count(*) FILTER (WHERE version = $1 AND checksum = $2), coalesce(max(version), 0)
    FROM _sqlx_migrations";

async fn found(connection: &mut PgConnection) -> sqlx::Result<Found> {
    let place: Place = sqlx::query_as(PLACE).fetch_one(&mut *connection).await?;
    let (mut migrations, mut ours, mut version) = (0, 0, 0);
    if let Some(first) = MIGRATIONS.iter().next().filter(|_| place.has_migrations) {
        (migrations, ours, version) =
            sqlx::query_as(VERSIONS).bind(first.version).bind(first.checksum.as_ref()).fetch_one(connection).await?;
    }
    Ok(Found { place, migrations, ours, version })
}

impl Found {
    /// Whether it is a queue that this program knows, on a server that it knows.
    fn fits(&self, name: &str) -> Result<(), OpenError> {
        let name = name.to_owned();
        if self.place.server < OLDEST_SERVER {
            return Err(OpenError::OldServer { name, found: self.place.server_says.clone() });
        }
        if self.place.encoding != "UTF8" {
            return Err(OpenError::Encoding { name, found: self.place.encoding.clone() });
        }
        if self.place.schema.is_none() {
            return Err(OpenError::NoSchema { name });
        }
        if self.migrations > 0 && self.ours == 0 || self.migrations == 0 && self.place.has_jobs {
            return Err(OpenError::Foreign { name });
        }
        if self.migrations == 0 {
            return Err(OpenError::Missing { name });
        }
        if self.version == MOVED {
            return Err(OpenError::Moved { name });
        }
        if self.version > newest() {
            return Err(OpenError::Newer { name, found: self.version, known: newest() });
        }
        Ok(())
    }

    fn older(&self, name: &str) -> OpenError {
        OpenError::Older { name: name.to_owned(), found: self.version, known: newest() }
    }
}
