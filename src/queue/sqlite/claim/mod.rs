//! The claim. First a look at the heads of the lanes, without a lock; then, only if something is due, which jobs those
//! are; then one short write that takes them all. The ends of what is bound to a LIMIT carry a `+ 0`: SQLite compiles a
//! statement with a bare parameter there anew every time it is bound, which costs more than the claim itself.

pub mod lane_heads;
pub mod misdated;
pub mod overtaken;
pub mod unfit;

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Encode, Row, Sqlite, Type};

use crate::clock::Now;
use crate::job::{JobId, format_utc, parse_utc};
use crate::queue::sqlite::claim::lane_heads::{Head, LaneHeads, first, heads_of, orders};
use crate::queue::sqlite::claim::misdated::MisdatedJobs;
use crate::queue::sqlite::claim::overtaken::{Overtaken, OvertakenJobs};
use crate::queue::sqlite::clock::{machine_wall, steady};
use crate::queue::sqlite::row::{
    Taken, created, from_json, from_row, input_columns, json_columns, octets, sized, target,
};
use crate::queue::sqlite::schema::strange_triggers;
use crate::queue::sqlite::store::AgentId;
use crate::queue::sqlite::text::json;
use crate::queue::sqlite::transaction::{UNMOVED, begin, end, is_refusal, refused_by_schema, roll_back, words};
use crate::queue::sqlite::write_pacer::{WritePacer, locked_at};
use crate::queue::withheld::WithheldJobs;
use crate::queue::{ClaimRequest, Claimed, LaneKey, Refusal, Withheld};

/// Rows beyond this are not handed over together with others, as one text.
const LARGE: i64 = 256 * 1024;

/// Whether `extra` makes the event a series, but not one of all-day events. It is JSON, unless somebody turned the schema's
/// rules off. Mostly there is none, and nothing to be parsed.
macro_rules! recurs {
    () => {
        "CASE WHEN extra IS NULL THEN 0 ELSE coalesce((
            SELECT max(lower(key) = 'recurrence' AND type <> 'null') AND NOT max(lower(key) = 'isallday' AND type = 'true')
            FROM json_each(CASE WHEN json_valid(extra) THEN extra ELSE '{}' END)), 0) END"
    };
}

/// Whether the defaults are to be filled in: no request of the row has left yet, or none that created anything and what was
/// filled in before was taken out again.
macro_rules! fillable {
    () => {
        "(in_doubt = 0 AND (first_sent_at IS NULL OR defaulted = ''))"
    };
}

/// What fills a NULL mailbox, but not of a change of an event by its key: that is in its create's mailbox.
macro_rules! default_mailbox {
    () => {
        "CASE WHEN operation = 'create' OR event_key IS NULL THEN ?3 END"
    };
}

/// ?3 to ?5 are the defaults, frozen into rows of which no request has left yet. Where nobody chose a zone, the one of a
/// series stays NULL (JobInput::with_defaults has the same rule, a test compares them). Without the mailbox, for rows that
/// name theirs: what is not written enters no trigger and no index.
macro_rules! freeze {
    (named) => {
        concat!(
            "body_type = CASE WHEN ",
            fillable!(),
            " THEN coalesce(body_type, ?4) ELSE body_type END,
    time_zone = CASE WHEN ",
            fillable!(),
            " THEN coalesce(time_zone, ?5, CASE WHEN NOT ",
            recurs!(),
            " THEN 'UTC' END) ELSE time_zone END"
        )
    };
    (any) => {
        concat!(
            "mailbox = CASE WHEN ",
            fillable!(),
            " THEN coalesce(mailbox, ",
            default_mailbox!(),
            ") ELSE mailbox END,
    mailbox_key = CASE WHEN mailbox IS NULL AND ",
            default_mailbox!(),
            " IS NOT NULL AND ",
            fillable!(),
            " THEN ?7 ELSE mailbox_key END,
    ",
            freeze!(named)
        )
    };
}
pub(crate) use {fillable, freeze, recurs};

/// Beside what is filled in, its columns' names.
macro_rules! remember {
    () => {
        concat!(
            "defaulted = CASE WHEN ",
            fillable!(),
            " THEN nullif(trim(coalesce(defaulted, '') || iif(mailbox IS NULL AND ",
            default_mailbox!(),
            " IS NOT NULL, ' mailbox', '')
        || iif(body_type IS NULL, ' body_type', '')
        || iif(time_zone IS NULL AND (?5 IS NOT NULL OR NOT ",
            recurs!(),
            "), ' time_zone', '')), '') ELSE defaulted END"
        )
    };
}

/// Takes what is still due of these jobs, which ?1 tells, at ?2, for the agent ?6, and freezes the defaults. The plus has them
/// found by their ids.
macro_rules! take {
    ($which:ident, $ids:expr) => {
        concat!(
            "UPDATE jobs SET state = 'claimed', claims = claims + 1, settled = NULL, claimed_at = ?2, claimed_by = ?6,
    ",
            freeze!($which),
            ",
    ",
            remember!(),
            "
WHERE id IN (",
            $ids,
            ") AND state = 'pending' AND +behind IS NULL AND next_attempt_at <= ?2"
        )
    };
}

/// Where a due job waits: its rank, which is its priority and one for every whole hour it has been due at ?1, the highest first;
/// its due time, which has 24 characters; its id. As text that sorts in this order. ?4 is an hour before ?1: of most jobs nothing
/// needs to be reckoned.
macro_rules! place {
    ($due:literal, $id:literal, $priority:literal) => {
        concat!(
            "printf('%010d', 1000000000 - ",
            $priority,
            " - CASE WHEN ",
            $due,
            " > ?4 THEN 0 ELSE coalesce((strftime('%s', ?1) - strftime('%s', ",
            $due,
            ")) / 3600, 0) END) || ",
            $due,
            " || printf('%020d', ",
            $id,
            ")"
        )
    };
}

/// The due time and the id that a place holds.
macro_rules! placed {
    (due) => {
        "substr(place, 11, 24)"
    };
    (id) => {
        "CAST(substr(place, 35) AS INTEGER)"
    };
}

/// What is due at ?1 of the lanes in ?2, a JSON array of [`Lane`], and no more than ?3 in all: the lane's number, id and size of
/// each job; and the operator's words at that moment. A merge of the lanes: each lane's first job is in the queue of the
/// recursion, ordered by place; taking one adds the next of its lane, found in the index. So rows that were inserted together
/// are claimed together, and SQLite finds them on the same pages.
macro_rules! pick {
    () => {
        concat!(
            "WITH RECURSIVE pick(lane, k, m, p, slots, taken, place) AS (
        SELECT key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, 1, ",
            place!("(value ->> 4)", "(value ->> 5)", "(value ->> 2)"),
            " FROM jsonb_each(?2)
        UNION ALL
        SELECT lane, k, m, p, slots, taken + 1, (
            SELECT ",
            place!("next_attempt_at", "id", "priority"),
            " FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key = pick.k AND mails = pick.m
                AND priority = pick.p AND next_attempt_at <= ?1
                AND (next_attempt_at, id) > (",
            placed!(due),
            ", ",
            placed!(id),
            ")
            ORDER BY next_attempt_at, id LIMIT 1)
        FROM pick WHERE taken < slots AND place IS NOT NULL
        ORDER BY 7)
    SELECT json_group_array(json_array(lane, id, (SELECT ",
            octets!(),
            " FROM jobs WHERE id = due.id))), ",
            orders!(),
            "
    FROM (SELECT lane, ",
            placed!(id),
            " AS id FROM pick WHERE place IS NOT NULL LIMIT ?3 + 0) AS due"
        )
    };
}
const LOOK_AND_PICK: &str = concat!("PRAGMA data_version; ", pick!());

/// The same of one lane of mailbox ?2, whose name may be no text that JSON can hold: where each job waits, its id and size.
const PICK_ODD: &str = concat!(
    "SELECT ",
    place!("next_attempt_at", "id", "priority"),
    ", id, ",
    octets!(),
    " FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key = CAST(?2 AS TEXT) AND mails = ?5 AND priority = ?6
        AND next_attempt_at <= ?1
     ORDER BY next_attempt_at, id LIMIT ?3 + 0"
);

/// The ids that [`Picks`] holds.
macro_rules! picked {
    () => {
        "SELECT value FROM json_each(?1, '$.ids')"
    };
}

/// The rows of these ids, taken: what is claimed now was pending when it was picked.
macro_rules! taken {
    () => {
        concat!(
            "SELECT json_group_array(",
            json_columns!(),
            ") FROM jobs WHERE id IN (",
            picked!(),
            ") AND state = 'claimed' AND claimed_at = ?2"
        )
    };
}

/// In one go, with what is left in the lanes that [`Picks`] holds: a claim should hold the lock for as long as SQLite needs, and no
/// longer.
macro_rules! take_all {
    ($which:ident) => {
        concat!(
            "BEGIN IMMEDIATE; ",
            locked_at!(),
            "; ",
            take!($which, picked!()),
            "; ",
            taken!(),
            "; ",
            heads_of!("?1, '$.lanes'"),
            "; COMMIT"
        )
    };
}
const TAKE_ALL: &str = take_all!(any);
/// The same where every row names its mailbox.
const TAKE_NAMED: &str = take_all!(named);

/// One job.
const TAKE_ONE: &str = take!(any, "?1");
const TAKEN_ONE: &str = concat!(
    "SELECT id, claims, attempts, in_doubt, give_up_at, next_attempt_at, defaulted,
        CAST(coalesce(mailbox_key, '') AS BLOB) AS lane, expires_at, ",
    target!(),
    " AS target, ",
    input_columns!(),
    "1 FROM jobs WHERE id = ?1 AND state = 'claimed'"
);

/// As it was, or taken and put back in the same breath.
const NOT_TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM jobs
    WHERE id = ?1 AND state = 'pending' AND behind IS NULL AND (next_attempt_at <= ?2 OR claimed_at = ?2))";

const FAIL_BROKEN: &str = "UPDATE jobs SET state = 'failed', finished_at = ?2, error_kind = 'invalid_job',
        cause = 'invalid_row',
        error_code = 'invalid_row', error_message = 'the columns that belong to the agent (claims, attempts, …) hold values '
            || 'no agent writes, so this job cannot be taken: insert it anew'
    WHERE id = ?1 AND state = 'pending'";

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A mailbox with something due, the slots it has for it, and those of its lanes that have it. There may be more than one way of
/// writing the mailbox.
struct Wanted {
    lane: LaneKey,
    slots: usize,
    heads: Vec<Head>,
}

impl Wanted {
    fn named(&self) -> impl Iterator<Item = &Head> {
        self.heads.iter().filter(|head| head.name().is_some())
    }
}

/// A lane as `pick!` takes it: mailbox, mails, priority, slots, and due time and id of its first job.
#[derive(Serialize)]
struct Lane<'h>(&'h str, bool, i64, usize, &'h str, i64);

/// What is to be taken at once.
#[derive(Default)]
struct Due {
    ids: Vec<i64>,
    /// Of each of them.
    lanes: Vec<LaneKey>,
    /// One by one, each row by itself: some are too large for a text that holds them all.
    singly: bool,
    /// More may be taken after that.
    more: bool,
}

/// What a claim has taken so far.
#[derive(Default)]
struct Taking {
    jobs: Vec<Taken>,
    broken: Vec<JobId>,
    /// Found withheld just now.
    withheld: Vec<Refusal>,
    /// A refusal was met, new or not.
    met_refusal: bool,
    more: bool,
    /// The jobs in the order they waited in.
    order: Vec<i64>,
}

/// Who takes jobs, what it may take, and when.
struct Taker<'t> {
    agent: Option<AgentId>,
    request: &'t ClaimRequest,
    now: &'t str,
    /// An hour before.
    hour_ago: &'t str,
}

/// What the queue remembers between two claims.
pub struct ClaimMemory<'m> {
    pub lane_heads: &'m mut LaneHeads,
    pub pacer: &'m mut WritePacer,
    pub misdated_jobs: &'m mut MisdatedJobs,
    pub withheld: &'m mut WithheldJobs,
    pub overtaken_jobs: &'m mut OvertakenJobs,
    /// Whose claim it is.
    pub agent: Option<AgentId>,
}

pub async fn claim(
    connection: &mut SqliteConnection,
    memory: ClaimMemory<'_>,
    request: &ClaimRequest,
    as_of: Now,
) -> sqlx::Result<Claimed> {
    let mut memory = memory;
    if memory.misdated_jobs.look(connection, memory.pacer, as_of.wall).await? {
        memory.lane_heads.forget();
    }
    let now = format_utc(as_of.wall);
    let hour_ago = as_of.wall.checked_sub_signed(TimeDelta::hours(1)).map(format_utc).unwrap_or_default();
    let unnamed = request.unnamed.as_deref();
    let is_old = memory.lane_heads.is_old();
    let (unfit, refused_ends) = match is_old {
        true => unfit::end(connection, memory.withheld, &now).await?,
        false => Default::default(),
    };
    let mut overtaken = Overtaken::default();
    if is_old || memory.overtaken_jobs.are_due(&now) {
        end_overtaken(connection, &mut memory, &now, &mut overtaken).await?;
    }
    memory.lane_heads.prepare(connection, unnamed).await?;
    let taker = Taker { agent: memory.agent, request, now: &now, hour_ago: &hour_ago };
    let mut taking = take_due(connection, &mut memory, &taker, &mut overtaken).await?;
    // Perhaps what was seen is no longer there, and something else is.
    let nothing = taking.jobs.is_empty() && taking.broken.is_empty() && !taking.met_refusal;
    if nothing && memory.lane_heads.is_old() {
        end_overtaken(connection, &mut memory, &now, &mut overtaken).await?;
        memory.lane_heads.look_again(connection, unnamed).await?;
        taking = take_due(connection, &mut memory, &taker, &mut overtaken).await?;
    }
    let ClaimMemory { lane_heads, misdated_jobs, withheld, overtaken_jobs, .. } = memory;
    let Taking { mut jobs, mut broken, withheld: mut new, met_refusal: met, more, order } = taking;
    broken.extend(unfit);
    new.extend(refused_ends);
    new.extend(overtaken.refused);
    let gone = broken.iter().map(|id| id.0).chain(jobs.iter().map(|taken| taken.job.id.0));
    withheld.forget(gone.chain(overtaken.ended.iter().map(|(id, _)| id.0)));
    let place: HashMap<i64, usize> = order.into_iter().enumerate().map(|(place, id)| (id, place)).collect();
    jobs.sort_by_key(|taken| place.get(&taken.job.id.0).copied());
    lane_heads.took(jobs.iter().map(|taken| &taken.job));
    let jobs = jobs.into_iter().map(|taken| (taken.lane, taken.job)).collect();
    let may_go = |head: &&Head| free(request, &head.lane) > 0 && may_be_taken(lane_heads, request, head);
    let waiting = lane_heads.heads().filter(|head| head.due > now).filter(may_go);
    let again = withheld.next(steady()).and_then(|wait| TimeDelta::from_std(wait).ok());
    let again = again.and_then(|wait| as_of.wall.checked_add_signed(wait));
    let again = again.into_iter().chain(overtaken_jobs.next().and_then(parse_utc));
    let next_due = waiting.filter_map(|head| parse_utc(&head.due)).chain(misdated_jobs.next()).chain(again).min();
    let withheld = Withheld { new, met, all: withheld.sum() };
    Ok(Claimed { as_of, jobs, next_due, more, broken, ended: overtaken.ended, withheld, news: lane_heads.news() })
}

/// Ends what is overtaken by now.
pub async fn end_overtaken(
    connection: &mut SqliteConnection,
    memory: &mut ClaimMemory<'_>,
    now: &str,
    overtaken: &mut Overtaken,
) -> sqlx::Result<()> {
    let more = memory.overtaken_jobs.end(connection, memory.withheld, now).await?;
    if !more.ended.is_empty() {
        memory.lane_heads.forget();
    }
    overtaken.ended.extend(more.ended);
    overtaken.refused.extend(more.refused);
    Ok(())
}

/// Takes what is due by the lane heads, and updates them.
async fn take_due(
    connection: &mut SqliteConnection,
    memory: &mut ClaimMemory<'_>,
    taker: &Taker<'_>,
    overtaken: &mut Overtaken,
) -> sqlx::Result<Taking> {
    let Taker { request, now, .. } = *taker;
    let wanted = wanted(memory.lane_heads, request, now);
    if wanted.is_empty() {
        memory.lane_heads.look(connection).await?;
        return Ok(Taking::default());
    }
    let unnamed = request.unnamed.as_deref();
    memory.pacer.delay().await;
    let (version, mut due) = pick(connection, memory, &wanted, taker).await?;
    if !memory.overtaken_jobs.saw(version) {
        // Somebody has written since they were looked for: what was picked may be cancelled.
        let ended = overtaken.ended.len();
        end_overtaken(connection, memory, now, overtaken).await?;
        if overtaken.ended.len() > ended {
            (_, due) = pick(connection, memory, &wanted, taker).await?;
        }
    }
    let ClaimMemory { lane_heads, pacer, withheld, .. } = memory;
    lane_heads.compare(version);
    pacer.compare(version, steady());
    let heads: Vec<Head> = wanted.into_iter().flat_map(|wanted| wanted.heads).collect();
    if due.ids.is_empty() {
        lane_heads.look_at(connection, unnamed, heads).await?;
        return Ok(Taking::default());
    }
    let more = due.more;
    if !due.singly {
        match take_all(connection, &due.ids, &heads, taker).await {
            Ok((locked_at, taken, left)) => {
                pacer.write_ended(locked_at, steady(), machine_wall());
                lane_heads.replace(heads, &left, unnamed);
                let jobs = match from_json(&taken, unnamed) {
                    Ok(jobs) => jobs,
                    Err(_) => read_singly(connection, &due.ids, unnamed).await?,
                };
                let mut taking = Taking { jobs, more, order: due.ids.clone(), ..Taking::default() };
                if taking.jobs.len() < due.ids.len() {
                    left_alone(connection, &due, withheld, now, &mut taking).await?;
                }
                return Ok(taking);
            }
            Err(error) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let locked = steady();
    let taking = match due.singly {
        true => take_in_turn(connection, &due.ids, taker).await,
        false => Ok(None),
    };
    let taking = match taking? {
        Some(jobs) => Taking { jobs, ..Taking::default() },
        None => take_apart(connection, &due, withheld, taker).await?,
    };
    pacer.write_took(locked.elapsed(), steady());
    // From here on the jobs are the agent's: no error may lose them.
    if lane_heads.look_at(connection, unnamed, heads).await.is_err() {
        lane_heads.forget();
    }
    Ok(Taking { more, order: due.ids, ..taking })
}

/// The mailboxes with something due and slots for it, the one waiting longest first, as many as there may be jobs.
fn wanted(lane_heads: &LaneHeads, request: &ClaimRequest, now: &str) -> Vec<Wanted> {
    let mut seen: HashSet<&LaneKey> = HashSet::new();
    let mut for_suspects = request.suspects.limit;
    let mut wanted = Vec::new();
    let is_due = |head: &&Head| *head.due <= *now && may_be_taken(lane_heads, request, head);
    for Head { lane, .. } in lane_heads.heads().take_while(|head| *head.due <= *now).filter(is_due) {
        if wanted.len() >= request.limit {
            break;
        }
        if !seen.insert(lane) {
            continue;
        }
        let mut slots = free(request, lane).min(request.limit);
        if request.suspects.lanes.contains(lane) {
            slots = slots.min(for_suspects);
            for_suspects -= slots;
        }
        if slots > 0 {
            let heads = lane_heads.of(lane).filter(is_due).cloned().collect();
            wanted.push(Wanted { lane: lane.clone(), slots, heads });
        }
    }
    wanted
}

/// A job as `pick!` tells of it: the number of its lane, its id, its size in bytes; none where the job is gone.
#[derive(Deserialize)]
struct Picked(usize, i64, Option<i64>);

/// A job that is to be taken: the number of its mailbox, its id, and its size in bytes.
struct Pick {
    mailbox: usize,
    id: i64,
    bytes: i64,
}

/// `PRAGMA data_version`, and the jobs to be taken, without a lock: what has changed until they are is left alone then. A
/// mailbox may have been put on hold since the heads were seen: nothing is taken of it.
async fn pick(
    connection: &mut SqliteConnection,
    memory: &mut ClaimMemory<'_>,
    wanted: &[Wanted],
    taker: &Taker<'_>,
) -> sqlx::Result<(i64, Due)> {
    let Taker { request, now, hour_ago, .. } = *taker;
    let ClaimMemory { lane_heads, withheld, .. } = memory;
    // Those left alone stand in the line like others: so many more are looked at. And each lane of a mailbox may have all that are
    // wanted of it.
    let at = steady();
    let paused: Vec<usize> = wanted.iter().map(|wanted| withheld.paused_in(&wanted.lane, at)).collect();
    let lanes: Vec<(usize, Lane)> = lanes_of(wanted, &paused);
    let looked_at: Vec<&Lane> = lanes.iter().map(|(_, lane)| lane).collect();
    let beyond = |n: usize| paused[n] + (wanted[n].named().count().max(1) - 1) * (wanted[n].slots + paused[n]);
    let limit = |left: usize| i64::try_from(left).unwrap_or(i64::MAX);
    let rows = sqlx::query(LOOK_AND_PICK)
        .bind(now)
        .bind(json(&looked_at))
        .bind(limit(request.limit.saturating_add((0..wanted.len()).map(beyond).sum())))
        .bind(hour_ago)
        .fetch_all(&mut *connection)
        .await?;
    let [version, row] = rows.as_slice() else { return Err(sqlx::Error::RowNotFound) };
    let picked: Vec<Picked> =
        serde_json::from_slice(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    lane_heads.obey(row.try_get(1)?)?;
    let mut left: Vec<usize> =
        wanted.iter().map(|wanted| if lane_heads.is_held(&wanted.lane) { 0 } else { wanted.slots }).collect();
    let mut picks: Vec<Pick> = picked
        .into_iter()
        .filter_map(|Picked(lane, id, bytes)| Some(Pick { mailbox: lanes.get(lane)?.0, id, bytes: bytes? }))
        .filter(|pick| !withheld.is_paused(pick.id, at) && take_one_of(&mut left[pick.mailbox]))
        .take(request.limit)
        .collect();
    for (mailbox, Wanted { heads, .. }) in wanted.iter().enumerate() {
        let left = left[mailbox].min(request.limit.saturating_sub(picks.len()));
        let odd: Vec<&Head> = heads.iter().filter(|head| head.name().is_none() && left > 0).collect();
        let mut found: Vec<(String, i64, i64)> = Vec::new();
        for head in odd {
            let jobs = sqlx::query_as(PICK_ODD)
                .bind(now)
                .bind(&head.raw)
                .bind(limit(left.saturating_add(paused[mailbox])))
                .bind(hour_ago)
                .bind(head.mails)
                .bind(head.priority);
            found.extend(jobs.fetch_all(&mut *connection).await?);
        }
        found.sort_unstable();
        let found = found.into_iter().filter(|(_, id, _)| !withheld.is_paused(*id, at)).take(left);
        picks.extend(found.map(|(_, id, bytes)| Pick { mailbox, id, bytes }));
    }
    Ok((version.try_get(0)?, due(wanted, &picks)))
}

/// Large rows first, with all of their mailboxes, which keep their order; the others next time, together.
fn due(wanted: &[Wanted], picks: &[Pick]) -> Due {
    let large: HashSet<usize> = picks.iter().filter(|pick| pick.bytes > LARGE).map(|pick| pick.mailbox).collect();
    let now_or_next = |pick: &&Pick| large.is_empty() || large.contains(&pick.mailbox);
    let (ids, lanes): (Vec<i64>, Vec<LaneKey>) =
        picks.iter().filter(now_or_next).map(|pick| (pick.id, wanted[pick.mailbox].lane.clone())).unzip();
    Due { more: ids.len() < picks.len(), ids, lanes, singly: !large.is_empty() }
}

/// Those lanes whose mailbox JSON can hold, each with the number of its mailbox.
fn lanes_of<'w>(wanted: &'w [Wanted], paused: &[usize]) -> Vec<(usize, Lane<'w>)> {
    let of_mailbox = |(n, wanted): (usize, &'w Wanted)| {
        let slots = wanted.slots + paused[n];
        wanted
            .named()
            .filter_map(move |head| Some((n, Lane(head.name()?, head.mails, head.priority, slots, &head.due, head.id))))
    };
    wanted.iter().enumerate().flat_map(of_mailbox).collect()
}

/// Whether there was one.
fn take_one_of(slots: &mut usize) -> bool {
    let left = *slots;
    *slots = left.saturating_sub(1);
    left > 0
}

/// ?1 of [`TAKE_ALL`]: sqlx wants each of its statements to use the first parameters, without a gap.
#[derive(Serialize)]
struct Picks<'p> {
    ids: &'p [i64],
    lanes: Vec<(&'p str, bool, i64)>,
}

/// Tells when it had the lock, the rows taken and what is left in the lanes, both as JSON. An error of SQLite leaves everything
/// as it was.
async fn take_all(
    connection: &mut SqliteConnection,
    ids: &[i64],
    heads: &[Head],
    taker: &Taker<'_>,
) -> sqlx::Result<(i64, Vec<u8>, Vec<u8>)> {
    let picks = json(&Picks { ids, lanes: heads.iter().filter_map(Head::key).collect() });
    let all_named = heads.iter().all(|head| !head.raw.is_empty());
    match query(if all_named { TAKE_NAMED } else { TAKE_ALL }, picks, taker).fetch_all(&mut *connection).await {
        Ok(rows) => match rows.as_slice() {
            [locked_at, taken, left] => Ok((locked_at.try_get(0)?, taken.try_get(0)?, left.try_get(0)?)),
            _ => Err(sqlx::Error::RowNotFound),
        },
        Err(error) => {
            roll_back(connection).await;
            Err(error)
        }
    }
}

/// Large rows, in one transaction. None: the schema refuses one of them, and nothing was done.
async fn take_in_turn(
    connection: &mut SqliteConnection,
    ids: &[i64],
    taker: &Taker<'_>,
) -> sqlx::Result<Option<Vec<Taken>>> {
    begin(connection).await?;
    let mut jobs = Vec::new();
    let mut done = Ok(());
    for id in ids {
        match take_one(connection, *id, taker).await {
            Ok(taken) => jobs.extend(taken),
            Err(error) => done = Err(error),
        }
        if done.is_err() {
            break;
        }
    }
    match end(connection, done).await {
        Ok(()) => Ok(Some(jobs)),
        Err(error) if is_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// None: it is no longer there to be taken, or a trigger ignores it.
async fn take_one(connection: &mut SqliteConnection, id: i64, taker: &Taker<'_>) -> sqlx::Result<Option<Taken>> {
    let done = query(TAKE_ONE, id, taker).execute(&mut *connection).await?;
    match done.rows_affected() {
        0 => Ok(None),
        _ => Ok(read_singly(connection, &[id], taker.request.unnamed.as_deref()).await?.pop()),
    }
}

/// Where the schema refuses one of them: each by itself, in a transaction of its own, for a rule may end the whole transaction.
/// What the schema's own rules refuse fails; what somebody's trigger refuses is left alone for a while; the others are taken.
async fn take_apart(
    connection: &mut SqliteConnection,
    due: &Due,
    withheld: &mut WithheldJobs,
    taker: &Taker<'_>,
) -> sqlx::Result<Taking> {
    let strange = !strange_triggers(connection).await?.is_empty();
    let mut taking = Taking::default();
    for (id, lane) in due.ids.iter().zip(&due.lanes) {
        if let Err(error) = begin(connection).await {
            return if taking.jobs.is_empty() { Err(error) } else { Ok(taking) };
        }
        let done = take_one(connection, *id, taker).await;
        let error = match end(connection, done).await {
            Ok(taken) => {
                taking.jobs.extend(taken);
                continue;
            }
            Err(error) => error,
        };
        if !is_refusal(&error) {
            // Those taken are the agent's; the queue's trouble is met again by the next claim.
            return if taking.jobs.is_empty() { Err(error) } else { Ok(taking) };
        }
        if refused_by_schema(&error)
            && !strange
            && sqlx::query(FAIL_BROKEN).bind(id).bind(taker.now).execute(&mut *connection).await.is_ok()
        {
            taking.broken.push(JobId(*id));
        } else {
            taking.met_refusal = true;
            taking.withheld.extend(withheld.note(*id, lane, words(&error), false, steady()));
        }
    }
    left_alone(connection, due, withheld, taker.now, &mut taking).await?;
    Ok(taking)
}

/// Jobs that are not taken although they were to be, and nothing was said: a trigger ignores the claim, or takes it back.
async fn left_alone(
    connection: &mut SqliteConnection,
    due: &Due,
    withheld: &mut WithheldJobs,
    now: &str,
    taking: &mut Taking,
) -> sqlx::Result<()> {
    let at = steady();
    let taken: HashSet<i64> = taking.jobs.iter().map(|taken| taken.job.id.0).collect();
    for (id, lane) in due.ids.iter().zip(&due.lanes).filter(|(id, _)| !taken.contains(*id)) {
        if withheld.is_paused(*id, at) {
            continue;
        }
        if sqlx::query_scalar(NOT_TAKEN).bind(id).bind(now).fetch_one(&mut *connection).await? {
            taking.met_refusal = true;
            taking.withheld.extend(withheld.note(*id, lane, UNMOVED.into(), true, at));
        }
    }
    Ok(())
}

async fn read_singly(
    connection: &mut SqliteConnection,
    ids: &[i64],
    unnamed: Option<&str>,
) -> sqlx::Result<Vec<Taken>> {
    let mut all = Vec::new();
    for id in ids {
        let row = sqlx::query(TAKEN_ONE).bind(id).fetch_optional(&mut *connection).await?;
        all.extend(row.map(|row| from_row(&row, unnamed)).transpose()?);
    }
    Ok(all)
}

/// A statement that takes jobs: `which`.
fn query<'q>(statement: &'static str, which: impl Encode<'q, Sqlite> + Type<Sqlite>, taker: &Taker<'q>) -> Query<'q> {
    let Taker { agent, request, now, .. } = *taker;
    sqlx::query(statement)
        .bind(which)
        .bind(now)
        .bind(&request.defaults.mailbox)
        .bind(request.defaults.body_type.as_str())
        .bind(&request.defaults.time_zone)
        .bind(agent.map(|agent| agent.0))
        .bind(request.defaults.mailbox.as_deref().map(|mailbox| LaneKey::of(mailbox).as_str().to_owned()))
}

/// Nothing stands against its jobs but their time, and the slots of the mailbox.
fn may_be_taken(lane_heads: &LaneHeads, request: &ClaimRequest, head: &Head) -> bool {
    let is_paced = head.mails && request.paced.contains(&head.lane);
    !is_paced && !lane_heads.is_held(&head.lane) && !default_is_paused(request, head)
}

/// Its jobs name no mailbox, and that of the settings is refused.
fn default_is_paused(request: &ClaimRequest, head: &Head) -> bool {
    request.unnamed_paused && head.raw.is_empty()
}

fn free(request: &ClaimRequest, lane: &LaneKey) -> usize {
    request.free.get(lane).copied().unwrap_or(request.per_lane)
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub const STATEMENTS: [&str; 5] = [pick!(), PICK_ODD, take!(any, picked!()), take!(named, picked!()), taken!()];
