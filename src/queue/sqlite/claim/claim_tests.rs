//! The claim: whose turn it is, what is written at the first claim, what it costs, and rows no program should have
//! written.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::string::string_regex;
use sqlx::Row;

use super::super::claim::{self, lane_heads, overtaken};
use super::*;
use crate::job::{Cause, JobInput};

/// A job of `mailbox` due `due` milliseconds from now.
async fn waiting(db: &mut SqliteConnection, mailbox: &str, due: i64) -> i64 {
    add(db, &[("mailbox", mailbox), ("next_attempt_at", &format!("'{}'", format_utc(in_ms(due))))]).await
}

async fn claim(bed: &Bed, request: &ClaimRequest) -> Claimed {
    bed.queue.claim(request).await.unwrap()
}

fn ids(claimed: &Claimed) -> Vec<i64> {
    claimed.jobs.iter().map(|(_, job)| job.id.0).collect()
}

fn ids_of(claimed: &Claimed, lane: &str) -> Vec<i64> {
    let lane = LaneKey::of(lane);
    claimed.jobs.iter().filter(|(of, _)| *of == lane).map(|(_, job)| job.id.0).collect()
}

fn lanes(free: &[(&str, usize)]) -> HashMap<LaneKey, usize> {
    free.iter().map(|(mailbox, free)| (LaneKey::of(mailbox), *free)).collect()
}

// Whose turn it is

#[tokio::test]
async fn jobs_come_in_order_of_due_time_and_then_of_id() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for due in [-10, -30, -20, -30, 0, 1] {
        waiting(db, "'ann@contoso.com'", due).await;
    }
    let claimed = claim(&bed, &request()).await;
    assert_eq!(ids(&claimed), [2, 4, 3, 1, 5]);
    assert!(claimed.jobs.iter().all(|(lane, job)| lane.as_str() == "ann@contoso.com" && job.claim == 1));
    // The sixth is not due yet, and nobody gets a job twice.
    let again = claim(&bed, &request()).await;
    assert_eq!((ids(&again), again.next_due), (vec![], Some(in_ms(1))));
}

#[tokio::test]
async fn a_claim_is_written_down_for_everybody() {
    let bed = Bed::new().await;
    let id = waiting(&mut bed.stranger().await, "'ann@contoso.com'", -10).await;
    let before = bed.row(id).await;
    let jobs = bed.claim().await;
    assert_eq!((jobs[0].claim, jobs[0].attempts, jobs[0].in_doubt, jobs[0].give_up_at), (1, 0, false, None));
    assert_eq!(
        changes(&before, &bed.row(id).await),
        json!({"state": "claimed", "claims": 1, "claimed_at": "2100-01-01T00:00:00.000Z", "body_type": "text", "time_zone": "Europe/Berlin",
               "defaulted": "body_type time_zone"})
    );
}

#[tokio::test]
async fn what_earlier_attempts_left_is_told() {
    let bed = Bed::new().await;
    let columns = &[
        ("claims", "7"),
        ("attempts", "3"),
        ("in_doubt", "1"),
        ("give_up_at", "'2100-01-02T00:00:00.000Z'"),
        ("first_sent_at", "'2099-12-31T00:00:00.000Z'"),
    ];
    add(&mut bed.stranger().await, columns).await;
    let job = bed.claim().await.remove(0);
    assert_eq!((job.claim, job.attempts, job.in_doubt), (8, 3, true));
    assert_eq!(job.give_up_at, Some(now() + TimeDelta::days(1)));
}

#[tokio::test]
async fn a_lane_gets_no_more_than_its_slots() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["'ann@contoso.com'", "'bob@contoso.com'", "'cy@contoso.com'"] {
        for due in [-3, -2, -1] {
            waiting(db, mailbox, due).await;
        }
    }
    let request =
        ClaimRequest { per_lane: 2, free: lanes(&[("bob@contoso.com", 1), ("cy@contoso.com", 9)]), ..request() };
    let claimed = claim(&bed, &request).await;
    assert_eq!(ids_of(&claimed, "ann@contoso.com"), [1, 2]);
    assert_eq!(ids_of(&claimed, "bob@contoso.com"), [4]);
    assert_eq!(ids_of(&claimed, "cy@contoso.com"), [7, 8, 9]);
}

#[tokio::test]
async fn lanes_in_trouble_share_what_is_left_for_them_and_only_those_with_something_due_take_of_it() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (mailbox, due) in [("'a'", -5), ("'b'", -4), ("'c'", -3), ("'d'", 5000), ("'healthy'", -1)] {
        waiting(db, mailbox, due).await;
    }
    let troubled = ["idle", "a", "b", "c", "d"].map(LaneKey::of);
    let request = ClaimRequest { per_lane: 1, suspects: Suspects { lanes: troubled.into(), limit: 2 }, ..request() };
    assert_eq!(ids(&claim(&bed, &request).await), [1, 2, 5]);
}

#[tokio::test]
async fn all_lanes_together_get_no_more_than_the_limit_the_longest_wait_first() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (mailbox, due) in [("'ann@contoso.com'", -1), ("'bob@contoso.com'", -3), ("'cy@contoso.com'", -2)] {
        waiting(db, mailbox, due).await;
        waiting(db, mailbox, due).await;
    }
    let claimed = claim(&bed, &ClaimRequest { limit: 3, ..request() }).await;
    assert_eq!(ids(&claimed), [3, 4, 5]);
    assert_eq!(ids(&claim(&bed, &ClaimRequest { limit: 0, ..request() }).await), [0; 0]);
    assert_eq!(ids(&claim(&bed, &request()).await), [6, 1, 2]);
}

#[tokio::test]
async fn a_full_or_paused_lane_is_passed_over_and_not_named_as_due() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    waiting(db, "'ann@contoso.com'", -5).await;
    waiting(db, "'bob@contoso.com'", -1).await;
    waiting(db, "'cy@contoso.com'", 5000).await;
    waiting(db, "'dan@contoso.com'", 9000).await;
    let request = ClaimRequest { free: lanes(&[("Ann@Contoso.com", 0), ("cy@contoso.com", 0)]), ..request() };
    let claimed = claim(&bed, &request).await;
    assert_eq!((ids(&claimed), claimed.next_due), (vec![2], Some(in_ms(9000))));
    let again = claim(&bed, &request).await;
    assert_eq!((ids(&again), again.next_due), (vec![], Some(in_ms(9000))));
}

#[tokio::test]
async fn mailboxes_are_told_apart_without_case_and_without_the_space_around_them() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (mailbox, due) in [
        ("'ann@contoso.com'", -3),
        ("'ANN@Contoso.com'", -4),
        ("'Ann@contoso.com '", -2),
        ("char(9) || 'ann@contoso.com' || char(13, 10)", -1),
    ] {
        waiting(db, mailbox, due).await;
    }
    let claimed = claim(&bed, &ClaimRequest { per_lane: 3, ..request() }).await;
    assert_eq!(ids_of(&claimed, "ann@contoso.com"), [2, 1, 3]);
    assert_eq!(ids(&claimed).len(), 3);
    let full = ClaimRequest { free: lanes(&[("aNN@contoso.com", 0)]), ..request() };
    assert_eq!(ids(&claim(&bed, &full).await), [0; 0]);
}

#[tokio::test]
async fn letters_beyond_ascii_keep_their_case_in_rust_as_in_sql() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    waiting(db, "'ÄNN@contoso.com'", -2).await;
    waiting(db, "'änn@contoso.com'", -1).await;
    let claimed = claim(&bed, &ClaimRequest { free: lanes(&[("Änn@contoso.com", 0)]), ..request() }).await;
    assert_eq!(ids(&claimed), [2]);
}

#[tokio::test]
async fn a_job_without_mailbox_shares_the_lane_of_the_default_one() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    waiting(db, "NULL", -4).await;
    waiting(db, "'TEAM@contoso.com'", -3).await;
    waiting(db, "NULL", -2).await;
    waiting(db, "'team@contoso.com'", -1).await;
    assert_eq!(ids(&claim(&bed, &ClaimRequest { free: lanes(&[("team@contoso.com", 0)]), ..request() }).await), [0; 0]);
    let first = claim(&bed, &ClaimRequest { per_lane: 3, ..request() }).await;
    assert_eq!(ids_of(&first, "team@contoso.com").len(), 3);
    assert_eq!(first.jobs.len(), 3);
    assert_eq!(claim(&bed, &ClaimRequest { per_lane: 3, ..request() }).await.jobs.len(), 1);
}

#[tokio::test]
async fn without_a_default_mailbox_the_signed_in_users_own_is_a_lane() {
    let bed = Bed::new().await;
    add(&mut bed.stranger().await, &[]).await;
    let mut request = request();
    request.defaults.mailbox = None;
    request.unnamed = None;
    let claimed = claim(&bed, &request).await;
    assert_eq!(claimed.jobs[0].0, LaneKey::of(""));
    assert_eq!(claimed.jobs[0].1.input.mailbox, Cell::Null);
}

#[tokio::test]
async fn the_signed_in_users_own_mailbox_and_the_one_of_their_name_share_a_lane() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["NULL", "'Agent@contoso.com'", "NULL", "'agent@contoso.com'"] {
        add(db, &[("mailbox", mailbox)]).await;
    }
    let mut request = ClaimRequest { per_lane: 3, unnamed: Some("agent@contoso.com".into()), ..request() };
    request.defaults.mailbox = None;
    let claimed = claim(&bed, &request).await;
    assert_eq!(ids_of(&claimed, "agent@contoso.com").len(), 3);
    assert_eq!(claimed.jobs.len(), 3);
}

#[tokio::test]
async fn the_next_due_time_is_the_earliest_of_the_lanes_that_wait() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    assert_eq!(claim(&bed, &request()).await.next_due, None);
    for (mailbox, due) in [("'ann@contoso.com'", 3000), ("'ann@contoso.com'", 2500), ("'bob@contoso.com'", 2000)] {
        waiting(db, mailbox, due).await;
    }
    assert_eq!(claim(&bed, &request()).await.next_due, Some(in_ms(2000)));
    let claimed = bed.claim_at(2000).await;
    assert_eq!((ids(&claimed), claimed.next_due), (vec![3], Some(in_ms(2500))));
}

// What it costs

#[tokio::test]
async fn a_claim_that_finds_nothing_due_neither_writes_nor_asks_for_the_lock() {
    let bed = Bed::new().await;
    let (db, watcher) = (&mut bed.stranger().await, &mut bed.stranger().await);
    waiting(db, "'ann@contoso.com'", 1).await;
    waiting(db, "'bob@contoso.com'", -1).await;
    let request = ClaimRequest { free: lanes(&[("bob@contoso.com", 0)]), ..request() };
    let before: i64 = one(watcher, "PRAGMA data_version").await;
    run(db, "BEGIN IMMEDIATE").await;
    let claimed = tokio::time::timeout(Duration::from_secs(2), claim(&bed, &request)).await.expect("it waited");
    assert_eq!((ids(&claimed), claimed.next_due), (vec![], Some(in_ms(1))));
    run(db, "ROLLBACK").await;
    claim(&bed, &request).await;
    assert_eq!(one::<i64>(watcher, "PRAGMA data_version").await, before);
    claim(&bed, &ClaimRequest { free: HashMap::new(), ..request }).await;
    assert_ne!(one::<i64>(watcher, "PRAGMA data_version").await, before, "a claim that takes something is seen");
}

#[tokio::test]
async fn a_due_time_that_is_no_time_does_not_make_the_claim_ask_for_the_lock_for_ever() {
    let bed = Bed::new().await;
    let (db, watcher) = (&mut bed.stranger().await, &mut bed.stranger().await);
    add(db, &[("next_attempt_at", "'9999-99-99T99:99:99.999Z'")]).await;
    run(db, "BEGIN IMMEDIATE").await;
    let claimed = tokio::time::timeout(Duration::from_secs(2), claim(&bed, &request())).await.expect("it waited");
    assert_eq!(ids(&claimed), [0; 0]);
    assert_eq!(one::<i64>(watcher, "SELECT count(*) FROM jobs WHERE state = 'pending'").await, 1);
}

#[tokio::test]
async fn the_statements_walk_the_index_of_the_lanes_and_never_the_table() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let mut plans = Vec::new();
    for statement in lane_heads::STATEMENTS.into_iter().chain(claim::STATEMENTS) {
        let plan: Vec<String> = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&mut *db)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get("detail"))
            .collect();
        plans.push(plan.into_iter().filter(|line| !line.ends_with("lane")).collect::<Vec<_>>());
    }
    macro_rules! in_lane {
        () => {
            "INDEX jobs_waiting (behind=? AND mailbox_key=? AND mails=? AND priority=? AND "
        };
    }
    const BY_ID: &str = "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)";
    for (plan, searches) in plans.iter().zip([
        &[
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key>?)",
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key=? AND mails=? AND priority>?)",
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key=? AND mails>?)",
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key>?)",
        ][..],
        &[concat!("SEARCH jobs USING COVERING ", in_lane!(), "next_attempt_at<?)")],
        &[concat!("SEARCH jobs USING COVERING ", in_lane!(), "next_attempt_at>? AND next_attempt_at<?)"), BY_ID],
        &[concat!("SEARCH jobs USING ", in_lane!(), "next_attempt_at<?)")],
        &[BY_ID],
        &[BY_ID],
        &[BY_ID],
    ]) {
        let found: Vec<_> = plan.iter().filter(|line| line.contains("SEARCH jobs")).collect();
        assert_eq!(found, searches, "{plans:#?}");
    }
    for plan in [&plans[0], &plans[2]] {
        let orders = plan.iter().filter(|line| line.contains("mailboxes")).collect::<Vec<_>>();
        let resumed = "SEARCH mailboxes USING COVERING INDEX mailboxes_resumed (resumed_at>?)";
        assert_eq!(orders, ["SCAN mailboxes USING INDEX mailboxes_held", resumed], "{plans:#?}");
    }
    // The jobs of a lane come in the order of the index: sorting them would mean reading them all.
    let walks = |line: &String| line.contains("SCAN jobs") || line.contains("TEMP B-TREE");
    assert!(!plans.iter().flatten().any(walks), "{plans:#?}");
}

#[tokio::test]
async fn what_is_overtaken_is_looked_for_in_indexes_of_its_own() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for statement in overtaken::STATEMENTS {
        let plan = super::repair_tests::plan(db, statement).await;
        let searches = |line: &&String| line.contains("SEARCH") || line.contains("SCAN jobs");
        let by_its_own = |line: &&String| {
            ["jobs_deadlines", "jobs_deletes_behind", "jobs_event_", "jobs_targets", "INTEGER PRIMARY KEY"]
                .iter()
                .any(|index| line.contains(index))
        };
        let others: Vec<_> = plan.iter().filter(searches).filter(|line| !by_its_own(line)).collect();
        assert!(others.is_empty() && plan.iter().any(|line| by_its_own(&line)), "{statement}: {plan:#?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{statement}: {plan:#?}");
    }
}

/// However long an event's history is.
#[tokio::test]
async fn whose_turn_it_is_and_what_a_change_means_is_found_among_what_has_not_ended_and_among_creates() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let plan = super::repair_tests::plan(db, "SELECT behind, next FROM job_turns WHERE id = 1").await;
    let searches: Vec<_> = plan.iter().filter(|line| line.contains("SEARCH e ")).collect();
    let open = |line: &&&String| line.contains("jobs_event_keys_open") || line.contains("jobs_targets_open");
    assert_eq!((searches.len(), searches.iter().filter(open).count()), (6, 6), "{plan:#?}");
    let plan = super::repair_tests::plan(db, claim::STATEMENTS[4]).await;
    let followed = super::repair_tests::plan(db, lane_heads::OF_EVENTS).await;
    assert!(followed.iter().any(|line| line.ends_with("jobs_waiting (behind=?)")), "{followed:#?}");
    let creates: Vec<_> = plan.iter().filter(|line| line.contains("SEARCH c ")).collect();
    assert!(creates.len() == 2 && creates.iter().all(|line| line.contains("jobs_event_creates")), "{plan:#?}");
}

/// SQLite looks at the value of a bare parameter behind LIMIT while it plans, and plans anew whenever it is bound again.
#[test]
fn no_statement_of_the_claim_is_compiled_anew_for_the_number_of_jobs_it_may_take() {
    for statement in claim::STATEMENTS {
        let mut limits = statement.split("LIMIT ").skip(1);
        assert!(
            limits.all(|limit| limit.starts_with('1') || limit.split(')').next().unwrap().ends_with(" + 0")),
            "{statement}"
        );
    }
}

/// Steps of SQLite's virtual machine that `request` takes in the agent's connection.
async fn steps(bed: &Bed, request: &ClaimRequest) -> (u64, Claimed) {
    let steps = Arc::new(AtomicU64::new(0));
    let counter = steps.clone();
    let mut connection = bed.queue.pool.acquire().await.unwrap();
    connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        true
    });
    drop(connection);
    let claimed = claim(bed, request).await;
    bed.queue.pool.acquire().await.unwrap().lock_handle().await.unwrap().remove_progress_handler();
    (steps.load(Ordering::Relaxed), claimed)
}

async fn crowd(db: &mut SqliteConnection, jobs: u32) {
    run(
        db,
        &format!(
            "INSERT INTO jobs (start_time, end_time, mailbox, next_attempt_at) WITH RECURSIVE n(i) AS
                (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})
             SELECT 'a', 'b', 'crowd@contoso.com', '2099-01-01T00:00:00.000Z' FROM n"
        ),
    )
    .await;
}

#[tokio::test]
async fn the_cost_of_a_claim_does_not_grow_with_the_jobs_that_wait() {
    let (few, many) = (Bed::new().await, Bed::new().await);
    for (bed, jobs) in [(&few, 20), (&many, 20_000)] {
        let db = &mut bed.stranger().await;
        crowd(db, jobs).await;
        waiting(db, "'zoe@contoso.com'", -1).await;
    }
    let blocked = ClaimRequest { free: lanes(&[("crowd@contoso.com", 0), ("zoe@contoso.com", 0)]), ..request() };
    let paused = ClaimRequest { free: lanes(&[("crowd@contoso.com", 0)]), ..request() };
    let some = ClaimRequest { per_lane: 4, ..request() };
    for (request, taken) in [(&blocked, 0), (&paused, 1), (&some, 4)] {
        let ((of_few, first), (of_many, second)) = (steps(&few, request).await, steps(&many, request).await);
        assert_eq!((first.jobs.len(), second.jobs.len()), (taken, taken));
        assert!(of_few > 0 && of_many <= of_few + of_few / 10, "{taken} taken: {of_few} and {of_many} steps");
    }
}

// Defaults

#[tokio::test]
async fn defaults_are_frozen_at_the_first_claim_and_kept_when_the_settings_change() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[]).await;
    add(db, &[("mailbox", "'ann@contoso.com'"), ("body_type", "'html'"), ("time_zone", "'Asia/Tokyo'")]).await;
    let frozen =
        |job: &Job| (job.id.0, job.input.mailbox.clone(), job.input.body_type.clone(), job.input.time_zone.clone());
    let expected = [
        (1, "Team@contoso.com".into(), "text".into(), "Europe/Berlin".into()),
        (2, "ann@contoso.com".into(), "html".into(), "Asia/Tokyo".into()),
    ];
    let mut first: Vec<_> = bed.claim().await.iter().map(frozen).collect();
    first.sort_by_key(|job| job.0);
    assert_eq!(first, expected);
    run(db, "UPDATE jobs SET state = 'pending'").await;
    let mut request = request();
    request.defaults = Defaults {
        mailbox: Some("new@contoso.com".into()),
        body_type: BodyType::Html,
        time_zone: Some("UTC".into()),
        own_mailbox: true,
    };
    let mut second: Vec<_> = claim(&bed, &request).await.jobs.iter().map(|(_, job)| frozen(job)).collect();
    second.sort_by_key(|job| job.0);
    assert_eq!(second, expected);
}

#[tokio::test]
async fn a_job_of_which_a_request_may_have_left_is_not_filled() {
    for left in [&[("first_sent_at", "'2099-01-01T00:00:00.000Z'")][..], &[("in_doubt", "1")]] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        add(db, left).await;
        add(db, &[]).await;
        let jobs = bed.claim().await;
        assert_eq!(jobs.len(), 2, "the one beside it is claimed too");
        let input = &jobs.iter().find(|job| job.id.0 == 1).unwrap().input;
        assert_eq!((&input.mailbox, &input.body_type, &input.time_zone), (&Cell::Null, &Cell::Null, &Cell::Null));
    }
}

fn time() -> impl Strategy<Value = String> {
    let form = "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,7})?)?";
    let zone = "(Z|z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]| UTC|)";
    prop_oneof![
        8 => string_regex(&format!(" {{0,2}}{form}{zone}[ \t\n]{{0,2}}")).unwrap(),
        1 => string_regex("[ -~]{1,30}").unwrap(),
        1 => string_regex("[0-9T:Z+-]{14,20}").unwrap(),
    ]
    .prop_filter("the schema refuses empty times", |text| !text.trim_matches(' ').is_empty())
}

/// With a recurrence, or nearly so.
fn extra() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["recurrence", "Recurrence", r"\u0072ecurrence", "recurrence ", ""]);
    let value = prop::sample::select(vec!["null", "{}", "[]", "0", "false", "\"x\"", r#"{"recurrence":{}}"#]);
    (key, value, any::<bool>()).prop_map(|(key, value, all_day)| format!(r#"{{"isAllDay":{all_day},"{key}":{value}}}"#))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn the_claim_fills_the_same_defaults_as_the_domain(
        rows in prop::collection::vec((time(), prop::option::of(extra()), prop::option::of("[A-Z/ ]{0,12}"), any::<bool>(), any::<bool>()), 200),
        chosen in any::<bool>(),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let bed = Bed::new().await;
            let jobs: Vec<_> = rows
                .into_iter()
                .map(|(start, extra, zone, mailbox, html)| NewJob {
                    start_time: Some(start),
                    end_time: Some("2026-12-01T10:00".into()),
                    extra,
                    time_zone: zone,
                    mailbox: mailbox.then(|| "ann@contoso.com".to_owned()),
                    body_type: html.then(|| "html".to_owned()),
                    ..NewJob::default()
                })
                .collect();
            bed.queue.insert(&jobs).await.unwrap();
            let mut request = request();
            request.defaults.time_zone = request.defaults.time_zone.filter(|_| chosen);
            let claimed = claim(&bed, &request).await.jobs;
            assert_eq!(claimed.len(), 200);
            for (_, job) in claimed {
                let written = jobs[usize::try_from(job.id.0).unwrap() - 1].input();
                let expected = JobInput { transaction_id: job.input.transaction_id.clone(), ..written };
                assert_eq!(job.input, expected.with_defaults(&request.defaults));
            }
        });
    }
}

// Rows no program should have written

const BIG: &str = "replace(hex(zeroblob(5000000)), '0', 'x')";

#[tokio::test]
async fn poison_is_claimed_beside_healthy_rows_and_told_for_what_it_is() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    type Column = fn(&JobInput) -> &Cell;
    let broken: [(&str, Column); 9] = [
        ("subject", |input| &input.subject),
        ("body", |input| &input.body),
        ("start_time", |input| &input.start_time),
        ("end_time", |input| &input.end_time),
        ("location", |input| &input.location),
        ("mailbox", |input| &input.mailbox),
        ("calendar_id", |input| &input.calendar_id),
        ("time_zone", |input| &input.time_zone),
        ("dedup_key", |input| &input.dedup_key),
    ];
    let mut expected: Vec<(i64, &str, Column, Cell)> = Vec::new();
    for (column, cell) in broken {
        for (value, seen) in [
            ("x'00ff00'", Cell::Blob),
            ("x''", Cell::Blob),
            ("CAST(x'ff41fe42' AS TEXT)", Cell::NotUtf8),
            ("42", Cell::from("42")),
            ("1.5", Cell::from("1.5")),
            ("'a' || char(0) || 'b'", Cell::from("a\0b")),
        ] {
            if value == "x''" && column.ends_with("_time") {
                continue;
            }
            expected.push((add(db, &[(column, value)]).await, column, cell, seen));
        }
    }
    for (column, value, cell, seen) in [
        ("not_before", "x'ff'", (|input| &input.not_before) as Column, Cell::Blob),
        ("not_before", "CAST(x'ff' AS TEXT)", |input| &input.not_before, Cell::NotUtf8),
        ("attendees", "CAST(x'5b22ff225d' AS TEXT)", |input| &input.attendees, Cell::NotUtf8),
        ("extra", "CAST(x'7b2261223a22ff227d' AS TEXT)", |input| &input.extra, Cell::NotUtf8),
        ("transaction_id", "CAST(x'ff' AS TEXT)", |input| &input.transaction_id, Cell::NotUtf8),
        ("transaction_id", "'a' || char(0) || 'b'", |input| &input.transaction_id, Cell::from("a\0b")),
        ("body", BIG, |input| &input.body, Cell::TooLarge(10_000_000)),
        ("mailbox", BIG, |input| &input.mailbox, Cell::TooLarge(10_000_000)),
        (
            "attendees",
            "'[\"' || replace(hex(zeroblob(2500000)), '0', 'x') || '\"]'",
            |input| &input.attendees,
            Cell::TooLarge(5_000_004),
        ),
        ("subject", "x'00' || zeroblob(1)", |input| &input.subject, Cell::from("\0\0")),
    ] {
        expected.push((add(db, &[(column, value)]).await, column, cell, seen));
    }
    let healthy = [add(db, &[]).await, add(db, &[("mailbox", "'ann@contoso.com'")]).await];

    let claimed = bed.claim().await;
    assert_eq!(claimed.len(), expected.len() + healthy.len());
    let jobs: HashMap<i64, &Job> = claimed.iter().map(|job| (job.id.0, job)).collect();
    for (id, column, cell, seen) in expected {
        assert_eq!(*cell(&jobs[&id].input), seen, "{column} of {id}");
    }
    assert!(healthy.iter().all(|id| jobs[id].input.mailbox != Cell::Null));
    let again = claim(&bed, &request()).await;
    assert_eq!(again.jobs.len(), 0);
}

#[tokio::test]
async fn the_largest_request_fits_and_one_byte_more_is_too_large() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let sized = "replace(hex(zeroblob(2097152)), '0', 'x')";
    add(db, &[("body", sized)]).await;
    add(db, &[("body", &format!("{sized} || 'x'"))]).await;
    let mut jobs = bed.claim().await;
    jobs.sort_by_key(|job| job.id);
    assert!(matches!(&jobs[0].input.body, Cell::Text(text) if text.len() == 4_194_304));
    assert_eq!(jobs[1].input.body, Cell::TooLarge(4_194_305));
}

#[tokio::test]
async fn a_row_whose_claim_the_schema_refuses_fails_and_holds_up_no_other_of_its_mailbox() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let broken = add(db, &[("mailbox", "'a'"), ("claims", "1000000000000")]).await;
    let (good, other) = (add(db, &[("mailbox", "'a'")]).await, add(db, &[("mailbox", "'b'")]).await);
    let claimed = claim(&bed, &request()).await;
    let mut ids = ids(&claimed);
    ids.sort_unstable();
    assert_eq!((ids, claimed.broken), (vec![good, other], vec![JobId(broken)]));
    let row = bed.row(broken).await;
    assert_eq!((row["state"].as_str(), row["error_code"].as_str()), (Some("failed"), Some("invalid_row")));
    assert_eq!(row["cause"].as_str(), Some(Cause::InvalidRow.as_str()));
}

#[tokio::test]
async fn a_row_of_just_the_largest_size_is_claimed_although_the_defaults_make_it_larger() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let times = "2026-12-01T09:00:00".len() + "2026-12-01T10:00:00".len() + "[]".len() + 36;
    add(db, &[("subject", &format!("replace(hex(zeroblob({})), '0', 'x')", (33_554_432 - times) / 2))]).await;
    assert_eq!(bed.claim().await.len(), 1);
}

#[tokio::test]
async fn large_rows_are_taken_with_their_lane_in_its_order_and_all_others_right_after() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let large = format!("'{}'", "x".repeat(300_000));
    for (mailbox, body) in [("'ann'", "'a'"), ("'bob'", "'b'"), ("'ann'", large.as_str()), ("'ann'", "'c'")] {
        add(db, &[("mailbox", mailbox), ("body", body)]).await;
    }
    let first = claim(&bed, &request()).await;
    assert_eq!((ids(&first), first.more), (vec![1, 3, 4], true));
    let second = claim(&bed, &request()).await;
    assert_eq!((ids(&second), second.more), (vec![2], false));
}

/// SQLite looks only at the rules of the columns that a statement changes.
#[tokio::test]
async fn nonsense_written_with_the_rules_turned_off_is_claimed_with_the_most_careful_values() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    sqlx::query("PRAGMA ignore_check_constraints = ON").execute(&mut *db).await.unwrap();
    add(db, &[("mailbox", "'ann'"), ("attempts", "'many'")]).await;
    add(db, &[("mailbox", "'bob'"), ("in_doubt", "'perhaps'")]).await;
    add(db, &[("mailbox", "'cy'")]).await;
    let mut jobs = claim(&bed, &request()).await.jobs;
    jobs.sort_by_key(|(_, job)| job.id);
    let told: Vec<_> = jobs.iter().map(|(_, job)| (job.id.0, job.attempts, job.in_doubt)).collect();
    assert_eq!(told, [(1, u32::MAX, false), (2, 0, true), (3, 0, false)]);
}

#[tokio::test]
async fn lanes_due_at_the_same_time_have_their_turn_in_the_order_of_their_rows() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["'cy'", "'ann'", "'bob'", "'ann'", "'cy'"] {
        waiting(db, mailbox, -5).await;
    }
    let one = ClaimRequest { limit: 1, ..request() };
    let mut order = Vec::new();
    for _ in 0..5 {
        order.extend(ids(&claim(&bed, &one).await));
    }
    assert_eq!(order, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn lanes_of_broken_names_are_lanes_like_others() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["CAST(x'ff41' AS TEXT)", "x'ff61'", "CAST(x'fe' AS TEXT)", "'a' || char(0) || 'b'", "'  '", "''"] {
        waiting(db, mailbox, -2).await;
        waiting(db, mailbox, -1).await;
    }
    let mut seen = Vec::new();
    for _ in 0..20 {
        let claimed = claim(&bed, &ClaimRequest { per_lane: 1, ..request() }).await;
        seen.extend(ids(&claimed));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn broken_columns_of_the_agent_do_not_stop_the_claim() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for column in ["give_up_at", "claimed_at", "first_sent_at", "created_at", "error_message", "request_id"] {
        add(db, &[(column, "x'ff'")]).await;
        add(db, &[(column, "CAST(x'ff' AS TEXT)")]).await;
    }
    add(db, &[("attempts", "1000000000"), ("claims", "1000000000")]).await;
    let jobs = bed.claim().await;
    assert_eq!(jobs.len(), 13);
    assert!(jobs.iter().all(|job| job.give_up_at.is_none()));
}
