//! `start_time` and `end_time`: from the text a producer wrote to the wall time and zone Graph is told.
//!
//! Graph's `dateTimeTimeZone` holds a wall time and a zone, never an offset: which of the two would win is not
//! documented, and users report events at the wrong hour (graph-facts 1.5). So an offset is resolved here.

use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

use super::{EventTime, InvalidJob, Zone};
use crate::characters;

/// A time as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenTime {
    /// Without offset: what the clock on the wall of the job's zone shows.
    Wall(NaiveDateTime),
    /// With `Z` or an offset.
    Instant(DateTime<Utc>),
}

const FORMS: &str = "write it like 2026-12-01T09:00:00, 2026-12-01 09:00, or with Z or an offset such as +01:00";

/// Parses the text of `column`. Strict: digits where digits belong, a date that exists, a time of day that exists.
pub(super) fn parse(column: &'static str, text: &str) -> Result<WrittenTime, InvalidJob> {
    let fault = |what: &str| InvalidJob::new(column, format!("{} {what}; {FORMS}", characters::quoted(text)));
    let parts = split(text.trim()).ok_or_else(|| fault("is not a date and time"))?;
    let date = NaiveDate::from_ymd_opt(parts.year, parts.month, parts.day)
        .filter(|_| parts.year > 0)
        .ok_or_else(|| fault("names a date that does not exist"))?;
    let time = NaiveTime::from_hms_nano_opt(parts.hour, parts.minute, parts.second, parts.nanosecond)
        .ok_or_else(|| fault("names a time of day that does not exist"))?;
    let wall = date.and_time(time);
    match parts.offset_minutes {
        None => Ok(WrittenTime::Wall(wall)),
        Some(minutes) => Ok(WrittenTime::Instant((wall - TimeDelta::minutes(minutes)).and_utc())),
    }
}

/// Whether `text` ends in `Z` or an offset. Tells wall times from instants without judging them; the queue's claim
/// has the same rule in SQL, and a test holds the two together.
pub(super) fn has_offset(text: &str) -> bool {
    let text = text.trim_matches(' ').as_bytes();
    let end = |back: usize| text.len().checked_sub(back).and_then(|at| text.get(at)).copied();
    let sign = |byte: Option<u8>| matches!(byte, Some(b'+' | b'-'));
    text.len() > 16 && (matches!(end(1), Some(b'Z' | b'z')) || sign(end(6)) || sign(end(5)))
}

/// Start and end as Graph wants them, both checked against the zone's clock and against each other.
pub(super) fn resolve(start: WrittenTime, end: WrittenTime, zone: &Zone) -> Result<(EventTime, EventTime), InvalidJob> {
    let expressed = |zone: &Zone| -> Result<Option<(EventTime, EventTime)>, InvalidJob> {
        let Some(from) = wall_time("start_time", start, zone)? else { return Ok(None) };
        let Some(to) = wall_time("end_time", end, zone)? else { return Ok(None) };
        Ok(Some((EventTime::new(from, zone), EventTime::new(to, zone))))
    };
    let pair = match expressed(zone)? {
        Some(pair) => pair,
        // An instant the zone's clock shows twice, or a zone only Exchange may know: UTC says exactly what is meant.
        None => (in_utc("start_time", start, zone)?, in_utc("end_time", end, zone)?),
    };
    // A wall time of a zone only Exchange may know cannot be compared with an instant.
    let comparable = zone.rules.is_some()
        || matches!(
            (start, end),
            (WrittenTime::Wall(_), WrittenTime::Wall(_)) | (WrittenTime::Instant(_), WrittenTime::Instant(_))
        );
    if comparable && latest(end, zone) < earliest(start, zone) {
        return Err(InvalidJob::new("end_time", "is before start_time; an event must not end before it starts"));
    }
    Ok(pair)
}

/// The wall time to send, or none where the zone cannot express the instant without a second meaning.
fn wall_time(column: &'static str, time: WrittenTime, zone: &Zone) -> Result<Option<NaiveDateTime>, InvalidJob> {
    match (time, zone.rules) {
        (WrittenTime::Wall(wall), None) => Ok(Some(wall)),
        (WrittenTime::Wall(wall), Some(rules)) => match rules.from_local_datetime(&wall) {
            MappedLocalTime::None => Err(InvalidJob::new(
                column,
                format!(
                    "{} does not exist in the zone {}: the clocks go forward over it; name another time",
                    wall.format("%Y-%m-%d %H:%M"),
                    zone.name
                ),
            )),
            _ => Ok(Some(wall)),
        },
        (WrittenTime::Instant(_), None) => Ok(None),
        (WrittenTime::Instant(instant), Some(rules)) => {
            let wall = instant.with_timezone(&rules).naive_local();
            let once = matches!(rules.from_local_datetime(&wall), MappedLocalTime::Single(_));
            Ok(once.then_some(wall))
        }
    }
}

/// `time` in UTC; a wall time that cannot be converted stays in its own zone.
fn in_utc(column: &'static str, time: WrittenTime, zone: &Zone) -> Result<EventTime, InvalidJob> {
    if let WrittenTime::Instant(instant) = time {
        return Ok(EventTime::new(instant.naive_utc(), &Zone::utc()));
    }
    let wall = wall_time(column, time, zone)?.unwrap_or_default();
    Ok(EventTime::new(wall, zone))
}

/// The first instant `time` can mean. Of two times of an unknown zone only the wall times can be compared.
fn earliest(time: WrittenTime, zone: &Zone) -> NaiveDateTime {
    instant(time, zone, |mapped| mapped.earliest())
}

/// The last instant `time` can mean.
fn latest(time: WrittenTime, zone: &Zone) -> NaiveDateTime {
    instant(time, zone, |mapped| mapped.latest())
}

fn instant(
    time: WrittenTime,
    zone: &Zone,
    choose: fn(MappedLocalTime<DateTime<chrono_tz::Tz>>) -> Option<DateTime<chrono_tz::Tz>>,
) -> NaiveDateTime {
    match (time, zone.rules) {
        (WrittenTime::Instant(instant), _) => instant.naive_utc(),
        (WrittenTime::Wall(wall), None) => wall,
        (WrittenTime::Wall(wall), Some(rules)) => {
            choose(rules.from_local_datetime(&wall)).map_or(wall, |time| time.naive_utc())
        }
    }
}

struct Parts {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
    offset_minutes: Option<i64>,
}

/// Cuts `YYYY-MM-DD[T ]HH:MM[:SS[.fraction]][Z|±HH:MM|±HHMM]` into numbers; none if the shape is another.
fn split(text: &str) -> Option<Parts> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(5)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => rest.split_at_checked(2)?,
        None => ("00", rest),
    };
    let (nanosecond, rest) = fraction(rest)?;
    let mut date = date.splitn(3, '-');
    let (hour, minute) = clock.split_once(':')?;
    Some(Parts {
        year: i32::try_from(number(date.next()?, 4)?).ok()?,
        month: number(date.next()?, 2)?,
        day: number(date.next()?, 2)?,
        hour: number(hour, 2)?,
        minute: number(minute, 2)?,
        second: number(second, 2)?,
        nanosecond,
        offset_minutes: offset(rest)?,
    })
}

/// Up to nine digits after a point.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((format!("{digits:0<9}").parse().ok()?, rest))
}

/// Minutes east of UTC; outer none for a shape that is no offset, inner none for no offset at all.
fn offset(text: &str) -> Option<Option<i64>> {
    if text.is_empty() {
        return Some(None);
    }
    if matches!(text, "Z" | "z") {
        return Some(Some(0));
    }
    let (sign, digits) =
        if let Some(rest) = text.strip_prefix('+') { (1, rest) } else { (-1, text.strip_prefix('-')?) };
    let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
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
