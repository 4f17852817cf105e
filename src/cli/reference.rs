//! `reference`: writes what is made from the program itself, man pages, completions and the page of the settings, into a
//! directory. Hidden: the files are in `docs/` already, and a test fails when they are no longer what this command writes.

use std::fs;
use std::path::PathBuf;

use clap_complete::Shell;

use super::{completions, man, man_settings, settings_page};
use crate::agent::Failure;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where to write `man/`, `completions/` and `configuration.md`
    directory: PathBuf,
}

/// The shells whose completions a package installs, each with the name under which the shell looks for them.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "event-sender"), (Shell::Zsh, "_event-sender"), (Shell::Fish, "event-sender.fish")];

pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    let pages = options.directory.join("man");
    fs::create_dir_all(&pages)?;
    for (name, page) in man::pages()? {
        fs::write(pages.join(name), page)?;
    }
    fs::write(pages.join("agent.toml.5"), man_settings::page())?;
    let scripts = options.directory.join("completions");
    fs::create_dir_all(&scripts)?;
    for (shell, name) in SHELLS {
        fs::write(scripts.join(name), completions::script(shell)?)?;
    }
    fs::write(options.directory.join("configuration.md"), settings_page::page())?;
    Ok(Exit::Done)
}
