//! The claim. First a look at the head of every lane, without a lock; then, only if something is due, one short
//! `BEGIN IMMEDIATE` that takes the jobs lane by lane. Reading a row never fails: what a foreign program left in a
//! column is judged later, by the draft.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::super::{ClaimRequest, Claimed, LaneKey};
use super::settle::refused_by_schema;
use crate::job::{Cell, Job, JobId, JobInput, MAX_REQUEST_BYTES, format_utc, parse_utc};

/// The lane of a row, as in the index `jobs_waiting`: the expression must be the same to the letter, or SQLite reads
/// the table instead.
macro_rules! lane {
    () => {
        "coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), '')"
    };
}

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

/// Every lane with pending jobs and when its first one is due, the one waiting longest first. Jumps from lane to lane
/// in the index.
const HEADS: &str = concat!(
    "WITH RECURSIVE lane(k) AS (
        SELECT (SELECT ",
    lane!(),
    " FROM jobs WHERE state = 'pending' ORDER BY ",
    lane!(),
    " LIMIT 1)
        UNION ALL
        SELECT (SELECT ",
    lane!(),
    " FROM jobs WHERE state = 'pending' AND ",
    lane!(),
    " > lane.k
                ORDER BY ",
    lane!(),
    " LIMIT 1)
        FROM lane WHERE lane.k IS NOT NULL)
    SELECT CAST(k AS BLOB) AS k,
           (SELECT next_attempt_at FROM jobs WHERE state = 'pending' AND ",
    lane!(),
    " = k
            ORDER BY next_attempt_at LIMIT 1) AS due
    FROM lane WHERE k IS NOT NULL ORDER BY due"
);

/// Takes up to ?4 due jobs of one lane. Defaults are frozen into rows of which no request has left yet; the zone of a
/// row whose times both carry an offset is UTC (JobInput::with_defaults has the same rule, a test compares them).
/// Columns larger than a request may be are not read at all. The plus takes the affinity off the CAST: compared with
/// something of TEXT affinity, the lane, which has none, is not looked up in the index.
const TAKE: &str = concat!(
    "UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = ?1,
        mailbox = CASE WHEN first_sent_at IS NULL AND in_doubt = 0 THEN coalesce(mailbox, ?5) ELSE mailbox END,
        body_type = CASE WHEN first_sent_at IS NULL AND in_doubt = 0 THEN coalesce(body_type, ?6) ELSE body_type END,
        time_zone = CASE WHEN first_sent_at IS NULL AND in_doubt = 0 THEN coalesce(time_zone, CASE WHEN ",
    offset!("start_time"),
    " AND ",
    offset!("end_time"),
    " THEN 'UTC' ELSE ?7 END) ELSE time_zone END
    WHERE id IN (SELECT id FROM jobs WHERE state = 'pending' AND ",
    lane!(),
    " = +CAST(?2 AS TEXT)
                     AND next_attempt_at <= ?3
                 ORDER BY next_attempt_at, id LIMIT ?4)
    RETURNING id, claims, attempts, in_doubt, give_up_at, next_attempt_at, ",
    input_columns!(),
    "1"
);

/// One job's input columns, as the claim reads them.
pub(super) const INPUT: &str = concat!("SELECT ", input_columns!(), "1 FROM jobs WHERE id = ?1");

struct Head {
    /// The lane as SQLite has it, which may be no UTF-8.
    raw: Vec<u8>,
    lane: LaneKey,
    /// As stored: the claim compares text, so what is no time is judged here as it is there.
    due: String,
}

pub(super) async fn claim(connection: &mut SqliteConnection, request: &ClaimRequest) -> sqlx::Result<Claimed> {
    let mut claimed = Claimed::default();
    let now = format_utc(request.now);
    let mut due = Vec::new();
    for head in heads(connection, request).await? {
        if free(request, &head.lane) == 0 {
            continue;
        }
        if head.due <= now {
            due.push(head);
        } else {
            claimed.next_due = claimed.next_due.into_iter().chain(parse_utc(&head.due)).min();
        }
    }
    if due.is_empty() || request.limit == 0 {
        return Ok(claimed);
    }
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut taken: HashMap<LaneKey, usize> = HashMap::new();
    for head in due {
        let left = request.limit - claimed.jobs.len();
        let used = taken.entry(head.lane.clone()).or_default();
        let slots = free(request, &head.lane).saturating_sub(*used).min(left);
        if slots == 0 {
            continue;
        }
        let taken = sqlx::query(TAKE)
            .bind(&now)
            .bind(&head.raw)
            .bind(&now)
            .bind(i64::try_from(slots).unwrap_or(i64::MAX))
            .bind(&request.defaults.mailbox)
            .bind(request.defaults.body_type.as_str())
            .bind(&request.defaults.time_zone)
            .fetch_all(&mut *tx)
            .await;
        let rows = match taken {
            Ok(rows) => rows,
            // A row somebody wrote nonsense into: its lane is passed over, the others are not.
            Err(error) if refused_by_schema(&error) => continue,
            Err(error) => return Err(error),
        };
        *used += rows.len();
        // RETURNING gives no order of its own.
        let mut jobs: Vec<(String, Job)> = rows.iter().map(job).collect::<sqlx::Result<_>>()?;
        jobs.sort_by(|(a, left), (b, right)| (a, left.id).cmp(&(b, right.id)));
        claimed.jobs.extend(jobs.into_iter().map(|(_, job)| (head.lane.clone(), job)));
    }
    tx.commit().await?;
    Ok(claimed)
}

async fn heads(connection: &mut SqliteConnection, request: &ClaimRequest) -> sqlx::Result<Vec<Head>> {
    let rows = sqlx::query(HEADS).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let raw: Vec<u8> = row.try_get("k")?;
            let due: String = row.try_get("due")?;
            let name = String::from_utf8_lossy(&raw);
            // Rows without mailbox go to the default one and share its lane.
            let lane = match &request.defaults.mailbox {
                Some(default) if raw.is_empty() => LaneKey::of(default),
                _ => LaneKey::of(&name),
            };
            Ok(Head { lane, due, raw })
        })
        .collect()
}

fn free(request: &ClaimRequest, lane: &LaneKey) -> usize {
    request.free.get(lane).copied().unwrap_or(request.per_lane)
}

/// A claimed row and its due time.
fn job(row: &SqliteRow) -> sqlx::Result<(String, Job)> {
    let give_up_at: Option<String> = row.try_get("give_up_at").unwrap_or(None);
    let job = Job {
        id: JobId(row.try_get("id")?),
        claim: row.try_get("claims")?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        in_doubt: row.try_get::<i64, _>("in_doubt")? != 0,
        give_up_at: give_up_at.as_deref().and_then(parse_utc),
        input: input(row)?,
    };
    Ok((row.try_get("next_attempt_at")?, job))
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
pub(super) const STATEMENTS: [&str; 2] = [HEADS, TAKE];
