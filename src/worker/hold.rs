//! While nothing can be sent at all: who is told, and how the end is noticed where a person has mended something.

use std::time::{Duration, Instant};

use super::gate::Passage;
use super::{Worker, report};
use crate::graph::Now;
use crate::policy::after;
use crate::queue::Queue;

/// Between two looks whether a refused sign-in has been mended.
pub(super) const MENDED_EVERY: Duration = Duration::from_secs(1);

impl<Q: Queue> Worker<Q> {
    /// The log, and the agent's own row in the queue.
    pub(super) fn tell_of(&mut self, passage: &Passage, now: Now) {
        if let Passage::Closed { hold, wait, .. } | Passage::Extended { hold, wait } = passage {
            self.notes.gate_shut(self.measures.shut(hold, now.wall, after(now.wall, *wait)));
        }
        match passage {
            Passage::Closed { hold, wait, again } => {
                let until = after(now.wall, *wait);
                if !again {
                    self.gate_still.tell(now.steady);
                    report::sending_paused(hold, until);
                } else if let Some(tries) = self.gate_still.again(now.steady) {
                    report::sending_still_paused(hold, until, tries);
                }
            }
            Passage::Reopened => {
                self.notes.gate_open();
                self.measures.reopened();
                report::sending_resumed();
            }
            // No news for the log.
            Passage::Extended { .. } | Passage::Unchanged => {}
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
