//! Text as it stands in the file, and the lane it names.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::queue::LaneKey;

/// Text as SQLite has it, which may not be UTF-8.
#[derive(Debug)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// With a sign in the place of what is not UTF-8.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(bytes.to_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A column that is 0 or 1, as SQLite writes it into JSON.
#[derive(Debug)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(|number| Self(number != 0))
    }
}

/// Rows without mailbox go to the default one and share its lane.
pub fn lane_key(raw: &[u8], unnamed: Option<&str>) -> LaneKey {
    match unnamed {
        Some(default) if raw.is_empty() => LaneKey::of(default),
        _ => LaneKey::of(&String::from_utf8_lossy(raw)),
    }
}

/// As a statement takes a list or an object. Text and numbers: JSON can hold them.
pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
