//! With the token of another provider, out of a file, as Kubernetes workload identity keeps it.

use std::path::PathBuf;
use std::time::Duration;

use event_sender::sandbox::{self, FederatedToken, SandboxOptions};

use super::pairs::replace;
use super::{refused, sends};
use crate::bed::{Bed, row};

/// A bed whose settings say nothing but the mode: everything else comes from the variables the cluster sets.
async fn bed_with(token: &FederatedToken) -> (Bed, PathBuf) {
    bed_of(SandboxOptions::default(), token).await
}

async fn bed_of(options: SandboxOptions, token: &FederatedToken) -> (Bed, PathBuf) {
    let mut bed = Bed::with_sandbox(options).await;
    let file = bed.home().join("azure-identity-token");
    replace(&file, &bed.sandbox().federated_token(token));
    for key in ["auth.client_secret", "auth.tenant_id", "auth.client_id", "auth.instance"] {
        bed.unset(key);
    }
    bed.set("auth.mode", "federated");
    let url = format!("{}/", bed.sandbox().url());
    bed.env("AZURE_TENANT_ID", sandbox::TENANT_ID);
    bed.env("AZURE_CLIENT_ID", sandbox::CLIENT_ID);
    bed.env("AZURE_AUTHORITY_HOST", &url);
    bed.env("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap());
    (bed, file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_workload_of_kubernetes_sends_with_nothing_configured_but_the_mode() {
    let (bed, _) = bed_with(&FederatedToken::default()).await;
    assert_eq!(sends(&bed).await, "/v1.0/users/calendar@contoso.com/events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_keys_of_the_settings_serve_where_no_cluster_sets_variables() {
    let mut bed = Bed::new().await;
    let file = bed.home().join("token");
    replace(&file, &bed.sandbox().federated_token(&FederatedToken::default()));
    bed.unset("auth.client_secret");
    bed.set("auth.mode", "federated");
    bed.set("auth.federated_token_file", file.to_str().unwrap());
    sends(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_refusal_is_told_with_its_cure() {
    let other = || Some("other".to_owned());
    let usual = FederatedToken::default;
    for (token, code, word) in [
        (FederatedToken { issuer: other(), ..usual() }, "AADSTS700211", "Issuer"),
        (FederatedToken { audience: other(), ..usual() }, "AADSTS700212", "compare its Audience"),
        (FederatedToken { subject: other(), ..usual() }, "AADSTS700213", "subject"),
        (FederatedToken { lifetime_s: Some(-900), ..usual() }, "AADSTS700024", "token file is renewed"),
    ] {
        let (bed, _) = bed_with(&token).await;
        let line = refused(&bed, code).await;
        assert!(line.contains(word), "{code}: {line}");
    }
}

/// What the cluster writes anew is used at once: the wait was for the token that was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_was_renewed_late_ends_the_pause_by_itself() {
    let (bed, file) = bed_with(&FederatedToken { lifetime_s: Some(-900), ..FederatedToken::default() }).await;
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until_said(&agent, "sending paused").await;
    replace(&file, &bed.sandbox().federated_token(&FederatedToken::default()));
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    bed.until_said(&agent, "sending resumed").await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_file_is_read_for_every_request() {
    let options = SandboxOptions { token_lifetime: Duration::from_secs(1), ..SandboxOptions::default() };
    let (bed, file) = bed_of(options, &FederatedToken::default()).await;
    let agent = bed.run();
    let mut tokens = vec![std::fs::read_to_string(&file).unwrap()];
    while tokens.len() < 4 {
        let id = bed.insert(row()).await;
        assert_eq!(bed.until(id, "sent").await.attempts, 1);
        let presented = bed.sandbox().assertions();
        if presented.iter().any(|one| one.assertion == *tokens.last().unwrap()) {
            // Another lifetime makes another token.
            let lifetime_s = Some(600 + tokens.len() as i64);
            tokens.push(bed.sandbox().federated_token(&FederatedToken { lifetime_s, ..FederatedToken::default() }));
            replace(&file, tokens.last().unwrap());
        }
    }
    for word in ["attempt failed", "sending paused", "secret has changed, the new one is used from now on"] {
        assert!(agent.said(word).is_empty(), "{word}");
    }
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pipe_in_the_place_of_the_file_holds_nobody_up() {
    let options = SandboxOptions { token_lifetime: Duration::from_secs(1), ..SandboxOptions::default() };
    let (bed, file) = bed_of(options, &FederatedToken::default()).await;
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let requests = bed.sandbox().counters().token_requests + 2;
    while bed.sandbox().counters().token_requests < requests {
        let id = bed.insert(row()).await;
        assert_eq!(bed.until(id, "sent").await.attempts, 1);
    }
    let warned = agent.said("credentials cannot be read again, the last ones known are used");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0]["error"].as_str().unwrap().ends_with("is not a regular file"), "{warned:?}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_token_is_written_to_log_or_output() {
    let (mut bed, file) = bed_with(&FederatedToken::default()).await;
    bed.set("log.level", "trace");
    sends(&bed).await;
    bed.command(&["check"]).await.expect(0);
    let token = std::fs::read_to_string(file).unwrap();
    assert!(!bed.all_output().contains(token.trim()) && !bed.all_output().contains(token.split('.').nth(1).unwrap()));
}
