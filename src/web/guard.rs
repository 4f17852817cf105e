//! Who may ask what. A browser is a confused messenger: any page in it can send requests here, so each is looked at for whom it
//! names as host (a name that was made to point here is none of ours), where it comes from, and who has signed in.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};

use super::Web;
use super::reply::Refusal;
use crate::config::WebSettings;
use crate::listener::Peer;

pub const COOKIE_NAME: &str = "event_sender_session";
/// Only a script of our own page sets it: another site's form cannot.
pub const OWN_HEADER: &str = "x-event-sender";
const FETCH_SITE: &str = "sec-fetch-site";

pub struct Guard {
    /// Hosts that are accepted besides addresses in figures and this machine's own names.
    hosts: Vec<String>,
    /// Who reads must be known.
    asks_readers: bool,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A proxy has let this user through.
    User(String),
    /// Somebody with the token, in a session of this name.
    Session(String),
    /// A program with the token.
    Token,
    Nobody,
}

impl Guard {
    pub fn new(settings: &WebSettings) -> Self {
        let loopback = settings.listen.is_none_or(|address| address.ip().to_canonical().is_loopback());
        let mut hosts = vec!["localhost".to_owned()];
        if !loopback {
            hosts.extend(machine());
        }
        hosts.extend(settings.base.host.as_deref().map(|host| name_of(host).to_ascii_lowercase()));
        Self { hosts, asks_readers: !loopback }
    }

    /// The request names a host that is this one.
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let named = headers.get_all(HOST).iter().collect::<Vec<_>>();
        let host = match named.as_slice() {
            [host] => host.to_str().unwrap_or_default(),
            _ => "",
        };
        let name = name_of(host).to_ascii_lowercase();
        // Nobody can make a name of an address in figures that points elsewhere.
        let in_figures = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if in_figures || self.hosts.contains(&name) {
            return Ok(());
        }
        let why = format!(
            "\"{name}\" is not a name of this page; open it by its address in figures, or set web.base to the whole address browsers \
             use"
        );
        Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host", why))
    }
}

impl Web {
    /// Who asks, as far as the request proves it.
    pub fn who(&self, headers: &HeaderMap, now: Instant) -> Who {
        if let Some(user) = self.settings.trusted_proxy_header.as_deref().and_then(|name| only(headers, name)) {
            return Who::User(user.to_owned());
        }
        if let Some(name) = session(headers).filter(|name| self.sessions.is_open(name, now)) {
            return Who::Session(name);
        }
        let given = only(headers, AUTHORIZATION.as_str()).and_then(|text| text.strip_prefix("Bearer "));
        match (&self.settings.token, given) {
            (Some(token), Some(given)) if self.sessions.knows(token, given.trim(), now) => Who::Token,
            _ => Who::Nobody,
        }
    }

    /// Whether this one may read.
    pub fn check_reader(&self, headers: &HeaderMap, now: Instant) -> Result<(), Refusal> {
        if self.may_read(&self.who(headers, now)) {
            return Ok(());
        }
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "sign_in", "Sign in to see this."))
    }

    pub fn may_read(&self, who: &Who) -> bool {
        !self.guard.asks_readers || *who != Who::Nobody
    }

    /// Whether the request comes from a page of ours, not from another site.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let json = only(headers, CONTENT_TYPE.as_str()).map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if json.is_none_or(|kind| !kind.eq_ignore_ascii_case("application/json")) {
            let why = "What changes something is sent as application/json.";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", why));
        }
        if only(headers, OWN_HEADER).is_none() {
            return Err(Refusal::forbidden("own_header", "The header X-Event-Sender is missing: set it to 1."));
        }
        let same = match only(headers, FETCH_SITE) {
            Some(site) => site == "same-origin",
            None if headers.contains_key(FETCH_SITE) => false,
            None => self.origin_is_host(headers),
        };
        if same { Ok(()) } else { Err(Refusal::forbidden("origin", "The request does not come from this page.")) }
    }

    fn origin_is_host(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = only(headers, ORIGIN.as_str()).and_then(|origin| origin.split_once("://")) else {
            return false;
        };
        let own = [only(headers, HOST.as_str()), self.settings.base.host.as_deref()];
        own.into_iter().flatten().any(|host| host.eq_ignore_ascii_case(origin.1))
    }

    /// Whether this one may change something, and who it is, for the log.
    pub fn check_operator(&self, headers: &HeaderMap, peer: Peer, now: Instant) -> Result<String, Refusal> {
        self.check_origin(headers)?;
        if !self.settings.actions {
            let why = "This page only reads: set web.actions = true in agent.toml and restart the agent.";
            return Err(Refusal::forbidden("read_only", why));
        }
        match self.who(headers, now) {
            Who::User(user) => Ok(user),
            // Which session it is, without what would open it.
            Who::Session(name) => {
                Ok(format!("token holder at {}, session {}", peer.0.ip(), &name[..name.len().min(6)]))
            }
            Who::Token | Who::Nobody => Err(Refusal::new(StatusCode::UNAUTHORIZED, "sign_in", "Sign in to do this.")),
        }
    }
}

/// The value of a header that is there once, and says something.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.trim();
    (values.next().is_none() && !value.is_empty()).then_some(value)
}

/// The session that the request names.
pub fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value.to_owned())
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    let Some((name, port)) = host.rsplit_once(':') else { return host };
    // An address of version 6 has colons of its own.
    let is_whole = name.ends_with(']') || !name.contains(':');
    if is_whole && port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
}

/// This machine's name, whole and up to its first dot.
fn machine() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let first = name.split('.').next().unwrap_or_default().to_owned();
    [name, first].into_iter().filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_with_and_without_a_port() {
        for (host, name) in [
            ("localhost:9186", "localhost"),
            ("localhost", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:9186", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("evil.example:9186", "evil.example"),
        ] {
            assert_eq!(name_of(host), name);
        }
    }
}
