//! The queue's rows for programs, as `--json` prints them: the columns by their names, in the order of the tables; a flag is
//! true or false, and JSON that a column holds as text is JSON. What is not what its column should hold stands as it is. Fields
//! are only ever added (docs/schema/cli).

use serde_json::{Map, Value};

use crate::job::json;
use crate::queue::{AttemptRow, JobRow, JobSummary, MailboxRow, Parsed, Stored, Trouble};

pub fn stored(stored: &Stored) -> Value {
    match stored {
        Stored::Null => Value::Null,
        Stored::Integer(number) => (*number).into(),
        Stored::Real(number) => (*number).into(),
        other => other.to_string().into(),
    }
}

fn word<T>(parsed: &Parsed<T>, word: impl FnOnce(&T) -> Value) -> Value {
    match parsed {
        Parsed::Known(known) => word(known),
        Parsed::Other(other) => stored(other),
    }
}

fn flag(parsed: &Parsed<bool>) -> Value {
    word(parsed, |flag| (*flag).into())
}

/// JSON in a column of text, if it is of this kind and would be sent as it is written; else the text.
fn nested(column: &Stored, kind: fn(&Value) -> bool) -> Value {
    let inner = column.text().and_then(|text| json::parse(text).ok()).filter(kind);
    inner.unwrap_or_else(|| stored(column))
}

/// The end of a pause; none of a mailbox that was never paused, whose row has the beginning of all time there.
fn pause_end(until: &Stored) -> Value {
    match until.text() {
        Some(text) if text.starts_with("1970-01-01") => Value::Null,
        _ => stored(until),
    }
}

/// What `list` shows.
pub fn summary(job: &JobSummary) -> Map<String, Value> {
    let mut shown = object([
        ("id", job.id.0.into()),
        ("state", word(&job.state, |state| state.as_str().into())),
        ("mailbox", stored(&job.mailbox)),
        ("start_time", stored(&job.start_time)),
        ("end_time", stored(&job.end_time)),
        ("subject", stored(&job.subject)),
        ("attempts", stored(&job.attempts)),
        ("in_doubt", flag(&job.in_doubt)),
        ("next_attempt_at", stored(&job.next_attempt_at)),
        ("event_id", stored(&job.event_id)),
        ("error_kind", word(&job.error_kind, |kind| kind.as_str().into())),
        ("http_status", stored(&job.http_status)),
        ("error_code", stored(&job.error_code)),
        ("error_message", stored(&job.error_message)),
        ("created_at", stored(&job.created_at)),
        ("finished_at", stored(&job.finished_at)),
    ]);
    shown.extend(life(job));
    shown
}

/// The columns that came with operations.
fn life(job: &JobSummary) -> Map<String, Value> {
    object([
        ("operation", stored(&job.operation)),
        ("event_key", stored(&job.event_key)),
        ("target_event_id", stored(&job.target_event_id)),
        ("not_after", stored(&job.not_after)),
        ("priority", stored(&job.priority)),
        ("web_link", stored(&job.web_link)),
        ("ical_uid", stored(&job.ical_uid)),
        ("join_url", stored(&job.join_url)),
        ("cause", word(&job.cause, |cause| cause.as_str().into())),
        ("behind", stored(&job.behind)),
    ])
}

/// Every column of a job.
pub fn job(job: &JobRow) -> Map<String, Value> {
    let of = &job.summary;
    let mut shown = object([
        ("id", of.id.0.into()),
        ("subject", stored(&of.subject)),
        ("body", stored(&job.body)),
        ("start_time", stored(&of.start_time)),
        ("end_time", stored(&of.end_time)),
        ("location", stored(&job.location)),
        ("attendees", nested(&job.attendees, Value::is_array)),
        ("mailbox", stored(&of.mailbox)),
        ("calendar_id", stored(&job.calendar_id)),
        ("body_type", stored(&job.body_type)),
        ("time_zone", stored(&job.time_zone)),
        ("extra", nested(&job.extra, Value::is_object)),
        ("dedup_key", stored(&job.dedup_key)),
        ("not_before", stored(&job.not_before)),
        ("state", word(&of.state, |state| state.as_str().into())),
        ("event_id", stored(&of.event_id)),
        ("in_doubt", flag(&of.in_doubt)),
        ("attempts", stored(&of.attempts)),
        ("claims", stored(&job.claims)),
        ("next_attempt_at", stored(&of.next_attempt_at)),
        ("transaction_id", stored(&job.transaction_id)),
        ("error_kind", word(&of.error_kind, |kind| kind.as_str().into())),
        ("http_status", stored(&of.http_status)),
        ("error_code", stored(&of.error_code)),
        ("error_message", stored(&of.error_message)),
        ("request_id", stored(&job.request_id)),
        ("created_at", stored(&of.created_at)),
        ("claimed_at", stored(&job.claimed_at)),
        ("finished_at", stored(&of.finished_at)),
        ("first_sent_at", stored(&job.first_sent_at)),
        ("give_up_at", stored(&job.give_up_at)),
        ("defaulted", stored(&job.defaulted)),
        ("settled", stored(&job.settled)),
    ]);
    shown.extend(life(of));
    shown.insert("claimed_by".into(), stored(&job.claimed_by));
    shown
}

pub fn attempt(attempt: &AttemptRow) -> Value {
    Value::Object(object([
        ("job_id", stored(&attempt.job_id)),
        ("claim", stored(&attempt.claim)),
        ("started_at", stored(&attempt.started_at)),
        ("duration_ms", stored(&attempt.duration_ms)),
        ("outcome", stored(&attempt.outcome)),
        ("http_status", stored(&attempt.http_status)),
        ("error_code", stored(&attempt.error_code)),
        ("message", stored(&attempt.message)),
        ("request_id", stored(&attempt.request_id)),
        ("client_request_id", stored(&attempt.client_request_id)),
    ]))
}

pub fn mailbox(row: &MailboxRow) -> Value {
    let hold = |column: fn(&crate::queue::HoldColumns) -> &Stored| {
        row.hold.as_ref().map_or(Value::Null, |hold| stored(column(hold)))
    };
    let paced = row.paced.as_ref();
    Value::Object(object([
        ("mailbox", row.mailbox.clone().into()),
        ("paused_until", pause_end(&row.pause.until)),
        ("reason", row.pause.reason.clone().into()),
        ("error_kind", word(&row.pause.kind, |kind| kind.as_str().into())),
        ("strikes", stored(&row.pause.pauses_in_a_row)),
        ("updated_at", stored(&row.pause.written_at)),
        ("held_at", hold(|hold| &hold.since)),
        ("held_reason", hold(|hold| &hold.reason)),
        ("asked_until", stored(&row.pause.asked_until)),
        ("resumed_at", stored(&row.resumed_at)),
        ("paced_until", paced.map_or(Value::Null, |paced| stored(&paced.until))),
        ("paced_reason", paced.map(|paced| paced.reason.clone()).into()),
    ]))
}

pub fn trouble(trouble: &Trouble) -> Value {
    Value::Object(object([
        ("error_kind", stored(&trouble.kind)),
        ("error_code", stored(&trouble.code)),
        ("jobs", trouble.jobs.into()),
        ("error_message", stored(&trouble.message)),
        ("oldest", stored(&trouble.oldest)),
        ("newest_id", trouble.newest_id.into()),
    ]))
}

fn object<const N: usize>(columns: [(&str, Value); N]) -> Map<String, Value> {
    columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection};

    use super::*;
    use crate::job::{JobId, parse_utc};
    use crate::queue::{JobFilter, Operate, Produce, Read, SqliteQueue};

    /// A queue with one job, after these statements of another program.
    async fn queue(sql: &'static str) -> (tempfile::TempDir, SqliteQueue) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue.db");
        let queue = SqliteQueue::open(&path).await.unwrap();
        let job = crate::queue::NewJob {
            subject: Some("Review".into()),
            start_time: Some("2026-12-01T09:00".into()),
            end_time: Some("2026-12-01T10:00".into()),
            ..crate::queue::NewJob::default()
        };
        queue.insert(&[job]).await.unwrap();
        let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        (home, queue)
    }

    const FIXED: &str = "PRAGMA ignore_check_constraints = ON;
        UPDATE jobs SET transaction_id = 'tx', created_at = 'c', next_attempt_at = '2026-12-01T00:00:00.000Z'";

    #[tokio::test]
    async fn a_job_is_shown_with_every_column_in_the_order_of_the_table_and_flags_as_true_or_false() {
        let (_home, queue) = queue(FIXED).await;
        let (shown, _) = queue.job(JobId(1)).await.unwrap().unwrap();
        assert_eq!(
            Value::Object(job(&shown)).to_string(),
            r#"{"id":1,"subject":"Review","body":null,"start_time":"2026-12-01T09:00","end_time":"2026-12-01T10:00","location":null,"attendees":[],"mailbox":null,"calendar_id":null,"body_type":null,"time_zone":null,"extra":null,"dedup_key":null,"not_before":null,"state":"pending","event_id":null,"in_doubt":false,"attempts":0,"claims":0,"next_attempt_at":"2026-12-01T00:00:00.000Z","transaction_id":"tx","error_kind":null,"http_status":null,"error_code":null,"error_message":null,"request_id":null,"created_at":"c","claimed_at":null,"finished_at":null,"first_sent_at":null,"give_up_at":null,"defaulted":null,"settled":null,"operation":"create","event_key":null,"target_event_id":null,"not_after":null,"priority":0,"web_link":null,"ical_uid":null,"join_url":null,"cause":null,"behind":null,"claimed_by":null}"#
        );
    }

    #[tokio::test]
    async fn json_in_a_column_is_json_where_it_is_what_the_column_should_hold() {
        let (_home, queue) =
            queue("UPDATE jobs SET attendees = '[{\"address\":\"a@b.c\"}]', extra = '{\"b\":1,\"a\":[2]}'").await;
        let shown = Value::Object(job(&queue.job(JobId(1)).await.unwrap().unwrap().0));
        assert_eq!(shown["attendees"].to_string(), r#"[{"address":"a@b.c"}]"#);
        assert_eq!(shown["extra"].to_string(), r#"{"b":1,"a":[2]}"#, "in the producer's order");
        assert_eq!(nested(&Stored::Text("[1".into()), Value::is_array), "[1");
        assert_eq!(nested(&Stored::Text("[1]".into()), Value::is_object), "[1]");
        let rounded = r#"{"n":12345678901234567890123}"#;
        assert_eq!(nested(&Stored::Text(rounded.into()), Value::is_object), rounded);
    }

    #[tokio::test]
    async fn a_mailbox_on_hold_that_was_never_paused_has_no_end_of_a_pause() {
        let (_home, queue) = queue("").await;
        let now = parse_utc("2026-12-01T00:00:00Z").unwrap();
        queue.hold_mailbox(&crate::queue::LaneKey::of("ann"), None, now).await.unwrap();
        let shown = mailbox(&queue.mailboxes(now).await.unwrap()[0]);
        assert_eq!((&shown["paused_until"], &shown["held_at"]), (&Value::Null, &"2026-12-01T00:00:00.000Z".into()));
    }

    #[tokio::test]
    async fn a_list_has_its_own_columns_and_shows_nonsense_as_it_stands() {
        let (_home, queue) = queue(
            "PRAGMA ignore_check_constraints = ON;
            UPDATE jobs SET created_at = 'c', next_attempt_at = x'00ff', attempts = 'many',
                error_kind = 'strange', http_status = 1.5, subject = CAST(x'ff' AS TEXT)",
        )
        .await;
        let jobs = queue.jobs(&JobFilter { limit: 9, ..JobFilter::default() }).await.unwrap();
        assert_eq!(
            Value::Object(summary(&jobs[0])).to_string(),
            r#"{"id":1,"state":"pending","mailbox":null,"start_time":"2026-12-01T09:00","end_time":"2026-12-01T10:00","subject":"<1 bytes that are not UTF-8>","attempts":"many","in_doubt":false,"next_attempt_at":"<BLOB of 2 bytes>","event_id":null,"error_kind":"strange","http_status":1.5,"error_code":null,"error_message":null,"created_at":"c","finished_at":null,"operation":"create","event_key":null,"target_event_id":null,"not_after":null,"priority":0,"web_link":null,"ical_uid":null,"join_url":null,"cause":null,"behind":null}"#
        );
    }

    #[tokio::test]
    async fn a_mailbox_an_attempt_and_a_trouble_are_their_rows() {
        let (_home, queue) = queue(
            "UPDATE jobs SET error_kind = 'throttled', error_code = 'Busy', error_message = 'wait', created_at = 'c';
            INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, http_status)
                VALUES (1, 1, 's', 5, 'retry', 429);
            INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind, strikes, updated_at, held_at)
                VALUES ('ann', '2999-01-01T00:00:00.000Z', 'busy', 'throttled', 2, 'u', 'h')",
        )
        .await;
        let now = parse_utc("2026-12-01T00:00:00Z").unwrap();
        assert_eq!(
            mailbox(&queue.mailboxes(now).await.unwrap()[0]).to_string(),
            r#"{"mailbox":"ann","paused_until":"2999-01-01T00:00:00.000Z","reason":"busy","error_kind":"throttled","strikes":2,"updated_at":"u","held_at":"h","held_reason":null,"asked_until":null,"resumed_at":null,"paced_until":null,"paced_reason":null}"#
        );
        assert_eq!(
            attempt(&queue.job(JobId(1)).await.unwrap().unwrap().1[0]).to_string(),
            r#"{"job_id":1,"claim":1,"started_at":"s","duration_ms":5,"outcome":"retry","http_status":429,"error_code":null,"message":null,"request_id":null,"client_request_id":null}"#
        );
        assert_eq!(
            trouble(&queue.overview(now, None, 1).await.unwrap().troubles[0]).to_string(),
            r#"{"error_kind":"throttled","error_code":"Busy","jobs":1,"error_message":"wait","oldest":"c","newest_id":1}"#
        );
    }
}
