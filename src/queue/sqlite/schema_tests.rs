//! The rules of the schema as any other program meets them: what an INSERT needs, what is refused and in which words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;

use proptest::prelude::*;
use sqlx::Row;

use super::*;
use crate::job::{EventDraft, InvalidJob, parse_utc};

/// The columns of a row in each state.
const IN_STATE: [(&str, &[(&str, &str)]); 5] = [
    ("pending", &[]),
    ("claimed", &[("state", "'claimed'"), ("claimed_at", "'2026-12-01T00:00:00.000Z'"), ("claims", "1")]),
    ("sent", &[("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", "'2026-12-01T00:00:00.000Z'")]),
    ("failed", &[("state", "'failed'"), ("finished_at", "'2026-12-01T00:00:00.000Z'")]),
    ("cancelled", &[("state", "'cancelled'"), ("finished_at", "'2026-12-01T00:00:00.000Z'")]),
];

const INPUT: [(&str, &str); 14] = [
    ("subject", "'other'"),
    ("body", "'other'"),
    ("start_time", "'2026-12-02T09:00'"),
    ("end_time", "'2026-12-02T10:00'"),
    ("location", "'other'"),
    ("attendees", "'[{}]'"),
    ("mailbox", "'other@contoso.com'"),
    ("calendar_id", "'other'"),
    ("body_type", "'html'"),
    ("time_zone", "'Asia/Tokyo'"),
    ("extra", "'{}'"),
    ("dedup_key", "'other'"),
    ("not_before", "'2026-12-01'"),
    ("transaction_id", "'other'"),
];

const INSERT_INSTEAD: &str =
    "this job can no longer be changed, a request for it may have left: insert a new job instead";

async fn due(db: &mut SqliteConnection, id: i64) -> String {
    one(db, &format!("SELECT next_attempt_at FROM jobs WHERE id = {id}")).await
}

fn is_agents_time(text: &str) -> bool {
    text.len() == 24 && parse_utc(text).is_some_and(|time| format_utc(time) == text)
}

// Inserting

#[tokio::test]
async fn the_insert_of_the_contract_is_a_complete_job() {
    let bed = Bed::new().await;
    let before = Utc::now() - TimeDelta::milliseconds(2);
    run(
        &mut bed.stranger().await,
        r#"INSERT INTO jobs (subject, body, start_time, end_time, location, attendees)
           VALUES ('Review', 'Agenda attached', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1',
                   '[{"name":"Ann","address":"ann@contoso.com","required":true}]')"#,
    )
    .await;
    let row = bed.row(1).await;
    for (column, value) in
        [("state", json!("pending")), ("in_doubt", 0.into()), ("attempts", 0.into()), ("claims", 0.into())]
    {
        assert_eq!(row[column], value, "{column}");
    }
    for column in ["event_id", "error_kind", "claimed_at", "finished_at", "first_sent_at", "give_up_at", "mailbox"] {
        assert_eq!(row[column], Value::Null, "{column}");
    }
    for column in ["created_at", "next_attempt_at"] {
        let text = row[column].as_str().unwrap();
        let time = parse_utc(text).unwrap();
        assert!(is_agents_time(text) && before <= time && time <= Utc::now(), "{column}: {text}");
    }
}

#[tokio::test]
async fn the_least_a_job_needs_is_its_times() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')").await;
    assert_eq!(one::<String>(db, "SELECT attendees FROM jobs").await, "[]");
    for sql in [
        "INSERT INTO jobs (start_time) VALUES ('2026-12-01T09:00')",
        "INSERT INTO jobs (end_time) VALUES ('2026-12-01T09:00')",
        "INSERT INTO jobs DEFAULT VALUES",
    ] {
        let error = refusal(db, sql).await;
        assert_eq!(error, "CHECK constraint failed: a_create_has_start_time_and_end_time");
    }
}

/// SQLite makes a table of a list's values, and makes it anew for every row where the list stands in a CHECK or in the condition
/// of an index. Two values it compares.
#[tokio::test]
async fn no_rule_that_every_row_meets_has_a_list_of_more_than_two() {
    let bed = Bed::new().await;
    let rules = "SELECT sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL";
    let rules: Vec<String> = sqlx::query_scalar(rules).fetch_all(&mut bed.stranger().await).await.unwrap();
    let lists = rules.iter().flat_map(|sql| sql.split(" IN (").skip(1)).filter_map(|rest| rest.split(')').next());
    let lists: Vec<_> = lists.collect();
    assert!(lists.contains(&"0, 1"), "{lists:?}");
    assert_eq!(lists.iter().filter(|list| list.split(',').count() > 2).collect::<Vec<_>>(), [&""; 0]);
}

#[tokio::test]
async fn transaction_ids_are_random_uuids_of_version_4_and_never_twice() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(
        db,
        "INSERT INTO jobs (start_time, end_time) WITH RECURSIVE n(i) AS
            (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT 'a', 'b' FROM n",
    )
    .await;
    let ids: Vec<String> = sqlx::query_scalar("SELECT transaction_id FROM jobs").fetch_all(&mut *db).await.unwrap();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000);
    let mut variants = HashSet::new();
    for id in &ids {
        let uuid = uuid::Uuid::parse_str(id).unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, uuid::Variant::RFC4122), "{id}");
        assert_eq!(uuid.hyphenated().to_string(), *id, "lower case, with hyphens");
        variants.insert(id.as_bytes()[19]);
    }
    assert_eq!(variants.len(), 4, "all four forms of the variant");
}

#[tokio::test]
async fn a_producer_may_set_the_transaction_id_once() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("transaction_id", "'mine'")]).await;
    for value in ["'mine'", "''", "NULL", "x'61'", "replace(hex(zeroblob(128)), '0', 'x')"] {
        let error = refusal(db, &insert(&[("transaction_id", value)])).await;
        assert!(error.contains("transaction_id"), "{value}: {error}");
    }
    add(db, &[("transaction_id", "substr(replace(hex(zeroblob(128)), '0', 'x'), 2)")]).await;
}

#[tokio::test]
async fn what_sql_can_judge_is_refused_at_insert() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (column, value, part) in [
        ("attendees", "'ann@contoso.com'", "attendees_is_a_json_array"),
        ("attendees", "'['", "attendees_is_a_json_array"),
        ("attendees", "''", "attendees_is_a_json_array"),
        ("attendees", "'{}'", "attendees_is_a_json_array"),
        ("attendees", "'\"a\"'", "attendees_is_a_json_array"),
        ("attendees", "'null'", "attendees_is_a_json_array"),
        ("attendees", "7", "attendees_is_a_json_array"),
        ("attendees", "NULL", "jobs.attendees"),
        ("extra", "'[]'", "extra_is_a_json_object"),
        ("extra", "'1'", "extra_is_a_json_object"),
        ("extra", "'null'", "extra_is_a_json_object"),
        ("extra", "''", "extra_is_a_json_object"),
        ("extra", "'{'", "extra_is_a_json_object"),
        ("body_type", "'rtf'", "body_type_is_text_or_html"),
        ("body_type", "'HTML'", "body_type_is_text_or_html"),
        ("body_type", "''", "body_type_is_text_or_html"),
        ("body_type", "x'74657874'", "body_type_is_text_or_html"),
        ("start_time", "''", "start_time"),
        ("start_time", "'  '", "start_time"),
        ("start_time", "NULL", "a_create_has_start_time_and_end_time"),
        ("end_time", "''", "end_time"),
        ("end_time", "'  '", "end_time"),
        ("end_time", "NULL", "a_create_has_start_time_and_end_time"),
        ("state", "'done'", "state"),
        ("state", "''", "state"),
        ("state", "NULL", "jobs.state"),
        ("state", "'Pending'", "state"),
        ("in_doubt", "2", "in_doubt"),
        ("in_doubt", "NULL", "in_doubt"),
        ("attempts", "-1", "attempts"),
        ("attempts", "'many'", "attempts"),
        ("claims", "-1", "claims"),
        ("claims", "1.5", "claims"),
        ("error_kind", "'broken'", "error_kind"),
        ("next_attempt_at", "'soon'", "next_attempt_at"),
        ("next_attempt_at", "'2026-12-01 09:00:00'", "next_attempt_at"),
        ("next_attempt_at", "'2026-12-01T09:00:00Z'", "next_attempt_at"),
        ("next_attempt_at", "CAST('2026-12-01T09:00:00.000Z' AS BLOB)", "next_attempt_at"),
        ("next_attempt_at", "NULL", "next_attempt_at"),
    ] {
        let error = refusal(db, &insert(&[(column, value)])).await;
        assert!(error.contains(part), "{column} = {value}: {error}");
    }
    assert_eq!(one::<i64>(db, "SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn sent_and_event_id_come_together() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let finished = ("finished_at", "'2026-12-01T00:00:00.000Z'");
    for columns in [
        &[("state", "'sent'"), finished][..],
        &[("event_id", "'AAMk'")],
        &[("state", "'failed'"), finished, ("event_id", "'AAMk'")],
    ] {
        let error = refusal(db, &insert(columns)).await;
        assert!(error.contains("sent_means_event_id"), "{columns:?}: {error}");
    }
    add(db, IN_STATE[2].1).await;
}

#[tokio::test]
async fn a_final_state_and_finished_at_come_together() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let finished = ("finished_at", "'2026-12-01T00:00:00.000Z'");
    for columns in [
        &[("state", "'sent'"), ("event_id", "'AAMk'")][..],
        &[("state", "'failed'")],
        &[("state", "'cancelled'")],
        &[finished],
    ] {
        let error = refusal(db, &insert(columns)).await;
        assert!(error.contains("final_means_finished_at"), "{columns:?}: {error}");
    }
    add(db, &[]).await;
    let error = refusal(db, "UPDATE jobs SET state = 'claimed', claims = 1").await;
    assert!(error.contains("claimed_means_claimed_at"), "{error}");
}

#[tokio::test]
async fn a_dedup_key_is_taken_once_and_no_key_is_no_clash() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("dedup_key", "'order-7'")]).await;
    let error = refusal(db, &insert(&[("dedup_key", "'order-7'")])).await;
    assert_eq!(error, "UNIQUE constraint failed: jobs.dedup_key");
    add(db, &[("dedup_key", "NULL")]).await;
    add(db, &[]).await;
    add(db, &[("dedup_key", "'ORDER-7'")]).await;
}

#[tokio::test]
async fn a_job_is_not_replaced_whatever_its_state() {
    for (state, columns) in IN_STATE {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        let keyed = [columns, &[("dedup_key", "'order-7'"), ("transaction_id", "'t'")]].concat();
        let id = add(db, &keyed).await;
        let before = bed.row(id).await;
        let id = id.to_string();
        for clash in [("dedup_key", "'order-7'"), ("transaction_id", "'t'"), ("id", id.as_str())] {
            let sql = insert(&[clash, ("subject", "'new'")]).replacen("INSERT", "INSERT OR REPLACE", 1);
            let error = refusal(db, &sql).await;
            assert!(error.contains("cannot be replaced"), "{state} {clash:?}: {error}");
        }
        assert_eq!(bed.row(1).await, before, "{state}");
        assert_eq!(one::<i64>(db, "SELECT count(*) FROM jobs").await, 1, "{state}");
    }
}

#[tokio::test]
async fn a_job_is_not_replaced_by_a_change_of_another_either() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[IN_STATE[1].1, &[("dedup_key", "'a'"), ("transaction_id", "'t'")]].concat()).await;
    add(db, &[("dedup_key", "'b'")]).await;
    for change in ["dedup_key = 'a'", "transaction_id = 't'", "id = 1"] {
        refusal(db, &format!("UPDATE OR REPLACE jobs SET {change} WHERE id = 2")).await;
    }
    assert_eq!(one::<i64>(db, "SELECT count(*) FROM jobs").await, 2);
}

#[tokio::test]
async fn a_second_insert_may_be_ignored_or_turned_into_an_update() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let keyed = insert(&[("dedup_key", "'order-7'"), ("subject", "'new'")]);
    run(db, &keyed.replace("'new'", "'old'")).await;
    let ignore = keyed.replacen("INSERT", "INSERT OR IGNORE", 1);
    assert_eq!(run(db, &ignore).await, 0);
    run(db, &format!("{keyed} ON CONFLICT (dedup_key) DO NOTHING")).await;
    assert_eq!(one::<String>(db, "SELECT group_concat(subject) FROM jobs").await, "old");
    let upsert = format!("{keyed} ON CONFLICT (dedup_key) DO UPDATE SET subject = excluded.subject");
    run(db, &upsert).await;
    assert_eq!(one::<String>(db, "SELECT group_concat(subject) FROM jobs").await, "new");
    // What was ignored leaves nothing behind: the key is free again when its job is gone.
    run(db, &ignore).await;
    run(db, "DELETE FROM jobs").await;
    run(db, &keyed).await;
    run(db, &insert(&[])).await;
    bed.claim().await;
    assert_eq!(refusal(db, &upsert.replace("'new'", "'newest'")).await, INSERT_INSTEAD);
    assert_eq!(run(db, &ignore).await, 0);
}

#[tokio::test]
async fn what_sql_cannot_judge_is_let_in() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for columns in [
        ("subject", "x'00ff'"),
        ("subject", "CAST(x'61ff62' AS TEXT)"),
        ("subject", "42"),
        ("body", "replace(hex(zeroblob(5000000)), '0', 'x')"),
        ("start_time", "'tomorrow'"),
        ("mailbox", "x'ff'"),
        ("not_before", "'when it suits'"),
        ("extra", "CAST(x'7b2261223a22ff227d' AS TEXT)"),
        ("attendees", "CAST(x'5b22ff225d' AS TEXT)"),
    ] {
        add(db, &[columns]).await;
    }
    assert_eq!(one::<i64>(db, "SELECT max(length(body)) FROM jobs").await, 10_000_000);
}

#[tokio::test]
async fn a_stranger_inserts_beside_the_agent_and_sees_its_work() {
    let bed = Bed::new().await;
    let (db, other) = (&mut bed.stranger().await, &mut bed.stranger().await);
    for n in 1..=5 {
        add(db, &[]).await;
        let jobs = bed.claim().await;
        assert_eq!(jobs.len(), 1);
        assert_eq!(one::<i64>(other, "SELECT count(*) FROM jobs WHERE state = 'claimed'").await, n);
        add(other, &[("state", "'cancelled'"), ("finished_at", "'x'")]).await;
    }
}

// When a job is due

#[tokio::test]
async fn not_before_in_every_form_of_the_contract_sets_the_due_time() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (written, stored) in [
        ("2101-02-03T04:05:06Z", "2101-02-03T04:05:06.000Z"),
        ("2101-02-03T04:05:06.7Z", "2101-02-03T04:05:06.700Z"),
        ("2101-02-03T04:05:06.789z", "2101-02-03T04:05:06.789Z"),
        ("2101-02-03T04:05:06", "2101-02-03T04:05:06.000Z"),
        ("2101-02-03 04:05:06", "2101-02-03T04:05:06.000Z"),
        ("2101-02-03 04:05", "2101-02-03T04:05:00.000Z"),
        ("2101-02-03T04:05:06+02:00", "2101-02-03T02:05:06.000Z"),
        ("2101-02-03T04:05:06-05:30", "2101-02-03T09:35:06.000Z"),
        ("2101-02-03T04:05:06+0200", "2101-02-03T02:05:06.000Z"),
        ("2101-02-03t04:05:06z", "2101-02-03T04:05:06.000Z"),
        ("  2101-02-03T04:05:06Z ", "2101-02-03T04:05:06.000Z"),
        ("2101-02-03T04:05:06 +02:00", "2101-02-03T02:05:06.000Z"),
        ("2101-02-03 04:05:06+02", "2101-02-03T02:05:06.000Z"),
        ("2101-02-03 04:05:06.25 -0030", "2101-02-03T04:35:06.250Z"),
        // Never early, not even by less than a millisecond.
        ("2101-02-03T04:05:06.1230001Z", "2101-02-03T04:05:06.124Z"),
        ("2101-02-03T04:05:59.9999999", "2101-02-03T04:06:00.000Z"),
        // What programs have for "never": Python, .NET, Java; and what is the year 10000 in UTC.
        ("9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.9999999-14:00", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31 23:59:59", "9999-12-31T23:59:59.000Z"),
    ] {
        let id = add(db, &[("not_before", &format!("'{written}'"))]).await;
        assert_eq!(due(db, id).await, stored, "{written}");
    }
    assert!(bed.claim().await.is_empty());
}

#[tokio::test]
async fn a_not_before_that_is_over_or_no_time_leaves_the_job_due_at_once() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for written in [
        "'2001-01-01T00:00'",
        "'0001-01-01T00:00:00+14:00'",
        "''",
        "'tomorrow'",
        "x'ff'",
        "1733043600",
        "0",
        "-1",
        "1e300",
        "CAST(x'ff' AS TEXT)",
        "x'323130312d30322d30335430343a30353a30365a'",
        "'2101-02-03'",
        "'2101-02'",
        "2470000.5",
        "'now'",
        "'12:00'",
        "'infinity'",
        "'2101-02-29T09:00'",
        "'2101-02-03T24:00'",
        "'2101-02-03T09:00:60'",
        "'2101-02-03T09:00 UTC'",
        "'2101-02-03T09:00+15'",
        "'2101-02-03T09:00:00.'",
        "'2101-02-03T09:00Z' || char(0)",
        "'2101-02-03T09:00+01' || char(0) || 'x'",
        "'2101-02-03T09:00' || char(160)",
        "char(8206) || '2101-02-03T09:00'",
    ] {
        let id = add(db, &[("not_before", written)]).await;
        let due = due(db, id).await;
        assert!(is_agents_time(&due) && parse_utc(&due).unwrap() <= Utc::now(), "{written}: {due}");
    }
    assert_eq!(bed.claim().await.len(), 27);
}

#[tokio::test]
async fn a_changed_not_before_moves_a_pending_job() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let id = add(db, &[]).await;
    for (written, stored) in [
        ("'2101-02-03T00:00:00Z'", "2101-02-03T00:00:00.000Z"),
        ("'2105-02-03 00:00'", "2105-02-03T00:00:00.000Z"),
        ("'2102-02-03T00:00:00Z'", "2102-02-03T00:00:00.000Z"),
    ] {
        run(db, &format!("UPDATE jobs SET not_before = {written} WHERE id = {id}")).await;
        assert_eq!(due(db, id).await, stored);
    }
    run(db, &format!("UPDATE jobs SET subject = 'same', not_before = not_before WHERE id = {id}")).await;
    assert_eq!(due(db, id).await, "2102-02-03T00:00:00.000Z");
    for written in ["NULL", "'2001-01-01T00:00'", "'tomorrow'"] {
        run(db, &format!("UPDATE jobs SET not_before = '2101-01-01T00:00' WHERE id = {id}")).await;
        run(db, &format!("UPDATE jobs SET not_before = {written} WHERE id = {id}")).await;
        assert!(parse_utc(&due(db, id).await).unwrap() <= Utc::now(), "{written}");
    }
}

#[tokio::test]
async fn a_failed_job_whose_not_before_was_corrected_waits_for_it_when_retried() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let failed = [IN_STATE[3].1, &[("not_before", "'tomorrow'"), ("error_kind", "'invalid_job'")]].concat();
    let (first, second) = (add(db, &failed).await, add(db, &failed).await);
    run(db, &format!("UPDATE jobs SET not_before = '2101-02-03T00:00' WHERE id = {first}")).await;
    run(db, &format!("UPDATE jobs SET state = 'pending', finished_at = NULL WHERE id = {first}")).await;
    let at_once = "state = 'pending', finished_at = NULL, not_before = '2101-02-03 00:00'";
    run(db, &format!("UPDATE jobs SET {at_once} WHERE id = {second}")).await;
    for id in [first, second] {
        assert_eq!(due(db, id).await, "2101-02-03T00:00:00.000Z");
    }
}

#[tokio::test]
async fn a_start_or_end_that_is_no_time_is_told_at_once_and_not_when_the_job_falls_due() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let later = ("not_before", "'2101-02-03T00:00Z'");
    let good = add(db, &[later]).await;
    for column in ["start_time", "end_time"] {
        for no_time in
            ["'soon'", "'2026-02-30T09:00'", "'01.12.2026'", "'2026-12-01T25:00'", "'2026-12-01x'", "x'ff'", "42"]
        {
            let id = add(db, &[later, (column, no_time)]).await;
            assert!(parse_utc(&due(db, id).await).unwrap() <= Utc::now(), "{column} {no_time}");
        }
        // Corrected in time, it waits again; spoilt, it does not.
        run(db, &format!("UPDATE jobs SET {column} = 'soon' WHERE id = {good}")).await;
        assert!(parse_utc(&due(db, good).await).unwrap() <= Utc::now(), "{column}");
        run(db, &format!("UPDATE jobs SET {column} = '2026-12-01 09:30' WHERE id = {good}")).await;
        assert_eq!(due(db, good).await, "2101-02-03T00:00:00.000Z", "{column}");
    }
}

#[tokio::test]
async fn nobody_brings_a_job_forward_beyond_its_not_before() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let id = add(db, &[("not_before", "'2101-02-03T00:00Z'")]).await;
    for recursive in ["OFF", "ON"] {
        run(db, &format!("PRAGMA recursive_triggers = {recursive}")).await;
        for (at, stored) in [("2101-05-03", "2101-05-03"), ("2001-02-03", "2101-02-03"), ("2101-02-02", "2101-02-03")] {
            run(db, &format!("UPDATE jobs SET next_attempt_at = '{at}T00:00:00.000Z' WHERE id = {id}")).await;
            assert_eq!(due(db, id).await, format!("{stored}T00:00:00.000Z"));
        }
    }
    run(db, &format!("UPDATE jobs SET not_before = NULL WHERE id = {id}")).await;
    assert!(parse_utc(&due(db, id).await).unwrap() <= Utc::now());
}

#[tokio::test]
async fn an_old_queue_is_put_right() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let db = &mut options.connect().await.unwrap();
    let all = sqlx::migrate!();
    // As the version before had it.
    let old: Vec<_> = all.iter().filter(|migration| migration.version < 5).cloned().collect();
    sqlx::migrate::Migrator { migrations: old.into(), ..sqlx::migrate!() }.run_direct(None, db, false).await.unwrap();
    for (not_before, columns) in [
        // Where a producer's SQLite rounds the end of the calendar to NULL.
        ("9999-12-31 23:59:59.999999", "next_attempt_at = '2026-12-01T00:00:00.000Z'"),
        ("2099-12-01T09:00:00 +01:00", ""),
        ("2099-12-01", ""),
        ("2101-02-03T00:00Z", "start_time = 'soon'"),
    ] {
        run(db, &insert(&[("not_before", &format!("'{not_before}'"))])).await;
        if !columns.is_empty() {
            run(db, &format!("UPDATE jobs SET {columns} WHERE id = last_insert_rowid()")).await;
        }
    }
    let before: Vec<String> = vec![due(db, 1).await, due(db, 3).await];
    assert!(before[0].as_str() < "2099" && before[1].starts_with("2099-12-01"), "{before:?}");
    sqlx::migrate!().run(&mut *db).await.unwrap();
    assert_eq!(due(db, 1).await, "9999-12-31T23:59:59.999Z");
    assert_eq!(due(db, 2).await, "2099-12-01T08:00:00.000Z");
    for id in [3, 4] {
        assert!(parse_utc(&due(db, id).await).unwrap() <= Utc::now(), "{id}");
    }
}

/// A time, and a text that means it.
fn written_time() -> impl Strategy<Value = (DateTime<Utc>, String)> {
    let instant = (4_133_980_800_000i64..7_258_118_400_000).prop_map(|ms| DateTime::from_timestamp_millis(ms).unwrap());
    let clock = prop::sample::select(vec!["%H:%M", "%H:%M:%S", "%H:%M:%S%.3f", "%H:%M:%S%.9f", "%H:%M:%S%.9f99"]);
    let zone = prop_oneof![
        Just(("", 0)),
        Just(("Z", 0)),
        Just(("  z", 0)),
        (-14i32..15).prop_map(|hours| (" %:z", hours * 60)),
        (-839i32..840).prop_map(|minutes| ("%:z", minutes)),
        (-839i32..840).prop_map(|minutes| ("%z", minutes)),
        (-14i32..15).prop_map(|hours| ("%#z", hours * 60)),
    ];
    let around = prop::sample::select(vec!["", " ", "  ", "\t", "\n", "\r\n", "\u{a0}"]);
    let between = prop::sample::select(vec!["T", " ", "t"]);
    (instant, clock, zone, between, around.clone(), around).prop_map(
        |(time, clock, (zone, minutes), between, left, right)| {
            let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
            let hours = if zone == "%#z" {
                format!("{}{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60)
            } else {
                zone.into()
            };
            let text = time
                .with_timezone(&offset)
                .format(&format!("{left}%Y-%m-%d{between}{clock}{hours}{right}"))
                .to_string();
            let (unit, up) = match clock {
                "%H:%M" => (60_000, 0),
                "%H:%M:%S" => (1000, 0),
                "%H:%M:%S%.9f99" => (1, 1),
                _ => (1, 0),
            };
            (DateTime::from_timestamp_millis(time.timestamp_millis() / unit * unit + up).unwrap(), text)
        },
    )
}

/// A text that means a time, with a few characters changed, left out or put in.
fn mutilated_time() -> impl Strategy<Value = String> {
    let character = prop::sample::select(" 0123456789:-+.,TtZz/\u{0}\u{a0}\n".chars().collect::<Vec<_>>());
    let change = (any::<prop::sample::Index>(), 0..3, character);
    (written_time(), prop::collection::vec(change, 1..4)).prop_map(|((_, text), changes)| {
        let mut text: Vec<char> = text.chars().collect();
        for (at, what, character) in changes {
            let at = at.index(text.len());
            match what {
                0 => text[at] = character,
                1 => text.insert(at, character),
                _ if text.len() > 1 => _ = text.remove(at),
                _ => {}
            }
        }
        text.into_iter().collect()
    })
}

async fn wish(db: &mut SqliteConnection, id: i64) -> Option<String> {
    one(db, &format!("SELECT due FROM job_wishes WHERE id = {id}")).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, ..ProptestConfig::default() })]

    /// A form the agent reads and the database does not would be sent too early; the other way round a fault would be told
    /// on the due day.
    #[test]
    fn the_database_reads_not_before_as_the_agent_does(
        times in prop::collection::vec(written_time(), 200),
        mutilated in prop::collection::vec(mutilated_time(), 1000),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let bed = Bed::new().await;
            let with = |text: &String| NewJob { not_before: Some(text.clone()), ..job("a") };
            let jobs: Vec<_> = times.iter().map(|(_, text)| text).chain(&mutilated).map(with).collect();
            let ids = bed.queue.insert(&jobs).await.unwrap();
            let db = &mut bed.stranger().await;
            let mut accepted = 0;
            for (place, (id, job)) in ids.into_iter().zip(&jobs).enumerate() {
                let agent = EventDraft::from_input(&job.input(), true);
                let wish = wish(db, id).await;
                // A time before 1900 is over for the database, so that the agent tells what is wrong with it.
                let (epoch, before) = ("1970-01-01T00:00:00.000Z", |error: &InvalidJob| error.to_string().contains("1900 to 9999"));
                let told = wish.as_deref() == Some(epoch) && agent.as_ref().err().is_some_and(before);
                assert_eq!(agent.is_ok() || told, wish.is_some(), "{:?} {agent:?} {wish:?}", job.not_before);
                if let (Some(wish), Some((time, text))) = (wish, times.get(place)) {
                    assert_eq!((due(db, id).await, &wish), (format_utc(*time), &format_utc(*time)), "{text:?}");
                    accepted += 1;
                }
            }
            assert!(accepted > 100, "{accepted}");
        });
    }

    /// It may judge them by less than the agent does, never by more.
    #[test]
    fn a_start_the_database_takes_for_none_is_none_for_the_agent(starts in prop::collection::vec(mutilated_time(), 1000)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let bed = Bed::new().await;
            let starts = starts.into_iter().filter(|text| !text.trim_matches(' ').is_empty());
            let later = Some("2101-02-03T00:00Z".to_owned());
            let all_day = Some(r#"{"isAllDay":true}"#.to_owned());
            let with = |text| NewJob { start_time: Some(text), not_before: later.clone(), ..job("a") };
            let jobs: Vec<_> = starts.map(with).map(|job| NewJob { end_time: Some("9999-12-31T00:00".into()), ..job }).collect();
            let ids = bed.queue.insert(&jobs).await.unwrap();
            let db = &mut bed.stranger().await;
            for (id, job) in ids.into_iter().zip(jobs) {
                if wish(db, id).await.is_none() {
                    for extra in [None, all_day.clone()] {
                        let job = NewJob { extra, ..job.clone() };
                        assert!(EventDraft::from_input(&job.input(), true).is_err(), "{:?}", job.start_time);
                    }
                }
            }
        });
    }
}

// Changing and deleting

#[tokio::test]
async fn the_content_is_fixed_while_a_request_may_be_under_way_and_ever_after() {
    for fixed in [
        IN_STATE[1].1,
        IN_STATE[2].1,
        &[("in_doubt", "1")],
        &[("first_sent_at", "'2026-12-01T00:00:00.000Z'")],
        &[("state", "'failed'"), ("finished_at", "'x'"), ("first_sent_at", "'2026-12-01T00:00:00.000Z'")],
        &[("state", "'failed'"), ("finished_at", "'x'"), ("in_doubt", "1")],
        &[("state", "'cancelled'"), ("finished_at", "'x'"), ("in_doubt", "1")],
    ] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        let id = add(db, fixed).await;
        let before = bed.row(id).await;
        for (column, value) in INPUT {
            let error = refusal(db, &format!("UPDATE jobs SET {column} = {value} WHERE id = {id}")).await;
            assert_eq!(error, INSERT_INSTEAD, "{column} {fixed:?}");
        }
        assert_eq!(bed.row(id).await, before);
        // The same value again is not a change, as mappers write that save every column.
        run(db, "UPDATE jobs SET subject = subject, mailbox = mailbox, transaction_id = transaction_id").await;
    }
}

#[tokio::test]
async fn the_content_may_be_changed_as_long_as_nothing_has_left() {
    for free in [
        &[][..],
        &[("state", "'failed'"), ("finished_at", "'x'"), ("error_kind", "'invalid_job'"), ("claims", "1")],
        &[("state", "'cancelled'"), ("finished_at", "'x'")],
        &[("claims", "3"), ("claimed_at", "'2026-12-01T00:00:00.000Z'")],
    ] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        add(db, free).await;
        for (column, value) in INPUT {
            assert_eq!(run(db, &format!("UPDATE jobs SET {column} = {value}")).await, 1, "{column} {free:?}");
        }
    }
}

/// A row as a claim has filled and a refusal has ended it.
async fn filled(db: &mut SqliteConnection, columns: &[(&str, &str)]) -> i64 {
    filled_and_ended(db, columns, "'2026-12-01T00:00:00.000Z'").await
}

async fn filled_and_ended(db: &mut SqliteConnection, columns: &[(&str, &str)], first_sent_at: &str) -> i64 {
    let id = add(db, columns).await;
    run(
        db,
        &format!(
            "UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = '2026-12-01T00:00:00.000Z',
            mailbox = coalesce(mailbox, 'wrong@contoso.com'), body_type = 'text', time_zone = 'UTC',
            defaulted = iif(mailbox IS NULL, 'mailbox body_type time_zone', 'body_type time_zone') WHERE id = {id}"
        ),
    )
    .await;
    run(
        db,
        &format!(
            "UPDATE jobs SET state = 'failed', settled = 'claim ' || claims, finished_at = 'x', error_kind = 'not_found',
            first_sent_at = {first_sent_at} WHERE id = {id}"
        ),
    )
    .await;
    id
}

async fn defaults_of(db: &mut SqliteConnection, id: i64) -> (Option<String>, Option<String>, Option<String>) {
    let query = format!("SELECT mailbox, time_zone, defaulted FROM jobs WHERE id = {id}");
    sqlx::query_as(AssertSqlSafe(query)).fetch_one(db).await.unwrap()
}

fn texts(all: (Option<&str>, Option<&str>, Option<&str>)) -> (Option<String>, Option<String>, Option<String>) {
    (all.0.map(str::to_owned), all.1.map(str::to_owned), all.2.map(str::to_owned))
}

#[tokio::test]
async fn what_defaults_filled_is_taken_out_of_a_job_that_goes_back_after_its_end_and_nothing_else_is() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let back = |id: i64| format!("UPDATE jobs SET state = 'pending', finished_at = NULL WHERE id = {id}");
    let plain = filled(db, &[]).await;
    run(db, &back(plain)).await;
    assert_eq!(defaults_of(db, plain).await, texts((None, None, Some(""))));
    let named = filled(db, &[("mailbox", "'ann@contoso.com'")]).await;
    run(db, &back(named)).await;
    assert_eq!(defaults_of(db, named).await, texts((Some("ann@contoso.com"), None, Some(""))));
    // The rest of it stays fixed: a request has left.
    let error = refusal(db, &format!("UPDATE jobs SET subject = 'other' WHERE id = {plain}")).await;
    assert_eq!(error, INSERT_INSTEAD);
    let error = refusal(db, &format!("UPDATE jobs SET mailbox = 'bob@contoso.com' WHERE id = {plain}")).await;
    assert_eq!(error, INSERT_INSTEAD);
    // The next claim fills them anew, with the defaults of then.
    let jobs = bed.claim().await;
    let again = jobs.iter().find(|job| job.id.0 == plain).unwrap();
    assert_eq!(again.input.time_zone, "Europe/Berlin".into());
    assert_eq!(defaults_of(db, plain).await.2.as_deref(), Some("mailbox body_type time_zone"));
}

#[tokio::test]
async fn a_job_in_doubt_keeps_what_it_was_sent_with() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let id = filled(db, &[]).await;
    run(db, &format!("UPDATE jobs SET in_doubt = 1 WHERE id = {id}")).await;
    let kept = texts((Some("wrong@contoso.com"), Some("UTC"), None));
    assert_eq!(defaults_of(db, id).await, kept);
    // Also where somebody has looked, and ended the doubt by hand.
    run(db, &format!("UPDATE jobs SET in_doubt = 0 WHERE id = {id}")).await;
    run(db, &format!("UPDATE jobs SET state = 'pending', finished_at = NULL WHERE id = {id}")).await;
    assert_eq!(defaults_of(db, id).await, kept);
    for change in ["mailbox = NULL, defaulted = ''", "mailbox = NULL", "defaulted = ''"] {
        refusal(db, &format!("UPDATE jobs SET {change} WHERE id = {id}")).await;
    }
}

#[tokio::test]
async fn what_a_producer_corrects_is_no_default_any_more() {
    for correct in [
        &["UPDATE jobs SET mailbox = 'ann@contoso.com'", "UPDATE jobs SET state = 'pending', finished_at = NULL"][..],
        &["UPDATE jobs SET mailbox = 'ann@contoso.com', state = 'pending', finished_at = NULL"],
    ] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        // As of a job that makes no event: nothing has left.
        let id = filled_and_ended(db, &[], "NULL").await;
        for statement in correct {
            run(db, statement).await;
        }
        let (mailbox, zone, _) = defaults_of(db, id).await;
        assert_eq!((mailbox.as_deref(), zone), (Some("ann@contoso.com"), None), "{correct:?}");
    }
}

#[tokio::test]
async fn nobody_but_a_claim_says_that_a_default_filled_a_column() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let error = refusal(db, &insert(&[("mailbox", "'ann@contoso.com'"), ("defaulted", "'mailbox'")])).await;
    assert!(error.contains("leave it out"), "{error}");
    let waiting = add(db, &[("mailbox", "'ann@contoso.com'")]).await;
    let ended = filled(db, &[("mailbox", "'ann@contoso.com'")]).await;
    for (id, names) in [(waiting, "mailbox"), (waiting, ""), (ended, "mailbox body_type time_zone")] {
        let error = refusal(db, &format!("UPDATE jobs SET defaulted = '{names}' WHERE id = {id}")).await;
        assert!(error.contains("leave it as it is"), "{error}");
    }
    refusal(db, &format!("UPDATE jobs SET state = 'pending', finished_at = NULL, mailbox = NULL WHERE id = {ended}"))
        .await;
}

#[tokio::test]
async fn a_changed_job_must_still_be_a_good_one() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[]).await;
    for change in ["attendees = '{}'", "extra = '[]'", "body_type = 'rtf'", "start_time = ''", "end_time = NULL"] {
        refusal(db, &format!("UPDATE jobs SET {change}")).await;
    }
}

#[tokio::test]
async fn what_may_be_an_event_cannot_be_deleted_and_says_why() {
    for kept in [
        IN_STATE[1].1,
        &[("in_doubt", "1")],
        &[("state", "'failed'"), ("finished_at", "'x'"), ("in_doubt", "1")],
        &[("state", "'cancelled'"), ("finished_at", "'x'"), ("in_doubt", "1")],
    ] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        add(db, kept).await;
        let error = refusal(db, "DELETE FROM jobs").await;
        assert!(error.contains("cannot be deleted") && error.contains("being sent"), "{error}");
        assert_eq!(one::<i64>(db, "SELECT count(*) FROM jobs").await, 1);
    }
}

#[tokio::test]
async fn every_other_job_can_be_deleted_and_its_attempts_go_with_it() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "PRAGMA foreign_keys = OFF").await;
    for state in [0, 2, 3, 4] {
        let (gone, kept) = (add(db, IN_STATE[state].1).await, add(db, IN_STATE[state].1).await);
        for (job, claim) in [(gone, 1), (gone, 2), (kept, 1)] {
            run(
                db,
                &format!(
                    "INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome) VALUES ({job}, {claim}, '', 1, '')"
                ),
            )
            .await;
        }
        assert_eq!(run(db, &format!("DELETE FROM jobs WHERE id = {gone}")).await, 1);
        let left = |id| format!("SELECT count(*) FROM attempts WHERE job_id = {id}");
        assert_eq!((one::<i64>(db, &left(gone)).await, one::<i64>(db, &left(kept)).await), (0, 1));
    }
}

#[tokio::test]
async fn an_id_is_never_given_twice() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let id = add(db, &[]).await;
    run(db, "DELETE FROM jobs").await;
    assert!(add(db, &[]).await > id);
}

// States

#[tokio::test]
async fn a_job_moves_only_along_the_arrows() {
    let allowed = [
        ("pending", &["claimed", "failed", "cancelled"][..]),
        ("claimed", &["pending", "sent", "failed"]),
        ("sent", &[]),
        ("failed", &["pending", "cancelled"]),
        ("cancelled", &["pending"]),
    ];
    for ((from, columns), (_, targets)) in IN_STATE.into_iter().zip(allowed) {
        for to in ["pending", "claimed", "sent", "failed", "cancelled"] {
            let bed = Bed::new().await;
            let db = &mut bed.stranger().await;
            add(db, columns).await;
            let event = if to == "sent" { "'AAMk'" } else { "NULL" };
            let finished = if matches!(to, "pending" | "claimed") { "NULL" } else { "'x'" };
            // A claim keeps its number.
            let more = i64::from((from, to) != ("claimed", "claimed"));
            let sql = format!(
                "UPDATE jobs SET state = '{to}', event_id = {event}, finished_at = {finished}, claimed_at = 'x',
                 claims = claims + {more}, settled = 'claim ' || claims"
            );
            if from == to || targets.contains(&to) {
                assert_eq!(run(db, &sql).await, 1, "{from} -> {to}");
            } else {
                let error = refusal(db, &sql).await;
                assert!(error.contains("not allowed") && error.contains("sent is final"), "{from} -> {to}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn the_doubt_about_a_job_that_waits_is_taken_by_nobody_but_its_settlement() {
    let settled = [
        &[("state", "'failed'"), ("finished_at", "'x'"), ("in_doubt", "1")][..],
        &[("state", "'cancelled'"), ("finished_at", "'x'"), ("in_doubt", "1")],
    ];
    let open = [&[("in_doubt", "1")][..], &[IN_STATE[1].1, &[("in_doubt", "1")]].concat()];
    for columns in open {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        add(db, columns).await;
        let error = refusal(db, "UPDATE jobs SET in_doubt = 0").await;
        assert!(error.contains("an event may exist"), "{error}");
        run(db, "UPDATE jobs SET in_doubt = in_doubt").await;
    }
    for columns in settled {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        add(db, columns).await;
        run(db, "UPDATE jobs SET in_doubt = 0").await;
    }
}

#[tokio::test]
async fn claims_only_grow_and_grow_with_every_claim() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("claims", "5")]).await;
    for change in ["claims = 4", "claims = 0", "state = 'claimed', claimed_at = 'x'"] {
        let error = refusal(db, &format!("UPDATE jobs SET {change}")).await;
        assert!(error.contains("claims only grows"), "{change}: {error}");
    }
    run(db, "UPDATE jobs SET state = 'claimed', claimed_at = 'x', claims = 6").await;
    run(db, "UPDATE jobs SET state = 'pending'").await;
    refusal(db, "UPDATE jobs SET state = 'claimed'").await;
    run(db, "UPDATE jobs SET state = 'claimed', claims = claims + 1").await;
}

#[tokio::test]
async fn a_pause_needs_the_mailbox_in_lower_case_a_time_and_a_reason() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('ann@contoso.com', '2100-01-01T00:00:00Z', 'why')")
        .await;
    for values in ["'Ann@contoso.com', 'x', 'y'", "NULL, 'x', 'y'", "'b@c.d', NULL, 'y'", "'b@c.d', 'x', NULL"] {
        refusal(db, &format!("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ({values})")).await;
    }
    let updated: String = one(db, "SELECT updated_at FROM mailboxes").await;
    assert!(is_agents_time(&updated), "{updated}");
}

#[tokio::test]
async fn only_a_claim_writes_whose_it_is_and_a_job_that_is_not_claimed_is_nobodys() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[]).await;
    let written = "claimed_by is written by the agent";
    assert!(
        refusal(db, "INSERT INTO jobs (start_time, end_time, claimed_by) VALUES ('x', 'y', 7)").await.contains(written)
    );
    assert!(refusal(db, "UPDATE jobs SET claimed_by = 7").await.contains(written));
    run(db, "UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = 'x', claimed_by = 7").await;
    for other in ["8", "NULL"] {
        assert!(refusal(db, &format!("UPDATE jobs SET claimed_by = {other}")).await.contains(written), "{other}");
    }
    // Taken back by a program that knows nothing of the column.
    run(db, "UPDATE jobs SET state = 'pending'").await;
    assert!(one::<bool>(db, "SELECT claimed_by IS NULL AND in_doubt = 1 FROM jobs").await);
    assert!(
        refusal(db, "UPDATE jobs SET state = 'cancelled', finished_at = 'x', claimed_by = 7").await.contains(written)
    );
}

#[tokio::test]
async fn a_hold_needs_no_pause_and_what_the_agent_notes_is_whole() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at) VALUES ('ann@contoso.com', '', '', '2026-12-01')")
        .await;
    let agent = "INSERT INTO agents (host, pid, version, started_at, settings_at) VALUES ('h', 7, '1', 'x', 'x')";
    run(db, agent).await;
    refusal(db, "UPDATE agents SET gate_since = 'x'").await;
    run(db, "UPDATE agents SET gate_since = 'x', gate_until = 'y', gate_kind = 'auth'").await;
    refusal(db, "UPDATE agents SET credential = 'certificate'").await;
    run(db, "UPDATE agents SET credential = 'certificate', credential_expires = 'x'").await;
}

/// What people ask at a glance, of a queue whose rows have bodies.
#[tokio::test]
async fn counting_reads_indexes_and_no_rows() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for query in [
        "SELECT count(*) FROM jobs WHERE state = 'pending'",
        "SELECT count(*) FROM jobs WHERE state = 'claimed'",
        "SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL",
        "SELECT count(*) FROM jobs WHERE finished_at >= '2026-12-01'",
        "SELECT error_kind, count(*) FROM jobs WHERE state = 'failed' GROUP BY error_kind",
        "SELECT count(*) FROM jobs WHERE state = 'cancelled' AND finished_at >= '2026-12-01'",
        "SELECT count(*) FROM jobs WHERE in_doubt = 1",
        "SELECT error_kind, error_code, count(*), max(id) FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL
         GROUP BY error_kind, error_code",
    ] {
        let plan =
            sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"))).fetch_all(&mut *db).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().all(|step| step.contains("USING COVERING INDEX")), "{query}: {plan:?}");
    }
}

#[tokio::test]
async fn the_schema_asks_nothing_that_sqlite_3_26_does_not_know() {
    let schema: String = schema::MIGRATIONS.iter().map(|migration| migration.sql.as_str().to_owned() + "\n").collect();
    let statements: String = schema.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements = statements.to_lowercase();
    for newer in [
        "strict;",
        ") strict",
        "generated always",
        " stored",
        " virtual",
        "octet_length",
        "unixepoch(",
        "iif(",
        "->>",
        "returning",
        "format(",
        "concat(",
        "json_error_position",
        "timediff",
        " materialized",
        "nulls first",
        "nulls last",
        "unhex(",
        "string_agg",
        "jsonb",
    ] {
        assert!(!statements.contains(newer), "{newer}");
    }
}
