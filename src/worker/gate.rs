//! One gate for the whole agent: shut while nothing can be sent at all (no token, no network, the application
//! throttled on several mailboxes at once). It opens by time, first for one request that finds out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::backoff::doubled;
use crate::clock::later;
use crate::hint::Hint;
use crate::job::{Cause, ErrorKind, GateReason, Outcome};
use crate::policy::gate_wait;
use crate::queue::LaneKey;

/// First and longest wait where nobody named one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Throttling that names the application counts as "at once" when it is met this close together …
const AT_ONCE: Duration = Duration::from_secs(10);
/// … on this many mailboxes, with no success between.
const SEVERAL: usize = 2;

/// Open, shut until a time, or open for one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Open,
    Shut { until: Instant, kind: ErrorKind, code: String },
    Probing { code: String },
}

/// What an observation did to the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GateChange {
    Unchanged,
    /// It is shut for that long. `again`: it had opened for one request, which met the same trouble.
    Closed {
        reason: GateReason,
        wait: Duration,
        again: bool,
    },
    /// It was shut already, and stays so for that long from now.
    Extended {
        reason: GateReason,
        wait: Duration,
    },
    /// It is open.
    Reopened,
}

#[derive(Debug)]
pub(super) struct Gate {
    state: State,
    closings_in_a_row: u32,
    /// Mailboxes on which the application was throttled lately, and until when.
    throttled: HashMap<LaneKey, (Instant, Instant)>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { state: State::Open, closings_in_a_row: 0, throttled: HashMap::new() }
    }
}

impl Gate {
    /// How many of `free` slots may be used now.
    pub(super) fn limit(&mut self, now: Instant, in_flight: usize, free: usize) -> usize {
        if let State::Shut { until, code, .. } = &self.state
            && *until <= now
        {
            self.state = State::Probing { code: code.clone() };
        }
        match self.state {
            State::Open => free,
            State::Shut { .. } => 0,
            State::Probing { .. } => free.min(1usize.saturating_sub(in_flight)),
        }
    }

    /// Whether a request may begin beside so many.
    pub(super) fn passes(&self, in_flight: usize) -> bool {
        match self.state {
            State::Open => true,
            State::Shut { .. } => false,
            State::Probing { .. } => in_flight == 0,
        }
    }

    /// When a shut gate opens for a first request.
    pub(super) fn reopens(&self) -> Option<Instant> {
        match self.state {
            State::Shut { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Shut, and not because a server named a time before which it must not be asked.
    pub(super) fn waits_for_fix(&self) -> bool {
        matches!(&self.state, State::Shut { kind, .. } if *kind != ErrorKind::Throttled)
    }

    /// Whatever it waits for may be fixed: one request may find out now.
    pub(super) fn try_now(&mut self, now: Instant) {
        if let State::Shut { until, .. } = &mut self.state {
            *until = now;
            self.closings_in_a_row = 0;
        }
    }

    /// Learns from the end of an attempt. `pause` is how long its mailbox must pause.
    pub(super) fn observe(&mut self, lane: &LaneKey, outcome: &Outcome, pause: Duration, now: Instant) -> GateChange {
        match outcome {
            Outcome::Unable(reason) | Outcome::Diverted(reason) => self.close(reason.clone(), now),
            // Says nothing about whether sending works.
            Outcome::Invalid(_)
            | Outcome::NotStarted
            | Outcome::Expired(_)
            | Outcome::Paced { .. }
            | Outcome::Interrupted
            | Outcome::ReplyLost
            | Outcome::ConnectionStale => GateChange::Unchanged,
            Outcome::AppThrottled => {
                self.throttled.retain(|_, (met, _)| now.saturating_duration_since(*met) < AT_ONCE);
                self.throttled.insert(lane.clone(), (now, later(now, pause)));
                // The one request that was to find out, did.
                let still = matches!(self.state, State::Probing { .. });
                if still || self.throttled.len() >= SEVERAL {
                    self.close_for_throttling(now)
                } else {
                    GateChange::Unchanged
                }
            }
            Outcome::Done(_) => {
                self.throttled.clear();
                self.reopen()
            }
            _ => self.reopen(),
        }
    }

    fn close_for_throttling(&mut self, now: Instant) -> GateChange {
        let until = self.throttled.values().map(|(_, until)| *until).max().unwrap_or(now);
        let reason = GateReason {
            cause: Cause::ThrottledApp,
            code: "application_throttled".into(),
            hint: Hint::new("Microsoft limits the application on several mailboxes at once", "all sending waits."),
            wait: Some(until.saturating_duration_since(now)),
        };
        self.close(reason, now)
    }

    fn close(&mut self, reason: GateReason, now: Instant) -> GateChange {
        let named = reason.wait.or_else(|| gate_wait(reason.cause));
        let again = match &mut self.state {
            // Others under way met the same. Only a longer wait named by a server is news, and not for the log.
            State::Shut { until, kind, .. } => {
                if reason.kind() == ErrorKind::Throttled {
                    // What is fixed elsewhere does not end this wait.
                    *kind = ErrorKind::Throttled;
                }
                return match named {
                    Some(wait) if later(now, wait) > *until => {
                        *until = later(now, wait);
                        GateChange::Extended { reason, wait }
                    }
                    _ => GateChange::Unchanged,
                };
            }
            State::Probing { code } => *code == reason.code,
            State::Open => false,
        };
        let wait = named.unwrap_or_else(|| doubled(FIRST_WAIT, self.closings_in_a_row, LONGEST_WAIT));
        self.closings_in_a_row = self.closings_in_a_row.saturating_add(1);
        self.state = State::Shut { until: later(now, wait), kind: reason.kind(), code: reason.code.clone() };
        GateChange::Closed { reason, wait, again }
    }

    fn reopen(&mut self) -> GateChange {
        match self.state {
            State::Probing { .. } => {
                self.state = State::Open;
                self.closings_in_a_row = 0;
                GateChange::Reopened
            }
            // An answer that was under way when the gate shut opens nothing.
            State::Shut { .. } | State::Open => GateChange::Unchanged,
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
