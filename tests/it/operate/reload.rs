//! Settings and secrets that change while the agent runs: HUP, a file with a fault, a secret renewed in its file.

use event_sender::sandbox::{self, Fault, OptionsChange};
use serde_json::Value;

use super::systemd::{socket, until_told};
use crate::bed::{Bed, chmod, row, row_for};
use crate::process::Process;

fn changed(agent: &Process, key: &str, message: &str) -> Option<(String, String)> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let lines = agent.said(message);
    let line = lines.iter().find(|line| line["key"] == key)?;
    Some((text(line, "from"), text(line, "to")))
}

fn pair(from: &str, to: &str) -> Option<(String, String)> {
    Some((from.to_owned(), to.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hup_makes_new_limits_defaults_and_levels_hold_at_once_and_tells_what_changed() {
    let mut bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { latency_ms: Some(30), ..OptionsChange::default() });
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    bed.set_literal("delivery.max_in_flight_per_mailbox", "1");
    bed.set("defaults.mailbox", "other@contoso.com");
    bed.set("log.level", "debug");
    bed.set("queue.path", "elsewhere.db");
    bed.write_settings();
    agent.signal("HUP");
    bed.until_said(&agent, "settings read again").await;
    let now = "setting changed";
    assert_eq!(changed(&agent, "delivery.max_in_flight_per_mailbox", now), pair("4", "1"));
    assert_eq!(changed(&agent, "defaults.mailbox", now), pair("calendar@contoso.com", "other@contoso.com"));
    assert_eq!(changed(&agent, "log.level", now), pair("info", "debug"));
    let later = agent.said("setting changed, but holds from the next start on only");
    assert_eq!((later.len(), &later[0]["key"]), (1, &Value::from("queue.path")));
    assert_eq!(agent.said(now).len(), 3, "and nothing else");
    let ids = bed.insert_all((0..12).map(|_| row())).await;
    for id in ids {
        assert_eq!(bed.until(id, "sent").await.mailbox.as_deref(), Some("other@contoso.com"));
    }
    assert_eq!(bed.creates(Some("other@contoso.com")).len(), 12);
    assert_eq!(bed.sandbox().counters().max_in_flight["other@contoso.com"], 1);
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_with_a_fault_is_refused_and_the_old_settings_hold() {
    let mut bed = Bed::new().await;
    let socket = socket(&mut bed);
    let agent = bed.run();
    until_told(&socket, "READY=1");
    std::fs::write(bed.config_path(), "[delivery]\nmax_in_flite = 3\n[auth]\nmode = \"magic\"\n").unwrap();
    agent.signal("HUP");
    until_told(&socket, "RELOADING=1");
    until_told(&socket, "READY=1");
    let refused = async |key: &str| {
        let told = || agent.said("settings refused, the old ones hold").into_iter().find(|line| line["key"] == key);
        bed.wait("each fault in the log", async || told()).await["problem"].to_string()
    };
    assert!(refused("delivery.max_in_flite").await.contains("max_in_flight"));
    assert!(refused("auth.mode").await.contains("client_secret"));
    let why = "SELECT settings_refused IS NOT NULL FROM agents ORDER BY id DESC";
    bed.wait("the queue says so, too", async || bed.is_so(why).await.then_some(())).await;
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    bed.write_settings();
    agent.signal("HUP");
    bed.until_said(&agent, "settings read again").await;
    let taken = "SELECT settings_refused IS NULL FROM agents ORDER BY id DESC";
    bed.wait("and no longer", async || bed.is_so(taken).await.then_some(())).await;
    assert!(agent.said("setting changed").is_empty());
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_renewed_in_its_file_ends_the_pause_without_a_reload_and_no_job_fails() {
    let mut bed = Bed::new().await;
    let file = bed.home().join("secret");
    std::fs::write(&file, sandbox::EXPIRED_SECRET).unwrap();
    chmod(&file, 0o640);
    bed.unset("auth.client_secret");
    bed.set("auth.client_secret_file", file.to_str().unwrap());
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let paused = bed.until_said(&agent, "sending paused").await;
    assert_eq!(paused["error_code"], "AADSTS7000222");
    let gate = "SELECT gate_code = 'AADSTS7000222' AND gate_hint LIKE '%expired%' FROM agents ORDER BY id DESC";
    bed.wait("the queue says why", async || bed.is_so(gate).await.then_some(())).await;
    // As an editor or a deployment would: a new file in the place of the old one.
    let new = bed.home().join("secret.new");
    std::fs::write(&new, format!("{}\n", sandbox::CLIENT_SECRET)).unwrap();
    chmod(&new, 0o640);
    std::fs::rename(new, file).unwrap();
    let job = bed.until(id, "sent").await;
    assert_eq!(job.attempts, 1);
    assert_eq!(agent.said("secret has changed, the new one is used from now on").len(), 1);
    bed.until_said(&agent, "sending resumed").await;
    let open = "SELECT gate_since IS NULL FROM agents ORDER BY id DESC";
    bed.wait("the queue says it is over", async || bed.is_so(open).await.then_some(())).await;
    assert!(!bed.all_output().contains(sandbox::CLIENT_SECRET));
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_sign_in_after_hup_is_used_for_the_next_request() {
    let mut bed = Bed::new().await;
    bed.set("auth.client_secret", "wrong");
    let agent = bed.run();
    let id = bed.insert(row_for("ann@contoso.com")).await;
    bed.until_said(&agent, "sending paused").await;
    bed.set("auth.client_secret", sandbox::CLIENT_SECRET);
    bed.write_settings();
    agent.signal("HUP");
    bed.until(id, "sent").await;
    assert_eq!(changed(&agent, "auth.client_secret", "setting changed"), pair("(secret)", "(another secret)"));
    assert!(!bed.all_output().contains(sandbox::CLIENT_SECRET));
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn retention_that_is_switched_on_deletes_and_says_so_once() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    let ids = bed.insert_all((0..3).map(|_| row())).await;
    for id in ids {
        bed.until(id, "sent").await;
    }
    bed.sql("UPDATE jobs SET finished_at = '2020-01-01T00:00:00.000Z'").await;
    bed.set("queue.retention", "1h");
    bed.write_settings();
    agent.signal("HUP");
    let told = bed.until_said(&agent, "finished jobs deleted").await;
    assert_eq!(told["jobs"], 3);
    assert_eq!(bed.count("sent").await, 0);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reload_keeps_the_token_that_serves() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    // From now on no new token could be had.
    bed.sandbox().script(Fault::token_refused(7000222, "invalid_client").times(0));
    for (key, value) in [("graph.request_timeout", "50s"), ("graph.connect_timeout", "9s"), ("log.level", "debug")] {
        bed.set(key, value);
        bed.write_settings();
        agent.signal("HUP");
        bed.wait(key, async || changed(&agent, key, "setting changed")).await;
        let id = bed.insert(row()).await;
        bed.until(id, "sent").await;
    }
    assert_eq!(bed.sandbox().counters().token_requests, 1);
    agent.stop().await.expect(0);
}
