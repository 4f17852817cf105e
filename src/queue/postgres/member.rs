//! This agent among the others: its row in `agents`, which is its lease. Each start has a row of its own, with a number drawn at
//! random, and every claim names it. The row is renewed from a connection that does nothing else; who does not renew it in
//! time is buried by another one, and its claims are in doubt from then on.
//!
//! A lease is the server's time; whether to trust it is decided here, by a clock that goes on while the machine sleeps: from a
//! renewal on requests begin for [`BEGIN_WITHIN`], counted from before it was sent, and no longer. The rest of the lease is for
//! those that have begun.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::errors::{UNMOVED, is_of_the_row, words};
use super::heads::lane_key;
use super::life::Life;
use crate::job::{JobId, REPEAT_WAIT};
use crate::queue::{Recovered, Refusal};

/// An agent's row in `agents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentId(pub i64);

/// How long a lease is, …
pub const LEASE: Duration = Duration::from_secs(10);
/// … how often it is renewed, how long an answer is waited for, …
pub const RENEW_EVERY: Duration = Duration::from_millis(2500);
pub const RENEW_WITHIN: Duration = Duration::from_secs(2);
/// … and for how long after a renewal requests may begin.
pub const BEGIN_WITHIN: Duration = Duration::from_secs(6);
/// How often it is looked for leases that are over.
pub const BURY_EVERY: Duration = Duration::from_secs(1);

/// JSON numbers hold no more.
const LARGEST_ID: i64 = 1 << 52;

/// Of the server: another one when a standby has taken its place.
macro_rules! timeline {
    () => {
        "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    };
}

/// This agent ($1), as long as its lease goes on, and nobody buries it meanwhile. Not on a server that has taken over unnoticed: it may
/// have lost what others have claimed.
macro_rules! me {
    () => {
        concat!(
            "me AS MATERIALIZED (
        SELECT id FROM agents WHERE id = $1 AND gone_at IS NULL AND lease_until > clock_timestamp()
            AND (SELECT timeline FROM queue_state WHERE id = 1) = ",
            crate::queue::postgres::member::timeline!(),
            " FOR KEY SHARE)"
        )
    };
}
pub(super) use {me, timeline};

/// $3: for how long the agent has got nowhere.
const RENEW: &str = concat!(
    "UPDATE agents SET lease_until = clock_timestamp() + make_interval(secs => $2),
        steady_since = CASE WHEN lease_until < clock_timestamp() THEN clock_timestamp() ELSE steady_since END,
        signed_at = clock_timestamp() - make_interval(secs => $3)
    WHERE id = $1 AND gone_at IS NULL
    RETURNING clock_timestamp() AS server, ",
    timeline!(),
    " AS timeline"
);

const OF_THE_SAME_NAME: &str = "SELECT id, host, pid, boot_id, lock_file, lease_until > clock_timestamp() AS alive,
        extract(epoch FROM lease_until)::float8 AS lease, clock_timestamp() AS server
    FROM agents WHERE name = $1 AND gone_at IS NULL";

const REGISTER: &str = "INSERT INTO agents (id, name, host, boot_id, lock_file, pid, version, lease_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8))";

/// It is over with that one, as its lock or its own word tells.
const GONE: &str = "UPDATE agents SET gone_at = clock_timestamp(), how = $2 WHERE id = $1 AND gone_at IS NULL";

const EXPIRED: &str = "UPDATE agents SET gone_at = clock_timestamp(), how = 'expired'
    WHERE name = $1 AND gone_at IS NULL AND lease_until < clock_timestamp()";

/// The leases that are over, as far as this agent's own was unbroken for as long: when the server was away, all are late, and
/// nobody is buried. The lock waits for claims under way, which hold the row.
const BURY: &str = "WITH dead AS MATERIALIZED (
        SELECT id FROM agents WHERE gone_at IS NULL AND lease_until < clock_timestamp() AND id <> $1 AND EXISTS (
            SELECT 1 FROM agents AS me WHERE me.id = $1 AND me.gone_at IS NULL AND me.lease_until > clock_timestamp()
                AND me.steady_since < clock_timestamp() - make_interval(secs => $2))
        FOR UPDATE SKIP LOCKED)
    UPDATE agents AS a SET gone_at = clock_timestamp(), how = 'expired' FROM dead
    WHERE a.id = dead.id AND a.lease_until < clock_timestamp() RETURNING a.name";

/// What all agents go by: that of $2, where no other one lives that has said.
const AGREE: &str = "UPDATE queue_state SET settings = $2 WHERE id = 1 AND (settings IS NULL OR NOT EXISTS (
        SELECT 1 FROM agents WHERE gone_at IS NULL AND lease_until > clock_timestamp() AND name <> $1))";
const AGREED: &str = "SELECT settings FROM queue_state WHERE id = 1";

/// Another server has taken the place of the one before, and may have lost what that one had acknowledged. The first to notice has
/// all agents begin anew, all sending pauses for $2 seconds, and every job there is looked up before it is sent: also what the other
/// server's clock, if it was ahead, dated later than now. How far it was, its leases tell, which nobody must wait for here.
const FAILED_OVER: &str = "WITH first AS (UPDATE queue_state SET timeline = $1,
            quarantine_until = CASE WHEN $3 THEN clock_timestamp() + make_interval(secs => $2) ELSE quarantine_until END,
            doubt_before = CASE WHEN $3 THEN greatest(clock_timestamp() + make_interval(secs => $2),
                (SELECT max(lease_until) FROM agents)) ELSE doubt_before END
        WHERE id = 1 AND timeline <> $1 RETURNING $3 AS lossy)
    UPDATE agents SET gone_at = clock_timestamp(), how = 'expired', lease_until = least(lease_until, clock_timestamp())
    FROM first WHERE first.lossy AND gone_at IS NULL RETURNING agents.name";

const TIMELINE: &str = "SELECT timeline FROM queue_state WHERE id = 1";

const PLACE: &str = concat!("SELECT current_schema()::text, ", timeline!());

/// The dead whose claims and mailboxes are not free yet.
const UNCLEAN: &str = "SELECT id, how FROM agents WHERE gone_at IS NOT NULL AND cleaned_at IS NULL ORDER BY gone_at";

/// What $1 had claimed (of the jobs in $4 if that is given, of claim $5 if that is) goes back, in doubt, and not before its requests
/// are over: $2 seconds after the end of its lease, or $3 from now where it is known to be dead. By the agent's own hand: it
/// knows of the doubt.
macro_rules! put_back {
    () => {
        "UPDATE jobs SET state = 'pending', settled = 'claim ' || claims, claimed_by = NULL, in_doubt = true,
        first_sent_at = coalesce(first_sent_at, claimed_at),
        next_attempt_at = greatest(clock_timestamp() + make_interval(secs => $3),
            (SELECT lease_until + make_interval(secs => $2) FROM agents WHERE id = $1 AND how = 'expired'))
    WHERE claimed_by = $1 AND state = 'claimed' AND ($4::bigint[] IS NULL OR id = ANY($4)) AND ($5::bigint IS NULL OR claims = $5)
    RETURNING mailbox_key"
    };
}

const PUT_BACK: &str = put_back!();

/// The same, and its mailboxes are free ($7), in one statement: whoever cleans up after it at the same time finds either all of it or
/// nothing. Its requests take up places of their mailbox as long as they may be under way, beside those of others that died
/// before. What the dead one was told last is not known: one request finds out. $6: the lane of jobs without mailbox.
const CLEAN: &str = concat!(
    "WITH back AS (",
    put_back!(),
    "), lost AS (SELECT CASE WHEN mailbox_key = '' THEN $6 ELSE mailbox_key END AS lane, count(*)::int AS jobs FROM back GROUP BY 1),
    freed AS (UPDATE lanes AS l SET owner = CASE WHEN $7 THEN NULL ELSE l.owner END, suspect = l.suspect OR x.jobs > 0,
            ghosts = CASE WHEN l.ghosts_until > clock_timestamp() THEN l.ghosts ELSE 0 END + x.jobs,
            ghosts_until = CASE WHEN x.jobs > 0 THEN greatest(l.ghosts_until, x.until) ELSE l.ghosts_until END
        FROM (SELECT o.lane, coalesce(lost.jobs, 0) AS jobs,
                greatest(clock_timestamp() + make_interval(secs => $3), a.lease_until + make_interval(secs => $2)) AS until
            FROM lanes AS o JOIN agents AS a ON a.id = o.owner LEFT JOIN lost ON lost.lane = o.lane WHERE o.owner = $1) AS x
        WHERE l.lane = x.lane AND l.owner = $1)
    SELECT count(*) FROM back"
);

const CLEANED: &str = "UPDATE agents SET cleaned_at = clock_timestamp() WHERE id = $1";

const CLAIMS: &str = "SELECT id, claims FROM jobs WHERE claimed_by = $1 AND state = 'claimed' ORDER BY id";

/// The starts that are remembered.
const FORGET: &str = "DELETE FROM agents WHERE cleaned_at IS NOT NULL
    AND id NOT IN (SELECT id FROM agents WHERE gone_at IS NOT NULL ORDER BY gone_at DESC LIMIT 20)";

const ALL_LOOK: &str = "SELECT pg_notify('event_sender_jobs', current_schema() || E'\\n*')";

/// Who this is.
#[derive(Debug)]
pub struct Member {
    pub id: AgentId,
    /// Bound as long as the process lives, and by nobody else in this network namespace of this machine.
    _lock: UnixListener,
}

/// What a start finds of another agent that has this one's name.
#[derive(Debug)]
pub enum Namesake {
    None,
    /// Its process is gone: its lock could be had.
    Dead(AgentId),
    /// Its lease is over, and nobody has buried it.
    Expired,
    /// Its lease goes on: until the server's time says so it may be alive. `lease` changes when it renews it.
    Alive {
        host: String,
        pid: i32,
        lease: f64,
    },
}

/// Looks who has this name.
pub async fn namesake(connection: &mut PgConnection, name: &str) -> sqlx::Result<Namesake> {
    let Some(row) = sqlx::query(OF_THE_SAME_NAME).bind(name).fetch_optional(connection).await? else {
        return Ok(Namesake::None);
    };
    let id = AgentId(row.try_get("id")?);
    if is_dead(&row)? {
        return Ok(Namesake::Dead(id));
    }
    if !row.try_get::<bool, _>("alive")? {
        return Ok(Namesake::Expired);
    }
    let host: Option<String> = row.try_get("host")?;
    let pid: Option<i32> = row.try_get("pid")?;
    Ok(Namesake::Alive { host: host.unwrap_or_default(), pid: pid.unwrap_or_default(), lease: row.try_get("lease")? })
}

/// A lock that was bound in this very place, and can be bound again, was its process's.
fn is_dead(row: &PgRow) -> sqlx::Result<bool> {
    let (place, lock): (Option<String>, Option<String>) = (row.try_get("boot_id")?, row.try_get("lock_file")?);
    let (Some(place), Some(lock)) = (place, lock) else { return Ok(false) };
    Ok(place == self::place() && bound(&lock).is_ok())
}

/// This boot of this machine, and the network namespace, in which the names of locks are known.
fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/net").map(|path| path.display().to_string()).unwrap_or_default();
    format!("{} {namespace}", boot.trim())
}

fn bound(lock: &str) -> std::io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(lock)?)
}

/// A start of this agent: its row, and its lock.
pub async fn register(connection: &mut PgConnection, name: &str) -> sqlx::Result<Member> {
    let id = AgentId(fastrand::i64(1..LARGEST_ID));
    let lock = format!("event-sender/{}", id.0);
    let bound = bound(&lock).map_err(sqlx::Error::Io)?;
    sqlx::query(REGISTER)
        .bind(id.0)
        .bind(name)
        .bind(rustix::system::uname().nodename().to_string_lossy().into_owned())
        .bind(place())
        .bind(lock)
        .bind(i32::try_from(std::process::id()).unwrap_or_default())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(LEASE.as_secs_f64())
        .execute(connection)
        .await?;
    Ok(Member { id, _lock: bound })
}

/// What a renewal tells.
pub struct Renewed {
    pub server: chrono::DateTime<chrono::Utc>,
    /// Changes when another server has taken the place of the one before.
    pub timeline: String,
}

/// None: this agent was buried.
pub async fn renew(connection: &mut PgConnection, id: AgentId, life: &Life) -> sqlx::Result<Option<Renewed>> {
    let silent_for = life.silent_for().as_secs_f64();
    let renewal = sqlx::query(RENEW).bind(id.0).bind(LEASE.as_secs_f64()).bind(silent_for);
    let row = renewal.fetch_optional(connection).await?;
    row.map(|row| Ok(Renewed { server: row.try_get("server")?, timeline: row.try_get("timeline")? })).transpose()
}

/// The schema of the queue, and the server's timeline.
pub async fn place_of(connection: &mut PgConnection) -> sqlx::Result<(String, String)> {
    sqlx::query_as(PLACE).fetch_one(connection).await
}

/// Whether that is another timeline than the queue's was so far. `lossy`: what was acknowledged under the old one may be lost. True:
/// all agents begin anew.
pub async fn failed_over(
    connection: &mut PgConnection,
    timeline: &str,
    lossy: bool,
    by: &Cleaning,
) -> sqlx::Result<bool> {
    let known: String = sqlx::query_scalar(TIMELINE).fetch_one(&mut *connection).await?;
    if known == timeline {
        return Ok(false);
    }
    let pause = BEGIN_WITHIN + by.request;
    let gone: Vec<String> = sqlx::query_scalar(FAILED_OVER)
        .bind(timeline)
        .bind(pause.as_secs_f64())
        .bind(lossy)
        .fetch_all(connection)
        .await?;
    Ok(!gone.is_empty())
}

/// `how`: `stopped`, by its own word; `replaced`, as its lock tells.
pub async fn is_gone(connection: &mut PgConnection, id: AgentId, how: &'static str) -> sqlx::Result<()> {
    sqlx::query(GONE).bind(id.0).bind(how).execute(connection).await.map(drop)
}

/// Whoever had this name, and let its lease end.
pub async fn expired(connection: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query(EXPIRED).bind(name).execute(connection).await.map(drop)
}

/// Puts these claims back, as far as they are not over. The caller knows that no agent works on them.
pub async fn put_back(connection: &mut PgConnection, id: AgentId, claims: &[(JobId, i64)]) -> sqlx::Result<Recovered> {
    let current = claims_of(connection, id).await?;
    let mut recovered = Recovered::default();
    for (job, claim) in claims.iter().filter(|claim| current.contains(claim)) {
        let query = sqlx::query(PUT_BACK).bind(id.0).bind(0.0).bind(REPEAT_WAIT.as_secs_f64());
        match query.bind(vec![job.0]).bind(claim).execute(&mut *connection).await {
            Ok(done) if done.rows_affected() == 0 => recovered.left.push(Refusal { id: *job, why: UNMOVED.into() }),
            Ok(_) => recovered.jobs += 1,
            Err(error) if is_of_the_row(&error) => recovered.left.push(Refusal { id: *job, why: words(&error) }),
            Err(error) => return Err(error),
        }
    }
    Ok(recovered)
}

/// What the agents of this queue go by, which is `mine` if this one is alone.
pub async fn agreed(connection: &mut PgConnection, name: &str, mine: &str) -> sqlx::Result<String> {
    sqlx::query(AGREE).bind(name).bind(mine).execute(&mut *connection).await?;
    let theirs: Option<String> = sqlx::query_scalar(AGREED).fetch_one(connection).await?;
    Ok(theirs.unwrap_or_else(|| mine.to_owned()))
}

/// Buries those whose lease is over, and tells their names.
pub async fn bury(connection: &mut PgConnection, id: AgentId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(BURY).bind(id.0).bind(LEASE.as_secs_f64()).fetch_all(connection).await
}

/// What a cleaning goes by: the settings, which all agents of a queue share.
#[derive(Clone, Debug, Default)]
pub struct Cleaning {
    /// How long a request may be under way.
    pub request: Duration,
    /// The mailbox of rows that name none.
    pub unnamed: Option<String>,
}

/// Frees what the dead have left, and tells what that was.
pub async fn clean(connection: &mut PgConnection, by: &Cleaning) -> sqlx::Result<Recovered> {
    let dead: Vec<(i64, String)> = sqlx::query_as(UNCLEAN).fetch_all(&mut *connection).await?;
    let mut recovered = Recovered::default();
    for (id, how) in dead {
        let one = clean_one(connection, AgentId(id), &how, by).await?;
        recovered.jobs += one.jobs;
        recovered.left.extend(one.left);
    }
    Ok(recovered)
}

/// How long after the end of a lease a request that began under it may be under way.
fn under_way(how: &str, request: Duration) -> Duration {
    if how == "expired" { (BEGIN_WITHIN + request).saturating_sub(LEASE) } else { Duration::ZERO }
}

/// In a statement of its own, so that it sees what a claim under way at the burial has left. It may be made again.
async fn clean_one(connection: &mut PgConnection, id: AgentId, how: &str, by: &Cleaning) -> sqlx::Result<Recovered> {
    let mut recovered = Recovered::default();
    match freed(connection, id, how, by, None).await {
        Ok(jobs) => recovered.jobs = jobs,
        Err(error) if is_of_the_row(&error) => recovered = one_by_one(connection, id, how, by).await?,
        Err(error) => return Err(error),
    }
    let left = claims_of(connection, id).await?.into_iter().map(|(job, _)| job);
    let unmoved = left.filter(|job| !recovered.left.iter().any(|refusal| refusal.id == *job));
    let unmoved: Vec<Refusal> = unmoved.map(|id| Refusal { id, why: UNMOVED.into() }).collect();
    recovered.left.extend(unmoved);
    if recovered.left.is_empty() {
        sqlx::query(CLEANED).bind(id.0).execute(&mut *connection).await?;
        sqlx::query(FORGET).execute(&mut *connection).await?;
    }
    sqlx::query(ALL_LOOK).execute(connection).await?;
    Ok(recovered)
}

/// Where a rule refuses one of its jobs: each by itself, and the mailboxes after them.
async fn one_by_one(connection: &mut PgConnection, id: AgentId, how: &str, by: &Cleaning) -> sqlx::Result<Recovered> {
    let mut recovered = Recovered::default();
    for (job, _) in claims_of(connection, id).await? {
        match freed(connection, id, how, by, Some(job)).await {
            Ok(jobs) => recovered.jobs += jobs,
            Err(error) if is_of_the_row(&error) => recovered.left.push(Refusal { id: job, why: words(&error) }),
            Err(error) => return Err(error),
        }
    }
    let none: Vec<i64> = Vec::new();
    clean_query(id, how, by).bind(none).bind(None::<i64>).bind(unnamed_lane(by)).bind(true).execute(connection).await?;
    Ok(recovered)
}

/// All it had claimed goes back and its mailboxes are free; or that job alone goes back. Tells how many jobs went.
async fn freed(
    connection: &mut PgConnection,
    id: AgentId,
    how: &str,
    by: &Cleaning,
    alone: Option<JobId>,
) -> sqlx::Result<u64> {
    let ids = alone.map(|job| vec![job.0]);
    let query = clean_query(id, how, by).bind(ids).bind(None::<i64>).bind(unnamed_lane(by)).bind(alone.is_none());
    let jobs: i64 = query.fetch_one(connection).await?.try_get(0)?;
    Ok(jobs.unsigned_abs())
}

/// $1 to $3.
fn clean_query<'q>(id: AgentId, how: &str, by: &Cleaning) -> Query<'q, Postgres, PgArguments> {
    let wait = under_way(how, by.request).as_secs_f64();
    sqlx::query(CLEAN).bind(id.0).bind(wait).bind(REPEAT_WAIT.as_secs_f64())
}

fn unnamed_lane(by: &Cleaning) -> String {
    lane_key("", by.unnamed.as_deref()).as_str().to_owned()
}

/// Every claim of this agent that is not over.
pub async fn claims_of(connection: &mut PgConnection, id: AgentId) -> sqlx::Result<Vec<(JobId, i64)>> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(CLAIMS).bind(id.0).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, claim)| (JobId(id), claim)).collect())
}
