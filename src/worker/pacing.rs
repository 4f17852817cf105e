//! How many each mailbox has mailed, and when it may mail more: `delivery.recipients_per_day` and
//! `delivery.invitations_per_minute`. Shared by the attempts, which ask right before a request would leave. The queue keeps
//! the account (`mailings`), so that it survives a restart; here it is kept on the steady clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Now, later};
use crate::policy::after;
use crate::queue::{LaneKey, Mailed};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// What the jobs of one mailbox may mail; 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailLimits {
    /// Recipients within any 24 hours.
    pub recipients_per_day: u32,
    /// Jobs that mail somebody, within any minute.
    pub jobs_per_minute: u32,
}

#[derive(Debug, Default)]
pub(super) struct Pacing(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    limits: MailLimits,
    lanes: HashMap<LaneKey, Account>,
    /// Who mails nobody before that. Apart from the accounts: the loop asks at every turn, and nearly always there are none.
    paced: HashMap<LaneKey, Instant>,
}

#[derive(Debug, Default)]
struct Account {
    /// What was mailed, minute by minute, the oldest first.
    minutes: VecDeque<Mailing>,
    /// The jobs of the last minute, the oldest first.
    jobs: VecDeque<Jobs>,
}

/// Jobs that count until then.
#[derive(Clone, Copy, Debug)]
struct Jobs {
    until: Instant,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mailing {
    /// It counts until then: a day after the end of its minute.
    until: Instant,
    recipients: u64,
}

/// A mailbox has mailed as many as it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paced {
    pub wait: Duration,
    /// Which limit it is, in words.
    pub reason: String,
    /// Nobody was told yet.
    pub is_news: bool,
}

impl Pacing {
    pub(super) fn new(limits: MailLimits) -> Self {
        Self(Mutex::new(Accounts { limits, ..Accounts::default() }))
    }

    /// Other limits from now on: who waits is judged anew. Tells whether they are other ones.
    pub(super) fn set_limits(&self, limits: MailLimits) -> bool {
        let mut accounts = self.accounts();
        if accounts.limits == limits {
            return false;
        }
        accounts.limits = limits;
        accounts.paced.clear();
        true
    }

    /// What the queue remembers of these mailboxes, this run included: another agent may have had them meanwhile.
    pub(super) fn remember(&self, mailed: &[Mailed], as_of: Now) {
        let mut remembered: HashMap<&LaneKey, Account> = HashMap::new();
        for Mailed { lane, minute, jobs, recipients } in mailed {
            // A minute that lies ahead was written when the clock was wrong: it counts as this one.
            let after = |wait: Duration| after((*minute).min(as_of.wall), wait);
            let account = remembered.entry(lane).or_default();
            let until = as_of.steady_at(after(MINUTE + DAY));
            account.minutes.push_back(Mailing { until, recipients: u64::from(*recipients) });
            let until = as_of.steady_at(after(MINUTE * 2));
            account.jobs.push_back(Jobs { until, count: u64::from(*jobs) });
        }
        let mut accounts = self.accounts();
        for (lane, mut account) in remembered {
            account.minutes.make_contiguous().sort_by_key(|mailing| mailing.until);
            account.jobs.make_contiguous().sort_by_key(|jobs| jobs.until);
            accounts.lanes.insert(lane.clone(), account);
        }
    }

    /// A request that mails so many is about to leave.
    ///
    /// # Errors
    /// It must not, for so long.
    pub(super) fn reserve(&self, lane: &LaneKey, recipients: u32, now: Instant) -> Result<(), Paced> {
        let mut accounts = self.accounts();
        let limits = accounts.limits;
        if recipients == 0 || limits == MailLimits::default() {
            return Ok(());
        }
        accounts.make_room(lane, now);
        let account = accounts.lanes.entry(lane.clone()).or_default();
        account.forget_before(now);
        let day = account.wait_of_day(limits.recipients_per_day, recipients, now);
        let minute = account.wait_of_minute(limits.jobs_per_minute, now);
        match day.max(minute) {
            Some(wait) => {
                let until = later(now, wait);
                let is_news = accounts.paced.insert(lane.clone(), until).is_none_or(|before| before <= now);
                Err(Paced { wait, reason: reason(limits, day >= minute), is_news })
            }
            None => {
                account.count(recipients, now);
                Ok(())
            }
        }
    }

    /// So many were mailed, whether they might be or not.
    pub(super) fn count(&self, lane: &LaneKey, recipients: u32, now: Instant) {
        if recipients > 0 {
            self.accounts().lanes.entry(lane.clone()).or_default().count(recipients, now);
        }
    }

    /// It did not leave, or was refused: nobody was mailed.
    pub(super) fn give_back(&self, lane: &LaneKey, recipients: u32) {
        let mut accounts = self.accounts();
        let Some(account) = accounts.lanes.get_mut(lane).filter(|_| recipients > 0) else { return };
        if let Some(mailing) = account.minutes.back_mut() {
            mailing.recipients = mailing.recipients.saturating_sub(u64::from(recipients));
        }
        if let Some(jobs) = account.jobs.back_mut() {
            jobs.count = jobs.count.saturating_sub(1);
        }
    }

    /// The mailboxes that may mail nobody now.
    pub(super) fn paced(&self, now: Instant) -> HashSet<LaneKey> {
        let accounts = self.accounts();
        accounts.paced.iter().filter(|(_, until)| **until > now).map(|(lane, _)| lane.clone()).collect()
    }

    /// When the first of them may mail again. Ends what is over.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        let paced = &mut self.accounts().paced;
        paced.retain(|_, until| *until > now);
        paced.values().min().copied()
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Before a new account: forgets who has mailed nobody for a day, whenever the accounts have filled the room they have. So what
    /// it costs is shared by as many new ones.
    fn make_room(&mut self, lane: &LaneKey, now: Instant) {
        if self.lanes.len() == self.lanes.capacity() && !self.lanes.contains_key(lane) {
            self.lanes.retain(|_, account| {
                account.forget_before(now);
                !account.minutes.is_empty()
            });
        }
    }
}

impl Account {
    fn forget_before(&mut self, now: Instant) {
        while self.minutes.front().is_some_and(|mailing| mailing.until <= now) {
            self.minutes.pop_front();
        }
        while self.jobs.front().is_some_and(|jobs| jobs.until <= now) {
            self.jobs.pop_front();
        }
    }

    /// One job alone may mail more than the limit: it waits until nothing else counts.
    fn wait_of_day(&self, limit: u32, recipients: u32, now: Instant) -> Option<Duration> {
        let mut used: u64 = self.minutes.iter().map(|mailing| mailing.recipients).sum();
        let fits = |used: u64| limit == 0 || used == 0 || used + u64::from(recipients) <= u64::from(limit);
        if fits(used) {
            return None;
        }
        let enough = self.minutes.iter().find(|mailing| {
            used -= mailing.recipients;
            fits(used)
        });
        enough.map(|mailing| mailing.until.saturating_duration_since(now))
    }

    fn wait_of_minute(&self, limit: u32, now: Instant) -> Option<Duration> {
        let mut used: u64 = self.jobs.iter().map(|jobs| jobs.count).sum();
        let fits = |used: u64| limit == 0 || used < u64::from(limit);
        if fits(used) {
            return None;
        }
        let enough = self.jobs.iter().find(|jobs| {
            used -= jobs.count;
            fits(used)
        });
        enough.map(|jobs| jobs.until.saturating_duration_since(now))
    }

    fn count(&mut self, recipients: u32, now: Instant) {
        self.forget_before(now);
        self.jobs.push_back(Jobs { until: later(now, MINUTE), count: 1 });
        match self.minutes.back_mut().filter(|mailing| mailing.until > later(now, DAY)) {
            Some(mailing) => mailing.recipients += u64::from(recipients),
            None => {
                let until = later(now, MINUTE + DAY);
                self.minutes.push_back(Mailing { until, recipients: u64::from(recipients) });
            }
        }
    }
}

fn reason(limits: MailLimits, of_day: bool) -> String {
    match of_day {
        true => format!(
            "{} recipients within 24 hours are mailed (delivery.recipients_per_day): jobs that mail more wait",
            limits.recipients_per_day
        ),
        false => format!(
            "{} jobs with attendees were sent within a minute (delivery.invitations_per_minute): the next ones wait",
            limits.jobs_per_minute
        ),
    }
}

#[cfg(test)]
#[path = "pacing_tests.rs"]
mod tests;
