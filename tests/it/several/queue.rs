//! The queue as producers, agents and operators meet it.

use crate::bed::row_for;
use crate::cluster::Cluster;
use crate::ground::Server;
use crate::ledger::End;

/// The producer of the contract, which is psql.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plain_insert_becomes_an_event_at_once() {
    fleet_or_return!(fleet, Server::Whole);
    let agent = fleet.begun("a").await;
    let insert = "INSERT INTO jobs (subject, body, start_time, end_time, location, attendees)
        VALUES ('Review', 'Agenda attached', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1',
            '[{\"name\":\"Ann\",\"address\":\"ann@contoso.com\",\"required\":true}]')";
    fleet.sql(insert).await;
    fleet.until_all_have_ended().await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    agent.stop().await.expect(0);
    assert_eq!(fleet.number("SELECT count(*) FROM agents WHERE how = 'stopped' AND cleaned_at IS NOT NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn three_agents_share_the_mailboxes_and_send_each_row_once() {
    fleet_or_return!(fleet, Server::Whole);
    let agents = [fleet.begun("a").await, fleet.begun("b").await, fleet.begun("c").await];
    let rows: Vec<_> = (0..300)
        .map(|n| row_for(&format!("user{}@contoso.com", n % 60)).with("subject", &format!("plain {n}")))
        .collect();
    // Who is slow to take what should be its own finds it taken, and gets it with the jobs that come after.
    fleet
        .until("each has mailboxes", async |fleet| {
            fleet.insert(&rows).await;
            fleet.until_all_have_ended().await;
            let shares = fleet.shares().await;
            shares.len() == 3 && shares.values().all(|lanes| *lanes > 0)
        })
        .await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    assert!(fleet.most_at_once().await <= 4);
    let status = fleet.status().await;
    let names: Vec<_> = status["agents"].as_array().unwrap().iter().map(|agent| agent["name"].clone()).collect();
    assert_eq!(names, ["a", "b", "c"], "{status:#}");
    for agent in agents {
        agent.stop().await.expect(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_agent_of_the_same_name_is_refused() {
    fleet_or_return!(fleet, Server::Whole);
    let first = fleet.begun("a").await;
    let second = fleet.agent("a").end().await.expect(69);
    assert!(format!("{}{}", second.stdout, second.stderr).contains("agent.name"), "{second:?}");
    first.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_with_other_settings_is_refused_and_told_which() {
    fleet_or_return!(fleet, Server::Whole);
    let first = fleet.begun("a").await;
    fleet.bed.set("defaults.mailbox", "other@contoso.com");
    let second = fleet.agent("b").end().await.expect(78);
    assert!(
        format!("{}{}", second.stdout, second.stderr).contains("defaults.mailbox = other@contoso.com"),
        "{second:?}"
    );
    first.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hold_reaches_all_agents_and_so_does_its_end() {
    fleet_or_return!(fleet, Server::Whole);
    let agents = [fleet.begun("a").await, fleet.begun("b").await];
    fleet.command(&["hold", "ann@contoso.com"]).await.expect(0);
    fleet.insert(&[row_for("ann@contoso.com"), row_for("bob@contoso.com")]).await;
    fleet.until("bob's is sent", async |fleet| fleet.count("sent").await == 1).await;
    assert_eq!(fleet.count("pending").await, 1);
    fleet.command(&["release", "ann@contoso.com"]).await.expect(0);
    fleet.until_all_have_ended().await;
    for agent in agents {
        agent.stop().await.expect(0);
    }
}

/// Without the right to make tables, and with no more than the script grants.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_queue_everything_says_how_to_make_one() {
    fleet_or_return!(fleet, Server::Whole);
    let other = Cluster::get().unwrap().schema().await;
    fleet.bed.set("queue.url", &Cluster::get().unwrap().url(&other));
    for command in
        [&["status"][..], &["list"], &["enqueue", "--start", "2030-01-01T09:00", "--end", "2030-01-01T10:00"]]
    {
        let ran = fleet.command(command).await;
        assert!(ran.code == Some(1) && ran.stderr.contains("'event-sender migrate' creates it"), "{ran:?}");
    }
}

/// What `status` says of the whole queue, `show` says of each job that waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_says_that_all_sending_is_paused_because_another_server_has_taken_over() {
    fleet_or_return!(fleet, Server::Whole);
    let agent = fleet.begun("a").await;
    fleet.sql("UPDATE queue_state SET quarantine_until = clock_timestamp() + interval '1 hour'").await;
    let ids = fleet.insert(&[row_for("ann@contoso.com")]).await;
    let shown = fleet.command(&["show", &ids[0].to_string()]).await.expect(0);
    let told = shown.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("all sending, which is paused until"), "{shown:?}");
    assert!(told.contains("another database server has taken over"), "{shown:?}");
    fleet.sql("UPDATE queue_state SET quarantine_until = NULL").await;
    fleet.until_all_have_ended().await;
    agent.stop().await.expect(0);
}
