//! Commands to copy: a producer's text in them is one word of the shell, and never an option.

use crate::format::short;

/// As one word: as it is, or in quotes, and without what would steer a terminal.
pub fn word(text: &str) -> String {
    // Only a NUL cannot be quoted, and `short` leaves no control characters.
    shlex::Quoter::new().allow_nul(true).quote(&short(text, usize::MAX)).map(Into::into).unwrap_or_default()
}

/// As the last word of a command, which it cannot take for an option of its own.
pub fn last(text: &str) -> String {
    let mark = if text.starts_with('-') { "-- " } else { "" };
    format!("{mark}{}", word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_producer_wrote_is_one_word_and_no_option() {
        for text in ["x; rm -rf ~", "o'neil@contoso.com", "$(reboot)\n\x1b[2J", "", "a\0b", "!!"] {
            let quoted = word(text);
            assert_eq!(shlex::split(&quoted), Some(vec![short(text, usize::MAX)]), "{quoted}");
            assert!(!quoted.contains(char::is_control), "{quoted:?}");
        }
        assert_eq!(word("ann.b+c_d-e@contoso.com"), "ann.b+c_d-e@contoso.com");
        assert_eq!(word("$(reboot)"), "'$(reboot)'");
        assert_eq!(last("--all"), "-- --all");
        assert_eq!(last("ann"), "ann");
    }
}
