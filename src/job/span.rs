//! Start and end of an event as Graph is told them, from what the producer wrote.
//!
//! Graph's `dateTimeTimeZone` holds a wall time and a zone, never an offset: which of the two would win is not
//! documented, and users report events at the wrong hour (graph-facts 1.5). So an offset is resolved here, and into UTC,
//! whose rules nobody changes: those of other zones change several times a year, and Exchange's and ours need not be of
//! the same age. So is a wall time of the hour that comes twice, of which Exchange would take the first without asking which
//! is meant. Only a series cannot do without them, as it follows the clock of its zone; and an all-day event asks no
//! clock at all: it is dates.

use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::times::Written;
use super::{EventTime, InvalidJob, Zone};

/// What an event makes of its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One event from one time to another.
    Single,
    /// One that recurs at the same time of the zone's clock.
    Series,
    /// From one date to another, whether it recurs or not.
    AllDay,
}

/// The years Exchange's calendar has.
pub(super) const YEARS: std::ops::RangeInclusive<i32> = 1900..=9999;

const ALL_DAY: &str = "an all-day event (extra.isAllDay) runs from a date to the date after its last day, as from \
    2026-12-01 to 2026-12-02";

/// Start and end as Graph wants them, both checked against the zone's clock and against each other.
pub(super) fn resolve(
    kind: Kind,
    start: Written,
    end: Written,
    zone: &Zone,
) -> Result<(EventTime, EventTime), InvalidJob> {
    if kind == Kind::AllDay {
        return all_day(start, end, zone);
    }
    let from = sent(kind, "start_time", start, zone)?;
    let to = sent(kind, "end_time", end, zone)?;
    // A wall time of a zone only Exchange may know cannot be compared with an instant.
    let comparable = zone.rules.is_some() || is_instant(start) == is_instant(end);
    let (begins, ends) = (moments(start, zone), moments(end, zone));
    if comparable && ends.latest() < begins.earliest() {
        return Err(InvalidJob::new("end_time", "is before start_time; an event must not end before it starts"));
    }
    if kind == Kind::Series {
        return if to.wall() < from.wall() { Err(turned_back(&from, &to)) } else { Ok((from, to)) };
    }
    // The event begins at the first of two moments, and ends at the first that is not before that.
    let begin = begins.earliest();
    let end = ends.earliest().filter(|end| begin <= Some(*end)).or_else(|| ends.latest());
    Ok((chosen(begins, begin).unwrap_or(from), chosen(ends, end).unwrap_or(to)))
}

/// A wall time that its zone's clock shows twice, as the instant that is meant; none of any other time.
fn chosen(moments: MappedLocalTime<NaiveDateTime>, meant: Option<NaiveDateTime>) -> Option<EventTime> {
    let utc = meant.filter(|utc| matches!(moments, MappedLocalTime::Ambiguous(..)) && YEARS.contains(&utc.year()))?;
    Some(EventTime::new(utc, &Zone::utc()))
}

/// Start and end lie in order, but the clocks go back between them, and a series is sent what they show.
fn turned_back(from: &EventTime, to: &EventTime) -> InvalidJob {
    let fault = format!(
        "is {} on the clock of the zone {}, before start_time, {}: the clocks go back in between, and a series \
         (extra.recurrence) is sent in wall time; start it on another day",
        to.date_time, to.time_zone, from.date_time
    );
    InvalidJob::new("end_time", fault)
}

fn sent(kind: Kind, column: &'static str, time: Written, zone: &Zone) -> Result<EventTime, InvalidJob> {
    match (time, &zone.rules) {
        (Written::Date(_), _) => Err(InvalidJob::new(
            column,
            "is a date without a time of day; write one, like 2026-12-01T09:00:00, or set \"isAllDay\": true in extra \
             for an all-day event",
        )),
        (Written::Wall(wall), rules) => {
            if let Some(rules) = rules
                && rules.moments(wall) == MappedLocalTime::None
            {
                let fault = format!(
                    "{} does not exist in the zone {}: the clocks go forward over it; name another time",
                    wall.format("%Y-%m-%d %H:%M"),
                    zone.name
                );
                return Err(InvalidJob::new(column, fault));
            }
            in_calendar(column, wall.date(), "")?;
            Ok(EventTime::new(wall, zone))
        }
        (Written::Instant { utc, .. }, _) if kind == Kind::Single => {
            in_calendar(column, utc.date(), " in UTC")?;
            Ok(EventTime::new(utc, &Zone::utc()))
        }
        // Also where the clock shows it twice: Exchange takes the first of the two, as for everybody's series.
        (Written::Instant { utc, .. }, Some(rules)) => {
            let wall = rules.wall(utc);
            in_calendar(column, wall.date(), " in its zone")?;
            Ok(EventTime::new(wall, zone))
        }
        (Written::Instant { .. }, None) => Err(InvalidJob::new(
            column,
            format!(
                "has an offset, and a series (extra.recurrence) is sent in the time of its zone, but the zone {} \
                 is not known here; write the time as that zone's clock shows it, without offset, or name the zone \
                 as IANA or Windows does",
                zone.name
            ),
        )),
    }
}

fn is_instant(time: Written) -> bool {
    matches!(time, Written::Instant { .. })
}

/// The instants `time` can mean. Of two times of an unknown zone only the wall times can be compared.
fn moments(time: Written, zone: &Zone) -> MappedLocalTime<NaiveDateTime> {
    match (time, &zone.rules) {
        (Written::Instant { utc, .. }, _) => MappedLocalTime::Single(utc),
        (Written::Wall(wall), Some(rules)) => rules.moments(wall),
        (Written::Wall(wall), None) => MappedLocalTime::Single(wall),
        (Written::Date(date), _) => MappedLocalTime::Single(date.and_time(NaiveTime::MIN)),
    }
}

/// The instant at which the zone's clock shows `wall`; the later one where it shows it twice. None if the zone is not known here,
/// or the calendar does not have it.
pub(super) fn moment(wall: NaiveDateTime, zone: &Zone) -> Option<DateTime<Utc>> {
    let utc = zone.rules.as_ref().filter(|_| YEARS.contains(&wall.year()))?.moments(wall).latest()?;
    YEARS.contains(&utc.year()).then(|| utc.and_utc())
}

/// Graph wants midnight to midnight in one zone, the end being the day after the last one (graph-facts 1.6). The zone's
/// clock has no say: the event floats, and there are zones in which a day begins at one.
fn all_day(start: Written, end: Written, zone: &Zone) -> Result<(EventTime, EventTime), InvalidJob> {
    let (from, to) = (date("start_time", start, zone)?, date("end_time", end, zone)?);
    if to <= from {
        let fault = if to < from { "is before start_time" } else { "is the same date as start_time" };
        let cure = from.succ_opt().map(|next| format!(": for that day alone write {next}")).unwrap_or_default();
        return Err(InvalidJob::new("end_time", format!("{fault}; {ALL_DAY}{cure}")));
    }
    let midnight = |date: NaiveDate| EventTime::new(date.and_time(NaiveTime::MIN), zone);
    Ok((midnight(from), midnight(to)))
}

/// The date a time of an all-day event stands for. An instant is midnight where it is written, as programs write a date they
/// keep with the offset of its zone; or it is when a day begins in the row's zone, as they write it in UTC.
fn date(column: &'static str, time: Written, zone: &Zone) -> Result<NaiveDate, InvalidJob> {
    let date = match time {
        Written::Date(date) => Some(date),
        Written::Wall(wall) | Written::Instant { wall, .. } if wall.time() == NaiveTime::MIN => Some(wall.date()),
        Written::Wall(_) => None,
        Written::Instant { utc, .. } => zone.rules.as_ref().and_then(|rules| rules.day_beginning_at(utc)),
    };
    let Some(date) = date else {
        let whose = if is_instant(time) { format!(", nor midnight in the zone {}", zone.name) } else { String::new() };
        return Err(InvalidJob::new(column, format!("is not midnight as written{whose}; {ALL_DAY}")));
    };
    in_calendar(column, date, "")?;
    Ok(date)
}

/// Refuses a year that Exchange's calendar has not.
pub(super) fn in_calendar(column: &'static str, date: NaiveDate, whose: &str) -> Result<(), InvalidJob> {
    if YEARS.contains(&date.year()) {
        return Ok(());
    }
    let fault = format!(
        "is in the year {}{whose}; Exchange's calendar has the years {} to {}: name a time within them",
        date.year(),
        YEARS.start(),
        YEARS.end()
    );
    Err(InvalidJob::new(column, fault))
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
