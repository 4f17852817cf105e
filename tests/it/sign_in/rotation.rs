//! Certificates, keys, secrets and token files that are replaced while jobs are being sent: none of the jobs notices.

use std::time::Duration;

use event_sender::sandbox::{self, OptionsChange, SandboxOptions};

use super::json_of;
use super::pairs::{Pair, files, replace, signs_in_with, uploaded};
use crate::bed::{Bed, chmod, row_for};
use crate::process::Process;

/// Sends jobs, a few at a time, until `done`.
async fn send_until(bed: &Bed, mut done: impl FnMut() -> bool) {
    while !done() {
        let ids = bed.insert_all((0..5).map(|n| row_for(&format!("user{n}@contoso.com")))).await;
        for id in ids {
            bed.until(id, "sent").await;
        }
    }
}

async fn assert_nobody_noticed(bed: &Bed, agent: &Process) {
    let jobs = bed.jobs().await;
    assert!(jobs.len() >= 15 && jobs.iter().all(|job| job.state == "sent" && job.attempts == 1), "{jobs:#?}");
    for word in ["attempt failed", "job failed", "sending paused"] {
        assert!(agent.said(word).is_empty(), "{word}: {}", bed.all_output());
    }
    bed.assert_one_event_each().await;
}

/// The certificates of the assertions so far, in their order, each as often as it came back.
fn thumbprints(bed: &Bed) -> Vec<String> {
    let of = |assertion: &str| json_of(assertion.split('.').next().unwrap())["x5t#S256"].as_str().unwrap().to_owned();
    let mut thumbprints: Vec<String> = bed.sandbox().assertions().iter().map(|one| of(&one.assertion)).collect();
    thumbprints.dedup();
    thumbprints
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_load_by_one_of_another_key_and_back() {
    // A token lives so short that a new one is asked for all the time.
    let options = SandboxOptions { token_lifetime: Duration::from_secs(1), ..SandboxOptions::default() };
    let mut bed = Bed::with_sandbox(options).await;
    let pairs = [Pair::ending_in(20, 0), Pair::ending_in(300, 1), Pair::ending_in(301, 0)];
    signs_in_with(&mut bed, &pairs[0]);
    uploaded(&bed, &[&pairs[0]]);
    let agent = bed.run();
    let (certificate, key) = files(&bed);
    for (old, new) in [(0, 1), (1, 2)] {
        // As documented: first the new one is uploaded, then the files are replaced, one after the other.
        uploaded(&bed, &[&pairs[old], &pairs[new]]);
        send_until(&bed, || thumbprints(&bed).len() == new).await;
        replace(&certificate, &pairs[new].certificate);
        // Meanwhile the two do not belong together, and the old pair is used.
        let requests = bed.sandbox().assertions().len() + 2;
        send_until(&bed, || bed.sandbox().assertions().len() >= requests).await;
        assert_eq!(thumbprints(&bed).len(), new);
        replace(&key, &pairs[new].key);
        send_until(&bed, || thumbprints(&bed).len() == new + 1).await;
        uploaded(&bed, &[&pairs[new]]);
    }
    let requests = bed.sandbox().assertions().len() + 2;
    send_until(&bed, || bed.sandbox().assertions().len() >= requests).await;
    assert_nobody_noticed(&bed, &agent).await;
    let warned = agent.said("credentials cannot be read again, the last ones known are used");
    assert_eq!(warned.len(), 2, "once for each pair that did not belong together: {warned:?}");
    assert!(warned[0]["error"].as_str().unwrap().contains("no certificate in it belongs to this key"), "{warned:?}");
    assert_eq!(warned[0]["credential"], "certificate");
    let changed = agent.said("certificate has changed, the new one is used from now on");
    assert_eq!(changed.len(), 2);
    assert!(changed[0]["subject"].as_str().unwrap().contains("CN="), "{changed:?}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_replaced_while_jobs_are_sent() {
    let mut bed = Bed::new().await;
    let file = bed.home().join("secret");
    std::fs::write(&file, sandbox::CLIENT_SECRET).unwrap();
    chmod(&file, 0o640);
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", file.to_str().unwrap());
    let agent = bed.run();
    for n in 0..3 {
        let jobs = bed.jobs().await.len();
        send_until(&bed, || bed.events().len() >= jobs + 5).await;
        // The token in use goes on serving, so that nobody asks while the two ends change.
        let secret = format!("secret number {n}");
        replace(&file, &secret);
        let change = OptionsChange { client_secret: Some(secret), ..OptionsChange::default() };
        bed.sandbox().configure(change);
        bed.sandbox().expire_tokens();
        let requests = bed.sandbox().counters().token_requests;
        send_until(&bed, || bed.sandbox().counters().token_requests > requests).await;
    }
    assert_eq!(agent.said("secret has changed, the new one is used from now on").len(), 3);
    assert_nobody_noticed(&bed, &agent).await;
    agent.stop().await.expect(0);
}
