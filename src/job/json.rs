//! JSON as a producer wrote it, strictly: of a key that is there twice nobody knows which value was meant, and serde_json
//! would keep the last one without a word.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use crate::characters;

/// Why a text is refused; reads as a sentence without its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFault {
    what: String,
    /// Line and column as an editor counts them; none where the fault says itself where it is.
    place: Option<(u64, u64)>,
}

impl JsonFault {
    /// The same fault of a text that begins at this line and column of a file.
    pub fn within(mut self, line: u64, column: u64) -> Self {
        self.place = self.place.map(|(own_line, own_column)| match own_line {
            1 => (line, column + own_column - 1),
            _ => (line + own_line - 1, own_column),
        });
        self
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{} (line {line}, column {column})", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// The value a text holds.
///
/// # Errors
/// It is not JSON, or has a key twice in one object.
pub fn parse(text: &str) -> Result<Value, JsonFault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Strict(Path::Root)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| told(text, &error))
}

fn told(text: &str, error: &serde_json::Error) -> JsonFault {
    let said = error.to_string();
    let what = said.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())).unwrap_or(&said);
    if error.classify() == Category::Data {
        return JsonFault { what: what.to_owned(), place: None };
    }
    // The parser counts bytes, and lines by \n alone.
    let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let at = text.floor_char_boundary((line + error.column().saturating_sub(1)).min(text.len()));
    // At the end of the text there stands nothing to be named.
    let standing = (error.classify() == Category::Syntax).then(|| characters::standing_at(text, at)).flatten();
    let standing = standing.map(|standing| format!("; found {standing}")).unwrap_or_default();
    JsonFault { what: format!("is not JSON: {what}{standing}"), place: Some(place(text.get(..at).unwrap_or_default())) }
}

/// Line and column of what follows this text.
fn place(before: &str) -> (u64, u64) {
    let mut place = (1, 1);
    let mut last = ' ';
    for c in before.chars() {
        place = match c {
            '\n' if last == '\r' => place,
            '\n' | '\r' => (place.0 + 1, 1),
            _ => (place.0, place.1 + 1),
        };
        last = c;
    }
    place
}

/// Where in the value something is.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Entry(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(&characters::shown(key)),
            Path::Key(outer, key) => write!(f, "{outer}.{}", characters::shown(key)),
            Path::Entry(Path::Root, index) => write!(f, "entry {}", index + 1),
            Path::Entry(outer, index) => write!(f, "{outer}, entry {}", index + 1),
        }
    }
}

/// Makes a value of what stands there.
struct Strict<'p>(Path<'p>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = entries.next_element_seed(Strict(Path::Entry(&self.0, values.len())))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                let object = match self.0 {
                    Path::Root => String::new(),
                    path => format!("{path} "),
                };
                let key = characters::shown(&key);
                return Err(A::Error::custom(format!("{object}has the key '{key}' twice; leave one of them out")));
            }
            let value = fields.next_value_seed(Strict(Path::Key(&self.0, &key)))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_read_as_serde_json_reads_it() {
        for text in [
            r#"{"b":[1,-2,3.5,1e3,true,false,null,"x\u00fc\n"],"a":{"c":{}}}"#,
            "18446744073709551615",
            " \"x\" ",
            "[]",
            "null",
        ] {
            assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_place() {
        for (text, expected) in [
            (r#"{"a":1,"b":2,"a":3}"#, "has the key 'a' twice; leave one of them out"),
            (r#"[{"a":1},{"a":1,"\u0061":1}]"#, "entry 2 has the key 'a' twice; leave one of them out"),
            (r#"{"x":{"y":[{"a":1,"a":1}]}}"#, "x.y, entry 1 has the key 'a' twice; leave one of them out"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_fault_has_the_place_an_editor_shows_and_names_what_hides_there() {
        for (text, expected) in [
            ("{\"ü\": True}", "is not JSON: expected value; found 'True' (line 1, column 7)"),
            ("{'a': 1}", "is not JSON: key must be a string; found ''' (line 1, column 2)"),
            ("{\"a\": 1", "is not JSON: EOF while parsing an object (line 1, column 7)"),
            ("{\r\n  \"a\": 1\r\n  \"b\": 2}", "is not JSON: expected `,` or `}`; found '\"' (line 3, column 3)"),
            (
                "{\u{201c}a\": 1}",
                "is not JSON: key must be a string; found U+201C, which is not a plain \"; write the plain one (line 1, column 2)",
            ),
            (
                "\u{feff}{}",
                "is not JSON: expected value; found U+FEFF, which is invisible; remove it (line 1, column 1)",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
        assert_eq!(
            parse("[\n x]").unwrap_err().within(7, 4).to_string(),
            "is not JSON: expected value; found 'x' (line 8, column 2)"
        );
        assert_eq!(
            parse("[x]").unwrap_err().within(7, 4).to_string(),
            "is not JSON: expected value; found 'x' (line 7, column 5)"
        );
    }

    #[test]
    fn deep_nesting_is_a_fault() {
        assert!(parse(&"[".repeat(100_000)).unwrap_err().to_string().contains("recursion limit"));
    }
}
