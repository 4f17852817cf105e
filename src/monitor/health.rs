//! Whether the agent is alive, and whether it sends: not "is a mailbox paused", but "would a new row go out".

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Monitor;
use crate::job::{ErrorKind, format_utc};
use crate::queue::GateNote;
use crate::worker::Trouble;

/// The loop turns at least every five seconds (`worker/vitals.rs`); after this long it is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Why nothing is sent.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Reason {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    pub ready: bool,
    reasons: Vec<Reason>,
}

impl Monitor {
    /// The loop turns, or is on its way to the first turn or from the last.
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        let turns = self.standing.get().is_some() && !self.stop.is_cancelled();
        !turns || self.measures.still_for(now) < STUCK
    }

    /// Whether a new row would be sent, and if not, why.
    pub(super) fn readiness(&self, now: Instant, wall: DateTime<Utc>) -> Readiness {
        let reasons = self.reasons(now, wall);
        Readiness { ready: reasons.is_empty(), reasons }
    }

    fn reasons(&self, now: Instant, wall: DateTime<Utc>) -> Vec<Reason> {
        let measures = &self.measures;
        let mut reasons = Vec::new();
        if self.stop.is_cancelled() {
            reasons.push(Reason::new("stopping", "It finishes what is under way, and begins nothing new."));
        }
        let Some(standing) = self.standing.get() else {
            let hint = "The queue is not open yet; if this lasts, the log says why.";
            reasons.push(Reason::new("starting", hint));
            return reasons;
        };
        if !self.is_alive(now) {
            let still = TimeDelta::from_std(measures.still_for(now)).unwrap_or_default();
            let hint = "The agent's loop is stuck: restart it, and report this with the log.";
            reasons.push(Reason { since: Some(format_utc(wall - still)), ..Reason::new("stuck", hint) });
        }
        if let Some(trouble) = measures.settle_trouble() {
            reasons.push(Reason::trouble("results cannot be recorded", trouble));
        }
        if let Some(trouble) = measures.queue_trouble() {
            reasons.push(Reason::trouble("queue cannot be used", trouble));
        }
        let token = standing.tokens.standing(now);
        match (measures.gate(), token.refusal) {
            (Some(shut), _) => reasons.push(Reason::shut(shut)),
            (None, Some(refusal)) if token.age.is_none() => reasons.push(Reason {
                error_kind: Some(if refusal.unreachable { ErrorKind::Unavailable } else { ErrorKind::Auth }.as_str()),
                error_code: Some(refusal.code),
                ..Reason::new("no token", refusal.hint.to_string())
            }),
            _ => {}
        }
        reasons
    }
}

impl Reason {
    fn new(what: &'static str, hint: impl Into<String>) -> Self {
        Self { what, error_kind: None, error_code: None, hint: Some(hint.into()), since: None, until: None }
    }

    /// The words are those of the log.
    fn trouble(what: &'static str, Trouble { since, why }: Trouble) -> Self {
        Self { since: Some(format_utc(since)), ..Self::new(what, why) }
    }

    fn shut(GateNote { since, until, kind, code, hint }: GateNote) -> Self {
        Self {
            error_kind: Some(kind.as_str()),
            error_code: Some(code),
            since: Some(format_utc(since)),
            until: Some(format_utc(until)),
            ..Self::new("sending paused", hint)
        }
    }
}
