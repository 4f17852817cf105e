//! Where a PostgreSQL queue is, as `queue.url` tells: one host or several, of which the one counts that takes writes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::secret::Secret;

/// For a connection, its sign-in included.
const CONNECT: Duration = Duration::from_secs(5);

/// What stands in the URL for the driver, …
const DRIVERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
];
/// … of which these name files, …
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
/// … and for what is done here.
const CONNECT_TIMEOUT: &str = "connect_timeout";
const SESSION_ATTRS: &str = "target_session_attrs";

/// A server and a database on it.
#[derive(Clone)]
pub struct Database {
    /// What each host is connected to with, the password included.
    pub hosts: Vec<PgConnectOptions>,
    pub connect_within: Duration,
    /// Only a host that takes writes.
    pub writable: bool,
    name: String,
    /// All that was told, to compare settings by.
    told: Secret,
}

impl fmt::Debug for Database {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why a URL names no database. Nothing of its user and its password is told.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    #[error("is not a URL like \"postgres://user@host/database\"")]
    NoUrl,
    #[error("has the parameter \"{0}\", which is not known; remove it")]
    Unknown(String),
    #[error("has {parameter}={value}, which is not {wanted}")]
    Value { parameter: &'static str, value: String, wanted: &'static str },
    #[error("cannot be used: {0}")]
    Driver(String),
}

impl Database {
    /// As a URL tells, with the password if that stands elsewhere.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn of(url: &str, password: Option<&str>) -> Result<Self, UrlError> {
        let parts = Parts::of(url)?;
        let mut hosts = Vec::new();
        for host in parts.hosts.split(',') {
            let one = format!("{}{}{host}{}", parts.scheme, parts.user, parts.rest);
            let mut options = PgConnectOptions::from_str(&one).map_err(|error| UrlError::Driver(reason(&error)))?;
            if let Some(password) = password {
                options = options.password(password);
            }
            if options.get_application_name().is_none() {
                options = options.application_name("event-sender");
            }
            hosts.push(options);
        }
        let name = format!("{}{}{}", parts.scheme, parts.hosts, parts.database());
        let told = Secret::new(format!("{url} {}", password.unwrap_or_default()));
        Ok(Self { hosts, connect_within: parts.connect_within, writable: parts.writable, name, told })
    }

    /// What people call it: without user, password and parameters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL and the password: the same for the same.
    pub(super) fn told(&self) -> &Secret {
        &self.told
    }
}

/// The driver's own words for what it refuses.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(reason) => reason.to_string(),
        other => other.to_string(),
    }
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
                known if DRIVERS.contains(&known) => {
                    regular(known, &value)?;
                    kept.append_pair(&parameter, &value);
                }
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

/// A pipe in the place of a file would hold up every connection. What is not there is told by whoever opens it.
fn regular(parameter: &str, value: &str) -> Result<(), UrlError> {
    let Some(parameter) = FILES.into_iter().find(|file| *file == parameter) else { return Ok(()) };
    match std::fs::metadata(value) {
        Ok(seen) if !seen.is_file() => {
            Err(UrlError::Value { parameter, value: value.to_owned(), wanted: "a regular file" })
        }
        _ => Ok(()),
    }
}

fn seconds(value: &str) -> Result<Duration, UrlError> {
    match value.parse() {
        Ok(0) => Ok(CONNECT),
        Ok(seconds @ 1..=600) => Ok(Duration::from_secs(seconds)),
        _ => {
            Err(UrlError::Value { parameter: CONNECT_TIMEOUT, value: value.to_owned(), wanted: "a number of seconds" })
        }
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
#[path = "database_tests.rs"]
mod tests;
