//! The end of what the agent signs in with, in words: how near it is, and what to do. The same for `run`, `check`, `status`
//! and the page.

use chrono::{DateTime, TimeDelta, Utc};

use crate::format::{counted, span};

/// How near an end is: at each of these something is said. The order is that of nearness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// More than 30 days.
    #[default]
    Far,
    /// 30 days.
    Month,
    /// 7 days.
    Week,
    /// One day.
    Day,
    Over,
}

impl Nearness {
    /// Of an end at this time.
    pub fn of(end: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let left = end - now;
        let limits = [(0, Self::Over), (1, Self::Day), (7, Self::Week), (30, Self::Month)];
        limits.into_iter().find(|(days, _)| left <= TimeDelta::days(*days)).map_or(Self::Far, |(_, nearness)| nearness)
    }
}

/// `2026-12-07`: the last day that something which ends then serves. Who writes down a day means the whole of it.
pub fn last_day(end: DateTime<Utc>) -> String {
    end.checked_sub_signed(TimeDelta::seconds(1)).unwrap_or(end).format("%Y-%m-%d").to_string()
}

/// `expires on 2026-12-07, in 11 days`, or `expired on 2026-12-07`.
pub fn sentence(end: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (day, left) = (last_day(end), end - now);
    match left.num_days() {
        _ if left <= TimeDelta::zero() => format!("expired on {day}"),
        0 => format!("expires on {day}, in {}", span(left)),
        days => format!("expires on {day}, in {}", counted(days, "day", "days")),
    }
}

/// `certificate` or `client secret`, of a name as the agent writes it.
pub fn name(credential: &str) -> &'static str {
    if credential == "certificate" { "certificate" } else { "client secret" }
}

/// What to do about an end that is near or over.
pub fn cure(credential: &str, nearness: Nearness) -> &'static str {
    match (credential, nearness) {
        ("certificate", Nearness::Over) => {
            "make a new one, upload it and replace the files now (docs/sign-in/renew.md)"
        }
        ("certificate", _) => "make a new one, upload it and replace the files before that (docs/sign-in/renew.md)",
        // Where only the date is old, the agent cannot tell.
        (_, Nearness::Over) => {
            "make a new one, replace it and put its date into auth.secret_expires now (docs/sign-in/renew.md)"
        }
        _ => "make a new one before that, replace it and put its date into auth.secret_expires (docs/sign-in/renew.md)",
    }
}

/// What to do about a certificate whose time has not come.
pub const NOT_YET_CURE: &str = "look at this machine's clock ('date'); until then Entra refuses it";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_end_is_told_by_its_day_and_by_the_days_until_then() {
        let now = at("2026-11-25T12:00:00Z");
        for (end, text) in [
            ("2026-12-07T09:00:00Z", "expires on 2026-12-07, in 11 days"),
            ("2026-12-08T00:00:00Z", "expires on 2026-12-07, in 12 days"),
            ("2026-11-26T12:00:00Z", "expires on 2026-11-26, in 1 day"),
            ("2026-11-25T15:30:00Z", "expires on 2026-11-25, in 3 h 30 min"),
            ("2026-11-25T12:00:00Z", "expired on 2026-11-25"),
            ("2020-01-01T00:00:00Z", "expired on 2019-12-31"),
        ] {
            assert_eq!(sentence(at(end), now), text);
        }
    }

    #[test]
    fn nearness_changes_when_so_many_days_are_left() {
        let now = at("2026-11-25T12:00:00Z");
        for (seconds, nearness) in [
            (30 * 86_400 + 1, Nearness::Far),
            (30 * 86_400, Nearness::Month),
            (7 * 86_400 + 1, Nearness::Month),
            (7 * 86_400, Nearness::Week),
            (86_400, Nearness::Day),
            (1, Nearness::Day),
            (0, Nearness::Over),
            (-86_400, Nearness::Over),
        ] {
            assert_eq!(Nearness::of(now + TimeDelta::seconds(seconds), now), nearness, "{seconds}");
        }
        assert_eq!(Nearness::of(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC), Nearness::Far);
    }
}
