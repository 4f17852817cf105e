//! One lane per mailbox: how many requests may be under way, and until when it rests. Only mailboxes that have
//! something to remember are kept. Mailboxes in trouble together get at most half of all slots, so that requests that
//! hang until they time out do not keep the healthy ones waiting. Rests are kept on the steady clock: they are lengths
//! of time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::log_throttle::LogThrottle;
use crate::clock::{Now, later};
use crate::policy::Rest;
use crate::queue::{LaneKey, Pause, Settlement, Suspects};

/// How long a mailbox's strikes and narrowed slots are remembered after its last trouble, once there are this many.
const REMEMBERED: Duration = Duration::from_secs(3600);
const REMEMBERED_AT_LEAST: usize = 1000;

/// A mailbox with something under way, at rest, or narrowed.
#[derive(Clone, Debug)]
struct Lane {
    /// Requests allowed at once, 1 to the limit.
    slots: usize,
    in_flight: usize,
    /// Jobs claimed ahead that wait for a slot.
    ready: usize,
    /// Successes since the slots last changed.
    streak: usize,
    /// Pauses in a row without a success between them.
    strikes: u32,
    paused_until: Option<Instant>,
    /// Until when Microsoft itself asked for that.
    asked_until: Option<Instant>,
    /// When it was told to rest last.
    told: Option<Instant>,
    /// What the log has of its pauses.
    log: LogThrottle,
    /// Its trouble goes on although its rest was over: the log has it as paused until something is sent.
    quiet: bool,
}

/// What of a rest is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// Nothing new.
    Nothing,
    /// It is paused.
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
    /// The mailbox rests, is in trouble or on hold: nobody knows when.
    GiveBack,
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Slots of a lane in good health.
    limit: usize,
    /// Slots all lanes in trouble may use together.
    troubled_limit: usize,
    lanes: HashMap<LaneKey, Lane>,
    /// On hold, as the queue told last.
    held: Arc<HashSet<LaneKey>>,
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
        Self { limit, troubled_limit: (all / 2).max(1), lanes: HashMap::new(), held: Arc::default() }
    }

    /// Other limits from now on. A lane that was narrowed grows up to them as before; what is under way is not cut off.
    pub(super) fn set_limits(&mut self, limit: usize, all: usize) {
        for lane in self.lanes.values_mut() {
            let full = lane.slots == self.limit && lane.strikes == 0;
            lane.slots = if full { limit } else { lane.slots.min(limit) };
        }
        (self.limit, self.troubled_limit) = (limit, (all / 2).max(1));
    }

    /// A pause of an earlier run.
    pub(super) fn remember(&mut self, pause: &Pause, now: Now) {
        let lane = self.lane(&pause.lane);
        lane.paused_until = Some(now.steady_at(pause.until));
        lane.asked_until = pause.asked_until.map(|until| now.steady_at(until));
        lane.strikes = pause.strikes;
        lane.slots = 1;
    }

    /// It may be in trouble: so many slots, until the first success.
    pub(super) fn suspect(&mut self, key: &LaneKey, slots: usize) {
        let lane = self.lane(key);
        lane.slots = lane.slots.min(slots.max(1));
        lane.strikes = lane.strikes.max(1);
    }

    /// These mailboxes are on hold: nothing begins there, whatever else is known of them. Tells what is new.
    pub(super) fn put_on_hold(&mut self, held: &Arc<HashSet<LaneKey>>) -> HoldsChanged {
        if Arc::ptr_eq(&self.held, held) {
            return HoldsChanged::default();
        }
        let before = std::mem::replace(&mut self.held, held.clone());
        let without = |of: &HashSet<LaneKey>, other: &HashSet<LaneKey>| {
            let mut lanes: Vec<LaneKey> = of.difference(other).cloned().collect();
            lanes.sort();
            lanes
        };
        HoldsChanged { held: without(held, &before), released: without(&before, held) }
    }

    /// Something is on hold.
    pub(super) fn any_on_hold(&self) -> bool {
        !self.held.is_empty()
    }

    /// Places for jobs of a lane that nothing is known of: its slots, and as many again for jobs claimed ahead, so that no
    /// slot waits for a claim.
    pub(super) fn places(&self) -> usize {
        self.limit * 2
    }

    /// Free places of every lane that differs from an untouched one. One in trouble has its slots, and no more.
    pub(super) fn free(&self) -> HashMap<LaneKey, usize> {
        let places = |lane: &Lane| match lane.paused_until {
            Some(_) => 0,
            None if lane.strikes > 0 => lane.slots,
            None => lane.slots * 2,
        };
        let free = |lane: &Lane| places(lane).saturating_sub(lane.in_flight + lane.ready);
        self.lanes.iter().map(|(key, lane)| (key.clone(), free(lane))).collect()
    }

    /// The lanes in trouble, and how many slots are left for all of them together. Which of them have anything to send
    /// is the queue's business.
    pub(super) fn suspects(&self) -> Suspects {
        let troubled = || self.lanes.iter().filter(|(_, lane)| lane.strikes > 0);
        let busy: usize = troubled().map(|(_, lane)| lane.in_flight + lane.ready).sum();
        Suspects {
            lanes: troubled().map(|(key, _)| key.clone()).collect(),
            limit: self.troubled_limit.saturating_sub(busy),
        }
    }

    /// A job was claimed, and waits for its turn.
    pub(super) fn hold(&mut self, key: &LaneKey) {
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
        if !self.held.is_empty() && self.held.contains(key) {
            return Turn::GiveBack;
        }
        match self.lanes.get(key) {
            Some(lane) if lane.paused_until.is_some() => Turn::GiveBack,
            Some(lane) if lane.in_flight >= lane.slots && lane.strikes > 0 => Turn::GiveBack,
            Some(lane) if lane.in_flight >= lane.slots => Turn::Wait,
            _ => Turn::Begin,
        }
    }

    /// A request begins. Tells the strikes so far.
    pub(super) fn begin(&mut self, key: &LaneKey) -> u32 {
        let lane = self.lane(key);
        lane.in_flight += 1;
        lane.strikes
    }

    /// A request ended. Each success counts towards one more slot; as many are needed as there are slots. Tells whether
    /// that ends a trouble of which the log has no end yet.
    pub(super) fn end(&mut self, key: &LaneKey, success: bool) -> bool {
        let limit = self.limit;
        let lane = self.lane(key);
        lane.in_flight = lane.in_flight.saturating_sub(1);
        if success {
            lane.strikes = 0;
            lane.streak += 1;
            if lane.slots < limit && lane.streak >= lane.slots {
                lane.slots += 1;
                lane.streak = 0;
            }
        }
        let resumed = success && std::mem::take(&mut lane.quiet);
        self.forget_if_plain(key);
        resumed
    }

    /// A request met an unclear end: half the slots, and trouble until the next success.
    pub(super) fn narrow(&mut self, key: &LaneKey) {
        let lane = self.lane(key);
        lane.slots = (lane.slots / 2).max(1);
        lane.strikes = lane.strikes.max(1);
        lane.streak = 0;
    }

    /// The mailbox must rest. Too many requests at once halves its slots, any other trouble leaves one to find out
    /// with when the rest is over.
    pub(super) fn rest(&mut self, key: &LaneKey, rest: &Rest, settlement: &Settlement, now: Now) -> (Pause, Tell) {
        let lane = self.lane(key);
        // Requests that were under way together are told the same; they are one pause, not several.
        let first = lane.paused_until.is_none();
        if first {
            lane.strikes = lane.strikes.saturating_add(1);
            lane.slots = if rest.narrow { (lane.slots / 2).max(1) } else { 1 };
        }
        let tell = match first {
            false => Tell::Nothing,
            true if lane.strikes <= 2 => {
                lane.log.tell(now.steady);
                Tell::Paused
            }
            true => lane.log.again(now.steady).map_or(Tell::Nothing, Tell::StillPaused),
        };
        lane.streak = 0;
        let until = later(now.steady, rest.wait);
        let until = lane.paused_until.map_or(until, |earlier| earlier.max(until));
        lane.paused_until = Some(until);
        lane.told = Some(now.steady);
        let pause = Pause {
            lane: key.clone(),
            until: now.wall_at(until),
            reason: settlement.answer.message.clone().unwrap_or_default(),
            kind: settlement.kind,
            strikes: lane.strikes,
            asked_until: None,
        };
        (pause, tell)
    }

    /// Microsoft asked for its rest, for so long from now. Tells until when; what was asked before goes on.
    pub(super) fn asked(&mut self, key: &LaneKey, wait: Duration, now: Now) -> DateTime<Utc> {
        let until = later(now.steady, wait);
        let lane = self.lane(key);
        let until = lane.asked_until.map_or(until, |earlier| earlier.max(until));
        lane.asked_until = Some(until);
        now.wall_at(until)
    }

    /// An operator ended its rest at that time. Tells whether that holds: not against what Microsoft asked for, and not for a
    /// rest that it was told of since. One request finds out, as after every rest.
    pub(super) fn resume_by_hand(&mut self, key: &LaneKey, at: DateTime<Utc>, now: Now) -> bool {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.paused_until.is_some()) else { return false };
        let since = |told: Instant| TimeDelta::from_std(now.steady.saturating_duration_since(told)).ok();
        let told_since = lane.told.and_then(since).is_some_and(|age| now.wall - age > at);
        if told_since || lane.asked_until.is_some_and(|until| until > now.steady) {
            return false;
        }
        lane.paused_until = None;
        lane.quiet = false;
        true
    }

    /// How many mailboxes rest.
    pub(super) fn paused(&self) -> usize {
        self.lanes.values().filter(|lane| lane.paused_until.is_some()).count()
    }

    /// When the first rest ends.
    pub(super) fn next_resume(&self) -> Option<Instant> {
        self.lanes.values().filter_map(|lane| lane.paused_until).min()
    }

    /// Ends the rests that are over and tells whose, and whether that is for the log. One that has been paused again and
    /// again is not over its trouble yet.
    pub(super) fn resume(&mut self, now: Instant) -> Vec<(LaneKey, bool)> {
        let over = |lane: &Lane| lane.paused_until.is_some_and(|until| until <= now);
        let resumed: Vec<_> = self.lanes.iter().filter(|(_, lane)| over(lane)).map(|(key, _)| key.clone()).collect();
        let mut told = Vec::with_capacity(resumed.len());
        for key in resumed {
            let lane = self.lane(&key);
            lane.paused_until = None;
            lane.quiet = lane.strikes > 1;
            let tell = !lane.quiet;
            told.push((key, tell));
        }
        // A mailbox that has nothing left to send is not remembered for ever, or every mistyped address would be.
        let forgotten = |lane: &Lane| lane.told.is_none_or(|told| now.saturating_duration_since(told) > REMEMBERED);
        if self.lanes.len() > REMEMBERED_AT_LEAST {
            self.lanes
                .retain(|_, lane| lane.in_flight + lane.ready > 0 || lane.paused_until.is_some() || !forgotten(lane));
        }
        told
    }

    fn lane(&mut self, key: &LaneKey) -> &mut Lane {
        let limit = self.limit;
        self.lanes.entry(key.clone()).or_insert_with(|| Lane {
            slots: limit,
            in_flight: 0,
            ready: 0,
            streak: 0,
            strikes: 0,
            paused_until: None,
            asked_until: None,
            told: None,
            log: LogThrottle::default(),
            quiet: false,
        })
    }

    fn forget_if_plain(&mut self, key: &LaneKey) {
        let limit = self.limit;
        let plain = |lane: &Lane| {
            lane.in_flight == 0
                && lane.ready == 0
                && lane.slots == limit
                && lane.strikes == 0
                && lane.paused_until.is_none()
        };
        if self.lanes.get(key).is_some_and(plain) {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
