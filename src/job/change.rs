//! From a row to a change of an event that is there, or to its end: what is NULL stays as it is. How the times of a change are to
//! be read depends on the event: they are resolved when it has been seen.

use serde_json::{Map, Value};

use super::draft::{self, MAX_REQUEST_BYTES};
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

impl EventChange {
    /// Judges a row whose defaults are filled in, as far as it can be judged before its event has been seen.
    ///
    /// # Errors
    /// The first fault found, naming the column and the cure.
    pub fn from_input(input: &JobInput) -> Result<Self, InvalidJob> {
        let mut extra = draft::extra(input.extra.optional("extra")?, Some(ATTENDEES))?;
        let attendees = attendees_of(input, &mut extra)?;
        let times = times_of(input, &extra)?;
        let change = Self {
            revision: input.transaction_id.required("transaction_id")?.to_owned(),
            subject: input.subject.optional("subject")?.map(str::to_owned),
            body: draft::body(input)?,
            location: input.location.optional("location")?.map(str::to_owned),
            attendees,
            extra,
            times,
        };
        if change.is_empty() {
            return Err(InvalidJob::new(
                "subject",
                "is NULL, and so is everything else that an update could change; set what is to change",
            ));
        }
        // As a plain event, which finds an end before its start; what the event is shows when it is seen.
        if let Some(Times { start, end, zone }) = &change.times
            && !matches!((start, end), (Written::Date(_), _) | (_, Written::Date(_)))
        {
            span::resolve(Kind::Single, *start, *end, zone)?;
        }
        Ok(change)
    }

    fn is_empty(&self) -> bool {
        self.changes_attendees_at_most() && self.attendees.is_none()
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
        let Some(Times { start, end, zone }) = &self.times else { return Ok(None) };
        span::resolve(self.kind(seen)?, *start, *end, zone).map(Some)
    }

    fn kind(&self, seen: &Snapshot) -> Result<Kind, InvalidJob> {
        let says_nothing = draft::property(&self.extra, "isAllDay").is_none();
        Ok(match draft::kind(&self.extra)? {
            Kind::Single | Kind::Series if says_nothing && seen.is_all_day => Kind::AllDay,
            Kind::Single if seen.kind == EventType::SeriesMaster => Kind::Series,
            kind => kind,
        })
    }

    /// When the event is over once it is changed so; none if that is as before, or not known.
    pub fn ends_at(&self, seen: &Snapshot) -> Option<chrono::DateTime<chrono::Utc>> {
        let Times { end, zone, .. } = self.times.as_ref()?;
        if self.kind(seen).ok()? == Kind::Series {
            return None;
        }
        span::moment(*end, zone)
    }

    /// Refuses a request of `bytes` bytes.
    ///
    /// # Errors
    /// More than [`MAX_REQUEST_BYTES`].
    pub fn check_size(&self, bytes: usize) -> Result<(), InvalidJob> {
        if bytes <= MAX_REQUEST_BYTES {
            return Ok(());
        }
        let body = self.body.as_ref().map_or(0, |body| body.content.len());
        let column = if body * 2 > bytes { "body" } else { "extra" };
        Err(draft::too_large(column, bytes))
    }
}

impl Cancellation {
    /// Judges a row.
    ///
    /// # Errors
    /// It says more than which event is to end, and what attendees are told.
    pub fn from_input(input: &JobInput) -> Result<Self, InvalidJob> {
        let columns: [(&'static str, &Cell); 6] = [
            ("subject", &input.subject),
            ("start_time", &input.start_time),
            ("end_time", &input.end_time),
            ("location", &input.location),
            ("extra", &input.extra),
            ("attendees", &input.attendees),
        ];
        let says_nothing = |cell: &Cell| matches!(cell, Cell::Null) || *cell == Cell::from("[]");
        if let Some((column, _)) = columns.into_iter().find(|(_, cell)| !says_nothing(cell)) {
            return Err(InvalidJob::new(
                column,
                "is set, but a delete only has a body, as the comment to its attendees; leave it out",
            ));
        }
        Ok(Self { comment: input.body.optional("body")?.map(str::to_owned) })
    }
}

fn attendees_of(input: &JobInput, extra: &mut Map<String, Value>) -> Result<Option<Vec<Attendee>>, InvalidJob> {
    let named = attendees::parse(input.attendees.required("attendees")?)?;
    let Some(key) = extra.keys().find(|key| key.trim().eq_ignore_ascii_case(ATTENDEES)).cloned() else {
        return Ok((!named.is_empty()).then_some(named));
    };
    let nobody = extra.shift_remove(&key).is_some_and(|value| value.as_array().is_some_and(Vec::is_empty));
    match (nobody, named.is_empty()) {
        (true, true) => Ok(Some(named)),
        (true, false) => Err(InvalidJob::new(
            "extra",
            "takes all attendees away with \"attendees\": [], and the column attendees names some; leave one of them out",
        )),
        (false, _) => Err(InvalidJob::new(
            "extra",
            "contains 'attendees'; they belong in the column attendees, and only [] here takes all of them away",
        )),
    }
}

fn times_of(input: &JobInput, extra: &Map<String, Value>) -> Result<Option<Times>, InvalidJob> {
    let start = input.start_time.optional("start_time")?;
    let end = input.end_time.optional("end_time")?;
    let zone = draft::zone(input.time_zone.optional_word("time_zone")?, draft::recurs(extra))?;
    let missing = |column| InvalidJob::new(column, "is NULL; an update sets start_time and end_time, or neither");
    match (start, end) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(missing("start_time")),
        (Some(_), None) => Err(missing("end_time")),
        (Some(start), Some(end)) => {
            Ok(Some(Times { start: times::parse("start_time", start)?, end: times::parse("end_time", end)?, zone }))
        }
    }
}
