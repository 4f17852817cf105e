//! `migrate`: brings the schema of the queue up to date, with the rights of whoever runs it. Agents need fewer.

use super::output;
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue;

#[derive(Debug, clap::Args)]
pub(super) struct Options {}

pub(super) async fn run(_options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::migrate(&settings.queue).await?;
    output::line(&format!("the queue {} is up to date", queue.name()))?;
    queue.close().await;
    Ok(Exit::Done)
}
