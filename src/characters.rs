//! Characters that hide: those nobody sees, and those that look like another. A message that quotes what somebody wrote
//! names them by code point, or the text it refuses looks like the form it recommends.

/// How many characters of a text are shown.
const LONGEST_SHOWN: usize = 40;

/// What an eye takes a character for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guise {
    Nothing,
    Space,
    Plain(char),
    Latin(&'static str),
    Lost,
}

/// The beginning of a text as it may be shown: what hides in it stands there as its code point, like `<U+200E>`.
pub fn shown(text: &str) -> String {
    let beginning = beginning(text);
    let mut shown = String::with_capacity(beginning.len());
    let mut from = 0;
    for (at, c, _) in hidden(beginning) {
        shown.push_str(beginning.get(from..at).unwrap_or_default());
        shown.push_str(&format!("<{}>", code_point(c)));
        from = at + c.len_utf8();
    }
    shown.push_str(beginning.get(from..).unwrap_or_default());
    if beginning.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The same in quotes, and what hides in it: `'<U+200E>09:00' (contains U+200E, which …)`.
pub fn quoted(text: &str) -> String {
    match fault(beginning(text)) {
        Some(fault) => format!("'{}' ({fault})", shown(text)),
        None => format!("'{}'", shown(text)),
    }
}

/// The same of a text that has nothing beyond ASCII where it is right, such as a time: of what does not hide either, a letter
/// or digit of another script, the first is named.
pub fn quoted_ascii(text: &str) -> String {
    let stranger = || beginning(text).chars().find(|c| !c.is_ascii());
    match fault(beginning(text)).map_or_else(stranger, |_| None) {
        Some(c) => format!("'{}' (contains {}, which is not ASCII; write it in ASCII)", shown(text), code_point(c)),
        None => quoted(text),
    }
}

fn beginning(text: &str) -> &str {
    text.char_indices().nth(LONGEST_SHOWN).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The first character that hides in a text, and the cure: `contains U+200E, which is invisible; remove it`.
pub fn fault(text: &str) -> Option<String> {
    hidden(text).first().map(|(_, c, guise)| format!("contains {}", named(*c, *guise)))
}

/// What stands at this byte of a text: a word, or one character, by its code point if it hides. None at the end.
pub fn standing_at(text: &str, at: usize) -> Option<String> {
    let rest = text.get(at..)?;
    let first = rest.chars().next()?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let end = rest.find(|c| !word(c)).unwrap_or(rest.len()).max(first.len_utf8());
    let standing = rest.get(..end)?;
    Some(match hidden(beginning(standing)).first() {
        Some((0, c, guise)) => named(*c, *guise),
        _ => format!("'{}'", shown(standing)),
    })
}

/// The first character beyond ASCII that cannot be seen or is taken for a blank. No key of the settings, secret or not, has
/// one on purpose, while a look-alike may be meant there.
pub fn unseen(text: &str) -> Option<String> {
    let unseen = |(_, c, guise): &(usize, char, Guise)| !c.is_ascii() && matches!(guise, Guise::Nothing | Guise::Space);
    hidden(text).into_iter().find(unseen).map(|(_, c, guise)| format!("contains {}", named(c, guise)))
}

fn named(c: char, guise: Guise) -> String {
    let point = code_point(c);
    match guise {
        Guise::Nothing if matches!(c, '\n' | '\r') => format!("{point}, a line break; remove it"),
        Guise::Nothing if c == '\t' => format!("{point}, a tab; remove it"),
        Guise::Nothing => format!("{point}, which is invisible; remove it"),
        Guise::Space => format!("{point}, an unusual space; remove it or write a plain one"),
        Guise::Plain(plain) => format!("{point}, which is not a plain {plain}; write the plain one"),
        Guise::Latin(script) => format!("{point}, a {script} letter among Latin ones; write the Latin one"),
        Guise::Lost => format!("{point}, which replaces a character that was lost; write that one"),
    }
}

fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// Where, which, and what it is taken for.
fn hidden(text: &str) -> Vec<(usize, char, Guise)> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut word: Vec<(usize, char)> = Vec::new();
    for (at, c) in text.char_indices() {
        match guise(c) {
            Some(guise) => found.push((at, c, guise)),
            None if c.is_alphabetic() => word.push((at, c)),
            None => found.extend(strangers(&std::mem::take(&mut word))),
        }
    }
    found.extend(strangers(&word));
    found.sort_by_key(|(at, _, _)| *at);
    found
}

/// The letters of a word with Latin ones that only look Latin. A word wholly in another script is just a word.
fn strangers(word: &[(usize, char)]) -> Vec<(usize, char, Guise)> {
    if !word.iter().any(|(_, c)| c.is_ascii_alphabetic()) {
        return Vec::new();
    }
    word.iter().filter_map(|(at, c)| Some((*at, *c, Guise::Latin(script_like_latin(*c)?)))).collect()
}

fn script_like_latin(c: char) -> Option<&'static str> {
    match c {
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Some("Greek"),
        '\u{400}'..='\u{52f}' => Some("Cyrillic"),
        '\u{531}'..='\u{587}' => Some("Armenian"),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some("Cherokee"),
        _ => None,
    }
}

fn guise(c: char) -> Option<Guise> {
    Some(match c {
        ' '..='~' => return None,
        '\u{fffd}' => Guise::Lost,
        // Unicode's Default_Ignorable_Code_Point and format characters, and the blanks that are letters by name.
        '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffc}'
        | '\u{e0000}'..='\u{e0fff}' => Guise::Nothing,
        c if c.is_control() => Guise::Nothing,
        c if c.is_whitespace() => Guise::Space,
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' | '\u{b4}' => Guise::Plain('\''),
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ab}' | '\u{bb}' => Guise::Plain('"'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Guise::Plain('-'),
        '\u{201a}' | '\u{3001}' | '\u{fe50}' => Guise::Plain(','),
        '\u{2236}' | '\u{a789}' | '\u{fe13}' | '\u{fe55}' => Guise::Plain(':'),
        '\u{37e}' | '\u{fe54}' => Guise::Plain(';'),
        '\u{2024}' | '\u{3002}' | '\u{fe52}' | '\u{ff61}' => Guise::Plain('.'),
        '\u{2044}' | '\u{2215}' => Guise::Plain('/'),
        '\u{2039}' | '\u{3008}' | '\u{fe64}' => Guise::Plain('<'),
        '\u{203a}' | '\u{3009}' | '\u{fe65}' => Guise::Plain('>'),
        '\u{fe6b}' => Guise::Plain('@'),
        // The full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => Guise::Plain(char::from_u32(u32::from(c) - 0xfee0)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_shown_by_its_code_point_and_the_rest_as_it_is() {
        for (text, expected) in [
            ("2026-12-01 09:00", "2026-12-01 09:00"),
            ("Zürich Öl 日本 😀 łódź", "Zürich Öl 日本 😀 łódź"),
            ("Привет, Ωμέγα", "Привет, Ωμέγα"),
            ("\u{200e}2026\u{a0}x", "<U+200E>2026<U+00A0>x"),
            ("a\tb\0\r\n", "a<U+0009>b<U+0000><U+000D><U+000A>"),
            ("ann\u{ff20}x \u{201c}y\u{201d}", "ann<U+FF20>x <U+201C>y<U+201D>"),
            ("c\u{43e}ntoso", "c<U+043E>ntoso"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn the_first_is_named_with_the_cure() {
        assert_eq!(fault("plain"), None);
        for (text, expected) in [
            ("\u{200b}x", "contains U+200B, which is invisible; remove it"),
            ("x\u{a0}", "contains U+00A0, an unusual space; remove it or write a plain one"),
            ("o\u{2019}brien\u{200b}", "contains U+2019, which is not a plain '; write the plain one"),
            ("\u{ff20}", "contains U+FF20, which is not a plain @; write the plain one"),
            ("p\u{430}ge", "contains U+0430, a Cyrillic letter among Latin ones; write the Latin one"),
            ("M\u{fffd}ller", "contains U+FFFD, which replaces a character that was lost; write that one"),
        ] {
            assert_eq!(fault(text).as_deref(), Some(expected));
        }
        assert_eq!(unseen("“x” o’brien\t"), None);
        assert!(unseen("“x”\u{200e}").is_some_and(|fault| fault.contains("U+200E")));
    }

    #[test]
    fn a_long_text_is_quoted_by_its_beginning() {
        assert_eq!(quoted("soon"), "'soon'");
        assert_eq!(quoted(&"ü".repeat(41)), format!("'{}…'", "ü".repeat(40)));
        assert_eq!(quoted("\u{200e}x"), "'<U+200E>x' (contains U+200E, which is invisible; remove it)");
    }
}
