//! Inserting jobs, as any other producer would: the same columns, the same rules of the schema. Many go in with one statement; where
//! one of them is refused, one by one, each with a savepoint before it.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::clock::steady;
use super::errors::{is_refusal, written};
use super::link::{Linked, STATEMENT, within};
use super::store::PostgresQueue;
use crate::queue::operate::pause_after;
use crate::queue::{InsertError, Insertion, NewJob, OnInserted, Produce};

/// Jobs of one statement, …
const BATCH: usize = 500;
/// … and bytes, where they are large.
const BATCH_BYTES: usize = 8 << 20;

/// In the order they were given, which is that of their ids.
const INSERT: &str = "INSERT INTO jobs (subject, body, start_time, end_time, location, attendees, mailbox, calendar_id,
        body_type, time_zone, extra, dedup_key, not_before, not_after, event_key, target_event_id, operation, priority)
    SELECT subject, body, start_time, end_time, location, coalesce(attendees, '[]'), mailbox, calendar_id, body_type, time_zone,
        extra, dedup_key, not_before, not_after, event_key, target_event_id, coalesce(operation, 'create'), coalesce(priority, 0)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::bigint[])
        WITH ORDINALITY AS new(subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type,
            time_zone, extra, dedup_key, not_before, not_after, event_key, target_event_id, operation, priority, place)
    ORDER BY place RETURNING id";

type Text = fn(&NewJob) -> &Option<String>;

/// A job's columns of text, in the order of the statement.
const TEXTS: [(&str, Text); 17] = [
    ("subject", |job| &job.subject),
    ("body", |job| &job.body),
    ("start_time", |job| &job.start_time),
    ("end_time", |job| &job.end_time),
    ("location", |job| &job.location),
    ("attendees", |job| &job.attendees),
    ("mailbox", |job| &job.mailbox),
    ("calendar_id", |job| &job.calendar_id),
    ("body_type", |job| &job.body_type),
    ("time_zone", |job| &job.time_zone),
    ("extra", |job| &job.extra),
    ("dedup_key", |job| &job.dedup_key),
    ("not_before", |job| &job.not_before),
    ("not_after", |job| &job.not_after),
    ("event_key", |job| &job.event_key),
    ("target_event_id", |job| &job.target_event_id),
    ("operation", |job| &job.operation),
];

/// The rule that a `dedup_key` is one job's.
const DEDUP_KEYS: &str = "jobs_dedup_keys";

/// One transaction. Dropped, its connection is closed, and the server takes back what was inserted.
struct Open<'q> {
    queue: &'q PostgresQueue,
    link: Linked<'q>,
    given: usize,
}

#[async_trait]
impl Produce for PostgresQueue {
    async fn begin(&self) -> Result<Box<dyn Insertion + '_>, InsertError> {
        Ok(Box::new(self.open().await?))
    }

    async fn insert(&self, jobs: &[NewJob]) -> Result<Vec<i64>, InsertError> {
        let mut open = self.open().await?;
        let mut ids = Vec::with_capacity(jobs.len());
        for batch in batches(jobs) {
            match open.all(batch).await? {
                Some(inserted) => ids.extend(inserted),
                // Which one it is tells who goes on one by one.
                None => {
                    for job in batch {
                        ids.push(open.add(job).await?);
                    }
                }
            }
        }
        Box::new(open).commit().await?;
        Ok(ids)
    }

    async fn insert_with_gaps(&self, jobs: &[NewJob], on_batch: OnInserted<'_>) -> Result<(), InsertError> {
        let mut batches = batches(jobs).peekable();
        while let Some(batch) = batches.next() {
            let begin = steady();
            let mut open = self.open().await?;
            let inserted = match open.all(batch).await? {
                Some(ids) => ids.into_iter().map(Ok).collect(),
                None => open.one_by_one(batch).await?,
            };
            Box::new(open).commit().await?;
            on_batch(inserted);
            if batches.peek().is_some() {
                tokio::time::sleep(pause_after(begin.elapsed())).await;
            }
        }
        Ok(())
    }
}

impl PostgresQueue {
    async fn open(&self) -> Result<Open<'_>, InsertError> {
        let mut link = self.links.inserts.open_alive().await.map_err(written)?;
        run(&mut link, "BEGIN").await.map_err(written)?;
        Ok(Open { queue: self, link, given: 0 })
    }
}

impl Open<'_> {
    /// All of them with one statement. None: one is refused, and none of them is in.
    async fn all(&mut self, jobs: &[NewJob]) -> Result<Option<Vec<i64>>, InsertError> {
        match self.try_to_insert(jobs).await {
            Ok(ids) => {
                self.given += jobs.len();
                Ok(Some(ids))
            }
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(written(error).into()),
        }
    }

    async fn one_by_one(&mut self, jobs: &[NewJob]) -> Result<Vec<Result<i64, String>>, InsertError> {
        let mut inserted = Vec::with_capacity(jobs.len());
        for job in jobs {
            inserted.push(match self.add(job).await {
                Ok(id) => Ok(id),
                Err(InsertError::Refused { reason, .. }) => Err(reason),
                Err(error) => return Err(error),
            });
        }
        Ok(inserted)
    }

    /// What was inserted before stays, whatever becomes of this.
    async fn try_to_insert(&mut self, jobs: &[NewJob]) -> sqlx::Result<Vec<i64>> {
        run(&mut self.link, "SAVEPOINT before").await?;
        let inserted = within(STATEMENT, insert(&mut self.link, jobs)).await;
        if inserted.as_ref().is_err_and(is_refusal) {
            run(&mut self.link, "ROLLBACK TO before").await?;
        }
        inserted
    }
}

#[async_trait]
impl Insertion for Open<'_> {
    async fn add(&mut self, job: &NewJob) -> Result<i64, InsertError> {
        let index = self.given;
        self.given += 1;
        match self.try_to_insert(std::slice::from_ref(job)).await {
            Ok(ids) => ids.first().copied().ok_or_else(|| written(sqlx::Error::RowNotFound).into()),
            Err(error) if is_refusal(&error) => Err(InsertError::Refused { index, reason: reason(job, &error) }),
            Err(error) => Err(written(error).into()),
        }
    }

    async fn commit(self: Box<Self>) -> Result<(), InsertError> {
        let Self { queue, mut link, .. } = *self;
        let done = run(&mut link, "COMMIT").await;
        link.done(done).map_err(written)?;
        queue.look_again();
        Ok(())
    }
}

async fn run(connection: &mut PgConnection, statement: &'static str) -> sqlx::Result<()> {
    within(STATEMENT, sqlx::raw_sql(statement).execute(connection)).await.map(drop)
}

/// A trigger of somebody else's may leave one out without an error.
async fn insert(connection: &mut PgConnection, jobs: &[NewJob]) -> sqlx::Result<Vec<i64>> {
    let mut query = sqlx::query(INSERT);
    for (_, text) in TEXTS {
        query = query.bind(jobs.iter().map(|job| text(job).as_deref()).collect::<Vec<Option<&str>>>());
    }
    let rows: Vec<PgRow> =
        query.bind(jobs.iter().map(|job| job.priority).collect::<Vec<_>>()).fetch_all(connection).await?;
    if rows.len() < jobs.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    rows.iter().map(|row| row.try_get(0)).collect()
}

fn reason(job: &NewJob, error: &sqlx::Error) -> String {
    let Some(error) = error.as_database_error() else { return error.to_string() };
    if let Some((column, _)) = TEXTS.iter().find(|(_, text)| text(job).as_ref().is_some_and(|text| text.contains('\0')))
    {
        return format!("{column}: has a NUL character, which PostgreSQL cannot store; remove that character");
    }
    match (error.constraint(), &job.dedup_key) {
        (Some(DEDUP_KEYS), Some(key)) => {
            format!("dedup_key: '{key}' is taken; a job with this key is in the queue already")
        }
        _ => error.message().to_owned(),
    }
}

/// As many at a time as one statement takes.
fn batches(mut jobs: &[NewJob]) -> impl Iterator<Item = &[NewJob]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = jobs.iter().take(BATCH).take_while(|job| {
            let begins = bytes == 0;
            bytes += size(job);
            begins || bytes <= BATCH_BYTES
        });
        let (batch, rest) = jobs.split_at(fit.count());
        jobs = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Of what may be large.
fn size(job: &NewJob) -> usize {
    [&job.subject, &job.body, &job.location, &job.attendees, &job.extra].into_iter().flatten().map(String::len).sum()
}
