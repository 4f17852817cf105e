//! What a package takes along is made from the program and must not fall behind it. Whether the package installs, works
//! and goes away again, `.ci/package` shows.

use std::collections::BTreeMap;
use std::path::Path;

use super::help::completed;
use crate::bed::Bed;

const CURE: &str = "is not up to date: run .ci/regenerate and commit what it changes";

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(directory: &Path) -> BTreeMap<String, String> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
    };
    std::fs::read_dir(directory).unwrap().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn man_pages_completions_and_the_page_of_the_settings_are_those_of_the_program() {
    let bed = Bed::new().await;
    bed.bare_command(&["reference", "made"]).await.expect(0);
    for kind in ["man", "completions"] {
        let (committed, made) = (files(&repository("docs").join(kind)), files(&bed.home().join("made").join(kind)));
        assert!(committed.keys().eq(made.keys()), "docs/{kind} {CURE}");
        for (name, content) in made {
            assert!(committed[&name] == content, "docs/{kind}/{name} {CURE}");
        }
    }
    let page = |path: &Path| std::fs::read_to_string(path.join("configuration.md")).unwrap();
    assert!(page(&repository("docs")) == page(&bed.home().join("made")), "docs/configuration.md {CURE}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_command_has_a_man_page_and_a_completion() {
    let bed = Bed::new().await;
    let completed = completed(&bed, &[]).await;
    let names: Vec<&str> = completed.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    assert!(names.contains(&"run") && names.contains(&"completions"), "{names:?}");
    assert!(!names.contains(&"reference"), "a hidden command is completed");
    let help = bed.bare_command(&["--help"]).await.expect(0).stdout;
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(help.contains(&format!("\n  {name} ")), "{name} is not in the help");
        assert!(repository(&format!("docs/man/event-sender-{name}.1")).is_file(), "{name} {CURE}");
    }
}

#[test]
fn the_packaged_settings_are_the_annotated_ones_with_the_queue_in_its_place() {
    let text = |path| std::fs::read_to_string(repository(path)).unwrap();
    let (annotated, default) = (text("agent.toml"), "\n#path = \"queue.db\"\n");
    assert!(annotated.contains(default), "agent.toml no longer has the line that .ci/regenerate looks for");
    let packaged = annotated.replace(default, "\npath = \"/var/lib/event-sender/queue.db\"\n");
    assert!(text("systemd/debian/agent.toml") == packaged, "systemd/debian/agent.toml {CURE}");
}

/// The places that unit, package and settings have to agree on.
#[test]
fn the_unit_runs_what_the_package_installs() {
    let text = |path| std::fs::read_to_string(repository(path)).unwrap();
    let unit = text("systemd/event-sender.service");
    for line in
        ["ExecStart=/usr/bin/event-sender run --config /etc/event-sender/agent.toml", "StateDirectory=event-sender"]
    {
        assert!(unit.lines().any(|said| said == line), "{line}");
    }
    assert!(text("systemd/debian/agent.toml").contains("\npath = \"/var/lib/event-sender/"));
}

/// Where the template unit differs from the one it is made of.
#[test]
fn the_template_unit_is_the_unit_with_an_instance_for_each_tenant() {
    let text = |path| std::fs::read_to_string(repository(path)).unwrap();
    let own = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| line.replace("event-sender-%i", "event-sender").replace("event-sender/%i", "event-sender"))
            .collect()
    };
    let (unit, template) = (own(&text("systemd/event-sender.service")), own(&text("systemd/event-sender@.service")));
    let only_in = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    assert_eq!(only_in(&template, &unit), ["Description=Exchange Event Sender for %i"]);
    assert_eq!(only_in(&unit, &template), ["Description=Exchange Event Sender"]);
    for line in ["StateDirectory=event-sender-%i", "LoadCredential=client_secret:event-sender-%i.client_secret"] {
        assert!(text("systemd/event-sender@.service").lines().any(|said| said == line), "{line}");
    }
}

/// Producers write to the queue's directory: what is typed as the agent's user reads nothing that they may have put there.
#[test]
fn documented_commands_of_the_agents_user_name_the_settings_and_read_no_start_up_file() {
    let mut commands = 0;
    let folders = ["", "docs", "docs/sign-in", "docs/operate", "docs/operate/monitoring", "docs/develop"];
    let pages = folders.iter().flat_map(|folder| std::fs::read_dir(repository(folder)).unwrap());
    let pages = pages.map(|entry| entry.unwrap().path());
    for page in pages.filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        for line in text.lines() {
            for (program, wanted) in [("sqlite3", "-init /dev/null"), ("event-sender", "--config /etc/event-sender/")] {
                if line.contains(&format!("sudo -u event-sender {program} ")) {
                    assert!(line.contains(wanted), "{}: {line}", page.display());
                    commands += 1;
                }
            }
        }
    }
    assert!(commands > 10, "{commands}");
}

#[test]
fn the_services_user_has_no_home_that_anybody_writes_to() {
    for path in ["docs/install.md", "systemd/debian/postinst"] {
        let text = std::fs::read_to_string(repository(path)).unwrap();
        let makes = text
            .lines()
            .filter(|line| line.contains("--home /nonexistent") || line.contains("--home-dir /nonexistent"));
        assert!(makes.count() > 0, "{path}");
        assert!(!text.contains("--home /var/lib") && !text.contains("--home-dir /var/lib"), "{path}");
    }
}
