//! The calls that change an event: PATCH, DELETE and cancel. Each is judged by the version it found when it arrived, and
//! leaves an account of the mails it causes.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, IF_MATCH};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::calls::{Request, check_calendar, check_mailbox, invalid_recipients, is_in, item_not_found, object, view};
use super::change::Change;
use super::event::invalid_request;
use super::mailbox::MailboxBehaviour;
use super::mails::{MailKind, Mailing, Moment};
use super::resource::resource;
use super::store::Store;
use super::stored::{Event, EventState};
use super::writers::Basis;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::reply::{Content, Reply};

/// The answer shows the event in UTC, whatever zone is preferred.
pub(super) fn change(store: &Store, mut request: Request<'_>, id: &str) -> Result<Reply, Refusal> {
    let behaviour = MailboxBehaviour::of(request.mailbox);
    if let MailboxBehaviour::Closed(refusal) | MailboxBehaviour::Full(refusal) = behaviour {
        return Err(refusal);
    }
    check_calendar(request.call)?;
    let mut view = view(&request)?;
    view.zone = ("UTC".to_owned(), TimeZone::UTC);
    let change = Change::read(object(request.headers, request.body.take())?)?;
    let event = carry_out(store, &request, id, |event, moment| changed(event, &change, moment))?;
    match behaviour {
        MailboxBehaviour::Suspended(refusal) => Err(refusal),
        _ if event.draft.invalid_recipient => Err(invalid_recipients()),
        _ => Ok(Reply::json(StatusCode::OK, Value::Object(resource(&event, &view)))),
    }
}

/// The organizer's copy takes the meeting with it; anybody else throws away a copy.
pub(super) fn delete(store: &Store, request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    check_mailbox(request.mailbox)?;
    check_calendar(request.call)?;
    carry_out(store, request, id, |event, moment| Ok(removed(event, EventState::Deleted, moment, None)))?;
    Ok(Reply::new(StatusCode::NO_CONTENT, Content::Empty))
}

pub(super) fn cancel(store: &Store, request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    check_mailbox(request.mailbox)?;
    check_calendar(request.call)?;
    let comment = comment(request)?;
    carry_out(store, request, id, |event, moment| {
        check_cancel(event)?;
        Ok(removed(event, EventState::Cancelled, moment, comment))
    })?;
    Ok(Reply::new(StatusCode::ACCEPTED, Content::Empty))
}

fn carry_out(
    store: &Store,
    request: &Request<'_>,
    id: &str,
    change: impl FnOnce(&Event, &Moment) -> Result<Event, Refusal>,
) -> Result<Arc<Event>, Refusal> {
    let outcome = store.change(request.mailbox, id, |event, moment| {
        if !is_in(request.call, event) {
            return Err(item_not_found());
        }
        check_version(request, event)?;
        let mut after = change(event, moment)?;
        after.modified_at.clone_from(&moment.at);
        Ok(after)
    });
    outcome.unwrap_or_else(|| Err(item_not_found()))
}

/// A change is refused where another one is under way or came first, and where `If-Match` names another version.
fn check_version(request: &Request<'_>, event: &Event) -> Result<(), Refusal> {
    let found = |basis: &Basis| !basis.contended && basis.change_key.as_ref() == Some(&event.ids.change_key);
    let wanted = request.headers.get(IF_MATCH).and_then(|etag| etag.to_str().ok()).map(str::trim);
    let matches = wanted.is_none_or(|etag| etag == "*" || etag == event.ids.etag());
    match matches && request.basis.as_ref().is_none_or(found) {
        true => Ok(()),
        false => Err(conflict()),
    }
}

fn changed(event: &Event, change: &Change, moment: &Moment) -> Result<Event, Refusal> {
    let before = event.properties().ok_or_else(item_not_found)?;
    let changed = change.apply(before, event.join_url.as_deref())?;
    let mut after = event.clone();
    // Nobody hears of what somebody else's meeting looks like in this calendar.
    if event.organizer.is_none() {
        let alone = change.is_attendees_alone();
        after.mailings.extend(Mailing::of_change(&event.draft, &changed.draft, alone, moment));
    }
    after.stored.changed = Some(Value::Object(changed.properties));
    after.stored.changes += 1;
    after.draft = changed.draft;
    if changed.link_lost {
        after.join_url = None;
    }
    after.go_online();
    Ok(after)
}

fn removed(event: &Event, state: EventState, moment: &Moment, comment: Option<String>) -> Event {
    let mut after = event.clone();
    // What lies in Deleted Items is thrown away without a word; a second cancel may mail again, for all that is known.
    let tells = event.organizer.is_none() && (event.is_present() || state == EventState::Cancelled);
    if tells {
        after.mailings.extend(Mailing::to_all(MailKind::Cancellation, &event.draft, moment, comment));
    }
    after.stored.state = state;
    after
}

fn check_cancel(event: &Event) -> Result<(), Refusal> {
    if event.organizer.is_some() {
        return Err(invalid_request(
            "Your request can't be completed. You need to be an organizer to cancel a meeting.",
        ));
    }
    match event.draft.attendees.is_empty() {
        true => Err(invalid_request("Your request can't be completed. The event has no attendees to cancel it for.")),
        false => Ok(()),
    }
}

/// Graph does not mind the case of an action's parameter, nor an action without a body.
fn comment(request: &Request<'_>) -> Result<Option<String>, Refusal> {
    let length = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if request.body.is_none() && length.is_none_or(|length| length == "0") {
        return Ok(None);
    }
    let mut comment = None;
    for (name, value) in object(request.headers, request.body.clone())? {
        comment = match value {
            Value::String(text) if name.eq_ignore_ascii_case("comment") => Some(text),
            Value::Null if name.eq_ignore_ascii_case("comment") => None,
            _ => return Err(no_parameter(&name)),
        };
    }
    Ok(comment.filter(|text| !text.is_empty()))
}

fn no_parameter(name: &str) -> Refusal {
    let message = format!(
        "The parameter '{name}' in the request payload is not a valid parameter for the operation 'cancel', or its value is of another type."
    );
    Refusal::bad_request("BadRequest", message)
}

fn conflict() -> Refusal {
    Refusal::new(
        StatusCode::PRECONDITION_FAILED,
        "ErrorIrresolvableConflict",
        "The send or update operation could not be performed because the change key passed in the request does not \
         match the current change key for the item.",
    )
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
