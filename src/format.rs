//! Numbers, times and ages as people read them. The form of times is decided here, for all who tell one to a person: UTC, which
//! they say, or the machine's own zone where somebody asks for it (`--local`), with its offset.

use std::sync::OnceLock;

use chrono::{DateTime, Local, TimeDelta, TimeZone, Utc};

use crate::job::parse_utc;
use crate::visible;

/// `1,234,567`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `2,000 jobs`.
pub fn jobs(number: i64) -> String {
    counted(number, "job", "jobs")
}

/// A number and what it counts.
pub fn counted(number: i64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// What a list of mailboxes leaves out.
pub fn more_mailboxes(number: i64) -> String {
    format!("and {} more {}", count(number), if number == 1 { "mailbox" } else { "mailboxes" })
}

/// A length of time in its two largest units: `45 s`, `3 min`, `2 h 10 min`, `5 d 3 h`.
pub fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (large, small) = match seconds {
        ..60 => return format!("{seconds} s"),
        60..3600 => return format!("{} min", seconds / 60),
        3600..86_400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        rest => format!("{} {} {rest} {}", large.0, large.1, small.1),
    }
}

/// How long ago a time the agent wrote was; none if it is not a time.
pub fn age(since: &str, now: DateTime<Utc>) -> Option<String> {
    Some(span(now - parse_utc(since)?))
}

/// The zone in which people are told times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    #[default]
    Utc,
    /// As the machine is set, or `$TZ` says.
    Local,
}

static ZONE: OnceLock<Zone> = OnceLock::new();

/// For this process, before the first time is told. It is UTC where nobody says otherwise.
pub fn tell_times_in(zone: Zone) {
    let _ = ZONE.set(zone);
}

/// A time of day, with the date unless it is today's: `12:45:03 UTC`, `2026-12-01 12:45:03 UTC`, `13:45:03 +01:00`.
pub fn clock(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    clock_in(ZONE.get().copied().unwrap_or_default(), time, now)
}

/// The same in a zone of one's own.
pub fn clock_in(zone: Zone, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match zone {
        Zone::Utc => told(time, now, " UTC"),
        Zone::Local => told(time.with_timezone(&Local), now.with_timezone(&Local), " %:z"),
    }
}

fn told<Z: TimeZone<Offset: std::fmt::Display>>(time: DateTime<Z>, now: DateTime<Z>, zone: &str) -> String {
    let day = if time.date_naive() == now.date_naive() { "" } else { "%Y-%m-%d " };
    time.format(&format!("{day}%H:%M:%S{zone}")).to_string()
}

/// A time the agent wrote; what is none stands as it is.
pub fn clock_of(text: &str, now: DateTime<Utc>) -> String {
    parse_utc(text).map_or_else(|| text.to_owned(), |time| clock(time, now))
}

/// A time the agent wrote, with the way to it: `12:45:03 UTC (3 min ago)`, `12:48:00 UTC (in 20 s)`.
pub fn moment(time: &str, now: DateTime<Utc>) -> String {
    match parse_utc(time) {
        Some(at) if at > now => format!("{} (in {})", clock(at, now), span(at - now)),
        Some(at) => format!("{} ({} ago)", clock(at, now), span(now - at)),
        None => time.to_owned(),
    }
}

/// Cut to `width` characters, on one line, without what would steer a terminal.
pub fn short(text: &str, width: usize) -> String {
    let clean = visible::line(text).into_owned();
    if clean.chars().count() <= width {
        return clean;
    }
    let cut: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-1500, "-1,500")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((jobs(1), jobs(0), jobs(1500)), ("1 job".into(), "0 jobs".into(), "1,500 jobs".into()));
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (seconds, text) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (7200, "2 h"),
            (7800, "2 h 10 min"),
            (86_400, "1 d"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }

    #[test]
    fn a_time_in_the_machines_zone_says_how_far_that_is_from_utc() {
        let now = parse_utc("2026-12-01T12:00:00Z").unwrap();
        let there = told(now.with_timezone(&chrono::FixedOffset::east_opt(3600).unwrap()), now.fixed_offset(), " %:z");
        assert_eq!(there, "13:00:00 +01:00");
        let next_day = now.with_timezone(&chrono::FixedOffset::east_opt(13 * 3600).unwrap());
        assert_eq!(told(next_day, now.fixed_offset(), " %:z"), "2026-12-02 01:00:00 +13:00");
        assert_eq!(clock_in(Zone::Utc, now, now), "12:00:00 UTC");
        assert_eq!(
            (clock_of("never", now), clock_of("2026-12-01T12:00:00.000Z", now)),
            ("never".into(), "12:00:00 UTC".into())
        );
    }

    #[test]
    fn a_moment_says_utc_and_how_far_it_is() {
        let now = parse_utc("2026-12-01T12:00:00Z").unwrap();
        for (time, text) in [
            ("2026-12-01T11:57:00.000Z", "11:57:00 UTC (3 min ago)"),
            ("2026-12-01T12:00:20.500Z", "12:00:20 UTC (in 20 s)"),
            ("2026-11-30T12:00:00.000Z", "2026-11-30 12:00:00 UTC (1 d ago)"),
            ("never", "never"),
        ] {
            assert_eq!(moment(time, now), text);
        }
    }
}
