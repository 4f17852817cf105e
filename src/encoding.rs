//! Files that are something else than text in UTF-8: what they are and how to make text of them.

/// How files begin that are given by mistake, and what they are.
const BEGINNINGS: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "is an Excel workbook or another ZIP archive; save the sheet as CSV UTF-8, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook; save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "is compressed by gzip; unpack it first (gunzip)"),
    (b"BZh", "is compressed by bzip2; unpack it first (bunzip2)"),
    (b"\xfd7zXZ\0", "is compressed by xz; unpack it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd; unpack it first (unzstd)"),
    (b"SQLite format 3\0", "is a SQLite database, not a text file"),
    (b"%PDF-", "is a PDF document, not a text file"),
    (b"{\\rtf", "is a rich text document; save it as plain text in UTF-8"),
];
/// UTF-32 first: its mark begins with that of UTF-16.
const MARKS: [(&[u8], &str); 4] =
    [(b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")];

/// How much of a file is enough for [`foreign`].
pub const ENOUGH: usize = 512;

/// What a file with this beginning is, if it is not text in UTF-8; to be read after its name.
pub fn foreign(beginning: &[u8]) -> Option<String> {
    if let Some((_, what)) = BEGINNINGS.iter().find(|(bytes, _)| beginning.starts_with(bytes)) {
        return Some((*what).to_owned());
    }
    if let Some((_, encoding)) = MARKS.iter().find(|(bytes, _)| beginning.starts_with(bytes)) {
        return Some(wide(encoding));
    }
    // Of text without a mark, every other byte is NUL as long as it is in Latin letters.
    let nul_at = |odd: usize| beginning.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = beginning.len() / 2;
    (half > 0 && nul_at(0).max(nul_at(1)) * 2 > half && nul_at(0).min(nul_at(1)) * 4 < half).then(|| wide("UTF-16"))
}

fn wide(encoding: &str) -> String {
    format!("is {encoding}; save it as UTF-8 (iconv -f {encoding} -t UTF-8)")
}

/// Where bytes stop being UTF-8; to be read after the name of what they are in.
pub fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> String {
    let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
    format!("is not UTF-8 at byte {} (0x{byte:02X}); save the file as UTF-8", error.valid_up_to() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool) -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn what_is_no_utf8_text_is_called_by_its_name() {
        for (bytes, part) in [
            (b"PK\x03\x04\x14\0".to_vec(), "Excel"),
            (b"\x1f\x8b\x08\0".to_vec(), "gunzip"),
            (utf16("subject,start_time\r\n", true), "is UTF-16; save it as UTF-8"),
            (utf16("subject,start_time\r\n", false), "is UTF-16"),
            (b"\0s\0u\0b".to_vec(), "is UTF-16"),
            (b"\xff\xfe\0\0s\0\0\0".to_vec(), "is UTF-32"),
        ] {
            let what = foreign(&bytes).unwrap_or_default();
            assert!(what.contains(part), "{bytes:?}: {what}");
        }
    }

    #[test]
    fn text_is_not_suspected() {
        for text in ["", "{}", "subject;start_time\n", "\u{feff}subject\n", "Pkw,Kfz\n", "a\0b,c\n", "日本"] {
            assert_eq!(foreign(text.as_bytes()), None, "{text}");
        }
    }
}
