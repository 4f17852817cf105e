//! The directory, as far as an application may read itself: when its secrets and certificates expire. That takes a
//! permission that sending does not need, so most are refused.

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use uuid::Uuid;

use super::tokens::{TokenStatus, Tokens};
use crate::sandbox::certificate::Certificate;
use crate::sandbox::options::Options;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::reply::{Ids, Reply};
use crate::sandbox::tenant::CLIENT_ID;

/// Any of these lets an application be read.
const READERS: [&str; 3] = ["Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"];

/// The client id in `GET /v1.0/applications(appId='…')`; none for any other address.
pub(in crate::sandbox) fn asked_for(method: &Method, path: &str) -> Option<String> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let rest = path.strip_prefix("/v1.0/").or_else(|| path.strip_prefix("/beta/"))?;
    let id = rest.strip_prefix("applications(appId='")?.strip_suffix("')")?;
    (method == Method::GET).then(|| id.to_owned())
}

/// The application's credentials, or why they are not shown.
pub(in crate::sandbox) fn answer(
    client_id: &str,
    bearer: Option<&str>,
    tokens: &Tokens,
    options: &Options,
    ids: &Ids,
) -> Reply {
    let refusal = match (tokens.status(bearer), bearer) {
        (TokenStatus::Valid(_), Some(token)) if !READERS.iter().any(|reader| tokens.permits(token, reader)) => {
            Refusal::new(
                StatusCode::FORBIDDEN,
                "Authorization_RequestDenied",
                "Insufficient privileges to complete the operation.",
            )
        }
        (TokenStatus::Valid(_), _) if !client_id.eq_ignore_ascii_case(CLIENT_ID) => {
            let message = format!(
                "Resource '{client_id}' does not exist or one of its queried reference-property objects are not present."
            );
            Refusal::not_found("Request_ResourceNotFound", message)
        }
        (TokenStatus::Valid(_), _) => return Reply::json(StatusCode::OK, application(options)),
        _ => Refusal::unauthorized("Access token validation failure."),
    };
    refusal.reply(ids)
}

fn application(options: &Options) -> Value {
    let at_time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let at = |days: i64| at_time(Utc::now() + TimeDelta::try_days(days.clamp(-36_500, 36_500)).unwrap_or_default());
    let key = |certificate: &Certificate| {
        json!({
            "customKeyIdentifier": STANDARD.encode(&certificate.sha1), "displayName": certificate.subject,
            "key": null, "keyId": Uuid::from_slice(&certificate.sha256[..16]).unwrap_or_default().to_string(),
            "type": "AsymmetricX509Cert", "usage": "Verify",
            "startDateTime": at_time(certificate.not_before), "endDateTime": at_time(certificate.not_after),
        })
    };
    let keys: Vec<Value> = options.certificates.iter().map(key).collect();
    let hint: String = options.client_secret.chars().take(3).collect();
    json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#applications(passwordCredentials,keyCredentials)/$entity",
        "keyCredentials": keys,
        "passwordCredentials": [
            {
                "customKeyIdentifier": null, "displayName": "the one before", "hint": "old",
                "keyId": "0b9a1c3d-0000-4000-8000-000000000001", "secretText": null,
                "startDateTime": at(-800), "endDateTime": at(-70),
            },
            {
                "customKeyIdentifier": null, "displayName": "sandbox", "hint": hint,
                "keyId": "0b9a1c3d-0000-4000-8000-000000000002", "secretText": null,
                "startDateTime": at(options.secret_expires_in_days.saturating_sub(365)),
                "endDateTime": at(options.secret_expires_in_days),
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::sandbox::signer::Signer;
    use crate::sandbox::testbed::Bed;

    #[tokio::test]
    async fn an_application_reads_itself_only_with_the_permission_in_its_token() {
        let mut bed = Bed::new().await;
        let path = format!("/v1.0/applications(appId='{CLIENT_ID}')?$select=passwordCredentials");
        let got = bed.get(&path).await.unwrap();
        assert_eq!((got.status, got.code()), (403, "Authorization_RequestDenied"));
        bed.control("options", &json!({"roles": ["Application.Read.All"], "secret_expires_in_days": 3})).await;
        assert_eq!(bed.get(&path).await.unwrap().status, 403, "the token was issued before");
        bed.token = bed.new_token().await;
        let got = bed.get(&path).await.unwrap();
        assert_eq!((got.status, &got.body["passwordCredentials"][1]["hint"]), (200, &json!("san")));
        assert_eq!(got.body["keyCredentials"], json!([]));
        let signer = Signer::expired();
        bed.control("options", &json!({"certificates": [signer.certificate_pem()]})).await;
        let got = bed.get(&path).await.unwrap();
        let key = &got.body["keyCredentials"][0];
        assert_eq!((&key["displayName"], &key["usage"]), (&json!("CN=event-sender"), &json!("Verify")));
        let end = DateTime::parse_from_rfc3339(key["endDateTime"].as_str().unwrap()).unwrap();
        assert!(end < Utc::now() && end > Utc::now() - TimeDelta::days(3), "{end}");
        let other = bed.get("/v1.0/applications(appId='00000000-0000-0000-0000-000000000001')").await.unwrap();
        assert_eq!((other.status, other.code()), (404, "Request_ResourceNotFound"));
        bed.token = "made-up".into();
        assert_eq!(bed.get(&path).await.unwrap().status, 401);
    }
}
