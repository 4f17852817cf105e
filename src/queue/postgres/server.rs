//! The server a queue is on: what its URL says, and how it is connected to. A URL may name several hosts, of which the one counts
//! that takes writes.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::link::within;

/// For a connection, its sign-in included.
const CONNECT: Duration = Duration::from_secs(5);

/// What a session of this program's is like: a statement that hangs ends, a client that died holds nothing, and what is written is
/// durable when it was answered.
const SESSION: [(&str, &str); 4] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("TimeZone", "UTC"),
];

/// What stands in the URL for the driver, …
const DRIVERS: [&str; 7] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "options", "host"];
/// … and for what is done here.
const CONNECT_TIMEOUT: &str = "connect_timeout";
const SESSION_ATTRS: &str = "target_session_attrs";

/// Where the server is.
#[derive(Debug)]
pub struct Server {
    hosts: Vec<PgConnectOptions>,
    connect_within: Duration,
    /// Only one that takes writes.
    writable: bool,
    name: String,
}

/// Why a URL names no server.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    #[error("is not a URL like \"postgres://user@host/database\"")]
    NoUrl,
    #[error("the parameter \"{0}\" is not known; take it out")]
    Unknown(String),
    #[error("{parameter}: \"{value}\" is not {wanted}")]
    Value { parameter: &'static str, value: String, wanted: &'static str },
    #[error("{0}")]
    Driver(String),
}

impl Server {
    /// As a URL tells, with the password if that stands elsewhere.
    ///
    /// # Errors
    /// What is wrong with the URL, without the password that may stand in it.
    pub fn of(url: &str, password: Option<&str>) -> Result<Self, UrlError> {
        let parts = Parts::of(url)?;
        let mut hosts = Vec::new();
        for host in parts.hosts.split(',') {
            let one = format!("{}{}{host}{}", parts.scheme, parts.user, parts.rest);
            let mut options = PgConnectOptions::from_str(&one).map_err(|error| UrlError::Driver(error.to_string()))?;
            if let Some(password) = password {
                options = options.password(password);
            }
            if options.get_application_name().is_none() {
                options = options.application_name("event-sender");
            }
            hosts.push(options.options(SESSION).disable_statement_logging());
        }
        let name = format!("{}{}{}", parts.scheme, parts.hosts, parts.database());
        Ok(Self { hosts, connect_within: parts.connect_within, writable: parts.writable, name })
    }

    /// What people call it: without user, password and parameters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first host of the list that is there, and takes writes.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut trouble = None;
        for host in &self.hosts {
            match within(self.connect_within, self.connect_to(host)).await {
                Ok(Some(connection)) => return Ok(connection),
                Ok(None) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        Err(trouble.unwrap_or_else(no_host))
    }

    /// A connection that hears notices, to the first host that can be connected to as above.
    pub async fn listener(&self) -> sqlx::Result<PgListener> {
        for host in &self.hosts {
            if let Ok(Some(connection)) = within(self.connect_within, self.connect_to(host)).await {
                connection.close().await?;
                let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.connect_within);
                return PgListener::connect_with(&pool.connect_lazy_with(host.clone())).await;
            }
        }
        Err(no_host())
    }

    /// None: a standby.
    async fn connect_to(&self, host: &PgConnectOptions) -> sqlx::Result<Option<PgConnection>> {
        let mut connection = host.connect().await?;
        if self.writable && sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await? {
            connection.close().await?;
            return Ok(None);
        }
        Ok(Some(connection))
    }
}

fn no_host() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("no host of queue.url takes writes; each of them is a standby"))
}

/// A URL in the parts that matter here.
struct Parts {
    /// With `://`.
    scheme: String,
    /// With `@`, if there is one.
    user: String,
    hosts: String,
    /// From the path on, without what is done here.
    rest: String,
    connect_within: Duration,
    writable: bool,
}

impl Parts {
    fn of(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoUrl)?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(UrlError::NoUrl);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut connect_within, mut writable) = (CONNECT, true);
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        for (parameter, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match parameter.as_ref() {
                CONNECT_TIMEOUT => connect_within = seconds(&value)?,
                SESSION_ATTRS => writable = takes_writes(&value)?,
                known if DRIVERS.contains(&known) => _ = kept.append_pair(&parameter, &value),
                _ => return Err(UrlError::Unknown(parameter.into_owned())),
            }
        }
        let query = kept.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        Ok(Self {
            scheme: format!("{scheme}://"),
            user: if user.is_empty() { String::new() } else { format!("{user}@") },
            hosts: hosts.to_owned(),
            rest: format!("{path}{mark}{query}"),
            connect_within,
            writable,
        })
    }

    fn database(&self) -> &str {
        self.rest.split_once('?').map_or(&self.rest, |(path, _)| path)
    }
}

fn seconds(value: &str) -> Result<Duration, UrlError> {
    let wrong =
        || UrlError::Value { parameter: CONNECT_TIMEOUT, value: value.to_owned(), wanted: "a number of seconds" };
    match value.parse() {
        Ok(0) => Ok(CONNECT),
        Ok(seconds @ 1..=600) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

fn takes_writes(value: &str) -> Result<bool, UrlError> {
    match value {
        "read-write" | "primary" => Ok(true),
        "any" => Ok(false),
        _ => Err(UrlError::Value {
            parameter: SESSION_ATTRS,
            value: value.to_owned(),
            wanted: "read-write, primary or any",
        }),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
