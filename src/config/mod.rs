//! Settings: plain data from `agent.toml` and the environment. Every problem is found and told at once, each with
//! the key, the rule and the cure. Makes no objects and opens nothing but the files it is told to read.

mod cloud;
mod database;
mod difference;
mod exposure;
mod found;
mod keys;
mod managed_identity;
mod problems;
mod rules;
mod secrets;
mod shapes;
mod sign_in;
mod source;
mod values;
mod web;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use database::Database;
pub use difference::Difference;
pub use exposure::{Exposed, Readers};
pub use keys::KEYS;
pub use problems::{ConfigError, Problem, no_file};
pub use secrets::{read_secret, read_text};

use crate::certificate::Certificate;
use crate::identity::{Identity, IdentityHost};
use crate::secret::Secret;
use source::Source;

/// The annotated `agent.toml`, as installed.
pub const TEMPLATE: &str = include_str!("../../agent.toml");

/// The whole path of a queue's file, if `queue.path` takes it as it is written.
pub fn whole_queue_path(written: &str) -> Option<PathBuf> {
    shapes::queue_path(written.trim()).ok()?;
    std::path::absolute(written.trim()).ok()
}

/// Where settings are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsFile {
    /// `--config` or `$EVENT_SENDER_CONFIG` says so.
    Named(PathBuf),
    /// It lay where one is looked for.
    Found(PathBuf),
}

impl SettingsFile {
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Found(path) => path,
        }
    }

    fn into_path(self) -> PathBuf {
        match self {
            Self::Named(path) | Self::Found(path) => path,
        }
    }
}

/// How the agent signs in.
#[derive(Clone, Debug)]
pub enum AuthMode {
    /// `client_secret`.
    ClientSecret { client_secret: Secret },
    /// `certificate`.
    Certificate {
        /// `auth.certificate_file` and `auth.private_key_file`.
        certificate: Arc<Certificate>,
        /// `auth.private_key_passphrase`.
        passphrase: Option<Secret>,
        /// `auth.send_certificate_chain`.
        send_chain: bool,
    },
    /// `managed_identity`.
    ManagedIdentity {
        /// Who gives its tokens.
        host: IdentityHost,
        /// Which of the machine's identities.
        identity: Identity,
    },
    /// `federated`.
    Federated {
        /// What was in `auth.federated_token_file`.
        token: Secret,
    },
    /// `password`.
    Password {
        username: String,
        password: Secret,
        /// `auth.client_secret`, for confidential clients.
        client_secret: Option<Secret>,
    },
}

/// `auth.token_version`: which of Entra's token endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVersion {
    /// `/oauth2/token`, which takes a resource.
    V1,
    /// `/oauth2/v2.0/token`, which takes a scope.
    V2,
}

/// `[auth]`.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Mode with its credentials.
    pub mode: AuthMode,
    /// Base URL, tenant and placeholders removed, no slash at the end. A managed identity does not use it.
    pub instance: String,
    /// Tenant; a managed identity needs none.
    pub tenant_id: Option<String>,
    /// Application; of a managed identity only if it is user-assigned and named so.
    pub client_id: Option<String>,
    /// Resource, no slash at the end.
    pub resource: String,
    pub token_version: TokenVersion,
    /// When the client secret ends, as far as somebody wrote it down.
    pub secret_expires: Option<DateTime<Utc>>,
    /// Where its secrets were read from.
    pub files: SecretFiles,
}

/// The files secrets were read from, which may be replaced by newer ones while the agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFiles {
    /// Of `auth.client_secret`.
    pub client_secret: Option<PathBuf>,
    /// Of `auth.password`.
    pub password: Option<PathBuf>,
    /// Of the certificate, …
    pub certificate: Option<PathBuf>,
    /// … its private key, which may be the same file, …
    pub private_key: Option<PathBuf>,
    /// … and the key's passphrase.
    pub passphrase: Option<PathBuf>,
    /// Of the other provider's token.
    pub federated_token: Option<PathBuf>,
}

/// `[graph]`.
#[derive(Clone, Debug)]
pub struct GraphSettings {
    /// The word of `graph.cloud`.
    pub cloud: &'static str,
    /// Base URL, no slash at the end.
    pub endpoint: String,
    /// `v1.0` or `beta`.
    pub api_version: String,
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// Until the answer is read.
    pub request_timeout: Duration,
    /// Content of the file of extra certificates.
    pub extra_ca: Option<Vec<u8>>,
}

/// `[defaults]`.
#[derive(Clone, Debug)]
pub struct DefaultSettings {
    /// Mailbox of jobs that name none.
    pub mailbox: Option<String>,
    /// Zone of jobs that name none; none is UTC, but for a series.
    pub time_zone: Option<String>,
    /// `text` or `html`.
    pub body_type: String,
}

/// `[queue]`.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    pub place: QueuePlace,
    /// Safety net of the change notice.
    pub poll_interval: Duration,
    /// Finished jobs older than this are deleted; zero keeps them.
    pub retention: Duration,
}

/// `queue.path`, or `queue.url`.
#[derive(Clone, Debug)]
pub enum QueuePlace {
    /// A SQLite file, which one agent works on.
    File(PathBuf),
    /// A PostgreSQL database, which several agents share.
    Database(Box<DatabaseSettings>),
}

/// What an agent on a shared queue goes by.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    pub database: Database,
    /// How this agent is called among the others.
    pub agent: String,
    /// A failover of the database may lose what it has acknowledged.
    pub lossy: bool,
    /// How long a request may be under way.
    pub request_timeout: Duration,
    /// What all agents of a queue must go by alike, in words. None of a command, which sends nothing.
    pub agreement: Option<String>,
    /// The file the password was read from.
    pub password_file: Option<PathBuf>,
}

impl QueuePlace {
    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Database(settings) => settings.database.name().to_owned(),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Database(_) => None,
        }
    }
}

/// `[delivery]`.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// Requests at once, in all.
    pub max_in_flight: usize,
    /// Requests at once to one mailbox.
    pub max_in_flight_per_mailbox: usize,
    /// Attempts of a job.
    pub max_attempts: u32,
    pub first_retry: Duration,
    pub longest_retry: Duration,
    /// Time horizon of a job.
    pub give_up_after: Duration,
    /// Time to finish what is under way when stopped.
    pub shutdown_grace: Duration,
    /// What becomes of events with attendees that are over.
    pub past_events: PastEvents,
    /// Recipients that the jobs of one mailbox may mail within 24 hours; 0: no limit.
    pub recipients_per_day: u32,
    /// Jobs with attendees per mailbox and minute; 0: no limit.
    pub invitations_per_minute: u32,
}

/// `delivery.past_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEvents {
    /// The job fails as expired: nobody is mailed about what is over.
    Refuse,
    Send,
}

impl PastEvents {
    pub const fn as_str(self) -> &'static str {
        match self {
            PastEvents::Refuse => "refuse",
            PastEvents::Send => "send",
        }
    }
}

/// `[monitor]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorSettings {
    /// Where metrics and health are answered; none: nowhere.
    pub listen: Option<SocketAddr>,
}

/// `[web]`.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where the page is answered; none: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether who has signed in may change something.
    pub actions: bool,
    /// What signs in, …
    pub token: Option<Secret>,
    /// … and the file it was read from.
    pub token_file: Option<PathBuf>,
    /// The header in which a proxy names who it has let through, in lower case.
    pub trusted_proxy_header: Option<String>,
    /// Whether subjects, bodies and attendees are shown.
    pub show_content: bool,
    /// Where browsers see the page.
    pub base: WebBase,
}

/// `web.base`: a path, or a whole address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebBase {
    /// Begins and ends with a slash.
    pub path: String,
    /// The host browsers name, with its port, where a whole address was given.
    pub host: Option<String>,
    /// It is encrypted on the way to the browser.
    pub encrypted: bool,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `auto`, `json` or `text`.
    pub format: LogFormat,
    /// Level of the program's own lines.
    pub level: tracing::Level,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON unless a terminal.
    Auto,
    /// One object per line.
    Json,
    /// For people.
    Text,
}

/// Everything `agent.toml` can say.
#[derive(Clone, Debug)]
pub struct Settings {
    pub auth: AuthSettings,
    pub graph: GraphSettings,
    /// What fills NULL columns.
    pub defaults: DefaultSettings,
    pub queue: QueueSettings,
    pub delivery: DeliverySettings,
    pub monitor: MonitorSettings,
    pub web: WebSettings,
    pub log: LogSettings,
    /// The file they were read from, if there was one.
    pub file: Option<SettingsFile>,
    /// The files with a secret in them that others may read.
    pub exposed: Vec<Exposed>,
    /// The files their keys name, of secrets and certificates. The agent reads them as it reads the settings.
    pub named: Vec<PathBuf>,
}

/// The part of the settings that commands need which never sign in.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Where they come from, besides the environment.
    pub file: Option<SettingsFile>,
    /// What fills NULL columns.
    pub defaults: DefaultSettings,
    /// Whether a job without mailbox may go to `/me`: a user signs in, who has a mailbox of their own.
    pub own_mailbox: bool,
    /// `graph.endpoint` and `graph.api_version` as written, for those who only show addresses.
    pub graph: (String, String),
    /// Whose mailbox the rows are for that name none: `defaults.mailbox`, else the user's who signs in.
    pub unnamed: Option<String>,
    pub queue: QueueSettings,
    pub log: LogSettings,
}

/// The environment settings are read in: an argument, so that a test has its own.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, OsString>);

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets, also of other programs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The value of a variable is not UTF-8.
#[derive(Clone, Copy, Debug)]
struct NotText;

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// Of these variables. A value is any bytes; a name that is not UTF-8 is not one of ours, but may resemble one.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_string_lossy().into_owned(), value)).collect())
    }

    /// What must be text, unless it is; [`Source::variable`] tells that of what is not.
    fn text(&self, name: &str) -> Option<Result<&str, NotText>> {
        self.0.get(name).map(|value| value.to_str().ok_or(NotText))
    }

    /// A file or a directory, whose name may be any bytes.
    fn path(&self, name: &str) -> Option<&Path> {
        self.0.get(name).map(Path::new).filter(|path| !path.as_os_str().is_empty())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Settings {
    /// Reads everything. `file` is what `--config` says.
    ///
    /// # Errors
    /// All problems of file, environment and secrets together.
    pub fn load(file: Option<PathBuf>, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read(file.map(SettingsFile::Named), environment)
    }

    /// Reads them again: the file of the first time, not one that has come before it in the search since.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_again(&self, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read(self.file.clone(), environment)
    }

    fn read(file: Option<SettingsFile>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut source = Source::open(file, environment)?;
        let settings = rules::settings(&mut source, environment);
        source.finish(settings)
    }

    /// Whose mailbox the rows are for that name none: `defaults.mailbox`, else the user's who signs in.
    pub fn unnamed(&self) -> Option<String> {
        rules::unnamed(&self.defaults, self.user())
    }

    /// Whether a job without mailbox may go to `/me`: a user signs in, who has a mailbox of their own.
    pub fn own_mailbox(&self) -> bool {
        self.user().is_some()
    }

    /// The user who signs in, in the mode that has one.
    fn user(&self) -> Option<&str> {
        match &self.auth.mode {
            AuthMode::Password { username, .. } => Some(username),
            _ => None,
        }
    }
}

impl LogSettings {
    /// As far as they can be told where the settings as a whole are refused: somebody may wait for that in the log.
    pub fn of_refused(file: Option<PathBuf>, environment: &Environment) -> Self {
        let source = Source::open(file.map(SettingsFile::Named), environment);
        rules::log(&mut source.unwrap_or_else(|_| Source::of_environment(environment)))
    }
}

impl LocalSettings {
    /// Reads what is needed without signing in; `[auth]` may be incomplete, but not misspelt.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(file: Option<PathBuf>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut source = Source::open(file.map(SettingsFile::Named), environment)?;
        let settings = rules::local(&mut source, environment);
        source.finish(Some(settings))
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
