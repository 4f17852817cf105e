//! Defaults that Exchange refuses. The rows they filled are not at fault: they wait, without them, until the setting is
//! another one or Exchange takes it, which one request finds out from time to time. Rows that say themselves what others
//! leave to the default go on.
//!
//! Rows without mailbox have a lane of their own in the queue, so that none of them is even claimed. Those without zone are
//! in every lane: each is met once, and put off for a day; who puts them off wakes them.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::attempt::{Finished, Took, given_back};
use super::log_throttle::LogThrottle;
use super::prefetch::Waiting;
use super::report;
use crate::backoff::doubled;
use crate::clock::{Now, later};
use crate::job::{Answer, DefaultKey, Defaults, ErrorKind, Job, Outcome};
use crate::policy::after;
use crate::queue::{DefaultNote, LaneKey, Verdict};

/// Between two requests that find out: at first, and at most. A new mailbox is known to Exchange after 15 minutes.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long a row is put off that only waits to be woken.
const FAR_OFF: Duration = Duration::from_secs(24 * 3600);

/// A value that was refused.
struct Refusal {
    note: DefaultNote,
    answer: Answer,
    kind: Option<ErrorKind>,
    /// When one request finds out.
    until: Instant,
    /// Refusals in a row.
    refusals_in_a_row: u32,
    /// That request is under way.
    asking: bool,
    log: LogThrottle,
}

/// What is known of the defaults.
#[derive(Default)]
pub(super) struct BadDefaults {
    mailbox: Option<Refusal>,
    time_zone: Option<Refusal>,
    owes_a_wake: bool,
}

impl BadDefaults {
    /// Rows that name no mailbox are left where they are.
    pub(super) fn mailbox_paused(&self, now: Instant) -> bool {
        self.mailbox.as_ref().is_some_and(|refusal| now < refusal.until)
    }

    /// A default is refused at present.
    pub(super) fn are_there(&self) -> bool {
        self.mailbox.is_some() || self.time_zone.is_some()
    }

    /// When the next request is to find out.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let refusals = [&self.mailbox, &self.time_zone];
        refusals.into_iter().flatten().map(|refusal| refusal.until).filter(|until| *until > now).min()
    }

    /// Until when a job waits that took the refused zone. None: it does not wait, or it is the one that finds out.
    pub(super) fn put_off(&mut self, job: &Job, now: Now) -> Option<DateTime<Utc>> {
        let refusal = self.time_zone.as_mut()?;
        if job.in_doubt || Took::of(job).time_zone.as_deref() != Some(refusal.note.value.as_str()) {
            return None;
        }
        if now.steady >= refusal.until && !refusal.asking {
            refusal.asking = true;
            return None;
        }
        Some(after(now.wall, FAR_OFF))
    }

    /// Jobs were put off that nobody has woken yet, though there is a reason.
    pub(super) fn owes_a_wake(&self) -> bool {
        self.owes_a_wake
    }

    /// Jobs were put off for another setting, which has changed.
    pub(super) fn owe_a_wake(&mut self) {
        self.owes_a_wake = true;
    }

    pub(super) fn woken(&mut self) {
        self.owes_a_wake = false;
    }

    fn of(&mut self, key: DefaultKey) -> &mut Option<Refusal> {
        match key {
            DefaultKey::Mailbox => &mut self.mailbox,
            DefaultKey::TimeZone => &mut self.time_zone,
        }
    }

    /// What is reported: there is room for one, and the mailbox keeps more from being sent.
    pub(super) fn note(&self) -> Option<DefaultNote> {
        self.mailbox.as_ref().or(self.time_zone.as_ref()).map(|refusal| refusal.note.clone())
    }

    /// A job that took the refused zone goes back without it, and without a request.
    pub(super) fn without_zone(&self, Waiting { lane, job, .. }: Waiting, due: DateTime<Utc>, now: Now) -> Finished {
        let mut back = given_back(lane, job, now);
        if let Some(refusal) = &self.time_zone {
            (back.settlement.answer, back.settlement.kind) = (refusal.answer.clone(), refusal.kind);
        }
        back.settlement.verdict = Verdict::Unfilled(due);
        back
    }

    /// Learns from the end of an attempt, by the defaults of the settings now. Returns whether the default mailbox is paused from
    /// now on.
    pub(super) fn learn(&mut self, finished: &mut Finished, defaults: &Defaults, now: Now) -> bool {
        if let Some(zone) = &mut self.time_zone
            && finished.took.time_zone.as_deref() == Some(zone.note.value.as_str())
        {
            zone.asking = false;
        }
        match (finished.default_at_fault, &finished.mailbox.met) {
            (Some(key), _) => self.refuse(key, finished, defaults, now),
            (None, Outcome::Done(_)) => {
                self.take(finished);
                false
            }
            _ => false,
        }
    }

    fn refuse(&mut self, key: DefaultKey, finished: &mut Finished, defaults: &Defaults, now: Now) -> bool {
        let Some(value) = value_of(key, finished, defaults) else { return false };
        let known = self.of(key);
        if known.as_ref().is_some_and(|refusal| now.steady < refusal.until) {
            // It was under way when the first of them came back.
            if key == DefaultKey::TimeZone {
                finished.settlement.verdict = Verdict::Unfilled(after(now.wall, FAR_OFF));
            }
            return key == DefaultKey::Mailbox;
        }
        let (refusals_in_a_row, since, mut log) = match known.take() {
            Some(refusal) => (refusal.refusals_in_a_row, refusal.note.since, refusal.log),
            None => (0, now.wall, LogThrottle::default()),
        };
        let wait = doubled(FIRST_WAIT, refusals_in_a_row, LONGEST_WAIT);
        let until = later(now.steady, wait);
        let hint = finished.settlement.answer.message.clone().unwrap_or_default();
        let note = DefaultNote { key, value, since, until: after(now.wall, wait), hint };
        if refusals_in_a_row == 0 {
            log.logged(now.steady);
            report::default_paused(&note, &finished.settlement);
        } else if let Some(tries) = log.met(now.steady) {
            report::default_still_paused(&note, tries);
        }
        let (answer, kind) = (finished.settlement.answer.clone(), finished.settlement.kind);
        let answer = Answer { request_id: None, client_request_id: None, ..answer };
        if key == DefaultKey::TimeZone {
            finished.settlement.verdict = Verdict::Unfilled(note.until);
        }
        let refusals_in_a_row = refusals_in_a_row.saturating_add(1);
        *self.of(key) = Some(Refusal { note, answer, kind, until, refusals_in_a_row, asking: false, log });
        key == DefaultKey::Mailbox
    }

    fn take(&mut self, finished: &Finished) {
        let mailbox = |refusal: &Refusal| finished.took.mailbox && LaneKey::of(&refusal.note.value) == finished.lane;
        let zone = |refusal: &Refusal| finished.took.time_zone.as_deref() == Some(refusal.note.value.as_str());
        if self.mailbox.take_if(|refusal| mailbox(refusal)).is_some() {
            report::default_resumed(DefaultKey::Mailbox);
        }
        if self.time_zone.take_if(|refusal| zone(refusal)).is_some() {
            self.owes_a_wake = true;
            report::default_resumed(DefaultKey::TimeZone);
        }
    }

    /// The settings were read again: whatever they say now is tried at once.
    pub(super) fn forget(&mut self) {
        let owes_a_wake = self.owes_a_wake || self.time_zone.is_some();
        *self = Self { owes_a_wake, ..Self::default() };
    }
}

/// The refused value, if it is that of the settings still: the row may have been filled before they were read again.
fn value_of(key: DefaultKey, finished: &Finished, defaults: &Defaults) -> Option<String> {
    match key {
        DefaultKey::Mailbox => defaults.mailbox.clone().filter(|mailbox| LaneKey::of(mailbox) == finished.lane),
        DefaultKey::TimeZone => {
            finished.took.time_zone.clone().filter(|zone| Some(zone) == defaults.time_zone.as_ref())
        }
    }
}
