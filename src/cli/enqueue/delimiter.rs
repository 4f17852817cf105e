//! What stands between the columns of a CSV file, found out from its header: a comma, or the semicolon that Excel writes where
//! the comma is the decimal sign, or a tab.

use super::super::columns;

const DELIMITERS: [u8; 4] = *b",;\t|";

/// Of a header line; a comma where nothing says another.
pub(super) fn of(header: &[u8]) -> u8 {
    let score = |delimiter: u8| {
        let names = names(header, delimiter);
        (names.iter().filter(|name| columns::COLUMNS.contains(&name.as_str())).count(), names.len())
    };
    // The first of equals: max_by_key would take the last.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| score(*delimiter)).unwrap_or(b',')
}

/// Whether a line is a header: at least two columns, one of them known.
pub(super) fn is_header(line: &[u8]) -> bool {
    let names = names(line, of(line));
    names.len() > 1 && names.iter().any(|name| columns::COLUMNS.contains(&name.as_str()))
}

/// The line `sep=;` that Excel reads and writes before the header.
pub(super) fn announced(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line.split_at_checked(4) {
        Some((word, [delimiter])) if word.eq_ignore_ascii_case(b"sep=") && delimiter.is_ascii() => Some(*delimiter),
        _ => None,
    }
}

fn names(header: &[u8], delimiter: u8) -> Vec<String> {
    let name = |name: &[u8]| String::from_utf8_lossy(name).trim().trim_matches('"').to_owned();
    header.split(|byte| *byte == delimiter).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_found_out_from_the_header() {
        for (header, expected) in [
            ("subject,start_time,end_time", b','),
            ("subject;start_time;end_time", b';'),
            ("\"subject\"\t\"start_time\"\r\n", b'\t'),
            ("subject | start_time | end_time", b'|'),
            ("subject", b','),
            ("Betreff;Beginn;Ende", b';'),
            ("subject,a;b;c;d", b','),
            ("", b','),
        ] {
            assert_eq!(of(header.as_bytes()), expected, "{header}");
        }
    }

    #[test]
    fn excels_own_line_is_known() {
        for (line, expected) in [
            ("sep=;\r\n", Some(b';')),
            ("SEP=\t\n", Some(b'\t')),
            ("\"sep=|\"", Some(b'|')),
            ("sep=;;", None),
            ("x", None),
        ] {
            assert_eq!(announced(line.as_bytes()), expected, "{line}");
        }
    }
}
