//! Attendees as people and mail programs list them: `Ann <ann@contoso.com>; bob@contoso.com`. Files and flags take the form;
//! in the queue there is JSON alone.

use serde_json::{Value, json};

use super::InvalidJob;
use crate::characters;

const COLUMN: &str = "attendees";

/// One of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Display name, if there is one.
    pub name: Option<String>,
    /// What stands where the address belongs; it is judged with the job.
    pub address: String,
}

/// The JSON of the column, where a text is JSON already or a list.
///
/// # Errors
/// A list of which nobody can tell who is meant.
pub fn attendees_json(text: &str) -> Result<String, InvalidJob> {
    if text.trim_start().starts_with(['[', '{']) {
        return Ok(text.to_owned());
    }
    let guests = guests(text)?.into_iter();
    Ok(Value::Array(guests.map(|guest| json!({ "name": guest.name, "address": guest.address })).collect()).to_string())
}

/// Those listed. Semicolons, commas and line breaks stand between them; a name with such a sign in it stands in quotation
/// marks, or has the whole piece between two semicolons for itself.
///
/// # Errors
/// A quotation mark that is not closed, or somebody without an address.
pub fn guests(text: &str) -> Result<Vec<Guest>, InvalidJob> {
    let mut guests = Vec::new();
    for part in split(text, &[';', '\n', '\r'])? {
        let pieces: Vec<&str> = split(part, &[','])?.into_iter().filter(|piece| !piece.trim().is_empty()).collect();
        let addresses = pieces.iter().filter(|piece| piece.contains('@')).count();
        match pieces.iter().enumerate().find(|(_, piece)| !piece.contains('@')) {
            None => guests.extend(pieces.into_iter().map(guest)),
            // `Lee, Ann <ann@contoso.com>`
            Some(_) if addresses == 1 && pieces.len() > 1 && part.trim_end().ends_with('>') => guests.push(guest(part)),
            Some((place, nobody)) => {
                let number = guests.len() + place + 1;
                let nobody = characters::quoted(nobody.trim());
                return Err(InvalidJob::new(
                    COLUMN,
                    format!(
                        "entry {number}, {nobody}, is not a mail address; write Ann <ann@contoso.com>; bob@contoso.com, and a name with a comma in it in quotation marks, or write a JSON array"
                    ),
                ));
            }
        }
    }
    Ok(guests)
}

/// The text between the signs, those in quotation marks or angle brackets aside.
fn split<'t>(text: &'t str, signs: &[char]) -> Result<Vec<&'t str>, InvalidJob> {
    let (mut parts, mut from) = (Vec::new(), 0);
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            sign if !quoted && !bracketed && signs.contains(&sign) => {
                parts.push(text.get(from..at).unwrap_or_default());
                from = at + sign.len_utf8();
            }
            _ => {}
        }
    }
    if quoted {
        return Err(InvalidJob::new(COLUMN, "has a quotation mark that is never closed; close it"));
    }
    parts.push(text.get(from..).unwrap_or_default());
    Ok(parts)
}

/// `Ann <ann@contoso.com>`, or the address alone.
fn guest(piece: &str) -> Guest {
    let piece = piece.trim_matches(' ').trim_ascii();
    let Some((name, address)) = piece.strip_suffix('>').and_then(|piece| piece.rsplit_once('<')) else {
        return Guest { name: None, address: piece.to_owned() };
    };
    let name = unquoted(name.trim());
    Guest { name: (!name.is_empty()).then_some(name), address: address.trim_ascii().to_owned() }
}

fn unquoted(name: &str) -> String {
    let within = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    match within('"') {
        Some(name) => name.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => within('\'').unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listed(text: &str) -> Vec<(Option<String>, String)> {
        guests(text).unwrap().into_iter().map(|guest| (guest.name, guest.address)).collect()
    }

    #[test]
    fn a_list_is_read_as_mail_programs_write_it() {
        let ann = || (Some("Ann".to_owned()), "ann@contoso.com".to_owned());
        let lee = || (Some("Lee, Ann".to_owned()), "ann@contoso.com".to_owned());
        let bob = || (None, "bob@contoso.com".to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("bob@contoso.com", vec![bob()]),
            ("Ann <ann@contoso.com>; bob@contoso.com", vec![ann(), bob()]),
            ("bob@contoso.com,Ann<ann@contoso.com>", vec![bob(), ann()]),
            ("Ann <ann@contoso.com>\r\nbob@contoso.com;\n", vec![ann(), bob()]),
            ("\"Lee, Ann\" <ann@contoso.com>, bob@contoso.com", vec![lee(), bob()]),
            ("'Lee, Ann' <ann@contoso.com>", vec![lee()]),
            ("Lee, Ann <ann@contoso.com>; <bob@contoso.com>;", vec![lee(), bob()]),
        ] {
            assert_eq!(listed(text), expected, "{text}");
        }
        assert_eq!(listed("\"A \\\"B\\\"\" <a@b.c>"), [(Some("A \"B\"".to_owned()), "a@b.c".to_owned())]);
        assert_eq!(listed("\"ann, lee\"@contoso.com"), [(None, "\"ann, lee\"@contoso.com".to_owned())]);
    }

    #[test]
    fn nobody_is_dropped_from_a_list() {
        for (text, part) in [
            ("Ann; bob@contoso.com", "entry 1, 'Ann', is not a mail address"),
            ("bob@contoso.com, Ann", "entry 2, 'Ann', is not a mail address"),
            ("Lee, Ann <ann@contoso.com>, bob@contoso.com", "entry 1, 'Lee', is not a mail address"),
            ("\"Lee, Ann <ann@contoso.com>; bob@contoso.com", "never closed"),
            ("ann\u{ff20}contoso.com", "U+FF20"),
        ] {
            let error = guests(text).unwrap_err();
            assert!(error.column == "attendees" && error.fault.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn json_stays_as_it_is_and_a_list_becomes_json() {
        assert_eq!(attendees_json(" [1]").unwrap(), " [1]");
        assert_eq!(
            attendees_json("Ann <ann@contoso.com>; b@c.d").unwrap(),
            r#"[{"name":"Ann","address":"ann@contoso.com"},{"name":null,"address":"b@c.d"}]"#
        );
    }
}
