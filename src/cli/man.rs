//! The man pages of the commands, from their definition, and what no definition knows: exit codes, files, environment.

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help;

/// What stands at the foot of every page.
pub(super) const SOURCE: &str = concat!("event-sender ", env!("CARGO_PKG_VERSION"));
/// What stands at the head of every page.
pub(super) const MANUAL: &str = "Exchange Event Sender";
/// No date, so that a page changes only when its matter does. Quite empty it would be taken for missing, and what
/// follows for the date.
pub(super) const DATE: &str = " ";

const EXIT_CODES: [(&str, &str); 5] = [
    ("0", "Done; also run stopped by TERM."),
    ("1", "The command's work failed."),
    ("2", "Wrong usage."),
    ("69", "Another agent holds this queue, or a service is unreachable."),
    ("78", "Configuration: stderr names each key, the rule and what to do."),
];

const FILES: [(&str, &str); 3] = [
    (
        "/etc/event-sender/agent.toml",
        "Settings, if neither --config nor EVENT_SENDER_CONFIG names a file and ./agent.toml is not there.",
    ),
    (
        "/var/lib/event-sender/queue.db",
        "The queue of the service. Members of the group event-sender may insert into its table jobs.",
    ),
    (
        "/etc/credstore/event-sender.client_secret",
        "The client secret; systemd hands it to the service. Likewise event-sender.password.",
    ),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("EVENT_SENDER_CONFIG", "Settings file."),
    ("EVENT_SENDER__SECTION__KEY", "Comes over section.key of the settings file."),
    ("HTTPS_PROXY, NO_PROXY", "Proxy for all requests, and the hosts that go without it."),
    ("NO_COLOR", "If not empty, no colours."),
];

const SEE_ALSO: &str = "agent.toml(5), systemctl(1), journalctl(1), sqlite3(1); /usr/share/doc/event-sender/README.md";

/// Every page with its file name.
pub(super) fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut definition = super::definition().disable_help_subcommand(true);
    // Gives the commands their full names, and the options that belong to all of them.
    definition.build();
    let mut pages = Vec::new();
    for command in definition.get_subcommands() {
        pages.push(page(command.clone(), &examples(command.get_name()))?);
    }
    pages.push(page(definition, &matters())?);
    Ok(pages)
}

fn page(command: clap::Command, end: &Roff) -> std::io::Result<(String, Vec<u8>)> {
    let man = Man::new(command).date(DATE).source(SOURCE).manual(MANUAL);
    let mut page = Vec::new();
    man.render(&mut page)?;
    end.to_writer(&mut page)?;
    Ok((man.get_filename(), page))
}

/// The end of the program's own page.
fn matters() -> Roff {
    let mut end = Roff::new();
    for (heading, entries) in [("EXIT STATUS", &EXIT_CODES[..]), ("FILES", &FILES), ("ENVIRONMENT", &ENVIRONMENT)] {
        end.control("SH", [heading]);
        for (name, meaning) in entries {
            end.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
        }
    }
    end.extend([see(SEE_ALSO)]);
    end
}

/// The end of a command's page.
fn examples(command: &str) -> Roff {
    let mut end = Roff::new();
    let examples = help::examples(command.trim_start_matches("event-sender-"));
    if !examples.is_empty() {
        end.control("SH", ["EXAMPLES"]);
    }
    for (what, how) in examples {
        end.control("TP", []).text([roman(*what)]).text([bold(*how)]);
    }
    end.extend([see("event-sender(1), agent.toml(5)")]);
    end
}

fn see(also: &str) -> Roff {
    let mut end = Roff::new();
    end.control("SH", ["SEE ALSO"]).text([roman(also)]);
    end
}
