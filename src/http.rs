//! HTTP clients as this program wants them: for Microsoft's side, and for services of this machine.

use std::time::Duration;

use reqwest::ClientBuilder;

/// `graph.connect_timeout`, `graph.request_timeout` and `graph.ca_file`.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// Until the connection stands, TLS included.
    pub connect_timeout: Duration,
    /// Until the whole answer is read.
    pub request_timeout: Duration,
    /// PEM certificates trusted beside the system's.
    pub extra_ca: Option<Vec<u8>>,
}

/// Why no connection can be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The machine trusts nobody.
    #[error(
        "this machine has no CA certificates to check Microsoft's with: install the package ca-certificates, or name a PEM file of them in graph.ca_file"
    )]
    NoCertificates,
    /// Anything else, such as certificates that are none.
    #[error("no connection can be prepared: {0}")]
    Other(String),
}

impl ClientFault {
    fn new(error: &reqwest::Error) -> Self {
        let words = causes(error);
        // The library keeps the type to itself; its words are all there is.
        if words.contains("No CA certificates") { Self::NoCertificates } else { Self::Other(words) }
    }
}

/// An HTTP client for `url`: HTTP/1.1, a connection for each request in flight (with real latencies as quick as HTTP/2
/// and cheaper, docs/develop/performance.md; and a connection that breaks leaves one job in doubt, not all), no redirects (they would carry the token elsewhere), no hidden retries, the proxy of the
/// environment unless the host is this machine.
///
/// # Errors
/// The extra certificates cannot be read, or there are none at all.
pub fn http_client(settings: &NetworkSettings, url: &str) -> Result<reqwest::Client, ClientFault> {
    for_url(settings, url).and_then(built)
}

/// The same for a service of this machine itself: it is never asked through a proxy.
///
/// # Errors
/// As [`http_client`].
pub fn local_client(settings: &NetworkSettings) -> Result<reqwest::Client, ClientFault> {
    client(settings).and_then(|client| built(client.no_proxy()))
}

/// Beginnings of [`http_client`], to add layers to.
///
/// # Errors
/// As [`http_client`].
pub fn for_url(settings: &NetworkSettings, url: &str) -> Result<ClientBuilder, ClientFault> {
    let client = client(settings)?;
    if !url.starts_with("http://") {
        return Ok(client);
    }
    // Plain HTTP is only allowed to loopback (config/rules.rs), where a proxy has no business, and needs no certificates.
    Ok(client.no_proxy().tls_certs_only([]))
}

/// The client that was begun.
///
/// # Errors
/// As [`http_client`].
pub fn built(client: ClientBuilder) -> Result<reqwest::Client, ClientFault> {
    client.build().map_err(|error| ClientFault::new(&error))
}

fn client(settings: &NetworkSettings) -> Result<ClientBuilder, ClientFault> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("event-sender/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout);
    let Some(pem) = &settings.extra_ca else { return Ok(builder) };
    let extra = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| ClientFault::new(&error))?;
    Ok(builder.tls_certs_merge(extra))
}

/// The innermost cause, which is the one that says something ("connection refused").
pub fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
