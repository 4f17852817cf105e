//! JSON as a producer wrote it, strictly: of a key that is there twice nobody knows which value was meant, and serde_json
//! would keep the last one without a word. So it would round a number that 64 bits do not hold.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use super::numbers::{self, Numbers};
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
/// It is not JSON, has a key twice in one object, or a number that 64 bits do not hold as it is written.
pub fn parse(text: &str) -> Result<Value, JsonFault> {
    let numbers = Numbers::of(text);
    let stripped = numbers.stripped(text);
    let mut deserializer = serde_json::Deserializer::from_str(&stripped);
    Strict { path: Path::Root, numbers: &numbers }
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
struct Strict<'p> {
    path: Path<'p>,
    numbers: &'p Numbers<'p>,
}

impl Strict<'_> {
    /// The next number of the text, in place of what was `read` of it.
    fn number<E: serde::de::Error>(self, read: Option<Number>) -> Result<Value, E> {
        let refused = |written: &str| {
            let (number, place) = (characters::shown(written), self.path);
            let has = match place {
                Path::Root => format!("is the number {number}"),
                _ => format!("has the number {number} at {place}"),
            };
            E::custom(format!(
                "{has}, which a 64-bit number cannot hold as written; write it as text, in quotation marks"
            ))
        };
        match self.numbers.next() {
            Some(written) => numbers::exact(written).map(Value::Number).ok_or_else(|| refused(written)),
            None => Ok(read.map_or(Value::Null, Value::Number)),
        }
    }
}

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

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.number(Some(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.number(Some(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.number(Number::from_f64(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        let entry = |index| Strict { path: Path::Entry(&self.path, index), numbers: self.numbers };
        while let Some(value) = entries.next_element_seed(entry(values.len()))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                let object = match self.path {
                    Path::Root => String::new(),
                    path => format!("{path} "),
                };
                let key = characters::shown(&key);
                return Err(A::Error::custom(format!("{object}has the key '{key}' twice; leave one of them out")));
            }
            let of_key = Strict { path: Path::Key(&self.path, &key), numbers: self.numbers };
            let value = fields.next_value_seed(of_key)?;
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
    fn a_number_goes_out_as_it_was_written_or_not_at_all() {
        for (written, sent) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1.0", "1.0"),
            ("0.1", "0.1"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1E+2", "100.0"),
            ("0e999999999999999999999", "0.0"),
            ("123456789012345678", "123456789012345678"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
            ("9007199254740993", "9007199254740993"),
            ("0.30000000000000004", "0.30000000000000004"),
            // As programs write the same number in full.
            ("0.10000000000000001", "0.1"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("52.520008", "52.520008"),
        ] {
            let text = format!(r#"{{"s":"1e400 \\\" 7","a":[{written} ,{written}]}}"#);
            let told = parse(&text).unwrap().to_string();
            assert_eq!(told, format!(r#"{{"s":"1e400 \\\" 7","a":[{sent},{sent}]}}"#), "{written}");
        }
        for written in [
            "12345678901234567890123",
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            "-1e400",
            "1e-400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "1.23456789e-320",
            "0.1234567890123456789",
            "3.141592653589793238",
            "12345678901234567890.5",
            "9007199254740993.0",
        ] {
            let cure = "which a 64-bit number cannot hold as written; write it as text, in quotation marks";
            for (text, place) in [
                (format!(r#"{{"b":1,"a":{written}}}"#), "at a"),
                (format!(r#"{{"a":[1.5,{{"b":{written}}}]}}"#), "at a, entry 2.b"),
            ] {
                assert_eq!(parse(&text).unwrap_err().to_string(), format!("has the number {written} {place}, {cure}"));
            }
            assert_eq!(parse(written).unwrap_err().to_string(), format!("is the number {written}, {cure}"));
        }
        let long = format!("[{}]", "9".repeat(1_000_000));
        assert!(parse(&long).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn what_is_no_number_is_no_json_as_before() {
        for text in ["[01]", "[1.]", "[.5]", "[-]", "[1e]", "[+1]", "[1-2]", "[1.5.3]", "[1e400,]", "[--1]", "[0x1]"] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.starts_with("is not JSON") || text.starts_with("[1e400"), "{text}: {said}");
        }
        assert_eq!(
            parse("[1e3, x]").unwrap_err().to_string(),
            "is not JSON: expected value; found 'x' (line 1, column 7)"
        );
    }

    proptest::proptest! {
        #[test]
        fn a_number_that_is_taken_is_the_same_one_to_whoever_reads_it(
            written in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
        ) {
            if let Ok(value) = parse(&written) {
                proptest::prop_assert_eq!(value.as_f64(), written.parse::<f64>().ok());
                let again = parse(&value.to_string()).unwrap();
                proptest::prop_assert_eq!(again, value);
            }
        }

        #[test]
        fn a_double_or_a_whole_number_of_64_bits_is_always_taken(bits in proptest::num::f64::NORMAL, whole in proptest::num::i64::ANY) {
            for text in [format!("{bits:?}"), format!("{bits:e}"), format!("{bits:.16e}"), whole.to_string()] {
                proptest::prop_assert!(parse(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn text_that_is_nearly_json_makes_no_panic(text in "[\\[\\]{}:,\"\\\\ 0-9eE.+\\-a]{0,30}") {
            let ours = parse(&text);
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            proptest::prop_assert!(ours.is_err() || is_json, "{}", text);
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
