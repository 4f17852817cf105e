//! The queue at a glance: that the figures are right, and that they cost no look at the rows.

use std::os::unix::fs::FileExt;

use super::*;
use crate::queue::Ended;

async fn status(bed: &Bed) -> Overview {
    bed.queue.overview(now(), Some("Team@contoso.com"), 20).await.unwrap()
}

/// A time the agent would write, so many seconds before now.
fn ago(seconds: i64) -> String {
    format!("'{}'", format_utc(in_ms(-1000 * seconds)))
}

async fn add_ended(db: &mut SqliteConnection, state: &str, seconds: i64) {
    let event_id = if state == "sent" { "'AAMk'" } else { "NULL" };
    let kind = if state == "failed" { "'rejected'" } else { "NULL" };
    let finished = ago(seconds);
    add(
        db,
        &[("state", &format!("'{state}'")), ("event_id", event_id), ("error_kind", kind), ("finished_at", &finished)],
    )
    .await;
}

#[tokio::test]
async fn the_status_counts_every_state_and_names_ages_and_pauses() {
    let bed = Bed::new().await;
    let empty = status(&bed).await;
    assert_eq!(empty.counts, JobState::ALL.map(|state| (state, 0)));
    assert_eq!((empty.in_doubt, empty.oldest_pending, empty.waiting.next_due, empty.paused.len()), (0, None, None, 0));
    assert_eq!((empty.waiting.total.jobs, empty.waiting.mailboxes.len(), empty.agents), (0, 0, Vec::new()));

    let db = &mut bed.stranger().await;
    for (created, due) in [
        ("2026-01-01T00:00:00.000Z", "2100-04-01T00:00:00.000Z"),
        ("2026-01-02T00:00:00.000Z", "2026-03-01T00:00:00.000Z"),
    ] {
        add(db, &[("created_at", &format!("'{created}'")), ("next_attempt_at", &format!("'{due}'"))]).await;
    }
    add(db, &[("state", "'claimed'"), ("claimed_at", "'x'"), ("in_doubt", "1"), ("created_at", "'2025'")]).await;
    add(db, &[("state", "'failed'"), ("finished_at", "'x'"), ("in_doubt", "1")]).await;
    add(db, &[("state", "'sent'"), ("finished_at", "'x'"), ("event_id", "'AAMk'")]).await;
    for (mailbox, until) in [("over@contoso.com", -1), ("paused@contoso.com", 1)] {
        let until = format_utc(in_ms(until));
        run(
            db,
            &format!("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('{mailbox}', '{until}', 'why')"),
        )
        .await;
    }
    run(db, "UPDATE mailboxes SET held_at = '2026-01-01T00:00:00.000Z' WHERE mailbox = 'over@contoso.com'").await;
    run(db, "INSERT INTO agents (id, version, started_at, settings_at) VALUES (1, '9.9', 'then', 'then')").await;
    let status = status(&bed).await;
    let counts: Vec<_> = status.counts.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    assert_eq!(counts, [("pending", 2), ("claimed", 1), ("sent", 1), ("failed", 1), ("cancelled", 0)]);
    assert_eq!(status.in_doubt, 2);
    assert_eq!(status.oldest_pending.as_deref(), Some("2026-01-01T00:00:00.000Z"));
    assert_eq!(status.oldest_due.as_deref(), Some("2026-01-02T00:00:00.000Z"), "the other one is for later");
    assert_eq!(status.waiting.next_due.as_deref(), Some("2026-03-01T00:00:00.000Z"));
    assert_eq!((status.paused.len(), status.held.len()), (1, 1));
    assert_eq!(
        (status.paused[0].mailbox.as_str(), &status.paused[0].pause.pauses_in_a_row),
        ("paused@contoso.com", &Stored::Integer(1))
    );
    assert_eq!(status.held[0].mailbox, "over@contoso.com");
    let agent = &status.agents[0];
    assert_eq!((agent.runs(), agent.said.as_ref().unwrap().version.as_str()), (false, "9.9"));
    assert_eq!(bed.queue.outstanding().await.unwrap(), 3);
}

#[tokio::test]
async fn waiting_jobs_are_told_by_mailbox_and_age() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    // The oldest first, as ids are given.
    for (mailbox, age) in [
        ("'old@contoso.com'", 90_000),
        ("'ann@contoso.com'", 86_399),
        ("NULL", 7000),
        ("' TEAM@contoso.com'", 1800),
        ("'ann@contoso.com'", 600),
        ("'ANN@contoso.com'", 299),
        ("'ann@contoso.com'", 59),
        ("'ann@contoso.com'", 0),
    ] {
        add(db, &[("mailbox", mailbox), ("created_at", &ago(age)), ("next_attempt_at", &ago(age))]).await;
    }
    add(db, &[("mailbox", "'ann@contoso.com'"), ("created_at", &ago(0)), ("next_attempt_at", &ago(-1))]).await;
    // What has been deleted leaves gaps in the ids.
    run(db, "DELETE FROM jobs WHERE id IN (5, 7)").await;

    let waiting = status(&bed).await.waiting;
    let told: Vec<_> = waiting.mailboxes.iter().map(|one| (one.mailbox.as_str(), one.jobs, one.later)).collect();
    assert_eq!(told, [("ann@contoso.com", 4, 1), ("team@contoso.com", 2, 0), ("old@contoso.com", 1, 0)]);
    assert_eq!(waiting.mailboxes[0].by_age, [1, 1, 0, 0, 0, 1, 0]);
    assert_eq!(waiting.mailboxes[1].by_age, [0, 0, 0, 1, 1, 0, 0], "the unnamed share the default mailbox's lane");
    assert_eq!(waiting.total.by_age, [1, 1, 0, 1, 1, 1, 1]);
    assert_eq!((waiting.total.jobs, waiting.total.later, waiting.more), (7, 1, 0));

    let few = bed.queue.overview(now(), None, 1).await.unwrap().waiting;
    assert_eq!((few.mailboxes.len(), few.more, few.total.jobs), (1, 3, 7));
    let all = bed.queue.overview(now(), None, 9).await.unwrap().waiting;
    assert!(all.mailboxes.iter().any(|one| one.mailbox.is_empty() && one.jobs == 1), "nobody's lane");
}

#[tokio::test]
async fn what_ended_lately_is_told_by_the_minute_and_apart_by_its_end() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (state, ages) in
        [("sent", &[0, 30, 59, 61, 3599, 3601, -10][..]), ("failed", &[10, 100, 4000]), ("cancelled", &[20, 200])]
    {
        for age in ages {
            add_ended(db, state, *age).await;
        }
    }
    let status = status(&bed).await;
    assert_eq!(status.last_minute, Ended { sent: 3, failed: 1 });
    assert_eq!(status.last_hour, Ended { sent: 5, failed: 2 });
    assert_eq!(status.by_minute.len(), 60);
    assert_eq!((status.by_minute[59], status.by_minute[58], status.by_minute[0]), (5, 2, 1));
    assert_eq!(status.by_minute.iter().sum::<i64>(), 9);
    assert_eq!(status.failed_by_kind, [(Some("rejected".to_owned()), 3)]);
}

#[tokio::test]
async fn what_waiting_jobs_met_is_told_with_the_last_words() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (kind, code, message) in [
        ("throttled", "'ApplicationThrottled'", "first"),
        ("throttled", "'ApplicationThrottled'", "last"),
        ("denied", "NULL", "no"),
    ] {
        let (kind, message) = (format!("'{kind}'"), format!("'{message}'"));
        let created = ago(60);
        add(db, &[("error_kind", &kind), ("error_code", code), ("error_message", &message), ("created_at", &created)])
            .await;
    }
    let status = status(&bed).await;
    assert_eq!(status.troubled, 3);
    let [throttled, denied] = &status.troubles[..] else { panic!("{:?}", status.troubles) };
    assert_eq!((throttled.jobs, throttled.message.text(), throttled.newest_id), (2, Some("last"), 2));
    assert_eq!(throttled.oldest.time(), Some(in_ms(-60_000)));
    assert_eq!((denied.kind.text(), &denied.code), (Some("denied"), &Stored::Null));
}

#[tokio::test]
async fn a_broken_created_at_does_not_hide_the_status() {
    for value in ["CAST(x'ff' AS TEXT)", "x'ff'", "'yesterday'"] {
        let bed = Bed::new().await;
        add(&mut bed.stranger().await, &[("created_at", value)]).await;
        let status = status(&bed).await;
        assert_eq!((status.counts[0], status.waiting.total.jobs), ((JobState::Pending, 1), 1));
    }
}

/// A queue of which not one row can be read any more, but all indexes: SQLite calls a page with an unknown kind corrupt.
#[tokio::test]
async fn counting_reads_no_row() {
    const BODY: &str = "a body that only its own page has";
    const PAGE: usize = 4096;
    const NO_KIND: u8 = 0xff;
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let body = format!("'{}'", BODY.repeat(20));
    for _ in 0..30 {
        add(db, &[("body", &body), ("mailbox", "'ann@contoso.com'"), ("error_kind", "'throttled'")]).await;
        add(db, &[("body", &body), ("in_doubt", "1"), ("state", "'claimed'"), ("claimed_at", "'x'")]).await;
        add_ended(db, "sent", 1).await;
        add_ended(db, "failed", 1).await;
        add_ended(db, "cancelled", 1).await;
    }
    run(db, &format!("UPDATE jobs SET body = {body} WHERE finished_at IS NULL OR state <> 'sent'")).await;
    let path = bed.queue.path().to_owned();
    bed.queue.close().await;
    run(db, "PRAGMA wal_checkpoint(TRUNCATE)").await;

    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let content = std::fs::read(&path).unwrap();
    let holds_rows = |page: &&(usize, &[u8])| page.1.windows(BODY.len()).any(|part| part == BODY.as_bytes());
    let destroyed = content.chunks(PAGE).enumerate().filter(|page| holds_rows(&page)).map(|(number, _)| {
        file.write_all_at(&[NO_KIND], (number * PAGE) as u64).unwrap();
    });
    assert!(destroyed.count() > 5);

    let db = &mut connect(&path).await;
    let unreadable = sqlx::query("SELECT max(length(body)) FROM jobs").fetch_all(&mut *db).await.unwrap_err();
    assert!(unreadable.to_string().contains("malformed"), "{unreadable}");
    for statement in crate::queue::sqlite::report::overview::COUNTING {
        let mut query = sqlx::query(statement);
        for place in 1..=9 {
            if statement.contains(&format!("?{place}")) {
                query = match (statement.contains("json_each"), place) {
                    (true, _) => query.bind(r#"["2000","2100","2200"]"#),
                    (_, 1 | 8) => query.bind("2100-01-01T00:00:00.000Z"),
                    _ => query.bind(10),
                };
            }
        }
        let rows = query.fetch_all(&mut *db).await;
        assert!(rows.as_ref().is_ok_and(|rows| !rows.is_empty()), "{statement}: {rows:?}");
    }
}
