//! The event resource as Graph returns it: what was sent, with defaults filled in, text bodies turned into HTML, times
//! in the zone the client prefers, and what only the server knows.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::store::Event;
use super::times::EventTime;

/// How the client wants to see events.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The name of the preferred zone as the client wrote it, and the zone.
    pub(super) zone: (String, TimeZone),
    pub(super) immutable: bool,
    /// Properties to show; none for all.
    pub(super) select: Option<Vec<String>>,
    /// The single-value extended property to show, ready to be compared.
    pub(super) expand: Option<String>,
}

const NEVER: &str = "0001-01-01T00:00:00Z";

/// The JSON of an event, without the context annotation of the answer.
pub(super) fn resource(event: &Event, view: &View) -> Map<String, Value> {
    let mut all = Map::new();
    identity(&mut all, event, view);
    content(&mut all, event);
    times(&mut all, event, view);
    people(&mut all, event);
    if let Some(property) = &view.expand {
        expanded(&mut all, event, property);
    }
    match &view.select {
        Some(select) => selected(all, select),
        None => all,
    }
}

fn identity(all: &mut Map<String, Value>, event: &Event, view: &View) {
    let id = event.ids.form(view.immutable);
    all.insert("@odata.etag".into(), json!(format!("W/\"{}\"", event.ids.change_key)));
    all.insert("id".into(), json!(id));
    all.insert("createdDateTime".into(), json!(event.stored.created_at));
    all.insert("lastModifiedDateTime".into(), json!(event.stored.created_at));
    all.insert("changeKey".into(), json!(event.ids.change_key));
    all.insert("iCalUId".into(), json!(event.ids.ical_uid));
    let link = format!("https://outlook.office365.com/owa/?itemid={id}&exvsurl=1&path=/calendar/item");
    all.insert("webLink".into(), json!(link));
    // Present only if an application set it.
    if let Some(transaction) = &event.stored.transaction_id {
        all.insert("transactionId".into(), json!(transaction));
    }
}

type Default = fn() -> Value;

/// Properties that come back as they were sent, with what they are when they were not.
const PLAIN: &[(&str, Default)] = &[
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
    ("onlineMeetingProvider", || json!("unknown")),
    ("recurrence", || Value::Null),
];

fn content(all: &mut Map<String, Value>, event: &Event) {
    let sent = |name: &str| event.stored.received.get(name).filter(|value| !value.is_null()).cloned();
    all.insert("subject".into(), sent("subject").unwrap_or_else(|| json!("")));
    let (html, preview) = body(sent("body").as_ref());
    all.insert("body".into(), json!({"contentType": "html", "content": html}));
    all.insert("bodyPreview".into(), json!(preview));
    for (name, default) in PLAIN {
        all.insert((*name).into(), sent(name).unwrap_or_else(default));
    }
    let kind = if sent("recurrence").is_some() { "seriesMaster" } else { "singleInstance" };
    all.insert("type".into(), json!(kind));
    for (name, value) in [("hasAttachments", false), ("isCancelled", false), ("isDraft", false), ("isOrganizer", true)]
    {
        all.insert(name.into(), json!(value));
    }
    all.insert("onlineMeeting".into(), online_meeting(all));
}

/// The calendar allows Teams only; any other provider is ignored without a word.
fn online_meeting(all: &Map<String, Value>) -> Value {
    let wanted = all.get("isOnlineMeeting") == Some(&json!(true));
    let provider = all.get("onlineMeetingProvider").and_then(Value::as_str).unwrap_or_default();
    let teams = ["unknown", "teamsforbusiness"].iter().any(|known| known.eq_ignore_ascii_case(provider));
    match wanted && teams {
        true => json!({"joinUrl": "https://teams.microsoft.com/l/meetup-join/sandbox"}),
        false => Value::Null,
    }
}

/// The store keeps HTML: a text body comes back wrapped in generated markup.
fn body(sent: Option<&Value>) -> (String, String) {
    let part = |name: &str| sent.and_then(|body| body.get(name)).and_then(Value::as_str).unwrap_or_default();
    let content = part("content");
    let preview = content.chars().take(255).collect();
    if content.is_empty() {
        return (String::new(), preview);
    }
    let is_html = part("contentType").eq_ignore_ascii_case("html");
    let inner = match is_html {
        true => content.to_owned(),
        false => format!("<div class=\"PlainText\">{}</div>", escaped(content)),
    };
    let head = "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\r\n</head>";
    (format!("{head}\r\n<body>\r\n{inner}\r\n</body>\r\n</html>\r\n"), preview)
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\n', "<br>\r\n")
}

fn times(all: &mut Map<String, Value>, event: &Event, view: &View) {
    let (name, tz) = &view.zone;
    let shown = |when: &EventTime| match event.draft.all_day {
        true => when.floating(),
        false => when.in_zone(tz),
    };
    all.insert("originalStartTimeZone".into(), json!(event.draft.start.zone));
    all.insert("originalEndTimeZone".into(), json!(event.draft.end.zone));
    all.insert("start".into(), json!({"dateTime": shown(&event.draft.start), "timeZone": name}));
    all.insert("end".into(), json!({"dateTime": shown(&event.draft.end), "timeZone": name}));
}

fn people(all: &mut Map<String, Value>, event: &Event) {
    let received = &event.stored.received;
    let list = |name: &str| received.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut locations = list("locations");
    if let Some(location) = received.get("location").filter(|location| location.is_object()) {
        locations = vec![location.clone()];
    }
    let locations: Vec<Value> = locations.iter().map(place).collect();
    all.insert("location".into(), locations.first().cloned().unwrap_or_else(|| place(&Value::Null)));
    all.insert("locations".into(), json!(locations));
    let attendees: Vec<Value> = list("attendees").iter().map(attendee).collect();
    all.insert("attendees".into(), json!(attendees));
    let mailbox = &event.stored.mailbox;
    all.insert("organizer".into(), json!({"emailAddress": {"name": mailbox, "address": mailbox}}));
    all.insert("responseStatus".into(), json!({"response": "organizer", "time": NEVER}));
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

fn expanded(all: &mut Map<String, Value>, event: &Event, property: &str) {
    let sent = event.stored.received.get("singleValueExtendedProperties").and_then(Value::as_array);
    let wanted = |value: &&Value| {
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
        super::marker::comparable_id(id).as_deref() == Some(property)
    };
    let found: Vec<Value> = sent.into_iter().flatten().filter(wanted).cloned().collect();
    if !found.is_empty() {
        all.insert("singleValueExtendedProperties".into(), json!(found));
    }
}

/// The etag and the id come with every selection, an expanded property too.
fn selected(all: Map<String, Value>, select: &[String]) -> Map<String, Value> {
    let always = ["@odata.etag", "id", "singleValueExtendedProperties"];
    let keep = |name: &str| always.contains(&name) || select.iter().any(|wanted| wanted == name);
    all.into_iter().filter(|(name, _)| keep(name)).collect()
}
