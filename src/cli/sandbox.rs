//! `sandbox`: the fake of Microsoft's side as a process of its own, for trying the product without a tenant.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Failure, output};
use crate::exit::Exit;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::shutdown::{self, Hangup};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Address to listen on; this machine only
    #[arg(long, default_value = "127.0.0.1:8025", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Time every calendar request takes
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "TIME")]
    latency: Duration,
    /// Lifetime of the tokens it issues
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, value_name = "TIME")]
    token_lifetime: Duration,
}

pub(super) async fn run(options: Options) -> Result<Exit, Failure> {
    let stop = shutdown::on_signals(Hangup::Stops)?;
    let sandbox = Sandbox::start(SandboxOptions {
        listen: options.listen,
        latency: options.latency,
        token_lifetime: options.token_lifetime,
        ..SandboxOptions::default()
    })
    .await
    .map_err(|error| Failure::failed(format!("cannot listen on {}: {error}", options.listen)))?;
    let url = sandbox.url();
    output::line(&format!("# A fake Entra and Graph is listening on {url}. Put this into agent.toml to use it:\n"))?;
    output::line(sandbox.settings().trim_end())?;
    eprintln!("\nEvents received:  curl -s {url}/sandbox/events\nRequests:         curl -s {url}/sandbox/requests");
    eprintln!("Faults:           curl -s {url}/sandbox/faults -d '{{\"action\":\"lost_reply\"}}'\nEnd with Ctrl-C.");
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(Exit::Done)
}
