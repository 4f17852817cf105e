//! `GET /api/v1/mailboxes`: mailboxes by the age of what waits for them, those in trouble first. Fields are only ever added.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Web;
use super::look::Seen;
use super::reply::{Refusal, Reply, json};
use crate::job::format_utc;
use crate::queue::{AGE_COUNT, MailboxRow, Waiting};

/// The names of the ages, in the order of `Waiting::by_age`.
const AGES: [&str; AGE_COUNT] = ["under_1m", "under_5m", "under_15m", "under_1h", "under_6h", "under_1d", "over_1d"];
/// Mailboxes of one answer.
const MOST: usize = 50;

impl Web {
    /// Those with this in their name.
    pub async fn mailboxes(&self, search: &str) -> Reply {
        let standing = self.standing.get().ok_or_else(Refusal::starting)?;
        let seen = standing.look.latest(self.filled().unnamed).await.ok_or_else(Refusal::starting)?;
        Ok(json(&page(&seen, search, MOST, Utc::now())))
    }
}

/// How a mailbox stands. The order is that of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Refused,
    Held,
    Paused,
    Paced,
    Open,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Paced => "paced",
            Self::Open => "open",
        }
    }
}

struct Shown<'s> {
    waiting: Cow<'s, Waiting>,
    row: Option<&'s MailboxRow>,
    state: State,
}

/// At most so many of the mailboxes with this in their name, and how many there are.
pub fn page(seen: &Seen, search: &str, most: usize, now: DateTime<Utc>) -> Value {
    let search = search.trim().to_lowercase();
    let mut shown = all(seen, now);
    let all = shown.len();
    shown.retain(|one| search.is_empty() || one.waiting.mailbox.to_lowercase().contains(&search));
    let found = shown.len();
    let place = |a: &Shown, b: &Shown| a.place().cmp(&b.place());
    // Of ten thousand a few are shown: the others need no order.
    if found > most {
        shown.select_nth_unstable_by(most, place);
        shown.truncate(most);
    }
    shown.sort_by(place);
    json!({
        "mailboxes": shown.iter().map(|one| one.json(now)).collect::<Value>(),
        "found": found,
        "all": all as i64 + seen.overview.waiting.more,
        "seen_at": format_utc(seen.at),
    })
}

/// Those for which something waits, and those that stand still.
fn all(seen: &Seen, now: DateTime<Utc>) -> Vec<Shown<'_>> {
    let overview = &seen.overview;
    let standing: HashMap<&str, &MailboxRow> = (overview.paced.iter())
        .chain(&overview.paused)
        .chain(&overview.held)
        .map(|row| (row.mailbox.as_str(), row))
        .collect();
    let mut left = standing.clone();
    let waiting = overview.waiting.mailboxes.iter().map(|waiting| {
        let row = standing.get(waiting.mailbox.as_str()).copied();
        if row.is_some() {
            left.remove(waiting.mailbox.as_str());
        }
        Shown::of(Cow::Borrowed(waiting), row, now)
    });
    let mut shown: Vec<Shown<'_>> = waiting.collect();
    shown.extend(left.into_values().map(|row| {
        let waiting = Waiting { mailbox: row.mailbox.clone(), ..Waiting::default() };
        Shown::of(Cow::Owned(waiting), Some(row), now)
    }));
    shown
}

impl<'s> Shown<'s> {
    fn of(waiting: Cow<'s, Waiting>, row: Option<&'s MailboxRow>, now: DateTime<Utc>) -> Self {
        let state = match row {
            Some(row) if row.hold.is_some() => State::Held,
            Some(row) if row.paused_until(now).is_some() && row.paused_as_asked(now) => State::Paused,
            Some(row) if row.paused_until(now).is_some() => State::Refused,
            Some(row) if row.paced(now).is_some() => State::Paced,
            _ => State::Open,
        };
        Self { waiting, row, state }
    }

    fn place(&self) -> (State, Reverse<i64>, &str) {
        (self.state, Reverse(self.waiting.jobs), &self.waiting.mailbox)
    }

    fn json(&self, now: DateTime<Utc>) -> Value {
        let Waiting { mailbox, jobs, later, by_age } = &*self.waiting;
        let row = self.row;
        let pause = row.filter(|row| row.paused_until(now).is_some());
        let hold = row.and_then(|row| row.hold.as_ref());
        let paced = row.and_then(|row| row.paced(now));
        let ages: Value =
            AGES.into_iter().zip(by_age).map(|(age, jobs)| (age.to_owned(), Value::from(*jobs))).collect();
        json!({
            "mailbox": Some(mailbox).filter(|name| !name.is_empty()),
            "waiting": jobs,
            "later": later,
            "by_age": ages,
            "state": self.state.word(),
            "paused_until": pause.and_then(|row| row.pause.until.words()),
            "paused_for": pause.map(|row| row.pause.kind.word()),
            "reason": pause.map(|row| row.pause.reason.clone()),
            "may_be_resumed": pause.is_some_and(|row| row.kept_until(now).is_none()),
            "held_since": hold.and_then(|hold| hold.since.words()),
            "held_reason": hold.and_then(|hold| hold.reason.words()),
            "paced_until": paced.map(|(until, _)| format_utc(until)),
            "paced_reason": paced.map(|(_, reason)| reason),
        })
    }
}
