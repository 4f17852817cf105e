//! The texts of `start_time`, `end_time` and `not_before`: what a producer wrote, cut into a date, a time of day and an
//! offset. What they mean in a zone is judged elsewhere; the queue's schema reads `not_before` by the same rules, in SQL,
//! and a test holds the two together.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::InvalidJob;
use crate::characters;

/// A time as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// No time of day.
    Date(NaiveDate),
    /// Without offset: what the clock on the wall of the job's zone shows.
    Wall(NaiveDateTime),
    /// With `Z` or an offset.
    Instant {
        /// What stands before the offset.
        wall: NaiveDateTime,
        /// In UTC; a day beyond the ends of the calendar at most.
        utc: NaiveDateTime,
    },
}

const FORMS: &str = "write it like 2026-12-01T09:00:00, 2026-12-01 09:00, or with Z or an offset such as +01:00";

/// Whether `text` is a time with `Z` or an offset.
pub(super) fn is_instant(text: &str) -> bool {
    matches!(parse("", text), Ok(Written::Instant { .. }))
}

/// Parses the text of `column`. Strict: digits where digits belong, a date that exists, a time of day that exists.
pub(super) fn parse(column: &'static str, text: &str) -> Result<Written, InvalidJob> {
    let fault = |what: &str| InvalidJob::new(column, format!("{} {what}; {FORMS}", characters::quoted_ascii(text)));
    // The same white space as the queue's rule of not_before takes off.
    let bare = text.trim_matches(['\t', '\n', '\u{b}', '\u{c}', '\r', ' ']);
    let parts = split(bare).ok_or_else(|| fault("is not a date and time"))?;
    let date = NaiveDate::from_ymd_opt(parts.year, parts.month, parts.day)
        .filter(|_| parts.year > 0)
        .ok_or_else(|| fault("names a date that does not exist"))?;
    let Some(clock) = parts.clock else { return Ok(Written::Date(date)) };
    let time = NaiveTime::from_hms_nano_opt(clock.hour, clock.minute, clock.second, clock.nanosecond)
        .ok_or_else(|| fault("names a time of day that does not exist"))?;
    let wall = date.and_time(time);
    Ok(match clock.offset_minutes {
        None => Written::Wall(wall),
        Some(minutes) => Written::Instant { wall, utc: wall - TimeDelta::minutes(minutes) },
    })
}

struct Parts {
    year: i32,
    month: u32,
    day: u32,
    clock: Option<Clock>,
}

struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
    offset_minutes: Option<i64>,
}

/// Cuts `YYYY-MM-DD`, or that and `[T ]HH:MM[:SS[.fraction]][Z|±HH:MM|±HHMM|±HH]`, blanks before the offset allowed, into
/// numbers; none if the shape is another.
fn split(text: &str) -> Option<Parts> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut date = date.splitn(3, '-');
    Some(Parts {
        year: i32::try_from(number(date.next()?, 4)?).ok()?,
        month: number(date.next()?, 2)?,
        day: number(date.next()?, 2)?,
        clock: if rest.is_empty() { None } else { Some(clock(rest)?) },
    })
}

fn clock(text: &str) -> Option<Clock> {
    let rest = text.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(5)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => rest.split_at_checked(2)?,
        None => ("00", rest),
    };
    let (nanosecond, rest) = fraction(rest)?;
    let (hour, minute) = clock.split_once(':')?;
    Some(Clock {
        hour: number(hour, 2)?,
        minute: number(minute, 2)?,
        second: number(second, 2)?,
        nanosecond,
        offset_minutes: offset(rest.trim_start_matches(' '))?,
    })
}

/// Digits after a point. Those beyond the ninth are of no use to anybody.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(count).filter(|(digits, _)| !digits.is_empty())?;
    let nine = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some((nine.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')), rest))
}

/// Minutes east of UTC; outer none for a shape that is not an offset, inner none for no offset at all.
fn offset(text: &str) -> Option<Option<i64>> {
    if text.is_empty() {
        return Some(None);
    }
    if matches!(text, "Z" | "z") {
        return Some(Some(0));
    }
    let (sign, digits) =
        if let Some(rest) = text.strip_prefix('+') { (1, rest) } else { (-1, text.strip_prefix('-')?) };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        _ => digits.split_once(':').or_else(|| digits.split_at_checked(2))?,
    };
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours <= 14 && minutes < 60).then(|| Some(sign * (i64::from(hours) * 60 + i64::from(minutes))))
}

/// Exactly `width` ASCII digits.
fn number(text: &str, width: usize) -> Option<u32> {
    (text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "times_tests.rs"]
mod tests;
