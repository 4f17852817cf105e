//! The `attendees` column: a JSON array in the *Event Attendee 1.1.0* schema, plus `"type"` for rooms.

use serde_json::{Map, Value};

use super::{InvalidJob, address, json};
use crate::characters;

/// How somebody is invited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttendeeType {
    /// `"required": true`.
    Required,
    /// `"required": false`.
    Optional,
    /// A room or a piece of equipment.
    Resource,
}

impl AttendeeType {
    /// Graph's word, which is also the column's.
    pub fn as_str(self) -> &'static str {
        match self {
            AttendeeType::Required => "required",
            AttendeeType::Optional => "optional",
            AttendeeType::Resource => "resource",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Required, Self::Optional, Self::Resource].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One invited person, room or thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee {
    pub address: String,
    /// Display name; none is left out of the request.
    pub name: Option<String>,
    pub kind: AttendeeType,
}

const COLUMN: &str = "attendees";

/// Keys of an entry, and how the connector writes them.
const KEYS: [(&str, &str); 4] = [("name", "Name"), ("address", "Address"), ("required", "Required"), ("type", "Type")];
/// What others call them.
const ALIASES: [(&str, &str); 8] = [
    ("email", "address"),
    ("mail", "address"),
    ("emailaddress", "address"),
    ("smtp", "address"),
    ("displayname", "name"),
    ("optional", "required"),
    ("isrequired", "required"),
    ("kind", "type"),
];

/// Reads the whole column; the first fault ends it.
pub(super) fn parse(text: &str) -> Result<Vec<Attendee>, InvalidJob> {
    let value = json::parse(text)
        .map_err(|fault| InvalidJob::new(COLUMN, format!("{fault}; the column holds an array of objects")))?;
    let Value::Array(items) = value else {
        return Err(InvalidJob::new(COLUMN, "is not a JSON array; write [{\"address\": …, \"required\": true}]"));
    };
    if items.len() > super::MAX_ATTENDEES {
        return Err(InvalidJob::new(
            COLUMN,
            format!("has {} entries; Exchange allows {} per event", items.len(), super::MAX_ATTENDEES),
        ));
    }
    items.iter().enumerate().map(|(index, item)| attendee(index, item)).collect()
}

/// What an entry says, in either writing of its [`KEYS`]. Nothing that is written is passed over.
#[derive(Default)]
struct Fields<'f> {
    name: Option<&'f Value>,
    address: Option<&'f Value>,
    required: Option<&'f Value>,
    kind: Option<&'f Value>,
}

impl<'f> Fields<'f> {
    fn of(entry: &'f Map<String, Value>) -> Result<Self, String> {
        let mut fields = Self::default();
        let mut twice = None;
        for (key, value) in entry {
            let Some((name, capital)) = KEYS.iter().find(|(name, capital)| key == name || key == capital) else {
                return Err(unknown(key));
            };
            let field = match *name {
                "name" => &mut fields.name,
                "address" => &mut fields.address,
                "required" => &mut fields.required,
                _ => &mut fields.kind,
            };
            if field.replace(value).is_some() {
                twice = Some(format!("has both '{name}' and '{capital}'; leave one of them out"));
            }
        }
        twice.map_or(Ok(fields), Err)
    }
}

fn attendee(index: usize, item: &Value) -> Result<Attendee, InvalidJob> {
    let fault = |what: String| InvalidJob::new(COLUMN, format!("entry {} {what}", index + 1));
    let Value::Object(entry) = item else {
        return Err(fault("is not an object; write {\"address\": …, \"required\": true}".into()));
    };
    let fields = Fields::of(entry).map_err(fault)?;
    let address = match fields.address {
        Some(Value::String(address)) => address.trim_ascii().to_owned(),
        None | Some(Value::Null) => return Err(fault("has no 'address'; every attendee needs one".into())),
        Some(_) => return Err(fault("has an 'address' that is not text".into())),
    };
    if let Some(what) = address::fault(&address) {
        return Err(fault(format!("has an 'address' that {what}")));
    }
    let name = match fields.name {
        Some(Value::String(name)) => Some(name.clone()),
        None | Some(Value::Null) => None,
        Some(_) => return Err(fault("has a 'name' that is neither text nor null".into())),
    };
    Ok(Attendee { address, name, kind: kind(&fields).map_err(fault)? })
}

fn unknown(key: &str) -> String {
    let meant = match nearest(key) {
        Some(name) => format!("did you mean '{name}'?"),
        None => "an entry has 'address', 'name', 'required' and 'type'".to_owned(),
    };
    format!("has an unknown key {}; {meant}", characters::quoted(key))
}

fn nearest(unknown: &str) -> Option<&'static str> {
    let plain: String = unknown.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == plain) {
        return Some(name);
    }
    let names = KEYS.iter().map(|(name, _)| (strsim::jaro_winkler(&plain, name), *name));
    names.filter(|(likeness, _)| *likeness > 0.8).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

/// From `required`, `type`, or both where they say the same; from neither as Graph has it.
fn kind(fields: &Fields) -> Result<AttendeeType, String> {
    let required = match fields.required {
        None | Some(Value::Null) => None,
        Some(Value::Bool(required)) => Some(*required),
        // SQLite's JSON functions know no booleans.
        Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Some(false),
        Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Some(true),
        Some(Value::String(_)) => {
            return Err("has a 'required' that is text; write true or false without quotation marks".into());
        }
        Some(_) => return Err("has a 'required' that is neither true nor false, nor 1 or 0".into()),
    };
    let kind = match fields.kind {
        None | Some(Value::Null) => None,
        Some(Value::String(word)) => Some(AttendeeType::parse(word).ok_or_else(|| {
            let word = characters::quoted(word);
            format!("has an unknown 'type', {word}; it is \"required\", \"optional\" or \"resource\"")
        })?),
        Some(_) => return Err("has a 'type' that is not text".into()),
    };
    match (required, kind) {
        (Some(true), Some(AttendeeType::Optional)) | (Some(false), Some(AttendeeType::Required)) => {
            Err("has a 'required' and a 'type' that contradict each other; give one of them".into())
        }
        (Some(_), Some(AttendeeType::Resource)) => {
            Err("has a 'required' beside \"type\": \"resource\"; a room or equipment has none, leave it out".into())
        }
        (_, Some(kind)) => Ok(kind),
        (Some(false), None) => Ok(AttendeeType::Optional),
        (Some(true) | None, None) => Ok(AttendeeType::Required),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn required_optional_resource_and_capital_keys_are_read() {
        let attendees = parse(
            r#"[{"name":"Ann","address":"ann@contoso.com","required":true},
                {"name":null,"address":"bob@contoso.com","required":false},
                {"address":"room1@contoso.com","type":"resource"},
                {"Name":"Cy","Address":"cy@contoso.com","Required":true}]"#,
        )
        .unwrap();
        let seen: Vec<_> = attendees.iter().map(|a| (a.address.as_str(), a.name.as_deref(), a.kind)).collect();
        assert_eq!(
            seen,
            [
                ("ann@contoso.com", Some("Ann"), AttendeeType::Required),
                ("bob@contoso.com", None, AttendeeType::Optional),
                ("room1@contoso.com", None, AttendeeType::Resource),
                ("cy@contoso.com", Some("Cy"), AttendeeType::Required),
            ]
        );
    }

    #[test]
    fn each_fault_names_the_entry_and_what_is_wrong() {
        for (text, part) in [
            ("{}", "not a JSON array"),
            ("[", "not JSON"),
            ("[1]", "entry 1 is not an object"),
            (r#"[{"address":"a@b.c","required":true},{"required":true}]"#, "entry 2 has no 'address'"),
            (r#"[{"address":7,"required":true}]"#, "not text"),
            (r#"[{"address":"Ann","required":true}]"#, "not a mail address"),
            (r#"[{"address":"a@b.c","required":"yes"}]"#, "without quotation marks"),
            (r#"[{"address":"a@b.c","required":2}]"#, "neither true nor false"),
            (r#"[{"address":"a@b.c","type":"guest"}]"#, "unknown 'type', 'guest'"),
            (
                r#"[{"address":"a@b.c"},{"address":"b@b.c","nmae":"B"}]"#,
                "entry 2 has an unknown key 'nmae'; did you mean 'name'?",
            ),
            (r#"[{"address":"a@b.c","colour":1}]"#, "an unknown key 'colour'; an entry has 'address'"),
            (r#"[{"emailAddress":{"address":"a@b.c"}}]"#, "did you mean 'address'?"),
            (r#"[{"ADDRESS":"a@b.c"}]"#, "did you mean 'address'?"),
            (r#"[{"address":"a@b.c","name":"A","Name":"B"}]"#, "both 'name' and 'Name'"),
            (r#"[{"address":"a@b.c","address":"b@b.c"}]"#, "entry 1 has the key 'address' twice"),
            (r#"[{"address":"mailto:a@b.c"}]"#, "entry 1 has an 'address' that begins with 'mailto:'"),
            (r#"[{"address":"a@b.c","type":"optional","required":true}]"#, "contradict"),
            (r#"[{"address":"a@b.c","type":"resource","required":true}]"#, "a 'required' beside"),
            (r#"[{"address":"a@b.c","type":"resource","required":0}]"#, "a 'required' beside"),
            (r#"[{"address":"a@b.c","required":true,"name":5}]"#, "neither text nor null"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.column == "attendees" && error.fault.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn who_is_neither_required_nor_optional_is_required_and_numbers_stand_for_booleans() {
        for (rest, kind) in [
            ("", AttendeeType::Required),
            (r#","required":null"#, AttendeeType::Required),
            (r#","required":1"#, AttendeeType::Required),
            (r#","required":0"#, AttendeeType::Optional),
            (r#","Required":0"#, AttendeeType::Optional),
        ] {
            let attendees = parse(&format!(r#"[{{"address":"a@b.c"{rest}}}]"#)).unwrap();
            assert_eq!(attendees.first().map(|attendee| attendee.kind), Some(kind), "{rest}");
        }
    }

    #[test]
    fn five_hundred_attendees_are_allowed_and_no_more() {
        let list = |n: usize| {
            let one: Vec<String> = (0..n).map(|i| format!(r#"{{"address":"a{i}@b.c","required":true}}"#)).collect();
            format!("[{}]", one.join(","))
        };
        assert_eq!(parse(&list(500)).unwrap().len(), 500);
        assert!(parse(&list(501)).unwrap_err().fault.contains("501"));
    }
}
