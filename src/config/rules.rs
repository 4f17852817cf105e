//! The rules: from raw values to [`Settings`], with every contradiction noted.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tracing::Level;
use url::Url;

use super::secrets::Found;
use super::source::Source;
use super::{
    AuthMode, AuthSettings, DefaultSettings, DeliverySettings, Environment, GraphSettings, LocalSettings, LogFormat,
    LogSettings, MonitorSettings, QueueSettings, SecretFiles, Settings, secrets,
};

const MODES: [(&str, Mode); 2] = [("client_secret", Mode::ClientSecret), ("password", Mode::Password)];

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    ClientSecret,
    Password,
}

/// Everything; none if something that has no default is missing.
pub(super) fn settings(source: &mut Source, environment: &Environment) -> Option<Settings> {
    let graph = graph(source);
    let auth = auth(source, environment, &graph.endpoint);
    let (defaults, queue, delivery, log) = (defaults(source), queue(source), delivery(source), log(source));
    let monitor = MonitorSettings { listen: listen(source) };
    let (file, exposed) = (source.file().map(Into::into), source.exposed().to_vec());
    let named = source.files_read().to_vec();
    Some(Settings { auth: auth?, graph, defaults, queue, delivery, monitor, log, file, exposed, named })
}

/// What commands need that never sign in.
pub(super) fn local(source: &mut Source) -> LocalSettings {
    let own_mailbox = source.word("auth.mode", &MODES, Mode::ClientSecret) == Mode::Password;
    let graph = ["graph.endpoint", "graph.api_version"].map(|key| source.text_or_default(key).trim().to_owned());
    let defaults = defaults(source);
    let user = if own_mailbox { source.text("auth.username") } else { None };
    let unnamed = defaults.mailbox.clone().or(user);
    let (queue, log) = (queue(source), log(source));
    LocalSettings { defaults, own_mailbox, unnamed, graph: graph.into(), queue, log }
}

fn auth(source: &mut Source, environment: &Environment, endpoint: &str) -> Option<AuthSettings> {
    let mode = source.word("auth.mode", &MODES, Mode::ClientSecret);
    let tenant_id =
        source.required("auth.tenant_id", "it is the Directory (tenant) ID on the app registration's overview page");
    let client_id =
        source.required("auth.client_id", "it is the Application (client) ID on the app registration's overview page");
    if let Some(tenant) = &tenant_id {
        check_tenant(source, mode, tenant);
    }
    let instance = instance(source, tenant_id.as_deref().unwrap_or_default());
    let resource =
        source.text("auth.resource").unwrap_or_else(|| endpoint.to_owned()).trim().trim_end_matches('/').to_owned();
    let resource = resource.strip_suffix("/.default").unwrap_or(&resource).to_owned();
    if resource.chars().any(char::is_whitespace) {
        source.problem(
            "auth.resource",
            "contains a blank; it is one address or GUID, like \"https://graph.microsoft.com\"",
        );
    }
    let credentials = match mode {
        Mode::ClientSecret => client_secret_mode(source, environment),
        Mode::Password => password_mode(source, environment),
    };
    let (mode, files) = credentials?;
    Some(AuthSettings { mode, instance, tenant_id: tenant_id?, client_id: client_id?, resource, files })
}

fn client_secret_mode(source: &mut Source, environment: &Environment) -> Option<(AuthMode, SecretFiles)> {
    for key in ["auth.username", "auth.password", "auth.password_file"] {
        if source.text(key).is_some() {
            source
                .problem(key, "is set, but auth.mode is \"client_secret\"; remove it, or set auth.mode = \"password\"");
        }
    }
    let Found { secret, file } = needed(source, environment, "client_secret", "mode \"client_secret\"")?;
    Some((AuthMode::ClientSecret { client_secret: secret }, SecretFiles { client_secret: file, password: None }))
}

fn password_mode(source: &mut Source, environment: &Environment) -> Option<(AuthMode, SecretFiles)> {
    let username = source.required("auth.username", "mode \"password\" needs the user's sign-in name");
    let password = needed(source, environment, "password", "mode \"password\"");
    let client_secret = secrets::find(source, environment, "client_secret");
    let password = password?;
    let (client_secret, client_secret_file) =
        client_secret.map_or((None, None), |found| (Some(found.secret), found.file));
    let mode = AuthMode::Password { username: username?, password: password.secret, client_secret };
    Some((mode, SecretFiles { client_secret: client_secret_file, password: password.file }))
}

fn needed(source: &mut Source, environment: &Environment, name: &str, mode: &str) -> Option<Found> {
    let key = format!("auth.{name}");
    let file_given = source.text(&format!("{key}_file")).is_some();
    let secret = secrets::find(source, environment, name);
    if secret.is_none() && !file_given {
        source.problem(
            &key,
            format!("is not set, and {mode} needs it; set {key}_file, or EVENT_SENDER__AUTH__{}, or pass it as a systemd credential", name.to_ascii_uppercase()),
        );
    }
    secret
}

fn check_tenant(source: &mut Source, mode: Mode, tenant: &str) {
    let shared = ["common", "consumers", "organizations"].contains(&tenant.to_ascii_lowercase().as_str());
    let organizations = tenant.eq_ignore_ascii_case("organizations");
    if shared && !(organizations && mode == Mode::Password) {
        source.problem(
            "auth.tenant_id",
            format!("is \"{tenant}\", which no daemon can sign in to; give the tenant's own id or domain"),
        );
    } else if !tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        source.problem("auth.tenant_id", "is neither a GUID nor a domain, like \"contoso.onmicrosoft.com\"");
    }
}

/// Admins copy the instance with the tenant at its end, or with the `{0}` of a sample.
fn instance(source: &mut Source, tenant: &str) -> String {
    let key = "auth.instance";
    let written = source.text_or_default(key);
    let mut base = written.trim().trim_end_matches('/').to_owned();
    for suffix in ["/oauth2/v2.0/token", "/oauth2/token", "/v2.0"] {
        base = base.strip_suffix(suffix).unwrap_or(&base).to_owned();
    }
    for placeholder in ["/{0}", "/{tenant}", "/{tenant_id}", "/{tenantId}"] {
        base = base.strip_suffix(placeholder).unwrap_or(&base).to_owned();
    }
    let ends_in_tenant =
        !tenant.is_empty() && base.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(tenant));
    if ends_in_tenant && let Some((front, _)) = base.rsplit_once('/') {
        base = front.to_owned();
    }
    address(source, key, &base, false)
}

fn graph(source: &mut Source) -> GraphSettings {
    let endpoint = source.text_or_default("graph.endpoint");
    let endpoint = address(source, "graph.endpoint", endpoint.trim().trim_end_matches('/'), true);
    let api_version = source.text_or_default("graph.api_version").trim().to_owned();
    let plain = api_version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if !plain || matches!(api_version.as_str(), "." | "..") {
        source.problem(
            "graph.api_version",
            format!("is \"{api_version}\"; it must be a version like \"v1.0\" or \"beta\""),
        );
    }
    GraphSettings {
        endpoint,
        api_version,
        connect_timeout: source.duration("graph.connect_timeout", Duration::from_millis(1)),
        request_timeout: source.duration("graph.request_timeout", Duration::from_millis(1)),
        extra_ca: extra_ca(source),
    }
}

fn extra_ca(source: &mut Source) -> Option<Vec<u8>> {
    let key = "graph.ca_file";
    let path = source.text(key)?;
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => {
            source.problem(key, format!("names {path}, which cannot be read: {error}"));
            return None;
        }
    };
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => {
            source.note_read(std::path::Path::new(&path));
            Some(pem)
        }
        _ => {
            source.problem(key, format!("names {path}, which holds no PEM certificate"));
            None
        }
    }
}

/// An address secrets and events are sent to: https, or http to this machine only. As the parser understood it, no slash
/// at the end: what is judged here and what is dialled later must be the same, however it was written ("HTTP://127.1").
fn address(source: &mut Source, key: &str, text: &str, path_allowed: bool) -> String {
    let url = match Url::parse(text) {
        Ok(url) if url.host().is_some() && matches!(url.scheme(), "http" | "https") => url,
        _ => {
            let rule = "it must begin with https:// and name a host, like \"https://graph.microsoft.com\"";
            // Before an @ there may stand a password.
            let found = if text.contains('@') { "is no address".to_owned() } else { format!("is \"{text}\"") };
            source.problem(key, format!("{found}; {rule}"));
            return text.to_owned();
        }
    };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !loopback {
        source.problem(key, "is not encrypted; use https:// (http:// is only for this machine itself)");
    } else if !url.username().is_empty() || url.password().is_some() {
        source.problem(key, "contains a user name or password; remove it");
    } else if url.query().is_some() || url.fragment().is_some() {
        source.problem(key, "contains a ? or #; give the plain address");
    } else if !path_allowed && !matches!(url.path(), "/" | "") {
        source.problem(
            key,
            format!("ends in {}, which is not the tenant of auth.tenant_id; give the address alone, or both the same tenant", url.path()),
        );
    }
    url.as_str().trim_end_matches('/').to_owned()
}

fn defaults(source: &mut Source) -> DefaultSettings {
    DefaultSettings {
        mailbox: source.text("defaults.mailbox").map(|mailbox| mailbox.trim().to_owned()),
        time_zone: source.text_or_default("defaults.time_zone").trim().to_owned(),
        body_type: source.word("defaults.body_type", &[("text", "text"), ("html", "html")], "text").to_owned(),
    }
}

fn queue(source: &mut Source) -> QueueSettings {
    QueueSettings {
        path: source.text_or_default("queue.path").into(),
        poll_interval: source.duration("queue.poll_interval", Duration::from_millis(10)),
        retention: source.duration("queue.retention", Duration::ZERO),
    }
}

fn delivery(source: &mut Source) -> DeliverySettings {
    let delivery = DeliverySettings {
        max_in_flight: source.number("delivery.max_in_flight", 1, 1024) as usize,
        max_in_flight_per_mailbox: source.number("delivery.max_in_flight_per_mailbox", 1, 64) as usize,
        max_attempts: source.number("delivery.max_attempts", 1, 1000),
        first_retry: source.duration("delivery.first_retry", Duration::from_millis(1)),
        longest_retry: source.duration("delivery.longest_retry", Duration::from_millis(1)),
        give_up_after: source.duration("delivery.give_up_after", Duration::from_millis(1)),
        shutdown_grace: source.duration("delivery.shutdown_grace", Duration::ZERO),
    };
    let both_read = !source.has_problem("delivery.first_retry") && !source.has_problem("delivery.longest_retry");
    if both_read && delivery.first_retry > delivery.longest_retry {
        source.problem(
            "delivery.first_retry",
            "is longer than delivery.longest_retry; waits grow from the first to the longest",
        );
    }
    delivery
}

/// A port alone is one of this machine only: more must be asked for in words.
fn listen(source: &mut Source) -> Option<SocketAddr> {
    let key = "monitor.listen";
    let written = source.text_or_number(key)?;
    let text = written.trim();
    if let Ok(port) = text.parse() {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let address = text.parse().ok();
    if address.is_none() {
        source.problem(
            key,
            format!("is \"{written}\"; it must be an address and a port, like \"127.0.0.1:9185\" or \"[::1]:9185\", or a port alone for this machine only"),
        );
    }
    address
}

fn log(source: &mut Source) -> LogSettings {
    let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    LogSettings {
        format: source.word("log.format", &formats, LogFormat::Auto),
        level: source.word("log.level", &levels, Level::INFO),
    }
}
