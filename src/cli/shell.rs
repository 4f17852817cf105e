//! Commands to copy: a producer's text in them is one word of the shell, and never an option.

use super::output::short;

/// As one word: as it is, or in quotes, and without what would steer a terminal.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", short(text, usize::MAX).replace('\'', r"'\''"))
}

/// As the last word of a command, which it cannot take for an option of its own.
pub(super) fn last(text: &str) -> String {
    let mark = if text.starts_with('-') { "-- " } else { "" };
    format!("{mark}{}", word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_producer_wrote_is_one_word_and_no_option() {
        for (text, said) in [
            ("ann.b+c_d-e@contoso.com", "ann.b+c_d-e@contoso.com"),
            ("x; rm -rf ~", "'x; rm -rf ~'"),
            ("o'neil@contoso.com", r"'o'\''neil@contoso.com'"),
            ("$(reboot)\n\x1b[2J", r"'$(reboot) \u{1b}[2J'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), said);
        }
        assert_eq!(last("--all"), "-- --all");
        assert_eq!(last("ann"), "ann");
    }
}
