//! Change an event: patched with what the row says and nothing else, against the version that was looked at, and stamped with a
//! revision by which the change is seen when its answer was lost. A change of attendees alone bears no stamp: it shows in them.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use super::{Doubt, Method, Of, Request, create, join_block, look};
use crate::graph::address::GraphBase;
use crate::graph::purpose::Purpose;
use crate::graph::reply::Reply;
use crate::graph::wire::encode_change;
use crate::job::{
    AttendeeType, Body, CallResult, Cause, EventChange, EventId, EventTarget, EventTime, EventType, Snapshot,
    Undraftable, Verified,
};

pub(in crate::graph) const BODY: &str = "body";

/// Further properties that Exchange keeps as they are given.
const COMPARED: [&str; 9] = [
    "allowNewTimeProposals",
    "categories",
    "hideAttendees",
    "importance",
    "isReminderOn",
    "reminderMinutesBeforeStart",
    "responseRequested",
    "sensitivity",
    "showAs",
];
/// The same, of what every look asks for.
const ALWAYS: [&str; 2] = ["isAllDay", "isOnlineMeeting"];

/// What is to be read of the event for this change: its body only where that is changed.
pub(super) fn asks_for(change: &EventChange) -> Vec<&'static str> {
    let compared = COMPARED.into_iter().filter(|name| change.extra.contains_key(*name));
    change.body.iter().map(|_| BODY).chain(compared).collect()
}

/// What the event shows of the change.
pub(super) fn verdict(event: &Value, target: &EventTarget, change: &EventChange, damaged: CallResult) -> Verified {
    let Some((seen, standing)) = look::seen(event) else { return damaged.into() };
    let refused = |cause| look::refused(cause).into();
    match seen.kind {
        _ if !look::is_meant(event, target) => refused(Cause::OtherEvent),
        _ if look::revision(event) == Some(change.revision.as_str()) => Verified::Done(look::named(seen, target)),
        _ if standing.is_cancelled => refused(Cause::EventCalledOff),
        _ if !standing.is_organizer => refused(Cause::NotOrganizer),
        EventType::Instance => refused(Cause::OneOfSeries),
        _ if is_already_so(event, change, &seen) => Verified::Done(look::named(seen, target)),
        // Nothing is changed in a version that nobody can name.
        _ if seen.etag.is_none() => damaged.into(),
        EventType::Single | EventType::SeriesMaster => Verified::Open(Box::new(seen)),
    }
}

/// Everything is as the row wants it: a change would only mail. Of a body, and of properties that Exchange keeps in its own
/// way, nobody can tell.
fn is_already_so(event: &Value, change: &EventChange, seen: &Snapshot) -> bool {
    let is_kept = |name: &String| COMPARED.iter().chain(&ALWAYS).any(|kept| kept == name);
    let is_extra_so = change.extra.iter().all(|(name, wanted)| is_kept(name) && event.get(name) == Some(wanted));
    if change.body.is_some() || !is_extra_so {
        return false;
    }
    let is = |wanted: Option<&str>, stored: &Value| {
        wanted.is_none_or(|wanted| wanted == stored.as_str().unwrap_or_default())
    };
    let is_at = |wanted: &EventTime, stored: &Value| match seen.is_all_day {
        true => wanted.wall().is_some_and(|wall| look::wall(stored) == Some(wall)),
        false => wanted.moment().is_some_and(|moment| look::moment(stored) == Some(moment)),
    };
    let times = match change.times(seen) {
        Ok(None) => true,
        Ok(Some((start, end))) => is_at(&start, &event["start"]) && is_at(&end, &event["end"]),
        Err(_) => false,
    };
    times
        && is(change.subject.as_deref(), &event["subject"])
        && is(change.location.as_deref(), &event["location"]["displayName"])
        && (change.attendees.is_none() || wanted(change) == set(&seen.attendees))
}

type Set = BTreeSet<(String, &'static str)>;

fn wanted(change: &EventChange) -> Set {
    let attendees = change.attendees.as_deref().unwrap_or_default();
    attendees.iter().map(|attendee| (attendee.address.to_lowercase(), attendee.kind.as_str())).collect()
}

fn set(attendees: &[(String, AttendeeType)]) -> Set {
    attendees.iter().map(|(address, kind)| (address.clone(), kind.as_str())).collect()
}

/// The request, from what was seen.
pub(super) fn request(
    base: &GraphBase,
    target: &EventTarget,
    change: &EventChange,
    seen: &Snapshot,
) -> Result<Request, Undraftable> {
    let times = change.times(seen)?;
    let body = body(change, seen)?;
    let body = Bytes::from(encode_change(change, times.as_ref(), body.as_ref())?);
    let url = base.one(target.mailbox.as_deref(), &target.event_id.0);
    Ok(Request {
        purpose: Purpose::Change,
        method: Method::Patch,
        url,
        body: Some(body),
        if_match: seen.etag.clone(),
        of: Of::Changed { target: target.clone(), told: seen.event.id.clone() },
    })
}

fn body(change: &EventChange, seen: &Snapshot) -> Result<Option<Body>, Undraftable> {
    let Some(new) = change.body.as_ref().filter(|_| seen.is_online) else { return Ok(change.body.clone()) };
    match join_block::kept(new, seen.body.as_ref(), seen.event.join_url.as_deref()) {
        Some(kept) => Ok(Some(kept)),
        None => Err(Undraftable::Refused(
            Cause::JoinBlock,
            "body: the event is an online meeting, and its join link was not found in the old body: a new one would take the link \
             away; leave body NULL, or write the link into it"
                .into(),
        )),
    }
}

/// Whom Exchange mails: of attendees alone only those who come or go, else all of them.
pub(super) fn recipients(change: &EventChange, seen: &Snapshot) -> usize {
    let (before, after) = (set(&seen.attendees), wanted(change));
    match (&change.attendees, change.is_of_attendees_alone()) {
        (Some(_), true) => {
            before.symmetric_difference(&after).map(|(address, _)| address).collect::<BTreeSet<_>>().len()
        }
        (Some(_), false) => before.union(&after).map(|(address, _)| address).collect::<BTreeSet<_>>().len(),
        (None, _) => before.len(),
    }
}

/// Only an answer that tells of this very event says that it was changed: by the transaction id it was created with, else by
/// its id, in the form it is named or was `told` in.
pub(super) fn doubts(target: &EventTarget, told: &EventId, reply: &Reply) -> Option<Doubt> {
    let is_named = || reply.event_id.as_ref().is_some_and(|id| *id == target.event_id || id == told);
    let is_own = match (&target.marker, &reply.told) {
        (Some(marker), Some(told)) => create::is_same(told, marker),
        _ => is_named(),
    };
    (!is_own).then_some(Doubt::AnotherEvent)
}

#[cfg(test)]
#[path = "update_tests.rs"]
pub(super) mod tests;
