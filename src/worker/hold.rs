//! While nothing can be sent at all: who is told, and how the end is noticed where a person has mended something.

use std::time::{Duration, Instant};

use super::gate::GateChange;
use super::{Worker, report};
use crate::clock::Now;
use crate::policy::after;

/// Between two looks whether a refused sign-in has been mended.
pub(super) const MENDED_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// The log, and the agent's own row in the queue.
    pub(super) fn tell_of(&mut self, passage: &GateChange, now: Now) {
        if let GateChange::Closed { hold, wait, .. } | GateChange::Extended { hold, wait } = passage {
            self.notes.gate_shut(self.measures.shut(hold, now.wall, after(now.wall, *wait)));
        }
        match passage {
            GateChange::Closed { hold, wait, again } => {
                let until = after(now.wall, *wait);
                if !again {
                    self.gate_still.tell(now.steady);
                    report::sending_paused(hold, until);
                } else if let Some(tries) = self.gate_still.again(now.steady) {
                    report::sending_still_paused(hold, until, tries);
                }
            }
            GateChange::Reopened => {
                self.notes.gate_open();
                self.measures.reopened();
                report::sending_resumed();
            }
            // No news for the log.
            GateChange::Extended { .. } | GateChange::Unchanged => {}
        }
    }

    /// While the sign-in is refused: the secret may have been replaced where it is kept.
    pub(super) fn mind_the_sign_in(&mut self, now: Instant) {
        if !self.gate.waits_for_a_cure() || self.mended_at.is_some_and(|last| last + MENDED_EVERY > now) {
            return;
        }
        self.mended_at = Some(now);
        if self.context.tokens.refused_is_mended(now) {
            self.gate.try_now(now);
            self.look.want();
        }
    }
}
