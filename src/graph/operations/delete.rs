//! End an event: called off where it has attendees, who are told the comment, and deleted where it has none (graph-lifecycle 2).
//! An event that is gone is what the row wants, whoever has ended it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Method, Of, Request, look};
use crate::graph::address::GraphBase;
use crate::graph::purpose::Purpose;
use crate::graph::reply::{Reply, event_ref};
use crate::job::{CallResult, Cancellation, Cause, EventRef, EventTarget, Outcome, Snapshot, Verified};

/// What the event shows.
pub(super) fn verdict(event: &Value, target: &EventTarget, damaged: CallResult) -> Verified {
    if event_ref(event).is_none() {
        return damaged.into();
    }
    match look::obstacle(event, target) {
        // Whoever asks whose event it is has been told: it is not the one that is to end.
        Some(cause @ (Cause::OtherEvent | Cause::OneOfSeries)) => look::refused(cause).into(),
        _ if event["isCancelled"] == true => Verified::Done(target.event_id.clone().into()),
        Some(cause) => look::refused(cause).into(),
        None => look::snapshot(event, target).map_or(damaged.into(), |seen| Verified::Open(Box::new(seen))),
    }
}

/// A look that met no event has found what is wanted.
pub(super) fn unseen(target: &EventTarget, result: CallResult) -> Verified {
    match result.outcome {
        Outcome::NoTarget(Cause::EventGone) => Verified::Done(target.event_id.clone().into()),
        _ => result.into(),
    }
}

/// The request, from what was seen.
pub(super) fn request(base: &GraphBase, target: &EventTarget, end: &Cancellation, seen: &Snapshot) -> Request {
    let (mailbox, id) = (target.mailbox.as_deref(), target.event_id.0.as_str());
    let of = Of::Event(target.clone());
    if seen.attendees.is_empty() {
        let url = base.one(mailbox, id);
        return Request { purpose: Purpose::End, method: Method::Delete, url, body: None, if_match: None, of };
    }
    let comment = json!({ "comment": end.comment.as_deref().unwrap_or_default() });
    let body = Some(Bytes::from(comment.to_string()));
    Request { purpose: Purpose::End, method: Method::Post, url: base.cancel(mailbox, id), body, if_match: None, of }
}

/// The event that has ended, if this answer says so: an end is answered without a word about the event.
pub(super) fn ended(target: &EventTarget, reply: &Reply, judged: &Outcome) -> Option<EventRef> {
    let is_graphs_yes = matches!(reply.status, 200 | 202 | 204) && reply.request_id.is_some();
    let is_gone = *judged == Outcome::NoTarget(Cause::EventGone);
    (is_graphs_yes || is_gone).then(|| target.event_id.clone().into())
}
