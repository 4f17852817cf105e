//! pgbench with nothing but the changes of rows that an agent makes, in the same table with its triggers and indexes: 64 jobs of 64
//! mailboxes claimed, then sent, counted and noted among the attempts. No request, no lanes, no pauses, no turns, nothing read but the ids.

use std::fs;

use super::fill::Queue;
use crate::{Bench, Result};

/// Of one transaction.
pub const BATCH: usize = 64;

const AGENT: &str =
    "INSERT INTO agents (id, name, version, lease_until) VALUES (1, 'floor', '0', now() + interval '1 day')";

const SCRIPT: &str = r#"\set start random(0, 499)
WITH due AS MATERIALIZED (
    SELECT d.id FROM generate_series(0, 63) AS w(n) CROSS JOIN LATERAL (
        SELECT j.id FROM jobs AS j WHERE j.state = 'pending' AND j.behind IS NULL
            AND j.mailbox_key = ('user' || (:start + w.n * 7) % 500 || '@contoso.com') COLLATE "C" AND j.mails AND j.priority = 0
            AND j.next_attempt_at <= now()
        ORDER BY j.next_attempt_at, j.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS d),
taken AS (
    UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = now(), claimed_by = 1, body_type = 'text', time_zone = 'UTC',
        defaulted = 'body_type time_zone'
    FROM due WHERE jobs.id = due.id AND jobs.state = 'pending' RETURNING jobs.id, jobs.body)
SELECT coalesce(array_agg(id), '{}') AS ids, sum(octet_length(body)) AS bytes FROM taken \gset
WITH done AS (
    UPDATE jobs AS j SET state = 'sent', settled = 'claim 1', claimed_by = NULL,
        event_id = 'AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0ABenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchAAA_' || j.transaction_id,
        finished_at = date_trunc('milliseconds', clock_timestamp()), attempts = 1, first_sent_at = now(), http_status = 201,
        request_id = j.transaction_id
    FROM unnest(:ids::bigint[]) AS s(id) WHERE j.id = s.id AND j.claims = 1 AND j.claimed_by = 1 AND j.state = 'claimed'
    RETURNING j.id, j.mailbox_key, j.request_id),
counted AS (
    INSERT INTO mailings AS m (mailbox, minute, jobs, recipients)
    SELECT mailbox_key, date_trunc('minute', now()), count(*), 2 * count(*) FROM done GROUP BY 1 ORDER BY 1
    ON CONFLICT (mailbox, minute) DO UPDATE SET jobs = m.jobs + excluded.jobs, recipients = m.recipients + excluded.recipients)
INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, http_status, request_id, client_request_id)
SELECT id, 1, now(), 1, 'sent', 201, request_id, request_id FROM done;
"#;

const SENT: &str = "SELECT count(*) FROM jobs WHERE state = 'sent'";
const MICROSECONDS: &str =
    "SELECT (extract(epoch FROM max(finished_at) - min(claimed_at)) * 1000000)::bigint FROM jobs WHERE state = 'sent'";

/// Jobs per second, of those that were done of `rows`.
pub async fn rate(bench: &Bench, queue: &Queue<'_>, clients: usize, rows: usize) -> Result<f64> {
    let home = bench.home()?;
    let script = home.path().join("floor.sql");
    fs::write(&script, SCRIPT)?;
    queue.server.run(&queue.schema, AGENT).await?;
    queue.server.pgbench(&queue.schema, &script, clients, rows / BATCH / clients)?;
    let (sent, took) = (queue.count(SENT).await?, queue.count(MICROSECONDS).await?);
    if sent < i64::try_from(rows / 2)? {
        return Err(format!("pgbench did {sent} of {rows} jobs").into());
    }
    Ok(sent as f64 * 1e6 / took as f64)
}
