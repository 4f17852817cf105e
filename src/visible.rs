//! What others wrote, where somebody reads it: characters that steer a terminal, turn the direction of the text, break its
//! lines or cannot be seen are shown by their code points. The one filter for everything that leaves the program for a
//! person's eyes: rows, answers, files and their names, what stands in the queue's directory.
//!
//! Text gets `\u{202e}`. In JSON it is `\u202e`, the same value to every program, so that what is read on a terminal and what
//! is piped into a program is one and the same.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use tracing_subscriber::fmt::MakeWriter;

/// Whether a character is not to be trusted to an eye or a terminal.
pub fn is_hidden(c: char) -> bool {
    // C0 with ESC, DEL, C1 with CSI.
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, and the marks of direction.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separators, embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, and what came before them.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotation.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags, which spell whole sentences that nobody sees, and variation selectors, which can.
            | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// On one line: white space becomes blanks.
pub fn line(text: &str) -> Cow<'_, str> {
    filtered(text, |c, clean| match c {
        '\n' | '\r' | '\t' => clean.push(' '),
        c => escape(c, clean),
    })
}

/// On as many lines as it has.
pub fn text(text: &str) -> Cow<'_, str> {
    filtered(text, |c, clean| match c {
        '\n' => clean.push('\n'),
        '\t' => clean.push(' '),
        c => escape(c, clean),
    })
}

/// As [`text`], for what this program has composed and coloured itself: the marks of its colours stay.
pub fn coloured(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return self::text(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        clean.push_str(&self::text(&rest[..at]));
        let mark = colour(&rest[at..]);
        match mark {
            "" => escape('\x1b', &mut clean),
            mark => clean.push_str(mark),
        }
        rest = &rest[at + mark.len().max(1)..];
    }
    clean.push_str(&self::text(rest));
    clean.into()
}

/// Serialised JSON. Within it such a character can only stand in a string; its own line breaks stay.
pub fn json(text: &str) -> Cow<'_, str> {
    // What is below DEL was escaped when it was made.
    let is_plain = text.is_ascii() && !text.contains('\x7f');
    if is_plain || !text.chars().any(|c| c >= '\x7f' && is_hidden(c)) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c < '\x7f' || !is_hidden(c) {
            clean.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // A String takes everything.
            let _ = write!(clean, "\\u{unit:04x}");
        }
    }
    clean.into()
}

/// The mark of a colour that the text begins with, if it does: `ESC [ 1 ; 31 m`.
fn colour(text: &str) -> &str {
    let Some(numbers) = text.strip_prefix("\x1b[") else { return "" };
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(numbers.len());
    if numbers[end..].starts_with('m') { &text[..end + 3] } else { "" }
}

fn filtered(text: &str, hidden: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { hidden(c, &mut clean) } else { clean.push(c) }
    }
    clean.into()
}

fn escape(c: char, clean: &mut String) {
    clean.extend(c.escape_unicode());
}

/// A filter of this module.
type Filter = fn(&str) -> Cow<'_, str>;

/// Writes lines through a filter, whoever makes them.
pub struct Through<W> {
    inner: W,
    filter: Filter,
}

impl<W> Through<W> {
    /// Everything written goes through `filter` into `inner`.
    pub fn new(inner: W, filter: Filter) -> Self {
        Self { inner, filter }
    }
}

impl<W: io::Write> io::Write for Through<W> {
    /// Whole lines come, and go on in one piece: others write between pieces.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.inner.write_all((self.filter)(text).as_bytes())?,
            Err(_) => self.inner.write_all((self.filter)(&String::from_utf8_lossy(bytes)).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Through<M> {
    type Writer = Through<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Through::new(self.inner.make_writer(), self.filter)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn what_steers_turns_breaks_or_hides_is_shown_by_its_code_point() {
        for (text, shown) in [
            ("Größe \"x\" 日本 🎉", "Größe \"x\" 日本 🎉"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{7f}\u{8}b\0", "a\\u{7f}\\u{8}b\\u{0}"),
            ("gnp.\u{202e}exe\u{2066}\u{200f}\u{61c}", "gnp.\\u{202e}exe\\u{2066}\\u{200f}\\u{61c}"),
            ("one\u{2028}two\u{2029}", "one\\u{2028}two\\u{2029}"),
            ("ann\u{200b}@\u{feff}c\u{e0041}", "ann\\u{200b}@\\u{feff}c\\u{e0041}"),
            ("one\ntwo\tthree\r", "one two three "),
        ] {
            assert_eq!(line(text), shown);
            assert_eq!(line(&line(text)), shown, "filtered twice it is the same");
        }
        assert_eq!(self::text("one\ntwo\r\n\u{85}"), "one\ntwo\\u{d}\n\\u{85}");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{9b}2J\x1b\u{7f}", "\u{2028}\u{e0041}é🎉\n"] });
        for written in [value.to_string(), format!("{value:#}")] {
            let clean = json(&written);
            assert!(clean.chars().all(|c| c == '\n' || !is_hidden(c)), "{clean}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
        }
        assert!(json("\"\u{e0041}\"").contains("\\udb40\\udc41"), "a pair, as JSON wants it");
    }

    #[test]
    fn only_colours_of_ones_own_pass() {
        assert_eq!(coloured("\x1b[1;31mred\x1b[0m\n"), "\x1b[1;31mred\x1b[0m\n");
        for (text, shown) in [
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\x1b[31", "\\u{1b}[31"),
            ("\x1b", "\\u{1b}"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\x1b\x1b[0m\u{202e}", "\\u{1b}\x1b[0m\\u{202e}"),
            ("\x1bé", "\\u{1b}é"),
        ] {
            assert_eq!(coloured(text), shown);
        }
    }

    #[test]
    fn a_line_goes_through_the_filter_in_one_piece() {
        let mut written = Vec::new();
        Through::new(&mut written, json).write_all("{\"a\":\"\u{85}\"}\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "{\"a\":\"\\u0085\"}\n");
    }

    proptest::proptest! {
        #[test]
        fn nothing_hidden_is_left_of_anything(text in "\\PC{0,40}|.{0,40}|[\\x00-\\x1f\\x7f-\\xa0\\u{200b}-\\u{2070}]{0,20}") {
            assert!(!line(&text).chars().any(is_hidden));
            assert!(self::text(&text).chars().all(|c| c == '\n' || !is_hidden(c)));
            assert!(coloured(&text).chars().all(|c| c == '\n' || c == '\x1b' || !is_hidden(c)));
            let value = serde_json::Value::String(text);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&value.to_string())).unwrap(), value);
        }
    }
}
