//! A PATCH, checked the way a create is, and what it makes of an event: what it names is replaced, what it leaves out
//! stays, and the whole must still be an event.

use serde_json::{Map, Value, json};

use super::event::{Draft, invalid_request};
use super::marker::comparable_id;
use super::schema::EVENT;
use crate::sandbox::refusal::Refusal;

const EXTENDED: &str = "singleValueExtendedProperties";

/// Written by the server; ignored in a change.
const READ_ONLY: &[&str] = &[
    "id",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "iCalUId",
    "uid",
    "isCancelled",
    "isDraft",
    "isOrganizer",
    "organizer",
    "onlineMeeting",
    "onlineMeetingUrl",
    "responseStatus",
    "seriesMasterId",
    "type",
    "webLink",
];

/// The properties a PATCH names.
#[derive(Clone, Debug)]
pub(super) struct Change(Map<String, Value>);

/// What a change makes of an event.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) properties: Map<String, Value>,
    pub(super) draft: Draft,
    /// The new body left the link to the meeting out.
    pub(super) link_lost: bool,
}

impl Change {
    pub(super) fn read(mut sent: Map<String, Value>) -> Result<Self, Refusal> {
        EVENT.check(&sent)?;
        if sent.contains_key("transactionId") {
            return Err(invalid_request("ClientId/TransactionId is immutable and cannot be updated."));
        }
        for name in ["start", "end"] {
            check_zone(&sent, name)?;
        }
        sent.retain(|name, _| !name.contains('@') && !READ_ONLY.contains(&name.as_str()));
        Ok(Self(sent))
    }

    /// Names the attendees and nothing else, so only those concerned get mail.
    pub(super) fn is_attendees_alone(&self) -> bool {
        self.0.len() == 1 && self.0.contains_key("attendees")
    }

    /// The event afterwards; `join_url` is the link it has now.
    pub(super) fn apply(&self, before: &Map<String, Value>, join_url: Option<&str>) -> Result<Changed, Refusal> {
        self.check_series(before)?;
        let mut after = before.clone();
        for (name, value) in &self.0 {
            match name.as_str() {
                EXTENDED => merge_extended(&mut after, value),
                // The one list of places mirrors the other.
                "location" => drop(after.shift_remove("locations")),
                "locations" => drop(after.shift_remove("location")),
                // Once online, a meeting stays with its provider.
                "isOnlineMeeting" | "onlineMeetingProvider" if join_url.is_some() => continue,
                _ => {}
            }
            if name != EXTENDED {
                after.insert(name.clone(), value.clone());
            }
        }
        let link_lost = join_url.is_some_and(|url| self.leaves_out(url));
        if link_lost {
            after.insert("isOnlineMeeting".into(), json!(false));
            after.shift_remove("onlineMeetingProvider");
        }
        let draft = Draft::read(&after)?;
        Ok(Changed { properties: after, draft, link_lost })
    }

    fn leaves_out(&self, join_url: &str) -> bool {
        let content = |body: &Value| body.get("content").and_then(Value::as_str).unwrap_or_default().contains(join_url);
        self.0.get("body").is_some_and(|body| !content(body))
    }

    /// A series cannot be moved to another zone by a change.
    fn check_series(&self, before: &Map<String, Value>) -> Result<(), Refusal> {
        let zone = |event: &Map<String, Value>| Some(event.get("start")?.get("timeZone")?.as_str()?.to_lowercase());
        let is_series = before.get("recurrence").is_some_and(Value::is_object);
        match (is_series, zone(&self.0), zone(before)) {
            (true, Some(new), old) if old.as_ref() != Some(&new) => Err(Refusal::validation()),
            _ => Ok(()),
        }
    }
}

fn check_zone(sent: &Map<String, Value>, name: &str) -> Result<(), Refusal> {
    let Some(time) = sent.get(name) else { return Ok(()) };
    match time.get("timeZone").and_then(Value::as_str) {
        Some(zone) if !zone.is_empty() => Ok(()),
        _ => Err(Refusal::unknown_zone("")),
    }
}

/// A property takes the place of the one with the same id.
fn merge_extended(after: &mut Map<String, Value>, sent: &Value) {
    let id = |property: &Value| {
        let id = property.get("id").and_then(Value::as_str).unwrap_or_default();
        comparable_id(id).unwrap_or_else(|| id.to_owned())
    };
    let mut merged = after.get(EXTENDED).and_then(Value::as_array).cloned().unwrap_or_default();
    for property in sent.as_array().into_iter().flatten() {
        match merged.iter_mut().find(|known| id(known) == id(property)) {
            Some(known) => *known = property.clone(),
            None => merged.push(property.clone()),
        }
    }
    after.insert(EXTENDED.into(), Value::Array(merged));
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
