//! `completions`: prints what makes a shell complete commands and options, taken from their own definition.

use clap_complete::Shell;

use super::output;
use crate::agent::Failure;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The shell
    shell: Shell,
}

pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    output::bytes(script(options.shell).trim_ascii_end())?;
    Ok(Exit::Done)
}

/// The completions of one shell.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::definition(), "event-sender", &mut script);
    script
}
