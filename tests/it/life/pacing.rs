//! `delivery.recipients_per_day`, `invitations_per_minute`, `not_after`, `past_events` and `priority`, as an operator meets them.

use serde_json::json;

use event_sender::sandbox::Fault;

use crate::bed::{Bed, Row, row_for};

fn guests(count: usize) -> String {
    json!((0..count).map(|n| json!({ "address": format!("guest{n}@contoso.com") })).collect::<Vec<_>>()).to_string()
}

fn invitation(mailbox: &str, count: usize) -> Row {
    row_for(mailbox).with("attendees", &guests(count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_ten_thousand_and_first_recipient_of_a_day_waits_over_a_restart_too_and_who_mails_nobody_does_not() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    let twenty: Vec<i64> = bed.insert_all((0..20).map(|_| invitation("ann@contoso.com", 500))).await;
    let one_more = bed.insert(invitation("ann@contoso.com", 1)).await;
    let other = bed.insert(invitation("bob@contoso.com", 1)).await;
    let agent = bed.run();
    let paced = || async { !agent.said("mailbox has mailed its limit").is_empty() };
    bed.wait("the mailbox has mailed its limit", async || paced().await.then_some(())).await;
    bed.wait("21 rows are sent", async || (bed.count("sent").await == 21).then_some(())).await;
    for id in twenty.iter().chain([&other]) {
        assert_eq!(bed.job(*id).await.end(), ("sent", None));
    }
    let alone = bed.insert(row_for("ann@contoso.com")).await;
    bed.wait("the row without attendees is sent", async || (bed.job(alone).await.state == "sent").then_some(())).await;
    assert_eq!(bed.job(one_more).await.state, "pending");
    for command in [&["status"][..], &["show", &one_more.to_string()]] {
        let said = bed.command(command).await.expect(0).stdout;
        assert!(said.contains("recipients_per_day"), "{said}");
    }
    let metrics = |word: &str| bed.all_output().contains(word);
    assert!(metrics("retry_at"));
    agent.stop().await.expect(0);

    let again = bed.run();
    let later = bed.insert(row_for("ann@contoso.com")).await;
    bed.wait("the next row is sent", async || (bed.job(later).await.state == "sent").then_some(())).await;
    bed.wait("it is told again", async || (!again.said("mailbox has mailed its limit").is_empty()).then_some(())).await;
    assert_eq!(bed.job(one_more).await.state, "pending");
    again.stop().await.expect(0);

    bed.set("delivery.recipients_per_day", "0");
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    assert_eq!(bed.job(one_more).await.end(), ("sent", None));
    assert_eq!(bed.sandbox().mails().len(), 10_002);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn updates_and_deletes_that_mail_count_too() {
    let mut bed = Bed::new().await;
    bed.set("delivery.recipients_per_day", "10");
    bed.insert(invitation("ann@contoso.com", 4).with("event_key", "k")).await;
    let change = |operation: &str| Row(Vec::new()).with("event_key", "k").with("operation", operation);
    bed.insert(change("update").with("subject", "Moved")).await;
    let agent = bed.run();
    bed.wait("both are sent", async || (bed.count("sent").await == 2).then_some(())).await;
    let end = bed.insert(change("delete")).await;
    bed.wait("the limit is met", async || (!agent.said("mailbox has mailed its limit").is_empty()).then_some(())).await;
    // 8 are mailed, and 4 more would be 12.
    bed.wait("it goes back", async || (bed.job(end).await.state == "pending").then_some(())).await;
    agent.stop().await.expect(0);
    assert_eq!(bed.sandbox().mails().len(), 8);
    // It does not wait for what the old limit said.
    bed.set("delivery.recipients_per_day", "20");
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    assert_eq!(bed.job(end).await.end(), ("sent", None));
    assert_eq!(bed.sandbox().mails().len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_in_doubt_is_looked_up_although_its_mailbox_has_mailed_its_limit() {
    let mut bed = Bed::new().await;
    bed.set("delivery.recipients_per_day", "4");
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.set("delivery.first_retry", "1500ms");
    bed.set("delivery.longest_retry", "1500ms");
    bed.sandbox().script(Fault::lost_reply());
    let doubtful = bed.insert(invitation("ann@contoso.com", 2)).await;
    let others =
        [bed.insert(invitation("ann@contoso.com", 4)).await, bed.insert(invitation("ann@contoso.com", 4)).await];
    let agent = bed.run();
    bed.wait("the limit is met", async || (!agent.said("mailbox has mailed its limit").is_empty()).then_some(())).await;
    assert_eq!(bed.until(doubtful, "sent").await.claims, 2, "its event was found");
    assert_eq!(bed.job(others[1]).await.state, "pending");
    agent.stop().await.expect(0);
    assert_eq!(bed.sandbox().mails().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_too_late_is_expired_and_nothing_is_sent_of_it() {
    let mut bed = Bed::new().await;
    bed.unset("delivery.past_events");
    let over = |row: Row| row.with("start_time", "2024-01-01T09:00Z").with("end_time", "2024-01-01T10:00Z");
    let late = bed.insert(row_for("ann@contoso.com").with("not_after", "2024-01-01T00:00:00Z")).await;
    let past = bed.insert(over(invitation("ann@contoso.com", 1))).await;
    let alone = bed.insert(over(row_for("ann@contoso.com"))).await;
    let wrong = bed.insert(row_for("ann@contoso.com").with("not_after", "soon")).await;
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    assert_eq!(bed.job(late).await.end(), ("failed", Some("expired")));
    assert_eq!(bed.job(past).await.end(), ("failed", Some("expired")));
    assert_eq!(bed.job(alone).await.end(), ("sent", None), "nobody is mailed about it");
    assert_eq!(bed.job(wrong).await.end(), ("failed", Some("invalid_job")));
    assert!(bed.job(past).await.message().contains("past_events"));
    assert_eq!(bed.sandbox().events().len(), 1);
    bed.set("delivery.past_events", "send");
    bed.command(&["retry", &past.to_string()]).await.expect(0);
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    assert_eq!(bed.job(past).await.end(), ("sent", None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_what_is_due_in_a_mailbox_the_higher_goes_first_and_what_waited_for_hours_is_not_left_behind() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.set("delivery.max_in_flight", "1");
    let row = |priority: &str| row_for("ann@contoso.com").with("priority", priority);
    let waited = |row: Row, minutes: u32| async move {
        let at = chrono::Utc::now() - chrono::TimeDelta::minutes(i64::from(minutes));
        row.with("next_attempt_at", &at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    };
    let low = bed.insert(waited(row("-1"), 30).await).await;
    let plain = bed.insert(waited(row("0"), 20).await).await;
    let old = bed.insert(waited(row("0"), 90).await).await;
    let high = bed.insert(waited(row("1"), 1).await).await;
    let later = bed.insert(row("1").with("not_before", "2099-01-01T00:00:00Z")).await;
    let agent = bed.run();
    bed.wait("all that is due is sent", async || (bed.count("sent").await == 4).then_some(())).await;
    agent.stop().await.expect(0);
    let mut order = Vec::new();
    for id in [low, plain, old, high] {
        order.push((bed.attempts(id).await[0].started_at.clone(), id));
    }
    order.sort();
    let order: Vec<i64> = order.into_iter().map(|(_, id)| id).collect();
    assert_eq!(order, [old, high, plain, low]);
    assert_eq!(bed.job(later).await.state, "pending");
}
