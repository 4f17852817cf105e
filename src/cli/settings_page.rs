//! `docs/configuration.md`: the annotated `agent.toml` as a page, read as its man page is. Which key has a default, and which
//! only an example, is known to the table of keys.

use std::fmt::Write;

use crate::config::{KEYS, TEMPLATE};

/// What no key explains. `.ci/regenerate` writes the page, so a change of it begins here.
const HEAD: &str = r#"# Configuration

<!-- Written by .ci/regenerate from agent.toml. Change that, or src/cli/settings_page.rs. -->

`event-sender init` writes a settings file from a few answers, `event-sender settings` prints an annotated one.

The file is the one `--config` names, else `$EVENT_SENDER_CONFIG`, else `./agent.toml`, else `/etc/event-sender/agent.toml`. The
last two count only if no one but root and you may write the file or its directory (the group of your own name is you); a
`./agent.toml` must not be a link. Otherwise they are refused, exit code 78: name the file with `--config`.

The environment overrides the file: `EVENT_SENDER__AUTH__TENANT_ID` sets `auth.tenant_id`, and so on for every key. Durations are
text with a unit: `"500ms"`, `"30s"`, `"2h"`.

Unknown keys and wrong values are all reported at once, exit code 78, with what was probably meant: an unknown zone, an address
with a path, a mailbox with `mailto:`, a GUID in braces, a value whose quotes became part of it (as `docker --env-file` leaves
them). A running agent reads the file again on HUP:
[Change settings while it runs](operate/runbook.md#change-settings-while-it-runs).

Where each value of `[auth]` is found: [sign-in/choose.md](sign-in/choose.md#where-each-value-comes-from).
"#;

pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    // The first block is for whoever opens the file; the head says the same.
    for block in TEMPLATE.split("\n\n").skip(1) {
        section = append(&mut page, section, block);
    }
    page
}

/// A block: perhaps a section's name, an explanation, and the keys it explains. The section that holds after it.
fn append<'a>(page: &mut String, section: &'a str, block: &'a str) -> &'a str {
    let (mut section, mut keys, mut words) = (section, String::new(), String::new());
    for line in block.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            page.push_str(&format!("\n## `{line}`\n"));
        } else if let Some(said) = line.strip_prefix("#   ") {
            words.push_str(&format!("    {said}\n"));
        } else if let Some(said) = line.strip_prefix("# ") {
            words.push_str(&format!("{said}\n"));
        } else if let Some((name, value)) = line.trim_start_matches('#').split_once(" = ") {
            keys.push_str(&entry(&format!("{section}.{name}"), value));
        }
    }
    // A list within the explanation is set apart, as the file sets it.
    let words = words.replacen(":\n    ", ":\n\n    ", 1);
    // Writing to a String cannot fail.
    let _ = write!(page, "\n{keys}\n{words}");
    section
}

fn entry(key: &str, value: &str) -> String {
    let has_default = KEYS.iter().any(|(known, default)| *known == key && default.is_some());
    let what = if has_default { "default" } else { "no default; for example" };
    format!("- **`{key}`**, {what} `{value}`\n")
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::config::KEYS;

    #[test]
    fn the_page_has_every_key_once_with_its_default() {
        let page = page();
        for (key, default) in KEYS {
            let said = default.map_or_else(|| "no default".to_owned(), |value| format!("default `{value}`"));
            assert_eq!(page.matches(&format!("- **`{key}`**, {said}")).count(), 1, "{key} in {page}");
        }
    }
}
