//! When the client secret expires, where Graph tells. On that day sending stops, and it comes once in a year or two.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use super::findings::Finding;
use super::network::Answering;
use crate::cli::output::short;
use crate::config::{AuthMode, Settings};
use crate::graph::{ClientSecretInfo, GraphClient, Now};
use crate::job::{Answer, Outcome};
use crate::secret::Secret;

const CHECK: &str = "secret";
const SOON: TimeDelta = TimeDelta::days(30);
/// Graph's hint has so many characters of the secret.
const HINT: usize = 3;
const CURE: &str = "make a new one before that and replace it (docs/azure-setup.md section 9)";

/// Asks once. That Graph does not tell is the usual case, and no fault.
pub(super) async fn finding(settings: &Settings, graph: &GraphClient, at: Answering) -> Option<Finding> {
    let secret = match &settings.auth.mode {
        AuthMode::ClientSecret { client_secret } => client_secret,
        AuthMode::Password { client_secret: Some(secret), .. } => secret,
        // A public client has none.
        _ => return None,
    };
    if at != Answering::Microsoft {
        return Some(Finding::not_checked(CHECK, "Graph cannot be reached"));
    }
    let now = Now { wall: Utc::now(), steady: Instant::now() };
    let application = settings.auth.client_id.as_deref()?;
    Some(match graph.client_secrets(application, now).await {
        Ok(listed) => judge(&listed, secret, now.wall),
        Err(call) => untold(&call.outcome, &call.answer),
    })
}

fn untold(outcome: &Outcome, answer: &Answer) -> Finding {
    if matches!(answer.status, Some(403)) {
        let text = "accepted just now; when it expires Graph tells only with the permission Application.Read.All";
        return Finding::pass(CHECK, text).cure("note the date yourself (Certificates & secrets in Entra)");
    }
    let code = answer.code.clone().unwrap_or_else(|| format!("{outcome:?}"));
    Finding::not_checked(CHECK, &format!("Graph does not tell when it expires at the moment [{}]", short(&code, 60)))
}

/// The end of the one in use, as far as its hint tells which that is. Of several alike, the first to end counts, of
/// those that have not ended: one of them has just been accepted.
fn judge(listed: &[ClientSecretInfo], secret: &Secret, now: DateTime<Utc>) -> Finding {
    let begins: String = secret.expose().chars().take(HINT).collect();
    let in_use: Vec<&ClientSecretInfo> = listed.iter().filter(|one| one.hint.as_deref() == Some(&begins)).collect();
    let ends = || in_use.iter().filter_map(|one| Some((one.expires?, one.name.as_deref())));
    let end = ends().filter(|(end, _)| *end > now).min().or_else(|| ends().max());
    let Some((end, name)) = end else {
        let text = "which of the application's secrets is in use cannot be told, nor when it expires";
        return Finding::warn(CHECK, text).cure("note the date yourself (Certificates & secrets in Entra)");
    };
    let name = name.map(|name| format!("\"{}\" ", short(name, 60))).unwrap_or_default();
    let (date, left) = (end.format("%Y-%m-%d"), end - now);
    if left <= TimeDelta::zero() {
        return Finding::fail(CHECK, format!("the secret {name}in use expired on {date}"))
            .cure("make a new one and replace it now (docs/azure-setup.md section 9)");
    }
    let text = format!("the secret {name}in use expires on {date}, in {} days", left.num_days());
    if left < SOON { Finding::warn(CHECK, text).cure(CURE) } else { Finding::pass(CHECK, text) }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Grade;
    use super::*;

    fn listed(hint: &str, days: i64, now: DateTime<Utc>) -> ClientSecretInfo {
        ClientSecretInfo { name: None, hint: Some(hint.into()), expires: Some(now + TimeDelta::days(days)) }
    }

    #[test]
    fn the_secret_in_use_is_found_by_its_hint_and_the_others_do_not_count() {
        let (now, secret) = (Utc::now(), Secret::new("abcdefgh".into()));
        for (secrets, grade) in [
            (vec![("abc", 300), ("xyz", -5)], Grade::Pass),
            (vec![("xyz", 300), ("abc", 29)], Grade::Warn),
            (vec![("abc", 300), ("abc", 10)], Grade::Warn),
            (vec![("abc", 300), ("abc", -10)], Grade::Pass),
            (vec![("abc", -1)], Grade::Fail),
            (vec![("xyz", 300)], Grade::Warn),
            (vec![], Grade::Warn),
        ] {
            let all: Vec<_> = secrets.iter().map(|(hint, days)| listed(hint, *days, now)).collect();
            assert_eq!(judge(&all, &secret, now).grade, grade, "{secrets:?}");
        }
        let unhinted = ClientSecretInfo { name: None, hint: None, expires: Some(now + TimeDelta::days(300)) };
        assert_eq!(judge(&[unhinted], &secret, now).grade, Grade::Warn);
    }
}
