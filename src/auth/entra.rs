//! A token request to Entra ID: the form over the wire, and nothing of what it means.

use chrono::{DateTime, Utc};

use super::answer::{Answer, Fresh, REQUEST_TIMEOUT};
use super::{SignIn, TokenRefusal};
use crate::hint::Hint;

/// Asks once.
pub(super) async fn ask(
    http: &reqwest::Client,
    sign_in: &SignIn,
    claims: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Fresh, TokenRefusal> {
    let form = sign_in.form(claims, now)?;
    let request = http.post(sign_in.url()).header("accept", "application/json").timeout(REQUEST_TIMEOUT).form(&form);
    let sent = request.send().await.map_err(|error| unreachable(&error))?;
    Answer::read(sent, now).await.map_err(|error| unreachable(&error))?.token(now)
}

fn unreachable(error: &reqwest::Error) -> TokenRefusal {
    let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
    TokenRefusal::no_connection(Hint {
        means: format!("The sign-in service {what}").into(),
        cure: Some("check network, DNS, proxy and auth.instance.".into()),
    })
}
