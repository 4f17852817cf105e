//! When what the agent signs in with expires. On that day sending stops, and it comes once in a year or two. A certificate
//! says it itself; of a client secret Graph tells it to some, and `auth.secret_expires` where somebody wrote it down.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::findings::Finding;
use super::network::Peer;
use crate::advice::expiry::{NOT_YET_CURE, Nearness, cure, last_day, sentence};
use crate::auth::TokenCache;
use crate::certificate::Certificate;
use crate::cli::output::short;
use crate::clock::Now;
use crate::config::{AuthMode, Settings};
use crate::format::moment;
use crate::graph::{ClientSecretInfo, GraphClient};
use crate::job::{Answer, Outcome, format_utc};
use crate::secret::Secret;
use crate::worker::Bearer;

const SECRET: &str = "secret";
const CERTIFICATE: &str = "certificate";
/// The key an administrator writes the end of the secret into.
const KEY: &str = "auth.secret_expires";
/// Graph's hint has so many characters of the secret.
const HINT: usize = 3;
const NOTE: &str =
    "note the date yourself (Certificates & secrets in Entra), in auth.secret_expires: then log and status warn";

/// What the settings say of it, without asking anybody. Modes in which nothing ends say nothing.
pub(super) fn of_settings(settings: &Settings, now: DateTime<Utc>) -> Vec<Finding> {
    let written = settings.auth.secret_expires;
    match (&settings.auth.mode, secret(&settings.auth.mode), written) {
        (AuthMode::Certificate { certificate, .. }, ..) => of_certificate(certificate, now),
        (_, Some(_), Some(at)) => vec![graded("client_secret", "the secret", at, now).about(KEY)],
        _ => Vec::new(),
    }
}

/// The same where Graph could not be asked, and why that is so.
pub(super) fn unasked(settings: &Settings, why: &str, now: DateTime<Utc>) -> Vec<Finding> {
    match of_settings(settings, now) {
        known if known.is_empty() && secret(&settings.auth.mode).is_some() => vec![Finding::not_checked(SECRET, why)],
        known => known,
    }
}

/// After a sign-in that has just succeeded. Asks Graph once; that it does not tell is the usual case, and no fault.
pub(super) async fn findings(
    settings: &Settings,
    graph: &GraphClient,
    tokens: &Arc<TokenCache>,
    at: Peer,
) -> Vec<Finding> {
    let now = Now { wall: Utc::now(), steady: Instant::now() };
    let auth = &settings.auth;
    let (Some(secret), Some(application)) = (secret(&auth.mode), &auth.client_id) else {
        return of_settings(settings, now.wall);
    };
    let written = auth.secret_expires.map(|written| of_accepted(written, now.wall));
    if at != Peer::Microsoft {
        return vec![written.unwrap_or_else(|| Finding::not_checked(SECRET, "Graph cannot be reached"))];
    }
    let listed = Bearer::ask(tokens, |token| async move { graph.client_secrets(application, &token, now).await }).await;
    match listed {
        Ok(listed) => match in_use(&listed, secret, now.wall) {
            Some(told) => of_graph(told, auth.secret_expires, now.wall),
            None => vec![written.unwrap_or_else(unclear)],
        },
        Err(call) => vec![written.unwrap_or_else(|| untold(&call.outcome, &call.answer))],
    }
}

/// Where one is used; a public client has none.
fn secret(mode: &AuthMode) -> Option<&Secret> {
    match mode {
        AuthMode::ClientSecret { client_secret } => Some(client_secret),
        AuthMode::Password { client_secret, .. } => client_secret.as_ref(),
        _ => None,
    }
}

fn graded(credential: &str, what: &str, end: DateTime<Utc>, now: DateTime<Utc>) -> Finding {
    let check = if credential == CERTIFICATE { CERTIFICATE } else { SECRET };
    let text = format!("{what} {}", sentence(end, now));
    match Nearness::of(end, now) {
        Nearness::Far => Finding::pass(check, text),
        Nearness::Over => Finding::fail(check, text).cure(cure(credential, Nearness::Over)),
        near => Finding::warn(check, text).cure(cure(credential, near)),
    }
}

fn of_certificate(certificate: &Certificate, now: DateTime<Utc>) -> Vec<Finding> {
    let subject = short(certificate.subject(), 80);
    let mut findings = vec![graded(CERTIFICATE, "it", certificate.ends(), now).about(subject.clone())];
    if certificate.begins() > now {
        let text = format!("it is not valid before {}", moment(&format_utc(certificate.begins()), now));
        findings.push(Finding::warn(CERTIFICATE, text).about(subject).cure(NOT_YET_CURE));
    }
    findings
}

/// The date that was written down, of a secret that has just been accepted.
fn of_accepted(written: DateTime<Utc>, now: DateTime<Utc>) -> Finding {
    if written > now {
        return graded("client_secret", "the secret", written, now).about(KEY);
    }
    let text = format!("it says that the secret {}, but it was accepted just now", sentence(written, now));
    Finding::warn(SECRET, text).about(KEY).cure("correct it: Certificates & secrets in Entra has the date")
}

/// What Graph told, and whether what was written down fits it.
fn of_graph((end, name): Told<'_>, written: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<Finding> {
    let name = name.map(|name| format!("\"{}\" ", short(name, 60))).unwrap_or_default();
    let of_secret = graded("client_secret", &format!("the secret {name}in use"), end, now);
    let day = last_day(end);
    match written {
        // What Graph tells it tells to `check` only: the agent itself does not ask.
        None if Nearness::of(end, now) == Nearness::Far => {
            vec![of_secret.cure(format!("set {KEY} = \"{day}\", then log and status warn in time, too"))]
        }
        Some(written) if !alike(written, end) => {
            let text = format!("it says {}, and Graph says {day}", last_day(written));
            vec![of_secret, Finding::warn(SECRET, text).about(KEY).cure(format!("correct it: {KEY} = \"{day}\""))]
        }
        _ => vec![of_secret],
    }
}

/// Whether both are the same day, or days beside each other: Entra shows the day of whoever looks, wherever that is.
fn alike(written: DateTime<Utc>, end: DateTime<Utc>) -> bool {
    let day = |time: DateTime<Utc>| -> NaiveDate { (time - TimeDelta::seconds(1)).date_naive() };
    (day(written) - day(end)).abs() <= TimeDelta::days(1)
}

fn untold(outcome: &Outcome, answer: &Answer) -> Finding {
    if matches!(answer.status, Some(403)) {
        let text = "accepted just now; Graph shows when it expires only with the permission Application.Read.All";
        return Finding::pass(SECRET, text).cure(NOTE);
    }
    let code = answer.code.clone().unwrap_or_else(|| format!("{outcome:?}"));
    Finding::not_checked(SECRET, &format!("Graph does not tell when it expires at the moment [{}]", short(&code, 60)))
}

fn unclear() -> Finding {
    let text = "it is not clear which of the application's secrets is in use, nor when it expires";
    Finding::warn(SECRET, text).cure(NOTE)
}

/// The end of a secret, and its name.
type Told<'l> = (DateTime<Utc>, Option<&'l str>);

/// The end of the one in use, as far as its hint tells which that is. Of several alike, the first to end counts, of
/// those that have not ended: one of them has just been accepted.
fn in_use<'l>(listed: &'l [ClientSecretInfo], secret: &Secret, now: DateTime<Utc>) -> Option<Told<'l>> {
    let begins: String = secret.expose().chars().take(HINT).collect();
    let alike: Vec<&ClientSecretInfo> = listed.iter().filter(|one| one.hint.as_deref() == Some(&begins)).collect();
    let ends = || alike.iter().filter_map(|one| Some((one.expires?, one.name.as_deref())));
    ends().filter(|(end, _)| *end > now).min().or_else(|| ends().max())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::queue::Grade;

    fn listed(hint: &str, days: i64, now: DateTime<Utc>) -> ClientSecretInfo {
        ClientSecretInfo { name: None, hint: Some(hint.into()), expires: Some(now + TimeDelta::days(days)) }
    }

    #[test]
    fn the_secret_in_use_is_found_by_its_hint_and_the_others_do_not_count() {
        let (now, secret) = (Utc::now(), Secret::new("abcdefgh".into()));
        for (secrets, days) in [
            (vec![("abc", 300), ("xyz", -5)], Some(300)),
            (vec![("xyz", 300), ("abc", 29)], Some(29)),
            (vec![("abc", 300), ("abc", 10)], Some(10)),
            (vec![("abc", 300), ("abc", -10)], Some(300)),
            (vec![("abc", -1)], Some(-1)),
            (vec![("xyz", 300)], None),
            (vec![], None),
        ] {
            let all: Vec<_> = secrets.iter().map(|(hint, days)| listed(hint, *days, now)).collect();
            let end = days.map(|days| now + TimeDelta::days(days));
            assert_eq!(in_use(&all, &secret, now).map(|(end, _)| end), end, "{secrets:?}");
        }
        let unhinted = ClientSecretInfo { name: None, hint: None, expires: Some(now + TimeDelta::days(300)) };
        assert_eq!(in_use(&[unhinted], &secret, now), None);
    }

    #[test]
    fn what_graph_tells_is_graded_and_compared_with_what_was_written_down() {
        let now: DateTime<Utc> = "2026-11-25T12:00:00Z".parse().unwrap();
        let grades = |days: i64, written: Option<&str>| -> Vec<Grade> {
            let end = now + TimeDelta::days(days);
            let written = written.map(|written| written.parse().unwrap());
            of_graph((end, None), written, now).iter().map(|finding| finding.grade).collect()
        };
        assert_eq!(grades(31, None), [Grade::Pass]);
        assert_eq!(grades(30, None), [Grade::Warn]);
        assert_eq!(grades(0, None), [Grade::Fail]);
        // It ends on 2027-06-13; a day that is written down ends with its last second.
        assert_eq!(grades(200, Some("2027-06-14T00:00:00Z")), [Grade::Pass]);
        for beside in ["2027-06-13T00:00:00Z", "2027-06-15T00:00:00Z"] {
            assert_eq!(grades(200, Some(beside)), [Grade::Pass], "{beside}");
        }
        for other in ["2027-06-12T00:00:00Z", "2027-06-16T00:00:00Z", "2026-01-01T00:00:00Z"] {
            assert_eq!(grades(200, Some(other)), [Grade::Pass, Grade::Warn], "{other}");
        }
    }

    #[test]
    fn a_date_that_is_over_is_the_dates_fault_if_the_secret_was_accepted() {
        let now = Utc::now();
        assert_eq!(of_accepted(now - TimeDelta::days(3), now).grade, Grade::Warn);
        assert_eq!(of_accepted(now + TimeDelta::days(31), now).grade, Grade::Pass);
        assert_eq!(of_accepted(now + TimeDelta::days(3), now).grade, Grade::Warn);
    }
}
