//! The end of claims: settlements, pauses, and the end of finished rows.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqlitePool};

use super::super::{LaneKey, Mailed, Pause, Settled, Settlement, Verdict};
use super::claim::lane_heads::lanes;
use super::clock::{machine_wall, steady};
use super::fragments::{not_needed, wished};
use super::text::{json, lane_key};
use super::transaction::{UNMOVED, begin, commit, end, is_refusal, roll_back, words};
use crate::job::{Ending, EventRef, JobId, format_utc, parse_utc};
use crate::queue::settlement::shortened;
use crate::queue::sqlite::write_pacer::{WritePacer, locked_at};
use crate::queue::woken::Woken;

/// Rows of one write that wakes them: producers wait a few milliseconds at most.
const WAKE_BATCH: i64 = 500;

/// Batches of plain ends are padded with NULL rows to one of these sizes, so that SQLite reuses its prepared statements.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// The values of what was mailed, of an attempt and of a job, in the order of [`bind_mailed`], [`bind_attempt`] and [`bind_job`].
/// None has a number: sqlx looks a number up for every value, among all of the statement.
const MAILED_VALUES: [&str; 4] = ["id", "claim", "minute", "mailed"];
const ATTEMPT_VALUES: [&str; 7] =
    ["id", "claim", "started_at", "duration_ms", "status", "request_id", "client_request_id"];
const JOB_VALUES: [&str; 11] =
    ["id", "claim", "event_id", "at", "spent", "sent_at", "status", "request_id", "web_link", "ical_uid", "join_url"];

/// What was mailed, counted before the claims are over: a late writer counts nothing. One by one: to sum them up first costs more.
macro_rules! mailed {
    ($which:expr) => {
        concat!(
            "INSERT INTO mailings (mailbox, minute, jobs, recipients)
    SELECT coalesce(mailbox_key, ''), s.minute, 1, s.mailed
    FROM s CROSS JOIN jobs ON jobs.id = s.id AND jobs.claims = s.claim AND jobs.state = 'claimed' WHERE s.mailed > 0 AND ",
            $which,
            " ON CONFLICT (mailbox, minute) DO UPDATE SET jobs = jobs + 1, recipients = recipients + excluded.recipients"
        )
    };
}
const MAILED: &str = mailed!("true");
/// Of one end.
const MAILED_ONE: &str = concat!("WITH s(id, claim, minute, mailed) AS (VALUES (?, ?, ?, ?)) ", mailed!("true"));

/// When the event of ?1 is over; what changes it tells its create, too.
const ENDS_AT: &str = "UPDATE jobs SET ends_at = ?2 WHERE id = ?1 AND state = 'sent'";
const CREATE_ENDS_AT: &str =
    "UPDATE jobs SET ends_at = ?2 WHERE id = (SELECT c.id FROM jobs AS changed CROSS JOIN jobs AS c
        ON c.event_key = changed.event_key AND c.operation = 'create' AND c.id < changed.id
    WHERE changed.id = ?1 AND changed.state = 'sent' AND changed.operation = 'update' ORDER BY c.id DESC LIMIT 1)";

/// A row that is only this has a pause that is long over.
const PACED: &str = "INSERT INTO mailboxes (mailbox, paused_until, reason, paced_until, paced_reason)
    VALUES (?1, '1970-01-01T00:00:00.000Z', '', ?2, ?3)
    ON CONFLICT (mailbox) DO UPDATE SET paced_until = excluded.paced_until, paced_reason = excluded.paced_reason";

// A claim that is over leaves no attempt either, so these are asked for before the state changes.
// What other hands wrote for this claim gives way.
macro_rules! sent_attempts {
    ($which:expr) => {
        concat!(
            "INSERT OR REPLACE INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, request_id, client_request_id)
    SELECT s.id, s.claim, s.started_at, s.duration_ms, 'sent', s.status, s.request_id, s.client_request_id
    FROM s CROSS JOIN jobs ON jobs.id = s.id AND jobs.claims = s.claim AND jobs.state = 'claimed' WHERE ",
            $which
        )
    };
}

// No claim may end against a rule of the table: with the most attempts it allows, a row was inserted so. And only the agent
// writes `settled`: without it the row would be taken for one that a stranger took away (migration 0007).
const SENT: &str =
    "UPDATE jobs SET state = 'sent', settled = 'claim ' || s.claim, claimed_by = NULL, event_id = s.event_id, finished_at = s.at, in_doubt = 0,
        attempts = min(attempts + s.spent, 1000000000), first_sent_at = coalesce(first_sent_at, s.sent_at), error_kind = NULL,
        cause = NULL, http_status = s.status, error_code = NULL, error_message = NULL, request_id = s.request_id,
        web_link = s.web_link, ical_uid = s.ical_uid, join_url = s.join_url
    FROM s WHERE jobs.id = s.id AND claims = s.claim AND state = 'claimed'";

/// Nothing has been recorded of the job that would have to be taken back.
macro_rules! nothing_to_take_back {
    () => {
        "jobs.in_doubt = 0 AND jobs.error_kind IS NULL AND jobs.cause IS NULL AND jobs.error_code IS NULL
        AND jobs.error_message IS NULL"
    };
}

// The same at a job's first claim: what is not written enters no trigger and no index. Whatever row is not so, because another
// program has written there, is left to the statements above, and is neither counted nor noted before.
const FIRST_SENT: &str = concat!(
    "UPDATE jobs SET state = 'sent', settled = 'claim ' || s.claim, claimed_by = NULL, event_id = s.event_id, finished_at = s.at,
        attempts = min(attempts + s.spent, 1000000000), first_sent_at = coalesce(first_sent_at, s.sent_at),
        http_status = s.status, request_id = s.request_id, web_link = s.web_link, ical_uid = s.ical_uid, join_url = s.join_url
    FROM s WHERE jobs.id = s.id AND claims = s.claim AND state = 'claimed' AND ",
    nothing_to_take_back!()
);

/// What was mailed, the attempts, and the jobs.
const ENDS: [&str; 3] = [MAILED, sent_attempts!("true"), SENT];
const FIRST_ENDS: [&str; 3] = [mailed!(nothing_to_take_back!()), sent_attempts!(nothing_to_take_back!()), FIRST_SENT];

/// Which of the ends in ?1, a JSON array with id, claim and event id of each, are recorded, and which jobs are claimed still.
const RECORDED: &str = "SELECT jobs.id, jobs.claims, state = 'claimed' FROM json_each(?1) AS s CROSS JOIN jobs
    ON jobs.id = s.value ->> 0 AND claims = s.value ->> 1
        AND (state = 'sent' AND event_id = s.value ->> 2 OR state = 'claimed')";
/// The attempt was written before the end of its claim, which had no effect.
const UNDO_ATTEMPT: &str = "DELETE FROM attempts WHERE job_id = ?1 AND claim = ?2";
const STILL_CLAIMED: &str = "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND claims = ?2 AND state = 'claimed')";

const SENT_ONE: &str =
    "UPDATE jobs SET state = 'sent', settled = 'claim ' || ?2, claimed_by = NULL, event_id = ?3, finished_at = ?4, in_doubt = 0,
        attempts = min(attempts + ?5, 1000000000), first_sent_at = coalesce(first_sent_at, ?6), error_kind = NULL,
        cause = NULL, http_status = ?7, error_code = NULL, error_message = NULL, request_id = ?8,
        web_link = ?9, ical_uid = ?10, join_url = ?11
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

const AGAIN: &str = "UPDATE jobs SET state = 'pending', settled = 'claim ' || ?2, claimed_by = NULL, next_attempt_at = ?3, attempts = min(attempts + ?4, 1000000000), in_doubt = ?5,
        first_sent_at = coalesce(first_sent_at, ?6), give_up_at = coalesce(give_up_at, ?7), error_kind = coalesce(?8, error_kind),
        http_status = iif(?8 IS NULL, http_status, ?9), error_code = iif(?8 IS NULL, error_code, ?10),
        error_message = iif(?8 IS NULL, error_message, ?11), request_id = iif(?8 IS NULL, request_id, ?12),
        cause = iif(?8 IS NULL, cause, ?13)
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

/// After [`AGAIN`]. Not of a job in doubt, whose row remembers nothing to take out.
const EMPTY_DEFAULTS: &str = "UPDATE jobs SET defaulted = '', mailbox = iif(instr(defaulted, 'mailbox'), NULL, mailbox),
        body_type = iif(instr(defaulted, 'body_type'), NULL, body_type), time_zone = iif(instr(defaulted, 'time_zone'), NULL, time_zone)
    WHERE id = ?1 AND claims = ?2 AND state = 'pending' AND in_doubt = 0 AND defaulted <> ''";

/// The next ?2 of the jobs behind the id ?3 that wait because the default zone was refused: no other waits after a refusal.
const OF_ZONE: &str = concat!(
    "SELECT id FROM jobs WHERE state = 'pending' AND error_kind = 'rejected' AND time_zone IS NULL
        AND next_attempt_at > ?1 AND next_attempt_at > ",
    wished!(),
    " AND id > ?3 ORDER BY id LIMIT ?2 + 0"
);

/// Those in ?2, at ?1 or when they wish.
const WAKE: &str = concat!(
    "UPDATE jobs SET next_attempt_at = max(?1, ",
    wished!(),
    ") WHERE id IN (SELECT value FROM json_each(?2)) AND state = 'pending'"
);

const ANY_PACED: &str = "SELECT EXISTS (SELECT 1 FROM mailboxes WHERE paced_until > ?1)";
const FORGET_PACES: &str = "UPDATE mailboxes SET paced_until = NULL, paced_reason = NULL WHERE paced_until > ?1";

/// The next ?2 of the jobs behind the id ?3 that may wait because their mailbox has mailed as many as it may: of those that a look
/// tells that they would mail somebody (the others keep their place), whose last claim ended without an attempt.
const PACED_JOBS: &str = concat!(
    "WITH RECURSIVE ",
    lanes!(),
    " SELECT jobs.id FROM l CROSS JOIN jobs INDEXED BY jobs_waiting
        WHERE l.m = 0 AND state = 'pending' AND behind IS NULL AND mailbox_key = l.k AND mails = 0 AND priority = l.p
            AND next_attempt_at > ?1 AND claims > 0 AND (operation <> 'create' OR in_doubt = 1) AND next_attempt_at > ",
    wished!(),
    " AND NOT EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND claim = jobs.claims)
            AND jobs.id > ?3 ORDER BY jobs.id LIMIT ?2 + 0"
);

const FAILED: &str = "UPDATE jobs SET state = 'failed', settled = 'claim ' || ?2, claimed_by = NULL, finished_at = ?3, attempts = min(attempts + ?4, 1000000000), in_doubt = ?5,
        first_sent_at = iif(?14, NULL, coalesce(first_sent_at, ?6)), give_up_at = coalesce(give_up_at, ?7), error_kind = ?8, http_status = ?9,
        error_code = ?10, error_message = ?11, request_id = ?12, cause = ?13
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

const ATTEMPT: &str = "INSERT OR REPLACE INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

// What somebody typed into paused_until may be of another form, or no time at all.
const PAUSE: &str =
    "INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind, strikes, updated_at, asked_until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (mailbox) DO UPDATE SET
        paused_until = max(coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', paused_until), ''), excluded.paused_until),
        reason = excluded.reason, error_kind = excluded.error_kind, strikes = excluded.strikes,
        updated_at = excluded.updated_at, resumed_at = NULL,
        asked_until = nullif(max(coalesce(asked_until, ''), coalesce(excluded.asked_until, '')), '')";

/// The statements for ends that are all alike, by how many they take.
#[derive(Debug)]
pub(super) struct BatchInsert([OfSize; SIZES.len()]);

#[derive(Debug)]
struct OfSize {
    size: usize,
    /// Within a transaction.
    part: Arc<str>,
    /// The transaction.
    whole: Arc<str>,
    /// The transaction where all are the ends of first claims.
    first: Arc<str>,
}

impl BatchInsert {
    pub(super) fn new() -> Self {
        Self(SIZES.map(|size| {
            let part = together(size, ENDS);
            OfSize { size, whole: whole(&part), first: whole(&together(size, FIRST_ENDS)), part: part.into() }
        }))
    }

    fn of(&self, count: usize) -> Option<&OfSize> {
        self.0.iter().find(|of| of.size >= count)
    }
}

fn whole(part: &str) -> Arc<str> {
    format!("BEGIN IMMEDIATE; {}; PRAGMA data_version; {part}; COMMIT", locked_at!()).into()
}

/// These statements, and how many jobs there were.
fn together(size: usize, [mailed, attempts, sent]: [&str; 3]) -> String {
    let with = |values: &[&str]| {
        let row = format!("({})", vec!["?"; values.len()].join(","));
        format!("WITH s({}) AS (VALUES {})", values.join(", "), vec![row; size].join(","))
    };
    let [of_mailed, of_attempts, of_jobs] = [with(&MAILED_VALUES), with(&ATTEMPT_VALUES), with(&JOB_VALUES)];
    format!("{of_mailed} {mailed}; {of_attempts} {attempts}; {of_jobs} {sent}; SELECT changes()")
}

/// All in one transaction. Where the schema refuses one of them, in halves, each in a transaction of its own, until it stands
/// alone: a rule may end the whole transaction, and no other end shall suffer for it.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    pacer: &mut WritePacer,
    together: &BatchInsert,
    batch: &[&Settlement],
) -> sqlx::Result<Vec<Settled>> {
    let mut settled = Vec::with_capacity(batch.len());
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        let error = match in_one_go(connection, pacer, together, part).await {
            Ok(done) => {
                settled.extend(done);
                continue;
            }
            Err(error) => error,
        };
        roll_back(connection).await;
        match (is_refusal(&error), part) {
            (true, [_]) => settled.push(Settled::Refused(words(&error))),
            (true, part) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            (false, _) if settled.is_empty() => return Err(error),
            // What is written stays written; the others are tried again.
            (false, _) => {
                settled.resize_with(batch.len(), || Settled::Refused(words(&error)));
                return Ok(settled);
            }
        }
    }
    Ok(settled)
}

async fn in_one_go(
    connection: &mut SqliteConnection,
    pacer: &mut WritePacer,
    together: &BatchInsert,
    batch: &[&Settlement],
) -> sqlx::Result<Vec<Settled>> {
    let alike: Vec<&Settlement> = batch.iter().copied().filter(|settlement| is_plain(settlement)).collect();
    let statements = together.of(alike.len()).filter(|_| !alike.is_empty());
    if alike.len() == batch.len()
        && !batch.iter().any(|settlement| has_more_to_note(settlement))
        && let Some(statements) = statements
    {
        let (recorded, told) = transaction_of(connection, statements, &alike).await?;
        if let [locked_at, version] = told.as_slice() {
            pacer.compare(*version, steady());
            pacer.write_ended(*locked_at, steady(), machine_wall());
        }
        return Ok(alike.iter().map(|end| recorded.of(end)).collect());
    }
    begin(connection).await?;
    let locked = steady();
    let recorded = match statements {
        Some(statements) => Some(sent_together(connection, statements, &statements.part, &alike).await?.0),
        None => None,
    };
    let mut settled = Vec::with_capacity(batch.len());
    for settlement in batch {
        settled.push(match &recorded {
            Some(recorded) if is_plain(settlement) => recorded.of(settlement),
            _ => one(connection, settlement).await?,
        });
        note(connection, settlement, settled.last()).await?;
    }
    commit(connection).await?;
    pacer.write_took(locked.elapsed(), steady());
    Ok(settled)
}

/// The end nearly every job has.
fn is_plain(settlement: &Settlement) -> bool {
    let attempt = settlement.attempt.as_ref();
    matches!(settlement.verdict, Verdict::Sent(_))
        && attempt.is_some_and(|attempt| attempt.ending == Ending::Sent)
        && settlement.pause.is_none()
}

/// Beside its job and what it has mailed.
fn has_more_to_note(settlement: &Settlement) -> bool {
    settlement.ends_at.is_some() || settlement.paced.is_some()
}

/// What a settlement says of the event and of the mailbox. That a mailbox has mailed as many as it may is true whoever learns it.
async fn note(tx: &mut SqliteConnection, settlement: &Settlement, settled: Option<&Settled>) -> sqlx::Result<()> {
    if let Some(ends_at) = settlement.ends_at.map(format_utc).filter(|_| settled == Some(&Settled::Recorded)) {
        for statement in [ENDS_AT, CREATE_ENDS_AT] {
            sqlx::query(statement).bind(settlement.id.0).bind(&ends_at).execute(&mut *tx).await?;
        }
    }
    if let Some(paced) = &settlement.paced {
        sqlx::query(PACED)
            .bind(paced.lane.as_str())
            .bind(format_utc(rounded_up(paced.until)))
            .bind(shortened(&paced.reason))
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// Which claims of a batch were not over. A batch may hold the ends of two claims of one job.
enum Recorded {
    All,
    /// These, by id and claim; the others are over, but for those that are as they were.
    Only {
        recorded: HashSet<(i64, i64)>,
        unmoved: HashSet<(i64, i64)>,
    },
}

impl Recorded {
    fn of(&self, end: &Settlement) -> Settled {
        let claim = (end.id.0, end.claim);
        match self {
            Self::Only { unmoved, .. } if unmoved.contains(&claim) => Settled::Refused(UNMOVED.into()),
            Self::Only { recorded, .. } if !recorded.contains(&claim) => Settled::Stale,
            _ => Settled::Recorded,
        }
    }
}

/// The shorter way first, where it may do for all.
async fn transaction_of(
    connection: &mut SqliteConnection,
    statements: &OfSize,
    alike: &[&Settlement],
) -> sqlx::Result<(Recorded, Vec<i64>)> {
    if alike.iter().all(|end| end.claim == 1) {
        let (changed, told) = write_together(connection, statements.size, &statements.first, alike).await?;
        if changed == Some(alike.len()) {
            return Ok((Recorded::All, told));
        }
    }
    sent_together(connection, statements, &statements.whole, alike).await
}

/// Tells which are recorded, and what else the statements told.
async fn sent_together(
    connection: &mut SqliteConnection,
    statements: &OfSize,
    sql: &Arc<str>,
    alike: &[&Settlement],
) -> sqlx::Result<(Recorded, Vec<i64>)> {
    let (changed, told) = write_together(connection, statements.size, sql, alike).await?;
    if changed == Some(alike.len()) {
        return Ok((Recorded::All, told));
    }
    let ends: Vec<_> = alike.iter().map(|end| (end.id.0, end.claim, event_id(end))).collect();
    let ends = serde_json::to_string(&ends).unwrap_or_default();
    let rows: Vec<(i64, i64, bool)> = sqlx::query_as(RECORDED).bind(ends).fetch_all(&mut *connection).await?;
    for (id, claim, _) in rows.iter().filter(|row| row.2) {
        sqlx::query(UNDO_ATTEMPT).bind(id).bind(claim).execute(&mut *connection).await?;
    }
    let those = |unmoved| rows.iter().filter(|row| row.2 == unmoved).map(|row| (row.0, row.1)).collect();
    Ok((Recorded::Only { recorded: those(false), unmoved: those(true) }, told))
}

/// Tells how many rows were changed, and what else the statements told.
async fn write_together(
    connection: &mut SqliteConnection,
    size: usize,
    sql: &Arc<str>,
    alike: &[&Settlement],
) -> sqlx::Result<(Option<usize>, Vec<i64>)> {
    let missing = size - alike.len();
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
    query = alike.iter().fold(query, |query, end| bind_mailed(query, end));
    query = (0..missing * MAILED_VALUES.len()).fold(query, |query, _| query.bind(NONE));
    query = alike.iter().fold(query, |query, end| bind_attempt(query, end));
    query = (0..missing * ATTEMPT_VALUES.len()).fold(query, |query, _| query.bind(NONE));
    query = alike.iter().fold(query, |query, end| bind_job(query, end));
    query = (0..missing * JOB_VALUES.len()).fold(query, |query, _| query.bind(NONE));
    let mut told: Vec<i64> = query.fetch_all(connection).await?;
    let changed = told.pop().and_then(|changed| usize::try_from(changed).ok());
    Ok((changed, told))
}

fn event_id(end: &Settlement) -> Option<&str> {
    event(end).map(|event| event.id.0.as_str())
}

/// How many it has mailed, if it has come off and mailed anybody.
fn mailed(end: &Settlement) -> Option<u32> {
    Some(end.mailed).filter(|mailed| *mailed > 0 && matches!(end.verdict, Verdict::Sent(_)))
}

/// Its beginning, as stored.
fn minute_of(time: DateTime<Utc>) -> String {
    format_utc(time.duration_trunc(TimeDelta::minutes(1)).unwrap_or(time))
}

/// The event, if the job was sent.
fn event(end: &Settlement) -> Option<&EventRef> {
    match &end.verdict {
        Verdict::Sent(event) => Some(event),
        _ => None,
    }
}

/// In the order of [`MAILED_VALUES`].
fn bind_mailed<'q>(query: Scalar<'q>, end: &'q Settlement) -> Scalar<'q> {
    let mailed = mailed(end);
    let minute = mailed.map(|_| minute_of(end.at.wall));
    query.bind(end.id.0).bind(end.claim).bind(minute).bind(mailed)
}

/// In the order of [`ATTEMPT_VALUES`].
fn bind_attempt<'q>(query: Scalar<'q>, end: &'q Settlement) -> Scalar<'q> {
    let (attempt, answer) = (end.attempt.as_ref(), &end.answer);
    query
        .bind(end.id.0)
        .bind(end.claim)
        .bind(attempt.map(|attempt| format_utc(attempt.started_at)))
        .bind(attempt.map(|attempt| attempt.duration_ms))
        .bind(answer.status.map(i64::from))
        .bind(&answer.request_id)
        .bind(&answer.client_request_id)
}

/// In the order of [`JOB_VALUES`].
fn bind_job<'q>(query: Scalar<'q>, end: &'q Settlement) -> Scalar<'q> {
    query
        .bind(end.id.0)
        .bind(end.claim)
        .bind(event_id(end))
        .bind(format_utc(end.at.wall))
        .bind(i64::from(end.spent))
        .bind(end.sent_at.map(format_utc))
        .bind(end.answer.status.map(i64::from))
        .bind(&end.answer.request_id)
        .bind(event(end).and_then(|event| event.web_link.as_deref()))
        .bind(event(end).and_then(|event| event.ical_uid.as_deref()))
        .bind(event(end).and_then(|event| event.join_url.as_deref()))
}

const NONE: Option<i64> = None;

type Scalar<'q> = sqlx::query::QueryScalar<'q, Sqlite, i64, SqliteArguments>;

async fn one(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<Settled> {
    if let Some(mailed) = mailed(settlement) {
        let query = sqlx::query(MAILED_ONE).bind(settlement.id.0).bind(settlement.claim);
        query.bind(minute_of(settlement.at.wall)).bind(mailed).execute(&mut *tx).await?;
    }
    // A stale writer leaves no trace but the mailbox's pause, which is true whoever learns it.
    let settled = match update(tx, settlement).await? {
        1 => {
            attempt(tx, settlement).await?;
            Settled::Recorded
        }
        _ => match sqlx::query_scalar(STILL_CLAIMED)
            .bind(settlement.id.0)
            .bind(settlement.claim)
            .fetch_one(&mut *tx)
            .await?
        {
            true => Settled::Refused(UNMOVED.into()),
            false => Settled::Stale,
        },
    };
    if let Some(pause) = &settlement.pause {
        self::pause(tx, pause, settlement.at.wall).await?;
    }
    Ok(settled)
}

async fn update(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<u64> {
    let answer = &settlement.answer;
    let sent_at = settlement.sent_at.map(format_utc);
    let status = answer.status.map(i64::from);
    let query = match &settlement.verdict {
        Verdict::Sent(event) => sqlx::query(SENT_ONE)
            .bind(settlement.id.0)
            .bind(settlement.claim)
            .bind(&event.id.0)
            .bind(format_utc(settlement.at.wall))
            .bind(i64::from(settlement.spent))
            .bind(sent_at)
            .bind(status)
            .bind(&answer.request_id)
            .bind(&event.web_link)
            .bind(&event.ical_uid)
            .bind(&event.join_url),
        verdict => {
            let (statement, time) = match verdict {
                Verdict::Pending(due) | Verdict::Unfilled(due) => (AGAIN, *due),
                _ => (FAILED, settlement.at.wall),
            };
            let query = sqlx::query(statement)
                .bind(settlement.id.0)
                .bind(settlement.claim)
                .bind(format_utc(time))
                .bind(i64::from(settlement.spent))
                .bind(settlement.in_doubt)
                .bind(sent_at)
                .bind(settlement.give_up_at.map(format_utc))
                .bind(settlement.kind.map(|kind| kind.as_str()))
                .bind(status)
                .bind(&answer.code)
                .bind(answer.message.as_deref().map(shortened))
                .bind(&answer.request_id)
                .bind(answer.cause.map(|cause| cause.as_str()));
            if *verdict == Verdict::Failed { query.bind(settlement.never_left) } else { query }
        }
    };
    let done = query.execute(&mut *tx).await?.rows_affected();
    if matches!(settlement.verdict, Verdict::Unfilled(_)) {
        sqlx::query(EMPTY_DEFAULTS).bind(settlement.id.0).bind(settlement.claim).execute(tx).await?;
    }
    Ok(done)
}

/// Makes the next of the jobs due that were put off for a setting. None: there are no more. What a rule keeps from being woken
/// waits on.
pub(super) async fn wake(
    connection: &mut SqliteConnection,
    woken: Woken,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Woken>> {
    let now = format_utc(now);
    match woken {
        Woken::OfZone(id) => {
            if let Some(last) = woken_after(connection, OF_ZONE, id, &now).await? {
                return Ok(Some(Woken::OfZone(last)));
            }
            let any: bool = sqlx::query_scalar(ANY_PACED).bind(&now).fetch_one(connection).await?;
            Ok(any.then_some(Woken::Paced(i64::MIN)))
        }
        Woken::Paced(id) => {
            let last = woken_after(connection, PACED_JOBS, id, &now).await?;
            if last.is_none() {
                sqlx::query(FORGET_PACES).bind(&now).execute(connection).await?;
            }
            Ok(last.map(Woken::Paced))
        }
    }
}

/// Tells the last that was tried. Each is tried once: a rule of somebody's may put it off again.
async fn woken_after(
    connection: &mut SqliteConnection,
    which: &'static str,
    id: i64,
    now: &str,
) -> sqlx::Result<Option<i64>> {
    let query = sqlx::query_scalar(which).bind(now).bind(WAKE_BATCH).bind(id);
    let ids: Vec<i64> = query.fetch_all(&mut *connection).await?;
    let mut parts = vec![ids.as_slice()];
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        match sqlx::query(WAKE).bind(now).bind(json(part)).execute(&mut *connection).await {
            Err(error) if is_refusal(&error) && part.len() > 1 => parts.extend(part.chunks(1)),
            Err(error) if !is_refusal(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(ids.last().copied())
}

async fn attempt(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<()> {
    let Some(attempt) = &settlement.attempt else { return Ok(()) };
    let answer = &settlement.answer;
    sqlx::query(ATTEMPT)
        .bind(settlement.id.0)
        .bind(settlement.claim)
        .bind(format_utc(attempt.started_at))
        .bind(attempt.duration_ms)
        .bind(attempt.ending.as_str())
        .bind(answer.status.map(i64::from))
        .bind(&answer.code)
        .bind(answer.message.as_deref().map(shortened))
        .bind(&answer.request_id)
        .bind(&answer.client_request_id)
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn pause(tx: &mut SqliteConnection, pause: &Pause, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query(PAUSE)
        .bind(pause.lane.as_str())
        .bind(format_utc(rounded_up(pause.until)))
        .bind(shortened(&pause.reason))
        .bind(pause.kind.map(|kind| kind.as_str()))
        .bind(pause.pauses_in_a_row)
        .bind(format_utc(at))
        .bind(pause.asked_until.map(|until| format_utc(rounded_up(until))))
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn pauses(connection: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<Pause>> {
    let query = sqlx::query("SELECT mailbox, paused_until, reason, strikes, asked_until FROM mailboxes");
    let rows = query.fetch_all(connection).await?;
    let pauses = rows.iter().filter_map(|row| {
        // A row somebody typed wrong pauses nothing.
        let until = parse_utc(&row.try_get::<String, _>("paused_until").ok()?)?;
        let mailbox: String = row.try_get("mailbox").ok()?;
        Some(Pause {
            lane: LaneKey::of(&mailbox),
            until,
            reason: row.try_get("reason").unwrap_or_default(),
            kind: None,
            pauses_in_a_row: row.try_get("strikes").unwrap_or(1),
            asked_until: row.try_get::<String, _>("asked_until").ok().and_then(|until| parse_utc(&until)),
        })
    });
    Ok(pauses.filter(|pause| pause.until > now).collect())
}

/// The next of the jobs that ended before ?1, in the order of their ends and ids, after end ?4 and id ?5; and whether each may go,
/// ?3 being now. Many may have ended at one time: in two parts, each found in the index.
macro_rules! old {
    ($after:literal) => {
        concat!(
            "SELECT id, finished_at, in_doubt = 0 AND ",
            not_needed!("?3"),
            " FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ?1 AND ",
            $after
        )
    };
}
pub(super) const OLD: &str = concat!(
    old!("finished_at = ?4 AND id > ?5"),
    " UNION ALL ",
    old!("finished_at > ?4"),
    " ORDER BY 2, 1 LIMIT ?2 + 0"
);
const PURGE: &str = concat!(
    "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?2))
    AND finished_at IS NOT NULL AND finished_at < ?1 AND in_doubt = 0 AND ",
    not_needed!("?3")
);
/// Rows that one purge looks at for each that it may delete: those of events to come are passed over, a part at a time.
const LOOKED_AT: u32 = 10;

/// After which end and id the next purge goes on: old rows that are kept are not looked at by every one.
#[derive(Debug, Default)]
pub(super) struct PurgeCursor {
    finished_at: String,
    id: i64,
}

/// In one batch; where somebody's trigger refuses one of them, one by one.
pub(super) async fn purge(
    connection: &mut SqliteConnection,
    cursor: &mut PurgeCursor,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: u32,
) -> sqlx::Result<u64> {
    let times = [format_utc(before), format_utc(now)];
    let old = old(connection, cursor, &times, limit).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let refused = match delete(connection, &times, &old).await {
        Err(error) if is_refusal(&error) => error,
        done => return done,
    };
    let mut deleted = 0;
    for id in old {
        match delete(connection, &times, &[id]).await {
            Ok(done) => deleted += done,
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if deleted == 0 { Err(refused) } else { Ok(deleted) }
}

/// Those that may go, at most `limit`, among the next rows; from the first one again after the last.
async fn old(
    connection: &mut SqliteConnection,
    cursor: &mut PurgeCursor,
    [before, now]: &[String; 2],
    limit: u32,
) -> sqlx::Result<Vec<i64>> {
    let most = limit.saturating_mul(LOOKED_AT);
    let query = sqlx::query_as(OLD).bind(before).bind(most).bind(now).bind(&cursor.finished_at).bind(cursor.id);
    let mut rows: Vec<(i64, String, bool)> = query.fetch_all(connection).await?;
    let all_seen = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Beyond those that go now nothing is passed over.
    let may_go = |row: &(i64, String, bool)| row.2;
    let beyond = rows.iter().enumerate().filter(|(_, row)| may_go(row)).nth(limit).map(|(place, _)| place);
    rows.truncate(beyond.unwrap_or(rows.len()));
    *cursor = match rows.last() {
        Some((id, finished_at, _)) if beyond.is_some() || !all_seen => {
            PurgeCursor { finished_at: finished_at.clone(), id: *id }
        }
        _ => PurgeCursor::default(),
    };
    Ok(rows.into_iter().filter(may_go).map(|(id, ..)| id).collect())
}

async fn delete(connection: &mut SqliteConnection, [before, now]: &[String; 2], ids: &[i64]) -> sqlx::Result<u64> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    begin(connection).await?;
    let done = sqlx::query(PURGE).bind(before).bind(ids).bind(now).execute(&mut *connection).await;
    end(connection, done).await.map(|done| done.rows_affected())
}

/// A pause that is over, no hold, and no order to end it that the agent may still have to see (`lane_heads::orders!`). What is
/// not a time is left to whoever wrote it.
macro_rules! over {
    () => {
        "held_at IS NULL AND coalesce(paced_until, '') < ?1 AND coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', paused_until), paused_until) < ?1
            AND coalesce(resumed_at, '') <= strftime('%Y-%m-%dT%H:%M:%fZ', ?1, '-10 minutes')"
    };
}
const ANY_OVER: &str = concat!("SELECT EXISTS (SELECT 1 FROM mailboxes WHERE ", over!(), ")");
const FORGET: &str =
    concat!("DELETE FROM mailboxes WHERE mailbox IN (SELECT mailbox FROM mailboxes WHERE ", over!(), " LIMIT ?2 + 0)");

pub(super) async fn forget_pauses(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    limit: u32,
) -> sqlx::Result<u64> {
    let mailings = forget_mailings(connection, now, limit).await?;
    let now = format_utc(now);
    // Without the write lock, where there is nothing to forget.
    if !sqlx::query_scalar(ANY_OVER).bind(&now).fetch_one(&mut *connection).await? {
        return Ok(mailings);
    }
    let pauses = sqlx::query(FORGET).bind(now).bind(limit).execute(connection).await?.rows_affected();
    Ok(pauses.max(mailings))
}

/// For how long it is known what was mailed, and for how long it is kept.
const MAILED_WITHIN: TimeDelta = TimeDelta::hours(24);
const MAILINGS_KEPT: TimeDelta = TimeDelta::hours(48);

const LATELY_MAILED: &str =
    "SELECT mailbox, minute, jobs, recipients FROM mailings WHERE minute >= ?1 ORDER BY minute, mailbox";
const ANY_OLD_MAILING: &str = "SELECT EXISTS (SELECT 1 FROM mailings WHERE minute < ?1)";
const FORGET_MAILINGS: &str = "DELETE FROM mailings WHERE (mailbox, minute) IN
    (SELECT mailbox, minute FROM mailings WHERE minute < ?1 LIMIT ?2 + 0)";

/// What was mailed within the last 24 hours, `unnamed` being whose mailbox the rows are for that name none. A row somebody typed
/// wrong counts nothing.
pub(super) async fn lately_mailed(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    unnamed: Option<&str>,
) -> sqlx::Result<Vec<Mailed>> {
    let since = now.checked_sub_signed(MAILED_WITHIN).unwrap_or(now);
    let rows = sqlx::query(LATELY_MAILED).bind(minute_of(since)).fetch_all(connection).await?;
    let mailed = rows.iter().filter_map(|row| {
        Some(Mailed {
            lane: lane_key(row.try_get::<String, _>("mailbox").ok()?.as_bytes(), unnamed),
            minute: parse_utc(&row.try_get::<String, _>("minute").ok()?)?,
            jobs: row.try_get("jobs").ok()?,
            recipients: row.try_get("recipients").ok()?,
        })
    });
    Ok(mailed.collect())
}

async fn forget_mailings(connection: &mut SqliteConnection, now: DateTime<Utc>, limit: u32) -> sqlx::Result<u64> {
    let Some(before) = now.checked_sub_signed(MAILINGS_KEPT).map(format_utc) else { return Ok(0) };
    // Without the write lock, where there is nothing to forget.
    if !sqlx::query_scalar(ANY_OLD_MAILING).bind(&before).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    Ok(sqlx::query(FORGET_MAILINGS).bind(before).bind(limit).execute(connection).await?.rows_affected())
}

const ADD_JOIN_URL: &str = "UPDATE jobs SET join_url = ?2 WHERE id = ?1 AND state = 'sent' AND join_url IS NULL";

pub(super) async fn add_join_url(pool: &SqlitePool, id: JobId, join_url: &str) -> sqlx::Result<()> {
    sqlx::query(ADD_JOIN_URL).bind(id.0).bind(join_url).execute(pool).await.map(|_| ())
}

pub(super) async fn outstanding(pool: &SqlitePool) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM jobs WHERE state = 'pending') + (SELECT count(*) FROM jobs WHERE state = 'claimed')",
    )
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Stored to the millisecond, a pause must not end earlier than it was to.
pub(super) fn rounded_up(until: DateTime<Utc>) -> DateTime<Utc> {
    until.checked_add_signed(TimeDelta::microseconds(999)).unwrap_or(until)
}
