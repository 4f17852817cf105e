//! The three hosts, as Microsoft's libraries ask them, and everything they refuse.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use reqwest::RequestBuilder;

use super::*;
use crate::sandbox::testbed::{Bed, Got, MAILBOX, meeting, read};
use crate::sandbox::{Fault, FaultOn, RequestKind, Sandbox, SandboxOptions};

const VM: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com";
const APP_SERVICE: &str = "/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com/";
const ARC: &str = "/arc/metadata/identity/oauth2/token?api-version=2020-06-01&resource=https://graph.microsoft.com";

fn get(bed: &Bed, path: &str) -> RequestBuilder {
    bed.client.get(format!("{}{path}", bed.sandbox.url()))
}

/// As the host at this address wants it.
fn proper(bed: &Bed, path: &str) -> RequestBuilder {
    match path.starts_with("/msi/") {
        true => get(bed, path).header("X-IDENTITY-HEADER", IDENTITY_HEADER),
        false => get(bed, path).header("Metadata", "true"),
    }
}

async fn asked(bed: &Bed, path: &str) -> Got {
    read(proper(bed, path)).await.unwrap()
}

async fn with_dir(dir: &Path) -> Bed {
    let arc_tokens_dir = Some(dir.to_owned());
    Bed::with(SandboxOptions { arc_tokens_dir, ..SandboxOptions::default() }).await
}

/// The client id the token names.
fn appid(got: &Got) -> String {
    let token = got.body["access_token"].as_str().unwrap();
    let claims = super::super::jwt::Jwt::read(token).unwrap().claims;
    claims["appid"].as_str().unwrap().to_owned()
}

fn names(got: &Got) -> Vec<&str> {
    let mut names: Vec<&str> = got.body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_virtual_machine_answers_numbers_as_text() {
    let mut bed = Bed::new().await;
    let got = asked(&bed, VM).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let expected = [
        "access_token",
        "client_id",
        "expires_in",
        "expires_on",
        "ext_expires_in",
        "not_before",
        "resource",
        "token_type",
    ];
    assert_eq!(names(&got), expected);
    assert!(expected.iter().all(|name| got.body[name].is_string()), "{}", got.text);
    let number = |name: &str| got.body[name].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!((number("expires_in"), number("expires_on") - number("not_before")), (3600, 3600));
    assert_eq!(
        (&got.body["client_id"], appid(&got).as_str()),
        (&json!(SYSTEM_IDENTITY_CLIENT_ID), SYSTEM_IDENTITY_CLIENT_ID)
    );
    bed.token = got.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bed.create(MAILBOX, &meeting("Review", None)).await.unwrap().status, 201);
}

#[tokio::test]
async fn app_service_tells_the_end_of_a_token_and_no_lifetime() {
    let bed = Bed::new().await;
    let got = asked(&bed, APP_SERVICE).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(names(&got), ["access_token", "client_id", "expires_on", "resource", "token_type"]);
    let left = got.body["expires_on"].as_str().unwrap().parse::<i64>().unwrap() - Utc::now().timestamp();
    assert!((3590..=3600).contains(&left), "{left}");
    assert_eq!(got.body["resource"], "https://graph.microsoft.com/");
}

#[tokio::test]
async fn the_user_assigned_identity_is_chosen_by_any_one_of_its_ids() {
    let bed = Bed::new().await;
    let upper = IDENTITY_CLIENT_ID.to_uppercase();
    for (path, name, id) in [
        (VM, "client_id", IDENTITY_CLIENT_ID),
        (VM, "client_id", &upper),
        (VM, "object_id", IDENTITY_OBJECT_ID),
        (VM, "msi_res_id", IDENTITY_RESOURCE_ID),
        (APP_SERVICE, "client_id", IDENTITY_CLIENT_ID),
        (APP_SERVICE, "principal_id", IDENTITY_OBJECT_ID),
        (APP_SERVICE, "object_id", IDENTITY_OBJECT_ID),
        (APP_SERVICE, "mi_res_id", IDENTITY_RESOURCE_ID),
    ] {
        let got = asked(&bed, &format!("{path}&{name}={id}")).await;
        assert_eq!((got.status, &got.body["client_id"]), (200, &json!(IDENTITY_CLIENT_ID)), "{name} {}", got.text);
        assert_eq!(appid(&got), IDENTITY_CLIENT_ID);
    }
}

#[tokio::test]
async fn an_identity_that_is_not_there_or_not_clear_is_refused() {
    let bed = Bed::new().await;
    for (path, query, expected) in [
        (VM, "client_id=00000000-0000-0000-0000-000000000001", "Identity not found"),
        (VM, "msi_res_id=/subscriptions/x", "Identity not found"),
        (APP_SERVICE, "principal_id=x", "No User Assigned or Delegated Managed Identity found"),
    ] {
        let got = asked(&bed, &format!("{path}&{query}")).await;
        assert!(got.status == 400 && got.text.contains(expected), "{query} {}", got.text);
    }
    for path in [VM, APP_SERVICE] {
        let both = format!("{path}&client_id={IDENTITY_CLIENT_ID}&object_id={IDENTITY_OBJECT_ID}");
        let got = asked(&bed, &both).await;
        assert!(got.status == 400 && got.text.contains("Only one"), "{}", got.text);
    }
    bed.control("options", &json!({"system_identity": false})).await;
    let got = asked(&bed, VM).await;
    let expected = json!({"error": "invalid_request", "error_description": "Identity not found"});
    assert_eq!((got.status, got.body), (400, expected));
    assert_eq!(asked(&bed, APP_SERVICE).await.status, 400);
    assert_eq!(asked(&bed, ARC).await.status, 400);
    assert_eq!(asked(&bed, &format!("{VM}&client_id={IDENTITY_CLIENT_ID}")).await.status, 200);
}

#[tokio::test]
async fn only_a_request_from_this_machine_is_served() {
    let bed = Bed::new().await;
    for path in [VM, ARC] {
        for request in [
            get(&bed, path),
            get(&bed, path).header("Metadata", "True"),
            get(&bed, path).header("X-IDENTITY-HEADER", IDENTITY_HEADER),
        ] {
            let got = read(request).await.unwrap();
            assert_eq!((got.status, &got.body["error"]), (400, &json!("invalid_request")));
            assert_eq!(got.body["error_description"], "Required metadata header not specified");
        }
        let forwarded = read(proper(&bed, path).header("X-Forwarded-For", "10.0.0.1")).await.unwrap();
        assert_eq!((forwarded.status, &forwarded.body["error"]), (400, &json!("invalid_request")));
    }
    for request in [get(&bed, APP_SERVICE), get(&bed, APP_SERVICE).header("X-IDENTITY-HEADER", "guess")] {
        let got = read(request).await.unwrap();
        assert_eq!((got.status, &got.body["statusCode"]), (401, &json!(401)), "{}", got.text);
    }
    let posted = bed.client.post(format!("{}{VM}", bed.sandbox.url())).header("Metadata", "true").send().await.unwrap();
    assert_eq!(posted.status(), 405);
}

#[tokio::test]
async fn version_and_resource_are_needed_and_must_be_known() {
    let home = tempfile::tempdir().unwrap();
    let bed = with_dir(home.path()).await;
    for (host, version, status) in [
        (Host::VirtualMachine, "2018-02-01", 200),
        (Host::VirtualMachine, "2025-04-07", 200),
        (Host::VirtualMachine, "2017-12-01", 400),
        (Host::VirtualMachine, "latest", 400),
        (Host::AppService, "2019-08-01", 200),
        (Host::AppService, "2017-09-01", 400),
        (Host::AppService, "2025-03-30", 400),
        (Host::Arc, "2019-11-01", 401),
        (Host::Arc, "2019-10-31", 400),
    ] {
        let path = format!("{}?api-version={version}&resource=https://graph.microsoft.com", host.path());
        assert_eq!(asked(&bed, &path).await.status, status, "{path}");
        let path = format!("{}?resource=https://graph.microsoft.com", host.path());
        assert_eq!(asked(&bed, &path).await.status, 400, "{path}");
    }
    let unknown = asked(&bed, &VM.replace("graph.microsoft.com", "graph.example")).await;
    assert_eq!((unknown.status, &unknown.body["error"]), (400, &json!("invalid_resource")));
    assert!(unknown.body["error_description"].as_str().unwrap().starts_with("AADSTS500011: "));
    let missing = asked(&bed, VM.split('&').next().unwrap()).await;
    assert_eq!((missing.status, &missing.body["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn arc_gives_a_token_for_the_content_of_the_file_it_names() {
    let home = tempfile::tempdir().unwrap();
    let bed = with_dir(&home.path().join("tokens")).await;
    let challenged = asked(&bed, ARC).await;
    assert_eq!(challenged.status, 401, "{}", challenged.text);
    let challenge = challenged.headers["www-authenticate"].to_str().unwrap();
    let file = Path::new(challenge.strip_prefix("Basic realm=").unwrap());
    assert_eq!(file.parent().unwrap(), home.path().join("tokens"));
    let content = std::fs::read_to_string(file).unwrap();
    let answered = |content: &str| read(proper(&bed, ARC).header("Authorization", format!("Basic {content}")));
    let wrong = answered("guess").await.unwrap();
    assert_eq!((wrong.status, file.exists()), (403, true), "{}", wrong.text);
    let got = answered(&content).await.unwrap();
    assert_eq!((got.status, file.exists()), (200, false), "{}", got.text);
    assert_eq!(
        (got.body["client_id"].as_str(), &got.body["expires_in"]),
        (Some(SYSTEM_IDENTITY_CLIENT_ID), &json!("3600"))
    );
    assert_eq!(answered(&content).await.unwrap().status, 403, "a file serves once");
    let bearer = read(proper(&bed, ARC).bearer_auth(&content)).await.unwrap();
    assert_eq!(bearer.status, 403);
}

#[tokio::test]
async fn arc_knows_no_other_identity_and_needs_a_place_for_its_files() {
    let home = tempfile::tempdir().unwrap();
    let bed = with_dir(home.path()).await;
    let got = asked(&bed, &format!("{ARC}&client_id={IDENTITY_CLIENT_ID}")).await;
    assert_eq!((got.status, &got.body["error"]), (400, &json!("invalid_request")));
    let without = asked(&Bed::new().await, ARC).await;
    assert!(without.status == 404 && without.text.contains("--arc-tokens-dir"), "{}", without.text);
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let unwritable = asked(&with_dir(&file).await, ARC).await;
    assert!(unwritable.status == 500 && unwritable.text.contains("challenge file"), "{}", unwritable.text);
    let options = SandboxOptions { arc_tokens_dir: Some("".into()), ..SandboxOptions::default() };
    assert!(Sandbox::start(options).await.is_err());
}

#[tokio::test]
async fn faults_strike_hosts_too_and_the_journal_names_them() {
    let bed = Bed::new().await;
    for status in [404, 410, 429, 500] {
        bed.sandbox.script(Fault::answer(status, "error").on(FaultOn::Token).retry_after("1"));
        let got = asked(&bed, VM).await;
        assert_eq!((got.status, &got.headers["retry-after"]), (status, &"1".parse().unwrap()));
    }
    bed.sandbox.script(Fault::hang(Duration::from_millis(1)).on(FaultOn::Token));
    assert!(proper(&bed, APP_SERVICE).send().await.is_err());
    asked(&bed, &format!("{VM}&client_id=x")).await;
    let records = bed.sandbox.requests();
    assert!(records.iter().all(|record| record.kind == RequestKind::Token));
    let last = records.last().unwrap();
    assert_eq!(
        (last.path.as_str(), last.error_code.as_deref()),
        (Host::VirtualMachine.path(), Some("invalid_request"))
    );
    assert!(last.query.as_deref().unwrap().ends_with("client_id=x"));
    assert_eq!(records[records.len() - 2].fault.as_deref(), Some("hang"));
    bed.control("options", &json!({"token_requests_per_minute": 1})).await;
    assert_eq!((asked(&bed, VM).await.status, asked(&bed, VM).await.status), (200, 429));
}
