//! What `--help` says beyond what each option says of itself: the commands in groups, and examples of each.

use clap::Command;

/// The commands by what somebody wants to do, in the order of a first day.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Get started", &["demo", "sandbox", "init", "migrate", "check", "run"]),
    ("Insert and inspect", &["enqueue", "list", "show", "status"]),
    ("Fix", &["retry", "cancel", "hold", "release", "resume", "purge", "after-restore"]),
    ("Reference", &["settings", "completions", "help"]),
];

/// What it does, and how that is typed.
pub(super) type Example = (&'static str, &'static str);

const EXAMPLES: [(&str, &[Example]); 19] = [
    (
        "run",
        &[
            ("Run until Ctrl-C, telling what happens", "event-sender run"),
            ("Send what is waiting, then end", "event-sender run --until-empty"),
        ],
    ),
    (
        "demo",
        &[
            ("Watch nine jobs, three of which meet trouble", "event-sender demo"),
            ("With times in this machine's zone", "event-sender demo --local"),
        ],
    ),
    (
        "sandbox",
        &[
            ("A fake Microsoft 365, and the settings to use it", "event-sender sandbox --write agent.toml"),
            ("A slow one, on a free port", "event-sender sandbox --listen 127.0.0.1:0 --latency 200ms"),
        ],
    ),
    (
        "migrate",
        &[
            ("Make the queue that the settings name, or bring it up to date", "event-sender migrate"),
            (
                "The same as the owner of its schema, whose settings these are",
                "event-sender migrate --config owner.toml",
            ),
            ("Move a stopped queue from SQLite to PostgreSQL", "event-sender migrate --copy-from queue.db"),
            ("Only say whether it can move", "event-sender migrate --copy-from queue.db --dry-run"),
        ],
    ),
    (
        "check",
        &[
            ("Everything, network and sign-in included", "event-sender check"),
            ("Check one mailbox", "event-sender check --mailbox ann@contoso.com"),
        ],
    ),
    (
        "enqueue",
        &[
            (
                "One job",
                "event-sender enqueue --subject Visit --start '2030-12-01 09:00' --end '2030-12-01 09:30' --attendee ann@contoso.com",
            ),
            ("Validate a file, insert nothing", "event-sender enqueue --dry-run jobs.csv"),
            ("Cancel an event by its key", "event-sender enqueue --delete visit-7 --comment 'The room is gone.'"),
        ],
    ),
    (
        "list",
        &[
            ("Failed jobs", "event-sender list --state failed"),
            (
                "Jobs waiting for a mailbox, as JSON",
                "event-sender list --state pending --mailbox ann@contoso.com --json",
            ),
        ],
    ),
    (
        "show",
        &[
            ("Job 17: what happened, and what to do", "event-sender show 17"),
            ("All jobs of one event", "event-sender show --key visit-7"),
            ("The exact request", "event-sender show 17 --request"),
        ],
    ),
    ("status", &[("The queue now", "event-sender status"), ("A live screen", "event-sender status --watch")]),
    (
        "after-restore",
        &[
            ("Count the jobs first", "event-sender after-restore --dry-run"),
            ("Before the agent is started on a restored queue", "event-sender after-restore"),
        ],
    ),
    (
        "retry",
        &[
            ("One job", "event-sender retry 17"),
            ("Jobs refused for a permission that has been granted since", "event-sender retry --error-kind denied"),
            ("Show which jobs would be retried", "event-sender retry --configuration --dry-run"),
        ],
    ),
    (
        "cancel",
        &[
            ("One job that waits", "event-sender cancel 17"),
            ("All jobs waiting for a mailbox", "event-sender cancel --mailbox ann@contoso.com"),
        ],
    ),
    (
        "hold",
        &[
            ("Send nothing to a mailbox", "event-sender hold ann@contoso.com --reason 'being moved'"),
            ("List mailboxes on hold", "event-sender hold --list"),
        ],
    ),
    (
        "release",
        &[("One mailbox", "event-sender release ann@contoso.com"), ("All of them", "event-sender release --all")],
    ),
    (
        "resume",
        &[
            ("A mailbox that is fixed", "event-sender resume ann@contoso.com"),
            ("Every paused mailbox that Microsoft did not ask to leave alone", "event-sender resume --all"),
        ],
    ),
    (
        "purge",
        &[
            ("Count them first", "event-sender purge --older-than 90d --dry-run"),
            ("Only those that were sent", "event-sender purge --older-than 30d --state sent"),
        ],
    ),
    (
        "init",
        &[
            ("Answer questions", "event-sender init"),
            (
                "Give every answer as a flag",
                "event-sender init --tenant contoso.com --client 11111111-2222-3333-4444-555555555555 --mailbox calendar@contoso.com --client-secret-file /etc/event-sender/client_secret",
            ),
        ],
    ),
    (
        "settings",
        &[
            ("Read about every key", "event-sender settings | less"),
            ("Start from a copy of the file", "event-sender settings > agent.toml"),
        ],
    ),
    (
        "completions",
        &[
            ("For this bash", "source <(event-sender completions bash)"),
            ("For zsh, from the next start on", "event-sender completions zsh > ~/.zfunc/_event-sender"),
        ],
    ),
];

/// Those of one command.
pub(super) fn examples(command: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// With the groups in the place of one long list, and examples at the end of each command's help.
pub(super) fn complete(program: Command) -> Command {
    let header = program.get_styles().get_header();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{header}Options:{header:#}\n{{options}}{{after-help}}",
        groups(&program)
    );
    let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let program = program.help_template(template);
    names.into_iter().fold(program, |program, name| program.mut_subcommand(name, with_examples))
}

fn groups(program: &Command) -> String {
    let header = program.get_styles().get_header();
    let literal = program.get_styles().get_literal();
    let about = |name: &str| match program.find_subcommand(name) {
        Some(command) => command.get_about().map(ToString::to_string).unwrap_or_default(),
        None => "Print this message or the help of a command".to_owned(),
    };
    let line = |name: &&str| format!("  {literal}{name:13}{literal:#}  {}\n", about(name));
    let group = |(title, names): &(&str, &[&str])| {
        format!("{header}{title}:{header:#}\n{}\n", names.iter().map(line).collect::<String>())
    };
    GROUPS.iter().map(group).collect()
}

fn with_examples(command: Command) -> Command {
    let examples = examples(command.get_name());
    if examples.is_empty() {
        return command;
    }
    let header = command.get_styles().get_header();
    let lines = examples.iter().map(|(what, how)| format!("  # {what}\n  {how}\n"));
    let text = format!("{header}Examples:{header:#}\n{}", lines.collect::<String>());
    let before = command.get_after_help().map(|help| format!("{}\n\n", help.ansi())).unwrap_or_default();
    command.after_help(format!("{before}{}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::definition;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(grouped.len(), grouped.iter().collect::<BTreeSet<_>>().len());
        grouped.retain(|name| *name != "help");
        let program = definition();
        let commands: BTreeSet<&str> = program.get_subcommands().map(Command::get_name).collect();
        assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), commands);
    }

    #[test]
    fn every_command_has_two_examples_that_it_understands() {
        for command in definition().get_subcommands() {
            let name = command.get_name();
            assert!(examples(name).len() >= 2, "{name}");
            for (_, how) in examples(name) {
                let plain =
                    how.split([' ']).take_while(|word| !["|", ">"].contains(word)).collect::<Vec<_>>().join(" ");
                let plain = plain.strip_prefix("source <(").map_or(plain.as_str(), |rest| rest.trim_end_matches(')'));
                let matches = definition().try_get_matches_from(shlex::split(plain).unwrap());
                let matches = matches.unwrap_or_else(|error| panic!("{how}: {error}"));
                assert_eq!(matches.subcommand_name(), Some(name), "{how}");
            }
        }
    }
}
