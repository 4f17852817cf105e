//! The queue's census, counted when somebody asks and seldom enough: counting takes a share of the time that nobody
//! notices, however many jobs there are and however often it is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::watch;

use super::Unnamed;
use crate::queue::{Census, Read};

/// Between two counts there is at least this long …
const AT_LEAST: Duration = Duration::from_secs(5);
/// … and so many times what counting takes: two per cent of the time, at most.
const SHARE: u32 = 50;
/// Whoever asks waits for a count that is quick, and so long for the first one. Prometheus has ten seconds.
const QUICK: Duration = Duration::from_millis(500);
const FIRST: Duration = Duration::from_secs(5);

/// A census, and when it was ready.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub census: Arc<Census>,
    pub at: Instant,
}

/// The latest census.
pub(super) struct Counts {
    shared: Arc<Shared>,
    latest: watch::Receiver<Option<Counted>>,
}

struct Shared {
    queue: Arc<dyn Read>,
    unnamed: Unnamed,
    latest: watch::Sender<Option<Counted>>,
    counting: AtomicBool,
    failures: AtomicU64,
    /// When the last count failed; it is not tried again at once.
    failed_at: Mutex<Option<Instant>>,
}

impl Counts {
    pub(super) fn new(queue: Arc<dyn Read>, unnamed: Unnamed) -> Self {
        let (sender, latest) = watch::channel(None);
        let shared = Shared {
            queue,
            unnamed,
            latest: sender,
            counting: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            failed_at: Mutex::default(),
        };
        Self { shared: Arc::new(shared), latest }
    }

    /// Counts that failed.
    pub(super) fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// The newest census there is; a new one where the last is old and counting is quick. None: never counted yet.
    pub(super) async fn latest(&self) -> Option<Counted> {
        let known = self.latest.borrow().clone();
        let patience = match &known {
            Some(known) if known.census.took > QUICK => Duration::ZERO,
            Some(_) => QUICK,
            None => FIRST,
        };
        let mut latest = self.latest.clone();
        latest.mark_unchanged();
        if self.is_due(known.as_ref()) {
            self.count();
            let _ = tokio::time::timeout(patience, latest.changed()).await;
        }
        latest.borrow().clone()
    }

    fn is_due(&self, known: Option<&Counted>) -> bool {
        let failed_at = *self.shared.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = known.is_some_and(|known| known.at.elapsed() < (known.census.took * SHARE).max(AT_LEAST));
        !rests && failed_at.is_none_or(|at| at.elapsed() >= AT_LEAST)
    }

    /// Counts in a task of its own: it ends even if whoever asked is gone, and there is one at a time.
    fn count(&self) {
        if self.shared.counting.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = self.shared.clone();
        tokio::spawn(async move {
            match shared.queue.census(Utc::now(), shared.unnamed.get().as_deref()).await {
                Ok(census) => {
                    let counted = Counted { census: Arc::new(census), at: Instant::now() };
                    shared.counting.store(false, Ordering::SeqCst);
                    shared.latest.send_replace(Some(counted));
                }
                Err(error) => {
                    tracing::debug!(%error, "queue could not be counted");
                    shared.failures.fetch_add(1, Ordering::Relaxed);
                    let mut failed_at = shared.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
                    *failed_at = Some(Instant::now());
                    drop(failed_at);
                    shared.counting.store(false, Ordering::SeqCst);
                    // Whoever waits gets what there is.
                    shared.latest.send_modify(|_| {});
                }
            }
        });
    }
}
