//! From a row to a change of an event that is there, or to its end: what is NULL stays as it is. How the times of a change are to
//! be read depends on the event: they are resolved when it has been seen.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Map, Value};

use super::draft::{self, Filling, MAX_REQUEST_BYTES};
use super::span::{self, Kind};
use super::times::{self, Written};
use super::{Attendee, Body, Cell, EventTime, EventType, InvalidJob, JobInput, Snapshot, Zone, attendees};

/// The property by which all attendees are taken away: the column's `[]` leaves them.
const ATTENDEES: &str = "attendees";

/// A change of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventChange {
    /// The job's transaction id, stamped on the event as its revision.
    pub revision: String,
    /// Each of these: none leaves as it is, an empty text clears.
    pub subject: Option<String>,
    pub body: Option<Body>,
    pub location: Option<String>,
    /// All who are invited from now on.
    pub attendees: Option<Vec<Attendee>>,
    pub extra: Map<String, Value>,
    times: Option<Times>,
}

/// When an event is to begin and end, as written.
#[derive(Clone, Debug, PartialEq)]
struct Times {
    start: Written,
    end: Written,
    zone: Zone,
}

/// The end of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// What attendees are told.
    pub comment: Option<String>,
}

impl Times {
    fn resolve(&self, kind: Kind) -> Result<(EventTime, EventTime), InvalidJob> {
        span::resolve(kind, self.start, self.end, &self.zone)
    }
}

impl EventChange {
    /// Judges a row whose defaults are filled in, as far as it can be judged before its event has been seen.
    ///
    /// # Errors
    /// The first fault found, naming the column and the cure.
    pub fn from_input(input: &JobInput) -> Result<Self, InvalidJob> {
        let mut extra = draft::properties(input.extra.optional("extra")?)?;
        let all_away = takes_all_away(&mut extra);
        draft::check_properties(&extra)?;
        let change = Self {
            revision: input.transaction_id.required("transaction_id")?.to_owned(),
            subject: input.subject.optional("subject")?.map(str::to_owned),
            body: draft::body(input)?,
            location: input.location.optional("location")?.map(str::to_owned),
            attendees: invited(attendees::parse(input.attendees.required("attendees")?)?, all_away)?,
            times: times_of(input, &extra)?,
            extra,
        };
        if change.changes_attendees_at_most() && change.attendees.is_none() {
            return Err(InvalidJob::new(
                "operation",
                "is 'update', but the row changes nothing; set subject, body, location, attendees, extra, or start_time and \
                 end_time",
            ));
        }
        Ok(change)
    }

    /// Nothing but attendees is changed: only those hear of it who come or go (graph-lifecycle 1.1).
    pub fn is_of_attendees_alone(&self) -> bool {
        self.changes_attendees_at_most() && self.attendees.is_some()
    }

    fn changes_attendees_at_most(&self) -> bool {
        self.subject.is_none()
            && self.body.is_none()
            && self.location.is_none()
            && self.times.is_none()
            && self.extra.is_empty()
    }

    /// Start and end, as this event wants them: dates where it is one of whole days, its zone's clock where it is a series.
    ///
    /// # Errors
    /// They do not fit the event.
    pub fn times(&self, seen: &Snapshot) -> Result<Option<(EventTime, EventTime)>, InvalidJob> {
        let Some(times) = &self.times else { return Ok(None) };
        times.resolve(self.kind(seen)?).map(Some)
    }

    /// What the row does not say of itself is as it was seen.
    fn kind(&self, seen: &Snapshot) -> Result<Kind, InvalidJob> {
        let is_silent = |name| draft::property(&self.extra, name).is_none();
        Ok(match draft::kind(&self.extra)? {
            Kind::Single | Kind::Series if is_silent("isAllDay") && seen.is_all_day => Kind::AllDay,
            Kind::Single if is_silent("recurrence") && seen.kind == EventType::SeriesMaster => Kind::Series,
            kind => kind,
        })
    }

    /// When the event is over once it is changed so. None if nobody knows, as of a series that is there already.
    pub fn ends_at(&self, seen: &Snapshot) -> Option<DateTime<Utc>> {
        let times = self.times(seen).ok().flatten();
        if let Some(recurrence) = draft::recurrence(&self.extra) {
            // It goes on for ever, or as long as only Exchange knows: longer than the single event that it may have been.
            return times.and_then(|(start, end)| draft::series_end(recurrence, &start, &end)).or_else(|| {
                Some(NaiveDate::from_ymd_opt(*span::YEARS.end(), 12, 31)?.and_time(NaiveTime::MIN).and_utc())
            });
        }
        let is_series = seen.kind == EventType::SeriesMaster && draft::property(&self.extra, "recurrence").is_none();
        match times {
            _ if is_series => None,
            Some((_, end)) => end.moment(),
            None => seen.ends_at,
        }
    }

    /// Refuses a request of `bytes` bytes, naming the column that fills it.
    ///
    /// # Errors
    /// More than [`MAX_REQUEST_BYTES`].
    pub fn check_size(&self, bytes: usize) -> Result<(), InvalidJob> {
        let filling = Filling {
            body: self.body.as_ref(),
            subject: self.subject.as_deref(),
            location: self.location.as_deref(),
            attendees: self.attendees.as_deref().unwrap_or_default(),
            extra: &self.extra,
        };
        filling.check_size(bytes)
    }
}

impl Cancellation {
    /// Judges a row. What the defaults have filled in, body type and zone, means nothing here.
    ///
    /// # Errors
    /// It says more than which event is to end, and what attendees are told.
    pub fn from_input(input: &JobInput) -> Result<Self, InvalidJob> {
        let columns: [(&'static str, &Cell); 5] = [
            ("subject", &input.subject),
            ("start_time", &input.start_time),
            ("end_time", &input.end_time),
            ("location", &input.location),
            ("extra", &input.extra),
        ];
        let is_set = |column| {
            InvalidJob::new(column, "is set, but a delete takes only body, the comment for the attendees; leave it out")
        };
        if let Some((column, _)) = columns.into_iter().find(|(_, cell)| **cell != Cell::Null) {
            return Err(is_set(column));
        }
        if !attendees::parse(input.attendees.required("attendees")?)?.is_empty() {
            return Err(is_set("attendees"));
        }
        Ok(Self { comment: input.body.optional("body")?.map(str::to_owned) })
    }

    /// Refuses a request of `bytes` bytes.
    ///
    /// # Errors
    /// More than [`MAX_REQUEST_BYTES`].
    pub fn check_size(&self, bytes: usize) -> Result<(), InvalidJob> {
        if bytes > MAX_REQUEST_BYTES { Err(draft::too_large("body", bytes)) } else { Ok(()) }
    }
}

/// Takes `"attendees": []` out of the properties, by which all are taken away. Whom else they name is refused like any property
/// with a column.
fn takes_all_away(extra: &mut Map<String, Value>) -> bool {
    let names_nobody = extra.get(ATTENDEES).and_then(Value::as_array).is_some_and(Vec::is_empty);
    names_nobody && extra.shift_remove(ATTENDEES).is_some()
}

fn invited(named: Vec<Attendee>, all_away: bool) -> Result<Option<Vec<Attendee>>, InvalidJob> {
    match (named.is_empty(), all_away) {
        (true, false) => Ok(None),
        (false, true) => Err(InvalidJob::new(
            "extra",
            "takes all attendees away with \"attendees\": [], and the column attendees names some; leave one of them out",
        )),
        (true, true) | (false, false) => Ok(Some(named)),
    }
}

/// Both times or neither. What no event whatever could take is told before one is looked at: only then it shows whether it is
/// one of whole days.
fn times_of(input: &JobInput, extra: &Map<String, Value>) -> Result<Option<Times>, InvalidJob> {
    let said = draft::kind(extra)?;
    let zone = input.time_zone.optional_word("time_zone")?;
    let missing = |column| InvalidJob::new(column, "is NULL; an update sets start_time and end_time, or neither");
    let (start, end) = match (input.start_time.optional("start_time")?, input.end_time.optional("end_time")?) {
        (None, None) => return draft::zone(zone, false).map(|_| None),
        (None, Some(_)) => return Err(missing("start_time")),
        (Some(_), None) => return Err(missing("end_time")),
        (Some(start), Some(end)) => (times::parse("start_time", start)?, times::parse("end_time", end)?),
    };
    let times = Times { start, end, zone: draft::zone(zone, draft::recurs(extra))? };
    let may_be_all_day = || draft::property(extra, "isAllDay").is_none() && times.resolve(Kind::AllDay).is_ok();
    match times.resolve(said) {
        Err(fault) if !may_be_all_day() => Err(fault),
        Ok(_) | Err(_) => Ok(Some(times)),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
