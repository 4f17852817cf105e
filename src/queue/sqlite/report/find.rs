//! Jobs by whatever somebody has in hand: an id, a key, a mailbox, an EventID, a request id. What an index knows is found among
//! all rows at once. An index of the rest would cost every event something; it is found by walking back from the newest row, in
//! steps that whoever asks may end.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Row, Sqlite, SqlitePool};

use super::columns::listed_columns;
use super::jobs;
use crate::job::{JobId, JobState};
use crate::queue::columns::summary;
use crate::queue::rows::JobSummary;
use crate::queue::{LaneKey, Sought, Step, Walked};

/// ?1 is the text, ?2 the mailbox's lane, ?3 the id, if it is a number, ?4 how many jobs are wanted.
pub const KNOWN_BY: &str = concat!(
    "SELECT ",
    listed_columns!(),
    " FROM jobs WHERE id IN (
        SELECT id FROM jobs WHERE id = ?3
        UNION SELECT id FROM jobs WHERE dedup_key = ?1
        UNION SELECT id FROM jobs WHERE transaction_id = ?1
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_event_keys WHERE event_key = ?1 ORDER BY id DESC LIMIT ?4)
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_targets WHERE target_event_id = ?1 ORDER BY id DESC LIMIT ?4)
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_waiting
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key = ?2 LIMIT ?4))
    ORDER BY id DESC LIMIT ?4"
);

/// Of the ?2 newest jobs below ?1: their number, the smallest id, and the ids of those that fit.
pub const STEP: &str = "SELECT count(*) AS rows, min(id) AS down_to, json_group_array(id) FILTER (WHERE
        (?3 IS NULL OR mailbox_key = ?4 OR event_id = ?3 OR request_id = ?3)
        AND (?5 IS NULL OR state = ?5) AND (?6 IS NULL OR mailbox_key IN (SELECT value FROM json_each(?6))) AND (?7 IS NULL OR error_kind = ?7)) AS fit
    FROM (SELECT id, state, mailbox_key, error_kind, event_id, request_id FROM jobs NOT INDEXED
        WHERE id < ?1 ORDER BY id DESC LIMIT ?2)";

/// The same for jobs from ?2 to below ?1 of which an attempt has the text as a request id.
pub const ATTEMPTED: &str = "SELECT id FROM jobs
    WHERE id IN (SELECT job_id FROM attempts WHERE job_id < ?1 AND job_id >= ?2 AND (request_id = ?3 OR client_request_id = ?3))
        AND (?5 IS NULL OR state = ?5) AND (?6 IS NULL OR mailbox_key IN (SELECT value FROM json_each(?6))) AND (?7 IS NULL OR error_kind = ?7)";

pub async fn known_by(pool: &SqlitePool, text: &str, limit: u32) -> sqlx::Result<Vec<JobSummary>> {
    let text = text.trim();
    let lane = LaneKey::of(text);
    let id = text.strip_prefix('#').unwrap_or(text).parse::<i64>().ok();
    let rows = sqlx::query(KNOWN_BY).bind(text).bind(lane.as_str()).bind(id).bind(limit).fetch_all(pool).await?;
    rows.iter().map(summary).collect()
}

/// One step of a walk.
pub async fn walk(pool: &SqlitePool, sought: &Sought, step: Step) -> sqlx::Result<Walked> {
    let below = step.before.map_or(i64::MAX, |id| id.0);
    let seen = asked(STEP, below, i64::from(step.rows), sought).fetch_one(pool).await?;
    let rows: u32 = seen.try_get("rows")?;
    let Some(down_to) = seen.try_get::<Option<i64>, _>("down_to")? else { return Ok(Walked::default()) };
    let mut fit: Vec<i64> = serde_json::from_str(seen.try_get("fit")?).unwrap_or_default();
    if sought.text.is_some() {
        for row in asked(ATTEMPTED, below, down_to, sought).fetch_all(pool).await? {
            fit.push(row.try_get("id")?);
        }
    }
    let (jobs, left_out) = newest(pool, fit, step.limit).await?;
    let before = match jobs.last() {
        Some(last) if left_out => Some(last.id),
        _ => (rows == step.rows).then_some(JobId(down_to)),
    };
    Ok(Walked { jobs, rows, before })
}

/// One of the two statements of a step; `bound` is its second parameter.
fn asked(statement: &'static str, below: i64, bound: i64, sought: &Sought) -> Query<'static, Sqlite, SqliteArguments> {
    let lane = |name: &str| LaneKey::of(name).as_str().to_owned();
    let text = sought.text.as_deref().map(str::trim);
    sqlx::query(statement)
        .bind(below)
        .bind(bound)
        .bind(text.map(str::to_owned))
        .bind(text.map(lane))
        .bind(sought.state.map(JobState::as_str))
        .bind(jobs::lanes_json(&sought.lanes))
        .bind(sought.error_kind.clone())
}

/// The newest of these, and whether others were left out.
async fn newest(pool: &SqlitePool, mut ids: Vec<i64>, limit: u32) -> sqlx::Result<(Vec<JobSummary>, bool)> {
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let left_out = ids.len() > limit;
    ids.truncate(limit);
    let mut jobs = jobs::by_id(pool, serde_json::Value::from(ids).to_string()).await?;
    jobs.reverse();
    Ok((jobs, left_out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection};

    use super::*;
    use crate::queue::{Read, SqliteQueue};

    /// Nine jobs of three mailboxes, each sent but the newest; the third has two attempts.
    const NINE: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
        INSERT INTO jobs (start_time, end_time, mailbox, dedup_key)
        SELECT '2026-12-01T09:00', '2026-12-01T10:00', 'User' || (i % 3) || '@contoso.com', 'key ' || i FROM n;
        UPDATE jobs SET state = 'claimed', claims = 1, claimed_at = '2026-12-01T00:00:00.000Z' WHERE id < 9;
        UPDATE jobs SET state = 'sent', settled = 'claim 1', event_id = 'EventID' || id, request_id = 'request' || id, finished_at = '2026-12-01T00:00:00.000Z'
        WHERE id < 9;
        INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, request_id, client_request_id)
        VALUES (3, 1, 's', 5, 'retry', 'first', 'ours'), (3, 2, 's', 5, 'sent', 'request3', 'ours too');";

    async fn nine() -> (tempfile::TempDir, SqliteQueue) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("queue.db");
        let queue = SqliteQueue::open(&path).await.unwrap();
        let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        sqlx::raw_sql(NINE).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        (home, queue)
    }

    fn ids(jobs: &[JobSummary]) -> Vec<i64> {
        jobs.iter().map(|job| job.id.0).collect()
    }

    /// What the steps of a walk find, each with the rows it looked at.
    async fn steps(queue: &SqliteQueue, sought: &Sought, rows: u32, limit: u32) -> Vec<(Vec<i64>, u32)> {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let step = queue.walk(sought, Step { before, rows, limit }).await.unwrap();
            found.push((ids(&step.jobs), step.rows));
            before = step.before;
            if before.is_none() {
                return found;
            }
        }
    }

    fn all(steps: &[(Vec<i64>, u32)]) -> Vec<i64> {
        steps.iter().flat_map(|(ids, _)| ids.clone()).collect()
    }

    fn text(text: &str) -> Sought {
        Sought { text: Some(text.into()), ..Sought::default() }
    }

    #[tokio::test]
    async fn a_walk_comes_to_the_oldest_job_and_ends_there() {
        let (_home, queue) = nine().await;
        let walked = steps(&queue, &text("EventID1"), 4, 9).await;
        assert_eq!(walked, [(vec![], 4), (vec![], 4), (vec![1], 1)]);
        for named in ["request3", "first", "ours", "ours too", " EventID3 "] {
            assert_eq!(all(&steps(&queue, &text(named), 9, 9).await), [3], "{named}");
        }
        assert_eq!(all(&steps(&queue, &text("USER1@contoso.com"), 2, 9).await), [7, 4, 1]);
        assert_eq!(steps(&queue, &text("nothing"), 100, 9).await, [(vec![], 9)]);
    }

    #[tokio::test]
    async fn a_walk_leaves_out_no_job_where_a_step_finds_more_than_are_wanted() {
        let (_home, queue) = nine().await;
        let sent = Sought { state: Some(JobState::Sent), ..Sought::default() };
        let walked = steps(&queue, &sent, 100, 3).await;
        assert_eq!(
            walked.iter().map(|(ids, _)| ids.clone()).collect::<Vec<_>>(),
            [vec![8, 7, 6], vec![5, 4, 3], vec![2, 1]]
        );
        let narrow = Sought { lanes: vec![LaneKey::of("user0@CONTOSO.com")], ..sent };
        assert_eq!(all(&steps(&queue, &narrow, 100, 9).await), [6, 3]);
        let kind = Sought { error_kind: Some("denied".into()), ..text("first") };
        assert_eq!(all(&steps(&queue, &kind, 100, 9).await), [0; 0], "an attempt's job must fit too");
    }

    #[tokio::test]
    async fn jobs_of_a_state_are_few_up_to_so_many() {
        let (_home, queue) = nine().await;
        for (state, jobs) in [(JobState::Pending, 1), (JobState::Failed, 0), (JobState::Sent, 8)] {
            assert!(queue.are_few(state, jobs).await.unwrap(), "{state:?}");
            assert!(jobs == 0 || !queue.are_few(state, jobs - 1).await.unwrap(), "{state:?}");
        }
    }

    #[tokio::test]
    async fn what_an_index_knows_needs_no_walk() {
        let (_home, queue) = nine().await;
        for (named, found) in
            [("#4", vec![4]), ("4", vec![4]), ("key 7", vec![7]), ("user0@contoso.com", vec![9]), ("EventID4", vec![])]
        {
            assert_eq!(ids(&queue.known_by(named, 9).await.unwrap()), found, "{named}");
        }
    }
}
