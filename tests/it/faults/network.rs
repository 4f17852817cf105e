//! Nobody there: nothing is lost, nothing is spent, and sending goes on by itself. These sandboxes listen on loopback
//! addresses of their own, so that nobody else takes their port while they are away.

use std::net::SocketAddr;

use event_sender::sandbox::SandboxOptions;

use crate::bed::{Bed, row, row_for};

fn at(address: &str) -> SandboxOptions {
    SandboxOptions { listen: address.parse::<SocketAddr>().unwrap(), ..SandboxOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unreachable_sign_in_pauses_sending_until_it_is_back() {
    let mut bed = Bed::with_sandbox(at("127.0.0.2:0")).await;
    let address = bed.sandbox().address().to_string();
    bed.stop_sandbox().await;
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(
        (line["error_code"].as_str(), line["error_kind"].as_str()),
        (Some("no_connection"), Some("unavailable"))
    );
    assert!(line["hint"].is_string(), "{line}");
    let job = bed.until_back(id, "unavailable").await;
    assert_eq!((job.attempts, job.in_doubt), (0, 0));
    assert!(bed.attempts(id).await.is_empty());
    bed.start_sandbox(at(&address)).await;
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    bed.until_said(&agent, "sending resumed").await;
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unreachable_graph_pauses_sending_until_it_is_back() {
    let mut bed = Bed::with_sandbox(at("127.0.0.3:0")).await;
    let address = bed.sandbox().address().to_string();
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    bed.stop_sandbox().await;
    let ids = bed.insert_all((0..10).map(|n| row_for(&format!("user{n}@contoso.com")))).await;
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_code"], "no_connection");
    bed.until_count(ids.len(), "pending").await;
    for job in bed.jobs().await.iter().skip(1) {
        assert_eq!((job.attempts, job.in_doubt), (0, 0), "{job:?}");
    }
    bed.start_sandbox(at(&address)).await;
    bed.until_count(ids.len() + 1, "sent").await;
    assert!(bed.jobs().await.iter().all(|job| job.attempts == 1));
    assert_eq!(bed.events().len(), ids.len());
}

/// However the address is written: a proxy would be told the secret and the token in the clear.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_has_no_business_on_this_machine() {
    for scheme in ["http://", "HTTP://", "hTtP:\\\\"] {
        no_proxy_for(scheme).await;
    }
    // What only a browser takes for an address is none.
    for scheme in ["http:", "http:/"] {
        let mut bed = Bed::with_sandbox(at("127.0.0.5:0")).await;
        bed.set("graph.endpoint", &format!("{scheme}{}", bed.sandbox().address()));
        bed.command(&["run", "--until-empty"]).await.expect(78);
    }
}

async fn no_proxy_for(scheme: &str) {
    let mut bed = Bed::with_sandbox(at("127.0.0.5:0")).await;
    let address = bed.sandbox().address();
    bed.set("auth.instance", &format!("{scheme}{address}"));
    bed.set("graph.endpoint", &format!("{scheme}{address}"));
    bed.set("auth.resource", &bed.sandbox().url());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        bed.env(name, "http://127.0.0.6:9");
    }
    let id = bed.insert(row()).await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.job(id).await.state, "sent");
}
