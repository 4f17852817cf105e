//! The latest look at the queue, taken when somebody asks and seldom enough: looking takes a share of the time that nobody
//! notices, however many jobs there are and however many pages are open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::groups::{self, Group};
use crate::queue::{Overview, Queue, QueueError};

/// Between two looks there is at least this long …
const AT_LEAST: Duration = Duration::from_secs(2);
/// … and so many times what looking takes: with what answers cost beside it, two per cent of the time, at most.
const SHARE: u32 = 80;
/// Whoever asks waits so long for a look that is quick, and so long for the first one.
const QUICK: Duration = Duration::from_millis(150);
const FIRST: Duration = Duration::from_secs(5);
/// All mailboxes are searched, but nobody has more.
const MAILBOXES: u32 = 50_000;
/// Failed jobs of each kind that are grouped, and since when.
const OF_EACH_KIND: u32 = 500;
const LATELY: TimeDelta = TimeDelta::hours(24);

/// All that one look found.
pub struct Seen {
    pub overview: Overview,
    /// Jobs that failed lately, …
    pub failed: i64,
    /// … by their reason.
    pub groups: Vec<Group>,
    pub at: DateTime<Utc>,
    taken: Instant,
    took: Duration,
}

pub struct Look {
    shared: Arc<Shared>,
    latest: watch::Receiver<Option<Arc<Seen>>>,
}

struct Shared {
    queue: Arc<dyn Queue>,
    latest: watch::Sender<Option<Arc<Seen>>>,
    looking: AtomicBool,
    /// Somebody has changed something: what was seen is old.
    outdated: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

/// The queue could not be looked at.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub since: DateTime<Utc>,
    pub why: String,
    tried: Instant,
}

impl Look {
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        let (sender, latest) = watch::channel(None);
        let (looking, outdated) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            shared: Arc::new(Shared { queue, latest: sender, looking, outdated, trouble: Mutex::default() }),
            latest,
        }
    }

    /// The newest look there is, after a new one where the last is old and looking is quick. None: never looked yet.
    pub async fn latest(&self, unnamed: Option<String>) -> Option<Arc<Seen>> {
        let known = self.latest.borrow().clone();
        let patience = if known.is_some() { QUICK } else { FIRST };
        let mut latest = self.latest.clone();
        latest.mark_unchanged();
        if self.is_due(known.as_deref()) {
            self.look(unnamed);
            let _ = tokio::time::timeout(patience, latest.changed()).await;
        }
        latest.borrow().clone()
    }

    /// Why the last look failed, until one succeeds.
    pub fn trouble(&self) -> Option<Trouble> {
        self.shared.trouble().clone()
    }

    /// What was seen is old: whoever asks next has a new look, however soon.
    pub fn outdate(&self) {
        self.shared.outdated.store(true, Ordering::SeqCst);
    }

    fn is_due(&self, known: Option<&Seen>) -> bool {
        if self.trouble().is_some_and(|trouble| trouble.tried.elapsed() < AT_LEAST) {
            return false;
        }
        let is_fresh = known.is_some_and(|known| known.taken.elapsed() < (known.took * SHARE).max(AT_LEAST));
        !is_fresh || self.shared.outdated.swap(false, Ordering::SeqCst)
    }

    /// Looks in a task of its own: it ends even if whoever asked is gone, and there is one at a time.
    fn look(&self, unnamed: Option<String>) {
        if self.shared.looking.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let seen = shared.see(unnamed.as_deref()).await;
            shared.looking.store(false, Ordering::SeqCst);
            match seen {
                Ok(seen) => {
                    *shared.trouble() = None;
                    shared.latest.send_replace(Some(Arc::new(seen)));
                }
                Err(error) => {
                    shared.fails(&error);
                    // Whoever waits gets what there is.
                    shared.latest.send_modify(|_| {});
                }
            }
        });
    }
}

impl Shared {
    async fn see(&self, unnamed: Option<&str>) -> Result<Seen, QueueError> {
        let (at, taken) = (Utc::now(), Instant::now());
        let overview = self.queue.overview(at, unnamed, MAILBOXES).await?;
        let failures = self.queue.failures(at - LATELY, OF_EACH_KIND).await?;
        let groups = groups::of(&*self.queue, &failures.newest).await?;
        Ok(Seen { overview, failed: failures.jobs, groups, at, taken, took: taken.elapsed() })
    }

    fn fails(&self, error: &QueueError) {
        tracing::debug!(%error, "queue could not be looked at");
        let mut trouble = self.trouble();
        let since = trouble.as_ref().map_or_else(Utc::now, |trouble| trouble.since);
        *trouble = Some(Trouble { since, why: error.to_string(), tried: Instant::now() });
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
