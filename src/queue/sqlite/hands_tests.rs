//! What other hands do to the queue: jobs taken from the agent, triggers that refuse its writes, rules that are gone, numbers
//! that use up the ids.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use sqlx::Row;

use super::super::super::{Claimed, Refusal, Verdict};
use super::super::claim::unfit;
use super::super::report::health::{Integrity, content};
use super::super::schema::{Repairs, Rule, Rules};
use super::settle_tests::{end, sent, settle};
use super::*;
use crate::job::EventId;

// Taken from the agent

/// A queue with one claimed job.
async fn claimed() -> (Bed, Job) {
    let bed = Bed::new().await;
    add(&mut bed.stranger().await, &[]).await;
    let job = bed.claim().await.remove(0);
    (bed, job)
}

/// In doubt, its content fixed, not to be deleted: until the agent or somebody who has looked says otherwise.
async fn assert_in_doubt(db: &mut SqliteConnection, what: &str) {
    assert_eq!(one::<i64>(db, "SELECT in_doubt FROM jobs").await, 1, "{what}");
    for write in ["DELETE FROM jobs", "UPDATE jobs SET subject = 'other'", "UPDATE jobs SET transaction_id = 'other'"] {
        let refused = refusal(db, write).await;
        assert!(
            refused.contains("cannot be deleted") || refused.contains("can no longer be changed"),
            "{what}: {refused}"
        );
    }
    assert!(one::<bool>(db, "SELECT first_sent_at IS NOT NULL FROM jobs").await, "{what}");
}

#[tokio::test]
async fn a_claimed_job_that_another_hand_takes_is_in_doubt_whatever_is_written_along() {
    let (bed, job) = claimed().await;
    // Claimed a second time, so that there are traces of a settlement.
    settle(&bed, &end(&job, Verdict::Pending(now()))).await;
    bed.claim().await;
    let db = &mut bed.stranger().await;
    let columns: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_info('jobs')").fetch_all(&mut *db).await.unwrap();
    assert!(columns.len() > 30, "{columns:?}");
    let ways = [
        "state = 'pending'",
        "state = 'pending', in_doubt = 0, next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        "state = 'failed', finished_at = '2100-01-01T00:00:00.000Z'",
        "state = 'failed', finished_at = '2100-01-01T00:00:00.000Z', in_doubt = 0",
    ];
    let mut taken = 0;
    for way in ways {
        for column in columns.iter().filter(|column| !way.contains(&format!("{column} ="))) {
            for value in [column.as_str(), "NULL", "0", "1", "''", &format!("{column} + 1")] {
                run(db, "BEGIN").await;
                let update = format!("UPDATE jobs SET {way}, {column} = {value}");
                match try_run(db, &update).await {
                    Ok(_) => {
                        assert_in_doubt(db, &update).await;
                        taken += 1;
                    }
                    // It stays the agent's.
                    Err(_) => assert_eq!(one::<String>(db, "SELECT state FROM jobs").await, "claimed", "{update}"),
                }
                run(db, "ROLLBACK").await;
            }
        }
    }
    assert!(taken > 300, "{taken}");
}

#[tokio::test]
async fn the_doubt_outlives_every_way_back_to_pending() {
    let finished = "finished_at = '2100-01-01T00:00:00.000Z'";
    let cancel = format!("state = 'cancelled', {finished}");
    let fail = format!("state = 'failed', {finished}");
    let again = "state = 'pending', finished_at = NULL".to_owned();
    for way in [
        vec![again.clone()],
        vec![again.clone(), cancel.clone(), again.clone()],
        vec![again.clone(), fail.clone(), again.clone()],
        vec![fail.clone(), again.clone()],
        vec![fail.clone(), cancel.clone(), again.clone()],
        vec![fail.clone(), format!("{again}, in_doubt = in_doubt")],
    ] {
        let (bed, _) = claimed().await;
        let db = &mut bed.stranger().await;
        for step in &way {
            run(db, &format!("UPDATE jobs SET {step}")).await;
            assert_in_doubt(db, step).await;
        }
        let refused = refusal(db, "UPDATE jobs SET in_doubt = 0").await;
        assert!(refused.contains("an event may exist"), "{refused}");
        assert!(bed.claim().await[0].in_doubt, "{way:?}");
    }
}

#[tokio::test]
async fn nobody_takes_the_doubt_from_a_job_that_was_taken_from_the_agent() {
    let finished = "finished_at = '2100-01-01T00:00:00.000Z'";
    for end in [
        vec![format!("UPDATE jobs SET state = 'failed', {finished}")],
        vec![format!("UPDATE jobs SET state = 'failed', {finished}"), "UPDATE jobs SET state = 'cancelled'".to_owned()],
        vec![
            "UPDATE jobs SET state = 'pending'".to_owned(),
            format!("UPDATE jobs SET state = 'cancelled', {finished}"),
        ],
    ] {
        let (bed, _) = claimed().await;
        let db = &mut bed.stranger().await;
        for step in &end {
            run(db, step).await;
        }
        for write in [
            "in_doubt = 0",
            "in_doubt = 0, claims = claims + 1",
            "in_doubt = 0, settled = NULL",
            "in_doubt = 0, state = 'cancelled'",
            "in_doubt = 0, state = 'pending', finished_at = NULL",
        ] {
            let refused = refusal(db, &format!("UPDATE jobs SET {write}")).await;
            assert!(refused.contains("an event may exist"), "{end:?} {write}: {refused}");
        }
        assert_in_doubt(db, &end.concat()).await;
    }
}

#[tokio::test]
async fn who_has_looked_takes_the_doubt_from_a_job_that_the_agent_has_ended() {
    // Ended by the agent itself, or put back by it at a start and cancelled then.
    for put_back in [false, true] {
        let (bed, job) = claimed().await;
        let db = &mut bed.stranger().await;
        if put_back {
            bed.queue.join().await.unwrap();
            run(db, "UPDATE jobs SET state = 'cancelled', finished_at = '2100-01-01T00:00:00.000Z'").await;
        } else {
            let in_doubt = Settlement { in_doubt: true, sent_at: Some(now()), ..end(&job, Verdict::Failed) };
            settle(&bed, &in_doubt).await;
        }
        let again = "UPDATE jobs SET state = 'pending', finished_at = NULL, in_doubt = 0";
        assert!(refusal(db, again).await.contains("an event may exist"));
        refusal(db, "UPDATE jobs SET first_sent_at = NULL").await;
        run(db, "UPDATE jobs SET in_doubt = 0").await;
        run(db, again).await;
    }
}

#[tokio::test]
async fn nobody_but_the_agent_says_that_a_job_was_sent() {
    let (bed, job) = claimed().await;
    let db = &mut bed.stranger().await;
    for along in ["in_doubt = 0", "in_doubt = 1", "settled = NULL", "claims = claims"] {
        let forged = format!(
            "UPDATE jobs SET state = 'sent', event_id = 'forged', finished_at = '2100-01-01T00:00:00.000Z', {along}"
        );
        let refused = refusal(db, &forged).await;
        assert!(refused.contains("only the agent records it as sent"), "{refused}");
    }
    settle(&bed, &end(&job, Verdict::Sent(EventId("ours".into()).into()))).await;
    assert_eq!(bed.row(1).await["event_id"], json!("ours"));
}

#[tokio::test]
async fn the_agents_own_end_leaves_no_doubt_at_whatever_time_it_is_due() {
    for due in [0, -5000, 5000] {
        let (bed, job) = claimed().await;
        let due = in_ms(due);
        let before = bed.due(1).await;
        settle(&bed, &end(&job, Verdict::Pending(due))).await;
        let row = bed.row(1).await;
        assert_eq!(
            (&row["in_doubt"], &row["first_sent_at"], &row["state"]),
            (&json!(0), &Value::Null, &json!("pending"))
        );
        // Also to the very place it had.
        let job = bed.claim_at(5000).await.jobs.remove(0).1;
        settle(&bed, &end(&job, Verdict::Pending(before.parse().unwrap()))).await;
        assert_eq!((bed.due(1).await, bed.row(1).await["in_doubt"].clone()), (before, json!(0)));
    }
}

#[tokio::test]
async fn a_job_claimed_by_an_agent_that_wrote_no_settlement_is_put_back_in_doubt() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("state", "'claimed'"), ("claimed_at", "'2026-01-01T00:00:00.000Z'")]).await;
    assert_eq!(bed.queue.join().await.unwrap().jobs, 1);
    assert_in_doubt(db, "recovered").await;
}

#[tokio::test]
async fn a_claim_keeps_its_number_and_a_job_its_id_under_whatever_name() {
    let (bed, job) = claimed().await;
    let db = &mut bed.stranger().await;
    assert!(refusal(db, "UPDATE jobs SET claims = claims + 1").await.contains("claims is the number"));
    for id in ["id", "rowid", "_rowid_", "oid"] {
        for value in ["7", "9007199254740991"] {
            let refused = refusal(db, &format!("UPDATE OR REPLACE jobs SET {id} = {value}")).await;
            assert!(refused.contains("a job keeps its id"), "{id} = {value}: {refused}");
        }
        refusal(db, &format!("UPDATE OR REPLACE jobs SET {id} = -1")).await;
    }
    run(db, "UPDATE jobs SET claims = claims, id = id, rowid = rowid").await;
    assert_eq!(settle(&bed, &end(&job, sent())).await, Settled::Recorded);
}

// Inserted with the agent's columns

#[tokio::test]
async fn nobody_inserts_a_job_as_claimed() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let claimed = insert(&[("state", "'claimed'"), ("claimed_at", "'x'"), ("claims", "1")]);
    for verb in ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"] {
        let refused = refusal(db, &claimed.replacen("INSERT", verb, 1)).await;
        assert!(refused.contains("only the agent claims it"), "{refused}");
    }
    assert_eq!(one::<i64>(db, "SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn no_insert_uses_up_the_ids_of_all_others() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for id in ["9007199254740991", "9007199254740990", "9223372036854775807", "1000000000000001", "1e16"] {
        for verb in ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"] {
            for name in ["id", "rowid"] {
                let refused = refusal(db, &insert(&[(name, id)]).replacen("INSERT", verb, 1)).await;
                assert!(refused.contains("too large"), "{name} = {id}: {refused}");
            }
        }
    }
    for id in ["0", "-1", "-9223372036854775808"] {
        refusal(db, &insert(&[("id", id)])).await;
    }
    for id in ["5", "1000000000000", "1000000000000000"] {
        add(db, &[("id", id)]).await;
    }
    assert_eq!(add(db, &[]).await, 1_000_000_000_000_001, "there is room behind the largest");
    assert_eq!(content(&bed.queue, Duration::from_secs(5)).await.unwrap().last_id, 1_000_000_000_000_001);
}

// Triggers of others

/// What somebody may have on the table, and the words the agent is told.
const REFUSING: [(&str, &str); 5] = [
    ("SELECT RAISE(ABORT, 'audit says no')", "audit says no"),
    ("SELECT RAISE(FAIL, 'audit says no')", "audit says no"),
    ("SELECT RAISE(ROLLBACK, 'audit says no')", "audit says no"),
    ("SELECT RAISE(IGNORE)", "no effect"),
    ("INSERT INTO nowhere VALUES (1)", "no such table: main.nowhere"),
];

/// Of job 2 alone; where the statement cannot even be prepared, of all.
async fn refuse(db: &mut SqliteConnection, when: &str, what: &str) {
    // After the update, where it can: RAISE(FAIL) leaves what was written before it.
    let time = if what.contains("IGNORE") { "BEFORE" } else { "AFTER" };
    run(db, &format!("CREATE TRIGGER audit {time} UPDATE ON jobs WHEN {when} BEGIN {what}; END")).await;
}

async fn states(db: &mut SqliteConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT state FROM jobs ORDER BY id").fetch_all(db).await.unwrap()
}

#[tokio::test]
async fn a_result_that_a_trigger_refuses_is_told_in_its_words_and_the_others_are_recorded() {
    for (what, words) in REFUSING {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        for _ in 0..5 {
            add(db, &[]).await;
        }
        let jobs = bed.claim().await;
        refuse(db, "OLD.id = 2", what).await;
        let ends: Vec<Settlement> = jobs
            .iter()
            .map(|job| {
                let verdict = match job.id.0 {
                    4 => Verdict::Failed,
                    5 => Verdict::Pending(now()),
                    id => Verdict::Sent(EventId(format!("AAMk{id}")).into()),
                };
                let attempt = super::super::super::AttemptRecord {
                    started_at: now(),
                    duration_ms: 1,
                    ending: crate::job::Ending::Sent,
                };
                Settlement { attempt: Some(attempt), ..end(job, verdict) }
            })
            .collect();
        let all = what.contains("nowhere");
        // The good way of a batch whose ends are all alike, and the other.
        for batch in [&ends[..3], &ends[3..]] {
            let settled = bed.settle(batch).await;
            for (end, settled) in batch.iter().zip(settled) {
                match settled {
                    Settled::Refused(why) => assert!(why.contains(words) && (all || end.id.0 == 2), "{what}: {why}"),
                    settled => assert!(settled == Settled::Recorded && !all && end.id.0 != 2, "{what}: {}", end.id),
                }
            }
        }
        if !all {
            assert_eq!(states(db).await, ["sent", "claimed", "sent", "failed", "pending"], "{what}");
        }
        run(db, "DROP TRIGGER audit").await;
        for end in &ends {
            settle(&bed, end).await;
        }
        assert_eq!(states(db).await, ["sent", "sent", "sent", "failed", "pending"], "{what}");
        let history: Vec<i64> =
            sqlx::query_scalar("SELECT job_id FROM attempts ORDER BY job_id").fetch_all(db).await.unwrap();
        assert_eq!(history, [1, 2, 3, 4, 5], "{what}: one each");
    }
}

#[tokio::test]
async fn a_history_or_a_pause_that_a_trigger_refuses_keeps_the_whole_result_and_no_other() {
    for table in ["attempts", "mailboxes"] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        for _ in 0..2 {
            add(db, &[]).await;
        }
        let jobs = bed.claim().await;
        run(db, &format!("CREATE TRIGGER audit BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")).await;
        let pause = Pause {
            lane: LaneKey::of("ann"),
            until: in_ms(1000),
            reason: "why".into(),
            kind: None,
            pauses_in_a_row: 1,
            asked_until: None,
        };
        let attempt =
            super::super::super::AttemptRecord { started_at: now(), duration_ms: 1, ending: crate::job::Ending::Retry };
        let whole = Settlement { attempt: Some(attempt), pause: Some(pause), ..end(&jobs[0], Verdict::Failed) };
        let settled = bed.settle(&[whole, end(&jobs[1], sent())]).await;
        assert_eq!(settled, [Settled::Refused("no".into()), Settled::Recorded], "{table}");
        assert_eq!(states(db).await, ["claimed", "sent"], "{table}");
    }
}

#[tokio::test]
async fn a_claim_that_a_trigger_refuses_rests_and_the_others_of_its_mailbox_are_taken() {
    for (what, words) in &REFUSING[..4] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        for _ in 0..4 {
            add(db, &[]).await;
        }
        refuse(db, "OLD.id = 2", what).await;
        let (mut taken, mut told) = (Vec::new(), Vec::new());
        // One slot, so that the refused one stands in front of the others.
        for _ in 0..6 {
            let claimed = bed.queue.claim(&ClaimRequest { per_lane: 1, ..request() }).await.unwrap();
            taken.extend(claimed.jobs.iter().map(|(_, job)| job.id.0));
            told.extend(claimed.withheld.new);
            assert!(claimed.broken.is_empty());
            if taken.len() == 3 {
                let (count, first) = claimed.withheld.all.unwrap();
                assert_eq!((count, first.id), (1, JobId(2)), "{what}");
                assert!(claimed.next_due.is_some(), "it is tried again");
            }
        }
        assert_eq!(taken, [1, 3, 4], "{what}");
        let silent = what.contains("IGNORE");
        assert!(
            silent || matches!(&told[..], [Refusal { id: JobId(2), why }] if why.contains(words)),
            "{what}: {told:?}"
        );
        assert_eq!(states(db).await, ["claimed", "pending", "claimed", "claimed"], "{what}");
        run(db, "DROP TRIGGER audit").await;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let claimed = bed.queue.claim(&request()).await.unwrap();
        assert_eq!((claimed.jobs.len(), claimed.withheld.all), (1, None), "{what}");
    }
}

#[tokio::test]
async fn a_refused_large_job_holds_up_no_other_large_one() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[("body", "hex(zeroblob(300000))")]).await;
    }
    refuse(db, "OLD.id = 2", "SELECT RAISE(ROLLBACK, 'no')").await;
    let claimed = bed.queue.claim(&request()).await.unwrap();
    assert_eq!(claimed.jobs.iter().map(|(_, job)| job.id.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((claimed.withheld.new.len(), claimed.withheld.met), (1, true));
}

#[tokio::test]
async fn a_start_puts_back_what_can_be_put_back_and_names_the_rest() {
    for (what, words) in REFUSING {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        for _ in 0..3 {
            add(db, &[("mailbox", "'ann'")]).await;
        }
        bed.claim().await;
        refuse(db, "OLD.id = 2", what).await;
        let recovered = bed.queue.join().await.unwrap();
        if what.contains("nowhere") {
            assert_eq!((recovered.jobs, recovered.left.len()), (0, 3));
            continue;
        }
        assert_eq!((recovered.jobs, bed.news().await.limits.len()), (2, 2), "{what}");
        assert!(
            matches!(&recovered.left[..], [left] if left.id == JobId(2) && left.why.contains(words)),
            "{recovered:?}"
        );
        assert_eq!(states(db).await, ["pending", "claimed", "pending"], "{what}");
    }
}

#[tokio::test]
async fn claims_that_nobody_holds_are_put_back_as_far_as_they_are_not_over() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[]).await;
    }
    let jobs = bed.claim().await;
    let claims = bed.queue.claims().await.unwrap();
    assert_eq!(claims, [1, 2, 3].map(|id| (JobId(id), 1)));
    settle(&bed, &end(&jobs[0], sent())).await;
    refuse(db, "OLD.id = 3", "SELECT RAISE(IGNORE)").await;
    let put_back = bed.queue.put_back(&[claims[0], claims[1], (JobId(2), 7), claims[2]]).await.unwrap();
    assert_eq!((put_back.jobs, put_back.left.len(), put_back.left[0].id), (1, 1, JobId(3)));
    assert_eq!(states(db).await, ["sent", "pending", "claimed"]);
    assert_eq!((&bed.row(2).await["in_doubt"], &bed.row(1).await["in_doubt"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn a_row_that_the_checks_refuse_is_left_by_a_start_and_the_others_go_on() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[]).await;
    }
    bed.claim().await;
    run(db, "PRAGMA ignore_check_constraints = ON").await;
    run(db, "UPDATE jobs SET event_id = 'forged' WHERE id = 2").await;
    let recovered = bed.queue.join().await.unwrap();
    assert_eq!(recovered.jobs, 2);
    assert!(recovered.left[0].why.contains("sent_means_event_id"), "{:?}", recovered.left);
}

#[tokio::test]
async fn a_trigger_that_refuses_new_times_does_not_keep_a_start_from_ending() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("created_at", "'2100-01-01T05:00:00.000Z'"), ("next_attempt_at", "'2100-01-01T05:10:00.000Z'")]).await;
    refuse(db, "NEW.next_attempt_at <> OLD.next_attempt_at", "SELECT RAISE(ROLLBACK, 'no')").await;
    bed.queue.join().await.unwrap();
    bed.clock_set(now(), -TimeDelta::hours(5)).await;
    assert_eq!(bed.due(1).await, "2100-01-01T05:10:00.000Z");
}

#[tokio::test]
async fn the_operators_commands_change_what_no_trigger_refuses() {
    for (what, words) in &REFUSING[..3] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        for _ in 0..3 {
            add(db, &[]).await;
        }
        refuse(db, "OLD.id = 2", what).await;
        let changed = bed.queue.cancel_batch(&[1, 2, 3].map(JobId), false, now()).await.unwrap();
        assert_eq!(changed.done, [1, 3].map(JobId), "{what}");
        assert!(changed.refused[0].1.contains(words), "{what}: {changed:?}");
    }
}

#[tokio::test]
async fn retention_deletes_what_no_trigger_refuses_to_let_go() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[("state", "'failed'"), ("finished_at", "'2099-01-01T00:00:00.000Z'")]).await;
    }
    run(db, "CREATE TRIGGER audit AFTER DELETE ON jobs WHEN OLD.id = 2 BEGIN SELECT RAISE(ROLLBACK, 'kept'); END")
        .await;
    assert_eq!(bed.queue.purge(Duration::ZERO, 10).await.unwrap(), 2);
    assert!(bed.queue.purge(Duration::ZERO, 10).await.unwrap_err().to_string().contains("kept"));
    assert_eq!(states(db).await, ["failed"]);
}

// Rules that are gone

#[tokio::test]
async fn a_new_queue_has_its_rules_and_nobody_elses() {
    let bed = Bed::new().await;
    assert_eq!(bed.queue.rules().await.unwrap(), Rules::default());
    assert_eq!(bed.queue.repair().await.unwrap(), Repairs::default());
}

#[tokio::test]
async fn rules_that_are_missing_or_changed_are_found_and_made_again() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "DROP TRIGGER jobs_doubt_is_kept; DROP INDEX jobs_claimed; DROP TABLE jobs_in_the_way").await;
    run(db, "DROP TRIGGER jobs_not_before_changed; CREATE TRIGGER jobs_not_before_changed AFTER UPDATE ON jobs BEGIN SELECT 1; END")
        .await;
    run(
        db,
        "CREATE TRIGGER audit AFTER UPDATE ON jobs BEGIN SELECT 1; END; CREATE UNIQUE INDEX once ON jobs (subject)",
    )
    .await;
    run(db, "CREATE INDEX theirs ON jobs (subject); CREATE TABLE other (x); CREATE TRIGGER o AFTER UPDATE ON other BEGIN SELECT 1; END")
        .await;
    let rules = bed.queue.rules().await.unwrap();
    let names = |rules: &[Rule]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        names(&rules.missing).into_iter().collect::<HashSet<_>>(),
        ["jobs_claimed", "jobs_doubt_is_kept", "jobs_in_the_way"].map(String::from).into()
    );
    assert_eq!(names(&rules.changed), ["jobs_not_before_changed"]);
    assert_eq!(names(&rules.strange), ["audit", "once"]);
    let repairs = bed.queue.repair().await.unwrap();
    assert_eq!((repairs.made.len(), repairs.failed), (4, Vec::new()));
    let rules = bed.queue.rules().await.unwrap();
    assert_eq!((rules.missing.len(), rules.changed.len(), rules.strange.len()), (0, 0, 2));
    let db = &mut bed.stranger().await;
    add(db, &[("in_doubt", "1")]).await;
    refusal(db, "DELETE FROM jobs").await;
}

/// As mappers do it to change a column.
#[tokio::test]
async fn a_table_rebuilt_by_a_mapper_gets_its_rules_back() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[]).await;
    let table: String = one(db, "SELECT sql FROM sqlite_master WHERE name = 'jobs'").await;
    let rebuilt = table.replacen("jobs", "jobs_new", 1);
    run(
        db,
        &format!(
            "PRAGMA foreign_keys = OFF; BEGIN; {rebuilt}; INSERT INTO jobs_new SELECT * FROM jobs; DROP TABLE jobs;
             PRAGMA legacy_alter_table = ON; ALTER TABLE jobs_new RENAME TO jobs; COMMIT"
        ),
    )
    .await;
    bed.queue.close().await;
    let queue = SqliteQueue::open(bed.queue.path()).await.unwrap();
    let rules = queue.rules().await.unwrap();
    assert!(rules.missing.len() > 20 && rules.changed.is_empty(), "{rules:?}");
    queue.repair().await.unwrap();
    assert_eq!(queue.rules().await.unwrap(), Rules::default());
    assert_eq!(queue.claim(&request()).await.unwrap().jobs.len(), 1);
}

// Pauses that are over

#[tokio::test]
async fn pauses_that_are_over_are_forgotten_some_at_a_time_and_holds_are_kept() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (mailbox, until, held) in [
        ("a", "'2099-12-31T23:59:59.999Z'", "NULL"),
        ("b", "'2099-01-01T00:00:00Z'", "NULL"),
        ("c", "'2099-01-01T00:00:00Z'", "NULL"),
        ("held", "'1970-01-01T00:00:00.000Z'", "'2099-01-01'"),
        ("waits", "'2100-01-01T00:00:00.001Z'", "NULL"),
        ("elsewhere", "'2099-12-31T23:00:00-05:00'", "NULL"),
        ("word", "'tomorrow'", "NULL"),
        ("blob", "x'ff'", "NULL"),
    ] {
        let insert = format!(
            "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at) VALUES ('{mailbox}', {until}, 'x', {held})"
        );
        run(db, &insert).await;
    }
    assert_eq!(bed.queue.forget_pauses(2).await.unwrap(), 2);
    assert_eq!(bed.queue.forget_pauses(2).await.unwrap(), 1);
    // Not even the lock is asked for where there is nothing to forget.
    run(db, "BEGIN IMMEDIATE").await;
    assert_eq!(bed.queue.forget_pauses(2).await.unwrap(), 0);
    let left: Vec<String> =
        sqlx::query_scalar("SELECT mailbox FROM mailboxes ORDER BY mailbox").fetch_all(db).await.unwrap();
    assert_eq!(left, ["blob", "elsewhere", "held", "waits", "word"]);
}

#[tokio::test]
async fn what_the_queue_refuses_is_noted_with_the_triggers_that_are_not_its_own() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    refuse(db, "OLD.id = 2", "SELECT 1").await;
    let refusal = |id, why: &str| Some((2, Refusal { id: JobId(id), why: why.into() }));
    let mut note = AgentStatus {
        version: "1",
        started_at: now(),
        settings_at: now(),
        settings_refused: None,
        default: None,
        gate: None,
        credential: None,
        refused: super::super::super::Refusals { results: refusal(7, "no"), claims: None, left: refusal(9, "never") },
    };
    bed.queue.join().await.unwrap();
    bed.queue.report(&note).await.unwrap();
    let said: String = one(db, "SELECT refused FROM agents").await;
    assert_eq!(
        said,
        "2 results cannot be recorded (job 7: no); 2 jobs of an earlier run cannot be put back (job 9: never); \
         triggers on table jobs that are not the queue's own: audit"
    );
    note.refused = Default::default();
    bed.queue.report(&note).await.unwrap();
    assert!(one::<bool>(db, "SELECT refused IS NULL FROM agents").await);
}

// Jobs that no claim would find

fn taken(claimed: &Claimed) -> Vec<i64> {
    claimed.jobs.iter().map(|(_, job)| job.id.0).collect()
}

#[tokio::test]
async fn a_job_that_waits_for_no_time_ends_with_the_reason_and_holds_up_nobody() {
    for due in ["'soon'", "'~'", "''", "'2026-12-01'", "x'00'", "x'ff00'", "x''"] {
        for refused in [false, true] {
            let bed = Bed::new().await;
            let db = &mut bed.stranger().await;
            run(db, "PRAGMA ignore_check_constraints = ON").await;
            let bad = add(db, &[("mailbox", "'bad@contoso.com'"), ("next_attempt_at", due)]).await;
            let good = add(db, &[("mailbox", "'good@contoso.com'")]).await;
            if refused {
                refuse(db, &format!("OLD.id = {bad}"), "SELECT RAISE(ABORT, 'hands off')").await;
            }
            let claimed = bed.queue.claim(&request()).await.unwrap();
            assert_eq!(taken(&claimed), [good], "{due}");
            let row = bed.row(bad).await;
            if refused {
                assert_eq!(claimed.withheld.new, [Refusal { id: JobId(bad), why: "hands off".into() }], "{due}");
                assert_eq!(row["state"], json!("pending"), "{due}");
            } else {
                assert_eq!(claimed.broken, [JobId(bad)], "{due}");
                assert_eq!((&row["state"], &row["error_kind"]), (&json!("failed"), &json!("invalid_job")), "{due}");
                let sound = content(&bed.queue, Duration::from_secs(60)).await.unwrap().integrity;
                assert_eq!(sound, Integrity::Sound, "{due}");
            }
        }
    }
}

#[tokio::test]
async fn a_job_in_no_state_is_told_by_a_start_and_left() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "PRAGMA ignore_check_constraints = ON").await;
    for state in ["'limbo'", "'CLAIMED'", "x'00'"] {
        add(db, &[("state", state)]).await;
    }
    add(db, &[]).await;
    let health = content(&bed.queue, Duration::from_secs(60)).await.unwrap();
    assert!(matches!(&health.integrity, Integrity::Unruly(what) if what.contains("CHECK")), "{health:?}");
    let left = bed.queue.join().await.unwrap().left;
    assert_eq!(left.iter().map(|left| left.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(left.iter().all(|left| left.why.contains("its state is not one")), "{left:?}");
    assert_eq!(taken(&bed.claim_at(0).await), [4]);
}

#[tokio::test]
async fn what_no_claim_would_find_is_looked_for_in_its_own_index() {
    let bed = Bed::new().await;
    for (statement, index) in
        unfit::STATEMENTS.into_iter().zip(["INDEX jobs_waiting (behind=? AND mailbox_key=?)", "INDEX jobs_unfit"])
    {
        let plan: Vec<String> = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&mut bed.stranger().await)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get("detail"))
            .collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:?}");
    }
}

#[tokio::test]
async fn a_job_with_the_most_attempts_there_can_be_ends_like_others() {
    for (verdict, state) in [(sent(), "sent"), (Verdict::Pending(now()), "pending"), (Verdict::Failed, "failed")] {
        for plain in [true, false] {
            let bed = Bed::new().await;
            add(&mut bed.stranger().await, &[("attempts", "1000000000")]).await;
            let job = bed.claim().await.remove(0);
            let end = Settlement { spent: true, ..end(&job, verdict.clone()) };
            let end = if plain { end } else { Settlement { attempt: None, ..end } };
            settle(&bed, &end).await;
            let row = bed.row(1).await;
            assert_eq!((&row["state"], &row["attempts"]), (&json!(state), &json!(1_000_000_000)));
        }
    }
}
