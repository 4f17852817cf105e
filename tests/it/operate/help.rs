//! What the program says of itself: help, version, and what it completes in a shell.

use crate::bed::{Bed, row_for};
use crate::process::{Process, Ran, binary};

/// As bash asks when the key is pressed at the end of this line.
pub async fn completed(bed: &Bed, words: &[&str]) -> Vec<String> {
    let mut command = binary(bed.home(), &[]);
    command
        .env("EVENT_SENDER_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() + 1).to_string())
        .env("_CLAP_IFS", "\n");
    command.args(["--", "event-sender"]).args(words).arg("");
    let Ran { stdout, .. } = Process::start(command, None).end().await.expect(0);
    stdout.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn help_has_groups_and_examples_and_names_settings_only_where_they_are_read() {
    let bed = Bed::new().await;
    let help = bed.bare_command(&["--help"]).await.expect(0).stdout;
    for heading in ["\nGet started:\n", "\nInsert and inspect:\n", "\nFix:\n", "\nReference:\n", "\nOptions:\n"] {
        assert!(help.contains(heading), "{help}");
    }
    assert!(!help.contains("reference") && !help.contains('\x1b'), "{help}");
    let retry = bed.bare_command(&["retry", "--help"]).await.expect(0).stdout;
    assert!(retry.contains("\nExamples:\n  # ") && retry.contains("\n  event-sender retry 17\n"), "{retry}");
    for (command, reads_settings) in
        [("list", true), ("run", true), ("demo", false), ("sandbox", false), ("settings", false)]
    {
        let help = bed.bare_command(&[command, "--help"]).await.expect(0).stdout;
        assert_eq!(help.contains("--config"), reads_settings, "{command}: {help}");
    }
    bed.bare_command(&["demo", "--config", "x"]).await.expect(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settings_may_be_named_before_the_command_and_behind_it() {
    let bed = Bed::new().await;
    bed.insert(row_for("ann@contoso.com")).await;
    bed.write_settings();
    let file = bed.config_path().to_str().unwrap().to_owned();
    for arguments in [["--config", &file, "list"], ["list", "--config", &file]] {
        assert!(bed.bare_command(&arguments).await.expect(0).stdout.contains("ann@contoso.com"), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_long_version_says_what_a_report_of_a_fault_begins_with() {
    let bed = Bed::new().await;
    let short = format!("event-sender {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(bed.bare_command(&["-V"]).await.expect(0).stdout, short);
    let long = bed.bare_command(&["--version"]).await.expect(0).stdout;
    assert!(long.starts_with(&short), "{long}");
    for name in ["commit", "schema", "SQLite"] {
        let line = long.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {long}"));
        assert!(line.split_whitespace().count() >= 2, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_shell_completes_commands_words_ids_mailboxes_and_keys() {
    let bed = Bed::new().await;
    bed.write_settings();
    let id = bed.insert(row_for("ann@contoso.com").with("event_key", "visit-7")).await.to_string();
    bed.insert(row_for("$(reboot)@contoso.com")).await;
    assert!(completed(&bed, &[]).await.contains(&"retry".to_owned()));
    for state in ["pending", "cancelled"] {
        assert!(completed(&bed, &["list", "--state"]).await.contains(&state.to_owned()));
    }
    assert!(completed(&bed, &["retry", "--error-kind"]).await.contains(&"throttled".to_owned()));
    let shown = completed(&bed, &["show"]).await;
    assert!(shown.contains(&id) && shown.contains(&"visit-7".to_owned()), "{shown:?}");
    let mailboxes = completed(&bed, &["hold"]).await;
    assert!(mailboxes.contains(&"ann@contoso.com".to_owned()), "{mailboxes:?}");
    assert!(mailboxes.iter().all(|mailbox| !mailbox.contains('$')), "a shell would act on it: {mailboxes:?}");
    bed.command(&["hold", "ann@contoso.com"]).await.expect(0);
    assert!(completed(&bed, &["release"]).await.contains(&"ann@contoso.com".to_owned()));
    assert!(!completed(&bed, &["resume"]).await.contains(&"ann@contoso.com".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_queue_there_is_nothing_to_complete_and_nothing_is_said() {
    let bed = Bed::new().await;
    let shown = completed(&bed, &["show", "--config", "/nowhere.toml"]).await;
    assert!(shown.iter().all(|word| word.starts_with('-')), "{shown:?}");
}
