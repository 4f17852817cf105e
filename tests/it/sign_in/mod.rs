//! Signing in, in every mode: end to end, what happens when the other side says no, and what is said before a secret or
//! certificate ends.

mod certificate;
mod expiry;
mod federated;
mod managed_identity;
mod pairs;
mod rotation;
mod secret_and_password;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::bed::{Bed, row, row_for};

/// A part of a JWT.
fn json_of(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Sends one job and gives the path of its request.
async fn sends(bed: &Bed) -> String {
    let agent = bed.run();
    let id = bed.insert(row()).await;
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
    bed.creates(None)[0].path.clone()
}

/// Checks that a refused sign-in leaves the row unspent, says why once, and is not repeated at once. Gives the
/// line the operator reads.
async fn refused(bed: &Bed, code: &str) -> String {
    // Before the agent, whose clock may be off: a row that comes while it runs is stamped by another clock than its own, as on no
    // machine, and one stamped hours ahead waits for hours.
    let id = bed.insert(row_for("ann@contoso.com")).await;
    let agent = bed.run();
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!((line["error_code"].as_str(), line["error_kind"].as_str()), (Some(code), Some("auth")), "{line}");
    assert!(line["hint"].as_str().is_some_and(|hint| hint.len() > 20), "{line}");
    assert!(line["retry_at"].is_string(), "{line}");
    let job = bed.until_back(id, "auth").await;
    assert_eq!((job.attempts, job.error_code.as_deref(), job.in_doubt), (0, Some(code), 0));
    // More work does not make the agent ask again within the block.
    bed.insert_all((0..5).map(|n| row_for(&format!("user{n}@contoso.com")))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let counters = bed.sandbox().counters();
    assert_eq!((counters.token_requests, counters.create_requests), (1, 0), "{code}");
    assert_eq!(agent.said("sending paused").len(), 1, "{code}");
    assert!(bed.attempts(id).await.is_empty(), "nothing was tried");
    assert_eq!(bed.count("pending").await, 6);
    assert_eq!(agent.stop().await.code, Some(0), "{code}");
    line["hint"].as_str().unwrap().to_owned()
}
