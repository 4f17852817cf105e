//! `settings`: prints the annotated `agent.toml`, so that a bare binary carries its own documentation.

use super::output;
use crate::agent::Failure;
use crate::config::TEMPLATE;
use crate::exit::Exit;

pub(super) fn run() -> Result<Exit, Failure> {
    output::line(TEMPLATE.trim_end())?;
    Ok(Exit::Done)
}
