//! The claim: one statement that takes what is due of this agent's mailboxes. The places of each mailbox, the order of what waits
//! and the operator's word are looked at by the same statement that takes the jobs.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Postgres, Row};

use super::clock::{ServerClock, steady};
use super::errors::{UNMOVED, is_of_the_row, words};
use super::heads::{Head, Heads};
use super::lanes::Lanes;
use super::member::{AgentId, me};
use super::row::{created, input_columns, sized, taken};
use super::time::Time;
use crate::clock::Now;
use crate::job::{Job, JobId};
use crate::queue::withheld::WithheldJobs;
use crate::queue::{ClaimRequest, LaneKey, Refusal};

/// Lanes that are taken from those nobody has, in one go.
const TAKEN_AT_ONCE: usize = 256;

/// What is due of the lanes in $2 to $6 (the mailbox, its `mailbox_key`, mails, priority, free places), no more than $7 in all: those
/// that may wait no longer first. Each mailbox gives as many as it has places for.
macro_rules! due {
    () => {
        concat!(me!(), ",
    due AS MATERIALIZED (
        SELECT x.id, x.rank, x.next_attempt_at FROM (
            SELECT d.id, d.rank, d.next_attempt_at,
                row_number() OVER (PARTITION BY w.lane ORDER BY d.rank DESC, d.next_attempt_at, d.id) AS place,
                w.places
            FROM me CROSS JOIN unnest($2::text[], $3::text[], $4::boolean[], $5::int[], $6::int[]) AS w(lane, key, mails, priority, places)
            JOIN lanes AS l ON l.lane = w.lane COLLATE \"C\" AND l.owner = me.id
            LEFT JOIN mailboxes AS b ON b.mailbox = w.lane COLLATE \"C\"
            CROSS JOIN LATERAL (
                SELECT j.id, j.next_attempt_at,
                    w.priority + floor(extract(epoch FROM now() - greatest(j.next_attempt_at, '1970-01-01Z')) / 3600)::int AS rank
                FROM jobs AS j WHERE j.state = 'pending' AND j.behind IS NULL AND j.mailbox_key = w.key COLLATE \"C\"
                    AND j.mails = w.mails AND j.priority = w.priority AND j.next_attempt_at <= now()
                    AND NOT j.id = ANY($8::bigint[])
                ORDER BY j.next_attempt_at, j.id LIMIT w.places) AS d
            WHERE b.held_at IS NULL AND (b.paused_until IS NULL OR b.paused_until <= now())) AS x
        WHERE x.place <= x.places ORDER BY x.rank DESC, x.next_attempt_at, x.id LIMIT $7)")
    };
}

/// The defaults are filled in as long as no request of the row has left. If one has that a failover has lost, it was filled with
/// the same: all agents go by the same defaults.
macro_rules! fillable {
    () => {
        "(NOT jobs.in_doubt AND (jobs.first_sent_at IS NULL OR jobs.defaulted = ''))"
    };
}

/// What fills a NULL mailbox, but not of a change of an event by its key: that is in its create's mailbox.
macro_rules! default_mailbox {
    ($mailbox:literal) => {
        concat!("CASE WHEN operation = 'create' OR event_key IS NULL THEN ", $mailbox, "::text END")
    };
}

/// Takes these jobs, and freezes the defaults into them. What is older than a failover that may have lost something is in
/// doubt, and its claims are counted from further on: those that were lost had numbers, too. That it is a job's turn is looked at
/// once more: a producer in a transaction of its own may not have seen all.
/// The empty text behind the state has the jobs found by their ids: no index of what waits answers that.
macro_rules! take {
    ($from:literal, $which:literal, $mailbox:literal, $body_type:literal, $time_zone:literal) => {
        concat!(
            "UPDATE jobs SET state = 'claimed', settled = NULL, claimed_at = now(), claimed_by = $1,
        claims = claims + CASE WHEN jobs.created_at < q.doubt_before AND coalesce(jobs.claimed_at < q.doubt_before, true) THEN 1000 ELSE 1 END,
        in_doubt = jobs.in_doubt OR coalesce(jobs.created_at < q.doubt_before, false),
        first_sent_at = CASE WHEN jobs.created_at < q.doubt_before THEN coalesce(first_sent_at, now()) ELSE first_sent_at END,
        mailbox = CASE WHEN ",
            fillable!(),
            " THEN coalesce(mailbox, ",
            default_mailbox!($mailbox),
            ") ELSE mailbox END,
        body_type = CASE WHEN ",
            fillable!(),
            " THEN coalesce(body_type, ",
            $body_type,
            ") ELSE body_type END,
        time_zone = CASE WHEN ",
            fillable!(),
            " THEN coalesce(time_zone, ",
            $time_zone,
            ", CASE WHEN NOT job_recurs(extra) THEN 'UTC' END) ELSE time_zone END,
        defaulted = CASE WHEN ",
            fillable!(),
            " THEN nullif(btrim(coalesce(defaulted, '')
                || CASE WHEN mailbox IS NULL AND ",
            default_mailbox!($mailbox),
            " IS NOT NULL THEN ' mailbox' ELSE '' END
                || CASE WHEN body_type IS NULL THEN ' body_type' ELSE '' END
                || CASE WHEN time_zone IS NULL AND (",
            $time_zone,
            "::text IS NOT NULL OR NOT job_recurs(extra)) THEN ' time_zone' ELSE '' END), '')
            ELSE defaulted END
    FROM ",
            $from,
            " queue_state AS q
    WHERE jobs.id = ",
            $which,
            " AND jobs.state || '' = 'pending' AND jobs.behind IS NULL AND jobs.next_attempt_at <= now() AND q.id = 1
        AND (q.quarantine_until IS NULL OR q.quarantine_until <= now())
        AND (jobs.event_key IS NULL AND jobs.target_event_id IS NULL OR job_turn(jobs) IS NULL)
    RETURNING ",
            input_columns!(),
            created!(),
            ", jobs.id, jobs.claims, jobs.attempts, jobs.in_doubt, jobs.next_attempt_at, jobs.give_up_at, jobs.expires_at,
        jobs.defaulted, jobs.mailbox_key, clock_timestamp() AS server"
        )
    };
}

const CLAIM: &str = concat!("WITH ", due!(), " ", take!("due,", "due.id", "$9", "$10", "$11"), ", due.rank");
/// Which those are, none taken.
const DUE: &str = concat!("WITH ", due!(), " SELECT id FROM due ORDER BY rank DESC, next_attempt_at, id");
/// $2 alone.
const CLAIM_ONE: &str = concat!("WITH ", me!(), " ", take!("me,", "$2 AND me.id = $1", "$3", "$4", "$5"));

/// With the reason, where the row's own columns are what no agent writes.
const FAIL_BROKEN: &str =
    "UPDATE jobs SET state = 'failed', finished_at = clock_timestamp(), error_kind = 'invalid_job',
        cause = 'invalid_row', error_code = 'invalid_row',
        error_message = 'the columns that belong to the agent (claims, attempts, …) hold values '
            || 'no agent writes, so this job cannot be taken: insert it anew'
    WHERE id = $1 AND state = 'pending' AND claims >= 1000000000000";

/// As it was, although it was to be taken.
const NOT_TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND state = 'pending' AND behind IS NULL AND next_attempt_at <= now())";

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// A mailbox of this agent's with something due, and the places it has for it.
#[derive(Debug)]
pub struct Wanted {
    pub lane: LaneKey,
    places: usize,
    heads: Vec<Head>,
}

impl Wanted {
    /// Its `mailbox_key`s: there may be more than one way of naming a mailbox.
    pub fn raws(&self) -> impl Iterator<Item = &str> {
        self.heads.iter().map(|head| head.raw.as_str())
    }
}

/// Who takes jobs, and by what.
pub struct Taker<'t> {
    pub id: AgentId,
    pub request: &'t ClaimRequest,
    pub clock: &'t ServerClock,
    pub now: Now,
}

/// What a claim has taken.
#[derive(Debug, Default)]
pub struct Taking {
    /// In the order they waited in.
    pub jobs: Vec<(LaneKey, Job)>,
    pub broken: Vec<JobId>,
    /// Found withheld just now.
    pub withheld: Vec<Refusal>,
    /// A refusal was met, new or not.
    pub met_refusal: bool,
    /// There may be more.
    pub more: bool,
}

/// What of the heads concerns this claim.
#[derive(Debug, Default)]
pub struct Plan {
    /// Of this agent's mailboxes, the one waiting longest first.
    pub wanted: Vec<Wanted>,
    /// Mailboxes that this agent would take, if nobody has them.
    pub free: Vec<LaneKey>,
    /// When one of those may be taken that another agent should have.
    pub again: Option<std::time::Duration>,
}

/// The mailboxes with something due at `now` (by the server's clock) and places for it. Those that should be another agent's are
/// left out, so that they can be given back.
pub fn plan(
    heads: &Heads,
    lanes: &mut Lanes,
    request: &ClaimRequest,
    held: &HashSet<LaneKey>,
    now: DateTime<Utc>,
) -> Plan {
    let mut plan = Plan::default();
    let mut places: HashMap<LaneKey, usize> = HashMap::new();
    let mut for_suspects = request.suspects.limit;
    let mut seen: HashSet<LaneKey> = HashSet::new();
    for head in heads.all().take_while(|head| head.due <= now) {
        if !may_be_taken(request, held, head) || free(request, &head.lane) == 0 {
            continue;
        }
        if lanes.owns(&head.lane) {
            lanes.used(&head.lane);
            if lanes.is_anothers(&head.lane) {
                continue;
            }
            let place = *places.entry(head.lane.clone()).or_insert_with(|| {
                let beside_ghosts = lanes.places_beside_ghosts(&head.lane, request.slots, now);
                let mut slots = free(request, &head.lane).min(request.limit).min(beside_ghosts);
                if request.suspects.lanes.contains(&head.lane) {
                    slots = slots.min(for_suspects);
                    for_suspects -= slots;
                }
                if slots > 0 && plan.wanted.len() < request.limit {
                    plan.wanted.push(Wanted { lane: head.lane.clone(), places: slots, heads: Vec::new() });
                    plan.wanted.len()
                } else {
                    0
                }
            });
            if let Some(wanted) = place.checked_sub(1).and_then(|place| plan.wanted.get_mut(place)) {
                wanted.heads.push(head.clone());
            }
        } else if seen.insert(head.lane.clone()) && plan.free.len() < TAKEN_AT_ONCE {
            let due_for = (now - head.due).to_std().unwrap_or_default();
            match lanes.may_take(&head.lane, due_for) {
                Ok(()) => plan.free.push(head.lane.clone()),
                Err(wait) => plan.again = Some(plan.again.map_or(wait, |again| again.min(wait))),
            }
        }
    }
    plan
}

/// When the next job of a lane that has places is due.
pub fn next_due(
    heads: &Heads,
    request: &ClaimRequest,
    held: &HashSet<LaneKey>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let may_go = |head: &&Head| free(request, &head.lane) > 0 && may_be_taken(request, held, head);
    heads.all().filter(|head| head.due > now).find(may_go).map(|head| head.due)
}

/// Takes what is due of them. `paused`: jobs that were refused lately.
pub async fn claim(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    withheld: &mut WithheldJobs,
    taker: &Taker<'_>,
) -> sqlx::Result<Taking> {
    let at = steady();
    let paused: Vec<i64> = withheld.paused(at).collect();
    let limit = taker.request.limit;
    let done = lanes_of(sqlx::query(CLAIM), wanted, taker, &paused)
        .bind(&taker.request.defaults.mailbox)
        .bind(taker.request.defaults.body_type.as_str())
        .bind(&taker.request.defaults.time_zone)
        .fetch_all(&mut *connection)
        .await;
    let rows = match done {
        Ok(rows) => rows,
        Err(error) if is_of_the_row(&error) => return one_by_one(connection, wanted, withheld, taker).await,
        Err(error) => return Err(error),
    };
    let mut jobs = rows.iter().map(|row| placed(row, taker)).collect::<sqlx::Result<Vec<_>>>()?;
    jobs.sort_by_key(|(place, ..)| *place);
    let more = jobs.len() >= limit;
    Ok(Taking { jobs: jobs.into_iter().map(|(_, lane, job)| (lane, job)).collect(), more, ..Taking::default() })
}

/// Where it waited: the higher rank first, then the longer wait.
type Place = (std::cmp::Reverse<i32>, DateTime<Utc>, i64);

fn placed(row: &PgRow, taker: &Taker<'_>) -> sqlx::Result<(Place, LaneKey, Job)> {
    let (lane, job) = read(row, taker)?;
    let Time(due) = row.try_get("next_attempt_at")?;
    Ok(((std::cmp::Reverse(row.try_get("rank")?), due, job.id.0), lane, job))
}

fn read(row: &PgRow, taker: &Taker<'_>) -> sqlx::Result<(LaneKey, Job)> {
    taken(row, taker.request.unnamed.as_deref(), taker.clock, taker.now)
}

/// Where a rule refuses one of them: each by itself. What the schema's own rules refuse fails; what somebody's trigger refuses is
/// left alone for a while; the others are taken.
async fn one_by_one(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    withheld: &mut WithheldJobs,
    taker: &Taker<'_>,
) -> sqlx::Result<Taking> {
    let paused: Vec<i64> = withheld.paused(steady()).collect();
    let due = lanes_of(sqlx::query(DUE), wanted, taker, &paused).fetch_all(&mut *connection).await?;
    let mut taking = Taking { more: due.len() >= taker.request.limit, ..Taking::default() };
    for row in due {
        let id: i64 = row.try_get(0)?;
        let defaults = &taker.request.defaults;
        let done = sqlx::query(CLAIM_ONE)
            .bind(taker.id.0)
            .bind(id)
            .bind(&defaults.mailbox)
            .bind(defaults.body_type.as_str())
            .bind(&defaults.time_zone)
            .fetch_optional(&mut *connection)
            .await;
        match done {
            Ok(Some(row)) => taking.jobs.push(read(&row, taker)?),
            Ok(None) => {
                if sqlx::query_scalar(NOT_TAKEN).bind(id).fetch_one(&mut *connection).await? {
                    taking.met_refusal = true;
                    taking.withheld.extend(withheld.note(id, &LaneKey::of(""), UNMOVED.into(), true, steady()));
                }
            }
            Err(error) if is_of_the_row(&error) => {
                let broken = sqlx::query(FAIL_BROKEN).bind(id).execute(&mut *connection).await;
                if broken.is_ok_and(|done| done.rows_affected() > 0) {
                    taking.broken.push(JobId(id));
                } else {
                    taking.met_refusal = true;
                    taking.withheld.extend(withheld.note(id, &LaneKey::of(""), words(&error), false, steady()));
                }
            }
            // Those taken are the agent's; the server's trouble is met again by the next claim.
            Err(error) => return if taking.jobs.is_empty() { Err(error) } else { Ok(taking) },
        }
    }
    Ok(taking)
}

/// $1 to $8.
fn lanes_of<'q>(query: Query<'q>, wanted: &[Wanted], taker: &Taker<'_>, paused: &[i64]) -> Query<'q> {
    let heads: Vec<(&Wanted, &Head)> =
        wanted.iter().flat_map(|wanted| wanted.heads.iter().map(move |head| (wanted, head))).collect();
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    query
        .bind(taker.id.0)
        .bind(heads.iter().map(|(wanted, _)| wanted.lane.as_str().to_owned()).collect::<Vec<_>>())
        .bind(heads.iter().map(|(_, head)| head.raw.clone()).collect::<Vec<_>>())
        .bind(heads.iter().map(|(_, head)| head.mails).collect::<Vec<_>>())
        .bind(heads.iter().map(|(_, head)| head.priority).collect::<Vec<_>>())
        .bind(heads.iter().map(|(wanted, _)| number(wanted.places)).collect::<Vec<_>>())
        .bind(i64::try_from(taker.request.limit).unwrap_or(i64::MAX))
        .bind(paused.to_vec())
}

/// Nothing stands against its jobs but their time, and the places of the mailbox.
fn may_be_taken(request: &ClaimRequest, held: &HashSet<LaneKey>, head: &Head) -> bool {
    let is_paced = head.mails && request.paced.contains(&head.lane);
    let default_is_paused = request.unnamed_paused && head.raw.is_empty();
    !is_paced && !default_is_paused && !held.contains(&head.lane)
}

fn free(request: &ClaimRequest, lane: &LaneKey) -> usize {
    request.free.get(lane).copied().unwrap_or(request.per_lane)
}
