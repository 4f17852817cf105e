//! Mailboxes: which are asked, and which must not be.

use event_sender::sandbox::OptionsChange;

use super::{lines, says};
use crate::bed::{Bed, MAILBOX, row, row_for};

async fn pause(bed: &Bed, mailbox: &str, kind: &str, until: &str) {
    let pause = format!("'{mailbox}', '{until}T00:00:00.000Z', 'Microsoft limits the requests.', '{kind}'");
    bed.sql(&format!("INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind) VALUES ({pause})")).await;
}

fn asked(bed: &Bed, mailbox: &str) -> bool {
    bed.sandbox().requests().iter().any(|request| request.mailbox.as_deref() == Some(mailbox))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_mailboxes_most_jobs_wait_for_are_asked_each_once() {
    let bed = Bed::new().await;
    bed.insert(row()).await;
    for n in 0..12 {
        let rows = (0..=n).map(|_| row_for(&format!("User{n:02}@contoso.com")));
        bed.insert_all(rows).await;
    }
    bed.insert_all([row_for(&MAILBOX.to_uppercase()), row_for("user05@contoso.com")]).await;
    let ran = bed.command(&["check", "--mailbox", "USER11@contoso.com"]).await.expect(0);
    says(&ran, "PASS", "mailbox", &["USER11@contoso.com"]);
    says(&ran, "PASS", "mailbox", &["user05@contoso.com"]);
    assert!(!ran.stdout.contains("user00@"), "{ran:?}");
    says(&ran, "WARN", "mailbox", &["3 more", "--all-mailboxes"]);
    let count = lines(&ran, "mailbox").len();
    let ran = bed.command(&["check", "--all-mailboxes"]).await.expect(0);
    assert_eq!((count, lines(&ran, "mailbox").len()), (12, 13), "{ran:?}");
    says(&ran, "PASS", "mailbox", &["user00@contoso.com"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_asked_to_be_left_alone_is_not_asked_not_even_by_name() {
    let bed = Bed::new().await;
    pause(&bed, "ann@contoso.com", "throttled", "2099-01-01").await;
    pause(&bed, "bob@contoso.com", "throttled", "2020-01-01").await;
    bed.insert_all([row_for("Ann@contoso.com"), row_for("bob@contoso.com")]).await;
    let ran = bed.command(&["check", "--mailbox", "ANN@contoso.com"]).await.expect(0);
    says(&ran, "WARN", "mailbox", &["ANN@contoso.com", "not asked", "2099-01-01"]);
    says(&ran, "PASS", "mailbox", &["bob@contoso.com"]);
    assert!(!asked(&bed, "ann@contoso.com") && asked(&bed, "bob@contoso.com"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_that_is_no_throttling_is_looked_into_when_the_mailbox_is_named() {
    for kind in ["denied", "not_found", "unavailable", "rejected"] {
        let bed = Bed::new().await;
        pause(&bed, "ann@contoso.com", kind, "2099-01-01").await;
        bed.insert(row_for("ann@contoso.com")).await;
        let ran = bed.command(&["check"]).await.expect(0);
        says(&ran, "WARN", "mailbox", &["ann@contoso.com", "not asked", "--mailbox"]);
        assert!(!asked(&bed, "ann@contoso.com"));
        let ran = bed.command(&["check", "--mailbox", "ann@contoso.com"]).await.expect(0);
        says(&ran, "PASS", "mailbox", &["ann@contoso.com", "can be read", "event-sender resume ann@contoso.com"]);
        // Microsoft's own word, beside whatever error it stood.
        bed.sql("UPDATE mailboxes SET asked_until = '2099-01-01T00:00:00.000Z'").await;
        let ran = bed.command(&["check", "--mailbox", "ann@contoso.com"]).await.expect(0);
        says(&ran, "WARN", "mailbox", &["ann@contoso.com", "not asked", "Microsoft asked"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hold_is_told_and_what_is_no_mailbox_is_not_asked_for() {
    let bed = Bed::new().await;
    bed.sql(
        "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at, held_reason) VALUES ('ann@contoso.com',
        '2020-01-01T00:00:00.000Z', '', '2026-11-25T08:00:00.000Z', 'moved to another tenant')",
    )
    .await;
    let ran = bed.command(&["check", "--mailbox", "ann@contoso.com", "--mailbox", ".."]).await.expect(1);
    says(&ran, "WARN", "mailbox", &["ann@contoso.com", "on hold", "moved to another tenant"]);
    says(&ran, "FAIL", "mailbox", &["..", "not a mailbox"]);
    says(&ran, "PASS", "mailbox", &[MAILBOX]);
    // A hold says nothing of what the application may.
    bed.sandbox().configure(OptionsChange { roles: Some(Vec::new()), ..OptionsChange::default() });
    bed.command(&["check"]).await.expect(0);
}
