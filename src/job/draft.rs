//! From a row to an event proven well-formed: parsed once, here, before any network is touched.
//!
//! What is checked is what Graph documents or answers without naming the culprit (graph-facts 1.5, 1.6, 3): times,
//! zones, dates of all-day events, attendees, sizes. What only Exchange can know is left to Exchange.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use serde_json::{Map, Value};

use super::span::{self, Kind};
use super::times::{self, Written};
use super::{Attendee, BodyType, Cell, InvalidJob, JobInput, Zone, address, attendees, json};
use crate::characters;

/// Most attendees of one event (graph-facts 3, documented).
pub const MAX_ATTENDEES: usize = 500;

/// Most bytes of one request (graph-facts 3, documented as 4 MB).
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// Longest mailbox or calendar id taken. Ids of Exchange have about 150 characters, addresses at most 320; a URL that
/// no client can make or no server takes would be a fault of the row found too late.
const MAX_SEGMENT_BYTES: usize = 1024;

/// Longest name of a zone.
const MAX_ZONE_BYTES: usize = 255;

/// Properties of a Graph event that columns of `jobs` set, with the column.
const OWN_PROPERTIES: [(&str, &str); 7] = [
    ("subject", "subject"),
    ("body", "body"),
    ("start", "start_time"),
    ("end", "end_time"),
    ("location", "location"),
    ("attendees", "attendees"),
    ("transactionId", "transaction_id"),
];

/// The property whose list the agent adds its marker to.
const EXTENDED: &str = "singleValueExtendedProperties";

/// Body and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The text, as the producer wrote it.
    pub content: String,
    pub kind: BodyType,
}

/// A wall time and the zone it is read in; Graph's `dateTimeTimeZone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// `YYYY-MM-DDTHH:MM:SS`, with a fraction of at most seven digits if there is one. Never an offset.
    pub date_time: String,
    pub time_zone: String,
}

impl EventTime {
    /// What the clock of its zone shows.
    pub fn wall(&self) -> Option<NaiveDateTime> {
        NaiveDateTime::parse_from_str(&self.date_time, "%Y-%m-%dT%H:%M:%S%.f").ok()
    }

    /// The instant that it means, where its zone is known here.
    pub fn moment(&self) -> Option<DateTime<Utc>> {
        span::moment(self.wall()?, &Zone::named(&self.time_zone))
    }

    pub(super) fn new(wall: NaiveDateTime, zone: &Zone) -> Self {
        // Graph works in units of 100 ns (graph-facts 1.5).
        let fraction = wall.nanosecond() % 1_000_000_000;
        // As ISO 8601 has it; a pattern would be read anew for every event.
        let mut date_time = format!("{:?}", wall - TimeDelta::nanoseconds(fraction.into()));
        let ticks = fraction / 100;
        if ticks > 0 {
            date_time.push('.');
            date_time.push_str(format!("{ticks:07}").trim_end_matches('0'));
        }
        Self { date_time, time_zone: zone.name.clone() }
    }
}

/// An event that Graph has no formal reason to refuse.
#[derive(Clone, Debug, PartialEq)]
pub struct EventDraft {
    /// The job's key at Graph, and the value of its marker.
    pub transaction_id: String,
    /// Whose calendar; none is the signed-in user's own (`/me`).
    pub mailbox: Option<String>,
    /// Which calendar; none is the default one.
    pub calendar_id: Option<String>,
    /// Subject; none is left out.
    pub subject: Option<String>,
    /// Body; none is left out.
    pub body: Option<Body>,
    pub start: EventTime,
    /// End, not before the start.
    pub end: EventTime,
    /// Display name of the place; none is left out.
    pub location: Option<String>,
    /// Who is invited.
    pub attendees: Vec<Attendee>,
    /// Further properties, in the producer's order.
    pub extra: Map<String, Value>,
    /// Later jobs may name the event by its key.
    pub has_key: bool,
}

impl EventDraft {
    /// Judges a row whose defaults are filled in. `own_mailbox`: whether a job without mailbox may go to `/me`.
    ///
    /// # Errors
    /// The first fault found, naming the column and the cure.
    pub fn from_input(input: &JobInput, own_mailbox: bool) -> Result<Self, InvalidJob> {
        let start = times::parse("start_time", input.start_time.required("start_time")?)?;
        let end = times::parse("end_time", input.end_time.required("end_time")?)?;
        let extra = properties(input.extra.optional("extra")?)?;
        check_properties(&extra)?;
        let zone = zone(input.time_zone.optional_word("time_zone")?, recurs(&extra))?;
        let (start, end) = span::resolve(kind(&extra)?, start, end, &zone)?;
        check_waits(input)?;
        Ok(Self {
            transaction_id: input.transaction_id.required("transaction_id")?.to_owned(),
            mailbox: mailbox(input, own_mailbox)?,
            calendar_id: segment("calendar_id", input.calendar_id.optional_word("calendar_id")?)?,
            subject: input.subject.optional("subject")?.map(str::to_owned),
            body: body(input)?,
            start,
            end,
            location: input.location.optional("location")?.map(str::to_owned),
            attendees: attendees::parse(input.attendees.required("attendees")?)?,
            extra,
            has_key: input.event_key != Cell::Null,
        })
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
            attendees: &self.attendees,
            extra: &self.extra,
        };
        filling.check_size(bytes)
    }

    /// How many are invited.
    pub fn recipients(&self) -> u32 {
        u32::try_from(self.attendees.len()).unwrap_or(u32::MAX)
    }

    /// When the event is over: its end, or that of its last day where it recurs until a date. None if only Exchange knows, or
    /// if it goes on for ever.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        match recurrence(&self.extra) {
            Some(recurrence) => series_end(recurrence, &self.start, &self.end),
            None => self.end.moment(),
        }
    }
}

/// What makes an event a series.
pub(super) fn recurrence(extra: &Map<String, Value>) -> Option<&Value> {
    property(extra, "recurrence").filter(|value| !value.is_null())
}

/// When a series with a last day is over: each of its events may run past midnight, and one of whole days ends with the first
/// moment of the next.
pub(super) fn series_end(recurrence: &Value, start: &EventTime, end: &EventTime) -> Option<DateTime<Utc>> {
    let range = property(recurrence.as_object()?, "range")?.as_object()?;
    let text = |name| property(range, name).and_then(Value::as_str);
    let last: NaiveDate = text("endDate")
        .filter(|_| text("type").is_some_and(|kind| kind.eq_ignore_ascii_case("endDate")))?
        .parse()
        .ok()?;
    let (start, wall) = (start.wall()?, end.wall()?);
    let nights = (wall.date() - start.date()).num_days() + i64::from(wall.time() > NaiveTime::MIN);
    let over = last.checked_add_signed(TimeDelta::try_days(nights.max(1))?)?;
    let zone = Zone::named(text("recurrenceTimeZone").filter(|zone| !zone.is_empty()).unwrap_or(&end.time_zone));
    // Where the clocks skip midnight, the day begins an hour later.
    [0, 1].into_iter().filter_map(|hour| over.and_hms_opt(hour, 0, 0)).find_map(|wall| span::moment(wall, &zone))
}

/// What fills a request.
pub(super) struct Filling<'f> {
    pub body: Option<&'f Body>,
    pub subject: Option<&'f str>,
    pub location: Option<&'f str>,
    pub attendees: &'f [Attendee],
    pub extra: &'f Map<String, Value>,
}

impl Filling<'_> {
    /// Refuses a request of `bytes` bytes, naming the column that fills it.
    pub(super) fn check_size(&self, bytes: usize) -> Result<(), InvalidJob> {
        if bytes <= MAX_REQUEST_BYTES {
            return Ok(());
        }
        let invited = |one: &Attendee| one.address.len() + one.name.as_ref().map_or(0, String::len);
        let sizes = [
            ("body", self.body.map_or(0, |body| body.content.len())),
            ("subject", self.subject.map_or(0, str::len)),
            ("location", self.location.map_or(0, str::len)),
            ("attendees", self.attendees.iter().map(invited).sum()),
            ("extra", self.extra.iter().map(|(_, value)| value.to_string().len()).sum()),
        ];
        let (column, _) = sizes.into_iter().max_by_key(|(_, size)| *size).unwrap_or(("body", 0));
        Err(too_large(column, bytes))
    }
}

pub(super) fn too_large(column: &'static str, bytes: usize) -> InvalidJob {
    let fault = format!("makes the request {bytes} bytes long; Graph allows {MAX_REQUEST_BYTES} (4 MB); shorten it");
    InvalidJob::new(column, fault)
}

/// What a row of any operation may say besides what it asks for.
pub(super) fn check_waits(input: &JobInput) -> Result<(), InvalidJob> {
    check_time("not_before", &input.not_before)?;
    check_time("not_after", &input.not_after)?;
    input.dedup_key.optional("dedup_key")?;
    Ok(())
}

pub(super) fn zone(name: Option<&str>, recurs: bool) -> Result<Zone, InvalidJob> {
    match name {
        Some(name) if name.len() > MAX_ZONE_BYTES => {
            Err(InvalidJob::new("time_zone", format!("is {} bytes long, longer than the name of any zone", name.len())))
        }
        Some(name) => match characters::fault(name) {
            // Exchange has the last word on names, but none has such a character.
            Some(hidden) => Err(InvalidJob::new("time_zone", hidden)),
            None => Ok(Zone::named(name)),
        },
        // Weeks and months are counted by its clock: a series at seven on Saturdays may be one of Fridays in UTC.
        None if recurs => Err(InvalidJob::new(
            "time_zone",
            "is NULL and defaults.time_zone is not set, but extra has a recurrence: a series follows the clock of one \
             zone; name it in the row or in agent.toml",
        )),
        None => Ok(Zone::utc()),
    }
}

/// Whether these properties make the event a series that follows a clock: one of all-day events is dates.
pub(super) fn recurs(extra: &Map<String, Value>) -> bool {
    recurrence(extra).is_some() && property(extra, "isAllDay") != Some(&Value::Bool(true))
}

/// In any case: Graph may be as lenient.
pub(super) fn property<'e>(extra: &'e Map<String, Value>, name: &str) -> Option<&'e Value> {
    extra.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Whether these properties leave the event a single one with times of day.
pub(super) fn is_single(extra: &Map<String, Value>) -> bool {
    matches!(kind(extra), Ok(Kind::Single))
}

pub(super) fn kind(extra: &Map<String, Value>) -> Result<Kind, InvalidJob> {
    match property(extra, "isAllDay") {
        Some(Value::Bool(true)) => Ok(Kind::AllDay),
        None | Some(Value::Bool(false) | Value::Null) if recurs(extra) => Ok(Kind::Series),
        None | Some(Value::Bool(false) | Value::Null) => Ok(Kind::Single),
        Some(_) => Err(InvalidJob::new(
            "extra",
            "has an 'isAllDay' that is neither true nor false; write {\"isAllDay\": true}, in SQL json('true')",
        )),
    }
}

pub(super) fn mailbox(input: &JobInput, own_mailbox: bool) -> Result<Option<String>, InvalidJob> {
    match named_mailbox(input)? {
        None if !own_mailbox => Err(InvalidJob::new(
            "mailbox",
            "is NULL and defaults.mailbox is not set; name a mailbox in the row or in agent.toml",
        )),
        mailbox => Ok(mailbox),
    }
}

/// The mailbox that the row names, if it names one.
pub(super) fn named_mailbox(input: &JobInput) -> Result<Option<String>, InvalidJob> {
    let mailbox = segment("mailbox", input.mailbox.optional_word("mailbox")?)?;
    // Blanks inside would also make one mailbox look like several to the limits it has.
    if let Some(disguise) = mailbox.as_deref().and_then(address::mailbox_fault) {
        return Err(InvalidJob::new("mailbox", disguise));
    }
    if mailbox.as_ref().is_some_and(|mailbox| mailbox.chars().count() > 320) {
        return Err(InvalidJob::new("mailbox", "is longer than the 320 characters an address may have"));
    }
    Ok(mailbox)
}

/// One segment of a URL's path. Percent-encoding makes every text safe but these: a URL has no way to say them.
pub(super) fn segment(column: &'static str, text: Option<&str>) -> Result<Option<String>, InvalidJob> {
    match text {
        Some("." | "..") => Err(InvalidJob::new(column, "is a relative path; give an id or address")),
        Some(text) if text.len() > MAX_SEGMENT_BYTES => Err(InvalidJob::new(
            column,
            format!("is {} bytes long; an id or address has at most {MAX_SEGMENT_BYTES}", text.len()),
        )),
        text => match text.and_then(characters::fault) {
            Some(hidden) => Err(InvalidJob::new(column, hidden)),
            None => Ok(text.map(str::to_owned)),
        },
    }
}

pub(super) fn body(input: &JobInput) -> Result<Option<Body>, InvalidJob> {
    let word = input.body_type.optional("body_type")?.unwrap_or("text");
    let kind = BodyType::parse(word).ok_or_else(|| {
        let word = characters::quoted(word);
        InvalidJob::new("body_type", format!("{word} is neither 'text' nor 'html'; write one of them, or NULL"))
    })?;
    Ok(input.body.optional("body")?.map(|content| Body { content: content.to_owned(), kind }))
}

/// The object that `extra` holds.
pub(super) fn properties(text: Option<&str>) -> Result<Map<String, Value>, InvalidJob> {
    let Some(text) = text else { return Ok(Map::new()) };
    let value =
        json::parse(text).map_err(|fault| InvalidJob::new("extra", format!("{fault}; the column holds one object")))?;
    match value {
        Value::Object(extra) => Ok(extra),
        _ => Err(InvalidJob::new("extra", "is not a JSON object; write {\"showAs\": \"busy\"} or NULL")),
    }
}

/// Refuses what is not the producer's to set there.
pub(super) fn check_properties(extra: &Map<String, Value>) -> Result<(), InvalidJob> {
    for (property, column) in OWN_PROPERTIES {
        if let Some(key) = extra.keys().find(|key| key.trim().eq_ignore_ascii_case(property)) {
            let cure = match column {
                "transaction_id" => "the agent sets it; leave it out".to_owned(),
                column => format!("it belongs in the column {column}"),
            };
            return Err(InvalidJob::new("extra", format!("contains '{key}'; {cure}")));
        }
    }
    if let Some(key) = extra.keys().find(|key| key.contains('@')) {
        return Err(InvalidJob::new("extra", format!("contains '{key}'; annotations are Graph's own: leave it out")));
    }
    let other_spelling = |key: &&String| key.trim().eq_ignore_ascii_case(EXTENDED) && *key != EXTENDED;
    if let Some(key) = extra.keys().find(other_spelling) {
        return Err(InvalidJob::new("extra", format!("contains '{key}'; write it '{EXTENDED}'")));
    }
    if extra.get(EXTENDED).is_some_and(|value| !value.is_array()) {
        return Err(InvalidJob::new("extra", format!("has a '{EXTENDED}' that is not an array; write a list of them")));
    }
    Ok(())
}

/// The times of the queue were made from these by the database, which has the same rules; what is not a time is due at once, to be
/// told here.
fn check_time(column: &'static str, cell: &Cell) -> Result<(), InvalidJob> {
    let no_time = |what: &str| InvalidJob::new(column, format!("{what}; write it like 2026-12-01T09:00:00Z"));
    // The database does not see through white space beyond ASCII, and would have taken it for no time.
    if let Some(text) = cell.optional(column)?.filter(|text| !text.is_ascii()) {
        return Err(no_time(&format!("{} is not a time", characters::quoted_ascii(text))));
    }
    match cell.optional_word(column)? {
        Some(text) => match times::parse(column, text)? {
            Written::Date(_) => Err(no_time("is a date without a time of day")),
            // What lies behind the calendar's end is waited for. Before its beginning nobody wished for anything: it is
            // what a program writes that has no date, like .NET's 0001-01-01.
            Written::Wall(utc) | Written::Instant { utc, .. } if utc.year() < *span::YEARS.start() => {
                span::in_calendar(column, utc.date(), "")
            }
            Written::Wall(_) | Written::Instant { .. } => Ok(()),
        },
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
