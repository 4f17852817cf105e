//! Hands that meddle: whoever may write to the tables may write what no agent would, hold what it likes, and bring rules along. It
//! costs its own rows, and no others.

use chrono::{TimeDelta, Utc};
use event_sender::config::Database;
use event_sender::job::{ErrorKind, JobState};
use event_sender::queue::{Agent, NewJob, PostgresQueue, Produce, Read, Server, Settled, Settlement, Verdict};
use sqlx::{AssertSqlSafe, Connection};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, TEAM, end, event, far, is_about, job, pause};
use crate::cluster::Cluster;
use crate::postgres::{Postgres, is_there};
use crate::sqlite::Sqlite;

async fn an_escape_that_no_text_can_have_keeps_no_job_from_being_claimed<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let odd = |extra: &str| NewJob { extra: Some(extra.into()), ..job(ANN) };
    let jobs = [odd(r#"{"categories":["a\u0000b"]}"#), odd(r#"{"categories":["\ud800"]}"#), job(BOB)];
    let ids = bed.queue().insert(&jobs).await.unwrap();
    bed.backend.sql("UPDATE jobs SET time_zone = NULL").await.unwrap();
    let mut taken = bed.claim(ALL).await.ids();
    taken.sort_unstable();
    assert_eq!(taken, ids);
}

/// Such as in a row that was copied to be sent again.
async fn words_that_an_agent_will_write_do_not_keep_it_from_writing_them<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let row = format!(
        "INSERT INTO jobs (subject, start_time, end_time, mailbox, settled)
        VALUES ('s', '2031-01-01T09:00', '2031-01-01T10:00', '{ANN}', 'claim 1')"
    );
    bed.backend.sql(&row).await.unwrap();
    let job = bed.claim(ALL).await.jobs.remove(0).1;
    assert_eq!(bed.settle(&end(&job, event())).await, Settled::Recorded);
    assert_eq!(bed.state(job.id.0).await, JobState::Sent);
}

on_every_queue! {
    an_escape_that_no_text_can_have_keeps_no_job_from_being_claimed
    words_that_an_agent_will_write_do_not_keep_it_from_writing_them
}

fn database(name: &str) -> Server {
    let url = Cluster::get().unwrap().url("public").replacen("/postgres?", &format!("/{name}?"), 1);
    Server::of(&Database::of(&url, None).unwrap())
}

/// Of a queue on a server; none where there is none.
async fn bed() -> Option<Bed<Postgres>> {
    if is_there() { Some(Bed::new().await) } else { None }
}

#[tokio::test]
async fn a_time_without_end_stops_no_agent() {
    let Some(bed) = bed().await else { return };
    bed.pause(pause("eve@contoso.com", "busy"), ErrorKind::Throttled).await;
    let ids = bed.insert(&[ANN, BOB, TEAM, ANN]).await;
    let [parked, forgotten, ..] = ids[..] else { panic!() };
    for odd in [
        format!("UPDATE jobs SET next_attempt_at = 'infinity' WHERE id = {parked}"),
        format!("UPDATE jobs SET give_up_at = 'infinity', next_attempt_at = '-infinity' WHERE id = {forgotten}"),
        format!(
            "INSERT INTO mailboxes (mailbox, paused_until, reason, asked_until) VALUES ('{TEAM}', 'infinity', '', 'infinity')"
        ),
        "UPDATE mailboxes SET paced_until = 'infinity', paced_reason = '', held_at = 'infinity'".into(),
        "UPDATE mailboxes SET held_at = NULL, resumed_at = 'infinity'".into(),
        "INSERT INTO mailings (mailbox, minute, jobs, recipients) VALUES ('ann@contoso.com', 'infinity', 1, 1)".into(),
    ] {
        bed.backend.sql(&odd).await.unwrap();
    }
    let mut taken = bed.claim(ALL).await.ids();
    taken.sort_unstable();
    assert_eq!(taken, [forgotten, ids[3]], "the others wait, for ever or for a mailbox");
    bed.overview().await;
    bed.queue().census(Utc::now(), Some(TEAM)).await.unwrap();
    assert_eq!(bed.state(parked).await, JobState::Pending);
    assert!(!bed.queue().mailboxes(Utc::now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_that_somebody_holds_waits_alone() {
    let Some(bed) = bed().await else { return };
    let ids = bed.insert(&[ANN, BOB, TEAM]).await;
    let mut other = Cluster::get().unwrap().connect(bed.backend.schema()).await;
    let hold = async |other: &mut sqlx::PgConnection, id: i64| {
        let hold = format!("BEGIN; SELECT 1 FROM jobs WHERE id = {id} FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(hold)).execute(other).await.unwrap();
    };
    hold(&mut other, ids[0]).await;
    let taken = bed.claim(ALL).await;
    assert_eq!(taken.ids(), ids[1..]);
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    hold(&mut other, ids[1]).await;
    let ends: Vec<Settlement> = taken.jobs.iter().map(|(_, job)| end(job, event())).collect();
    let settled = bed.settle_all(&ends).await;
    assert!(matches!(&settled[0], Settled::Refused(why) if why.contains("lock")), "{settled:?}");
    assert_eq!(settled[1], Settled::Recorded);
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    assert_eq!(bed.settle(&ends[0]).await, Settled::Recorded);
}

/// Such as one that tells another server, which is away.
#[tokio::test]
async fn a_strangers_trigger_costs_its_own_row_whatever_it_fails_of() {
    let Some(bed) = bed().await else { return };
    let ids = bed.insert(&[ANN, BOB]).await;
    for code in ["08001", "42501", "54001", "55000", "53100"] {
        let rule = format!(
            "CREATE OR REPLACE FUNCTION mirror() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.mailbox = '{ANN}' THEN RAISE 'away' USING ERRCODE = '{code}'; END IF;
                RETURN NEW;
            END $$;
            CREATE OR REPLACE TRIGGER mirrored BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION mirror()"
        );
        bed.backend.sql(&rule).await.unwrap();
        assert_eq!(bed.claim(ALL).await.ids(), ids[1..], "{code}");
        bed.backend.sql("DROP TRIGGER mirrored ON jobs").await.unwrap();
        let back: Vec<_> = bed.queue().claims().await.unwrap();
        bed.put_back(&back).await;
        bed.backend.sql("UPDATE jobs SET next_attempt_at = now()").await.unwrap();
    }
}

/// Such as one that keeps office hours.
async fn puts_off_again<B: Backend>(bed: Bed<B>, rule: &str) {
    let job = bed.claimed(ANN).await;
    let refused = Settlement {
        kind: Some(ErrorKind::Rejected),
        attempt: None,
        spent: false,
        sent_at: None,
        ..end(&job, Verdict::Unfilled(far()))
    };
    assert_eq!(bed.settle(&refused).await, Settled::Recorded);
    bed.backend.sql(rule).await.unwrap();
    bed.queue().wake().await.unwrap();
    bed.join().await;
    assert!(is_about(bed.job(job.id.0).await.summary.next_attempt_at.time(), far()));
}

#[tokio::test]
async fn a_rule_that_puts_jobs_off_again_does_not_wake_them_for_ever() {
    let hours = "CREATE TRIGGER office_hours AFTER UPDATE OF next_attempt_at ON jobs
        WHEN NEW.next_attempt_at < '2999' BEGIN
            UPDATE jobs SET next_attempt_at = '2999-01-01T00:00:00.000Z' WHERE id = NEW.id; END";
    puts_off_again(Bed::<Sqlite>::new().await, hours).await;
    let Some(bed) = bed().await else { return };
    let hours = "CREATE FUNCTION office() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.next_attempt_at := '2999-01-01'; RETURN NEW; END $$;
        CREATE TRIGGER office_hours BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION office()";
    puts_off_again(bed, hours).await;
}

#[tokio::test]
async fn an_account_that_is_full_keeps_no_event_from_being_recorded() {
    let Some(bed) = bed().await else { return };
    let job = bed.claimed(ANN).await;
    let full = format!(
        "INSERT INTO mailings (mailbox, minute, jobs, recipients)
        SELECT '{ANN}', date_trunc('minute', now()) + m * interval '1 minute', 2147483647, 2147483647 FROM generate_series(-1, 2) AS m"
    );
    bed.backend.sql(&full).await.unwrap();
    let sent = Settlement { mailed: u32::MAX, ..end(&job, event()) };
    assert_eq!(bed.settle(&sent).await, Settled::Recorded);
}

#[tokio::test]
async fn no_job_is_newer_than_its_insert() {
    let Some(bed) = bed().await else { return };
    let row = "INSERT INTO jobs (subject, start_time, end_time, created_at)
        VALUES ('s', '2031-01-01T09:00', '2031-01-01T10:00', '2999-01-01'), ('s', '2031-01-01T09:00', '2031-01-01T10:00', '-infinity')";
    bed.backend.sql(row).await.unwrap();
    let jobs = bed.claim(ALL).await.ids();
    for id in &jobs {
        let created = bed.job(*id).await.summary.created_at.time().unwrap();
        assert!(created <= Utc::now() + TimeDelta::seconds(5), "{created}");
    }
    assert_eq!(jobs.len(), 2);
}

#[tokio::test]
async fn a_database_that_cannot_store_every_text_is_no_place_for_a_queue() {
    let Some(bed) = bed().await else { return };
    for (name, encoding) in [("hands_latin", "LATIN1"), ("hands_ascii", "SQL_ASCII")] {
        let make =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        bed.backend.sql(&make).await.unwrap();
        let refused = PostgresQueue::migrate(database(name)).await.err().unwrap().to_string();
        assert!(refused.contains(encoding) && refused.contains("needs UTF8"), "{refused}");
        bed.backend.sql(&format!("DROP DATABASE {name} (FORCE)")).await.unwrap();
    }
}
