//! The claim. First a look at the heads of the lanes, without a lock; then, only if something is due, one short
//! `BEGIN IMMEDIATE` that takes the jobs of all lanes with one statement. Reading a row never fails: what a foreign
//! program left in a column is judged later, by the draft.

use std::collections::HashSet;

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Connection, Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::super::{ClaimRequest, Claimed, LaneKey};
use super::frontier::{Frontier, Head, lane, lane_key};
use super::settle::refused_by_schema;
use crate::job::{Cell, Job, JobId, JobInput, MAX_REQUEST_BYTES, format_utc, parse_utc};

/// A column and its size, the column NULL if it is larger than any request.
macro_rules! cell {
    ($column:literal) => {
        concat!(
            "CASE WHEN octet_length(",
            $column,
            ") <= 4194304 THEN ",
            $column,
            " END AS ",
            $column,
            ", ",
            "octet_length(",
            $column,
            ") AS ",
            $column,
            "_bytes, "
        )
    };
}

/// The input columns, each with its size, ready for one more behind them.
macro_rules! input_columns {
    () => {
        concat!(
            cell!("subject"),
            cell!("body"),
            cell!("start_time"),
            cell!("end_time"),
            cell!("location"),
            cell!("attendees"),
            cell!("mailbox"),
            cell!("calendar_id"),
            cell!("body_type"),
            cell!("time_zone"),
            cell!("extra"),
            cell!("dedup_key"),
            cell!("not_before"),
            cell!("transaction_id"),
        )
    };
}

/// Whether a time ends in Z or an offset.
macro_rules! offset {
    ($column:literal) => {
        concat!(
            "(length(trim(",
            $column,
            ")) > 16 AND (substr(trim(",
            $column,
            "), -1) IN ('Z', 'z')",
            " OR substr(trim(",
            $column,
            "), -6, 1) IN ('+', '-') OR substr(trim(",
            $column,
            "), -5, 1) IN ('+', '-')))"
        )
    };
}

/// Takes the jobs that a subquery names, at ?1. ?2 to ?4 are the defaults, frozen into rows of which no request has left
/// yet; the zone of a row whose times both carry an offset is UTC (JobInput::with_defaults has the same rule, a test
/// compares them). Columns larger than a request may be are not read at all.
macro_rules! take {
    ($($ids:expr),+) => {
        concat!(
            "UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = ?1,
    mailbox = CASE WHEN first_sent_at IS NULL AND in_doubt = 0 THEN coalesce(mailbox, ?2) ELSE mailbox END,
    body_type = CASE WHEN first_sent_at IS NULL AND in_doubt = 0 THEN coalesce(body_type, ?3) ELSE body_type END,
    time_zone = CASE WHEN first_sent_at IS NULL AND in_doubt = 0 THEN coalesce(time_zone, CASE WHEN ",
            offset!("start_time"),
            " AND ",
            offset!("end_time"),
            " THEN 'UTC' ELSE ?4 END) ELSE time_zone END
WHERE id IN (",
            $($ids),+,
            ")
RETURNING id, claims, attempts, in_doubt, give_up_at, next_attempt_at, CAST(",
            lane!(),
            " AS BLOB) AS lane, ",
            input_columns!(),
            "1"
        )
    };
}

/// Of the lanes in ?6, a JSON array with a pair of lane and free slots for each, and no more than ?5 in all. Walks each
/// lane in the index from job to job, one lane after the other.
const TAKE: &str = take!(
    "WITH RECURSIVE pick(place, k, slots, taken, id) AS (
        SELECT key, value ->> 0, value ->> 1, 0, 0 FROM json_each(?6)
        UNION ALL
        SELECT place, k, slots, taken + 1, (
            SELECT id FROM jobs WHERE state = 'pending' AND ",
    lane!(),
    " = pick.k AND next_attempt_at <= ?1
                AND (next_attempt_at, id) > (coalesce((SELECT next_attempt_at FROM jobs WHERE id = pick.id), ''), pick.id)
            ORDER BY next_attempt_at, id LIMIT 1)
        FROM pick WHERE taken < slots AND id IS NOT NULL
        ORDER BY place)
    SELECT id FROM pick WHERE taken > 0 AND id IS NOT NULL LIMIT ?5"
);

/// What is due of one lane, whose name may be no text that JSON can hold. The plus takes the affinity off the CAST:
/// compared with something of TEXT affinity, the lane, which has none, is not looked up in the index.
macro_rules! due_of_lane {
    () => {
        concat!(
            "SELECT id FROM jobs WHERE state = 'pending' AND ",
            lane!(),
            " = +CAST(?6 AS TEXT) AND next_attempt_at <= ?1
     ORDER BY next_attempt_at, id LIMIT ?5"
        )
    };
}

const DUE: &str = due_of_lane!();
const TAKE_ODD: &str = take!(due_of_lane!());
/// One job.
const TAKE_ONE: &str = take!("?6");

const FAIL_BROKEN: &str = "UPDATE jobs SET state = 'failed', finished_at = ?2, error_kind = 'invalid_job',
        error_code = 'invalid_row', error_message = 'the columns that belong to the agent (claims, attempts, …) hold values '
            || 'no agent writes, so this job cannot be taken: insert it anew'
    WHERE id = ?1 AND state = 'pending'";

/// One job's input columns, as the claim reads them.
pub(super) const INPUT: &str = concat!("SELECT ", input_columns!(), "1 FROM jobs WHERE id = ?1");

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A lane with something due, and the slots it has for it.
struct Wanted {
    head: Head,
    slots: usize,
    /// Another way of writing a mailbox that is wanted already: it has the slots that one leaves.
    shares: bool,
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    frontier: &mut Frontier,
    request: &ClaimRequest,
) -> sqlx::Result<Claimed> {
    let now = format_utc(request.now);
    let default = request.unnamed.as_deref();
    frontier.look(connection, default).await?;
    let mut broken = Vec::new();
    let mut jobs = take_due(connection, frontier, request, &now, &mut broken).await?;
    // Perhaps what was seen is no longer there, and something else is.
    if jobs.is_empty() && frontier.look_again(connection, default).await? {
        jobs = take_due(connection, frontier, request, &now, &mut broken).await?;
    }
    // RETURNING gives no order of its own. Within a lane it is that of due time and id.
    jobs.sort_by(|(a, _, left), (b, _, right)| (a, left.id).cmp(&(b, right.id)));
    let jobs = jobs.into_iter().map(|(_, lane, job)| (lane, job)).collect();
    let waiting = frontier.heads().filter(|head| head.due > now && free(request, &head.lane) > 0);
    let next_due = waiting.filter_map(|head| parse_utc(&head.due)).min();
    Ok(Claimed { jobs, next_due, broken })
}

/// Takes what is due as far as the frontier knows, and puts the frontier right.
async fn take_due(
    connection: &mut SqliteConnection,
    frontier: &mut Frontier,
    request: &ClaimRequest,
    now: &str,
    broken: &mut Vec<JobId>,
) -> sqlx::Result<Vec<(String, LaneKey, Job)>> {
    let wanted = wanted(frontier, request, now);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let default = request.unnamed.as_deref();
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let rows = take(&mut tx, &wanted, request, now, broken).await?;
    let jobs = rows.iter().map(|row| job(row, default)).collect::<sqlx::Result<_>>()?;
    tx.commit().await?;
    // From here on the jobs are the agent's: no error may lose them.
    let heads = wanted.into_iter().map(|wanted| wanted.head);
    if frontier.look_at(connection, default, heads).await.is_err() {
        frontier.forget();
    }
    Ok(jobs)
}

/// The lanes with something due and slots for it, the one waiting longest first, as many as there may be jobs.
fn wanted(frontier: &Frontier, request: &ClaimRequest, now: &str) -> Vec<Wanted> {
    let mut named: HashSet<&LaneKey> = HashSet::new();
    let (troubled, mut for_troubled) = (&request.troubled.0, request.troubled.1);
    let mut wanted = Vec::new();
    for head in frontier.heads().take_while(|head| *head.due <= *now) {
        if wanted.len() >= request.limit {
            break;
        }
        let mut slots = free(request, &head.lane).min(request.limit);
        if troubled.contains(&head.lane) {
            slots = slots.min(for_troubled);
            for_troubled -= slots;
        }
        if slots > 0 {
            wanted.push(Wanted { head: head.clone(), slots, shares: !named.insert(&head.lane) });
        }
    }
    wanted
}

async fn take(
    tx: &mut SqliteConnection,
    wanted: &[Wanted],
    request: &ClaimRequest,
    now: &str,
    broken: &mut Vec<JobId>,
) -> sqlx::Result<Vec<SqliteRow>> {
    let default = request.unnamed.as_deref();
    let together = wanted.iter().filter(|wanted| !wanted.shares);
    let lanes: Vec<(&str, usize)> = together.filter_map(|wanted| Some((wanted.head.name()?, wanted.slots))).collect();
    // Text and numbers: JSON can hold them.
    let lanes = serde_json::to_string(&lanes).unwrap_or_default();
    let taken = query(TAKE, now, request, request.limit).bind(lanes).fetch_all(&mut *tx).await;
    let (mut rows, one_by_one) = match taken {
        Ok(rows) => (rows, false),
        // A row somebody wrote nonsense into: found by going lane by lane, and row by row in its lane.
        Err(error) if refused_by_schema(&error) => (Vec::new(), true),
        Err(error) => return Err(error),
    };
    for Wanted { head, slots, shares } in wanted {
        if !one_by_one && !shares && head.name().is_some() {
            continue;
        }
        let used = rows.iter().filter(|row| lane_of(row, default).is_ok_and(|lane| lane == head.lane)).count();
        let limit = slots.saturating_sub(used).min(request.limit.saturating_sub(rows.len()));
        match query(TAKE_ODD, now, request, limit).bind(&head.raw).fetch_all(&mut *tx).await {
            Ok(taken) => rows.extend(taken),
            Err(error) if refused_by_schema(&error) => {
                rows.extend(take_row_by_row(tx, &head.raw, limit, request, now, broken).await?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// Of a lane with a row that somebody wrote nonsense into: that row fails, the others are taken.
async fn take_row_by_row(
    tx: &mut SqliteConnection,
    lane: &[u8],
    limit: usize,
    request: &ClaimRequest,
    now: &str,
    broken: &mut Vec<JobId>,
) -> sqlx::Result<Vec<SqliteRow>> {
    let due = query(DUE, now, request, limit).bind(lane).fetch_all(&mut *tx).await?;
    let mut rows = Vec::new();
    for row in due {
        let id: i64 = row.try_get("id")?;
        match query(TAKE_ONE, now, request, 1).bind(id).fetch_all(&mut *tx).await {
            Ok(taken) => rows.extend(taken),
            Err(error) if refused_by_schema(&error) => {
                match sqlx::query(FAIL_BROKEN).bind(id).bind(now).execute(&mut *tx).await {
                    Ok(_) => broken.push(JobId(id)),
                    Err(error) if refused_by_schema(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// A statement about up to `limit` jobs, all bound but the last: which lanes or job.
fn query<'q>(statement: &'static str, now: &'q str, request: &'q ClaimRequest, limit: usize) -> Query<'q> {
    sqlx::query(statement)
        .bind(now)
        .bind(&request.defaults.mailbox)
        .bind(request.defaults.body_type.as_str())
        .bind(&request.defaults.time_zone)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn free(request: &ClaimRequest, lane: &LaneKey) -> usize {
    request.free.get(lane).copied().unwrap_or(request.per_lane)
}

/// A claimed row with its due time and lane.
fn job(row: &SqliteRow, default_mailbox: Option<&str>) -> sqlx::Result<(String, LaneKey, Job)> {
    let give_up_at: Option<String> = row.try_get("give_up_at").unwrap_or(None);
    let job = Job {
        id: JobId(row.try_get("id")?),
        claim: row.try_get("claims")?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        in_doubt: row.try_get::<i64, _>("in_doubt")? != 0,
        give_up_at: give_up_at.as_deref().and_then(parse_utc),
        input: input(row)?,
    };
    Ok((row.try_get("next_attempt_at")?, lane_of(row, default_mailbox)?, job))
}

fn lane_of(row: &SqliteRow, default_mailbox: Option<&str>) -> sqlx::Result<LaneKey> {
    Ok(lane_key(&row.try_get::<Vec<u8>, _>("lane")?, default_mailbox))
}

/// The input columns of a row that has each of them, and its size as `<column>_bytes`.
pub(super) fn input(row: &SqliteRow) -> sqlx::Result<JobInput> {
    Ok(JobInput {
        subject: cell(row, "subject")?,
        body: cell(row, "body")?,
        start_time: cell(row, "start_time")?,
        end_time: cell(row, "end_time")?,
        location: cell(row, "location")?,
        attendees: cell(row, "attendees")?,
        mailbox: cell(row, "mailbox")?,
        calendar_id: cell(row, "calendar_id")?,
        body_type: cell(row, "body_type")?,
        time_zone: cell(row, "time_zone")?,
        extra: cell(row, "extra")?,
        dedup_key: cell(row, "dedup_key")?,
        not_before: cell(row, "not_before")?,
        transaction_id: cell(row, "transaction_id")?,
    })
}

fn cell(row: &SqliteRow, column: &str) -> sqlx::Result<Cell> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        let bytes: Option<i64> = row.try_get(format!("{column}_bytes").as_str())?;
        return Ok(match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            Some(bytes) if bytes > MAX_REQUEST_BYTES as u64 => Cell::TooLarge(bytes),
            _ => Cell::Null,
        });
    }
    if value.type_info().name() == "BLOB" {
        return Ok(Cell::Blob);
    }
    let bytes = <&[u8] as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?;
    Ok(std::str::from_utf8(bytes).map_or(Cell::NotUtf8, |text| Cell::Text(text.to_owned())))
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [TAKE, TAKE_ODD, DUE];
