//! The rules: from raw values to [`Settings`], with every contradiction noted.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use super::cloud::Cloud;
use super::shapes;
use super::source::Source;
use super::values::{address, judge};
use super::{
    AuthMode, AuthSettings, Database, DatabaseSettings, DefaultSettings, DeliverySettings, Environment, GraphSettings,
    LocalSettings, LogFormat, LogSettings, MonitorSettings, PastEvents, QueuePlace, QueueSettings, Settings, secrets,
    sign_in,
};
use crate::access;
use crate::secret::Secret;
use crate::secret_file::{self, FileFault, Links};

/// Of a request, on a queue that several agents share.
const SHARED_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What a file of certificates may have; all that a system trusts are a quarter of a megabyte.
const LARGEST_BUNDLE: u64 = 16_000_000;

/// Everything; none if something that has no default is missing.
pub(super) fn settings(source: &mut Source, environment: &Environment) -> Option<Settings> {
    let cloud = Cloud::read(source);
    let graph = graph(source, cloud.0);
    let auth = sign_in::settings(source, environment, cloud, &graph.endpoint);
    let (defaults, mut queue, delivery, log) =
        (defaults(source), queue(source, environment), delivery(source), log(source));
    let graph = with_its_timeout(source, graph, &queue.place);
    let monitor = MonitorSettings { listen: listen(source, "monitor.listen") };
    let web = super::web::settings(source);
    refuse_one_address(source, monitor.listen, web.listen);
    source.refuse_wrong_types();
    let (file, exposed) = (source.file().cloned(), source.exposed(queue.place.file()));
    let (auth, named) = (auth?, source.files_read().to_vec());
    if let QueuePlace::Database(database) = &mut queue.place {
        database.agreement = Some(agreement(&auth, &graph, &defaults, &delivery));
    }
    Some(Settings { auth, graph, defaults, queue, delivery, monitor, web, log, file, exposed, named })
}

/// What commands need that never sign in.
pub(super) fn local(source: &mut Source, environment: &Environment) -> LocalSettings {
    let own_mailbox = sign_in::is_users_own(source);
    let cloud = Cloud::read(source).0;
    let graph = (endpoint(source, cloud), source.text_or_default("graph.api_version").trim().to_owned());
    let defaults = defaults(source);
    let user = if own_mailbox { source.text("auth.username").map(|user| user.trim().to_owned()) } else { None };
    let unnamed = unnamed(&defaults, user.as_deref());
    let (queue, log) = (queue(source, environment), log(source));
    LocalSettings { file: source.file().cloned(), defaults, own_mailbox, unnamed, graph, queue, log }
}

/// Whose mailbox the rows are for that name none. `user`: who signs in, in the mode that has one.
pub(super) fn unnamed(defaults: &DefaultSettings, user: Option<&str>) -> Option<String> {
    defaults.mailbox.clone().or_else(|| user.map(str::to_owned))
}

/// As written; of the cloud where nothing is.
fn endpoint(source: &mut Source, cloud: Cloud) -> String {
    source.text("graph.endpoint").unwrap_or_else(|| cloud.endpoint().to_owned()).trim().to_owned()
}

fn graph(source: &mut Source, cloud: Cloud) -> GraphSettings {
    let endpoint = endpoint(source, cloud);
    let endpoint = address(source, "graph.endpoint", endpoint.trim_end_matches('/'), |url| {
        let bare = shapes::without_path(url);
        match url.path().trim_matches('/') {
            "v1.0" | "beta" => {
                format!("ends in {}, which graph.api_version adds; remove it: did you mean \"{bare}\"?", url.path())
            }
            _ => format!("has the path {}; give the address alone: did you mean \"{bare}\"?", url.path()),
        }
    });
    let api_version = source.text_or_default("graph.api_version").trim().to_owned();
    judge(source, "graph.api_version", &api_version, shapes::api_version);
    GraphSettings {
        cloud: cloud.word(),
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
    let pem = match secret_file::bytes(Path::new(&path), LARGEST_BUNDLE, Links::Followed) {
        Ok(pem) => pem.to_vec(),
        Err(fault) => {
            let what = match &fault {
                FileFault::Unreadable { error, .. } => {
                    format!("cannot be read: {}", access::why(Path::new(&path), error))
                }
                FileFault::TooLarge => "is larger than 16 MB; name a PEM file of certificates alone".to_owned(),
                fault => fault.to_string(),
            };
            source.problem(key, format!("names {path}, which {what}"));
            return None;
        }
    };
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => {
            source.note_read(Path::new(&path));
            Some(pem)
        }
        _ => {
            source.problem(key, format!("names {path}, which holds no PEM certificate"));
            None
        }
    }
}

fn defaults(source: &mut Source) -> DefaultSettings {
    let mailbox = source.text("defaults.mailbox").map(|mailbox| mailbox.trim().to_owned());
    if let Some(mailbox) = &mailbox {
        judge(source, "defaults.mailbox", mailbox, shapes::mailbox);
    }
    let time_zone = source.text("defaults.time_zone").map(|zone| zone.trim().to_owned());
    if let Some(time_zone) = &time_zone {
        judge(source, "defaults.time_zone", time_zone, shapes::zone);
    }
    DefaultSettings {
        mailbox,
        time_zone,
        body_type: source.word("defaults.body_type", &[("text", "text"), ("html", "html")], "text").to_owned(),
    }
}

fn queue(source: &mut Source, environment: &Environment) -> QueueSettings {
    QueueSettings {
        place: place(source, environment),
        poll_interval: source.duration("queue.poll_interval", Duration::from_millis(10)),
        retention: source.duration("queue.retention", Duration::ZERO),
    }
}

fn place(source: &mut Source, environment: &Environment) -> QueuePlace {
    let Some(url) = source.text("queue.url") else { return QueuePlace::File(file(source)) };
    if source.is_set("queue.path") {
        source.problem("queue.url", "is set, and queue.path too; a queue is in one place: remove one of them");
    }
    let password = secrets::find_elsewhere(source, environment, "queue.password", "queue_password");
    let (password, password_file) = password.map_or((None, None), |found| (Some(found.secret), found.file));
    let settings = match Database::of(url.trim(), password.as_ref().map(Secret::expose)) {
        Ok(database) => DatabaseSettings {
            database,
            agent: agent_name(source),
            lossy: source.word("queue.failover", &[("lossy", true), ("lossless", false)], true),
            request_timeout: request_timeout(source, true),
            agreement: None,
            password_file,
        },
        Err(error) => {
            source.problem("queue.url", error.to_string());
            return QueuePlace::File(file(source));
        }
    };
    QueuePlace::Database(Box::new(settings))
}

fn file(source: &mut Source) -> PathBuf {
    if source.is_blank("queue.path") {
        source.problem("queue.path", "is empty; name the file of the queue, or remove the key for \"queue.db\"");
    }
    for key in ["queue.password_file", "queue.failover"] {
        if source.is_changed(key) && !source.is_set("queue.url") {
            source.problem(key, "is set, but queue.url is not; it is for a queue in PostgreSQL alone: remove it");
        }
    }
    // A wrong one would be found on the day the queue moves to where agents have names.
    agent_name(source);
    let path = source.text_or_default("queue.path").trim().to_owned();
    judge(source, "queue.path", &path, shapes::queue_path);
    // Messages name it, wherever a command was typed.
    std::path::absolute(&path).unwrap_or_else(|_| path.into())
}

fn agent_name(source: &mut Source) -> String {
    let name = source.text("agent.name").map(|name| name.trim().to_owned());
    if let Some(name) = &name {
        judge(source, "agent.name", name, shapes::agent_name);
    }
    name.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// On a queue that several agents share, what a dead one has under way is waited for: for half as long, unless said otherwise.
fn request_timeout(source: &mut Source, shared: bool) -> Duration {
    let key = "graph.request_timeout";
    if shared && !source.is_set(key) { SHARED_REQUEST_TIMEOUT } else { source.duration(key, Duration::from_millis(1)) }
}

fn with_its_timeout(source: &mut Source, graph: GraphSettings, place: &QueuePlace) -> GraphSettings {
    let shared = matches!(place, QueuePlace::Database(_));
    if shared && !source.is_set("graph.request_timeout") {
        return GraphSettings { request_timeout: SHARED_REQUEST_TIMEOUT, ..graph };
    }
    graph
}

/// Two agents that go by different ones would send a row to two mailboxes, or reckon with different limits of one.
fn agreement(
    auth: &AuthSettings,
    graph: &GraphSettings,
    defaults: &DefaultSettings,
    delivery: &DeliverySettings,
) -> String {
    let user = match &auth.mode {
        AuthMode::Password { username, .. } => username.as_str(),
        _ => "",
    };
    [
        ("auth.tenant_id", auth.tenant_id.clone().unwrap_or_default()),
        ("auth.client_id", auth.client_id.clone().unwrap_or_default()),
        ("auth.username", user.to_owned()),
        ("graph.endpoint", graph.endpoint.clone()),
        ("graph.request_timeout", format!("{:?}", graph.request_timeout)),
        ("defaults.mailbox", defaults.mailbox.clone().unwrap_or_default()),
        ("defaults.time_zone", defaults.time_zone.clone().unwrap_or_default()),
        ("defaults.body_type", defaults.body_type.clone()),
        ("delivery.max_in_flight_per_mailbox", delivery.max_in_flight_per_mailbox.to_string()),
        ("delivery.recipients_per_day", delivery.recipients_per_day.to_string()),
        ("delivery.invitations_per_minute", delivery.invitations_per_minute.to_string()),
    ]
    .map(|(key, value)| format!("{key} = {value}"))
    .join("\n")
}

const PAST_EVENTS: [(&str, PastEvents); 2] =
    [(PastEvents::Refuse.as_str(), PastEvents::Refuse), (PastEvents::Send.as_str(), PastEvents::Send)];

fn delivery(source: &mut Source) -> DeliverySettings {
    let delivery = DeliverySettings {
        max_in_flight: source.number("delivery.max_in_flight", 1, 1024) as usize,
        max_in_flight_per_mailbox: source.number("delivery.max_in_flight_per_mailbox", 1, 64) as usize,
        max_attempts: source.number("delivery.max_attempts", 1, 1000),
        first_retry: source.duration("delivery.first_retry", Duration::from_millis(1)),
        longest_retry: source.duration("delivery.longest_retry", Duration::from_millis(1)),
        give_up_after: source.duration("delivery.give_up_after", Duration::from_millis(1)),
        shutdown_grace: source.duration("delivery.shutdown_grace", Duration::ZERO),
        past_events: source.word("delivery.past_events", &PAST_EVENTS, PastEvents::Refuse),
        recipients_per_day: source.number("delivery.recipients_per_day", 0, 10_000_000),
        invitations_per_minute: source.number("delivery.invitations_per_minute", 0, 100_000),
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

pub(super) fn listen(source: &mut Source, key: &str) -> Option<SocketAddr> {
    let written = source.text_or_number(key)?;
    judge(source, key, written.trim(), shapes::listen)
}

/// Whichever of the two came second would wait for the other without end.
fn refuse_one_address(source: &mut Source, monitor: Option<SocketAddr>, web: Option<SocketAddr>) {
    let (Some(monitor), Some(web)) = (monitor, web) else { return };
    let (one, other) = (monitor.ip().to_canonical(), web.ip().to_canonical());
    // Every address of IPv6 is every one of IPv4 as well.
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    // Port 0 is any that is free.
    if web.port() == monitor.port() && web.port() != 0 && (one == other || covers(one, other) || covers(other, one)) {
        let what = format!("is {web}, where monitor.listen ({monitor}) listens too; give one of them another port");
        source.problem("web.listen", what);
    }
}

pub(super) fn log(source: &mut Source) -> LogSettings {
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
