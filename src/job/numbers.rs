//! The numbers of a JSON text as they are written. serde_json hands on what 64 bits hold of one.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Number;

/// Digits that a number with a fraction may have: as many as tell one 64-bit number from another.
const MOST_DIGITS: usize = 17;

/// Those of one text, in its order, and which of them is read next.
pub(super) struct Numbers<'t> {
    /// Each with its place.
    written: Vec<(usize, &'t str)>,
    next: Cell<usize>,
}

impl<'t> Numbers<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut written = Vec::new();
        // Most lists of attendees have none.
        let mut rest = if text.bytes().any(|byte| byte.is_ascii_digit()) { text } else { "" };
        while let Some(at) = rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
            rest = rest.get(at..).unwrap_or_default();
            let length = if rest.starts_with('"') { string(rest) } else { run(rest) };
            let (token, behind) = rest.split_at(length);
            if !token.starts_with('"') {
                written.push((text.len() - rest.len(), token));
            }
            rest = behind;
        }
        Self { written, next: Cell::new(0) }
    }

    /// The number that is read now. None if it is none: the parser will say so.
    pub(super) fn next(&self) -> Option<&'t str> {
        let at = self.next.replace(self.next.get() + 1);
        self.written.get(at).map(|(_, written)| *written).filter(|written| is_number(written))
    }

    /// The text with a zero in place of each number that the parser might refuse, and everything else where it was.
    pub(super) fn stripped(&self, text: &'t str) -> Cow<'t, str> {
        // Whatever has fewer characters is one of 64 bits.
        let may_be_refused = |written: &str| (written.len() > 18 || written.contains(['e', 'E'])) && is_number(written);
        if !self.written.iter().any(|(_, written)| may_be_refused(written)) {
            return Cow::Borrowed(text);
        }
        let mut stripped = String::with_capacity(text.len());
        let mut from = 0;
        for (at, written) in self.written.iter().filter(|(_, written)| may_be_refused(written)) {
            stripped.push_str(text.get(from..*at).unwrap_or_default());
            stripped.push('0');
            stripped.extend(std::iter::repeat_n(' ', written.len() - 1));
            from = at + written.len();
        }
        stripped.push_str(text.get(from..).unwrap_or_default());
        Cow::Owned(stripped)
    }
}

/// The length of the string that `text` begins with.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The length of what `text` begins with and may be a number.
fn run(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)).count()
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(one, other)| (one, Some(other)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(one, other)| (one, Some(other)));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// The number, if it is sent as it is written: whole ones of 64 bits, others that 64 bits hold to the last digit written.
pub(super) fn exact(written: &str) -> Option<Number> {
    if !written.contains(['.', 'e', 'E']) {
        return written.parse::<i64>().map(Number::from).or_else(|_| written.parse::<u64>().map(Number::from)).ok();
    }
    let value = written.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let decimal = decimal(written);
    let digits = decimal.0.len().max(1);
    let is_held = digits <= MOST_DIGITS && self::decimal(&format!("{value:.*e}", digits - 1)) == decimal;
    is_held.then(|| Number::from_f64(value)).flatten()
}

/// The digits that count, and the power of ten of the first.
fn decimal(written: &str) -> (String, i64) {
    let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((written, "0"));
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return (String::new(), 0);
    }
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let first = length(whole).saturating_sub(length(&all).saturating_sub(length(digits)));
    let end = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    (digits.trim_end_matches('0').to_owned(), exponent.parse().unwrap_or(end).saturating_add(first))
}
