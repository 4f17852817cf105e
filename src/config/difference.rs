//! What a reading of the settings changed, key by key, for the log. Secrets are compared and never shown.

use std::path::Path;
use std::time::Duration;

use super::{AuthMode, DatabaseSettings, LogFormat, QueuePlace, Settings, TokenVersion};
use crate::certificate::Certificate;
use crate::identity::{Identity, IdentityHost};
use crate::secret::Secret;

/// A key whose value is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub key: &'static str,
    /// What it was; empty for none.
    pub from: String,
    /// What it is; empty for none.
    pub to: String,
    /// Whether a running agent can follow.
    pub at_once: bool,
}

/// The keys a running agent cannot follow: what it has open, and how its log looks.
const AT_THE_START: [&str; 13] = [
    "queue.path",
    "queue.url",
    "queue.password_file",
    "queue.failover",
    "agent.name",
    "monitor.listen",
    "web.listen",
    "web.actions",
    "web.token_file",
    "web.trusted_proxy_header",
    "web.show_content",
    "web.base",
    "log.format",
];

/// What stands for a secret.
const SECRET: &str = "(secret)";
const ANOTHER: &str = "(another secret)";

impl Settings {
    /// The keys that have another value in `new`, in the order of `agent.toml`.
    pub fn differences(&self, new: &Settings) -> Vec<Difference> {
        let mut differences = Vec::new();
        for ((key, from), (_, to)) in self.values().into_iter().zip(new.values()) {
            let same = match (&from, &to) {
                (Value::Secret(from), Value::Secret(to)) => from == to,
                (Value::Plain(from), Value::Plain(to)) => from == to,
                _ => false,
            };
            if !same {
                let to = if matches!((&from, &to), (Value::Secret(Some(_)), Value::Secret(Some(_)))) {
                    ANOTHER.to_owned()
                } else {
                    to.shown()
                };
                differences.push(Difference { key, from: from.shown(), to, at_once: !AT_THE_START.contains(&key) });
            }
        }
        differences
    }

    fn values(&self) -> Vec<(&'static str, Value<'_>)> {
        let (auth, graph, defaults) = (&self.auth, &self.graph, &self.defaults);
        let (queue, delivery, monitor, log) = (&self.queue, &self.delivery, &self.monitor, &self.log);
        let web = &self.web;
        let shown = Shown::of(&auth.mode);
        vec![
            ("auth.mode", text(shown.mode)),
            ("auth.instance", text(&auth.instance)),
            ("auth.tenant_id", text(auth.tenant_id.as_deref().unwrap_or_default())),
            ("auth.client_id", text(auth.client_id.as_deref().unwrap_or_default())),
            ("auth.resource", text(&auth.resource)),
            ("auth.token_version", text(version(auth.token_version))),
            ("auth.client_secret", Value::Secret(shown.client_secret)),
            ("auth.client_secret_file", path(auth.files.client_secret.as_deref())),
            ("auth.secret_expires", text(auth.secret_expires.map(|at| at.to_rfc3339()).unwrap_or_default())),
            ("auth.certificate_file", certificate(shown.certificate, auth.files.certificate.as_deref())),
            ("auth.private_key_file", path(auth.files.private_key.as_deref())),
            ("auth.private_key_passphrase", Value::Secret(shown.passphrase)),
            ("auth.private_key_passphrase_file", path(auth.files.passphrase.as_deref())),
            ("auth.send_certificate_chain", text(shown.send_chain)),
            ("auth.identity_object_id", text(shown.object_id)),
            ("auth.identity_resource_id", text(shown.resource_id)),
            ("auth.arc_tokens_dir", path(shown.tokens_dir)),
            ("auth.federated_token_file", path(auth.files.federated_token.as_deref())),
            ("auth.username", text(shown.username)),
            ("auth.password", Value::Secret(shown.password)),
            ("auth.password_file", path(auth.files.password.as_deref())),
            ("graph.cloud", text(graph.cloud)),
            ("graph.endpoint", text(&graph.endpoint)),
            ("graph.api_version", text(&graph.api_version)),
            ("graph.connect_timeout", duration(graph.connect_timeout)),
            ("graph.request_timeout", duration(graph.request_timeout)),
            ("graph.ca_file", certificates(graph.extra_ca.as_deref())),
            ("defaults.mailbox", text(defaults.mailbox.as_deref().unwrap_or_default())),
            ("defaults.time_zone", text(defaults.time_zone.as_deref().unwrap_or_default())),
            ("defaults.body_type", text(&defaults.body_type)),
            ("queue.path", path(queue.place.file())),
            ("queue.url", Value::Secret(database(&queue.place).map(|of| of.database.told()))),
            ("queue.password_file", path(database(&queue.place).and_then(|of| of.password_file.as_deref()))),
            (
                "queue.failover",
                text(database(&queue.place).map_or("", |of| if of.lossy { "lossy" } else { "lossless" })),
            ),
            ("queue.poll_interval", duration(queue.poll_interval)),
            ("queue.retention", duration(queue.retention)),
            ("delivery.max_in_flight", text(delivery.max_in_flight)),
            ("delivery.max_in_flight_per_mailbox", text(delivery.max_in_flight_per_mailbox)),
            ("delivery.max_attempts", text(delivery.max_attempts)),
            ("delivery.first_retry", duration(delivery.first_retry)),
            ("delivery.longest_retry", duration(delivery.longest_retry)),
            ("delivery.give_up_after", duration(delivery.give_up_after)),
            ("delivery.shutdown_grace", duration(delivery.shutdown_grace)),
            ("delivery.past_events", text(delivery.past_events.as_str())),
            ("delivery.recipients_per_day", text(delivery.recipients_per_day)),
            ("delivery.invitations_per_minute", text(delivery.invitations_per_minute)),
            ("agent.name", text(database(&queue.place).map_or("", |of| of.agent.as_str()))),
            ("monitor.listen", text(monitor.listen.map(|address| address.to_string()).unwrap_or_default())),
            ("web.listen", text(web.listen.map(|address| address.to_string()).unwrap_or_default())),
            ("web.actions", text(web.actions)),
            ("web.token_file", path(web.token_file.as_deref())),
            ("web.trusted_proxy_header", text(web.trusted_proxy_header.as_deref().unwrap_or_default())),
            ("web.show_content", text(web.show_content)),
            ("web.base", text(&web.base)),
            ("log.format", text(format(log.format))),
            ("log.level", text(log.level.as_str().to_ascii_lowercase())),
        ]
    }
}

/// What the modes have beside each other, of the one in use.
#[derive(Default)]
struct Shown<'s> {
    mode: &'static str,
    username: &'s str,
    password: Option<&'s Secret>,
    client_secret: Option<&'s Secret>,
    certificate: Option<&'s Certificate>,
    passphrase: Option<&'s Secret>,
    send_chain: bool,
    object_id: &'s str,
    resource_id: &'s str,
    tokens_dir: Option<&'s Path>,
}

impl<'s> Shown<'s> {
    fn of(mode: &'s AuthMode) -> Self {
        let none = Self::default();
        match mode {
            AuthMode::ClientSecret { client_secret } => {
                Self { mode: "client_secret", client_secret: Some(client_secret), ..none }
            }
            AuthMode::Certificate { certificate, passphrase, send_chain } => Self {
                mode: "certificate",
                certificate: Some(certificate),
                passphrase: passphrase.as_ref(),
                send_chain: *send_chain,
                ..none
            },
            AuthMode::ManagedIdentity { host, identity } => {
                let tokens_dir = match host {
                    IdentityHost::Arc { tokens_dir, .. } => Some(tokens_dir.as_path()),
                    _ => None,
                };
                let none = Self { mode: "managed_identity", tokens_dir, ..none };
                match identity {
                    Identity::ObjectId(object_id) => Self { object_id, ..none },
                    Identity::ResourceId(resource_id) => Self { resource_id, ..none },
                    Identity::System | Identity::ClientId(_) => none,
                }
            }
            AuthMode::Federated { .. } => Self { mode: "federated", ..none },
            AuthMode::Password { username, password, client_secret } => Self {
                mode: "password",
                username,
                password: Some(password),
                client_secret: client_secret.as_ref(),
                ..none
            },
        }
    }
}

enum Value<'s> {
    Plain(String),
    Secret(Option<&'s Secret>),
}

impl Value<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Secret(Some(_)) => SECRET.to_owned(),
            Self::Secret(None) => String::new(),
        }
    }
}

fn database(place: &QueuePlace) -> Option<&DatabaseSettings> {
    match place {
        QueuePlace::Database(settings) => Some(settings),
        QueuePlace::File(_) => None,
    }
}

fn text(value: impl ToString) -> Value<'static> {
    Value::Plain(value.to_string())
}

fn path(path: Option<&Path>) -> Value<'static> {
    text(path.map(|path| path.display().to_string()).unwrap_or_default())
}

/// Another certificate in the same file is another value: its thumbprint tells.
fn certificate(certificate: Option<&Certificate>, file: Option<&Path>) -> Value<'static> {
    let Some((certificate, file)) = certificate.zip(file) else { return text("") };
    let thumbprint: String = certificate.thumbprint().iter().map(|byte| format!("{byte:02X}")).collect();
    text(format!("{} (SHA-256 {thumbprint})", file.display()))
}

fn version(version: TokenVersion) -> &'static str {
    match version {
        TokenVersion::V1 => "v1",
        TokenVersion::V2 => "v2",
    }
}

fn duration(value: Duration) -> Value<'static> {
    text(humantime::format_duration(value))
}

/// Certificates are not secret, but too long for a log line. Their number of bytes and a sum tell two files apart.
fn certificates(pem: Option<&[u8]>) -> Value<'static> {
    let Some(pem) = pem else { return text("") };
    let sum = pem.iter().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
    text(format!("{} bytes of PEM, {sum:08x}", pem.len()))
}

fn format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Auto => "auto",
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Environment, KEYS};
    use super::*;

    fn settings(lines: &str) -> Settings {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            format!(
                "[auth]\ntenant_id = \"contoso.com\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\n{lines}"
            ),
        )
        .unwrap();
        Settings::load(Some(file.path().to_owned()), &Environment::default()).unwrap()
    }

    #[test]
    fn every_key_is_compared() {
        let settings = settings("client_secret = \"s3cret-Zebra\"");
        let compared: Vec<&str> = settings.values().into_iter().map(|(key, _)| key).collect();
        let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(compared, keys);
    }

    #[test]
    fn what_changed_is_told_without_secrets() {
        let old = settings("client_secret = \"s3cret-Zebra\"");
        let new =
            settings("client_secret = \"s3cret-Gnu\"\n[delivery]\nmax_in_flight = 8\n[queue]\npath = \"other.db\"");
        assert_eq!(old.differences(&old.clone()), []);
        let differences = old.differences(&new);
        let [old_path, new_path] =
            ["queue.db", "other.db"].map(|name| std::path::absolute(name).unwrap().display().to_string());
        let told: Vec<(&str, &str, &str, bool)> =
            differences.iter().map(|d| (d.key, d.from.as_str(), d.to.as_str(), d.at_once)).collect();
        assert_eq!(
            told,
            [
                ("auth.client_secret", "(secret)", "(another secret)", true),
                ("queue.path", old_path.as_str(), new_path.as_str(), false),
                ("delivery.max_in_flight", "64", "8", true),
            ]
        );
    }
}
