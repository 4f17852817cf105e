//! A queue that was put back from a backup: what waits in it may have been sent since. Marked as in doubt, a job is looked
//! up in its calendar before it is sent.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::job::Defaults;

/// Rows of one statement, which has a limit of time.
const BATCH: usize = 1000;

/// By the indexes of what waits and of what is in doubt.
macro_rules! waiting {
    () => {
        "(SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL
            UNION ALL SELECT id FROM jobs WHERE state = 'pending' AND behind IS NOT NULL) AS waiting
        WHERE id NOT IN (SELECT id FROM jobs WHERE in_doubt)"
    };
}
const NUMBER: &str = concat!("SELECT count(*) FROM ", waiting!());
const NOT_IN_DOUBT: &str = concat!("SELECT id FROM ", waiting!(), " ORDER BY id");

/// Until the end of the transaction no agent enters itself, and none is heard of.
const NO_AGENT: &str = "LOCK TABLE agents IN SHARE ROW EXCLUSIVE MODE";
const LIVING: &str = "SELECT coalesce('the agent ' || name || ' on ' || host, 'the agent ' || name) FROM agents
    WHERE gone_at IS NULL AND lease_until > clock_timestamp() ORDER BY name LIMIT 1";

/// What would have left was what the defaults made of it, so they are frozen as a claim would have frozen them: $1 to $3. A change
/// of an event by its key gets its create's mailbox. After the first request a row keeps what it had.
const MARK_IN_DOUBT: &str = "UPDATE jobs SET in_doubt = true, first_sent_at = coalesce(first_sent_at, clock_timestamp()),
        mailbox = CASE WHEN first_sent_at IS NOT NULL THEN mailbox
            WHEN operation = 'create' OR event_key IS NULL THEN coalesce(mailbox, $1)
            ELSE coalesce(mailbox, (SELECT CASE WHEN c.in_doubt OR c.first_sent_at IS NOT NULL THEN c.mailbox ELSE coalesce(c.mailbox, $1) END
                FROM jobs AS c WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id
                ORDER BY c.state = 'cancelled' AND c.error_kind IS NOT DISTINCT FROM 'superseded', c.id DESC LIMIT 1)) END,
        body_type = CASE WHEN first_sent_at IS NULL THEN coalesce(body_type, $2) ELSE body_type END,
        time_zone = CASE WHEN first_sent_at IS NULL THEN coalesce(time_zone, $3, CASE WHEN NOT job_recurs(extra) THEN 'UTC' END)
            ELSE time_zone END
    WHERE id = ANY($4) AND state = 'pending' AND NOT in_doubt";

/// Waiting jobs that would be sent without being looked up.
pub async fn not_in_doubt(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let jobs: i64 = sqlx::query_scalar(NUMBER).fetch_one(connection).await?;
    Ok(jobs.unsigned_abs())
}

/// Has all of them looked up before they are sent, or none; says how many. Or which agent runs, which might send one of them
/// meanwhile.
pub async fn mark_in_doubt(connection: &mut PgConnection, defaults: &Defaults) -> sqlx::Result<Result<u64, String>> {
    let mut tx = connection.begin().await?;
    sqlx::query(NO_AGENT).execute(&mut *tx).await?;
    let running: Option<String> = sqlx::query_scalar(LIVING).fetch_optional(&mut *tx).await?;
    if let Some(agent) = running {
        tx.rollback().await?;
        return Ok(Err(format!("{agent} runs")));
    }
    let ids: Vec<i64> = sqlx::query_scalar(NOT_IN_DOUBT).fetch_all(&mut *tx).await?;
    let mut marked = 0;
    for batch in ids.chunks(BATCH) {
        marked += mark(&mut tx, batch, defaults).await?;
    }
    tx.commit().await?;
    Ok(Ok(marked))
}

async fn mark(connection: &mut PgConnection, ids: &[i64], defaults: &Defaults) -> sqlx::Result<u64> {
    let done = sqlx::query(MARK_IN_DOUBT)
        .bind(&defaults.mailbox)
        .bind(defaults.body_type.as_str())
        .bind(&defaults.time_zone)
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
