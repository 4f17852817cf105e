//! Asks a host for anything at all, without token or secret, over the same client settings as everything that is sent;
//! and where that fails, tells which of the many things between here and there is at fault.

use std::error::Error;
use std::io;
use std::time::SystemTime;

use reqwest::header::HeaderMap;
use rustls::CertificateError;
use serde_json::Value;

use super::reply::body;
use crate::http::{NetworkSettings, http_client};

/// Largest answer that is read.
const MAX_ANSWER: usize = 256 * 1024;

/// Somebody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub status: u16,
    /// The server's clock, to the second.
    pub date: Option<SystemTime>,
    /// The host a redirect leads to.
    pub redirect: Option<String>,
    /// The answer, if it is JSON of bearable size.
    pub json: Option<Value>,
}

/// Nobody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// Nobody listens there.
    Refused,
    /// Nothing came back in time.
    TimedOut,
    /// There is no route to that address.
    NoRoute,
    /// The proxy wants a name and a password, or others.
    ProxyAuthentication,
    /// The proxy does not connect to that host.
    ProxyRefused,
    /// The server's certificate is not accepted.
    Certificate(CertificateFault),
    /// The TLS handshake failed for another reason, in its own words.
    Tls(String),
    /// Anything else, in the words of the innermost cause.
    Broken(String),
}

/// Why a certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Signed by nobody this machine trusts.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is another host's.
    WrongName,
    Other,
}

/// One GET of `url`.
///
/// # Errors
/// Nobody answered.
pub async fn reach(settings: &NetworkSettings, url: &str) -> Result<Reached, Unreached> {
    let http = http_client(settings, url).map_err(|fault| Unreached::Broken(fault.to_string()))?;
    // A proxy's copy would tell an old time.
    let request = http.get(url).header("accept", "application/json").header("cache-control", "no-cache");
    let mut response = request.send().await.map_err(|error| unreached(&error))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let date = text("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let redirect = (300..400).contains(&status).then(|| destination(url, &headers));
    let bytes = body(&mut response, MAX_ANSWER).await.ok().flatten().unwrap_or_default();
    Ok(Reached { status, date, redirect, json: serde_json::from_slice(&bytes).ok() })
}

/// Host only: what stands behind it may be meant for nobody else.
fn destination(from: &str, headers: &HeaderMap) -> String {
    let location = headers.get("location").and_then(|location| location.to_str().ok());
    let to = reqwest::Url::parse(from).ok().and_then(|from| from.join(location?).ok());
    to.and_then(|to| to.host_str().map(str::to_owned)).unwrap_or_else(|| "an invalid address".into())
}

fn unreached(error: &reqwest::Error) -> Unreached {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut words = String::new();
    while let Some(current) = cause {
        if let Some(fault) = told(current) {
            return fault;
        }
        words = current.to_string();
        // hyper-util keeps the type of these two to itself; its words are all there is.
        match words.as_str() {
            "tunnel error: proxy authorization required" => return Unreached::ProxyAuthentication,
            "tunnel error: unsuccessful" => return Unreached::ProxyRefused,
            _ => {}
        }
        cause = current.source();
    }
    if error.is_timeout() { Unreached::TimedOut } else { Unreached::Broken(words) }
}

/// What this one of the causes says, if it says anything. An `io::Error` hides what it was made from even from
/// `source`.
fn told(cause: &(dyn Error + 'static)) -> Option<Unreached> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(match tls {
            rustls::Error::InvalidCertificate(fault) => Unreached::Certificate(certificate(fault)),
            other => Unreached::Tls(other.to_string()),
        });
    }
    let error = cause.downcast_ref::<io::Error>()?;
    if let Some(inner) = error.get_ref() {
        return told(inner);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Unreached::Refused),
        io::ErrorKind::TimedOut => Some(Unreached::TimedOut),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Some(Unreached::NoRoute)
        }
        _ => None,
    }
}

fn certificate(fault: &CertificateError) -> CertificateFault {
    match fault {
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        _ => CertificateFault::Other,
    }
}
