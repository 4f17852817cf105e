//! How things stand, told to a program: by the exit code of `status`, by its line for a monitoring system, and what counts as
//! news. And the list when there are too many.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::bed::{Bed, row, row_for};
use crate::process::Ran;

async fn code(bed: &Bed, options: &[&str]) -> Option<i32> {
    bed.command(&[&["status"], options].concat()).await.code
}

/// One line of its grammar, and the code that goes with its word.
fn is_of_a_plugin(ran: &Ran, word: &str, code: i32) {
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(code), 1), "{ran:?}");
    let line = ran.stdout.trim_end();
    assert!(line.starts_with(&format!("EVENT-SENDER {word} - ")), "{line}");
    let Some((_, figures)) = line.split_once(" | ") else {
        assert_eq!(word, "UNKNOWN", "{line}");
        return;
    };
    for figure in figures.split(' ') {
        let (label, value) = figure.split_once('=').unwrap();
        let parts: Vec<&str> = value.split(';').collect();
        let number = parts[0].trim_end_matches('s');
        assert!(!label.is_empty() && parts.len() == 5 && number.parse::<u64>().is_ok(), "{figure} in {line}");
    }
    assert!(figures.starts_with("waiting="), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_exit_code_tells_how_things_stand_when_it_is_asked() {
    let bed = Bed::new().await;
    let idle = bed.command(&["status"]).await.expect(0);
    assert!(idle.stdout.contains("no agent is running"), "{idle:?}");
    assert_eq!(code(&bed, &["--exit-code"]).await, Some(3));
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "CRITICAL", 2);

    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    assert_eq!(code(&bed, &["--exit-code"]).await, Some(0));
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "OK", 0);

    bed.command(&["hold", "ann@contoso.com"]).await.expect(0);
    assert_eq!(code(&bed, &["--exit-code", "--json"]).await, Some(1));
    assert_eq!(code(&bed, &["--exit-code=stopped"]).await, Some(0), "not as bad as that");
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "WARNING", 1);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_sign_in_is_nothing_sent() {
    let mut bed = Bed::new().await;
    bed.set("auth.client_secret", "wrong");
    bed.insert(row()).await;
    let agent = bed.run();
    bed.until_said(&agent, "sending paused").await;
    bed.wait("the agent's report", async || (code(&bed, &["--exit-code"]).await == Some(2)).then_some(())).await;
    assert_eq!(code(&bed, &["--exit-code=no-agent"]).await, Some(0));
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "CRITICAL", 2);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_that_is_stopped_counts_as_none_until_it_goes_on() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let lock = File::options().write(true).open(bed.home().join("queue.db.lock")).unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let signed_at = || lock.metadata().unwrap().modified().unwrap();
    lock.set_modified(hour_ago).unwrap();
    bed.wait("a sign of life", async || (signed_at() > hour_ago).then_some(())).await;

    agent.signal("STOP");
    bed.wait("its silence", async || (code(&bed, &["--exit-code=no-agent"]).await == Some(3)).then_some(())).await;
    let status = bed.command(&["status"]).await.expect(0).stdout;
    let said = format!("the agent (process {}) has given no sign of life since", agent.pid());
    assert!(status.contains(&said) && status.contains("systemctl restart event-sender"), "{status}");
    let waits = bed.insert(row()).await;
    let shown = bed.command(&["show", &waits.to_string()]).await.expect(0).stdout;
    assert!(shown.contains("the agent, which has given no sign of life"), "{shown}");
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "CRITICAL", 2);

    agent.signal("CONT");
    bed.until(waits, "sent").await;
    bed.wait("its next sign", async || (code(&bed, &["--exit-code"]).await == Some(0)).then_some(())).await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_cannot_find_out_says_so_and_none_of_the_four() {
    let mut bed = Bed::new().await;
    bed.set("queue.path", bed.home().join("missing.db").to_str().unwrap());
    let ran = bed.command(&["status", "--exit-code"]).await.expect(69);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("missing.db"), "{ran:?}");
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "UNKNOWN", 3);
    bed.set("queue.path", "");
    bed.command(&["status", "--exit-code"]).await.expect(78);
    is_of_a_plugin(&bed.command(&["status", "--format", "nagios"]).await, "UNKNOWN", 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn throttling_is_a_note_and_a_failure_is_news_until_it_was_seen() {
    let bed = Bed::new().await;
    let throttled = event_sender::sandbox::Fault::answer(429, "ApplicationThrottled");
    bed.sandbox().script(throttled.mailbox("busy@contoso.com").retry_after("600"));
    let agent = bed.run();
    let busy = bed.insert(row_for("busy@contoso.com")).await;
    bed.until_back(busy, "throttled").await;
    let status = bed.command(&["status", "--exit-code"]).await.expect(0).stdout;
    assert!(status.contains("All is well") && status.contains("1 mailbox is paused as Microsoft asked"), "{status}");

    let failed = bed.insert(row().with("end_time", "never")).await;
    bed.until(failed, "failed").await;
    let status = bed.command(&["status", "--exit-code"]).await.expect(1).stdout;
    assert!(status.contains("1 job failed in the last hour"), "{status}");
    assert_eq!(code(&bed, &["--exit-code", "--since", "0s"]).await, Some(0), "seen");
    let status = bed.command(&["status", "--exit-code", "--since", "2d"]).await.expect(1).stdout;
    assert!(status.contains("1 job failed since "), "{status}");
    bed.command(&["status", "--since", "tomorrow"]).await.expect(2);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_list_that_is_cut_says_of_how_many_and_how_to_see_the_rest() {
    let bed = Bed::new().await;
    bed.sql(
        "INSERT INTO jobs (subject, start_time, end_time, dedup_key)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6015)
        SELECT 'Job ' || i, '2026-12-01 09:00', '2026-12-01 10:00', 'order ' || i FROM n",
    )
    .await;
    let newest = bed.command(&["list"]).await.expect(0);
    assert_eq!(newest.stdout.lines().count(), 51, "{newest:?}");
    assert!(newest.stderr.contains("newest 50 of 6,015: --before 5966 lists those before them"), "{newest:?}");
    let before = bed.command(&["list", "--before", "5966"]).await.expect(0);
    assert!(before.stdout.contains("Job 5965") && !before.stdout.contains("Job 5966"), "{before:?}");
    assert!(before.stderr.contains("newest 50 of 5,965"), "{before:?}");
    let all = bed.command(&["list", "--limit", "6015"]).await.expect(0);
    assert!(all.stderr.is_empty() && all.stdout.lines().count() == 6016, "nothing is left out");
    for (options, ids) in [
        (&["--dedup-key", "order 4711"][..], vec![4711]),
        (&["--dedup-key", "order"], vec![]),
        (&["--since", "0s"], vec![]),
        (&["--since", "1h", "--limit", "2"], vec![6014, 6015]),
        (&["--before", "2"], vec![1]),
        (&["--before", "1"], vec![]),
    ] {
        let jobs = bed.command(&[&["list", "--json"], options].concat()).await.expect(0).json();
        let listed: Vec<i64> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
        assert_eq!(listed, ids, "{options:?}");
    }
}
