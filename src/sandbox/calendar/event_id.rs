//! Event ids that look like Exchange's: about 150 characters, base64url, case-sensitive, the beginning the same for all
//! events of a mailbox, and two forms of each.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use uuid::Uuid;

/// Bytes that make an id begin with `AAMk`.
const REGULAR: [u8; 3] = [0x00, 0x03, 0x24];
/// Bytes that make an id begin with `AAkA`.
const IMMUTABLE: [u8; 3] = [0x00, 0x09, 0x00];
/// 113 bytes are 152 characters with one `=` at the end.
const LENGTH: usize = 113;

/// The ids of one event.
#[derive(Clone, Debug)]
pub(super) struct EventIds {
    pub(super) regular: String,
    /// Survives a move to another folder; asked for by `Prefer: IdType="ImmutableId"`.
    pub(super) immutable: String,
    pub(super) ical_uid: String,
    pub(super) change_key: String,
}

impl EventIds {
    pub(super) fn new(mailbox: &str) -> Self {
        let (tail, more) = (Uuid::new_v4(), Uuid::new_v4());
        Self {
            regular: id(REGULAR, mailbox, tail, more),
            immutable: id(IMMUTABLE, mailbox, tail, more),
            ical_uid: format!("040000008200E00074C5B7101A82E008{:X}{:X}", tail.simple(), more.simple()),
            change_key: URL_SAFE.encode(&more.as_bytes()[..]),
        }
    }

    /// Every change of the event gives it another change key.
    pub(super) fn turn(&mut self) {
        self.change_key = URL_SAFE.encode(&Uuid::new_v4().as_bytes()[..]);
    }

    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", self.change_key)
    }

    pub(super) fn form(&self, immutable: bool) -> &str {
        if immutable { &self.immutable } else { &self.regular }
    }
}

fn id(kind: [u8; 3], mailbox: &str, tail: Uuid, more: Uuid) -> String {
    let mut bytes = kind.to_vec();
    let mut hasher = DefaultHasher::new();
    while bytes.len() < LENGTH - 32 {
        mailbox.hash(&mut hasher);
        bytes.extend_from_slice(&hasher.finish().to_be_bytes());
    }
    bytes.truncate(LENGTH - 32);
    bytes.extend_from_slice(tail.as_bytes());
    bytes.extend_from_slice(more.as_bytes());
    URL_SAFE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_exchange() {
        let one = EventIds::new("a@x.example");
        let two = EventIds::new("a@x.example");
        assert_eq!((one.regular.len(), one.immutable.len()), (152, 152));
        assert!(one.regular.starts_with("AAMk") && one.immutable.starts_with("AAkA"));
        assert_ne!(one.regular, two.regular);
        assert_eq!(one.regular[..100], two.regular[..100]);
        assert_eq!(one.form(true), one.immutable);
    }
}
