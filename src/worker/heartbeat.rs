//! What the watchdog is told: that the loop turns and that something comes of it.

use std::time::Instant;

use super::progress::{Pace, UnderWay};
use super::{Worker, report};

impl Worker {
    /// Tells the watchdog of life, as long as there is any beyond the loop's own.
    pub(super) fn beat(&mut self) {
        let now = Instant::now();
        let under_way = UnderWay {
            claim: self.look.claiming_since(),
            write: self.settler.writing_since(),
            in_flight: self.in_flight,
        };
        match self.progress.pace(under_way, now) {
            Pace::Stuck { with, new } => {
                if new {
                    report::stuck(with);
                }
                return;
            }
            Pace::Good { again: true } => report::moving(),
            Pace::Good { again: false } => {}
        }
        // Who is stuck is no more alive for the monitor than for the watchdog.
        self.measures.turned(now, self.ready.len(), self.settler.waiting());
        let Some((interval, beat)) = self.settings.heartbeat else { return };
        if self.last_beat.is_none_or(|last| now.saturating_duration_since(last) >= interval / 2) {
            beat();
            self.last_beat = Some(now);
        }
    }
}
