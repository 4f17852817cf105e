//! The network: for both hosts what lies between here and there (proxy, name, connection, TLS), and whether who answers
//! is who was asked. No secret is sent for it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::clock::Reading;
use super::findings::Finding;
use crate::agent::network::network;
use crate::agent::wiring;
use crate::config::Settings;
use crate::graph::{CertificateFault, Reached, Unreached, reach};

const CHECK: &str = "network";

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Who was asked.
    Microsoft,
    /// Somebody else, who is to get neither secret nor token.
    Unexpected,
    Unreachable,
}

/// What was found, for those who come after.
pub(super) struct Network {
    pub(super) findings: Vec<Finding>,
    pub(super) clocks: Vec<Reading>,
    pub(super) sign_in: Peer,
    pub(super) graph: Peer,
}

pub(super) async fn look(settings: &Settings) -> Network {
    let (auth, graph) = (&settings.auth, &settings.graph);
    // A machine with an identity of its own is its own sign-in.
    let sign_in = auth.tenant_id.as_ref().filter(|_| !wiring::own_identity(settings)).map(|tenant| Host {
        name: "sign-in",
        key: "auth.instance",
        // Public, and it names the tenant: what an application would read to find the token endpoint.
        url: format!("{}/{tenant}/v2.0/.well-known/openid-configuration", auth.instance),
        knows: |answer| answer["token_endpoint"].is_string() || answer["error"].is_string(),
    });
    let graph = Host {
        name: "Graph",
        key: "graph.endpoint",
        // Refused for want of a token, in Graph's own words.
        url: format!("{}/{}/me/calendar", graph.endpoint, graph.api_version),
        knows: |answer| answer["error"]["code"].is_string(),
    };
    let sign_in = async {
        match &sign_in {
            Some(sign_in) => Some(sign_in.look(settings).await),
            None => None,
        }
    };
    let (sign_in, graph) = tokio::join!(sign_in, graph.look(settings));
    let answering = sign_in.as_ref().map_or(Peer::Microsoft, |(answering, _)| *answering);
    let found = sign_in.into_iter().map(|(_, found)| found).chain([graph.1]);
    let (findings, clocks) = found.unzip::<_, _, Vec<_>, Vec<_>>();
    Network { findings, clocks: clocks.into_iter().flatten().collect(), sign_in: answering, graph: graph.0 }
}

struct Host {
    name: &'static str,
    key: &'static str,
    url: String,
    /// Whether this is an answer of whom was asked.
    knows: fn(&serde_json::Value) -> bool,
}

impl Host {
    async fn look(&self, settings: &Settings) -> (Peer, (Finding, Option<Reading>)) {
        let (host, port) = place(&self.url);
        let proxy = proxy(&self.url);
        let about = |finding: Finding| finding.about(format!("{} ({})", self.name, shown(&self.url)));
        let nobody = |finding: Finding| (Peer::Unreachable, (about(finding.unreachable(true)), None));
        let (name, name_port) = proxy.as_ref().map_or((&host, port), |(name, port)| (name, *port));
        let found = match resolve(name, name_port, settings.graph.connect_timeout).await {
            Ok(found) => found,
            Err(why) => return nobody(self.unknown_name(name, &why, proxy.is_some())),
        };
        let (before, begin) = (SystemTime::now(), Instant::now());
        match reach(&network(&settings.graph), &self.url).await {
            Err(why) => nobody(self.unreached(&why, settings, proxy.as_ref())),
            Ok(reached) => {
                let after = SystemTime::now();
                let way = proxy.map_or(found, |(name, port)| format!("through proxy {name}:{port}"));
                let clock = reached.date.map(|date| Reading { host: host.clone(), date, before, after });
                let (answering, finding) = self.judge(&reached, begin.elapsed(), &way);
                (answering, (about(finding), clock))
            }
        }
    }

    fn judge(&self, reached: &Reached, took: Duration, way: &str) -> (Peer, Finding) {
        let status = reached.status;
        if let Some(elsewhere) = &reached.redirect {
            let text = format!("an unexpected server answers, and redirects to {elsewhere}");
            let cure = format!("a portal or proxy is in between, or {} is wrong", self.key);
            return (Peer::Unexpected, Finding::fail(CHECK, text).cure(cure));
        }
        if reached.json.as_ref().is_some_and(self.knows) {
            let text = format!("answers in {} ms, {way}", took.as_millis());
            return (Peer::Microsoft, Finding::pass(CHECK, text));
        }
        if status >= 500 || status == 429 {
            let text = format!("answers with HTTP {status}, {way}: busy, or something in between is broken");
            return (Peer::Microsoft, Finding::warn(CHECK, text).cure("check again in a few minutes"));
        }
        let text = format!("an unexpected server answers (HTTP {status})");
        let cure = format!("a portal or proxy is in between, or {} is wrong", self.key);
        (Peer::Unexpected, Finding::fail(CHECK, text).cure(cure))
    }

    fn unknown_name(&self, name: &str, why: &str, proxied: bool) -> Finding {
        let text = match proxied {
            true => format!("the proxy's name {name} is not known here ({why})"),
            false => format!("its name is not known here ({why})"),
        };
        let cure = match proxied {
            true => "correct HTTPS_PROXY, or the name servers of this machine".to_owned(),
            false => format!(
                "check {} and the name servers of this machine; where only a proxy leads out, set HTTPS_PROXY",
                self.key
            ),
        };
        Finding::fail(CHECK, text).cure(cure)
    }

    fn unreached(&self, why: &Unreached, settings: &Settings, proxy: Option<&(String, u16)>) -> Finding {
        let who = proxy.map_or_else(|| "it".to_owned(), |(name, port)| format!("the proxy {name}:{port}"));
        let fail = |text: String, cure: &str| Finding::fail(CHECK, text).cure(cure);
        let seconds = humantime::format_duration(settings.graph.connect_timeout);
        let key = self.key;
        match why {
            Unreached::Refused if proxy.is_some() => {
                fail(format!("{who} refuses the connection"), "correct HTTPS_PROXY, or start the proxy")
            }
            Unreached::Refused => {
                fail(format!("{who} refuses the connection"), &format!("check {key} with its port, and the firewall"))
            }
            Unreached::TimedOut => fail(
                format!("no answer from {who} (graph.connect_timeout is {seconds})"),
                "a firewall probably drops the packets: let this machine out, or set HTTPS_PROXY",
            ),
            Unreached::NoRoute => fail(
                format!("no route to {who}"),
                "look at the network of this machine ('ip route'), or set HTTPS_PROXY",
            ),
            Unreached::ProxyAuthentication => fail(
                format!("{who} wants a name and a password"),
                "HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT, in /etc/default/event-sender",
            ),
            Unreached::ProxyRefused => fail(
                format!("{who} does not connect to it"),
                "let the proxy through to this host, port 443, or name the host in NO_PROXY",
            ),
            Unreached::Certificate(fault) => certificate(*fault, key),
            Unreached::Tls(words) => fail(
                format!("TLS handshake failed ({words})"),
                &format!("check {key} with its port, and what is in between"),
            ),
            Unreached::Broken(words) => {
                fail(format!("the connection breaks ({words})"), &format!("check {key}, firewall and proxy"))
            }
        }
    }
}

fn certificate(fault: CertificateFault, key: &str) -> Finding {
    let (text, cure) = match fault {
        CertificateFault::UnknownIssuer => (
            "its certificate is not signed by an authority that this machine trusts",
            "where a proxy opens TLS, put its CA certificate (PEM) into graph.ca_file; else install ca-certificates"
                .to_owned(),
        ),
        CertificateFault::Expired => {
            ("its certificate has expired", "look at this machine's clock first ('date')".to_owned())
        }
        CertificateFault::NotYetValid => {
            ("its certificate is not valid yet", "look at this machine's clock first ('date')".to_owned())
        }
        CertificateFault::WrongName => {
            ("its certificate is another host's", format!("check {key}, and what answers in its place"))
        }
        CertificateFault::Other => ("its certificate is not accepted", format!("check {key}, and what is in between")),
    };
    Finding::fail(CHECK, text).cure(cure)
}

/// Host and port as written.
fn shown(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    url.as_ref().and_then(Url::port).map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Name and port.
fn place(url: &str) -> (String, u16) {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    (host.to_owned(), url.as_ref().and_then(Url::port_or_known_default).unwrap_or(443))
}

/// The proxy requests to `url` go through, as the client reads the environment: name and port. Plain
/// HTTP is for this machine itself, and never goes through one (graph/transport.rs).
fn proxy(url: &str) -> Option<(String, u16)> {
    if url.starts_with("http://") {
        return None;
    }
    let taken = Matcher::from_system().intercept(&url.parse().ok()?)?;
    // Name and password are not part of this address.
    let address = taken.uri();
    let default = match address.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => 1080,
    };
    Some((address.host()?.to_owned(), address.port_u16().unwrap_or(default)))
}

/// The way there without a proxy, in words.
async fn resolve(host: &str, port: u16, within: Duration) -> Result<String, String> {
    // An IPv6 address of a URL has brackets, a name to be looked up has none.
    let name = host.trim_matches(['[', ']']);
    if name.parse::<IpAddr>().is_ok() {
        return Ok("directly".into());
    }
    let found = tokio::time::timeout(within, tokio::net::lookup_host((name, port))).await;
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(error.to_string().replace("failed to lookup address information: ", "")),
        Err(_) => return Err("no name server answers".into()),
    };
    let mut addresses: Vec<_> = found.iter().map(SocketAddr::ip).collect();
    addresses.dedup();
    match addresses.as_slice() {
        [] => Err("it has no address".into()),
        [one] => Ok(format!("directly, at {one}")),
        [one, more @ ..] => Ok(format!("directly, at {one} and {} more", more.len())),
    }
}
