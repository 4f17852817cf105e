//! The assertion a client signs with the key of its certificate, and everything Entra may find wrong with it. The order
//! is Entra's: first its form, then what it claims, then the key, and only for the right key the time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

use super::aadsts::TokenRefusal;
use super::jwt::{Jwt, bytes};
use crate::sandbox::certificate::{Certificate, Scheme};

/// How far the clocks of client and service may be apart (Entra's tolerance).
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// The longest an assertion may last; a good one lasts ten minutes.
const LONGEST: TimeDelta = TimeDelta::hours(24);

const REVIEW: &str = "Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .";

/// Whose assertion is wanted, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) client_id: &'a str,
    /// The token endpoint as it was asked, without the scheme: something before the sandbox may speak TLS.
    pub(super) endpoint: &'a str,
    pub(super) now: DateTime<Utc>,
}

/// Whether the header names a certificate, so that the assertion is the application's own.
pub(super) fn names_certificate(jwt: &Jwt) -> bool {
    jwt.header.contains_key("x5t") || jwt.header.contains_key("x5t#S256")
}

/// How many certificates the assertion brings along.
pub(super) fn chain_length(jwt: &Jwt) -> usize {
    jwt.header.get("x5c").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Accepts the assertion, or says why not.
pub(super) fn check(jwt: &Jwt, expected: Expected, registered: &[Certificate]) -> Result<(), TokenRefusal> {
    let (scheme, thumbprints) = check_header(jwt)?;
    let span = check_form(jwt, expected.now)?;
    check_audience(jwt, expected.endpoint)?;
    check_identity(jwt, expected.client_id)?;
    let certificate = find(&thumbprints, registered, expected.client_id)?;
    check_key(certificate, &thumbprints, expected)?;
    if !certificate.has_signed(scheme, jwt.signed, &jwt.signature) {
        let reason = "The key was found, but use of the key to verify the signature failed.";
        let what = "Client assertion failed signature validation.";
        return Err(key_refused(what, reason, &thumbprints, Some(certificate), expected.client_id));
    }
    check_time(span.from, span.to, expected.now)
}

/// The thumbprints the header gives.
#[derive(Debug)]
struct Thumbprints {
    sha1: Option<Vec<u8>>,
    sha256: Option<Vec<u8>>,
}

impl Thumbprints {
    fn match_certificate(&self, certificate: &Certificate) -> bool {
        self.sha1.as_ref().is_none_or(|name| *name == certificate.sha1)
            && self.sha256.as_ref().is_none_or(|name| *name == certificate.sha256)
    }

    fn shown(&self) -> String {
        let name = self.sha256.as_ref().or(self.sha1.as_ref());
        name.into_iter().flatten().map(|byte| format!("{byte:02X}")).collect()
    }
}

fn check_header(jwt: &Jwt) -> Result<(Scheme, Thumbprints), TokenRefusal> {
    if jwt.header.get("typ").is_some_and(|kind| !kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("JWT"))) {
        return Err(malformed("The header's 'typ' is not JWT."));
    }
    let scheme = jwt.header_text("alg").and_then(Scheme::parse);
    let scheme = scheme.ok_or_else(|| {
        let message = "Invalid JWT token. Unsupported key for the signing algorithm.";
        TokenRefusal::bad("invalid_request", 5_002_730, message)
    })?;
    let thumbprints = Thumbprints { sha1: thumbprint(jwt, "x5t")?, sha256: thumbprint(jwt, "x5t#S256")? };
    if thumbprints.sha1.is_none() && thumbprints.sha256.is_none() {
        let message = "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId specified in token header.";
        return Err(TokenRefusal::bad("invalid_request", 5_002_738, message));
    }
    check_chain(jwt, &thumbprints)?;
    Ok((scheme, thumbprints))
}

fn thumbprint(jwt: &Jwt, name: &str) -> Result<Option<Vec<u8>>, TokenRefusal> {
    let Some(value) = jwt.header.get(name) else { return Ok(None) };
    let decoded = value.as_str().and_then(bytes);
    decoded.map(Some).ok_or_else(|| malformed(&format!("The header's '{name}' is not base64url encoded.")))
}

/// `x5c` is base64 with the usual alphabet, unlike the rest of a JWT, and begins with the certificate that signed.
fn check_chain(jwt: &Jwt, thumbprints: &Thumbprints) -> Result<(), TokenRefusal> {
    let Some(chain) = jwt.header.get("x5c") else { return Ok(()) };
    let wrong = || malformed("The header's 'x5c' is not a list of base64 encoded certificates.");
    let chain = chain.as_array().filter(|chain| !chain.is_empty()).ok_or_else(wrong)?;
    let certificate = |element: &Value| Certificate::from_der(&STANDARD.decode(element.as_str()?).ok()?);
    let chain: Option<Vec<Certificate>> = chain.iter().map(certificate).collect();
    if chain.ok_or_else(wrong)?.first().is_some_and(|first| thumbprints.match_certificate(first)) {
        return Ok(());
    }
    Err(malformed("The first certificate of 'x5c' is not the one the thumbprint names."))
}

/// From when to when the assertion claims to be valid.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

fn check_form(jwt: &Jwt, now: DateTime<Utc>) -> Result<Span, TokenRefusal> {
    let time = |name: &str| {
        let time = jwt.claim_time(name).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        time.ok_or_else(|| malformed(&format!("The claim '{name}' is missing or is not a time.")))
    };
    let span = Span { from: time("nbf")?, to: time("exp")? };
    if jwt.claim_text("jti").is_none_or(str::is_empty) {
        return Err(malformed("The claim 'jti' is missing."));
    }
    if span.to.signed_duration_since(now) > LONGEST {
        return Err(malformed("The assertion's lifetime exceeds 24 hours."));
    }
    Ok(span)
}

fn check_audience(jwt: &Jwt, endpoint: &str) -> Result<(), TokenRefusal> {
    let audience = jwt.claim_text("aud").unwrap_or_default();
    let address = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://"));
    if address == Some(endpoint) {
        return Ok(());
    }
    let message = format!("Client assertion audience claim does not match Realm issuer. {REVIEW}");
    Err(TokenRefusal::client(700_023, message))
}

fn check_identity(jwt: &Jwt, client_id: &str) -> Result<(), TokenRefusal> {
    let is_client = |name: &str| jwt.claim_text(name).is_some_and(|id| id.eq_ignore_ascii_case(client_id));
    if is_client("iss") && is_client("sub") {
        return Ok(());
    }
    let message = format!("Client assertion application identifier doesn't match 'client_id' parameter. {REVIEW}");
    Err(TokenRefusal::client(700_021, message))
}

fn find<'a>(
    thumbprints: &Thumbprints,
    registered: &'a [Certificate],
    client_id: &str,
) -> Result<&'a Certificate, TokenRefusal> {
    let found = registered.iter().find(|certificate| thumbprints.match_certificate(certificate));
    found.ok_or_else(|| {
        let what =
            "The certificate with identifier used to sign the client assertion is not registered on application.";
        key_refused(what, "The key was not found.", thumbprints, None, client_id)
    })
}

fn check_key(certificate: &Certificate, thumbprints: &Thumbprints, expected: Expected) -> Result<(), TokenRefusal> {
    let reason = match expected.now {
        now if now > certificate.not_after => "The key used is expired.",
        now if now < certificate.not_before => "The key used is not yet valid.",
        _ => return Ok(()),
    };
    let what = "Client assertion contains an invalid signature.";
    Err(key_refused(what, reason, thumbprints, Some(certificate), expected.client_id))
}

/// The same rule holds for the token of another provider.
pub(super) fn check_time(from: DateTime<Utc>, to: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), TokenRefusal> {
    if from <= now + SKEW && to >= now - SKEW {
        return Ok(());
    }
    let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let message = format!(
        "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}. {REVIEW}",
        shown(now),
        shown(from),
        shown(to)
    );
    Err(TokenRefusal::client(700_024, message))
}

/// Not a JWT, or not one Entra takes.
pub(super) fn malformed(detail: &str) -> TokenRefusal {
    TokenRefusal::bad("invalid_request", 50_027, format!("JWT token is invalid or malformed. {detail}"))
}

fn key_refused(
    what: &str,
    reason: &str,
    thumbprints: &Thumbprints,
    found: Option<&Certificate>,
    client_id: &str,
) -> TokenRefusal {
    let us = |time: DateTime<Utc>| time.format("%m/%d/%Y %H:%M:%S");
    let found = found.map(|key| format!("Found key 'Start={}, End={}', ", us(key.not_before), us(key.not_after)));
    let message = format!(
        "{what} [Reason - {reason}, Thumbprint of key used by client: '{}', {}Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{client_id}'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/{client_id}'].",
        thumbprints.shown(),
        found.unwrap_or_default()
    );
    TokenRefusal::client(700_027, message)
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
