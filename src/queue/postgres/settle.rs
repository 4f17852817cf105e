//! The end of claims: one statement for a whole batch, each end fenced by the claim's number and by whose claim it was. What a
//! late writer knows of an event is not lost: it stands among the attempts, and ends the job where nobody has yet.

use std::collections::HashMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use super::clock::ServerClock;
use super::errors::{UNMOVED, is_of_the_row, is_refusal, words};
use super::member::AgentId;
use super::time::{Time, time};
use crate::clock::Now;
use crate::job::{JobId, JobState};
use crate::queue::settlement::shortened;
use crate::queue::woken::Woken;
use crate::queue::{LaneKey, Mailed, Pause, Settled, Settlement, Verdict};

/// Rows of one write that wakes them.
const WAKE_BATCH: i64 = 500;

/// The ends in $2 to $27, of claims of $1; see [`Columns`]. What a mailbox was told is true whoever learns it, so pauses and paces
/// are noted whether the claim was over or not. The empty text behind the state has the jobs found by their ids, not each of them
/// among all that are claimed.
const SETTLE: &str = "WITH s AS (
        SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::int[], $11::boolean[], $12::timestamptz[], $13::text[], $14::text[], $15::int[], $16::text[],
            $17::text[], $18::text[], $19::timestamptz[], $20::boolean[], $21::timestamptz[], $22::int[], $23::timestamptz[],
            $24::timestamptz[], $25::bigint[], $26::text[], $27::text[])
        AS s(id, claim, state, event_id, web_link, ical_uid, join_url, due, spent, in_doubt, give_up_at, kind, cause, status, code,
            message, request_id, sent_at, never_left, ends_at, mailed, minute, started_at, duration_ms, outcome, client_request_id)),
    done AS (
        UPDATE jobs AS j SET state = s.state, settled = 'claim ' || s.claim, claimed_by = NULL,
            event_id = s.event_id, web_link = s.web_link, ical_uid = s.ical_uid, join_url = s.join_url,
            finished_at = CASE WHEN s.state <> 'pending' THEN date_trunc('milliseconds', clock_timestamp()) END,
            next_attempt_at = coalesce(s.due, j.next_attempt_at), in_doubt = s.in_doubt,
            attempts = least(j.attempts + s.spent, 1000000000),
            first_sent_at = CASE WHEN s.never_left THEN NULL ELSE coalesce(j.first_sent_at, s.sent_at) END,
            give_up_at = coalesce(j.give_up_at, s.give_up_at),
            error_kind = CASE WHEN s.state = 'sent' THEN NULL ELSE coalesce(s.kind, CASE WHEN s.state = 'pending' THEN j.error_kind END) END,
            cause = CASE WHEN s.kind IS NULL AND s.state = 'pending' THEN j.cause ELSE s.cause END,
            http_status = CASE WHEN s.kind IS NULL AND s.state = 'pending' THEN j.http_status ELSE s.status END,
            error_code = CASE WHEN s.kind IS NULL AND s.state = 'pending' THEN j.error_code ELSE s.code END,
            error_message = CASE WHEN s.kind IS NULL AND s.state = 'pending' THEN j.error_message ELSE s.message END,
            request_id = CASE WHEN s.kind IS NULL AND s.state = 'pending' THEN j.request_id ELSE s.request_id END,
            ends_at = coalesce(s.ends_at, j.ends_at)
        FROM s WHERE j.id = s.id AND j.claims = s.claim AND j.claimed_by = $1 AND j.state || '' = 'claimed'
        RETURNING j.id, j.mailbox_key, j.operation, j.event_key, s.claim, s.state, s.mailed, s.minute, s.ends_at),
    counted AS (
        INSERT INTO mailings AS m (mailbox, minute, jobs, recipients)
        SELECT mailbox_key, minute, count(*), least(sum(mailed), 2147483647) FROM done WHERE state = 'sent' AND mailed > 0 GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (mailbox, minute) DO UPDATE SET jobs = least(m.jobs::bigint + excluded.jobs, 2147483647),
            recipients = least(m.recipients::bigint + excluded.recipients, 2147483647)),
    ended AS (
        UPDATE jobs AS c SET ends_at = d.ends_at FROM done AS d
        WHERE d.operation = 'update' AND d.state = 'sent' AND d.ends_at IS NOT NULL AND c.id = (
            SELECT o.id FROM jobs AS o WHERE o.event_key = d.event_key AND o.operation = 'create' AND o.id < d.id ORDER BY o.id DESC LIMIT 1)),
    noted AS (
        INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id)
        SELECT s.id, s.claim, s.started_at, s.duration_ms, s.outcome, s.status, s.code, s.message, s.request_id, s.client_request_id
        FROM s JOIN done USING (id) WHERE s.started_at IS NOT NULL
        ON CONFLICT (job_id, claim) DO UPDATE SET started_at = excluded.started_at, duration_ms = excluded.duration_ms,
            outcome = excluded.outcome, http_status = excluded.http_status, error_code = excluded.error_code,
            message = excluded.message, request_id = excluded.request_id, client_request_id = excluded.client_request_id)
    SELECT id, mailbox_key, event_key IS NOT NULL FROM done";

/// What defaults filled is taken out again, of jobs that went back in that batch.
const EMPTY_DEFAULTS: &str = "UPDATE jobs SET defaulted = '',
        mailbox = CASE WHEN strpos(defaulted, 'mailbox') > 0 THEN NULL ELSE mailbox END,
        body_type = CASE WHEN strpos(defaulted, 'body_type') > 0 THEN NULL ELSE body_type END,
        time_zone = CASE WHEN strpos(defaulted, 'time_zone') > 0 THEN NULL ELSE time_zone END
    FROM unnest($1::bigint[], $2::bigint[]) AS s(id, claim)
    WHERE jobs.id = s.id AND claims = s.claim AND state = 'pending' AND NOT in_doubt AND defaulted <> ''
    RETURNING jobs.id";

/// The rows of ends that found no claim: is it this agent's still, or was this very end recorded before, its answer being lost?
const NOT_DONE: &str = "SELECT j.id, j.state, j.event_id, j.in_doubt, j.claims = s.claim AS same,
        j.claims = s.claim AND j.state = 'claimed' AND j.claimed_by = $1 AS claimed,
        j.settled = 'claim ' || s.claim AS settled
    FROM unnest($2::bigint[], $3::bigint[]) AS s(id, claim) JOIN jobs AS j ON j.id = s.id";

/// An answer that came after its claim was over: an event exists. After a failover the number may be another job's, which is
/// younger than the attempt.
const LATE: &str = "WITH noted AS (
        INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome, http_status, message, request_id, client_request_id)
        VALUES ($1, $2, coalesce($3, clock_timestamp()), coalesce($4, 0), 'late', $5, 'the answer came after the claim was over; EventID ' || $6::text, $7, $8)
        ON CONFLICT (job_id, claim) DO UPDATE SET outcome = 'late', message = excluded.message)
    UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = clock_timestamp(), claimed_by = $9
    WHERE id = $1 AND state = 'pending' AND in_doubt AND claims = $2 AND created_at <= coalesce($3, clock_timestamp())
    RETURNING claims";

/// The next $1 of the jobs behind the id $2 that wait because the default zone was refused.
const OF_ZONE: &str = "SELECT id FROM jobs WHERE state = 'pending' AND error_kind = 'rejected' AND time_zone IS NULL
        AND next_attempt_at > now() AND next_attempt_at > coalesce(job_wish(jobs), '-infinity') AND id > $2 ORDER BY id LIMIT $1";

/// Those whose turn it is when they wish.
const WAKE: &str =
    "UPDATE jobs SET next_attempt_at = greatest(now(), job_wish(jobs)) WHERE id = ANY($1) AND state = 'pending'";

const ANY_PACED: &str = "SELECT EXISTS (SELECT 1 FROM mailboxes WHERE paced_until > now())";
const FORGET_PACES: &str = "UPDATE mailboxes SET paced_until = NULL, paced_reason = NULL WHERE paced_until > now()";

/// The next $1 of the jobs behind the id $2 that may wait because their mailbox has mailed as many as it may: of those that a look
/// tells that they would mail somebody (the others keep their place), whose last claim ended without an attempt.
const PACED_JOBS: &str = "SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL AND NOT mails AND claims > 0
        AND mailbox_key IN (SELECT mailbox FROM mailboxes WHERE paced_until > now() UNION ALL SELECT '')
        AND (operation <> 'create' OR in_doubt) AND next_attempt_at > now()
        AND next_attempt_at > coalesce(job_wish(jobs), '-infinity')
        AND NOT EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND claim = jobs.claims) AND id > $2 ORDER BY id LIMIT $1";

/// Needed for no event to come: a key lives as long as the row of its create, so that one stays until its event is over or
/// deleted; and a delete stays as long as a create before it, which would seem alive without it.
macro_rules! not_needed {
    () => {
        "(event_key IS NULL OR state <> 'sent' OR operation = 'update'
            OR operation = 'create' AND (coalesce(ends_at < clock_timestamp(), false)
                OR EXISTS (SELECT 1 FROM jobs AS d WHERE d.event_key = jobs.event_key AND d.id > jobs.id
                    AND d.operation = 'delete' AND d.state = 'sent'))
                AND NOT EXISTS (SELECT 1 FROM jobs AS w WHERE w.event_key = jobs.event_key AND w.state IN ('pending', 'claimed'))
            OR operation = 'delete' AND NOT EXISTS (SELECT 1 FROM jobs AS c WHERE c.event_key = jobs.event_key
                AND c.id < jobs.id AND c.operation = 'create'))"
    };
}
pub(super) use not_needed;

/// The next of the jobs that ended longer than $1 seconds ago, in the order of their ends, from ($3, $4) on; and whether each may
/// go.
const OLD: &str = concat!(
    "SELECT id, finished_at, NOT in_doubt AND ",
    not_needed!(),
    " FROM jobs WHERE finished_at IS NOT NULL AND finished_at < now() - make_interval(secs => $1)
        AND (finished_at, id) > ($3, $4) ORDER BY finished_at, id LIMIT $2"
);
const PURGE: &str = concat!(
    "DELETE FROM jobs WHERE id = ANY($2) AND finished_at < now() - make_interval(secs => $1) AND NOT in_doubt AND ",
    not_needed!()
);
/// Rows that one purge looks at for each that it may delete: those of events to come are passed over, a part at a time.
const LOOKED_AT: u32 = 10;

const PAUSE: &str = "INSERT INTO mailboxes AS m (mailbox, paused_until, reason, error_kind, strikes, updated_at, asked_until)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp(), $6)
    ON CONFLICT (mailbox) DO UPDATE SET paused_until = greatest(m.paused_until, excluded.paused_until), reason = excluded.reason,
        error_kind = excluded.error_kind, strikes = excluded.strikes, updated_at = excluded.updated_at, resumed_at = NULL,
        asked_until = greatest(m.asked_until, excluded.asked_until)";

const PACED: &str = "INSERT INTO mailboxes AS m (mailbox, paused_until, reason, paced_until, paced_reason)
    VALUES ($1, '1970-01-01T00:00:00Z', '', $2, $3)
    ON CONFLICT (mailbox) DO UPDATE SET paced_until = excluded.paced_until, paced_reason = excluded.paced_reason";

/// Some of the pauses that are over, without a hold and without an order that an agent may still have to see.
const FORGET_PAUSES: &str = "DELETE FROM mailboxes WHERE mailbox IN (SELECT mailbox FROM mailboxes
    WHERE held_at IS NULL AND paused_until < now() AND coalesce(paced_until, '-infinity') < now()
        AND coalesce(resumed_at, '-infinity') <= now() - interval '10 minutes' LIMIT $1)";
const FORGET_MAILINGS: &str = "DELETE FROM mailings WHERE (mailbox, minute) IN
    (SELECT mailbox, minute FROM mailings WHERE minute < now() - interval '48 hours' LIMIT $1)";
const FORGET_LANES: &str = "DELETE FROM lanes WHERE lane IN (SELECT lane FROM lanes
    WHERE owner IS NULL AND NOT suspect AND (ghosts_until IS NULL OR ghosts_until < now()) AND taken_at < now() - interval '1 hour' LIMIT $1)";

/// Of the mailboxes in $1, which were taken just now.
const PAUSES_OF: &str = "SELECT mailbox, paused_until, reason, strikes, asked_until FROM mailboxes
    WHERE mailbox = ANY($1) AND paused_until > now()";
const MAILED_OF: &str = "SELECT mailbox, minute, jobs, recipients FROM mailings
    WHERE mailbox = ANY($1) AND minute >= date_trunc('minute', now() - interval '24 hours') ORDER BY minute, mailbox";

const ADD_JOIN_URL: &str = "UPDATE jobs SET join_url = $2 WHERE id = $1 AND state = 'sent' AND join_url IS NULL";
const OUTSTANDING: &str =
    "SELECT (SELECT count(*) FROM jobs WHERE state = 'pending') + (SELECT count(*) FROM jobs WHERE state = 'claimed')";

/// The arrays of [`SETTLE`], a place for each end.
#[derive(Default)]
struct Columns {
    id: Vec<i64>,
    claim: Vec<i64>,
    state: Vec<&'static str>,
    event_id: Vec<Option<String>>,
    web_link: Vec<Option<String>>,
    ical_uid: Vec<Option<String>>,
    join_url: Vec<Option<String>>,
    due: Vec<Option<DateTime<Utc>>>,
    spent: Vec<i32>,
    in_doubt: Vec<bool>,
    give_up_at: Vec<Option<DateTime<Utc>>>,
    kind: Vec<Option<&'static str>>,
    cause: Vec<Option<&'static str>>,
    status: Vec<Option<i32>>,
    code: Vec<Option<String>>,
    message: Vec<Option<String>>,
    request_id: Vec<Option<String>>,
    sent_at: Vec<Option<DateTime<Utc>>>,
    never_left: Vec<bool>,
    ends_at: Vec<Option<DateTime<Utc>>>,
    mailed: Vec<i32>,
    minute: Vec<DateTime<Utc>>,
    started_at: Vec<Option<DateTime<Utc>>>,
    duration_ms: Vec<Option<i64>>,
    outcome: Vec<Option<&'static str>>,
    client_request_id: Vec<Option<String>>,
}

impl Columns {
    /// Times by the server's clock.
    fn of(batch: &[&Settlement], clock: &ServerClock) -> Self {
        let mut all = Self::default();
        for end in batch {
            all.add(end, clock);
        }
        all
    }

    fn add(&mut self, end: &Settlement, clock: &ServerClock) {
        let on_time = |time: DateTime<Utc>| clock.by_the_server(time, end.at);
        let event = match &end.verdict {
            Verdict::Sent(event) => Some(event),
            _ => None,
        };
        let answer = &end.answer;
        // The good end keeps the answer's ids, and no words of an earlier trouble.
        let (code, message) = match event {
            Some(_) => (None, None),
            None => (answer.code.clone(), answer.message.as_deref().map(shortened)),
        };
        self.id.push(end.id.0);
        self.claim.push(end.claim);
        self.state.push(state_of(&end.verdict).as_str());
        self.event_id.push(event.map(|event| event.id.0.clone()));
        self.web_link.push(event.and_then(|event| event.web_link.clone()));
        self.ical_uid.push(event.and_then(|event| event.ical_uid.clone()));
        self.join_url.push(event.and_then(|event| event.join_url.clone()));
        self.due.push(match end.verdict {
            Verdict::Pending(due) | Verdict::Unfilled(due) => Some(on_time(due)),
            _ => None,
        });
        self.spent.push(end.spent.into());
        self.in_doubt.push(event.is_none() && end.in_doubt);
        self.give_up_at.push(end.give_up_at.map(on_time));
        self.kind.push(end.kind.map(|kind| kind.as_str()));
        self.cause.push(answer.cause.filter(|_| event.is_none()).map(|cause| cause.as_str()));
        self.status.push(answer.status.map(i32::from));
        self.code.push(code);
        self.message.push(message);
        self.request_id.push(answer.request_id.clone());
        self.sent_at.push(end.sent_at.map(on_time));
        self.never_left.push(end.never_left);
        self.ends_at.push(end.ends_at);
        self.mailed.push(i32::try_from(end.mailed).unwrap_or(i32::MAX));
        self.minute.push(minute_of(on_time(end.at.wall)));
        self.started_at.push(end.attempt.as_ref().map(|attempt| on_time(attempt.started_at)));
        self.duration_ms.push(end.attempt.as_ref().map(|attempt| attempt.duration_ms));
        self.outcome.push(end.attempt.as_ref().map(|attempt| attempt.ending.as_str()));
        self.client_request_id.push(answer.client_request_id.clone());
    }
}

fn state_of(verdict: &Verdict) -> JobState {
    match verdict {
        Verdict::Sent(_) => JobState::Sent,
        Verdict::Pending(_) | Verdict::Unfilled(_) => JobState::Pending,
        Verdict::Failed => JobState::Failed,
    }
}

/// Its beginning.
fn minute_of(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::minutes(1)).unwrap_or(time)
}

/// A job whose claim has ended, and its mailbox.
pub struct Done {
    pub settled: Vec<Settled>,
    /// `mailbox_key` of jobs that wait again, or let another one have its turn.
    pub waiting: Vec<String>,
    /// Events of claims that were over.
    pub late: u64,
}

/// All in one statement. Where the schema refuses one of them, in halves, until it stands alone. An end stays open as long as what
/// it says of its mailbox is refused.
pub async fn settle(
    connection: &mut PgConnection,
    id: AgentId,
    batch: &[&Settlement],
    clock: &ServerClock,
) -> sqlx::Result<Done> {
    let mut done = Done { settled: Vec::with_capacity(batch.len()), waiting: Vec::new(), late: 0 };
    // First: what a mailbox was told outlives an agent that is killed before it has recorded the rest.
    let (mut good, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
    for (place, end) in batch.iter().enumerate() {
        match note(connection, end, clock).await {
            Ok(()) => good.push(*end),
            Err(error) if is_of_the_row(&error) => refused.push((place, words(&error))),
            Err(error) => return Err(error),
        }
    }
    let mut parts = vec![good.as_slice()];
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        match together(connection, id, part, clock, &mut done).await {
            Ok(settled) => done.settled.extend(settled),
            Err(error) if is_of_the_row(&error) => match part {
                [_] => done.settled.push(Settled::Refused(words(&error))),
                part => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            },
            Err(error) if done.settled.is_empty() => return Err(error),
            Err(error) => {
                // What is written stays written; the others are tried again.
                done.settled.resize_with(good.len(), || Settled::Refused(words(&error)));
                break;
            }
        }
    }
    for (place, why) in refused {
        done.settled.insert(place, Settled::Refused(why));
    }
    Ok(done)
}

async fn together(
    connection: &mut PgConnection,
    id: AgentId,
    batch: &[&Settlement],
    clock: &ServerClock,
    done: &mut Done,
) -> sqlx::Result<Vec<Settled>> {
    let unfilled: Vec<&Settlement> =
        batch.iter().copied().filter(|end| matches!(end.verdict, Verdict::Unfilled(_))).collect();
    let columns = Columns::of(batch, clock);
    let rows = match unfilled.is_empty() {
        true => ended(connection, id, columns).await?,
        false => {
            // Both or none: a row that kept the refused defaults would be sent with them for ever.
            let mut tx = connection.begin().await?;
            let rows = ended(&mut tx, id, columns).await?;
            sqlx::query(EMPTY_DEFAULTS)
                .bind(unfilled.iter().map(|end| end.id.0).collect::<Vec<_>>())
                .bind(unfilled.iter().map(|end| end.claim).collect::<Vec<_>>())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            // They may be in another lane now.
            done.waiting.push(String::new());
            rows
        }
    };
    let mut recorded: HashMap<i64, (String, bool)> = HashMap::new();
    for row in rows {
        recorded.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
    }
    let goes_on = |end: &&&Settlement| !matches!(end.verdict, Verdict::Sent(_) | Verdict::Failed);
    let again: std::collections::HashSet<i64> = batch.iter().filter(goes_on).map(|end| end.id.0).collect();
    done.waiting.extend(
        recorded.iter().filter(|(id, (_, keyed))| *keyed || again.contains(id)).map(|(_, (lane, _))| lane.clone()),
    );
    let missing: Vec<&Settlement> = batch.iter().copied().filter(|end| !recorded.contains_key(&end.id.0)).collect();
    let others = if missing.is_empty() { HashMap::new() } else { not_done(connection, id, &missing, done).await? };
    Ok(batch.iter().map(|end| others.get(&end.id).cloned().unwrap_or(Settled::Recorded)).collect())
}

async fn ended(connection: &mut PgConnection, id: AgentId, all: Columns) -> sqlx::Result<Vec<sqlx::postgres::PgRow>> {
    sqlx::query(SETTLE)
        .bind(id.0)
        .bind(all.id)
        .bind(all.claim)
        .bind(all.state)
        .bind(all.event_id)
        .bind(all.web_link)
        .bind(all.ical_uid)
        .bind(all.join_url)
        .bind(all.due)
        .bind(all.spent)
        .bind(all.in_doubt)
        .bind(all.give_up_at)
        .bind(all.kind)
        .bind(all.cause)
        .bind(all.status)
        .bind(all.code)
        .bind(all.message)
        .bind(all.request_id)
        .bind(all.sent_at)
        .bind(all.never_left)
        .bind(all.ends_at)
        .bind(all.mailed)
        .bind(all.minute)
        .bind(all.started_at)
        .bind(all.duration_ms)
        .bind(all.outcome)
        .bind(all.client_request_id)
        .fetch_all(connection)
        .await
}

/// What became of ends that found no claim.
async fn not_done(
    connection: &mut PgConnection,
    id: AgentId,
    ends: &[&Settlement],
    done: &mut Done,
) -> sqlx::Result<HashMap<JobId, Settled>> {
    let rows = sqlx::query(NOT_DONE)
        .bind(id.0)
        .bind(ends.iter().map(|end| end.id.0).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.claim).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut found = HashMap::new();
    for row in rows {
        let (claimed, same): (bool, bool) = (row.try_get("claimed")?, row.try_get("same")?);
        let settled: Option<bool> = row.try_get("settled")?;
        let (state, event_id): (String, Option<String>) = (row.try_get("state")?, row.try_get("event_id")?);
        found.insert(row.try_get::<i64, _>("id")?, (claimed, same && settled == Some(true), state, event_id));
    }
    let mut all = HashMap::new();
    for end in ends {
        let settled = match found.get(&end.id.0) {
            Some((true, ..)) => Settled::Refused(UNMOVED.into()),
            // Its answer was lost.
            Some((_, true, state, _)) if *state == state_of(&end.verdict).as_str() => Settled::Recorded,
            Some((_, _, _, event_id)) => {
                done.late += u64::from(matches!(end.verdict, Verdict::Sent(_)));
                late(connection, id, end, event_id.as_deref()).await?
            }
            None => Settled::Stale,
        };
        all.insert(end.id, settled);
    }
    Ok(all)
}

/// The claim was over. An EventID is knowledge all the same: it ends a job that waits in doubt, which is claimed for it, in one
/// transaction: an agent that is buried by now has nobody to put back what it claims.
async fn late(
    connection: &mut PgConnection,
    id: AgentId,
    end: &Settlement,
    recorded: Option<&str>,
) -> sqlx::Result<Settled> {
    let Verdict::Sent(event) = &end.verdict else { return Ok(Settled::Stale) };
    if recorded == Some(event.id.0.as_str()) {
        return Ok(Settled::Stale);
    }
    if let Some(other) = recorded {
        tracing::error!(job_id = end.id.0, event_id = other, second_event_id = %event.id.0, "event doubled");
    }
    let attempt = end.attempt.as_ref();
    let mut tx = sqlx::Connection::begin(&mut *connection).await?;
    let claim: Option<i64> = sqlx::query_scalar(LATE)
        .bind(end.id.0)
        .bind(end.claim)
        .bind(attempt.map(|attempt| attempt.started_at))
        .bind(attempt.map(|attempt| attempt.duration_ms))
        .bind(end.answer.status.map(i32::from))
        .bind(&event.id.0)
        .bind(&end.answer.request_id)
        .bind(&end.answer.client_request_id)
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(claim) = claim else {
        tx.commit().await?;
        return Ok(Settled::Stale);
    };
    let again = Settlement { claim, ..end.clone() };
    if ended(&mut tx, id, Columns::of(&[&again], &ServerClock::default())).await?.is_empty() {
        tx.rollback().await?;
        return Ok(Settled::Stale);
    }
    tx.commit().await?;
    Ok(Settled::Recorded)
}

/// What an end says of the mailbox.
async fn note(connection: &mut PgConnection, end: &Settlement, clock: &ServerClock) -> sqlx::Result<()> {
    if let Some(pause) = &end.pause {
        self::pause(connection, pause, clock, end.at).await?;
    }
    if let Some(paced) = &end.paced {
        sqlx::query(PACED)
            .bind(paced.lane.as_str())
            .bind(rounded_up(clock.by_the_server(paced.until, end.at)))
            .bind(shortened(&paced.reason))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// What a mailbox was told, by this machine's time `at`.
pub async fn pause(connection: &mut PgConnection, pause: &Pause, clock: &ServerClock, at: Now) -> sqlx::Result<()> {
    let on_time = |time: DateTime<Utc>| rounded_up(clock.by_the_server(time, at));
    sqlx::query(PAUSE)
        .bind(pause.lane.as_str())
        .bind(on_time(pause.until))
        .bind(shortened(&pause.reason))
        .bind(pause.kind.map(|kind| kind.as_str()))
        .bind(i32::try_from(pause.pauses_in_a_row).unwrap_or(i32::MAX))
        .bind(pause.asked_until.map(on_time))
        .execute(connection)
        .await
        .map(drop)
}

/// Of these mailboxes the pauses that are not over, by this machine's clock.
pub async fn pauses_of(
    connection: &mut PgConnection,
    lanes: &[&str],
    clock: &ServerClock,
    now: Now,
) -> sqlx::Result<Vec<Pause>> {
    let rows = sqlx::query(PAUSES_OF).bind(lanes).fetch_all(connection).await?;
    let pause = |row: &sqlx::postgres::PgRow| {
        let strikes: i32 = row.try_get("strikes")?;
        let Time(until) = row.try_get("paused_until")?;
        Ok(Pause {
            lane: LaneKey::of(row.try_get("mailbox")?),
            until: clock.by_this_machine(until, now),
            reason: row.try_get("reason")?,
            kind: None,
            pauses_in_a_row: u32::try_from(strikes).unwrap_or(1),
            asked_until: time(row, "asked_until")?.map(|until| clock.by_this_machine(until, now)),
        })
    };
    rows.iter().map(pause).collect()
}

/// What these have mailed within the last 24 hours.
pub async fn mailed_of(
    connection: &mut PgConnection,
    raws: &[&str],
    unnamed: Option<&str>,
    clock: &ServerClock,
    now: Now,
) -> sqlx::Result<Vec<Mailed>> {
    let rows = sqlx::query(MAILED_OF).bind(raws).fetch_all(connection).await?;
    let mailed = |row: &sqlx::postgres::PgRow| {
        let (jobs, recipients): (i32, i32) = (row.try_get("jobs")?, row.try_get("recipients")?);
        let Time(minute) = row.try_get("minute")?;
        Ok(Mailed {
            lane: super::heads::lane_key(row.try_get("mailbox")?, unnamed),
            minute: clock.by_this_machine(minute, now),
            jobs: u32::try_from(jobs).unwrap_or_default(),
            recipients: u32::try_from(recipients).unwrap_or_default(),
        })
    };
    rows.iter().map(mailed).collect()
}

/// Makes the next of the jobs due that were put off for a setting. None: there are no more. What a rule keeps from being woken
/// waits on.
pub async fn wake(connection: &mut PgConnection, woken: Woken) -> sqlx::Result<Option<Woken>> {
    match woken {
        Woken::OfZone(id) => {
            if let Some(last) = woken_after(connection, OF_ZONE, id).await? {
                return Ok(Some(Woken::OfZone(last)));
            }
            let any: bool = sqlx::query_scalar(ANY_PACED).fetch_one(connection).await?;
            Ok(any.then_some(Woken::Paced(i64::MIN)))
        }
        Woken::Paced(id) => {
            let last = woken_after(connection, PACED_JOBS, id).await?;
            if last.is_none() {
                sqlx::query(FORGET_PACES).execute(connection).await?;
            }
            Ok(last.map(Woken::Paced))
        }
    }
}

/// Tells the last that was tried. Each is tried once: a rule of somebody's may put it off again.
async fn woken_after(connection: &mut PgConnection, which: &'static str, id: i64) -> sqlx::Result<Option<i64>> {
    let ids: Vec<i64> = sqlx::query_scalar(which).bind(WAKE_BATCH).bind(id).fetch_all(&mut *connection).await?;
    let mut parts = vec![ids.as_slice()];
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        match sqlx::query(WAKE).bind(part).execute(&mut *connection).await {
            Err(error) if is_refusal(&error) && part.len() > 1 => parts.extend(part.chunks(1)),
            Err(error) if !is_refusal(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(ids.last().copied())
}

/// Where the next purge goes on: old rows that are kept are not looked at by every one.
#[derive(Debug)]
pub struct PurgeCursor(DateTime<Utc>, i64);

impl Default for PurgeCursor {
    fn default() -> Self {
        Self(DateTime::UNIX_EPOCH, 0)
    }
}

/// In one batch; where somebody's trigger refuses one of them, one by one.
pub async fn purge(
    connection: &mut PgConnection,
    cursor: &mut PurgeCursor,
    age: std::time::Duration,
    limit: u32,
) -> sqlx::Result<u64> {
    // What would have ended before the calendar begins is in no row.
    if age.as_secs() > u64::try_from(super::clock::now().wall.timestamp()).unwrap_or_default() {
        return Ok(0);
    }
    let most = limit.saturating_mul(LOOKED_AT);
    let query = sqlx::query_as(OLD).bind(age.as_secs_f64()).bind(i64::from(most)).bind(cursor.0).bind(cursor.1);
    let rows: Vec<(i64, Time, bool)> = query.fetch_all(&mut *connection).await?;
    let all_seen = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let last = rows.last().map(|(id, finished_at, _)| PurgeCursor(finished_at.0, *id));
    let mut may_go: Vec<i64> = rows.into_iter().filter(|(.., may_go)| *may_go).map(|(id, ..)| id).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // What may go leaves room for the next rows.
    if may_go.len() <= limit {
        *cursor = last.filter(|_| !all_seen).unwrap_or_default();
    }
    may_go.truncate(limit);
    let mut deleted = 0;
    let (mut parts, mut refused): (Vec<&[i64]>, _) = (vec![&may_go], None);
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        match sqlx::query(PURGE).bind(age.as_secs_f64()).bind(part).execute(&mut *connection).await {
            Ok(done) => deleted += done.rows_affected(),
            Err(error) if is_refusal(&error) => {
                if part.len() > 1 {
                    parts.extend(part.chunks(1));
                }
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match refused.filter(|_| deleted == 0) {
        Some(error) => Err(error),
        None => Ok(deleted),
    }
}

pub async fn forget(connection: &mut PgConnection, limit: u32) -> sqlx::Result<u64> {
    let mut most = 0;
    for statement in [FORGET_PAUSES, FORGET_MAILINGS, FORGET_LANES] {
        let done = sqlx::query(statement).bind(i64::from(limit)).execute(&mut *connection).await?;
        most = most.max(done.rows_affected());
    }
    Ok(most)
}

pub async fn add_join_url(connection: &mut PgConnection, id: JobId, join_url: &str) -> sqlx::Result<()> {
    sqlx::query(ADD_JOIN_URL).bind(id.0).bind(join_url).execute(connection).await.map(drop)
}

pub async fn outstanding(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(OUTSTANDING).fetch_one(connection).await?;
    Ok(count.unsigned_abs())
}

/// Stored to the millisecond, a pause must not end earlier than it was to.
fn rounded_up(until: DateTime<Utc>) -> DateTime<Utc> {
    until
        .checked_add_signed(TimeDelta::microseconds(999))
        .and_then(|until| until.duration_trunc(TimeDelta::milliseconds(1)).ok())
        .unwrap_or(until)
}
