//! The calendar calls themselves: create an event, look events up, read one, describe a calendar; `changes` has those that
//! change one. Works on a call that has passed sign-in, limits and script, and touches nothing but the store.

use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::changes::{cancel, change, delete};
use super::event::Draft;
use super::mailbox::MailboxBehaviour;
use super::marker::{Marker, expanded_ids, ical_uid_in};
use super::resource::{View, resource};
use super::route::{Call, Operation};
use super::store::{Inserted, Store};
use super::stored::{Event, NewEvent};

use super::series;
use super::times::zone_named;
use super::writers::Basis;
use crate::sandbox::options::Options;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::reply::{Ids, Reply};

/// Events in an answer unless `$top` asks for another number.
const PAGE: usize = 10;

/// The id of the calendar that needs none.
const DEFAULT_CALENDAR: &str = "AQMkADAwCalendar=";

/// A call with everything it came with.
pub(in crate::sandbox) struct Request<'a> {
    pub(in crate::sandbox) call: &'a Call,
    pub(in crate::sandbox) mailbox: &'a str,
    pub(in crate::sandbox) uri: &'a Uri,
    pub(in crate::sandbox) headers: &'a HeaderMap,
    /// The body as JSON; none if it was none.
    pub(in crate::sandbox) body: Option<Value>,
    /// What a change found when it arrived.
    pub(in crate::sandbox) basis: Option<Basis>,
    pub(in crate::sandbox) ids: &'a Ids,
    pub(in crate::sandbox) options: &'a Options,
}

/// The answer, and what the journal should remark.
pub(in crate::sandbox) fn answer(store: &Store, request: Request<'_>) -> (Reply, Option<&'static str>) {
    let ids = request.ids;
    let mut note = None;
    let result = match &request.call.operation {
        Operation::CreateEvent => create(store, request, &mut note),
        Operation::ListEvents { filter } => list(store, &request, filter.as_deref()),
        Operation::GetEvent(id) => event(store, &request, id),
        Operation::ChangeEvent(id) => change(store, request, id),
        Operation::DeleteEvent(id) => delete(store, &request, id),
        Operation::CancelEvent(id) => cancel(store, &request, id),
        Operation::ListInstances(id) => instances(store, &request, id),
        Operation::GetCalendar => calendar(&request),
    };
    (result.unwrap_or_else(|refusal| refusal.reply(ids)), note)
}

fn create(store: &Store, request: Request<'_>, note: &mut Option<&'static str>) -> Result<Reply, Refusal> {
    let behaviour = MailboxBehaviour::of(request.mailbox);
    if let MailboxBehaviour::Closed(refusal) | MailboxBehaviour::Full(refusal) = behaviour {
        return Err(refusal);
    }
    let mut view = view(&request)?;
    view.without_link = request.options.late_join_url;
    check_calendar(request.call)?;
    let received = object(request.headers, request.body)?;
    let draft = Draft::read(&received)?;
    *note = draft.note();
    let invalid_recipient = draft.invalid_recipient;
    let kept = store.insert(NewEvent {
        mailbox: request.mailbox.to_owned(),
        calendar_id: request.call.calendar.clone(),
        draft,
        received: Value::Object(received),
        immutable: view.immutable,
        deduplicate: request.options.deduplicate,
    });
    let event = match kept {
        Inserted::Created(event) | Inserted::Repeated(event) => event,
        Inserted::Conflict(first) => return Err(duplicate(&first, &view, request.options)),
    };
    // An error answer does not prove that nothing was created: in these two cases the event is there.
    match behaviour {
        MailboxBehaviour::Suspended(refusal) => Err(refusal),
        _ if invalid_recipient => Err(invalid_recipients()),
        _ => Ok(created(&event, &view)),
    }
}

fn created(event: &Event, view: &View) -> Reply {
    let mut body = resource(event, view);
    let mailbox = &event.stored.mailbox;
    let context = format!("https://graph.microsoft.com/v1.0/$metadata#users('{mailbox}')/events/$entity");
    body.shift_insert(0, "@odata.context".into(), json!(context));
    let id = event.ids.form(view.immutable);
    let location = format!("https://graph.microsoft.com/v1.0/users('{mailbox}')/events('{id}')");
    Reply::json(StatusCode::CREATED, Value::Object(body)).header(LOCATION, &location)
}

fn list(store: &Store, request: &Request<'_>, filter: Option<&str>) -> Result<Reply, Refusal> {
    check_mailbox(request.mailbox)?;
    check_calendar(request.call)?;
    let view = view(request)?;
    let mut found: Vec<Arc<Event>> = match filter {
        Some(filter) => {
            let found = matching(store, request.mailbox, filter)?;
            if request.options.lookup { found } else { Vec::new() }
        }
        None => store.listed(request.mailbox),
    };
    if let Some(calendar) = &request.call.calendar {
        found.retain(|event| event.stored.calendar_id.as_ref() == Some(calendar));
    }
    Ok(listing(request, &view, &found))
}

fn matching(store: &Store, mailbox: &str, filter: &str) -> Result<Vec<Arc<Event>>, Refusal> {
    if let Some(marker) = Marker::from_filter(filter) {
        return Ok(store.by_marker(mailbox, marker));
    }
    let uid = ical_uid_in(filter).ok_or_else(|| bad_filter(filter))?;
    let mut found = store.listed(mailbox);
    found.retain(|event| event.ids.ical_uid == uid);
    Ok(found)
}

/// A page of the events, with the link to the next.
fn listing(request: &Request<'_>, view: &View, found: &[Arc<Event>]) -> Reply {
    let (skip, page) = (request.call.skip, request.call.top.unwrap_or(PAGE));
    let shown = found.iter().skip(skip).take(page);
    let value: Vec<Value> = shown.map(|event| Value::Object(resource(event, view))).collect();
    let context = format!("https://graph.microsoft.com/v1.0/$metadata#users('{}')/events", request.mailbox);
    let mut list = json!({"@odata.context": context, "value": value});
    let next = skip.saturating_add(page);
    if page > 0 && next < found.len() {
        list["@odata.nextLink"] = json!(next_link(request, next));
    }
    Reply::json(StatusCode::OK, list)
}

/// The occurrences of a series come to be when they are first asked for.
fn instances(store: &Store, request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    check_mailbox(request.mailbox)?;
    check_calendar(request.call)?;
    let view = view(request)?;
    let series = store.by_id(request.mailbox, id).ok_or_else(item_not_found)?;
    Ok(listing(request, &view, &series::occurrences(store, &series)?))
}

/// The same request, further on, at the address the client knows.
fn next_link(request: &Request<'_>, skip: usize) -> String {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let query = request.uri.query().unwrap_or_default().split('&');
    let others = query.filter(|part| !part.is_empty() && !part.starts_with("$skip=") && !part.starts_with("%24skip="));
    let query: Vec<String> = others.map(str::to_owned).chain([format!("$skip={skip}")]).collect();
    format!("http://{host}{}?{}", request.uri.path(), query.join("&"))
}

fn event(store: &Store, request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    check_mailbox(request.mailbox)?;
    check_calendar(request.call)?;
    let view = view(request)?;
    let event = store.by_id(request.mailbox, id).filter(|event| is_in(request.call, event));
    let event = event.ok_or_else(item_not_found)?;
    Ok(Reply::json(StatusCode::OK, Value::Object(resource(&event, &view))))
}

fn calendar(request: &Request<'_>) -> Result<Reply, Refusal> {
    check_mailbox(request.mailbox)?;
    check_calendar(request.call)?;
    Ok(Reply::json(
        StatusCode::OK,
        json!({
            "id": request.call.calendar.as_deref().unwrap_or(DEFAULT_CALENDAR),
            "name": "Calendar",
            "canEdit": true,
            "isDefaultCalendar": request.call.calendar.is_none(),
            "allowedOnlineMeetingProviders": ["teamsForBusiness"],
            "defaultOnlineMeetingProvider": "teamsForBusiness",
            "owner": {"name": request.mailbox, "address": request.mailbox},
        }),
    ))
}

/// Reading goes on in a mailbox that is full or suspended.
pub(super) fn check_mailbox(mailbox: &str) -> Result<(), Refusal> {
    match MailboxBehaviour::of(mailbox) {
        MailboxBehaviour::Closed(refusal) => Err(refusal),
        MailboxBehaviour::Open | MailboxBehaviour::Full(_) | MailboxBehaviour::Suspended(_) => Ok(()),
    }
}

pub(super) fn check_calendar(call: &Call) -> Result<(), Refusal> {
    match &call.calendar {
        Some(id) if id.starts_with("missing") => Err(item_not_found()),
        _ => Ok(()),
    }
}

/// An event is found by way of its own calendar only.
pub(super) fn is_in(call: &Call, event: &Event) -> bool {
    let asked = call.calendar.as_deref();
    asked.is_none_or(|asked| event.stored.calendar_id.as_deref().unwrap_or(DEFAULT_CALENDAR) == asked)
}

/// The body, which must be a JSON object and say so.
pub(super) fn object(headers: &HeaderMap, body: Option<Value>) -> Result<Map<String, Value>, Refusal> {
    match body {
        Some(Value::Object(object)) if is_json(headers) => Ok(object),
        _ => Err(no_json()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("application/json")
}

pub(super) fn view(request: &Request<'_>) -> Result<View, Refusal> {
    let mut view = View {
        zone: ("UTC".to_owned(), TimeZone::UTC),
        immutable: false,
        select: request.call.select.as_ref().map(|list| list.split(',').map(|name| name.trim().to_owned()).collect()),
        expand: request.call.expand.as_deref().and_then(expanded_ids).unwrap_or_default(),
        without_link: false,
        tells_cancelled: request.options.tell_cancelled,
    };
    let values = request.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    for preference in values.flat_map(|value| value.split(',')) {
        let Some((name, value)) = preference.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "outlook.timezone" => {
                let tz = zone_named(value).ok_or_else(|| Refusal::unknown_zone(value))?;
                view.zone = (value.to_owned(), tz);
            }
            "idtype" => view.immutable = value.eq_ignore_ascii_case("ImmutableId"),
            _ => {}
        }
    }
    Ok(view)
}

fn duplicate(first: &Event, view: &View, options: &Options) -> Refusal {
    let transaction = first.stored.transaction_id.as_deref().unwrap_or_default();
    let message = format!("The transactionId '{transaction}' has already been used to create a different event.");
    let mut refusal = Refusal::bad_request("ErrorDuplicateTransactionId", message);
    refusal.existing_event_id = options.existing_event_id.then(|| first.ids.form(view.immutable).to_owned());
    refusal
}

pub(super) fn invalid_recipients() -> Refusal {
    Refusal::bad_request("ErrorInvalidRecipients", "At least one recipient is not valid.")
}

pub(super) fn item_not_found() -> Refusal {
    Refusal::not_found("ErrorItemNotFound", "The specified object was not found in the store.")
}

fn bad_filter(filter: &str) -> Refusal {
    Refusal::bad_request("ErrorInvalidProperty", format!("The filter '{filter}' is not supported for events."))
}

pub(super) fn no_json() -> Refusal {
    Refusal::bad_request(
        "BadRequest",
        "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
    )
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
