//! The cache against a token endpoint of a few lines, time passed in by hand.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use chrono::Utc;

use crate::auth::{Credentials, SignIn, Version};

/// Answers every request with `status` and the body `answer` makes of the request's number; counts them.
async fn endpoint(status: u16, answer: fn(usize) -> String) -> (TokenCache, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"end") {
                let mut chunk = [0; 4096];
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => seen.extend_from_slice(&chunk[..n]),
                }
            }
            let body = answer(count.fetch_add(1, Ordering::SeqCst));
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let sign_in = SignIn {
        instance,
        tenant: "t".into(),
        client_id: "c".into(),
        resource: "r".into(),
        version: Version::V2,
        credentials: Credentials::ClientSecret(Secret::new("end".into())),
        secret_expires: None,
    };
    (TokenCache::new(TokenEndpoint::entra(reqwest::Client::new(), sign_in, None, Utc::now)), asked)
}

fn granted(n: usize) -> String {
    format!(r#"{{"access_token":"token{n}","expires_in":3600}}"#)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_hundred_waiting_jobs_cost_one_request() {
    let (cache, asked) = endpoint(200, granted).await;
    let (cache, now) = (Arc::new(cache), Instant::now());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get(now).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().expose(), "token0");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_before_its_end_and_serves_till_then() {
    let (cache, asked) = endpoint(200, granted).await;
    let start = Instant::now();
    cache.get(start).await.unwrap();
    assert_eq!(cache.get(start + secs(3299)).await.unwrap().expose(), "token0");
    assert_eq!(cache.get(start + secs(3301)).await.unwrap().expose(), "token1");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn refresh_in_is_obeyed_and_short_lifetimes_are_scaled() {
    let (cache, _) =
        endpoint(200, |n| format!(r#"{{"access_token":"t{n}","expires_in":"86400","refresh_in":43200}}"#)).await;
    let start = Instant::now();
    cache.get(start).await.unwrap();
    assert_eq!(cache.get(start + secs(43_199)).await.unwrap().expose(), "t0");
    assert_eq!(cache.get(start + secs(43_201)).await.unwrap().expose(), "t1");
    let (cache, _) = endpoint(200, |n| format!(r#"{{"access_token":"t{n}","expires_in":60}}"#)).await;
    cache.get(start).await.unwrap();
    assert_eq!(cache.get(start + secs(29)).await.unwrap().expose(), "t0");
    assert_eq!(cache.get(start + secs(31)).await.unwrap().expose(), "t1");
}

#[tokio::test]
async fn a_failed_early_renewal_leaves_the_old_token_serving_and_waits_before_the_next() {
    let (cache, asked) = endpoint(200, |n| if n == 0 { granted(0) } else { "{}".into() }).await;
    let start = Instant::now();
    cache.get(start).await.unwrap();
    for second in 3400..3410 {
        assert_eq!(cache.get(start + secs(second)).await.unwrap().expose(), "token0");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_request_is_not_repeated_for_a_minute() {
    let (cache, asked) = endpoint(401, |_| r#"{"error":"invalid_client","error_codes":[7000215]}"#.into()).await;
    let start = Instant::now();
    for second in [0, 1, 30, 59] {
        let refusal = cache.get(start + secs(second)).await.err().unwrap();
        assert_eq!(refusal.code, "AADSTS7000215");
        assert!(refusal.retry_after.unwrap() <= secs(61));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    cache.get(start + secs(70)).await.err().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_locked_account_is_left_alone_for_a_quarter_of_an_hour() {
    let (cache, asked) = endpoint(400, |_| r#"{"error":"invalid_grant","error_codes":[50053]}"#.into()).await;
    let start = Instant::now();
    cache.get(start).await.err().unwrap();
    cache.get(start + secs(890)).await.err().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_rejected_token_is_dropped_once_however_many_requests_met_the_rejection() {
    let (cache, asked) = endpoint(200, granted).await;
    let now = Instant::now();
    let old = cache.get(now).await.unwrap();
    cache.reject(&old, None);
    assert_eq!(cache.get(now).await.unwrap().expose(), "token1");
    cache.reject(&old, None);
    assert_eq!(cache.get(now).await.unwrap().expose(), "token1");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn other_credentials_end_the_wait_after_a_refusal() {
    let (cache, asked) = endpoint(401, |_| r#"{"error":"invalid_client","error_codes":[7000222]}"#.into()).await;
    let kept = Arc::new(Mutex::new("end".to_owned()));
    let file = kept.clone();
    let sign_in = cache.endpoint().sign_in().unwrap();
    let reread = move || match file.lock().unwrap().as_str() {
        "" => Err("is empty".to_owned()),
        text => Ok(Credentials::ClientSecret(Secret::new(text.into()))),
    };
    let endpoint = TokenEndpoint::entra(reqwest::Client::new(), sign_in, Some(Box::new(reread)), Utc::now);
    cache.sign_in_with(endpoint, true, Instant::now());
    let now = Instant::now();
    let count = || asked.load(Ordering::SeqCst);
    assert!(!cache.credentials_replaced(now), "nothing was refused yet");
    cache.get(now).await.unwrap_err();
    assert!(!cache.credentials_replaced(now), "the same secret");
    "".clone_into(&mut kept.lock().unwrap());
    assert!(!cache.credentials_replaced(now), "a file that is about to be replaced");
    cache.get(now).await.unwrap_err();
    assert_eq!(count(), 1, "the same request is not sent again");
    "another end".clone_into(&mut kept.lock().unwrap());
    assert!(cache.credentials_replaced(now));
    assert!(!cache.credentials_replaced(now), "told once");
    cache.get(now).await.unwrap_err();
    assert_eq!(count(), 2);
    // Found by another who looked, whoever waits for it is told all the same.
    "a third end".clone_into(&mut kept.lock().unwrap());
    cache.read_credentials(now);
    assert!(cache.credentials_replaced(now));
    "a fourth end".clone_into(&mut kept.lock().unwrap());
    cache.read_credentials(now);
    cache.get(now).await.unwrap_err();
    assert!(!cache.credentials_replaced(now), "it was refused, too, meanwhile");
    assert_eq!(count(), 3);
}

#[tokio::test]
async fn the_end_of_the_credentials_is_told_when_it_becomes_another_one_and_only_then() {
    let (cache, _) = endpoint(200, granted).await;
    let sign_in = cache.endpoint().sign_in().unwrap();
    let mut end = cache.watch_credential_end();
    let ends_at = |at| {
        let sign_in = SignIn { secret_expires: at, ..sign_in.clone() };
        TokenEndpoint::entra(reqwest::Client::new(), sign_in, None, Utc::now)
    };
    let at = Some(Utc::now());
    cache.sign_in_with(ends_at(at), true, Instant::now());
    assert!(end.has_changed().unwrap());
    assert_eq!(end.borrow_and_update().map(|end| end.at), at);
    cache.sign_in_with(ends_at(at), true, Instant::now());
    cache.read_credentials(Instant::now());
    cache.get(Instant::now()).await.unwrap();
    assert!(!end.has_changed().unwrap());
    cache.sign_in_with(ends_at(None), true, Instant::now());
    assert_eq!(*end.borrow_and_update(), None);
}

#[tokio::test]
async fn whoever_watches_learns_how_old_the_token_is_and_that_a_new_one_was_refused() {
    let (cache, asked) = endpoint(200, granted).await;
    let now = Instant::now();
    assert_eq!(cache.standing(now), TokenStanding::default());
    cache.get(now).await.unwrap();
    let standing = cache.standing(now + secs(60));
    assert_eq!((standing.age, standing.serves_for), (Some(secs(60)), Some(secs(3600 - 30 - 60))));
    assert_eq!((standing.granted, standing.refused, standing.refusal), (1, 0, None));
    let expired = cache.standing(now + secs(3600));
    assert_eq!((expired.age, expired.serves_for, expired.granted), (None, None, 1));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "watching asks nobody");

    let (cache, _) = endpoint(401, |_| r#"{"error":"invalid_client","error_codes":[7000222]}"#.into()).await;
    cache.get(now).await.unwrap_err();
    let standing = cache.standing(now);
    assert_eq!((standing.age, standing.granted, standing.refused), (None, 0, 1));
    assert_eq!(standing.refusal.unwrap().code, "AADSTS7000222");
}

fn same_way(cache: &TokenCache) -> TokenEndpoint {
    TokenEndpoint::entra(reqwest::Client::new(), cache.endpoint().sign_in().unwrap(), None, Utc::now)
}

#[tokio::test]
async fn another_sign_in_keeps_a_token_that_serves_unless_it_is_for_somebody_else() {
    let (cache, asked) = endpoint(200, granted).await;
    let now = Instant::now();
    let token = cache.get(now).await.unwrap();
    cache.sign_in_with(same_way(&cache), true, now);
    assert_eq!(cache.get(now).await.unwrap(), token);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    cache.sign_in_with(same_way(&cache), false, now);
    cache.get(now).await.unwrap();
    assert_eq!(cache.standing(now).granted, 2, "the count goes on");
}

#[tokio::test]
async fn a_refused_request_is_made_again_on_demand_but_not_at_once_and_not_against_a_wait() {
    let (cache, asked) = endpoint(401, |_| r#"{"error":"invalid_client","error_codes":[7000222]}"#.into()).await;
    let now = Instant::now();
    assert!(!cache.try_again(now), "nothing was refused");
    cache.get(now).await.unwrap_err();
    assert!(!cache.try_again(now), "a moment ago");
    let later = Instant::now() + AGAIN_AFTER;
    assert!(cache.try_again(later));
    cache.get(later).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    // Locked after too many wrong passwords: only time helps.
    let (cache, _) = endpoint(401, |_| r#"{"error":"invalid_grant","error_codes":[50053]}"#.into()).await;
    cache.get(now).await.unwrap_err();
    assert!(!cache.try_again(Instant::now() + AGAIN_AFTER));
}

/// What a policy asks for may be refused for good, and the policy may be withdrawn: neither must stop everything.
#[tokio::test]
async fn claims_that_are_refused_are_asked_for_once_and_those_that_met_trouble_again() {
    let refused: fn(usize) -> String = |_| r#"{"error":"invalid_grant","error_codes":[53003]}"#.into();
    let busy: fn(usize) -> String = |_| r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#.into();
    for (answer, kept) in [(refused, false), (busy, true)] {
        let (cache, _) = endpoint(400, answer).await;
        // The server here takes a request for whole when it ends so.
        cache.state().claims = Some("end".into());
        cache.get(Instant::now()).await.unwrap_err();
        assert_eq!(cache.state().claims.is_some(), kept);
    }
}
