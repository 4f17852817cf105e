//! With the identity of the machine: Azure VM, App Service, Azure Arc; which identity; and every refusal.

use std::path::PathBuf;

use event_sender::sandbox::{self, Fault, FaultOn, OptionsChange, RequestKind, SandboxOptions};

use super::{refused, sends};
use crate::bed::{Bed, row, side_by_side};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Host {
    VirtualMachine,
    AppService,
    Arc,
}

const HOSTS: [Host; 3] = [Host::VirtualMachine, Host::AppService, Host::Arc];

/// A bed on such a machine: no tenant, no application, no secret.
async fn bed_on(host: Host) -> Bed {
    let tokens = tempfile::tempdir().unwrap().keep();
    let options = SandboxOptions { arc_tokens_dir: Some(tokens.clone()), ..SandboxOptions::default() };
    let mut bed = Bed::with_sandbox(options).await;
    for key in ["auth.client_secret", "auth.tenant_id", "auth.client_id", "auth.instance"] {
        bed.unset(key);
    }
    bed.set("auth.mode", "managed_identity");
    let url = bed.sandbox().url();
    match host {
        Host::VirtualMachine => bed.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url),
        Host::AppService => {
            bed.env("IDENTITY_ENDPOINT", &format!("{url}/msi/token"));
            bed.env("IDENTITY_HEADER", sandbox::IDENTITY_HEADER);
        }
        Host::Arc => {
            bed.env("IDENTITY_ENDPOINT", &format!("{url}/arc/metadata/identity/oauth2/token"));
            bed.env("IMDS_ENDPOINT", &url);
            bed.set("auth.arc_tokens_dir", tokens.to_str().unwrap());
        }
    }
    // None of it may go to a proxy, whatever the environment says: there is none at this port.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        bed.env(name, "http://127.0.0.1:9");
    }
    bed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_machines_own_identity_sends_on_every_host() {
    for host in HOSTS {
        let bed = bed_on(host).await;
        assert_eq!(sends(&bed).await, "/v1.0/users/calendar@contoso.com/events", "{host:?}");
        let ran = bed.command(&["check"]).await.expect(0);
        let who = format!("managed identity, application {}, got a token", sandbox::SYSTEM_IDENTITY_CLIENT_ID);
        assert!(ran.stdout.contains(&who), "{}", ran.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_assigned_identity_is_found_by_each_of_its_names() {
    for host in [Host::VirtualMachine, Host::AppService] {
        for (key, id) in [
            ("auth.client_id", sandbox::IDENTITY_CLIENT_ID),
            ("auth.identity_object_id", sandbox::IDENTITY_OBJECT_ID),
            ("auth.identity_resource_id", sandbox::IDENTITY_RESOURCE_ID),
        ] {
            let mut bed = bed_on(host).await;
            // There is no other to be taken by mistake.
            bed.sandbox().configure(OptionsChange { system_identity: Some(false), ..OptionsChange::default() });
            bed.set(key, id);
            sends(&bed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_identity_that_is_not_there_is_told_with_what_to_do() {
    for host in [Host::VirtualMachine, Host::AppService] {
        let bed = bed_on(host).await;
        bed.sandbox().configure(OptionsChange { system_identity: Some(false), ..OptionsChange::default() });
        let line = refused_by_machine(&bed).await;
        assert!(line.contains("has no managed identity of its own: switch the system-assigned identity on"), "{line}");
        let mut bed = bed_on(host).await;
        bed.set("auth.client_id", "99999999-0000-4000-8000-000000000000");
        let line = refused_by_machine(&bed).await;
        assert!(line.contains("has no such managed identity: assign it to the machine"), "{line}");
    }
}

/// The hint of a refusal that is not Entra's.
async fn refused_by_machine(bed: &Bed) -> String {
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_kind"], "auth", "{line}");
    assert_eq!(bed.until_back(id, "auth").await.attempts, 0);
    agent.stop().await.expect(0);
    line["hint"].as_str().unwrap().to_owned()
}

async fn busy_with(status: u16) {
    let bed = bed_on(Host::VirtualMachine).await;
    bed.sandbox().script(Fault::answer(status, "try_later").on(FaultOn::Token));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert!(line["hint"].as_str().unwrap().contains("busy or not ready: waiting"), "{status}: {line}");
    assert_eq!(bed.until(id, "sent").await.attempts, 1, "{status}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_busy_or_not_ready_is_asked_again_and_no_attempt_is_spent() {
    side_by_side([404, 410, 429, 500, 503].map(busy_with)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_that_app_service_does_not_know_is_told() {
    let mut bed = bed_on(Host::AppService).await;
    bed.env("IDENTITY_HEADER", "another");
    let line = refused_by_machine(&bed).await;
    assert!(line.contains("refuses the caller"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_file_outside_the_directory_is_read_for_azure_arc() {
    let mut bed = bed_on(Host::Arc).await;
    let other: PathBuf = bed.home().join("elsewhere");
    std::fs::create_dir(&other).unwrap();
    bed.set("auth.arc_tokens_dir", other.to_str().unwrap());
    let line = refused(&bed, "arc_challenge").await;
    assert!(line.contains("outside auth.arc_tokens_dir"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_machine_without_any_such_service_is_told_so() {
    let mut bed = bed_on(Host::VirtualMachine).await;
    bed.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert!(line["hint"].as_str().unwrap().contains("is this an Azure VM"), "{line}");
    assert_eq!(bed.until_back(id, "unavailable").await.attempts, 0);
    let ran = bed.command(&["check"]).await.expect(69);
    assert!(ran.stdout.contains("is this an Azure VM"), "{}", ran.stdout);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_of_the_machine_is_asked_for_once_for_many_jobs() {
    let bed = bed_on(Host::Arc).await;
    let agent = bed.run();
    for id in bed.insert_all((0..20).map(|_| row())).await {
        bed.until(id, "sent").await;
    }
    let tokens = bed.sandbox().requests().into_iter().filter(|request| request.kind == RequestKind::Token);
    assert_eq!(tokens.count(), 2, "the challenge and its answer");
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}
