//! `check`: the doctor. Settings, zone rules, permissions, database, agent, network, clock, token, secret or certificate, mailboxes; a
//! PASS, WARN or FAIL line for each thing looked at, with what it means and what to do. Changes nothing, anywhere.
//!
//! One file per area, each from what it is given to findings; here only their order, and what one needs of another.

mod agent;
mod clock;
mod database;
mod findings;
mod mailboxes;
mod network;
mod permissions;
mod secret;
mod settings;
mod token;
mod zones;

use std::path::PathBuf;

use chrono::Utc;

use self::database::Database;
use self::findings::{Finding, Report};
use self::network::Peer;
use crate::agent::{Failure, wiring};
use crate::cli::paper::Paper;
use crate::cli::selector::mailbox;
use crate::config::{Environment, LocalSettings, Settings};
use crate::exit::Exit;
use crate::job::ZoneSources;
use crate::queue;

/// As it was typed.
fn named(text: &str) -> Result<String, &'static str> {
    mailbox(text).map(|_| text.to_owned())
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Options {
    /// Skip what needs the network
    #[arg(long)]
    offline: bool,
    /// Check this mailbox too; may be given several times
    #[arg(long, value_name = "MAILBOX", value_parser = named)]
    mailbox: Vec<String>,
    /// Check every mailbox that jobs wait for, not only the ten with the most
    #[arg(long)]
    all_mailboxes: bool,
    /// Break no line to the terminal's width
    #[arg(long)]
    wide: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let mut report = Report::new(options.json, Paper::new(options.wide));
    let environment = Environment::of_process();
    let settings = match Settings::load(file.clone(), &environment) {
        Ok(settings) => settings,
        Err(error) => {
            report.add(settings::problems(&error))?;
            // A secret only the service can see must not hide the state of the database.
            if let Ok(local) = LocalSettings::load(file, &environment) {
                let (effective_user, found) = queue::permissions(&local.queue);
                report.add(permissions::of_queue(&effective_user, found))?;
                report.add(Database::look(&local.queue, local.unnamed.as_deref(), 0).await.findings)?;
            }
            return Ok(report.end_with(Exit::Config)?);
        }
    };
    report.add(settings::accepted(&settings))?;
    report.add(zones::findings(&ZoneSources::of_process()))?;
    // Before the queue is opened, which may make files beside it.
    let (effective_user, found) = queue::permissions(&settings.queue);
    report.add(permissions::of(&settings, &effective_user, found))?;
    let mailboxes = if options.all_mailboxes { u32::MAX } else { mailboxes::BUSIEST };
    let database = Database::look(&settings.queue, settings.unnamed().as_deref(), mailboxes).await;
    report.add(database.findings.iter().cloned())?;
    if options.offline {
        report.add([Finding::warn("network", "skipped (--offline): sign-in and mailboxes were not checked")])?;
        report.add(secret::of_settings(&settings, Utc::now()))?;
    } else {
        remote(&mut report, &settings, &database, &options).await?;
    }
    Ok(report.end()?)
}

/// What needs the network.
async fn remote(
    report: &mut Report,
    settings: &Settings,
    database: &Database,
    options: &Options,
) -> Result<(), Failure> {
    let network = network::look(settings).await;
    report.add(network.findings)?;
    report.add([clock::finding(&network.clocks)])?;
    let tokens = wiring::tokens(settings)?;
    let graph = wiring::graph(settings)?;
    let token = token::get(settings, &tokens, network.sign_in, database.agent()).await;
    if token.secret.is_none() {
        report.add(token.findings)?;
        return without_token(report, settings, "there is no token");
    }
    if network.graph == Peer::Unexpected {
        report.add(token.findings)?;
        return without_token(report, settings, "an unexpected server answers in Graph's place");
    }
    let secret = secret::findings(settings, &graph, &tokens, network.graph).await;
    // Looked at before the token is judged: what it permits shows in the end by what the mailboxes say.
    let wanted = mailboxes::wanted(settings, database, options);
    let mailboxes = mailboxes::look(&graph, &tokens, wanted, database, network.graph).await;
    report.add(token.findings)?;
    report.add(token::permissions(settings, token.secret.as_deref(), mailboxes.readable))?;
    report.add(secret)?;
    report.add(mailboxes.findings)?;
    Ok(())
}

/// What is left to say where Graph gets no token.
fn without_token(report: &mut Report, settings: &Settings, why: &str) -> Result<(), Failure> {
    report.add(secret::unasked(settings, why, Utc::now()))?;
    report.add([Finding::not_checked("mailbox", why)])?;
    Ok(())
}
