//! Single-value extended properties: the id of one, the `$filter` that finds events by one, and the `$expand` that
//! shows one. The name part of an id is case-sensitive, everything else about it and its value is not.

/// A property and its value, as a `$filter` asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The property id, ready to be compared.
    pub(super) id: String,
    /// The value, ready to be compared.
    pub(super) value: String,
}

impl Marker {
    /// The marker of a property as it was stored; none if the id has no known form.
    pub(super) fn new(id: &str, value: &str) -> Option<Self> {
        Some(Self { id: comparable_id(id)?, value: value.to_lowercase() })
    }

    /// Reads `singleValueExtendedProperties/Any(ep: ep/id eq '…' and ep/value eq '…')`.
    pub(super) fn from_filter(filter: &str) -> Option<Self> {
        let text = filter.trim();
        let text = strip_word(text, "singleValueExtendedProperties/any(")?.strip_suffix(')')?;
        let (variable, terms) = text.split_once(':')?;
        let (variable, terms) = (variable.trim(), terms.trim());
        let (first_field, first, rest) = comparison(terms, variable)?;
        let rest = strip_word(rest.trim_start(), "and")?.trim_start();
        let (second_field, second, rest) = comparison(rest, variable)?;
        match (rest.trim(), first_field, second_field) {
            ("", "id", "value") => Self::new(&first, &second),
            ("", "value", "id") => Self::new(&second, &first),
            _ => None,
        }
    }
}

/// The uid in `iCalUId eq '…'`.
pub(super) fn ical_uid_in(filter: &str) -> Option<String> {
    let text = strip_word(filter.trim(), "iCalUId ")?.trim_start();
    let (uid, rest) = literal(strip_word(text, "eq")?.trim_start())?;
    rest.trim().is_empty().then_some(uid)
}

/// The property ids inside `singleValueExtendedProperties($filter=id eq '…' or id eq '…')`, ready to be compared.
pub(super) fn expanded_ids(expand: &str) -> Option<Vec<String>> {
    let text = strip_word(expand.trim(), "singleValueExtendedProperties($filter=")?;
    let mut rest = text.strip_suffix(')')?.trim();
    let mut ids = Vec::new();
    loop {
        let text = strip_word(rest, "id ")?.trim_start();
        let (id, after) = literal(strip_word(text, "eq")?.trim_start())?;
        ids.push(comparable_id(&id)?);
        match after.trim_start() {
            "" => return Some(ids),
            more => rest = strip_word(more, "or ")?.trim_start(),
        }
    }
}

/// `{type} {guid} Name {name}`, `{type} {guid} Id {0x…}` or `{type} {0x…}`, brought to one spelling.
pub(super) fn comparable_id(id: &str) -> Option<String> {
    let (kind, rest) = id.split_once(' ')?;
    if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return None;
    }
    let kind = kind.to_lowercase();
    if is_tag(rest) {
        return Some(format!("{kind} {}", rest.to_lowercase()));
    }
    let (guid, rest) = rest.split_once(' ')?;
    let bare = guid.strip_prefix('{')?.strip_suffix('}')?;
    let guid = uuid::Uuid::try_parse(bare).ok()?;
    match rest.split_once(' ')? {
        (word, name) if word.eq_ignore_ascii_case("name") && !name.is_empty() => {
            Some(format!("{kind} {guid} name {name}"))
        }
        (word, tag) if word.eq_ignore_ascii_case("id") && is_tag(tag) => {
            Some(format!("{kind} {guid} id {}", tag.to_lowercase()))
        }
        _ => None,
    }
}

const TYPES: &[&str] = &[
    "ApplicationTime",
    "Binary",
    "Boolean",
    "CLSID",
    "Currency",
    "Double",
    "Error",
    "Float",
    "Integer",
    "Long",
    "Object",
    "Short",
    "String",
    "SystemTime",
];

fn is_tag(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `ep/field eq 'literal'`: the field, the literal, and what follows.
fn comparison<'a>(text: &'a str, variable: &str) -> Option<(&'a str, String, &'a str)> {
    let text = text.strip_prefix(variable)?.strip_prefix('/')?;
    let (field, text) = text.split_once(' ')?;
    let text = strip_word(text.trim_start(), "eq")?.trim_start();
    let (value, rest) = literal(text)?;
    Some((field, value, rest))
}

/// A quoted text; a quote inside it is doubled.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const ID: &str = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name QueueKey";

    fn found(filter: &str) -> Option<Marker> {
        Marker::from_filter(filter)
    }

    #[test]
    fn the_documented_filter_is_understood() {
        let filter = format!("singleValueExtendedProperties/Any(ep: ep/id eq '{ID}' and ep/value eq 'Row-7')");
        assert_eq!(found(&filter), Marker::new(ID, "row-7"));
    }

    #[test]
    fn quotes_are_doubled_inside_a_value() {
        let filter = format!("singleValueExtendedProperties/any(p:p/value eq 'O''Neil' and p/id eq '{ID}')");
        assert_eq!(found(&filter), Marker::new(ID, "o'neil"));
    }

    #[test]
    fn the_name_is_case_sensitive_and_type_and_guid_are_not() {
        let other_case = "string {66F5A359-4659-4830-9070-00040EC6AC6E} name QueueKey";
        assert_eq!(comparable_id(ID), comparable_id(other_case));
        assert_ne!(comparable_id(ID), comparable_id(&ID.replace("QueueKey", "queuekey")));
    }

    #[test]
    fn ids_of_no_known_form_are_refused() {
        for id in [
            "QueueKey",
            "String 66f5a359 Name x",
            "Text {66f5a359-4659-4830-9070-00040ec6ac6e} Name x",
            "String {x} Name y",
        ] {
            assert_eq!(comparable_id(id), None, "{id}");
        }
        assert!(comparable_id("Integer 0x8233").is_some());
    }

    #[test]
    fn any_other_filter_is_not_understood() {
        for filter in
            ["transactionId eq 'x'", "singleValueExtendedProperties/Any(ep: ep/id eq 'x)", "", "subject eq 'é'"]
        {
            assert_eq!(found(filter), None, "{filter}");
        }
    }

    #[test]
    fn an_expand_names_its_properties() {
        let one = format!("singleValueExtendedProperties($filter=id eq '{ID}')");
        assert_eq!(expanded_ids(&one), Some(vec![comparable_id(ID).unwrap()]));
        let two = format!("singleValueExtendedProperties($filter=id eq '{ID}' or id eq 'Integer 0x8233')");
        assert_eq!(expanded_ids(&two), Some(vec![comparable_id(ID).unwrap(), "integer 0x8233".to_owned()]));
        for odd in ["attachments", "singleValueExtendedProperties($filter=id eq 'x')", &two.replace(" or ", " and ")] {
            assert_eq!(expanded_ids(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_filter_by_ical_uid_is_understood_in_any_case_of_the_word() {
        assert_eq!(ical_uid_in("iCalUId eq '0400AB'").as_deref(), Some("0400AB"));
        assert_eq!(ical_uid_in("icaluid eq '0400AB' ").as_deref(), Some("0400AB"));
        assert_eq!(ical_uid_in("iCalUId eq '0400AB' or true"), None);
    }
}
