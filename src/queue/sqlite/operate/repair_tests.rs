//! The operator's writes: which jobs are meant, what becomes of them, and what the schema says to it.
#![allow(clippy::unwrap_used)]

use super::super::operate::PURGE_BATCH;
use super::super::operate::jobs as repair;
use super::*;
use crate::job::ErrorKind;

const FAILED_AT: &str = "'2099-12-31T12:00:00.000Z'";

/// A job that failed, with these columns besides.
async fn failed(db: &mut SqliteConnection, kind: &str, columns: &[(&str, &str)]) -> i64 {
    let kind = format!("'{kind}'");
    let mut all = vec![("state", "'failed'"), ("finished_at", FAILED_AT), ("error_kind", &kind)];
    all.retain(|(name, _)| columns.iter().all(|(other, _)| other != name));
    all.extend(columns);
    add(db, &all).await
}

async fn found(bed: &Bed, selection: Selection) -> Vec<i64> {
    bed.queue.select(&selection).await.unwrap().iter().map(|job| job.id.0).collect()
}

fn of_failed() -> Selection {
    Selection { states: vec![JobState::Failed], ..Selection::default() }
}

fn done(ids: &[i64]) -> Changed {
    Changed { done: ids.iter().copied().map(JobId).collect(), refused: Vec::new() }
}

async fn retry(bed: &Bed, ids: &[i64]) -> Changed {
    bed.queue.retry_batch(&ids.iter().copied().map(JobId).collect::<Vec<_>>(), now()).await.unwrap()
}

async fn cancel(bed: &Bed, ids: &[i64], even_if_in_doubt: bool) -> Changed {
    let ids: Vec<JobId> = ids.iter().copied().map(JobId).collect();
    bed.queue.cancel_batch(&ids, even_if_in_doubt, now()).await.unwrap()
}

// Which jobs

#[tokio::test]
async fn jobs_are_found_by_what_they_have_in_common() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    failed(db, "denied", &[("mailbox", "'Ann@contoso.com'")]).await;
    failed(db, "rejected", &[("mailbox", "' ann@contoso.com'"), ("finished_at", "'2099-12-31T18:00:00.000Z'")]).await;
    failed(db, "denied", &[("mailbox", "'bob@contoso.com'")]).await;
    add(db, &[("mailbox", "'ann@contoso.com'"), ("error_kind", "'denied'")]).await;
    let kinds = |kinds: &[ErrorKind]| Selection { error_kinds: kinds.to_vec(), ..of_failed() };
    let lanes = |lanes: &[&str]| Selection { lanes: lanes.iter().map(|l| LaneKey::of(l)).collect(), ..of_failed() };
    for (selection, ids) in [
        (of_failed(), vec![1, 2, 3]),
        (Selection::default(), vec![]),
        (kinds(&[ErrorKind::Denied]), vec![1, 3]),
        (kinds(&[ErrorKind::Denied, ErrorKind::Rejected]), vec![1, 2, 3]),
        (lanes(&["ANN@contoso.com"]), vec![1, 2]),
        (lanes(&["ann@contoso.com", "bob@contoso.com"]), vec![1, 2, 3]),
        (Selection { error_kinds: vec![ErrorKind::Denied], ..lanes(&["ann@contoso.com"]) }, vec![1]),
        (Selection { since: Some(now() - TimeDelta::hours(8)), ..of_failed() }, vec![2]),
        (Selection { limit: Some(2), ..of_failed() }, vec![1, 2]),
        (Selection { states: vec![JobState::Pending, JobState::Failed], ..lanes(&["ann@contoso.com"]) }, vec![4, 1, 2]),
    ] {
        assert_eq!(found(&bed, selection.clone()).await, ids, "{selection:?}");
    }
}

#[tokio::test]
async fn failures_an_operator_mends_are_found_even_where_their_time_was_used_up() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let answer = |status: &'static str, code: &'static str| [("http_status", status), ("error_code", code)];
    for kind in ["auth", "denied", "not_found"] {
        failed(db, kind, &[]).await;
    }
    failed(db, "exhausted", &answer("403", "'ErrorAccessDenied'")).await;
    failed(db, "exhausted", &answer("403", "NULL")).await;
    failed(db, "exhausted", &answer("400", "'AuthenticationError'")).await;
    for (status, code) in [("403", "'ErrorQuotaExceeded'"), ("503", "NULL"), ("400", "NULL"), ("NULL", "NULL")] {
        failed(db, "exhausted", &answer(status, code)).await;
    }
    for kind in ["rejected", "invalid_job", "duplicate_transaction"] {
        failed(db, kind, &answer("403", "NULL")).await;
    }
    assert_eq!(found(&bed, Selection { settings_at_fault: true, ..of_failed() }).await, [1, 2, 3, 4, 5, 6]);
    let one = Selection { settings_at_fault: true, since: Some(now()), ..of_failed() };
    assert_eq!(found(&bed, one).await, [0; 0], "the other conditions count as well");
}

#[tokio::test]
async fn no_statement_reads_the_whole_table() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for statement in repair::plans() {
        let plan = plan(db, &statement).await;
        let walks = |line: &&String| line.starts_with("SCAN jobs") && !line.contains("USING");
        assert_eq!(plan.iter().find(walks), None, "{statement}: {plan:#?}");
    }
}

#[tokio::test]
async fn jobs_to_delete_are_found_by_the_index_of_their_state_and_deleted_by_their_ids() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (state, statement) in repair::purge_plans() {
        let index = match state {
            JobState::Failed => "USING INDEX jobs_failed",
            JobState::Cancelled => "USING INDEX jobs_cancelled",
            _ => "USING INDEX jobs_finished",
        };
        let plan = plan(db, &statement).await;
        assert!(plan.iter().any(|line| line.contains(index)), "{statement}: {plan:#?}");
    }
    let plan = plan(db, repair::PURGE).await;
    assert!(plan[0].starts_with("SEARCH jobs USING INTEGER PRIMARY KEY"), "{plan:#?}");
}

pub(super) async fn plan(db: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).fetch_all(db).await.unwrap();
    plan.iter().map(|row| sqlx::Row::get(row, "detail")).collect()
}

// Retry

#[tokio::test]
async fn a_failed_job_starts_anew_and_keeps_what_is_known_of_it() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let id = failed(
        db,
        "denied",
        &[
            ("attempts", "7"),
            ("claims", "9"),
            ("first_sent_at", FAILED_AT),
            ("give_up_at", FAILED_AT),
            ("error_message", "'no'"),
        ],
    )
    .await;
    let before = bed.row(id).await;
    assert_eq!(retry(&bed, &[id]).await, done(&[id]));
    let due = json!({"state": "pending", "finished_at": null, "attempts": 0, "give_up_at": null, "next_attempt_at": format_utc(now())});
    assert_eq!(changes(&before, &bed.row(id).await), due);
    let job = bed.claim().await.remove(0);
    assert_eq!((job.id.0, job.claim, job.attempts), (id, 10, 0));
}

#[tokio::test]
async fn a_cancelled_job_comes_back_too_and_not_before_is_still_heeded() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let cancelled: &[_] = &[("state", "'cancelled'"), ("finished_at", FAILED_AT)];
    add(db, cancelled).await;
    add(db, &[cancelled, &[("not_before", "'2100-01-01T10:00:00+01:00'")]].concat()).await;
    assert_eq!(retry(&bed, &[1, 2]).await, done(&[1, 2]));
    assert_eq!(bed.row(1).await["next_attempt_at"], format_utc(now()));
    assert_eq!(bed.row(2).await["next_attempt_at"], "2100-01-01T09:00:00.000Z");
}

#[tokio::test]
async fn a_job_in_doubt_stays_so_and_waits_until_its_request_has_had_its_time() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    failed(db, "exhausted", &[("in_doubt", "1")]).await;
    let late = format!("'{}'", format_utc(in_ms(900_000)));
    add(db, &[("in_doubt", "1"), ("next_attempt_at", &late)]).await;
    let soon = format!("'{}'", format_utc(in_ms(1500)));
    add(db, &[("in_doubt", "1"), ("next_attempt_at", &soon)]).await;
    assert_eq!(retry(&bed, &[1, 2, 3]).await, done(&[1, 2]));
    for (id, due) in [(1, 2000), (2, 2000), (3, 1500)] {
        let row = bed.row(id).await;
        assert_eq!((&row["next_attempt_at"], &row["in_doubt"]), (&json!(format_utc(in_ms(due))), &json!(1)), "{id}");
    }
}

#[tokio::test]
async fn a_waiting_job_comes_forward_but_not_before_its_wish_and_nothing_else_moves() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let late = format!("'{}'", format_utc(in_ms(900_000)));
    add(db, &[("next_attempt_at", &late), ("attempts", "3"), ("error_kind", "'unavailable'")]).await;
    add(db, &[("not_before", "'2100-01-01T00:01:00Z'")]).await;
    add(db, &[]).await;
    add(db, &[("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", FAILED_AT)]).await;
    add(db, &[("mailbox", "'held'")]).await;
    bed.queue.claim(&ClaimRequest { limit: 1, ..request() }).await.unwrap();
    let before = bed.row(3).await;
    assert_eq!(before["state"], "claimed");
    assert_eq!(retry(&bed, &[1, 2, 3, 4, 99]).await, done(&[1]));
    assert_eq!(changes(&before, &bed.row(3).await), json!({}));
    assert_eq!(
        (&bed.row(1).await["next_attempt_at"], &bed.row(1).await["attempts"]),
        (&json!(format_utc(now())), &json!(3))
    );
    assert_eq!(bed.row(2).await["next_attempt_at"], "2100-01-01T00:01:00.000Z");
}

#[tokio::test]
async fn a_row_the_database_refuses_does_not_stand_in_the_way_of_the_others() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    failed(db, "denied", &[]).await;
    failed(db, "denied", &[]).await;
    failed(db, "denied", &[]).await;
    let rule = "CREATE TRIGGER of_its_own BEFORE UPDATE ON jobs WHEN OLD.id = 2
        BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    run(db, rule).await;
    let changed = retry(&bed, &[1, 2, 3]).await;
    assert_eq!(changed.done, [JobId(1), JobId(3)]);
    assert_eq!(changed.refused, [(JobId(2), "not this one".to_owned())]);
}

// Cancel

#[tokio::test]
async fn what_waits_or_has_failed_is_cancelled_and_nothing_else() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("mailbox", "'a'"), ("next_attempt_at", "'2000-01-01T00:00:00.000Z'")]).await;
    bed.queue.claim(&ClaimRequest { limit: 1, ..request() }).await.unwrap();
    add(db, &[]).await;
    failed(db, "denied", &[]).await;
    add(db, &[("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", FAILED_AT)]).await;
    add(db, &[("state", "'cancelled'"), ("finished_at", FAILED_AT)]).await;
    assert_eq!(cancel(&bed, &[1, 2, 3, 4, 5], false).await, done(&[2, 3]));
    for id in [2, 3] {
        let row = bed.row(id).await;
        assert_eq!((&row["state"], &row["finished_at"]), (&json!("cancelled"), &json!(format_utc(now()))), "{id}");
    }
    assert!(bed.claim().await.is_empty());
}

#[tokio::test]
async fn a_job_in_doubt_is_cancelled_only_by_who_says_so_and_the_doubt_stays() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("in_doubt", "1")]).await;
    failed(db, "exhausted", &[("in_doubt", "1")]).await;
    assert_eq!(cancel(&bed, &[1, 2], false).await, Changed::default());
    assert_eq!(cancel(&bed, &[1, 2], true).await, done(&[1, 2]));
    for id in [1, 2] {
        assert_eq!(
            (&bed.row(id).await["state"], &bed.row(id).await["in_doubt"]),
            (&json!("cancelled"), &json!(1)),
            "{id}"
        );
    }
}

// Purge

#[tokio::test]
async fn a_purge_takes_what_is_old_in_batches_and_keeps_what_is_in_doubt() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for n in 0..150 {
        let at = format!("'2099-12-30T12:00:00.{n:03}Z'");
        failed(db, "denied", &[("finished_at", &at)]).await;
    }
    failed(db, "exhausted", &[("in_doubt", "1")]).await;
    let young = failed(db, "denied", &[("finished_at", "'2099-12-31T23:00:00.000Z'")]).await;
    let sent = add(db, &[("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", FAILED_AT)]).await;
    let waiting = add(db, &[]).await;
    let (before, states) = (now() - TimeDelta::hours(6), [JobState::Failed]);
    assert_eq!(bed.queue.purgeable(before, &states).await.unwrap(), Purgeable { jobs: 150, in_doubt: 1 });
    let found = repair::to_purge(&bed.queue.pool, before, JobState::Failed).await.unwrap();
    assert_eq!(found, (1..=150).map(JobId).collect::<Vec<_>>());
    // Chosen, and before it is deleted put back by somebody.
    retry(&bed, &[1]).await;
    for (batch, deleted) in found.chunks(PURGE_BATCH).zip([99, 50]) {
        assert_eq!(bed.queue.purge_batch(batch, before).await.unwrap(), deleted);
    }
    assert_eq!(repair::to_purge(&bed.queue.pool, before, JobState::Failed).await.unwrap(), []);
    assert_eq!(bed.queue.purge_batch(&[JobId(151), JobId(young), JobId(waiting)], before).await.unwrap(), 0);
    let left: Vec<i64> = bed
        .queue
        .jobs(&JobFilter { limit: 10, ..Default::default() })
        .await
        .unwrap()
        .iter()
        .map(|job| job.id.0)
        .collect();
    assert_eq!(left, [1, 151, young, sent, waiting]);
    assert_eq!(repair::to_purge(&bed.queue.pool, before, JobState::Sent).await.unwrap(), [JobId(sent)]);
    assert_eq!(bed.queue.purge_batch(&[JobId(sent)], before).await.unwrap(), 1);
}
