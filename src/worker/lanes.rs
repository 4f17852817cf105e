//! One lane per mailbox: how many requests may be under way, and what is known of its pauses beside their end, which `pauses`
//! has. Only mailboxes that have something to remember are kept. Mailboxes in trouble together get at most half of all slots, so
//! that requests that hang until they time out do not keep the healthy ones waiting.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::log_throttle::LogThrottle;
use super::pauses::Pauses;
use crate::clock::{Now, later};
use crate::job::{Answer, ErrorKind};
use crate::policy::MailboxPause;
use crate::queue::{LaneKey, Pause, Suspects};

/// How long a mailbox's pauses and narrowed slots are remembered after its last trouble, once there are this many.
const REMEMBERED: Duration = Duration::from_secs(3600);
const REMEMBERED_AT_LEAST: usize = 1000;

/// A mailbox with something under way, paused, or narrowed.
#[derive(Clone, Debug)]
struct Lane {
    /// Requests allowed at once, 1 to the limit.
    slots: usize,
    in_flight: usize,
    /// Jobs claimed ahead that wait for a slot.
    ready: usize,
    /// Successes since the slots last changed.
    successes: usize,
    trouble: Trouble,
}

/// What is known of its pauses.
#[derive(Clone, Debug, Default)]
struct Trouble {
    /// Pauses in a row without a success between them.
    pauses_in_a_row: u32,
    /// Until when Microsoft itself asked for that.
    asked_until: Option<Instant>,
    /// When it was told to pause last.
    told: Option<Instant>,
    /// What the log has of its pauses.
    log: LogThrottle,
    /// Its trouble goes on although its pause was over: the log has it as paused until something is sent.
    quiet: bool,
}

/// What of a pause is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PauseLine {
    /// Nothing new.
    Nothing,
    Paused,
    /// It was, so many times since that was said last.
    StillPaused(u32),
}

/// What becomes of a job that was claimed ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is a slot for it.
    Begin,
    /// There will be.
    Wait,
    /// The mailbox pauses, is in trouble or on hold: nobody knows when.
    GiveBack,
}

#[derive(Debug)]
pub(super) struct Lanes {
    /// Slots of a lane in good health.
    limit: usize,
    /// Slots all lanes in trouble may use together.
    suspects_limit: usize,
    lanes: HashMap<LaneKey, Lane>,
    pauses: Arc<Pauses>,
}

/// Mailboxes that were put on hold, and those that were released.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HoldsChanged {
    pub held: Vec<LaneKey>,
    pub released: Vec<LaneKey>,
}

impl Lanes {
    /// `limit`: requests at once to one mailbox; `all`: to all of them.
    pub(super) fn new(limit: usize, all: usize) -> Self {
        Self { limit, suspects_limit: (all / 2).max(1), lanes: HashMap::new(), pauses: Arc::default() }
    }

    /// For the attempts.
    pub(super) fn pauses(&self) -> &Arc<Pauses> {
        &self.pauses
    }

    /// Other limits from now on. A lane that was narrowed grows up to them as before; what is under way is not cut off.
    pub(super) fn set_limits(&mut self, limit: usize, all: usize) {
        for lane in self.lanes.values_mut() {
            let full = lane.slots == self.limit && lane.trouble.pauses_in_a_row == 0;
            lane.slots = if full { limit } else { lane.slots.min(limit) };
        }
        (self.limit, self.suspects_limit) = (limit, (all / 2).max(1));
    }

    /// A pause that was found out by another run or agent.
    pub(super) fn remember(&mut self, pause: &Pause, now: Now) {
        self.pauses.count(&pause.lane, now.steady_at(pause.until));
        let lane = self.lane(&pause.lane);
        lane.trouble.asked_until = pause.asked_until.map(|until| now.steady_at(until));
        lane.trouble.pauses_in_a_row = pause.pauses_in_a_row;
        lane.slots = 1;
    }

    /// It may be in trouble: so many slots, until the first success.
    pub(super) fn suspect(&mut self, key: &LaneKey, slots: usize) {
        let lane = self.lane(key);
        lane.slots = lane.slots.min(slots.max(1));
        lane.trouble.pauses_in_a_row = lane.trouble.pauses_in_a_row.max(1);
    }

    /// These mailboxes are on hold: nothing begins there, whatever else is known of them. Tells what is new.
    pub(super) fn put_on_hold(&mut self, held: &Arc<HashSet<LaneKey>>) -> HoldsChanged {
        let Some(before) = self.pauses.put_on_hold(held) else { return HoldsChanged::default() };
        let without = |of: &HashSet<LaneKey>, other: &HashSet<LaneKey>| {
            let mut lanes: Vec<LaneKey> = of.difference(other).cloned().collect();
            lanes.sort();
            lanes
        };
        HoldsChanged { held: without(held, &before), released: without(&before, held) }
    }

    /// Something is on hold.
    pub(super) fn any_on_hold(&self) -> bool {
        self.pauses.any_on_hold()
    }

    /// Slots of a lane in good health.
    pub(super) fn slots(&self) -> usize {
        self.limit
    }

    /// Places for jobs of a lane that nothing is known of: its slots, and as many again for jobs claimed ahead, so that no
    /// slot waits for a claim.
    pub(super) fn places(&self) -> usize {
        self.limit * 2
    }

    /// Free places of every lane that differs from an untouched one. One in trouble has its slots, and no more.
    pub(super) fn free(&self) -> HashMap<LaneKey, usize> {
        let paused = self.pauses.of(self.lanes.keys());
        let places = |key: &LaneKey, lane: &Lane| match lane.trouble.pauses_in_a_row {
            _ if paused.contains(key) => 0,
            0 => lane.slots * 2,
            _ => lane.slots,
        };
        let free = |key: &LaneKey, lane: &Lane| places(key, lane).saturating_sub(lane.in_flight + lane.ready);
        self.lanes.iter().map(|(key, lane)| (key.clone(), free(key, lane))).collect()
    }

    /// The lanes in trouble, and how many slots are left for all of them together. Which of them have anything to send
    /// is the queue's business.
    pub(super) fn suspects(&self) -> Suspects {
        let troubled = || self.lanes.iter().filter(|(_, lane)| lane.trouble.pauses_in_a_row > 0);
        let busy: usize = troubled().map(|(_, lane)| lane.in_flight + lane.ready).sum();
        Suspects {
            lanes: troubled().map(|(key, _)| key.clone()).collect(),
            limit: self.suspects_limit.saturating_sub(busy),
        }
    }

    /// A job was claimed, and waits for its turn.
    pub(super) fn reserve(&mut self, key: &LaneKey) {
        self.lane(key).ready += 1;
    }

    /// It waits no longer.
    pub(super) fn release(&mut self, key: &LaneKey) {
        let lane = self.lane(key);
        lane.ready = lane.ready.saturating_sub(1);
        self.forget_if_plain(key);
    }

    /// What to do with a job that waits.
    pub(super) fn turn(&self, key: &LaneKey) -> Turn {
        if self.pauses.is_held(key) || self.pauses.is_paused(key) {
            return Turn::GiveBack;
        }
        match self.lanes.get(key) {
            Some(lane) if lane.in_flight >= lane.slots && lane.trouble.pauses_in_a_row > 0 => Turn::GiveBack,
            Some(lane) if lane.in_flight >= lane.slots => Turn::Wait,
            _ => Turn::Begin,
        }
    }

    /// A request begins. Tells how many pauses in a row there were so far.
    pub(super) fn begin(&mut self, key: &LaneKey) -> u32 {
        let lane = self.lane(key);
        lane.in_flight += 1;
        lane.trouble.pauses_in_a_row
    }

    /// A request ended. Each success counts towards one more slot; as many are needed as there are slots. Tells whether
    /// that ends a trouble of which the log has no end yet.
    pub(super) fn end(&mut self, key: &LaneKey, success: bool) -> bool {
        let limit = self.limit;
        let lane = self.lane(key);
        lane.in_flight = lane.in_flight.saturating_sub(1);
        if success {
            lane.trouble.pauses_in_a_row = 0;
            lane.successes += 1;
            if lane.slots < limit && lane.successes >= lane.slots {
                lane.slots += 1;
                lane.successes = 0;
            }
        }
        let resumed = success && std::mem::take(&mut lane.trouble.quiet);
        self.forget_if_plain(key);
        resumed
    }

    /// A request met an unclear end: half the slots, and trouble until the next success.
    pub(super) fn halve_slots(&mut self, key: &LaneKey) {
        let lane = self.lane(key);
        lane.slots = (lane.slots / 2).max(1);
        lane.trouble.pauses_in_a_row = lane.trouble.pauses_in_a_row.max(1);
        lane.successes = 0;
    }

    /// The mailbox must pause. Too many requests at once halves its slots, any other trouble leaves one to find out
    /// with when the pause is over.
    pub(super) fn pause(
        &mut self,
        key: &LaneKey,
        pause: &MailboxPause,
        answer: &Answer,
        kind: Option<ErrorKind>,
        now: Now,
    ) -> (Pause, PauseLine) {
        let (until, first) = self.pauses.count(key, later(now.steady, pause.wait));
        let lane = self.lane(key);
        if first {
            lane.trouble.pauses_in_a_row = lane.trouble.pauses_in_a_row.saturating_add(1);
            lane.slots = if pause.halve_slots { (lane.slots / 2).max(1) } else { 1 };
        }
        let tell = match first {
            false => PauseLine::Nothing,
            true if lane.trouble.pauses_in_a_row <= 2 => {
                lane.trouble.log.logged(now.steady);
                PauseLine::Paused
            }
            true => lane.trouble.log.met(now.steady).map_or(PauseLine::Nothing, PauseLine::StillPaused),
        };
        lane.successes = 0;
        lane.trouble.told = Some(now.steady);
        let pause = Pause {
            lane: key.clone(),
            until: now.wall_at(until),
            reason: answer.message.clone().unwrap_or_default(),
            kind,
            pauses_in_a_row: lane.trouble.pauses_in_a_row,
            asked_until: None,
        };
        (pause, tell)
    }

    /// Microsoft asked for its pause, for so long from now. Tells until when; what was asked before goes on.
    pub(super) fn asked(&mut self, key: &LaneKey, wait: Duration, now: Now) -> DateTime<Utc> {
        let until = later(now.steady, wait);
        let lane = self.lane(key);
        let until = lane.trouble.asked_until.map_or(until, |earlier| earlier.max(until));
        lane.trouble.asked_until = Some(until);
        now.wall_at(until)
    }

    /// An operator ended its pause at that time. Tells whether that holds: not against what Microsoft asked for, and not for a
    /// pause that it was told of since. One request finds out, as after every pause.
    pub(super) fn resume_by_hand(&mut self, key: &LaneKey, at: DateTime<Utc>, now: Now) -> bool {
        let is_paused = self.pauses.is_paused(key);
        let Some(lane) = self.lanes.get_mut(key).filter(|_| is_paused) else { return false };
        let since = |told: Instant| TimeDelta::from_std(now.steady.saturating_duration_since(told)).ok();
        let told_since = lane.trouble.told.and_then(since).is_some_and(|age| now.wall - age > at);
        if told_since || lane.trouble.asked_until.is_some_and(|until| until > now.steady) {
            return false;
        }
        lane.trouble.quiet = false;
        self.pauses.end(key);
        true
    }

    /// How many mailboxes are paused.
    pub(super) fn paused(&self) -> usize {
        self.pauses.len()
    }

    /// When the first pause ends.
    pub(super) fn next_resume(&self) -> Option<Instant> {
        self.pauses.next_end()
    }

    /// Ends the pauses that are over and tells whose, and whether that is for the log. One that has been paused again and
    /// again is not over its trouble yet.
    pub(super) fn resume(&mut self, now: Instant) -> Vec<(LaneKey, bool)> {
        let resumed = self.pauses.take_over(now);
        let mut told = Vec::with_capacity(resumed.len());
        for key in resumed {
            let lane = self.lane(&key);
            lane.trouble.quiet = lane.trouble.pauses_in_a_row > 1;
            let tell = !lane.trouble.quiet;
            told.push((key, tell));
        }
        // A mailbox that has nothing left to send is not remembered for ever, or every mistyped address would be.
        let forgotten =
            |lane: &Lane| lane.trouble.told.is_none_or(|told| now.saturating_duration_since(told) > REMEMBERED);
        if self.lanes.len() > REMEMBERED_AT_LEAST {
            let pauses = &self.pauses;
            self.lanes.retain(|key, lane| lane.in_flight + lane.ready > 0 || pauses.is_paused(key) || !forgotten(lane));
        }
        told
    }

    fn lane(&mut self, key: &LaneKey) -> &mut Lane {
        let limit = self.limit;
        self.lanes.entry(key.clone()).or_insert_with(|| Lane {
            slots: limit,
            in_flight: 0,
            ready: 0,
            successes: 0,
            trouble: Trouble::default(),
        })
    }

    fn forget_if_plain(&mut self, key: &LaneKey) {
        let limit = self.limit;
        let plain = |lane: &Lane| {
            lane.in_flight == 0 && lane.ready == 0 && lane.slots == limit && lane.trouble.pauses_in_a_row == 0
        };
        if self.lanes.get(key).is_some_and(plain) && !self.pauses.is_paused(key) {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
