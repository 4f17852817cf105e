//! Who may be sent to, and how much at once: the lanes with their pauses and holds, the gate, and the defaults that are
//! refused. Learns from the ends of attempts and from what the queue tells.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::attempt::Finished;
use super::bad_defaults::BadDefaults;
use super::gate::{Gate, GateChange};
use super::lanes::{HoldsChanged, Lanes, PauseLine};
use super::links::Asked;
use super::log_throttle::LogThrottle;
use super::pacing::Paced;
use super::report;
use super::vitals::Vitals;
use crate::auth::TokenCache;
use crate::clock::Now;
use crate::job::{Answer, CallResult, Cause, Defaults, ErrorKind, Outcome};
use crate::policy::{MailboxPause, after};
use crate::queue::{self, LaneKey, MailboxNews, Pause, Settlement, capped};
use crate::retry_after;

/// Between two looks whether a refused sign-in has been put right.
pub(super) const SIGN_IN_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Admission {
    pub lanes: Lanes,
    pub gate: Gate,
    pub defaults: BadDefaults,
    /// What the log has of a gate that stays shut.
    gate_log: LogThrottle,
    sign_in_seen_at: Option<Instant>,
    /// The mailboxes whose pause was ended by hand, as the queue told last.
    resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>,
    /// It was said that only mailboxes on hold are left.
    said_only_held: bool,
}

/// What of the jobs at hand may not be sent any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blocked {
    /// This mailbox has just met trouble.
    pub lane: Option<LaneKey>,
    /// The gate has shut.
    pub all: bool,
}

/// What came of news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Learnt {
    /// Mailboxes were put on hold or released.
    pub holds: bool,
    /// Mailboxes may be sent to again.
    pub resumed: bool,
}

impl Admission {
    /// `per_lane`: requests at once to one mailbox; `all`: to all of them.
    pub(super) fn new(per_lane: usize, all: usize) -> Self {
        Self {
            lanes: Lanes::new(per_lane, all),
            gate: Gate::default(),
            defaults: BadDefaults::default(),
            gate_log: LogThrottle::default(),
            sign_in_seen_at: None,
            resumed: Arc::default(),
            said_only_held: false,
        }
    }

    /// What a claim told of the mailboxes, in times of the queue's clock at `as_of`.
    pub(super) fn hear(&mut self, news: MailboxNews, as_of: Now, vitals: &Vitals) -> Learnt {
        let MailboxNews { pauses, limits, held, resumed, mailed: _ } = news;
        pauses.iter().for_each(|pause| self.lanes.remember(pause, as_of));
        limits.iter().for_each(|(lane, slots)| self.lanes.suspect(lane, *slots));
        let changed = self.lanes.put_on_hold(&held);
        self.said_only_held &= changed == HoldsChanged::default();
        changed.held.iter().for_each(report::mailbox_held);
        changed.released.iter().for_each(report::mailbox_released);
        let learnt = Learnt { holds: changed != HoldsChanged::default(), resumed: self.resume_by_hand(resumed, as_of) };
        if !pauses.is_empty() || learnt.resumed {
            self.count_pauses(vitals);
        }
        learnt
    }

    /// An operator has ended pauses, of which this agent only knows that they are.
    fn resume_by_hand(&mut self, resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>, as_of: Now) -> bool {
        if Arc::ptr_eq(&self.resumed, &resumed) {
            return false;
        }
        let before = std::mem::replace(&mut self.resumed, resumed.clone());
        let mut any = false;
        for (lane, at) in resumed.difference(&before) {
            if self.lanes.resume_by_hand(lane, *at, as_of) {
                report::mailbox_resumed(lane);
                any = true;
            }
        }
        any
    }

    fn count_pauses(&self, vitals: &Vitals) {
        vitals.measures.paused_mailboxes.set(self.lanes.paused() as i64);
    }

    /// A question for the link of an online meeting has ended. Returns the pause that it met, for the queue to keep.
    pub(super) fn link_asked(&mut self, Asked { lane, pause }: &Asked, vitals: &Vitals, now: Now) -> Option<Pause> {
        self.lanes.end(lane, false);
        let (pause, CallResult { outcome, answer, retry_after, .. }) = pause.as_ref()?;
        let kind = outcome.cause().map(Cause::kind);
        let pause = self.pause(lane, pause, *retry_after, (answer, kind), now);
        self.count_pauses(vitals);
        Some(pause)
    }

    /// Ends the pauses that are over. Returns whether there were any.
    pub(super) fn resume(&mut self, now: Instant, vitals: &Vitals) -> bool {
        let resumed = self.lanes.resume(now);
        for (lane, _) in resumed.iter().filter(|(_, tell)| *tell) {
            report::mailbox_resumed(lane);
        }
        if !resumed.is_empty() {
            self.count_pauses(vitals);
        }
        !resumed.is_empty()
    }

    /// Learns from the end of an attempt, and puts into its settlement what the queue is to keep of that.
    pub(super) fn learn(&mut self, finished: &mut Finished, defaults: &Defaults, vitals: &Vitals, now: Now) -> Blocked {
        if self.lanes.end(&finished.lane, matches!(finished.mailbox.met, Outcome::Done(_))) {
            report::mailbox_resumed(&finished.lane);
        }
        let unclear = finished.mailbox.halves_slots();
        if unclear {
            self.lanes.halve_slots(&finished.lane);
        }
        let pause = finished.mailbox.pause.take();
        if let Some(pause) = &pause {
            let (named, Settlement { answer, kind, .. }) = (finished.mailbox.named, &finished.settlement);
            finished.settlement.pause = Some(self.pause(&finished.lane, pause, named, (answer, *kind), now));
            self.count_pauses(vitals);
        }
        if let Some(paced) = finished.paced.take() {
            finished.settlement.paced = Some(self.paced(paced, finished, now));
        }
        let was_refused = self.defaults.are_there();
        let default_paused = self.defaults.learn(finished, defaults, now);
        if default_paused {
            // When it is tried again, one goes first.
            self.lanes.suspect(&finished.lane, 1);
        }
        if was_refused || self.defaults.are_there() {
            vitals.status.default_refused(self.defaults.note());
        }
        let pause_for = pause.as_ref().map_or(Duration::ZERO, |pause| pause.wait);
        let change = self.gate.observe(&finished.lane, &finished.mailbox.met, pause_for, now.steady);
        self.say(&change, vitals, now);
        let troubled = unclear || pause.is_some() || default_paused;
        Blocked { lane: troubled.then(|| finished.lane.clone()), all: matches!(change, GateChange::Closed { .. }) }
    }

    fn paced(&self, paced: Paced, finished: &Finished, now: Now) -> queue::Paced {
        let until = after(now.wall, paced.wait);
        if paced.is_news {
            report::mailbox_paced(&finished.lane, &paced.reason, until);
        }
        queue::Paced { lane: finished.lane.clone(), until, reason: paced.reason }
    }

    /// `named` is the wait that a server named.
    fn pause(
        &mut self,
        lane: &LaneKey,
        pause: &MailboxPause,
        named: Option<Duration>,
        (answer, kind): (&Answer, Option<ErrorKind>),
        now: Now,
    ) -> Pause {
        let (mut pause, line) = self.lanes.pause(lane, pause, answer, kind, now);
        // Beyond all measure it is obeyed for a while, but not kept from an operator who ends it.
        let asked = named.filter(|named| *named <= retry_after::LONGEST && capped(&pause.reason).is_none());
        pause.asked_until = asked.map(|named| self.lanes.asked(lane, named, now));
        match line {
            PauseLine::Paused => report::mailbox_paused(&pause, answer),
            PauseLine::StillPaused(pauses) => report::mailbox_still_paused(&pause, answer, pauses),
            PauseLine::Nothing => {}
        }
        pause
    }

    /// What the gate did, in the log and in the agent's status.
    fn say(&mut self, change: &GateChange, vitals: &Vitals, now: Now) {
        if let GateChange::Closed { reason, wait, .. } | GateChange::Extended { reason, wait } = change {
            vitals.status.gate_shut(vitals.measures.shut(reason, now.wall, after(now.wall, *wait)));
        }
        match change {
            GateChange::Closed { reason, wait, again } => {
                let until = after(now.wall, *wait);
                if !again {
                    self.gate_log.logged(now.steady);
                    report::sending_paused(reason, until);
                } else if let Some(tries) = self.gate_log.met(now.steady) {
                    report::sending_still_paused(reason, until, tries);
                }
            }
            GateChange::Reopened => {
                vitals.status.gate_open();
                vitals.measures.reopened();
                report::sending_resumed();
            }
            // No news for the log.
            GateChange::Extended { .. } | GateChange::Unchanged => {}
        }
    }

    /// While the sign-in is refused: the secret may have been replaced where it is kept. Returns whether it was.
    pub(super) fn look_at_the_sign_in(&mut self, tokens: &TokenCache, now: Instant) -> bool {
        if !self.gate.waits_for_fix() || self.sign_in_seen_at.is_some_and(|last| last + SIGN_IN_EVERY > now) {
            return false;
        }
        self.sign_in_seen_at = Some(now);
        let replaced = tokens.credentials_replaced(now);
        if replaced {
            self.gate.try_now(now);
        }
        replaced
    }

    /// The next time at which more may be sent than now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        [self.lanes.next_resume(), self.gate.reopens(), self.defaults.next(now)].into_iter().flatten().min()
    }

    /// Nothing is due and jobs are left: says once if they wait for an operator only, who has put their mailboxes on hold.
    pub(super) fn say_if_only_held(&mut self, jobs: u64) {
        let waits = self.lanes.next_resume().is_some() || self.gate.reopens().is_some();
        if self.lanes.any_on_hold() && !waits && !std::mem::replace(&mut self.said_only_held, true) {
            report::only_held_left(jobs);
        }
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
