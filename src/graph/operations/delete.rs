//! End an event: cancelled where it has attendees, who are told the comment, and deleted where it has none (graph-lifecycle 2).
//! An event that is gone is what the row wants, whoever has ended it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Method, Of, Request, look};
use crate::graph::address::GraphBase;
use crate::graph::purpose::Purpose;
use crate::graph::reply::Reply;
use crate::job::{
    CallResult, Cancellation, Cause, EventId, EventRef, EventTarget, EventType, InvalidJob, Outcome, Snapshot, Verified,
};

/// What the event shows.
pub(super) fn verdict(event: &Value, target: &EventTarget, damaged: CallResult) -> Verified {
    let Some((seen, standing)) = look::seen(event) else { return damaged.into() };
    let refused = |cause| look::refused(cause).into();
    match seen.kind {
        _ if !look::is_meant(event, target) => refused(Cause::OtherEvent),
        EventType::Instance => refused(Cause::OneOfSeries),
        _ if standing.is_cancelled => Verified::Done(look::named(seen, target)),
        _ if !standing.is_organizer => refused(Cause::NotOrganizer),
        EventType::Single | EventType::SeriesMaster => Verified::Open(Box::new(seen)),
    }
}

/// A lookup that met no event has found what is wanted.
pub(super) fn unseen(target: &EventTarget, result: CallResult) -> Verified {
    match result.outcome {
        Outcome::NoTarget(Cause::EventGone) => Verified::Done(target.event_id.clone().into()),
        _ => result.into(),
    }
}

/// The request, from what was seen.
pub(super) fn request(
    base: &GraphBase,
    target: &EventTarget,
    end: &Cancellation,
    seen: &Snapshot,
) -> Result<Request, InvalidJob> {
    let (mailbox, id) = (target.mailbox.as_deref(), target.event_id.0.as_str());
    let of = Of::Ended(target.event_id.clone());
    if seen.attendees.is_empty() {
        let url = base.one(mailbox, id);
        return Ok(Request { purpose: Purpose::End, method: Method::Delete, url, body: None, if_match: None, of });
    }
    let comment = json!({ "comment": end.comment.as_deref().unwrap_or_default() }).to_string();
    end.check_size(comment.len())?;
    let (url, body) = (base.cancel(mailbox, id), Some(Bytes::from(comment)));
    Ok(Request { purpose: Purpose::End, method: Method::Post, url, body, if_match: None, of })
}

/// The event that has ended, if this answer says so: an end is answered without a word about the event, but not without
/// Graph's request-id, and a portal knows neither status.
pub(super) fn ended(event_id: &EventId, reply: &Reply, judged: &Outcome) -> Option<EventRef> {
    let is_graphs = reply.request_id.is_some() && !reply.is_object && !reply.is_kept;
    let is_yes = is_graphs && matches!(reply.status, 202 | 204);
    let is_gone = *judged == Outcome::NoTarget(Cause::EventGone);
    (is_yes || is_gone).then(|| event_id.clone().into())
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
