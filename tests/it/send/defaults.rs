//! Defaults that are wrong: no row pays for it. Sending from the default waits and says which setting is at fault, everything
//! else goes on, and what was frozen into a row that failed is not frozen for ever.

use event_sender::sandbox::{Fault, OptionsChange};
use serde_json::Value;

use crate::bed::{Bed, MAILBOX, row, row_for};
use crate::process::Process;

const NOBODY: &str = "nobody@contoso.com";
const PAUSED: &str = "sending from a default paused";

async fn reload(bed: &Bed, agent: &Process) {
    let before = agent.said("settings read again").len();
    bed.write_settings();
    agent.signal("HUP");
    let again = async || (agent.said("settings read again").len() > before).then_some(());
    bed.wait("the settings are read again", again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_default_mailbox_spends_no_row_and_all_go_out_once_it_is_right() {
    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", NOBODY);
    let waiting = bed.insert_all((0..60).map(|_| row())).await;
    let agent = bed.run();
    let paused = bed.until_said(&agent, PAUSED).await;
    assert_eq!((&paused["setting"], &paused["value"]), (&"defaults.mailbox".into(), &NOBODY.into()));
    assert_eq!((&paused["error_code"], &paused["status"]), (&"ErrorInvalidUser".into(), &404.into()));
    assert!(paused["retry_at"].is_string() && paused["hint"].as_str().unwrap().contains("mailbox"), "{paused}");

    // Others go on; who names the same mailbox has only itself to blame.
    let other = bed.insert(row_for("ann@contoso.com")).await;
    bed.until(other, "sent").await;
    let own = bed.insert(row_for(NOBODY)).await;
    assert_eq!(bed.until(own, "failed").await.end(), ("failed", Some("not_found")));

    let back = "SELECT count(*) = 0 FROM jobs WHERE state = 'claimed'";
    bed.wait("all are back", async || bed.is_so(back).await.then_some(())).await;
    for id in &waiting {
        let job = bed.job(*id).await;
        assert_eq!((job.state.as_str(), job.attempts, job.in_doubt, job.mailbox), ("pending", 0, 0, None), "{id}");
    }
    assert!(bed.is_so("SELECT count(*) < 20 FROM jobs WHERE claims > 0").await, "those behind are left alone");
    assert_eq!(agent.said(PAUSED).len(), 1);

    let status = bed.command(&["status", "--json"]).await.expect(0).json();
    assert_eq!(status["refused_default"]["setting"], "defaults.mailbox");
    assert_eq!(status["refused_default"]["value"], NOBODY);
    let text = bed.command(&["status"]).await.expect(0).stdout;
    assert!(text.contains("defaults.mailbox is \"nobody@contoso.com\"") && text.contains("reload"), "{text}");
    let last = waiting.last().unwrap().to_string();
    let shown = bed.command(&["show", &last, "--json"]).await.expect(0).json();
    let waits = shown["advice"]["waits_for"].to_string();
    assert!(waits.contains("defaults.mailbox") && waits.contains("correct"), "{waits}");
    let checked = bed.command(&["check", "--offline"]).await.expect(0).stdout;
    assert!(checked.contains("WARN  agent") && checked.contains("defaults.mailbox"), "{checked}");

    bed.set("defaults.mailbox", MAILBOX);
    reload(&bed, &agent).await;
    for id in waiting {
        let job = bed.until(id, "sent").await;
        assert_eq!((job.attempts, job.mailbox.as_deref()), (1, Some(MAILBOX)));
    }
    let told = bed.command(&["status", "--json"]).await.expect(0).json();
    assert_eq!(told["refused_default"], Value::Null);
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_version_that_graph_does_not_have_costs_no_row() {
    let mut bed = Bed::new().await;
    bed.set("graph.api_version", "v2.7");
    let ids = bed.insert_all((0..3).map(|_| row())).await;
    let agent = bed.run();
    let paused = bed.until_said(&agent, "sending paused").await;
    assert_eq!(paused["error_code"], "no_such_version");
    assert!(paused["hint"].as_str().unwrap().contains("graph.api_version"), "{paused}");
    let back = "SELECT count(*) = 3 FROM jobs WHERE state = 'pending' AND attempts = 0";
    bed.wait("all are back", async || bed.is_so(back).await.then_some(())).await;
    let text = bed.command(&["status"]).await.expect(0).stdout;
    assert!(text.contains("graph.api_version"), "{text}");
    bed.set("graph.api_version", "v1.0");
    reload(&bed, &agent).await;
    for id in ids {
        bed.until(id, "sent").await;
    }
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_default_mailbox_is_forgotten_with_the_agent_that_met_it() {
    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", "unlicensed@contoso.com");
    let ids = bed.insert_all((0..3).map(|_| row())).await;
    let agent = bed.run();
    let paused = bed.until_said(&agent, PAUSED).await;
    assert_eq!(paused["error_code"], "MailboxNotEnabledForRESTAPI");
    agent.stop().await.expect(0);
    bed.set("defaults.mailbox", MAILBOX);
    let agent = bed.run();
    for id in ids {
        assert_eq!(bed.until(id, "sent").await.mailbox.as_deref(), Some(MAILBOX));
    }
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_default_zone_that_exchange_refuses_puts_off_those_that_took_it_and_wakes_them() {
    let mut bed = Bed::new().await;
    bed.set("defaults.time_zone", "America/Coyhaique");
    bed.sandbox().script(Fault::answer(400, "TimeZoneNotSupportedException").subject("taken").times(100_000));
    let agent = bed.run();
    let taken = bed.insert_all((0..40).map(|_| row().with("subject", "taken"))).await;
    let paused = bed.until_said(&agent, PAUSED).await;
    assert_eq!((&paused["setting"], &paused["value"]), (&"defaults.time_zone".into(), &"America/Coyhaique".into()));
    let zoned = bed.insert(row().with("time_zone", "Europe/Paris")).await;
    let instants = row().with("start_time", "2026-12-01T09:00:00Z").with("end_time", "2026-12-01T10:00:00Z");
    let instants = bed.insert(instants).await;
    bed.until(zoned, "sent").await;
    bed.until(instants, "sent").await;
    // Each is met once, without a request for most, and then left alone.
    let aside = "SELECT count(*) = 40 FROM jobs WHERE state = 'pending' AND error_kind = 'rejected'
        AND time_zone IS NULL AND attempts = 0 AND next_attempt_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '30 seconds')";
    bed.wait("all are put off", async || bed.is_so(aside).await.then_some(())).await;
    assert!(bed.creates(None).len() < 40, "{}", bed.creates(None).len());

    bed.sandbox().clear_faults();
    bed.set("defaults.time_zone", "America/Santiago");
    reload(&bed, &agent).await;
    for id in taken {
        let job = bed.until(id, "sent").await;
        assert_eq!((job.attempts, job.time_zone.as_deref()), (1, Some("America/Santiago")));
    }
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

/// What a retry is for: the cause was a setting, and the setting is another one now.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_retried_row_takes_the_defaults_of_then_unless_an_event_may_exist() {
    let mut bed = Bed::new().await;
    // Over a kept connection the lost reply would be no attempt.
    bed.sandbox().configure(OptionsChange { keep_alive: Some(false), ..OptionsChange::default() });
    bed.sandbox().script(Fault::answer(400, "ErrorInvalidRequest").subject("refused").times(2));
    let agent = bed.run();
    let frozen = bed.insert(row().with("subject", "refused")).await;
    let own = bed.insert(row_for("ann@contoso.com").with("subject", "refused").with("time_zone", "Europe/Paris")).await;
    for id in [frozen, own] {
        assert_eq!(bed.until(id, "failed").await.end(), ("failed", Some("rejected")));
    }
    assert_eq!(bed.job(frozen).await.mailbox.as_deref(), Some(MAILBOX));
    bed.set("defaults.mailbox", "team@contoso.com");
    bed.set("defaults.time_zone", "Europe/Berlin");
    reload(&bed, &agent).await;
    bed.command(&["retry", &frozen.to_string(), &own.to_string()]).await.expect(0);
    let job = bed.until(frozen, "sent").await;
    assert_eq!((job.mailbox.as_deref(), job.time_zone.as_deref()), (Some("team@contoso.com"), Some("Europe/Berlin")));
    let job = bed.until(own, "sent").await;
    assert_eq!((job.mailbox.as_deref(), job.time_zone.as_deref()), (Some("ann@contoso.com"), Some("Europe/Paris")));

    // A lost reply: whatever the settings say later, it is the same request.
    bed.sandbox().script(Fault::lost_reply().subject("lost").times(1));
    bed.set("delivery.first_retry", "2s");
    bed.set("delivery.longest_retry", "2s");
    reload(&bed, &agent).await;
    let lost = bed.insert(row().with("subject", "lost")).await;
    bed.until_back(lost, "unavailable").await;
    bed.set("defaults.mailbox", "later@contoso.com");
    reload(&bed, &agent).await;
    assert_eq!(bed.until(lost, "sent").await.mailbox.as_deref(), Some("team@contoso.com"));
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

/// Who signs in has a mailbox, and the pauses of rows that name none are kept under the user's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_of_the_users_own_mailbox_is_shown_at_rows_that_name_none() {
    let mut bed = Bed::new().await;
    bed.sign_in_as_user();
    bed.unset("defaults.mailbox");
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").retry_after("600").times(1));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until_said(&agent, "mailbox paused").await;
    bed.until_back(id, "throttled").await;
    let user = event_sender::sandbox::USERNAME;
    let status = bed.command(&["status", "--json"]).await.expect(0).json();
    assert_eq!(status["paused_mailboxes"][0]["mailbox"], user);
    assert_eq!(status["mailboxes"][0]["mailbox"], user, "one name for it everywhere");
    let shown = bed.command(&["show", &id.to_string(), "--json"]).await.expect(0).json();
    assert!(shown["advice"]["waits_for"].to_string().contains("its mailbox, paused until"), "{shown}");
    let checked = bed.command(&["check"]).await.stdout;
    assert!(checked.contains("the signed-in user's own: not asked, it is paused until"), "{checked}");
    agent.stop().await.expect(0);
}
