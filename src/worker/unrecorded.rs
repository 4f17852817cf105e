//! Results that the queue refuses to record: a trigger on the table, most of the time. Each is tried again by itself, less and
//! less often, until the rule is gone; until then the log has it, with the event's id.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Finished;
use super::log_throttle::LogThrottle;
use super::report;
use crate::backoff::doubled;
use crate::queue::Refusal;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The results, and how often each claim's was refused.
#[derive(Default)]
pub(super) struct Unrecorded {
    waiting: Vec<Waiting>,
    times: HashMap<(i64, i64), u32>,
    still: LogThrottle,
}

struct Waiting {
    finished: Finished,
    why: String,
    again: Instant,
}

impl Unrecorded {
    /// Refused once more. `tell`: it is going to be tried again.
    pub(super) fn keep(&mut self, finished: Finished, why: String, tell: bool) {
        let now = Instant::now();
        let times = self.times.entry(claim(&finished)).or_default();
        if *times == 0 && tell {
            report::result_refused(&finished, &why);
            self.still.logged(now.into_std());
        } else if let Some(tries) = self.still.met(now.into_std()).filter(|_| tell) {
            report::results_still_refused(self.waiting.len() + 1, tries, &why);
        }
        let again = now + doubled(FIRST_WAIT, *times, LONGEST_WAIT);
        *times = times.saturating_add(1);
        self.waiting.push(Waiting { finished, why, again });
    }

    /// It was refused before.
    pub(super) fn knows(&self, finished: &Finished) -> bool {
        self.times.contains_key(&claim(finished))
    }

    /// It was recorded at last.
    pub(super) fn forget(&mut self, finished: &Finished) {
        self.times.remove(&claim(finished));
    }

    /// When the next one is to be tried.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.again).min()
    }

    /// Those to be tried now, at most so many.
    pub(super) fn due(&mut self, now: Instant, most: usize) -> impl Iterator<Item = Finished> {
        // The one that waits longest first.
        self.waiting.sort_by_key(|waiting| waiting.again);
        let due = self.waiting.iter().take(most).filter(|waiting| waiting.again <= now).count();
        self.waiting.drain(..due).map(|waiting| waiting.finished)
    }

    /// All of them.
    pub(super) fn all(&mut self) -> impl Iterator<Item = Finished> {
        self.waiting.drain(..).map(|waiting| waiting.finished)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many there are, and one of them.
    pub(super) fn sum(&self) -> Option<(usize, Refusal)> {
        let first = self.waiting.iter().min_by_key(|waiting| waiting.finished.settlement.id)?;
        Some((self.waiting.len(), Refusal { id: first.finished.settlement.id, why: first.why.clone() }))
    }
}

fn claim(finished: &Finished) -> (i64, i64) {
    (finished.settlement.id.0, finished.settlement.claim)
}
