//! What is said of an event, by the rows of its key.
#![allow(clippy::unwrap_used)]

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::*;
use crate::queue::SqliteQueue;

const TIMES: &str = "'2026-12-01T09:00', '2026-12-01T10:00'";
const ANN_AND_BOB: &str = r#"'[{"address":"ann@contoso.com"},{"address":"bob@contoso.com"}]'"#;
const ENDED: &str = "'2026-11-30T08:00:00.000Z'";

/// The event k of rows inserted like this.
async fn event(rows: &[String]) -> Event {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let queue = SqliteQueue::open(&path).await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for row in rows {
        sqlx::raw_sql(AssertSqlSafe(format!("INSERT INTO jobs {row}"))).execute(&mut other).await.unwrap();
    }
    other.close().await.unwrap();
    Event::of(&queue, "k").await.unwrap().unwrap()
}

fn waiting_create() -> String {
    format!("(event_key, start_time, end_time, attendees) VALUES ('k', {TIMES}, {ANN_AND_BOB})")
}

/// A job to create it that has ended so, for these attendees.
fn create(state: &str, attendees: &str, more: &str) -> String {
    let event_id = if state == "sent" { "'AAMk'" } else { "NULL" };
    let (columns, values) = more.split_once('=').unwrap_or_default();
    let (columns, values) = match columns {
        "" => (String::new(), String::new()),
        _ => (format!(", {columns}"), format!(", {values}")),
    };
    format!(
        "(event_key, start_time, end_time, attendees, state, event_id, finished_at{columns})
        VALUES ('k', {TIMES}, {attendees}, '{state}', {event_id}, {ENDED}{values})"
    )
}

/// A change of it that was sent, with these columns.
fn sent(operation: &str, columns: &str, values: &str) -> String {
    format!(
        "(event_key, operation, state, event_id, finished_at, {columns})
        VALUES ('k', '{operation}', 'sent', 'AAMk', {ENDED}, {values})"
    )
}

fn mailed(event: &Event) -> Vec<&str> {
    event.steps.iter().map(|step| step.mailed.as_str()).collect()
}

#[tokio::test]
async fn an_event_from_its_invitation_to_its_cancellation() {
    let event = event(&[
        create("sent", ANN_AND_BOB, ""),
        sent("update", "start_time, end_time", TIMES),
        sent("update", "attendees", r#"'[{"address":"cy@contoso.com"}]'"#),
        sent("update", "subject, extra", r#"'New', '{"showAs":"oof"}'"#),
        sent("delete", "body, http_status", "'ill', 202"),
    ])
    .await;
    assert_eq!(event.verdict(), Verdict::Deleted);
    assert_eq!(
        mailed(&event),
        [
            "an invitation to 2 attendees",
            "an update to 2 attendees",
            "those added or removed: an invitation or a cancellation",
            "an update to 1 attendee",
            "a cancellation to 1 attendee"
        ]
    );
    let changes: Vec<_> = event.steps.iter().map(|step| step.changes.join(" ")).collect();
    let expected = ["start_time end_time attendees", "start_time end_time", "attendees", "subject extra", "body"];
    assert_eq!(changes, expected);
    let json = event.json();
    assert_eq!((&json["verdict"], &json["event_id"]), (&json!("deleted"), &Value::Null));
    assert_eq!(
        (&json["jobs"][4]["mailed"], &json["jobs"][4]["id"]),
        (&json!("a cancellation to 1 attendee"), &json!(5))
    );
    assert_eq!(json["jobs"][1]["changes"], json!(["start_time", "end_time"]));
}

#[tokio::test]
async fn an_event_without_attendees_mails_nothing() {
    let all_away = r#"'{"attendees":[]}'"#;
    let event = event(&[
        create("sent", "'[]'", ""),
        sent("update", "location", "'Room 2'"),
        sent("update", "attendees", ANN_AND_BOB),
        sent("update", "extra", all_away),
        sent("update", "subject, web_link", "'x', 'https://outlook/1'"),
        sent("delete", "http_status", "204"),
    ])
    .await;
    assert_eq!(event.steps[3].changes, ["extra"]);
    let expected = [NOTHING, NOTHING, "those added or removed: an invitation or a cancellation"];
    assert_eq!(mailed(&event)[..3], expected);
    assert_eq!(mailed(&event)[3..], [expected[2], NOTHING, NOTHING]);
}

#[tokio::test]
async fn what_is_under_way_waits_and_says_for_what() {
    let update = "(event_key, operation, subject) VALUES ('k', 'update', 'x')".to_owned();
    let event = event(&[waiting_create(), update.clone(), update]).await;
    assert_eq!((event.verdict(), event.verdict().as_str()), (Verdict::NotYet, "not_yet"));
    assert_eq!(mailed(&event), ["nothing yet"; 3]);
    let reasons: Vec<_> = event.steps.iter().map(Step::reason).collect();
    assert_eq!(reasons, ["", "job 1", "job 2"]);
}

#[tokio::test]
async fn the_verdict_follows_from_the_last_job_that_tells() {
    let failed_update = |cause: &str| {
        format!(
            "(event_key, operation, subject, state, finished_at, error_kind, cause)
            VALUES ('k', 'update', 'x', 'failed', {ENDED}, 'target', '{cause}')"
        )
    };
    let doubtful_delete = format!(
        "(event_key, operation, state, finished_at, error_kind, in_doubt)
        VALUES ('k', 'delete', 'failed', {ENDED}, 'exhausted', 1)"
    );
    for (rows, verdict) in [
        (vec![create("failed", "'[]'", "")], Verdict::NeverMade),
        (vec![create("cancelled", "'[]'", "error_kind='superseded'")], Verdict::NeverMade),
        (vec![create("failed", "'[]'", "in_doubt=1")], Verdict::InDoubt),
        (vec![create("sent", "'[]'", "")], Verdict::Exists),
        (vec![create("sent", "'[]'", ""), failed_update("not_organizer")], Verdict::Exists),
        (vec![create("sent", "'[]'", ""), failed_update("event_gone")], Verdict::Deleted),
        (vec![create("sent", "'[]'", ""), doubtful_delete], Verdict::InDoubt),
        (vec![sent("update", "subject", "'x'")], Verdict::Exists),
        (vec![create("sent", "'[]'", ""), sent("delete", "http_status", "404"), waiting_create()], Verdict::NotYet),
    ] {
        assert_eq!(event(&rows).await.verdict(), verdict, "{rows:?}");
    }
}

#[tokio::test]
async fn a_delete_that_found_the_event_gone_mailed_nothing_unless_an_answer_of_its_own_was_lost() {
    let gone = sent("delete", "http_status", "404");
    let event = event(&[create("sent", ANN_AND_BOB, ""), gone]).await;
    assert_eq!(mailed(&event)[1], "nothing, the event was gone before");
    let Event { mut steps, .. } = event;
    steps[1].attempts.push(AttemptRow { outcome: "retry".into(), ..AttemptRow::default() });
    tell_mails(&mut steps);
    assert_eq!(steps[1].mailed, "perhaps a cancellation to 2 attendees");
}

#[tokio::test]
async fn what_graph_gave_back_is_that_of_the_last_job_that_has_it() {
    let event = event(&[
        create("sent", "'[]'", "web_link='https://outlook/1'"),
        sent("update", "subject, join_url", "'x', 'https://teams/1'"),
    ])
    .await;
    let json = event.json();
    assert_eq!((&json["web_link"], &json["join_url"]), (&json!("https://outlook/1"), &json!("https://teams/1")));
    assert_eq!((&json["event_id"], &json["ical_uid"]), (&json!("AAMk"), &Value::Null));
}

#[tokio::test]
async fn a_key_that_no_job_names_is_no_event() {
    let home = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(&home.path().join("queue.db")).await.unwrap();
    assert!(Event::of(&queue, "k").await.unwrap().is_none());
}
