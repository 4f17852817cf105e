//! What a monitor says of an agent that has not started, stands still, or whose queue cannot be counted.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use super::*;
use crate::auth::{Credentials, SignIn, TokenEndpoint, Version};
use crate::queue::SqliteQueue;
use crate::secret::Secret;

async fn queue() -> (tempfile::TempDir, Arc<dyn Queue>) {
    let dir = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(&dir.path().join("queue.db")).await.unwrap();
    (dir, Arc::new(queue))
}

/// Asks nobody in these tests.
fn tokens() -> Arc<TokenCache> {
    let sign_in = SignIn {
        instance: "http://127.0.0.1:9".into(),
        tenant: "t".into(),
        client_id: "c".into(),
        resource: "r".into(),
        version: Version::V2,
        credentials: Credentials::ClientSecret(Secret::new("s".into())),
        secret_expires: None,
    };
    Arc::new(TokenCache::new(TokenEndpoint::entra(reqwest::Client::new(), sign_in, None, Utc::now)))
}

fn readiness(monitor: &Monitor, now: Instant) -> serde_json::Value {
    serde_json::to_value(monitor.readiness(now, Utc::now())).unwrap()
}

#[tokio::test]
async fn a_loop_that_stands_still_is_neither_alive_nor_ready() {
    let (_dir, queue) = queue().await;
    let stop = CancellationToken::new();
    let monitor = Monitor::new(Arc::new(Measures::new().unwrap()), AgentInfo::default(), None, stop.clone());
    let now = Instant::now();
    let later = now + Duration::from_secs(61);
    assert_eq!(readiness(&monitor, later)["reasons"][0]["what"], "starting");
    assert!(monitor.is_alive(later), "a start may take its time");
    monitor.started(queue, tokens());
    assert!(monitor.is_alive(now));
    assert_eq!(readiness(&monitor, now), serde_json::json!({"ready": true, "reasons": []}));
    assert!(!monitor.is_alive(later));
    let stuck = readiness(&monitor, later);
    assert_eq!((&stuck["ready"], &stuck["reasons"][0]["what"]), (&false.into(), &"stuck".into()));
    stop.cancel();
    assert!(monitor.is_alive(later), "who stops turns no more");
    assert_eq!(readiness(&monitor, later)["reasons"][0]["what"], "stopping");
}

#[tokio::test]
async fn whoever_asks_often_gets_the_same_count() {
    let (_dir, queue) = queue().await;
    let counts = Counts::new(queue, Unnamed::default());
    let (first, second) = tokio::join!(counts.latest(), counts.latest());
    let third = counts.latest().await.unwrap();
    assert_eq!((first.unwrap().at, second.unwrap().at), (third.at, third.at));
}

#[tokio::test]
async fn a_queue_that_cannot_be_counted_is_tried_again_later_and_keeps_nobody_waiting() {
    let (dir, queue) = queue().await;
    std::fs::remove_file(dir.path().join("queue.db")).unwrap();
    let counts = Counts::new(queue, Unnamed::default());
    let begin = Instant::now();
    assert!(counts.latest().await.is_none());
    assert!(counts.latest().await.is_none());
    assert_eq!(counts.failures(), 1);
    assert!(begin.elapsed() < Duration::from_secs(4), "not as long as for a count that is under way");
}
