//! One lane per mailbox: how many requests may be under way, and until when it rests. Only mailboxes that have
//! something to remember are kept. Mailboxes in trouble together get at most half of all slots, so that requests that
//! hang until they time out do not keep the healthy ones waiting. Rests are kept on the steady clock: they are lengths
//! of time.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::graph::Now;
use crate::policy::Rest;
use crate::queue::{LaneKey, Pause, Settlement};

/// A mailbox with something under way, at rest, or narrowed.
#[derive(Clone, Debug)]
struct Lane {
    /// Requests allowed at once, 1 to the limit.
    slots: usize,
    in_flight: usize,
    /// Successes since the slots last changed.
    streak: usize,
    /// Pauses in a row without a success between them.
    strikes: u32,
    paused_until: Option<Instant>,
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Slots of a lane in good health.
    limit: usize,
    /// Slots all lanes in trouble may use together.
    troubled_limit: usize,
    lanes: HashMap<LaneKey, Lane>,
}

impl Lanes {
    /// `limit`: requests at once to one mailbox; `all`: to all of them.
    pub(super) fn new(limit: usize, all: usize) -> Self {
        Self { limit, troubled_limit: (all / 2).max(1), lanes: HashMap::new() }
    }

    /// A pause of an earlier run.
    pub(super) fn remember(&mut self, pause: &Pause, now: Now) {
        let lane = self.lane(&pause.lane);
        lane.paused_until = Some(now.steady_at(pause.until));
        lane.strikes = pause.strikes;
        lane.slots = 1;
    }

    /// Free slots of every lane that differs from an untouched one.
    pub(super) fn free(&self) -> HashMap<LaneKey, usize> {
        let busy: usize = self.lanes.values().filter(|lane| lane.strikes > 0).map(|lane| lane.in_flight).sum();
        let mut for_troubled = self.troubled_limit.saturating_sub(busy);
        let mut free = |lane: &Lane| {
            let slots = lane.slots.saturating_sub(lane.in_flight);
            match (lane.paused_until, lane.strikes) {
                (Some(_), _) => 0,
                (None, 0) => slots,
                (None, _) => {
                    let slots = slots.min(for_troubled);
                    for_troubled -= slots;
                    slots
                }
            }
        };
        self.lanes.iter().map(|(key, lane)| (key.clone(), free(lane))).collect()
    }

    /// A request begins. Tells the strikes so far.
    pub(super) fn begin(&mut self, key: &LaneKey) -> u32 {
        let lane = self.lane(key);
        lane.in_flight += 1;
        lane.strikes
    }

    /// A request ended. Each success counts towards one more slot; as many are needed as there are slots.
    pub(super) fn end(&mut self, key: &LaneKey, success: bool) {
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
        self.forget_if_plain(key);
    }

    /// A request met an unclear end: half the slots, and trouble until the next success.
    pub(super) fn narrow(&mut self, key: &LaneKey) {
        let lane = self.lane(key);
        lane.slots = (lane.slots / 2).max(1);
        lane.strikes = lane.strikes.max(1);
        lane.streak = 0;
    }

    /// The mailbox must rest. Too many requests at once halves its slots, any other trouble leaves one to find out
    /// with when the rest is over. Tells whether it was not resting yet.
    pub(super) fn rest(&mut self, key: &LaneKey, rest: &Rest, settlement: &Settlement, now: Now) -> (Pause, bool) {
        let lane = self.lane(key);
        // Requests that were under way together are told the same; they are one pause, not several.
        let first = lane.paused_until.is_none();
        if first {
            lane.strikes = lane.strikes.saturating_add(1);
            lane.slots = if rest.narrow { (lane.slots / 2).max(1) } else { 1 };
        }
        lane.streak = 0;
        let until = now.steady + rest.wait;
        let until = lane.paused_until.map_or(until, |earlier| earlier.max(until));
        lane.paused_until = Some(until);
        let pause = Pause {
            lane: key.clone(),
            until: now.wall_at(until),
            reason: settlement.answer.message.clone().unwrap_or_default(),
            kind: settlement.kind,
            strikes: lane.strikes,
        };
        (pause, first)
    }

    /// When the first rest ends.
    pub(super) fn next_resume(&self) -> Option<Instant> {
        self.lanes.values().filter_map(|lane| lane.paused_until).min()
    }

    /// Ends the rests that are over and tells whose.
    pub(super) fn resume(&mut self, now: Instant) -> Vec<LaneKey> {
        let over = |lane: &Lane| lane.paused_until.is_some_and(|until| until <= now);
        let resumed: Vec<_> = self.lanes.iter().filter(|(_, lane)| over(lane)).map(|(key, _)| key.clone()).collect();
        for key in &resumed {
            self.lane(key).paused_until = None;
        }
        resumed
    }

    /// Every rest and its end as the wall clock has it now.
    pub(super) fn rests(&self, now: Now) -> Vec<(LaneKey, DateTime<Utc>)> {
        let rests = self.lanes.iter().filter_map(|(key, lane)| Some((key.clone(), now.wall_at(lane.paused_until?))));
        rests.collect()
    }

    fn lane(&mut self, key: &LaneKey) -> &mut Lane {
        let limit = self.limit;
        self.lanes.entry(key.clone()).or_insert_with(|| Lane {
            slots: limit,
            in_flight: 0,
            streak: 0,
            strikes: 0,
            paused_until: None,
        })
    }

    fn forget_if_plain(&mut self, key: &LaneKey) {
        let limit = self.limit;
        let plain = |lane: &Lane| {
            lane.in_flight == 0 && lane.slots == limit && lane.strikes == 0 && lane.paused_until.is_none()
        };
        if self.lanes.get(key).is_some_and(plain) {
            self.lanes.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
