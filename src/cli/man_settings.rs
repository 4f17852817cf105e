//! The man page of `agent.toml`: the annotated file itself, read as sections, explanations and keys. The file stays the
//! one place where a key is explained.

use clap_mangen::roff::{Roff, bold, roman};

use super::man::{DATE, MANUAL, SOURCE};
use crate::config::TEMPLATE;

pub(super) fn page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["agent.toml", "5", DATE, SOURCE, MANUAL]);
    page.control("SH", ["NAME"]).text([roman("agent.toml - settings of event-sender")]);
    page.control("SH", ["DESCRIPTION"]);
    for block in TEMPLATE.split("\n\n") {
        append(&mut page, block);
    }
    page.control("SH", ["SEE ALSO"]).text([roman("event-sender(1), event-sender-check(1), event-sender-settings(1)")]);
    page.render()
}

/// A block: perhaps a section's name, an explanation, and the keys it explains.
fn append(page: &mut Roff, block: &str) {
    let (mut keys, mut words) = (Vec::new(), Vec::new());
    for line in block.lines() {
        if line.starts_with('[') {
            page.control("SH", [line]);
        } else if let Some(said) = line.strip_prefix("# ") {
            words.push(said);
        } else if line != "#" {
            keys.push(line.trim_start_matches('#'));
        }
    }
    for (place, key) in keys.iter().enumerate() {
        page.control(if place == 0 { "TP" } else { "TQ" }, []).text([bold(*key)]);
    }
    if keys.is_empty() {
        page.control("PP", []);
    }
    for line in words {
        page.text([roman(line)]);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::page;
    use crate::config::KEYS;

    #[test]
    fn the_page_has_every_key() {
        let page = page();
        for (key, _) in KEYS {
            let (section, name) = key.split_once('.').unwrap();
            let section = page.split("\n.SH ").find(|part| part.starts_with(&format!("[{section}]"))).unwrap();
            assert!(section.contains(&format!("\\fB{name} = ")), "{key} in {page}");
        }
    }
}
