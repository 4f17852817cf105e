//! The other provider's tokens in a token request: accepted as configured, refused claim by claim.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::sandbox::testbed::{Bed, Got, asserted, client_credentials};
use crate::sandbox::{OptionsChange, TENANT_ID};

async fn present(bed: &Bed, token: &str) -> Got {
    bed.ask_token(TENANT_ID, &asserted(client_credentials(), token)).await.unwrap()
}

async fn refused(bed: &Bed, wanted: FederatedToken) -> (u64, String) {
    let got = present(bed, &bed.sandbox.federated_token(&wanted)).await;
    assert_eq!((got.status, &got.body["error"]), (401, &json!("invalid_client")), "{}", got.text);
    (got.body["error_codes"][0].as_u64().unwrap(), got.text)
}

#[tokio::test]
async fn the_token_of_another_provider_stands_in_for_a_secret() {
    let mut bed = Bed::new().await;
    let got = present(&bed, &bed.sandbox.federated_token(&FederatedToken::default())).await;
    assert_eq!(got.status, 200, "{}", got.text);
    bed.token = got.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bed.get("/v1.0/users/calendar@contoso.com/calendar").await.unwrap().status, 200);
    assert_eq!(bed.sandbox.assertions()[0].result.as_deref(), Some("granted"));
}

#[tokio::test]
async fn a_token_that_does_not_match_is_refused_claim_by_claim() {
    let bed = Bed::new().await;
    let other = || Some("Other".to_owned());
    let all = FederatedToken { issuer: other(), subject: other(), audience: other(), lifetime_s: Some(-3600) };
    assert_eq!(refused(&bed, all.clone()).await.0, 700_211);
    let (number, text) = refused(&bed, FederatedToken { issuer: None, ..all.clone() }).await;
    assert_eq!(number, 700_213);
    assert!(text.contains("presented assertion subject 'Other'. Check your federated identity credential"), "{text}");
    assert_eq!(refused(&bed, FederatedToken { issuer: None, subject: None, ..all.clone() }).await.0, 700_212);
    assert_eq!(refused(&bed, FederatedToken { lifetime_s: Some(-301), ..FederatedToken::default() }).await.0, 700_024);
    let nearly = FederatedToken { lifetime_s: Some(-200), ..FederatedToken::default() };
    assert_eq!(present(&bed, &bed.sandbox.federated_token(&nearly)).await.status, 200);
}

#[tokio::test]
async fn a_forged_signature_is_refused() {
    let (bed, elsewhere) = (Bed::new().await, Bed::new().await);
    let forged = elsewhere.sandbox.federated_token(&FederatedToken::default());
    assert_eq!(present(&bed, &forged).await.body["error_codes"], json!([50_013]));
    let (signed, _) = forged.rsplit_once('.').unwrap();
    assert_eq!(present(&bed, &format!("{signed}.")).await.body["error_codes"], json!([50_013]));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none"})), part(&json!({"iss": "x"})));
    assert_eq!(present(&bed, &none).await.body["error_codes"], json!([50_027]), "no end");
}

#[tokio::test]
async fn the_credential_is_what_is_configured() {
    let bed = Bed::new().await;
    let before = bed.sandbox.federated_token(&FederatedToken::default());
    bed.control("options", &json!({"federated": {"subject": "repo:contoso/calendar"}})).await;
    assert_eq!(present(&bed, &before).await.body["error_codes"], json!([700_213]));
    let got = bed.control("federated-token", &json!({})).await;
    assert_eq!((got.status, present(&bed, &got.text).await.status), (200, 200));
    let wrong = bed.control("federated-token", &json!({"subject": "a", "lifetime_s": "long"})).await;
    assert!(wrong.body["error"].as_str().unwrap().starts_with("lifetime_s: "), "{}", wrong.text);
    bed.sandbox.configure(OptionsChange { federated: Some(FederatedCredential::default()), ..Default::default() });
    assert_eq!(present(&bed, &before).await.status, 200);
    let url = format!("{}/sandbox/federated-token", bed.sandbox.url());
    let plain = bed.client.post(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(present(&bed, &plain).await.status, 200, "no body at all");
}
