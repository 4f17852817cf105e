//! Secret, certificate and federated token, as they come in a token request.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use crate::sandbox::signer::{Signer, claims};
use crate::sandbox::testbed::{Bed, Got, asserted, client_credentials, ropc, with};
use crate::sandbox::*;

async fn bed(signer: &Signer) -> Bed {
    let certificates = vec![signer.certificate_pem()];
    Bed::with(SandboxOptions { certificates, ..SandboxOptions::default() }).await
}

fn v2(bed: &Bed) -> String {
    format!("{}/{TENANT_ID}/oauth2/v2.0/token", bed.sandbox.url())
}

fn signed(signer: &Signer, audience: &str) -> String {
    signer.jwt(&signer.header(), &claims(CLIENT_ID, audience))
}

fn number(got: &Got) -> u64 {
    got.body["error_codes"][0].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn a_certificate_stands_in_for_a_secret() {
    let signer = Signer::valid();
    let mut bed = bed(&signer).await;
    let assertion = signed(&signer, &v2(&bed));
    let got = bed.ask_token(TENANT_ID, &asserted(client_credentials(), &assertion)).await.unwrap();
    assert_eq!(got.status, 200, "{}", got.text);
    bed.token = got.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bed.get("/v1.0/users/calendar@contoso.com/calendar").await.unwrap().status, 200);
    let user = asserted(ropc(CLIENT_ID, USERNAME, PASSWORD), &assertion);
    assert_eq!(bed.ask_token(TENANT_ID, &user).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_v1_endpoint_wants_an_assertion_for_itself() {
    let signer = Signer::valid();
    let bed = bed(&signer).await;
    let own = signed(&signer, &format!("{}/{TENANT_ID}/oauth2/token", bed.sandbox.url()));
    let other = signed(&signer, &v2(&bed));
    for (assertion, status, refused) in [(&own, 200, 0), (&other, 401, 700_023)] {
        let form = asserted(with(client_credentials(), "scope", None), assertion);
        let form = with(form, "resource", Some("https://graph.microsoft.com"));
        let got = bed.ask_token_v1(TENANT_ID, &form).await.unwrap();
        assert_eq!((got.status, number(&got)), (status, refused), "{}", got.text);
    }
}

#[tokio::test]
async fn certificates_can_be_registered_and_taken_away_while_it_runs() {
    let (signer, stranger) = (Signer::valid(), Signer::stranger());
    let bed = bed(&signer).await;
    let assertion = signed(&stranger, &v2(&bed));
    let form = asserted(client_credentials(), &assertion);
    assert_eq!(number(&bed.ask_token(TENANT_ID, &form).await.unwrap()), 700_027);
    let both = json!({"certificates": [signer.certificate_pem(), stranger.certificate_pem()]});
    bed.control("options", &both).await;
    assert_eq!(bed.ask_token(TENANT_ID, &form).await.unwrap().status, 200);
    bed.sandbox.configure(OptionsChange { certificates: Some(Vec::new()), ..OptionsChange::default() });
    assert_eq!(number(&bed.ask_token(TENANT_ID, &form).await.unwrap()), 700_027);
}

#[tokio::test]
async fn a_text_that_is_no_certificate_is_refused() {
    let bed = Bed::new().await;
    let got = bed.control("options", &json!({"certificates": ["no PEM"], "deduplicate": false})).await;
    assert_eq!(got.status, 400);
    assert!(got.body["error"].as_str().unwrap().starts_with("certificates: "), "{}", got.text);
    let options = SandboxOptions { certificates: vec![Signer::valid().key_pem()], ..SandboxOptions::default() };
    let error = Sandbox::start(options).await.unwrap_err();
    assert_eq!(error.to_string(), "certificate: no PEM block with BEGIN CERTIFICATE in it");
}

#[tokio::test]
async fn one_proof_of_the_right_type_is_wanted() {
    let signer = Signer::valid();
    let bed = bed(&signer).await;
    let assertion = signed(&signer, &v2(&bed));
    let good = asserted(client_credentials(), &assertion);
    for (name, value, refused) in [
        ("client_secret", Some(CLIENT_SECRET), 90_023),
        ("client_assertion_type", None, 900_144),
        ("client_assertion_type", Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 90_023),
        ("client_assertion", Some("not.a.jwt"), 50_027),
        ("client_assertion", Some(""), 50_027),
        ("client_assertion", None, 7_000_216),
        ("client_id", Some(PUBLIC_CLIENT_ID), 700_025),
        ("client_id", Some(NO_CONSENT_CLIENT_ID), 700_021),
    ] {
        let got = bed.ask_token(TENANT_ID, &with(good.clone(), name, value)).await.unwrap();
        assert_eq!(number(&got), refused, "{name} {value:?} {}", got.text);
    }
    let unnamed = signer.jwt(&json!({"alg": "PS256"}), &claims(CLIENT_ID, &v2(&bed)));
    let got = bed.ask_token(TENANT_ID, &asserted(client_credentials(), &unnamed)).await.unwrap();
    assert_eq!(number(&got), 5_002_738, "its own assertion, although it names no certificate");
}

#[tokio::test]
async fn presented_assertions_are_kept_with_what_came_of_them() {
    let signer = Signer::valid();
    let bed = bed(&signer).await;
    let mut header = signer.header();
    header["x5c"] = json!([signer.x5c()]);
    let good = signer.jwt(&header, &claims(CLIENT_ID, &v2(&bed)));
    let wrong = signed(&signer, "elsewhere");
    bed.ask_token(TENANT_ID, &asserted(client_credentials(), &good)).await.unwrap();
    bed.ask_token(TENANT_ID, &asserted(client_credentials(), &wrong)).await.unwrap();
    bed.sandbox.script(Fault::answer(503, "temporarily_unavailable").on(FaultOn::Token));
    bed.ask_token(TENANT_ID, &asserted(client_credentials(), &good)).await.unwrap();
    let kept = bed.sandbox.assertions();
    let results: Vec<_> = kept.iter().map(|one| (one.assertion.as_str(), one.result.as_deref())).collect();
    assert_eq!(results, [(&*good, Some("granted")), (&*wrong, Some("AADSTS700023")), (&*good, None)]);
    assert_eq!(kept[0].endpoint, format!("/{TENANT_ID}/oauth2/v2.0/token"));
    assert_eq!((kept[0].certificates, kept[1].certificates), (1, 0));
    let told = bed.get("/sandbox/assertions").await.unwrap();
    assert_eq!(told.body, serde_json::to_value(&kept).unwrap());
    bed.sandbox.reset();
    assert!(bed.sandbox.assertions().is_empty());
}
