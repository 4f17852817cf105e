//! What the queue finds of its server, for `check`: is the version known, does it keep what it acknowledges, may the role do what an
//! agent does, are the rules of the table there, can vacuum do its work. Reads only. Of its disk the server tells nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use crate::queue::postgres::clock::{now, steady};
use crate::queue::postgres::errors::read;
use crate::queue::postgres::link::within as in_time;
use crate::queue::postgres::schema::{OLDEST_SERVER, newest, rules};
use crate::queue::postgres::store::PostgresQueue;
use crate::queue::{QueueError, StorageFinding};

/// Beyond this, times in the log and times in the queue are hard to compare.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(2);
/// Dead rows that vacuum has left, beside which those that live are few.
const MANY_DEAD: i64 = 100_000;
/// The largest id the schema takes, and how many left are few.
const LARGEST_ID: i64 = 9_007_199_254_740_991;
const FEW_IDS: i64 = 1_000_000_000_000;
/// The trigger that tells agents of new jobs: without it they look every second.
const ANNOUNCES: &str = "jobs_are_announced";

#[derive(FromRow)]
struct Server {
    version: i32,
    version_says: String,
    /// What is acknowledged is on its disk: `synchronous_commit`, `fsync`.
    commit: String,
    synced: bool,
    autovacuum: bool,
    role: String,
    /// The way to it does not leave this machine.
    is_local: bool,
    is_encrypted: bool,
    time: DateTime<Utc>,
    last_id: i64,
}

const SERVER: &str = "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_says,
        current_setting('synchronous_commit') AS commit, current_setting('fsync')::boolean AS synced,
        current_setting('autovacuum')::boolean AS autovacuum, current_user::text AS role,
        coalesce(inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1' OR inet_client_addr() = inet_server_addr(), true)
            AS is_local,
        coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted,
        clock_timestamp() AS time, (SELECT coalesce(max(id), 0) FROM jobs) AS last_id";

#[derive(FromRow)]
struct Standbys {
    all: i64,
    asynchronous: i64,
    /// The role may not see which.
    unseen: i64,
}

const STANDBYS: &str =
    "SELECT count(*) AS all, count(*) FILTER (WHERE sync_state IN ('async', 'potential')) AS asynchronous,
        count(*) FILTER (WHERE sync_state IS NULL) AS unseen
    FROM pg_stat_replication";

#[derive(FromRow)]
struct LongTransaction {
    whose: String,
    minutes: i32,
}

/// The oldest transaction that lasts for more than five minutes, prepared ones among them. A role sees only its own, unless it is a
/// member of pg_read_all_stats.
const LONG_TRANSACTION: &str = "SELECT whose, floor(extract(epoch FROM clock_timestamp() - since) / 60)::int AS minutes
    FROM (SELECT 'process ' || pid || coalesce(' (' || nullif(application_name, '') || ')', '') || ' of ' || coalesce(usename, '?')
                AS whose, xact_start AS since
            FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        UNION ALL
        SELECT 'the prepared transaction ' || gid, prepared FROM pg_prepared_xacts WHERE database = current_database()) AS t
    WHERE since < clock_timestamp() - interval '5 minutes' ORDER BY since LIMIT 1";

#[derive(FromRow)]
struct Rows {
    live: i64,
    dead: i64,
}

const ROWS: &str = "SELECT n_live_tup AS live, n_dead_tup AS dead FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname = 'jobs'";

/// What an agent's role must be allowed, and this one is not.
const MISSING_RIGHTS: &str = "SELECT r.does || ' on ' || t.name
    FROM (VALUES ('jobs', 'SELECT,INSERT,UPDATE,DELETE'), ('attempts', 'SELECT,INSERT,UPDATE,DELETE'),
            ('mailboxes', 'SELECT,INSERT,UPDATE,DELETE'), ('mailings', 'SELECT,INSERT,UPDATE,DELETE'),
            ('agents', 'SELECT,INSERT,UPDATE,DELETE'), ('lanes', 'SELECT,INSERT,UPDATE,DELETE'),
            ('unsettled_turns', 'SELECT,INSERT,DELETE'), ('queue_state', 'SELECT,UPDATE')) AS t(name, needs)
        CROSS JOIN regexp_split_to_table(t.needs, ',') AS r(does)
    WHERE NOT has_table_privilege(quote_ident(current_schema()) || '.' || t.name, r.does) ORDER BY t.name, r.does";

/// The triggers and indexes of the queue's table: kind, name, whether it works.
const RULES: &str = "SELECT 'trigger', tgname::text, tgenabled IN ('O', 'A') FROM pg_trigger
        WHERE tgrelid = to_regclass(quote_ident(current_schema()) || '.jobs') AND NOT tgisinternal
    UNION ALL
    SELECT CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END, c.relname::text, i.indisvalid
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(quote_ident(current_schema()) || '.jobs') AND NOT i.indisprimary";

pub async fn health(queue: &PostgresQueue, within: Duration) -> Result<Vec<StorageFinding>, QueueError> {
    let mut link = queue.now_and_then().await?;
    let found = in_time(within, findings(&mut link)).await;
    let found = link.done(found).map_err(read)?;
    let about = std::path::Path::new(queue.server.name());
    Ok(found.into_iter().map(|finding| finding.about(about)).collect())
}

async fn findings(db: &mut PgConnection) -> sqlx::Result<Vec<StorageFinding>> {
    let (before, begin) = (now().wall, steady());
    let server: Server = sqlx::query_as(SERVER).fetch_one(&mut *db).await?;
    let way = begin.elapsed();
    let mut findings = known(&server, way);
    findings.extend(durable(&server));
    findings.extend(apart(before, server.time, way));
    findings.extend(encrypted(&server));
    findings.extend(ids(server.last_id));
    findings.extend(rights(&server.role, sqlx::query_scalar(MISSING_RIGHTS).fetch_all(&mut *db).await?));
    findings.extend(lost(sqlx::query_as(RULES).fetch_all(&mut *db).await?));
    findings.extend(standbys(sqlx::query_as(STANDBYS).fetch_one(&mut *db).await?));
    findings.extend(sqlx::query_as(LONG_TRANSACTION).fetch_optional(&mut *db).await?.map(long_transaction));
    findings.extend(sqlx::query_as(ROWS).fetch_optional(db).await?.and_then(dead_rows));
    if !server.autovacuum {
        let text = "autovacuum is off on the server: dead rows pile up, and the queue grows slower with each day";
        findings.push(StorageFinding::warn(text).cure("set autovacuum = on in postgresql.conf"));
    }
    Ok(findings)
}

fn known(server: &Server, way: Duration) -> Vec<StorageFinding> {
    if server.version < OLDEST_SERVER {
        let text = format!("it is PostgreSQL {}; the queue needs 13 or newer", server.version_says);
        return vec![StorageFinding::fail(text).cure("move the database to a newer server")];
    }
    let text = format!(
        "a queue, schema {}, on PostgreSQL {}, which answers within {} ms; its disk is not visible from here",
        newest(),
        server.version_says,
        way.as_millis().max(1)
    );
    vec![StorageFinding::pass(text)]
}

/// Whether it keeps what it acknowledges.
fn durable(server: &Server) -> Vec<StorageFinding> {
    let mut findings = Vec::new();
    let lost = "what it acknowledges may be lost when it fails, and an event be created twice";
    if matches!(server.commit.as_str(), "off" | "local") {
        let text = format!("synchronous_commit is {}: {lost}", server.commit);
        let cure =
            format!("set synchronous_commit = on for the role (ALTER ROLE {} SET …) and the database", server.role);
        findings.push(StorageFinding::fail(text).cure(cure));
    }
    if !server.synced {
        let cure = "set fsync = on in postgresql.conf";
        findings.push(StorageFinding::fail(format!("fsync is off: {lost}")).cure(cure));
    }
    findings
}

/// The answer was on its way for a while, which does not count as a difference.
fn apart(before: DateTime<Utc>, server: DateTime<Utc>, way: Duration) -> Option<StorageFinding> {
    let way = TimeDelta::from_std(way).unwrap_or_default();
    let ahead = if server < before { server - before } else { (server - before - way).max(TimeDelta::zero()) };
    if ahead.abs() <= CLOCKS_APART {
        return None;
    }
    let side = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    let text = format!(
        "its clock is {} s {side} this machine's: times in the queue and times in the log differ by that",
        ahead.abs().num_seconds()
    );
    Some(StorageFinding::warn(text).cure("set both by NTP ('timedatectl')"))
}

fn encrypted(server: &Server) -> Option<StorageFinding> {
    if server.is_local || server.is_encrypted {
        return None;
    }
    let text = "the connection to it is not encrypted: who is on the way reads every job";
    let cure = "add sslmode=verify-full (and sslrootcert) to queue.url, and turn ssl on at the server";
    Some(StorageFinding::warn(text).cure(cure))
}

/// Every new job gets an id beyond all others, and there is a largest one.
fn ids(last: i64) -> Option<StorageFinding> {
    if LARGEST_ID.saturating_sub(last) > FEW_IDS {
        return None;
    }
    let text = format!("its ids are nearly used up: the last was {last}, the largest there can be is {LARGEST_ID}");
    let cure = "with all agents stopped, delete the job with that id if there is one, then run in psql: \
                SELECT setval(pg_get_serial_sequence('jobs', 'id'), max(id)) FROM jobs";
    Some(if last >= LARGEST_ID { StorageFinding::fail(text) } else { StorageFinding::warn(text) }.cure(cure))
}

fn rights(role: &str, missing: Vec<String>) -> Option<StorageFinding> {
    if missing.is_empty() {
        return None;
    }
    let text = format!("the role {role} has too few rights for an agent: {} missing", missing.join(", "));
    let cure = "run postgres-roles.sql as the owner, and give the agents a role that is a member of its agent role";
    Some(StorageFinding::fail(text).cure(cure))
}

/// Whether the rules of the table are those of this program, and nobody else's in the way.
fn lost(found: Vec<(String, String, bool)>) -> Vec<StorageFinding> {
    let mut findings = Vec::new();
    let works = |name: &str| found.iter().any(|(_, found, works)| found == name && *works);
    let (quiet, lost): (Vec<String>, Vec<String>) =
        rules().into_iter().filter(|name| !works(name)).partition(|name| name == ANNOUNCES);
    if !lost.is_empty() {
        let text = format!(
            "rules of its own are missing or disabled: {}; what they forbid is not refused now",
            lost.join(", ")
        );
        let cure = "ALTER TABLE jobs ENABLE TRIGGER … where it is disabled; where it is gone, make it again as in \
                    migrations/postgres, and find out what dropped it";
        findings.push(StorageFinding::fail(text).cure(cure));
    }
    if !quiet.is_empty() {
        let text = format!("the trigger {ANNOUNCES} is missing or disabled: agents find new jobs up to a second later");
        let cure = format!("ALTER TABLE jobs ENABLE TRIGGER {ANNOUNCES}, unless producers use two-phase commit");
        findings.push(StorageFinding::warn(text).cure(cure));
    }
    let ours = rules();
    let refuses = |kind: &str| matches!(kind, "trigger" | "unique index");
    let strange: Vec<String> = found
        .iter()
        .filter(|(kind, name, works)| refuses(kind) && *works && !ours.contains(name))
        .map(|(kind, name, _)| format!("{kind} {name}"))
        .collect();
    if !strange.is_empty() {
        let text = format!(
            "not the queue's own: {} on jobs; what it refuses, the agents can neither claim nor record",
            strange.join(", ")
        );
        findings.push(StorageFinding::warn(text).cure("see that it refuses no update of a job, or drop it"));
    }
    findings
}

fn standbys(standbys: Standbys) -> Option<StorageFinding> {
    if standbys.asynchronous > 0 {
        let text = format!(
            "{} of its {} standbys follow asynchronously: a failover to one of them may lose what was acknowledged",
            standbys.asynchronous, standbys.all
        );
        let cure = "leave queue.failover at \"lossy\", so that older jobs are looked up before they are sent; or make the \
                    standbys synchronous (synchronous_standby_names)";
        return Some(StorageFinding::warn(text).cure(cure));
    }
    let text = format!("it has {} standbys, and this role may not see whether they are synchronous", standbys.unseen);
    (standbys.unseen > 0).then(|| StorageFinding::warn(text).cure("GRANT pg_read_all_stats to the role"))
}

fn long_transaction(long: LongTransaction) -> StorageFinding {
    let text = format!(
        "{} has had a transaction open for {} minutes: vacuum can clear away nothing that died since",
        long.whose, long.minutes
    );
    StorageFinding::warn(text).cure("let it end its transaction, or end it (pg_terminate_backend, ROLLBACK PREPARED)")
}

fn dead_rows(rows: Rows) -> Option<StorageFinding> {
    if rows.dead < MANY_DEAD || rows.dead < rows.live {
        return None;
    }
    let text = format!("{} dead rows of jobs beside {} live ones: vacuum does not keep up", rows.dead, rows.live);
    let cure = "look at the oldest transaction (pg_stat_activity) and at the settings of autovacuum; 'VACUUM jobs' clears them away now";
    Some(StorageFinding::warn(text).cure(cure))
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
