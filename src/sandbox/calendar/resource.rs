//! The event resource as Graph returns it: what was sent, with defaults filled in, text bodies turned into HTML, times
//! in the zone the client prefers, and what only the server knows. What was not selected is not made.

use std::cell::LazyCell;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::marker::comparable_id;
use super::online;
use super::stored::{Event, EventState};
use super::times::EventTime;

/// How the client wants to see events.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The name of the preferred zone as the client wrote it, and the zone.
    pub(super) zone: (String, TimeZone),
    pub(super) immutable: bool,
    /// Properties to show; none for all.
    pub(super) select: Option<Vec<String>>,
    /// The single-value extended properties to show, ready to be compared.
    pub(super) expand: Vec<String>,
    /// The link of an online meeting is not ready yet.
    pub(super) without_link: bool,
    /// A cancelled event says that it is.
    pub(super) tells_cancelled: bool,
}

const NEVER: &str = "0001-01-01T00:00:00Z";
const EXTENDED: &str = "singleValueExtendedProperties";

/// An event being written down, as far as it was asked for.
struct Sheet<'a> {
    all: Map<String, Value>,
    view: &'a View,
}

impl Sheet<'_> {
    fn put(&mut self, name: &str, value: impl FnOnce() -> Value) {
        let wanted = self.view.select.as_ref().is_none_or(|select| select.iter().any(|wanted| wanted == name));
        if wanted {
            self.always(name, value());
        }
    }

    fn always(&mut self, name: &str, value: Value) {
        self.all.insert(name.to_owned(), value);
    }
}

/// The JSON of an event, without the context annotation of the answer.
pub(super) fn resource(event: &Event, view: &View) -> Map<String, Value> {
    let mut sheet = Sheet { all: Map::new(), view };
    identity(&mut sheet, event);
    content(&mut sheet, event);
    standing(&mut sheet, event);
    times(&mut sheet, event);
    people(&mut sheet, event);
    expanded(&mut sheet, event);
    sheet.all
}

/// The etag and the id come with every selection.
fn identity(sheet: &mut Sheet<'_>, event: &Event) {
    let id = event.ids.form(sheet.view.immutable);
    sheet.always("@odata.etag", json!(event.ids.etag()));
    sheet.always("id", json!(id));
    sheet.put("createdDateTime", || json!(event.stored.created_at));
    sheet.put("lastModifiedDateTime", || json!(event.modified_at));
    sheet.put("changeKey", || json!(event.ids.change_key));
    sheet.put("iCalUId", || json!(event.ids.ical_uid));
    sheet.put("webLink", || {
        json!(format!("https://outlook.office365.com/owa/?itemid={id}&exvsurl=1&path=/calendar/item"))
    });
    // Present only if an application set it.
    if let Some(transaction) = &event.stored.transaction_id {
        sheet.put("transactionId", || json!(transaction));
    }
}

type Default = fn() -> Value;

/// Properties that come back as they were sent, with what they are when they were not.
const PLAIN: &[(&str, Default)] = &[
    ("subject", || json!("")),
    ("categories", || json!([])),
    ("importance", || json!("normal")),
    ("sensitivity", || json!("normal")),
    ("isAllDay", || json!(false)),
    ("showAs", || json!("busy")),
    ("isReminderOn", || json!(true)),
    ("reminderMinutesBeforeStart", || json!(15)),
    ("responseRequested", || json!(true)),
    ("allowNewTimeProposals", || json!(true)),
    ("hideAttendees", || json!(false)),
    ("isOnlineMeeting", || json!(false)),
    ("recurrence", || Value::Null),
];

fn content(sheet: &mut Sheet<'_>, event: &Event) {
    let join_url = event.join_url.as_deref().filter(|_| !sheet.view.without_link);
    sheet.put("body", || json!({"contentType": "html", "content": html(event.property("body"), join_url)}));
    sheet.put("bodyPreview", || json!(sent_content(event.property("body")).chars().take(255).collect::<String>()));
    for (name, default) in PLAIN {
        sheet.put(name, || event.property(name).cloned().unwrap_or_else(default));
    }
    sheet.put("onlineMeeting", || join_url.map_or(Value::Null, |url| json!({"joinUrl": url})));
    sheet.put("onlineMeetingProvider", || match &event.join_url {
        Some(_) => json!("teamsForBusiness"),
        None => event.property("onlineMeetingProvider").cloned().unwrap_or_else(|| json!("unknown")),
    });
}

/// What the event is to this mailbox, and where it is.
fn standing(sheet: &mut Sheet<'_>, event: &Event) {
    let told = sheet.view.tells_cancelled && event.stored.state == EventState::Cancelled;
    sheet.put("isCancelled", || json!(told));
    sheet.put("isOrganizer", || json!(event.organizer.is_none()));
    sheet.put("type", || {
        json!(match (&event.series, event.is_series()) {
            (Some(_), _) => "occurrence",
            (None, true) => "seriesMaster",
            (None, false) => "singleInstance",
        })
    });
    sheet.put("seriesMasterId", || json!(event.series));
    sheet.put("hasAttachments", || json!(false));
    sheet.put("isDraft", || json!(false));
}

fn sent_content(body: Option<&Value>) -> &str {
    body.and_then(|body| body.get("content")).and_then(Value::as_str).unwrap_or_default()
}

/// The store keeps HTML: a text body comes back wrapped in generated markup, that of an online meeting with the way to
/// join it behind.
fn html(sent: Option<&Value>, join_url: Option<&str>) -> String {
    let content = sent_content(sent);
    let block = join_url.filter(|url| !content.contains(*url)).map(online::join_block).unwrap_or_default();
    if content.is_empty() && block.is_empty() {
        return String::new();
    }
    let kind = sent.and_then(|body| body.get("contentType")).and_then(Value::as_str).unwrap_or_default();
    let inner = match kind.eq_ignore_ascii_case("html") {
        true if is_document(content) => return with_block(content, &block),
        true => content.to_owned(),
        false => format!("<div class=\"PlainText\">{}</div>", escaped(content)),
    };
    let head = "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\r\n</head>";
    format!("{head}\r\n<body>\r\n{inner}{block}\r\n</body>\r\n</html>\r\n")
}

fn is_document(content: &str) -> bool {
    content.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("<html"))
}

/// A document keeps its form; the block goes where its body ends.
fn with_block(document: &str, block: &str) -> String {
    let end = document.rfind("</body>").unwrap_or(document.len());
    format!("{}{block}{}", &document[..end], &document[end..])
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\n', "<br>\r\n")
}

fn times(sheet: &mut Sheet<'_>, event: &Event) {
    let view = sheet.view;
    let shown = |when: &EventTime| match event.draft.all_day {
        true => when.floating(),
        false => when.in_zone(&view.zone.1),
    };
    sheet.put("originalStartTimeZone", || json!(event.draft.start.zone));
    sheet.put("originalEndTimeZone", || json!(event.draft.end.zone));
    sheet.put("start", || json!({"dateTime": shown(&event.draft.start), "timeZone": view.zone.0}));
    sheet.put("end", || json!({"dateTime": shown(&event.draft.end), "timeZone": view.zone.0}));
}

fn people(sheet: &mut Sheet<'_>, event: &Event) {
    let list = |name: &str| event.property(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let places = LazyCell::new(|| -> Vec<Value> {
        match event.property("location").filter(|location| location.is_object()) {
            Some(location) => vec![place(location)],
            None => list("locations").iter().map(place).collect(),
        }
    });
    sheet.put("location", || places.first().cloned().unwrap_or_else(|| place(&Value::Null)));
    sheet.put("locations", || json!(*places));
    sheet.put("attendees", || json!(list("attendees").iter().map(attendee).collect::<Vec<_>>()));
    let organizer = event.organizer.as_ref().unwrap_or(&event.stored.mailbox);
    sheet.put("organizer", || json!({"emailAddress": {"name": organizer, "address": organizer}}));
    let response = if event.organizer.is_none() { "organizer" } else { "notResponded" };
    sheet.put("responseStatus", || json!({"response": response, "time": NEVER}));
}

fn place(sent: &Value) -> Value {
    let name = sent.get("displayName").and_then(Value::as_str).unwrap_or_default();
    let mut place =
        json!({"displayName": name, "locationType": "default", "uniqueId": name, "uniqueIdType": "private"});
    if let (Some(place), Some(address)) = (place.as_object_mut(), sent.get("locationEmailAddress")) {
        place.insert("locationEmailAddress".into(), address.clone());
    }
    place
}

fn attendee(sent: &Value) -> Value {
    let part = |path: &str| sent.pointer(path).and_then(Value::as_str);
    let address = part("/emailAddress/address").unwrap_or_default();
    json!({
        "type": part("/type").unwrap_or("required"),
        "status": {"response": "none", "time": NEVER},
        "emailAddress": {"name": part("/emailAddress/name").unwrap_or(address), "address": address},
    })
}

/// An expanded property comes with every selection.
fn expanded(sheet: &mut Sheet<'_>, event: &Event) {
    if sheet.view.expand.is_empty() {
        return;
    }
    let wanted = |value: &&Value| {
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
        comparable_id(id).is_some_and(|id| sheet.view.expand.contains(&id))
    };
    let sent = event.property(EXTENDED).and_then(Value::as_array);
    let found: Vec<Value> = sent.into_iter().flatten().filter(wanted).cloned().collect();
    if !found.is_empty() {
        sheet.always(EXTENDED, json!(found));
    }
}
