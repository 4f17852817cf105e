//! The types of an event resource, as far as Graph checks them before Exchange sees the event: which properties exist,
//! and what JSON each one takes. Plain tables and one walk over them; the meaning of values is `event`'s business.

use serde_json::{Map, Value};

use crate::sandbox::refusal::Refusal;
use Kind::{Any, Choice, Flag, List, Number, Object, Text};

/// What JSON a property takes; `null` is taken everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Flag,
    Number,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    Object(&'static Type),
    List(&'static Kind),
    /// Written by the server or too rare to check; accepted and ignored.
    Any,
}

/// A named type and its properties.
#[derive(Debug)]
pub(super) struct Type {
    name: &'static str,
    properties: &'static [(&'static str, Kind)],
}

impl Type {
    /// Checks an object against the type, naming the first property that does not fit.
    pub(super) fn check(&self, object: &Map<String, Value>) -> Result<(), Refusal> {
        for (name, value) in object {
            // Annotations (`@odata.type`, `start@odata.type`) may stand anywhere.
            if name.contains('@') {
                continue;
            }
            let known = self.properties.iter().find(|(known, _)| known == name);
            let (_, kind) = known.ok_or_else(|| unknown_property(name, self.name))?;
            kind.check(name, value)?;
        }
        Ok(())
    }
}

impl Kind {
    fn check(&self, name: &str, value: &Value) -> Result<(), Refusal> {
        match (self, value) {
            (Kind::Any, _) | (_, Value::Null) => Ok(()),
            (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => Ok(()),
            (Kind::Number, Value::Number(number)) if number.is_i64() => Ok(()),
            (Kind::Choice(words), Value::String(word)) => one_of(words, word),
            (Kind::Object(inner), Value::Object(object)) => inner.check(object),
            (Kind::List(inner), Value::Array(items)) => items.iter().try_for_each(|item| match item {
                Value::Null => Err(wrong_type(name, item, inner)),
                item => inner.check(name, item),
            }),
            (wanted, other) => Err(wrong_type(name, other, wanted)),
        }
    }

    fn reader_name(&self) -> &'static str {
        match self {
            Kind::Object(_) => "StartObject",
            Kind::List(_) => "StartArray",
            _ => "PrimitiveValue",
        }
    }
}

fn one_of(words: &[&str], word: &str) -> Result<(), Refusal> {
    match words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        true => Ok(()),
        false => Err(unreadable(format!("Requested value '{word}' was not found."))),
    }
}

fn unknown_property(name: &str, owner: &str) -> Refusal {
    unreadable(format!(
        "The property '{name}' does not exist on type '{owner}'. Make sure to only use property names that are defined by the type."
    ))
}

fn wrong_type(name: &str, value: &Value, wanted: &Kind) -> Refusal {
    let found = match value {
        Value::Object(_) => "StartObject",
        Value::Array(_) => "StartArray",
        _ => "PrimitiveValue",
    };
    if found == wanted.reader_name() {
        return unreadable(format!("Cannot convert the literal '{value}' of property '{name}' to the expected type."));
    }
    unreadable(format!(
        "An unexpected '{found}' node was found for property named '{name}' when reading from the JSON reader. A '{}' node was expected.",
        wanted.reader_name()
    ))
}

fn unreadable(message: String) -> Refusal {
    Refusal::bad_request("RequestBodyRead", message)
}

const TEXTS: Kind = List(&Text);
const DAYS: Kind = Choice(&["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]);
const WEEK_INDEX: Kind = Choice(&["first", "second", "third", "fourth", "last"]);

/// `microsoft.graph.event`.
pub(super) const EVENT: Type = Type {
    name: "microsoft.graph.event",
    properties: &[
        ("subject", Text),
        ("body", Object(&ITEM_BODY)),
        ("start", Object(&DATE_TIME)),
        ("end", Object(&DATE_TIME)),
        ("location", Object(&LOCATION)),
        ("locations", List(&Object(&LOCATION))),
        ("attendees", List(&Object(&ATTENDEE))),
        ("transactionId", Text),
        ("isAllDay", Flag),
        ("showAs", Choice(&["free", "tentative", "busy", "oof", "workingElsewhere", "unknown"])),
        ("importance", Choice(&["low", "normal", "high"])),
        ("sensitivity", Choice(&["normal", "personal", "private", "confidential"])),
        ("isReminderOn", Flag),
        ("reminderMinutesBeforeStart", Number),
        ("categories", TEXTS),
        ("isOnlineMeeting", Flag),
        ("onlineMeetingProvider", Choice(&["unknown", "teamsForBusiness", "skypeForBusiness", "skypeForConsumer"])),
        ("allowNewTimeProposals", Flag),
        ("responseRequested", Flag),
        ("hideAttendees", Flag),
        ("recurrence", Object(&RECURRENCE)),
        ("singleValueExtendedProperties", List(&Object(&SINGLE_VALUE))),
        ("multiValueExtendedProperties", List(&Object(&MULTI_VALUE))),
        ("organizer", Object(&RECIPIENT)),
        ("id", Text),
        ("changeKey", Text),
        ("createdDateTime", Text),
        ("lastModifiedDateTime", Text),
        ("originalStartTimeZone", Text),
        ("originalEndTimeZone", Text),
        ("originalStart", Text),
        ("iCalUId", Text),
        ("uid", Text),
        ("hasAttachments", Flag),
        ("bodyPreview", Text),
        ("isCancelled", Flag),
        ("isDraft", Flag),
        ("isOrganizer", Flag),
        ("responseStatus", Any),
        ("seriesMasterId", Text),
        ("type", Choice(&["singleInstance", "occurrence", "exception", "seriesMaster"])),
        ("webLink", Text),
        ("onlineMeeting", Any),
        ("onlineMeetingUrl", Text),
        ("occurrenceId", Text),
        ("cancelledOccurrences", TEXTS),
        ("exceptionOccurrences", Any),
        ("instances", Any),
        ("extensions", Any),
        ("attachments", Any),
        ("calendar", Any),
    ],
};

const ITEM_BODY: Type = Type {
    name: "microsoft.graph.itemBody",
    properties: &[("contentType", Choice(&["text", "html"])), ("content", Text)],
};

const DATE_TIME: Type =
    Type { name: "microsoft.graph.dateTimeTimeZone", properties: &[("dateTime", Text), ("timeZone", Text)] };

const LOCATION: Type = Type {
    name: "microsoft.graph.location",
    properties: &[
        ("displayName", Text),
        ("locationEmailAddress", Text),
        ("address", Any),
        ("coordinates", Any),
        ("locationUri", Text),
        ("locationType", Text),
        ("uniqueId", Text),
        ("uniqueIdType", Text),
    ],
};

const ATTENDEE: Type = Type {
    name: "microsoft.graph.attendee",
    properties: &[
        ("emailAddress", Object(&EMAIL_ADDRESS)),
        ("type", Choice(&["required", "optional", "resource"])),
        ("status", Any),
        ("proposedNewTime", Any),
    ],
};

const RECIPIENT: Type =
    Type { name: "microsoft.graph.recipient", properties: &[("emailAddress", Object(&EMAIL_ADDRESS))] };

const EMAIL_ADDRESS: Type =
    Type { name: "microsoft.graph.emailAddress", properties: &[("address", Text), ("name", Text)] };

const SINGLE_VALUE: Type =
    Type { name: "microsoft.graph.singleValueLegacyExtendedProperty", properties: &[("id", Text), ("value", Text)] };

const MULTI_VALUE: Type =
    Type { name: "microsoft.graph.multiValueLegacyExtendedProperty", properties: &[("id", Text), ("value", TEXTS)] };

const RECURRENCE: Type = Type {
    name: "microsoft.graph.patternedRecurrence",
    properties: &[("pattern", Object(&PATTERN)), ("range", Object(&RANGE))],
};

const PATTERN: Type = Type {
    name: "microsoft.graph.recurrencePattern",
    properties: &[
        (
            "type",
            Choice(&["daily", "weekly", "absoluteMonthly", "relativeMonthly", "absoluteYearly", "relativeYearly"]),
        ),
        ("interval", Number),
        ("month", Number),
        ("dayOfMonth", Number),
        ("daysOfWeek", List(&DAYS)),
        ("firstDayOfWeek", DAYS),
        ("index", WEEK_INDEX),
    ],
};

const RANGE: Type = Type {
    name: "microsoft.graph.recurrenceRange",
    properties: &[
        ("type", Choice(&["endDate", "noEnd", "numbered"])),
        ("startDate", Text),
        ("endDate", Text),
        ("recurrenceTimeZone", Text),
        ("numberOfOccurrences", Number),
    ],
};
