//! The real queue: each step done to a SQLite file, by the agent's own code or by a stranger's SQL, and every row compared
//! after it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use event_sender::clock::{Clock, Now};
use event_sender::job::{Answer, BodyType, Defaults, Ending, ErrorKind, EventId, JobId, format_utc};
use event_sender::queue::{
    Agent, AttemptRecord, ClaimRequest, LaneKey, Operate, Settled, Settlement, SqliteQueue, Suspects, Verdict,
};
use proptest_state_machine::StateMachineTest;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, FromRow};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::rows::{End, TEAM, Taken, Ticket, Wish, due_again, event_of, first_due};
use super::steps::{EVE, Effect, Expected, Mischief, Step, Steps};

/// The columns that are compared.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
struct Seen {
    id: i64,
    state: String,
    claims: i64,
    attempts: i64,
    in_doubt: bool,
    event_id: Option<String>,
    next_attempt_at: String,
    finished_at: Option<String>,
    mailbox: Option<String>,
    subject: String,
    transaction_id: String,
    sent_once: bool,
    history: i64,
}

const SEEN: &str =
    "SELECT id, state, claims, attempts, in_doubt, event_id, next_attempt_at, finished_at, mailbox, subject,
    transaction_id, first_sent_at IS NOT NULL AS sent_once, (SELECT count(*) FROM attempts WHERE job_id = jobs.id) AS history FROM jobs ORDER BY id";

pub struct Real {
    runtime: Runtime,
    queue: SqliteQueue,
    /// What the queue's clock shows.
    now_ms: Arc<AtomicI64>,
    stranger: RefCell<SqliteConnection>,
    /// The transaction ids as they were inserted.
    transactions: HashMap<i64, String>,
    _home: TempDir,
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Steps;

    fn init_test(_: &Expected) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let home = home();
        let path = home.path().join("queue.db");
        std::fs::write(&path, empty_queue(&runtime)).unwrap();
        let now_ms = Arc::new(AtomicI64::new(0));
        let shown = now_ms.clone();
        let clock = Clock::new(move || now_at(shown.load(Ordering::Relaxed)));
        let queue = runtime.block_on(SqliteQueue::open(&path)).unwrap().with_clock(clock);
        let stranger = runtime.block_on(SqliteConnectOptions::new().filename(&path).connect()).unwrap();
        let stranger = RefCell::new(stranger);
        Self { runtime, queue, now_ms, stranger, transactions: HashMap::new(), _home: home }
    }

    fn apply(mut state: Self, expected: &Expected, step: Step) -> Self {
        let effect = state.take(&step, expected);
        assert_eq!(effect, expected.effect, "{step:?}");
        state
    }

    fn check_invariants(state: &Self, expected: &Expected) {
        state.compare(expected);
    }
}

impl Real {
    fn take(&mut self, step: &Step, expected: &Expected) -> Effect {
        let now = at(expected.rows.now);
        self.now_ms.store(expected.rows.now, Ordering::Relaxed);
        match step {
            Step::Clock { .. } => Effect::Rows(0),
            Step::Produce { mailbox, key, wait } => {
                let id = expected.rows.last_id;
                let not_before = wait.and_then(|_| expected.rows.jobs.get(&id)?.not_before);
                let effect = self.sql(&insert("INSERT", *mailbox, *key, not_before, id));
                if effect != Effect::Refused {
                    self.note_transaction(id);
                }
                effect
            }
            Step::Claim(wish) => self.claim(wish),
            Step::Settle(ends) => {
                let batch: Vec<_> = ends.iter().map(|(ticket, end)| settlement(*ticket, end, expected)).collect();
                let ends: Vec<&Settlement> = batch.iter().collect();
                let settled = self.runtime.block_on(self.queue.settle(&ends)).unwrap();
                let refused = settled.iter().any(|settled| matches!(settled, Settled::Refused(_)));
                assert!(!refused, "the schema refuses its own agent: {batch:?}");
                Effect::Settled(settled.into_iter().map(|settled| settled == Settled::Recorded).collect())
            }
            Step::Recover => Effect::Rows(self.runtime.block_on(self.queue.join()).unwrap().jobs),
            Step::Purge { age, limit } => {
                // What ends at the very moment of the purge is older than an age of nothing a moment later.
                self.now_ms.store(expected.rows.now + (-*age).max(0), Ordering::Relaxed);
                let age = Duration::from_millis(u64::try_from((*age).max(0)).unwrap());
                let limit = u32::try_from(*limit).unwrap();
                Effect::Rows(self.runtime.block_on(self.queue.purge(age, limit)).unwrap())
            }
            Step::Cancel { id } => {
                let now = format_utc(now);
                self.sql(&format!("UPDATE jobs SET state = 'cancelled', finished_at = '{now}' WHERE id = {id}"))
            }
            Step::Retry { id } => {
                let due = format_utc(at(expected.rows.later(1000, *id)));
                self.sql(&format!(
                    "UPDATE jobs SET state = 'pending', finished_at = NULL, attempts = 0, next_attempt_at = '{due}'
                     WHERE id = {id} AND state IN ('failed', 'cancelled')"
                ))
            }
            Step::Hold { mailbox, on } => self.hold(mailbox, *on, now),
            Step::Mischief { id, what } => self.mischief(*id, *what, expected),
        }
    }

    /// By a command beside the agent.
    fn hold(&self, mailbox: &str, on: bool, now: DateTime<Utc>) -> Effect {
        let lane = LaneKey::of(mailbox);
        self.runtime.block_on(async {
            let operator = SqliteQueue::open_existing(self.queue.path()).await.unwrap();
            let changed = match on {
                true => operator.hold_mailbox(&lane, None, now).await.map(|()| true),
                false => operator.release_mailbox(&lane).await,
            };
            operator.close().await;
            Effect::Rows(u64::from(changed.unwrap()))
        })
    }

    fn mischief(&mut self, id: i64, what: Mischief, expected: &Expected) -> Effect {
        let update = |change: &str| format!("UPDATE jobs SET {change} WHERE id = {id}");
        let row = expected.rows.jobs.get(&id);
        let sql = match what {
            Mischief::Subject => update("subject = 'second'"),
            Mischief::Mailbox => update(&format!("mailbox = '{EVE}'")),
            Mischief::Transaction => update("transaction_id = 'other-' || id"),
            Mischief::Delete => format!("DELETE FROM jobs WHERE id = {id}"),
            Mischief::Replace if row.is_none() => return Effect::Rows(0),
            Mischief::Replace => format!(
                "INSERT OR REPLACE INTO jobs (id, start_time, end_time) VALUES ({id}, '2026-12-01T09:00', '2026-12-01T10:00')"
            ),
            Mischief::ReplaceByKey => match row.and_then(|row| row.key) {
                Some(key) => insert("INSERT OR REPLACE", None, Some(key), None, id),
                None => return Effect::Rows(0),
            },
            Mischief::StateSent => update("state = 'sent', finished_at = coalesce(finished_at, 'x')"),
            Mischief::StateClaimed => update("state = 'claimed'"),
            Mischief::StatePending => update("state = 'pending'"),
            Mischief::Unstick => {
                let due = format_utc(at(expected.rows.later(1000, id)));
                let clean = "in_doubt = 0, attempts = 0, claimed_at = NULL, first_sent_at = NULL, settled = NULL";
                update(&format!("state = 'pending', next_attempt_at = '{due}', {clean}")) + " AND state = 'claimed'"
            }
            Mischief::StateFailed => {
                let end = format_utc(at(expected.rows.now));
                update(&format!("state = 'failed', in_doubt = 0, finished_at = '{end}'")) + " AND state = 'claimed'"
            }
            Mischief::SentByHand => {
                let end = format_utc(at(expected.rows.now));
                update(&format!("state = 'sent', event_id = 'forged', finished_at = '{end}'"))
                    + " AND state = 'claimed'"
            }
            Mischief::RetryWithoutDoubt => {
                let due = format_utc(at(expected.rows.later(1000, id)));
                update(&format!(
                    "state = 'pending', in_doubt = 0, finished_at = NULL, attempts = 0, next_attempt_at = '{due}'"
                )) + " AND state IN ('failed', 'cancelled')"
            }
            Mischief::Renumber => update("id = id + 1000"),
            Mischief::MoreClaims => update("claims = claims + 1"),
            Mischief::FewerClaims => update("claims = claims - 1"),
            Mischief::ClearDoubt => update("in_doubt = 0"),
            Mischief::Release => {
                let due = format_utc(at(expected.rows.later(1000, id)));
                update(&format!("state = 'pending', in_doubt = 1, next_attempt_at = '{due}'"))
                    + " AND state = 'claimed'"
            }
        };
        self.sql(&sql)
    }

    /// As another program would: one statement on a connection of its own.
    fn sql(&mut self, sql: &str) -> Effect {
        let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(self.stranger.get_mut());
        match self.runtime.block_on(done) {
            Ok(done) => Effect::Rows(done.rows_affected()),
            // SQLITE_CONSTRAINT, or a trigger.
            Err(sqlx::Error::Database(error))
                if error.code().is_some_and(|code| code.parse::<i32>().unwrap() & 0xff == 19) =>
            {
                Effect::Refused
            }
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    fn note_transaction(&mut self, id: i64) {
        let read = sqlx::query_scalar("SELECT transaction_id FROM jobs WHERE id = ?1").bind(id);
        let transaction = self.runtime.block_on(read.fetch_one(self.stranger.get_mut())).unwrap();
        self.transactions.insert(id, transaction);
    }

    fn claim(&self, wish: &Wish) -> Effect {
        let request = ClaimRequest {
            limit: wish.limit,
            per_lane: wish.per_lane,
            slots: wish.per_lane,
            free: wish.free.map(|(mailbox, slots)| (LaneKey::of(mailbox), slots)).into_iter().collect(),
            suspects: Suspects::default(),
            unnamed: Some(TEAM.into()),
            unnamed_paused: false,
            paced: Default::default(),
            defaults: Defaults {
                mailbox: Some(TEAM.into()),
                body_type: BodyType::Text,
                time_zone: Some("Europe/Berlin".into()),
                own_mailbox: false,
            },
        };
        // While there is enough to do, what others wrote a moment ago may be overlooked. Who may take nothing has time
        // to look.
        let news = ClaimRequest { limit: 0, ..request.clone() };
        let no_room = ClaimRequest { limit: 100, per_lane: 0, free: HashMap::new(), ..request.clone() };
        for takes_nothing in [news, no_room] {
            let claimed = self.runtime.block_on(self.queue.claim(&takes_nothing)).unwrap();
            assert!(claimed.jobs.is_empty() && claimed.news.pauses.is_empty(), "{claimed:?}");
        }
        let claimed = self.runtime.block_on(self.queue.claim(&request)).unwrap();
        let taken: Vec<Taken> = claimed
            .jobs
            .into_iter()
            .map(|(lane, job)| {
                let ticket = Ticket { id: job.id.0, claim: job.claim };
                (lane.as_str().to_owned(), ticket, i64::from(job.attempts), job.in_doubt)
            })
            .collect();
        Effect::Claimed(taken, claimed.next_due.map(|due| (due - start()).num_milliseconds()))
    }

    fn compare(&self, expected: &Expected) {
        let mut db = self.stranger.borrow_mut();
        let seen: Vec<Seen> = self.runtime.block_on(sqlx::query_as(SEEN).fetch_all(&mut *db)).unwrap();
        let time = |ms: i64| format_utc(at(ms));
        let should: Vec<Seen> = expected
            .rows
            .jobs
            .iter()
            .map(|(id, row)| Seen {
                id: *id,
                state: row.state.as_str().to_owned(),
                claims: row.claims,
                attempts: row.attempts,
                in_doubt: row.in_doubt,
                event_id: row.event_id.clone(),
                next_attempt_at: time(row.due),
                finished_at: row.finished_at.map(time),
                mailbox: row.mailbox.clone(),
                subject: row.subject.to_owned(),
                transaction_id: match row.other_transaction {
                    true => format!("other-{id}"),
                    false => self.transactions[id].clone(),
                },
                sent_once: row.sent_once,
                history: row.history,
            })
            .collect();
        assert_eq!(seen, should);
        for row in &seen {
            let ended = ["sent", "failed", "cancelled"].contains(&row.state.as_str());
            assert_eq!(row.state == "sent", row.event_id.is_some(), "{row:?}");
            assert_eq!(ended, row.finished_at.is_some(), "{row:?}");
        }
    }
}

/// A new queue, made once and then copied.
fn empty_queue(runtime: &Runtime) -> &'static [u8] {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let home = home();
        let path = home.path().join("queue.db");
        runtime.block_on(async { SqliteQueue::open(&path).await.unwrap().close().await });
        std::fs::read(&path).unwrap()
    })
}

/// In memory where there is such a place: some ten thousand synced writes are waited for otherwise.
fn home() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

fn start() -> DateTime<Utc> {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

fn at(ms: i64) -> DateTime<Utc> {
    start() + TimeDelta::milliseconds(ms)
}

/// Both clocks go alike, also where the model's is set back by less than the queue takes for a clock that was set between runs.
fn now_at(ms: i64) -> Now {
    static BEGIN: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_secs(1_000_000));
    let length = Duration::from_millis(ms.unsigned_abs());
    Now { wall: at(ms), steady: if ms < 0 { *BEGIN - length } else { *BEGIN + length } }
}

fn insert(verb: &str, mailbox: Option<&str>, key: Option<u8>, not_before: Option<i64>, id: i64) -> String {
    let text = |value: Option<String>| value.map_or("NULL".to_owned(), |value| format!("'{value}'"));
    let mailbox = text(mailbox.map(str::to_owned));
    let key = text(key.map(|key| format!("order-{key}")));
    let not_before = text(not_before.map(|ms| format_utc(at(ms))));
    let due = format_utc(at(first_due(id)));
    format!(
        "{verb} INTO jobs (subject, start_time, end_time, mailbox, dedup_key, not_before, next_attempt_at)
         VALUES ('first', '2026-12-01T09:00', '2026-12-01T10:00', {mailbox}, {key}, {not_before}, '{due}')"
    )
}

fn settlement(ticket: Ticket, end: &End, expected: &Expected) -> Settlement {
    let now = at(expected.rows.now);
    let (verdict, spent, in_doubt, left, never_left) = match *end {
        End::Sent => (Verdict::Sent(EventId(event_of(ticket)).into()), true, false, true, false),
        End::Again { wait, spent, in_doubt, left } => {
            let due = due_again(expected.rows.now, wait, ticket);
            (Verdict::Pending(at(due)), spent, in_doubt, left, false)
        }
        End::Failed { spent, in_doubt, left, never_left } => (Verdict::Failed, spent, in_doubt, left, never_left),
    };
    Settlement {
        id: JobId(ticket.id),
        claim: ticket.claim,
        verdict,
        spent,
        at: now_at(expected.rows.now),
        in_doubt,
        give_up_at: None,
        kind: Some(ErrorKind::Unavailable),
        answer: Answer::default(),
        sent_at: left.then_some(now),
        never_left,
        attempt: Some(AttemptRecord { started_at: now, duration_ms: 1, ending: Ending::Retry }),
        pause: None,
        mailed: 0,
        ends_at: None,
        paced: None,
    }
}
