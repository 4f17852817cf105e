//! Every refusal that happens by itself, and the forms of a granted token.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use crate::sandbox::testbed::{Bed, client_credentials, ropc, with};
use crate::sandbox::{PASSWORD, *};

async fn refused(bed: &Bed, tenant: &str, form: &[(&str, &str)]) -> (u16, String, u64) {
    let got = bed.ask_token(tenant, form).await.unwrap();
    let number = got.body["error_codes"][0].as_u64().unwrap();
    let description = got.body["error_description"].as_str().unwrap();
    assert!(description.starts_with(&format!("AADSTS{number}: ")), "{description}");
    for field in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(got.body[field].is_string(), "{field}");
    }
    (got.status, got.body["error"].as_str().unwrap().to_owned(), number)
}

#[tokio::test]
async fn wrong_client_credentials_are_refused_with_their_number() {
    let bed = Bed::new().await;
    let cases = [
        ("client_secret", Some("wrong"), 401, "invalid_client", 7_000_215),
        ("client_secret", Some(EXPIRED_SECRET), 401, "invalid_client", 7_000_222),
        ("client_secret", None, 401, "invalid_client", 7_000_216),
        ("client_assertion", Some("a.b.c"), 400, "invalid_request", 90_023),
        ("client_id", Some("00000000-0000-0000-0000-000000000001"), 400, "unauthorized_client", 700_016),
        ("client_id", Some(PUBLIC_CLIENT_ID), 401, "invalid_client", 700_025),
        ("client_id", Some(NO_CONSENT_CLIENT_ID), 400, "invalid_grant", 65_001),
        ("client_id", None, 400, "invalid_request", 900_144),
        ("grant_type", None, 400, "invalid_request", 900_144),
        ("grant_type", Some("device_code"), 400, "unsupported_grant_type", 70_003),
        ("scope", None, 400, "invalid_request", 900_144),
        ("scope", Some(" "), 400, "invalid_scope", 70_011),
        ("scope", Some("https://graph.microsoft.com/Calendars.ReadWrite"), 400, "invalid_scope", 1_002_012),
        ("scope", Some("https%3A%2F%2Fgraph.microsoft.com%2F.default"), 400, "invalid_scope", 1_002_012),
        ("scope", Some("https://graph.example/.default"), 400, "invalid_resource", 500_011),
        ("resource", Some("https://graph.microsoft.com"), 400, "invalid_request", 901_002),
    ];
    for (name, value, status, error, number) in cases {
        let form = with(client_credentials(), name, value);
        let expected = (status, error.to_owned(), number);
        assert_eq!(refused(&bed, TENANT_ID, &form).await, expected, "{name} {value:?}");
    }
    let last = bed.sandbox.requests().pop().unwrap();
    assert_eq!((last.kind, last.error_code.as_deref()), (RequestKind::Token, Some("AADSTS901002")));
}

#[tokio::test]
async fn wrong_tenants_are_refused_with_their_number() {
    let bed = Bed::new().await;
    let app = client_credentials();
    let user = ropc(CLIENT_ID, USERNAME, PASSWORD);
    assert_eq!(refused(&bed, "fabrikam.com", &app).await.2, 90_002);
    assert_eq!(refused(&bed, "organizations", &app).await.2, 50_059);
    assert_eq!(refused(&bed, "common", &user).await.2, 9_001_023);
    assert_eq!(refused(&bed, "consumers", &user).await.2, 9_001_023);
    assert_eq!(bed.ask_token("organizations", &user).await.unwrap().status, 200);
    assert_eq!(bed.ask_token(&TENANT_ID.to_uppercase(), &app).await.unwrap().status, 200);
    assert_eq!(bed.ask_token(TENANT_DOMAIN, &app).await.unwrap().status, 200);
}

#[tokio::test]
async fn users_are_refused_with_their_number() {
    let bed = Bed::new().await;
    for (username, password, number) in [
        (USERNAME, "wrong", 50_126),
        ("stranger@contoso.com", PASSWORD, 50_034),
        ("locked@contoso.com", PASSWORD, 50_053),
        ("expired@contoso.com", PASSWORD, 50_055),
        ("disabled@contoso.com", PASSWORD, 50_057),
        ("mfa@contoso.com", PASSWORD, 50_076),
        ("policy@contoso.com", PASSWORD, 53_003),
    ] {
        let expected = (400, "invalid_grant".to_owned(), number);
        assert_eq!(refused(&bed, TENANT_ID, &ropc(CLIENT_ID, username, password)).await, expected, "{username}");
    }
    let no_secret = with(ropc(CLIENT_ID, USERNAME, PASSWORD), "client_secret", None);
    assert_eq!(refused(&bed, TENANT_ID, &no_secret).await.2, 7_000_218);
    let with_secret = with(ropc(PUBLIC_CLIENT_ID, USERNAME, PASSWORD), "client_secret", Some("x"));
    assert_eq!(refused(&bed, TENANT_ID, &with_secret).await.2, 700_025);
    let public = ropc(PUBLIC_CLIENT_ID, USERNAME, PASSWORD);
    assert_eq!(bed.ask_token(TENANT_ID, &public).await.unwrap().status, 200);
}

#[tokio::test]
async fn graph_is_known_by_every_name_it_has() {
    let bed = Bed::new().await;
    let own = format!("{}/.default", bed.sandbox.url());
    for scope in [
        own.as_str(),
        "https://graph.microsoft.us/.default",
        "https://microsoftgraph.chinacloudapi.cn//.default",
        "00000003-0000-0000-c000-000000000000/.default",
    ] {
        let got = bed.ask_token(TENANT_ID, &with(client_credentials(), "scope", Some(scope))).await.unwrap();
        assert_eq!(got.status, 200, "{scope}");
    }
}

#[tokio::test]
async fn a_secret_may_come_in_a_basic_header() {
    let bed = Bed::new().await;
    let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", bed.sandbox.url());
    let form = [("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")];
    let response = bed.client.post(url).basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(&form).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn the_form_of_a_token_can_be_changed() {
    let bed = Bed::new().await;
    let plain = bed.ask_token(TENANT_ID, &client_credentials()).await.unwrap();
    assert_eq!(plain.body["expires_in"], json!(3600));
    assert!(plain.body.get("refresh_in").is_none());
    bed.control("options", &json!({"expires_in_as_text": true, "refresh_in_s": 60, "token_lifetime_s": 90})).await;
    let odd = bed.ask_token(TENANT_ID, &client_credentials()).await.unwrap();
    assert_eq!((&odd.body["expires_in"], &odd.body["refresh_in"]), (&json!("90"), &json!("60")));
}

#[tokio::test]
async fn secrets_and_passwords_can_be_rotated() {
    let bed = Bed::new().await;
    bed.control("options", &json!({"client_secret": "new", "password": "other"})).await;
    assert_eq!(refused(&bed, TENANT_ID, &client_credentials()).await.2, 7_000_215);
    let form = with(client_credentials(), "client_secret", Some("new"));
    assert_eq!(bed.ask_token(TENANT_ID, &form).await.unwrap().status, 200);
    let public = ropc(PUBLIC_CLIENT_ID, USERNAME, PASSWORD);
    assert_eq!(refused(&bed, TENANT_ID, &public).await.2, 50_126);
}

#[tokio::test]
async fn asking_too_often_is_throttled_when_that_is_turned_on() {
    let bed = Bed::new().await;
    bed.control("options", &json!({"token_requests_per_minute": 1})).await;
    assert_eq!(bed.ask_token(TENANT_ID, &client_credentials()).await.unwrap().status, 200);
    let app = bed.ask_token(TENANT_ID, &client_credentials()).await.unwrap();
    assert_eq!((app.status, &app.headers["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(refused(&bed, TENANT_ID, &ropc(CLIENT_ID, USERNAME, PASSWORD)).await.2, 50_196);
}

#[tokio::test]
async fn a_scripted_refusal_and_passed_on_claims_are_journaled() {
    let bed = Bed::new().await;
    bed.sandbox.script(Fault::token_refused(50_196, "invalid_grant").retry_after("7"));
    let got = bed.ask_token(TENANT_ID, &with(client_credentials(), "claims", Some("{}"))).await.unwrap();
    assert_eq!((got.status, &got.body["error_codes"]), (400, &json!([50_196])));
    let record = bed.sandbox.requests().pop().unwrap();
    assert_eq!((record.claims.as_deref(), record.fault.as_deref()), (Some("{}"), Some("token_refused")));
    assert_eq!(record.retry_after_ms, Some(7000));
}

fn v1(form: Vec<(&'static str, &'static str)>) -> Vec<(&'static str, &'static str)> {
    with(with(form, "scope", None), "resource", Some("https://graph.microsoft.com"))
}

#[tokio::test]
async fn the_v1_endpoint_takes_a_resource_and_writes_numbers_as_text() {
    let mut bed = Bed::new().await;
    for resource in ["https://graph.microsoft.com/", "00000003-0000-0000-c000-000000000000", &bed.sandbox.url()] {
        let form = with(v1(client_credentials()), "resource", Some(resource));
        let got = bed.ask_token_v1(TENANT_ID, &form).await.unwrap();
        assert_eq!((got.status, &got.body["resource"]), (200, &json!(resource)), "{}", got.text);
    }
    let form = with(v1(client_credentials()), "scope", Some("whatever stands here"));
    let got = bed.ask_token_v1(TENANT_ID, &form).await.unwrap();
    assert_eq!((&got.body["expires_in"], &got.body["ext_expires_in"]), (&json!("3600"), &json!("3600")));
    let number = |name: &str| got.body[name].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(number("expires_on") - number("not_before"), 3600);
    bed.token = got.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bed.get("/v1.0/users/calendar@contoso.com/calendar").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_v1_endpoint_refuses_what_is_no_resource() {
    let bed = Bed::new().await;
    for (resource, error, number) in [
        (None, "invalid_request", 900_144),
        (Some(""), "invalid_request", 900_144),
        (Some("https://graph.example"), "invalid_resource", 500_011),
        (Some("https://graph.microsoft.com/.default"), "invalid_resource", 500_011),
    ] {
        let got = bed.ask_token_v1(TENANT_ID, &with(v1(client_credentials()), "resource", resource)).await.unwrap();
        assert_eq!((got.status, &got.body["error"]), (400, &json!(error)), "{resource:?}");
        assert_eq!(got.body["error_codes"], json!([number]), "{resource:?}");
    }
    let got = bed.ask_token_v1(TENANT_ID, &with(v1(client_credentials()), "client_secret", Some("x"))).await.unwrap();
    assert_eq!(got.body["error_codes"], json!([7_000_215]));
}

#[tokio::test]
async fn the_v1_endpoint_signs_users_in_too() {
    let bed = Bed::new().await.signed_in().await;
    let got = bed.ask_token_v1("contoso.com", &v1(ropc(PUBLIC_CLIENT_ID, USERNAME, PASSWORD))).await.unwrap();
    assert_eq!((got.status, &got.body["scope"]), (200, &json!("Calendars.ReadWrite")));
    let got = bed.ask_token_v1(TENANT_ID, &v1(ropc(PUBLIC_CLIENT_ID, USERNAME, "wrong"))).await.unwrap();
    assert_eq!(got.body["error_codes"], json!([50_126]));
}

#[tokio::test]
async fn each_generation_has_a_document_that_names_its_endpoint() {
    let bed = Bed::new().await;
    let url = bed.sandbox.url();
    for (place, endpoint) in [("v2.0/", "oauth2/v2.0/token"), ("", "oauth2/token")] {
        let got = bed.get(&format!("/{TENANT_ID}/{place}.well-known/openid-configuration")).await.unwrap();
        assert_eq!(got.body["token_endpoint"], json!(format!("{url}/{TENANT_ID}/{endpoint}")));
    }
    assert_eq!(bed.get("/nobody/.well-known/openid-configuration").await.unwrap().status, 400);
}
