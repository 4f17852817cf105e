//! A secret or a password: where they come from, and what happens when Entra says no.

use event_sender::sandbox::{self, Fault, OptionsChange, RequestKind, SandboxOptions};
use std::time::Duration;

use super::{refused, sends};
use crate::bed::{Bed, row, side_by_side};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_application_with_a_secret_writes_to_the_mailbox_of_the_job() {
    let bed = Bed::new().await;
    assert_eq!(sends(&bed).await, "/v1.0/users/calendar@contoso.com/events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_signs_in_through_a_public_application_without_a_secret() {
    let mut bed = Bed::new().await;
    bed.sign_in_as_user();
    assert_eq!(sends(&bed).await, "/v1.0/users/calendar@contoso.com/events");
    assert!(bed.all_output().contains("legacy"), "the log warns about the mode");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_signs_in_through_a_confidential_application_with_its_secret() {
    let mut bed = Bed::new().await;
    bed.sign_in_as_user();
    bed.set("auth.client_id", sandbox::CLIENT_ID);
    bed.set("auth.client_secret", sandbox::CLIENT_SECRET);
    sends(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_any_mailbox_a_signed_in_user_writes_to_the_own_calendar() {
    let mut bed = Bed::new().await;
    bed.sign_in_as_user();
    bed.unset("defaults.mailbox");
    assert_eq!(sends(&bed).await, "/v1.0/me/events");
    assert_eq!(bed.events()[0].mailbox, sandbox::USERNAME);
    assert_eq!(bed.jobs().await[0].mailbox, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_any_mailbox_an_application_cannot_send_the_job_and_says_so() {
    let mut bed = Bed::new().await;
    bed.unset("defaults.mailbox");
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "failed").await;
    assert_eq!(job.end(), ("failed", Some("invalid_job")));
    assert!(job.message().starts_with("mailbox") && job.message().contains("defaults.mailbox"), "{}", job.message());
    assert_eq!(bed.creates(None).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_instance_copied_with_its_tenant_or_placeholder_is_understood() {
    let mut bed = Bed::new().await;
    let url = bed.sandbox().url();
    for suffix in ["/", "/{0}", "/{tenant}", &format!("/{}", sandbox::TENANT_ID), &format!("/{}/", sandbox::TENANT_ID)]
    {
        bed.set("auth.instance", &format!("{url}{suffix}"));
        bed.command(&["check"]).await.expect(0);
    }
    bed.set("auth.tenant_id", sandbox::TENANT_DOMAIN);
    bed.set("auth.instance", &url);
    bed.command(&["check"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_resource_may_be_an_address_or_a_guid() {
    let mut bed = Bed::new().await;
    for resource in
        ["https://graph.microsoft.com", "https://graph.microsoft.com/", "00000003-0000-0000-c000-000000000000"]
    {
        bed.set("auth.resource", resource);
        bed.command(&["check"]).await.expect(0);
    }
    bed.set("auth.resource", "https://nothing.example");
    let ran = bed.command(&["check"]).await.expect(1);
    assert!(ran.stdout.contains("AADSTS500011") && ran.stdout.contains("auth.resource"), "{ran:?}");
}

/// Gives a secret in each place named, the right one only in the first, and signs in.
async fn first_place_wins(key: &str, right: &str, places: &[&str]) {
    let mut bed = Bed::new().await;
    if key == "password" {
        bed.sign_in_as_user();
    }
    bed.unset(&format!("auth.{key}"));
    for (rank, place) in places.iter().enumerate() {
        let value = if rank == 0 { right } else { "wrong" };
        match *place {
            "environment" => bed.env(&format!("EVENT_SENDER__AUTH__{}", key.to_uppercase()), value),
            "key" => bed.set(&format!("auth.{key}"), value),
            "file" => {
                let file = bed.home().join(format!("{key}.txt"));
                std::fs::write(&file, format!("{value}\n")).unwrap();
                bed.set(&format!("auth.{key}_file"), file.to_str().unwrap());
            }
            _ => {
                let directory = bed.home().join("credentials");
                std::fs::create_dir(&directory).unwrap();
                std::fs::write(directory.join(key), value).unwrap();
                bed.env("CREDENTIALS_DIRECTORY", directory.to_str().unwrap());
            }
        }
    }
    let ran = bed.command(&["check"]).await;
    assert_eq!(ran.code, Some(0), "{key} {places:?}: {ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn secrets_are_looked_for_in_the_environment_the_key_the_file_and_the_credentials_in_this_order() {
    let places = ["environment", "key", "file", "credentials"];
    for (key, right) in [("client_secret", sandbox::CLIENT_SECRET), ("password", sandbox::PASSWORD)] {
        for first in 0..places.len() {
            first_place_wins(key, right, &places[first..]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_graph_no_longer_takes_is_renewed_once_without_spending_an_attempt() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    bed.sandbox().expire_tokens();
    let second = bed.insert(row()).await;
    let job = bed.until(second, "sent").await;
    assert_eq!((job.attempts, job.claims), (1, 1));
    let statuses: Vec<Option<u16>> = bed.creates(None).iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(201), Some(401), Some(201)]);
    assert_eq!(bed.sandbox().counters().token_requests, 2);
    assert!(agent.said("attempt failed").is_empty());
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_claims_challenge_is_answered_with_a_token_for_those_claims() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::claims_challenge());
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    let tokens: Vec<_> = bed.sandbox().requests().into_iter().filter(|r| r.kind == RequestKind::Token).collect();
    assert_eq!(tokens.len(), 2);
    assert!(tokens[0].claims.is_none() && tokens[1].claims.as_ref().is_some_and(|claims| claims.contains("nbf")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sign_in_that_graph_refuses_again_and_again_pauses_sending_and_spends_nothing() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::expire_tokens().times(0));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_kind"], "auth");
    let job = bed.until_back(id, "auth").await;
    assert_eq!((job.attempts, bed.creates(None).len()), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn short_lived_tokens_told_as_text_are_renewed_in_time_and_no_job_suffers() {
    let options = SandboxOptions { token_lifetime: Duration::from_secs(1), ..SandboxOptions::default() };
    let bed = Bed::with_sandbox(options).await;
    bed.sandbox().configure(OptionsChange { expires_in_as_text: Some(true), ..OptionsChange::default() });
    let agent = bed.run();
    let mut sent = 0;
    while bed.sandbox().counters().token_requests < 3 {
        let id = bed.insert(row()).await;
        assert_eq!(bed.until(id, "sent").await.attempts, 1);
        sent += 1;
    }
    bed.until_count(sent, "sent").await;
    bed.assert_one_event_each().await;
    assert!(agent.said("attempt failed").is_empty());
    let lifetime = agent.said("token acquired")[0]["expires_in_s"].as_u64().unwrap();
    assert!(lifetime <= 1, "the text was read: {lifetime}");
}

async fn refused_with(as_user: bool, key: &'static str, value: &'static str, code: &'static str) {
    let mut bed = Bed::new().await;
    if as_user {
        bed.sign_in_as_user();
    }
    bed.set(key, value);
    refused(&bed, code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_an_application_pauses_sending_with_its_code_and_a_hint() {
    let cases = [
        ("auth.client_secret", "wrong", "AADSTS7000215"),
        ("auth.client_secret", sandbox::EXPIRED_SECRET, "AADSTS7000222"),
        ("auth.client_id", sandbox::NO_CONSENT_CLIENT_ID, "AADSTS65001"),
        ("auth.client_id", "99999999-0000-4000-8000-000000000000", "AADSTS700016"),
        ("auth.client_id", sandbox::PUBLIC_CLIENT_ID, "AADSTS700025"),
        ("auth.tenant_id", "elsewhere.example", "AADSTS90002"),
        ("auth.resource", "https://nothing.example", "AADSTS500011"),
    ];
    side_by_side(cases.map(|(key, value, code)| refused_with(false, key, value, code))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_a_user_pauses_sending_with_its_code_and_a_hint() {
    let cases = [
        ("auth.password", "wrong", "AADSTS50126"),
        ("auth.username", "stranger@contoso.com", "AADSTS50034"),
        ("auth.username", "locked@contoso.com", "AADSTS50053"),
        ("auth.username", "expired@contoso.com", "AADSTS50055"),
        ("auth.username", "disabled@contoso.com", "AADSTS50057"),
        ("auth.username", "mfa@contoso.com", "AADSTS50076"),
        ("auth.username", "policy@contoso.com", "AADSTS53003"),
        ("auth.client_id", sandbox::CLIENT_ID, "AADSTS7000218"),
    ];
    side_by_side(cases.map(|(key, value, code)| refused_with(true, key, value, code))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn trouble_of_entra_itself_passes_and_sending_goes_on_by_itself() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::token_refused(90_033, "temporarily_unavailable"));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_code"], "AADSTS90033");
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    bed.until_said(&agent, "sending resumed").await;
    assert_eq!(bed.sandbox().counters().token_requests, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rotated_secret_pauses_sending_until_the_agent_has_the_new_one() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    bed.sandbox().configure(OptionsChange { client_secret: Some("rotated".into()), ..OptionsChange::default() });
    bed.sandbox().expire_tokens();
    let ids = bed.insert_all((0..10).map(|_| row())).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_code"], "AADSTS7000215");
    bed.until_count(ids.len(), "pending").await;
    assert!(bed.jobs().await.iter().skip(1).all(|job| job.attempts == 0));
    assert_eq!(agent.stop().await.code, Some(0));
    bed.set("auth.client_secret", "rotated");
    let _agent = bed.run();
    bed.until_count(ids.len() + 1, "sent").await;
    bed.assert_one_event_each().await;
}
