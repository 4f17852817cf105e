//! The `attendees` column: a JSON array in the *Event Attendee 1.1.0* schema, plus `"type"` for rooms.

use serde_json::{Map, Value};

use super::InvalidJob;

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
    /// Mail address.
    pub address: String,
    /// Display name; none is left out of the request.
    pub name: Option<String>,
    /// How.
    pub kind: AttendeeType,
}

const COLUMN: &str = "attendees";

/// Reads the whole column; the first fault ends it.
pub(super) fn parse(text: &str) -> Result<Vec<Attendee>, InvalidJob> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| InvalidJob::new(COLUMN, format!("is not JSON ({error}); write an array of objects")))?;
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

fn attendee(index: usize, item: &Value) -> Result<Attendee, InvalidJob> {
    let fault = |what: String| InvalidJob::new(COLUMN, format!("entry {} {what}", index + 1));
    let Value::Object(fields) = item else {
        return Err(fault("is not an object; write {\"address\": …, \"required\": true}".into()));
    };
    let address = match field(fields, "address", "Address") {
        Some(Value::String(address)) => address.trim().to_owned(),
        None | Some(Value::Null) => return Err(fault("has no 'address'; every attendee needs one".into())),
        Some(_) => return Err(fault("has an 'address' that is not text".into())),
    };
    if !plausible_address(&address) {
        return Err(fault("has an 'address' that is not a mail address; write it like ann@contoso.com".into()));
    }
    let name = match field(fields, "name", "Name") {
        Some(Value::String(name)) => Some(name.clone()),
        None | Some(Value::Null) => None,
        Some(_) => return Err(fault("has a 'name' that is neither text nor null".into())),
    };
    Ok(Attendee { address, name, kind: kind(fields).map_err(|what| fault(what.into()))? })
}

/// From `required`, `type`, or both where they do not contradict each other.
fn kind(fields: &Map<String, Value>) -> Result<AttendeeType, &'static str> {
    let required = match field(fields, "required", "Required") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(required)) => Some(*required),
        Some(_) => return Err("has a 'required' that is neither true nor false"),
    };
    let kind = match field(fields, "type", "Type") {
        None | Some(Value::Null) => None,
        Some(Value::String(word)) => Some(
            AttendeeType::parse(word)
                .ok_or("has an unknown 'type'; it is \"required\", \"optional\" or \"resource\"")?,
        ),
        Some(_) => return Err("has a 'type' that is not text"),
    };
    match (required, kind) {
        (None, None) => Err("has neither 'required' nor 'type'; say \"required\": true or false"),
        (Some(true), Some(AttendeeType::Optional)) | (Some(false), Some(AttendeeType::Required)) => {
            Err("has a 'required' and a 'type' that contradict each other; give one of them")
        }
        (_, Some(kind)) => Ok(kind),
        (Some(true), None) => Ok(AttendeeType::Required),
        (Some(false), None) => Ok(AttendeeType::Optional),
    }
}

fn field<'a>(fields: &'a Map<String, Value>, name: &str, capital: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| fields.get(capital))
}

/// Enough to catch a name, a list or nothing where an address belongs; Exchange has the last word.
fn plausible_address(address: &str) -> bool {
    let clean = !address.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';'));
    let parts = address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    clean && parts
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
            (r#"[{"address":"a@b.c"}]"#, "neither 'required' nor 'type'"),
            (r#"[{"address":"a@b.c","required":"yes"}]"#, "neither true nor false"),
            (r#"[{"address":"a@b.c","type":"guest"}]"#, "unknown 'type'"),
            (r#"[{"address":"a@b.c","type":"optional","required":true}]"#, "contradict"),
            (r#"[{"address":"a@b.c","required":true,"name":5}]"#, "neither text nor null"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.column == "attendees" && error.fault.contains(part), "{text}: {error}");
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
