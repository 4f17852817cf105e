//! The bed every test lies in: a queue, its agent's verbs in short, and the rows as they are read back.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use event_sender::clock::Now;
use event_sender::job::{Answer, BodyType, Defaults, Ending, ErrorKind, EventId, Job, JobId, JobState};
use event_sender::queue::{
    Agent, AttemptRecord, Changed, ClaimRequest, Claimed, JobRow, LaneKey, MailboxRow, NewJob, Operate, Overview,
    Pause, Produce, Read, Settled, Settlement, Suspects, Verdict,
};

use crate::backend::Backend;

/// The mailbox of rows that name none.
pub const TEAM: &str = "team@contoso.com";
pub const ANN: &str = "ann@contoso.com";
pub const BOB: &str = "bob@contoso.com";

pub struct Bed<B> {
    pub backend: B,
}

/// What a claim may take.
#[derive(Clone)]
pub struct Want {
    pub limit: usize,
    pub per_lane: usize,
    pub free: Vec<(&'static str, usize)>,
    /// Mailboxes that have mailed as many as they may.
    pub paced: &'static [&'static str],
}

pub const ALL: Want = Want { limit: 1000, per_lane: 1000, free: Vec::new(), paced: &[] };

/// What a claim took.
pub struct Taken {
    pub jobs: Vec<(String, Job)>,
    pub next_due: Option<DateTime<Utc>>,
    pub held: HashSet<LaneKey>,
}

impl Taken {
    pub fn ids(&self) -> Vec<i64> {
        self.jobs.iter().map(|(_, job)| job.id.0).collect()
    }
}

pub fn job(mailbox: &str) -> NewJob {
    NewJob {
        subject: Some("Review".into()),
        start_time: Some("2026-12-01T09:00:00".into()),
        end_time: Some("2026-12-01T10:00:00".into()),
        mailbox: Some(mailbox.to_owned()).filter(|mailbox| !mailbox.is_empty()),
        ..NewJob::default()
    }
}

/// One that waits until a time no test sees.
pub fn later(mailbox: &str) -> NewJob {
    NewJob { not_before: Some("2999-01-01T00:00:00Z".into()), ..job(mailbox) }
}

pub fn far() -> DateTime<Utc> {
    "2999-01-01T00:00:00Z".parse().unwrap()
}

/// The same time. A queue whose times are a server's translates them, which takes the time of an answer.
pub fn is_about(one: Option<DateTime<Utc>>, other: DateTime<Utc>) -> bool {
    one.is_some_and(|one| (one - other).abs() < TimeDelta::seconds(5))
}

pub fn defaults() -> Defaults {
    Defaults {
        mailbox: Some(TEAM.into()),
        body_type: BodyType::Text,
        time_zone: Some("Europe/Berlin".into()),
        own_mailbox: false,
    }
}

pub fn lane(mailbox: &str) -> LaneKey {
    LaneKey::of(mailbox)
}

pub fn ids(ids: &[i64]) -> Vec<JobId> {
    ids.iter().copied().map(JobId).collect()
}

impl<B: Backend> Bed<B> {
    pub async fn new() -> Self {
        Self { backend: B::fresh().await }
    }

    pub fn queue(&self) -> &B::Queue {
        self.backend.queue()
    }

    /// One job for each of these mailboxes, due now.
    pub async fn insert(&self, mailboxes: &[&str]) -> Vec<i64> {
        let jobs: Vec<NewJob> = mailboxes.iter().map(|mailbox| job(mailbox)).collect();
        self.queue().insert(&jobs).await.unwrap()
    }

    pub async fn claim(&self, want: Want) -> Taken {
        let request = ClaimRequest {
            limit: want.limit,
            per_lane: want.per_lane,
            slots: want.per_lane,
            free: want.free.iter().map(|(mailbox, slots)| (lane(mailbox), *slots)).collect::<HashMap<_, _>>(),
            suspects: Suspects::default(),
            unnamed: Some(TEAM.into()),
            unnamed_paused: false,
            paced: want.paced.iter().map(|mailbox| lane(mailbox)).collect(),
            defaults: defaults(),
        };
        // The first claim of an agent takes nothing, and who may take nothing has time to see what others wrote a moment ago.
        self.queue().claim(&ClaimRequest { limit: 0, ..request.clone() }).await.unwrap();
        let claimed = self.claim_as(request).await;
        let jobs = claimed.jobs.into_iter().map(|(lane, job)| (lane.as_str().to_owned(), job)).collect();
        Taken { jobs, next_due: claimed.next_due, held: (*claimed.news.held).clone() }
    }

    /// All that this request may take: a queue with several agents tells first what is to be known of a mailbox, and has it
    /// asked for again. What was taken takes up places meanwhile.
    pub async fn claim_as(&self, mut request: ClaimRequest) -> Claimed {
        self.backend.seen().await;
        let mut claimed = self.queue().claim(&request).await.unwrap();
        let mut last = claimed.jobs.len();
        loop {
            request.limit -= last;
            for (lane, _) in &claimed.jobs[claimed.jobs.len() - last..] {
                let free = request.free.entry(lane.clone()).or_insert(request.per_lane);
                *free = free.saturating_sub(1);
            }
            if !claimed.more || request.limit == 0 {
                return claimed;
            }
            let mut next = self.queue().claim(&request).await.unwrap();
            last = next.jobs.len();
            claimed.jobs.append(&mut next.jobs);
            claimed.ended.append(&mut next.ended);
            claimed.news.mailed.append(&mut next.news.mailed);
            claimed = Claimed { jobs: claimed.jobs, ended: claimed.ended, news: claimed.news, ..next };
        }
    }

    /// When the queue is to be asked again, though nothing changes meanwhile: what is soon is waited for.
    pub async fn next_due(&self, want: Want) -> Option<DateTime<Utc>> {
        loop {
            let taken = self.claim(want.clone()).await;
            assert!(taken.jobs.is_empty(), "{:?}", taken.jobs);
            match taken.next_due.map(|due| (due - Utc::now()).to_std().unwrap_or_default()) {
                Some(soon) if soon < Duration::from_secs(60) => tokio::time::sleep(soon).await,
                _ => return taken.next_due,
            }
        }
    }

    /// One job for this mailbox, claimed.
    pub async fn claimed(&self, mailbox: &str) -> Job {
        self.insert(&[mailbox]).await;
        self.claim(ALL).await.jobs.remove(0).1
    }

    pub async fn settle(&self, end: &Settlement) -> Settled {
        self.settle_all(std::slice::from_ref(end)).await.remove(0)
    }

    pub async fn settle_all(&self, ends: &[Settlement]) -> Vec<Settled> {
        self.queue().settle(&ends.iter().collect::<Vec<_>>()).await.unwrap()
    }

    /// One job that failed for good.
    pub async fn failed(&self, mailbox: &str, kind: ErrorKind) -> i64 {
        let job = self.claimed(mailbox).await;
        let end = Settlement { kind: Some(kind), ..end(&job, Verdict::Failed) };
        assert_eq!(self.settle(&end).await, Settled::Recorded);
        job.id.0
    }

    pub async fn sent(&self, mailbox: &str) -> i64 {
        let job = self.claimed(mailbox).await;
        assert_eq!(self.settle(&end(&job, event())).await, Settled::Recorded);
        job.id.0
    }

    /// One that waits until the far future, in doubt.
    pub async fn doubtful(&self, mailbox: &str) -> i64 {
        let job = self.claimed(mailbox).await;
        let end = Settlement { in_doubt: true, sent_at: Some(Utc::now()), ..end(&job, Verdict::Pending(far())) };
        assert_eq!(self.settle(&end).await, Settled::Recorded);
        job.id.0
    }

    /// The mailbox of a job that ends with this is paused.
    pub async fn pause(&self, pause: Pause, kind: ErrorKind) -> i64 {
        let job = self.claimed(pause.lane.as_str()).await;
        let end = Settlement { pause: Some(pause), kind: Some(kind), ..end(&job, Verdict::Pending(far())) };
        assert_eq!(self.settle(&end).await, Settled::Recorded);
        job.id.0
    }

    /// An agent begins: what a dead one left goes back.
    pub async fn join(&self) -> u64 {
        self.queue().join().await.unwrap().jobs
    }

    /// The agents that joined, the last one first.
    pub async fn agents(&self) -> Vec<i64> {
        let agents = self.queue().agents().await.unwrap();
        agents.iter().filter_map(|agent| Some(agent.said.as_ref()?.id)).collect()
    }

    pub async fn claimed_by(&self, id: i64) -> Option<i64> {
        self.job(id).await.claimed_by.integer()
    }

    pub async fn put_back(&self, claims: &[(JobId, i64)]) -> u64 {
        self.queue().put_back(claims).await.unwrap().jobs
    }

    pub async fn job(&self, id: i64) -> JobRow {
        self.queue().job(JobId(id)).await.unwrap().unwrap().0
    }

    pub async fn state(&self, id: i64) -> JobState {
        self.job(id).await.summary.state.known().unwrap()
    }

    pub async fn in_doubt(&self, id: i64) -> bool {
        self.job(id).await.summary.is_in_doubt()
    }

    pub async fn attempts(&self, id: i64) -> Vec<event_sender::queue::AttemptRow> {
        self.queue().job(JobId(id)).await.unwrap().unwrap().1
    }

    pub async fn mailbox(&self, mailbox: &str) -> MailboxRow {
        self.queue().mailbox(&lane(mailbox)).await.unwrap().unwrap()
    }

    pub async fn hold(&self, mailbox: &str) {
        self.queue().hold_mailbox(&lane(mailbox), None, Utc::now()).await.unwrap();
    }

    pub async fn overview(&self) -> Overview {
        self.queue().overview(Utc::now(), Some(TEAM), 20).await.unwrap()
    }

    pub async fn retry(&self, jobs: &[i64]) -> Vec<i64> {
        let mut done = Vec::new();
        let mut on_batch = |_: &[JobId], changed: Changed| done.extend(changed.done.iter().map(|id| id.0));
        self.queue().retry(&ids(jobs), Utc::now(), &mut on_batch).await.unwrap();
        done
    }

    pub async fn cancel(&self, jobs: &[i64], even_if_in_doubt: bool) -> Vec<i64> {
        let mut done = Vec::new();
        let mut on_batch = |_: &[JobId], changed: Changed| done.extend(changed.done.iter().map(|id| id.0));
        self.queue().cancel(&ids(jobs), even_if_in_doubt, Utc::now(), &mut on_batch).await.unwrap();
        done
    }

    /// All that ended in these states, however lately.
    pub async fn purge(&self, states: &[JobState]) -> u64 {
        let mut gone = 0;
        self.queue().purge_ended(far(), states, &mut |batch| gone += batch).await.unwrap();
        gone
    }
}

/// The plainest end of a claim.
pub fn end(job: &Job, verdict: Verdict) -> Settlement {
    let now = Utc::now();
    Settlement {
        id: job.id,
        claim: job.claim,
        verdict,
        spent: true,
        at: Now { wall: now, steady: std::time::Instant::now() },
        in_doubt: false,
        give_up_at: None,
        kind: None,
        answer: Answer::default(),
        sent_at: Some(now),
        never_left: false,
        attempt: Some(AttemptRecord { started_at: now, duration_ms: 7, ending: Ending::Retry }),
        pause: None,
        mailed: 0,
        ends_at: None,
        paced: None,
    }
}

pub fn event() -> Verdict {
    Verdict::Sent(EventId("AAMkAGI=".into()).into())
}

pub fn pause(mailbox: &str, reason: &str) -> Pause {
    Pause {
        lane: lane(mailbox),
        until: far(),
        reason: reason.into(),
        kind: Some(ErrorKind::Unavailable),
        pauses_in_a_row: 2,
        asked_until: None,
    }
}
