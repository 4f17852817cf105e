//! Change an event: patched with what the row says and nothing else, against the version that was looked at, and stamped with a
//! revision by which the change is seen when its answer was lost. A change of attendees alone bears no stamp: it shows in them.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use super::{Doubt, Method, Request, join_block, look};
use crate::graph::address::GraphBase;
use crate::graph::purpose::Purpose;
use crate::graph::reply::{Reply, event_ref};
use crate::graph::wire::encode_change;
use crate::job::{
    AttendeeType, Body, CallResult, Cause, EventChange, EventRef, EventTarget, Snapshot, Undraftable, Verified,
};

/// What the event shows of the change.
pub(super) fn verdict(event: &Value, target: &EventTarget, change: &EventChange, damaged: CallResult) -> Verified {
    let Some(told) = event_ref(event) else { return damaged.into() };
    let done = || Verified::Done(EventRef { id: target.event_id.clone(), ..told.clone() });
    if look::revision(event) == Some(change.revision.as_str()) {
        return done();
    }
    if event["isCancelled"] == true {
        return look::refused(Cause::EventCalledOff).into();
    }
    if let Some(cause) = look::obstacle(event, target) {
        return look::refused(cause).into();
    }
    match look::snapshot(event, target) {
        None => damaged.into(),
        Some(seen) if is_already_so(event, change, &seen) => done(),
        Some(seen) => Verified::Open(Box::new(seen)),
    }
}

/// Everything is as the row wants it: a change would only mail. Of a body and of further properties nobody can tell, as
/// Exchange keeps them in its own way.
fn is_already_so(event: &Value, change: &EventChange, seen: &Snapshot) -> bool {
    if change.body.is_some() || !change.extra.is_empty() {
        return false;
    }
    let is = |wanted: Option<&str>, stored: &Value| {
        wanted.is_none_or(|wanted| wanted == stored.as_str().unwrap_or_default())
    };
    let times = match change.times(seen) {
        Ok(None) => true,
        Ok(Some((start, end))) => [(start, "start"), (end, "end")]
            .into_iter()
            .all(|(time, name)| time.moment().is_some_and(|moment| look::moment(&event[name]) == Some(moment))),
        Err(_) => false,
    };
    times
        && is(change.subject.as_deref(), &event["subject"])
        && is(change.location.as_deref(), &event["location"]["displayName"])
        && change.attendees.is_none().then_some(true).unwrap_or_else(|| wanted(change) == set(&seen.attendees))
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
        of: super::Of::Event(target.clone()),
    })
}

fn body(change: &EventChange, seen: &Snapshot) -> Result<Option<Body>, Undraftable> {
    let Some(new) = change.body.as_ref().filter(|_| seen.is_online) else { return Ok(change.body.clone()) };
    match join_block::kept(new, seen.body.as_ref(), seen.event.join_url.as_deref()) {
        Some(kept) => Ok(Some(kept)),
        None => Err(Undraftable::Refused(
            Cause::JoinBlock,
            "the event is an online meeting, and a new body would take its join link away: it cannot be told where that stands \
             in the old one; leave body out, or put the link into it"
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

/// Only an answer that tells of this very event says that it was changed. One named in another form of its id is answered in
/// ours.
pub(super) fn doubts(target: &EventTarget, reply: &Reply) -> Option<Doubt> {
    let is_other = target.marker.is_some() && reply.event_id.as_ref() != Some(&target.event_id);
    is_other.then_some(Doubt::AnotherEvent)
}
