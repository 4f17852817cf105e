//! Watching the agent from outside: what `/metrics`, `/healthz` and `/readyz` say in good days and bad ones, and that
//! nobody who watches holds anything up.

use std::time::{Duration, Instant};

use event_sender::sandbox::{Fault, OptionsChange, SandboxOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{Bed, MAILBOX, row, row_for};
use crate::process::Process;
use crate::scrape::Monitor;

const CREATES: &str = "event_sender_request_duration_seconds_count";

async fn watched() -> Bed {
    let mut bed = Bed::new().await;
    bed.set("monitor.listen", "127.0.0.1:0");
    bed
}

/// The addresses a process listens on, as the kernel writes them.
fn listening(agent: &Process) -> Vec<String> {
    let proc = format!("/proc/{}", agent.pid());
    let sockets: Vec<String> = std::fs::read_dir(format!("{proc}/fd"))
        .unwrap()
        .filter_map(|fd| {
            std::fs::read_link(fd.ok()?.path()).ok()?.to_str()?.strip_prefix("socket:[").map(str::to_owned)
        })
        .collect();
    let mut addresses = Vec::new();
    for table in ["tcp", "tcp6"] {
        for line in std::fs::read_to_string(format!("{proc}/net/{table}")).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let own = sockets.iter().any(|socket| socket.trim_end_matches(']') == fields[9]);
            if fields[3] == "0A" && own {
                addresses.push(fields[1].to_owned());
            }
        }
    }
    addresses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_is_answered_unless_the_settings_say_so_and_then_on_one_address() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    assert_eq!(listening(&agent), Vec::<String>::new());
    assert!(agent.said("monitor listening").is_empty());
    agent.stop().await.expect(0);

    let bed = watched().await;
    let agent = bed.run();
    Monitor::of(&bed, &agent).await;
    let addresses = listening(&agent);
    assert!(addresses.len() == 1 && addresses[0].starts_with("0100007F:"), "{addresses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_listens_beyond_this_machine_is_warned() {
    let mut bed = Bed::new().await;
    bed.set("monitor.listen", "0.0.0.0:0");
    let agent = bed.run();
    bed.until_said(&agent, "monitor can be reached from other machines, and asks nobody who they are").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_scrape_tells_what_became_of_jobs_and_how_the_queue_stands() {
    let bed = watched().await;
    // Over a kept connection the lost reply would be no attempt.
    bed.sandbox().configure(OptionsChange { keep_alive: Some(false), ..OptionsChange::default() });
    bed.sandbox().script(Fault::lost_reply().mailbox("lost@contoso.com"));
    bed.sandbox()
        .script(Fault::answer(429, "ApplicationThrottled").mailbox("bob@contoso.com").retry_after("600").times(0));
    bed.sandbox().script(Fault::answer(503, "ErrorServerBusy").mailbox("eve@contoso.com"));
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    bed.insert_all((0..3).map(|n| row_for(&format!("user{n}@contoso.com")))).await;
    bed.insert_all([row_for("bob@contoso.com"), row_for("bob@contoso.com")]).await;
    bed.insert_all(["lost@contoso.com", "eve@contoso.com"].map(row_for)).await;
    bed.insert(row().with("start_time", "never")).await;
    bed.insert(row().with("not_before", "2099-01-01T00:00:00Z")).await;
    bed.until_count(5, "sent").await;
    bed.until_count(1, "failed").await;
    let scrape = monitor.until(&bed, "event_sender_jobs", &[("state", "sent")], 5.0).await;

    let finished = |state| scrape.value("event_sender_jobs_finished_total", &[("state", state)]);
    assert_eq!((finished("sent"), finished("failed")), (5.0, 1.0));
    let attempts =
        |outcome, kind| scrape.value("event_sender_attempts_total", &[("outcome", outcome), ("error_kind", kind)]);
    assert_eq!((attempts("sent", "none"), attempts("failed", "invalid_job")), (5.0, 1.0));
    assert_eq!(attempts("retry", "unavailable"), 2.0, "the lost reply and the busy store");
    assert!(attempts("snoozed", "throttled") >= 1.0);
    assert_eq!(scrape.sum("event_sender_attempts_total"), bed.recorded_attempts().await as f64, "as the table has it");

    let creates = scrape.value(CREATES, &[("kind", "create")]);
    assert_eq!(creates, bed.creates(None).len() as f64);
    assert!(scrape.value(CREATES, &[("kind", "lookup")]) >= 1.0, "of the lost reply");
    assert!(scrape.value("event_sender_pickup_seconds_count", &[]) >= creates + 2.0, "two attempts sent none");

    let jobs = |state| scrape.value("event_sender_jobs", &[("state", state)]);
    assert_eq!((jobs("pending"), jobs("failed"), jobs("cancelled"), jobs("claimed")), (3.0, 1.0, 0.0, 0.0));
    let failed = |kind| scrape.value("event_sender_jobs_failed", &[("error_kind", kind)]);
    assert_eq!((failed("invalid_job"), failed("other")), (1.0, 0.0));
    assert!(scrape.value("event_sender_jobs_waiting_again", &[("error_kind", "throttled")]) >= 1.0);
    assert_eq!(scrape.value("event_sender_paused_mailboxes", &[]), 1.0);
    assert_eq!(scrape.value("event_sender_oldest_waiting_seconds", &[("mailboxes", "open")]), 0.0);
    assert_eq!(scrape.value("event_sender_in_flight", &[]), 0.0);
    assert_eq!(scrape.value("event_sender_in_flight_limit", &[]), 64.0);
    assert_eq!(scrape.value("event_sender_token_requests_total", &[("result", "granted")]), 1.0);
    assert!(scrape.value("event_sender_token_expires_in_seconds", &[]) > 3000.0);
    assert_eq!(scrape.value("event_sender_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(scrape.value("event_sender_queue_size_bytes", &[("file", "wal")]) > 0.0);
    assert!(scrape.value("event_sender_queue_disk_free_bytes", &[]) > 0.0);
    // One paused mailbox does not make the agent unready.
    assert_eq!(monitor.reasons().await, Vec::<String>::new());
    assert_eq!(monitor.get("/healthz").await.0, 200);

    let (status, _, index) = monitor.get("/").await;
    assert!(status == 200 && ["/metrics", "/healthz", "/readyz"].iter().all(|path| index.contains(path)), "{index}");
    for (path, text) in [("/metrics", monitor.get("/metrics").await.2), ("/readyz", monitor.get("/readyz").await.2)] {
        assert!(!text.contains('@') && !text.contains("sandbox-secret"), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn when_all_sending_pauses_readyz_says_why_and_what_to_do() {
    let bed = watched().await;
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    bed.wait("it is ready", async || monitor.reasons().await.is_empty().then_some(())).await;
    bed.sandbox().script(Fault::token_refused(7_000_222, "invalid_client"));
    bed.insert(row()).await;
    let said = bed.until_said(&agent, "sending paused").await;
    let (status, body) = monitor.readiness().await;
    let reason = &body["reasons"][0];
    assert_eq!(
        (status, body["ready"].as_bool(), body["reasons"].as_array().map(Vec::len)),
        (503, Some(false), Some(1))
    );
    assert_eq!((reason["what"].as_str(), reason["error_kind"].as_str()), (Some("sending paused"), Some("auth")));
    for (field, in_log) in [("error_code", "error_code"), ("hint", "hint"), ("until", "retry_at")] {
        assert!(reason[field].is_string() && reason[field] == said[in_log], "{reason} {said}");
    }
    assert!(reason["since"].as_str() < reason["until"].as_str(), "{reason}");
    let scrape = monitor.scrape().await;
    let paused = |kind| scrape.value("event_sender_sending_paused", &[("error_kind", kind)]);
    assert_eq!((paused("auth"), paused("unavailable"), paused("throttled")), (1.0, 0.0, 0.0));
    assert_eq!(scrape.value("event_sender_token_requests_total", &[("result", "refused")]), 1.0);
    assert_eq!(scrape.find("event_sender_token_age_seconds", &[]), None);
    assert_eq!(monitor.get("/healthz").await.0, 200, "it lives and waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn readyz_is_well_again_when_sending_goes_on() {
    // An address of its own, so that nobody takes its port while it is away.
    let at = |address: &str| SandboxOptions { listen: address.parse().unwrap(), ..SandboxOptions::default() };
    let mut bed = Bed::with_sandbox(at("127.0.0.9:0")).await;
    bed.set("monitor.listen", "127.0.0.1:0");
    let address = bed.sandbox().address().to_string();
    bed.stop_sandbox().await;
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let id = bed.insert(row()).await;
    bed.until_said(&agent, "sending paused").await;
    assert_eq!(monitor.reasons().await, ["sending paused"]);
    let scrape = monitor.scrape().await;
    assert_eq!(scrape.value("event_sender_sending_paused", &[("error_kind", "unavailable")]), 1.0);
    assert_eq!(scrape.value("event_sender_token_requests_total", &[("result", "unreachable")]), 1.0);
    bed.start_sandbox(at(&address)).await;
    bed.until(id, "sent").await;
    bed.wait("it is ready again", async || monitor.reasons().await.is_empty().then_some(())).await;
    assert_eq!(monitor.scrape().await.sum("event_sender_sending_paused"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_that_cannot_be_used_at_the_start_is_told_while_it_is_waited_for() {
    let bed = watched().await;
    // To put this back is a write, before the agent has started.
    bed.insert(row_for(MAILBOX).with("body_type", "text").with("time_zone", "UTC")).await;
    bed.sql("UPDATE jobs SET state = 'claimed', claims = 1, claimed_at = '2026-01-01T00:00:00.000Z'").await;
    bed.sql("BEGIN IMMEDIATE").await;
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    assert_eq!(monitor.reasons().await, ["starting"]);
    assert_eq!(monitor.get("/healthz").await.0, 200);
    assert_eq!(monitor.scrape().await.find("event_sender_jobs", &[("state", "claimed")]), None, "not counted yet");
    bed.sql("COMMIT").await;
    bed.wait("it is ready", async || monitor.reasons().await.is_empty().then_some(())).await;
    monitor.until(&bed, "event_sender_jobs", &[("state", "sent")], 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn results_that_cannot_be_recorded_make_it_unready_until_they_are() {
    let bed = watched().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(300), ..OptionsChange::default() });
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let id = bed.insert(row()).await;
    bed.until(id, "claimed").await;
    bed.sql("BEGIN IMMEDIATE").await;
    let said = |what: &'static str| {
        let monitor = &monitor;
        async move || monitor.reasons().await.iter().any(|reason| reason == what).then_some(())
    };
    bed.wait("the results are missed", said("results cannot be recorded")).await;
    let (_, body) = monitor.readiness().await;
    let reason = &body["reasons"][0];
    assert!(
        reason["hint"].as_str().is_some_and(|hint| hint.contains("locked")) && reason["since"].is_string(),
        "{body}"
    );
    let scrape = monitor.scrape().await;
    assert!(scrape.value("event_sender_settle_failures_total", &[]) >= 1.0);
    assert_eq!(scrape.value("event_sender_results_waiting", &[]), 1.0);
    bed.sql("COMMIT").await;
    bed.until(id, "sent").await;
    bed.wait("it is ready again", async || monitor.reasons().await.is_empty().then_some(())).await;
    monitor.until(&bed, "event_sender_settle_duration_seconds_count", &[], 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_result_the_queue_does_not_take_is_counted() {
    let bed = watched().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(500), ..OptionsChange::default() });
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let id = bed.insert(row()).await;
    bed.until(id, "claimed").await;
    bed.sql("UPDATE jobs SET state = 'failed', finished_at = 'now'").await;
    bed.until_said(&agent, "result not recorded").await;
    let scrape = monitor.until(&bed, "event_sender_results_not_recorded_total", &[], 1.0).await;
    assert_eq!(scrape.value("event_sender_jobs_finished_total", &[("state", "sent")]), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn scrapes_beside_sending_see_numbers_grow_and_lose_no_job() {
    let bed = watched().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(30), limits: Some(false), ..OptionsChange::default() });
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    bed.until_said(&agent, "agent started").await;
    bed.insert_all((0..300).map(|n| row_for(&format!("user{}@contoso.com", n % 20)))).await;
    let (mut before, mut busiest) = (0.0, 0.0_f64);
    while before < 300.0 {
        let scrape = monitor.scrape().await;
        let sent = scrape.value("event_sender_jobs_finished_total", &[("state", "sent")]);
        assert!(sent >= before, "{sent} after {before}");
        assert_eq!(scrape.sum("event_sender_jobs"), 300.0, "each is counted once, wherever it is on its way");
        before = sent;
        busiest = busiest.max(scrape.value("event_sender_in_flight", &[]));
    }
    assert!(busiest > 1.0 && busiest <= 64.0, "{busiest}");
    bed.assert_one_event_each().await;
    let scrape = monitor.scrape().await;
    assert_eq!(scrape.value("event_sender_pickup_seconds_count", &[]), 300.0);
    assert_eq!(scrape.value("event_sender_results_settled_total", &[]), 300.0);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_in_use_keeps_no_event_from_being_sent_and_is_taken_when_it_is_free() {
    let mut bed = Bed::new().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    bed.set("monitor.listen", &address);
    let agent = bed.run();
    let line = bed.until_said(&agent, "monitor cannot listen, trying again").await;
    assert_eq!(line["address"], address.as_str());
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    drop(other);
    let monitor = Monitor::of(&bed, &agent).await;
    assert_eq!(monitor.address(), address);
    assert_eq!(agent.said("monitor cannot listen, trying again").len(), 1);
    assert_eq!(monitor.get("/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_connects_and_says_nothing_is_sent_away_and_holds_nobody_up() {
    let bed = watched().await;
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(monitor.address()).await.unwrap());
    }
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    // Silent connections make room for those that ask, at once and however many they are.
    for _ in 0..3 {
        let begin = Instant::now();
        assert_eq!(monitor.get("/healthz").await.0, 200);
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        for _ in 0..20 {
            let mut talkative = TcpStream::connect(monitor.address()).await.unwrap();
            talkative.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").await.unwrap();
            silent.push(talkative);
        }
    }
    monitor.until(&bed, "event_sender_jobs_finished_total", &[("state", "sent")], 1.0).await;
    let sent_away = tokio::time::timeout(Duration::from_secs(30), silent[0].read(&mut [0; 1])).await.unwrap();
    assert_eq!(sent_away.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_asks_for_something_else_is_told_so() {
    let bed = watched().await;
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("http://{}{path}", monitor.address());
    assert_eq!(http.get(url("/other")).send().await.unwrap().status(), 404);
    assert_eq!(
        http.post(url("/metrics")).body("x".repeat(100_000)).send().await.map_or(405, |a| a.status().as_u16()),
        405
    );
    assert_eq!(http.head(url("/metrics")).send().await.unwrap().status(), 200);
    assert_eq!(
        http.get(url("/healthz")).header("x", "y".repeat(100_000)).send().await.map_or(431, |a| a.status().as_u16()),
        431
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_answers_while_it_stops_and_says_that_it_does() {
    let bed = watched().await;
    bed.sandbox().script(Fault::hang(Duration::from_secs(600)));
    let mut agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let id = bed.insert(row()).await;
    bed.wait("the request is out", async || (!bed.creates(None).is_empty()).then_some(())).await;
    monitor.until(&bed, "event_sender_in_flight", &[], 1.0).await;
    agent.signal("TERM");
    bed.wait("it says that it stops", async || monitor.reasons().await.contains(&"stopping".to_owned()).then_some(()))
        .await;
    assert_eq!(monitor.get("/healthz").await.0, 200);
    agent.signal("TERM");
    agent.end().await.expect(1);
    assert_eq!(bed.job(id).await.state, "claimed");
}

/// Who signs in has a mailbox, and it is held under the user's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rows_that_name_no_mailbox_wait_with_the_users_own_while_it_is_on_hold() {
    let mut bed = watched().await;
    bed.sign_in_as_user();
    bed.unset("defaults.mailbox");
    bed.insert(row()).await;
    bed.command(&["hold", event_sender::sandbox::USERNAME]).await.expect(0);
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let scrape = monitor.until(&bed, "event_sender_held_mailboxes", &[], 1.0).await;
    let oldest = |mailboxes| scrape.value("event_sender_oldest_waiting_seconds", &[("mailboxes", mailboxes)]);
    assert!(oldest("held") > 0.0 && oldest("open") == 0.0, "held {}, open {}", oldest("held"), oldest("open"));
    agent.stop().await.expect(0);
}
