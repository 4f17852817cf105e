//! `sandbox`: the fake of Microsoft's side as a process of its own, for trying the product without a tenant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::output;
use crate::agent::Failure;
use crate::exit::Exit;
use crate::sandbox::{IDENTITY_CLIENT_ID, IDENTITY_HEADER, Sandbox, SandboxOptions};
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
    /// Certificate (PEM) registered for the application, for mode certificate; may be given several times
    #[arg(long = "certificate", value_name = "FILE")]
    certificates: Vec<PathBuf>,
    /// Directory for the challenge files of Azure Arc, for mode managed_identity
    #[arg(long, value_name = "DIR")]
    arc_tokens_dir: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> Result<Exit, Failure> {
    let stop = shutdown::on_signals(Hangup::Stops)?;
    let certificates = options.certificates.iter().map(|file| read_certificate(file));
    let arc_tokens_dir = options.arc_tokens_dir.as_ref().map(std::path::absolute).transpose();
    let sandbox = Sandbox::start(SandboxOptions {
        listen: options.listen,
        latency: options.latency,
        token_lifetime: options.token_lifetime,
        certificates: certificates.collect::<Result<_, _>>()?,
        arc_tokens_dir: arc_tokens_dir.map_err(|error| Failure::failed(format!("--arc-tokens-dir: {error}")))?,
        ..SandboxOptions::default()
    })
    .await
    .map_err(|error| Failure::failed(format!("cannot listen on {}: {error}", options.listen)))?;
    let url = sandbox.url();
    output::line(&format!("# A fake Entra and Graph is listening on {url}. Put this into agent.toml to use it:\n"))?;
    output::line(sandbox.settings().trim_end())?;
    eprintln!("\n{}", other_ways(&url, &options));
    eprintln!("Events received:  curl -s {url}/sandbox/events\nRequests:         curl -s {url}/sandbox/requests");
    eprintln!("Faults:           curl -s {url}/sandbox/faults -d '{{\"action\":\"lost_reply\"}}'\nEnd with Ctrl-C.");
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(Exit::Done)
}

fn read_certificate(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let bytes = std::fs::read(file).map_err(|error| Failure::failed(format!("cannot read {shown}: {error}")))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Sandbox::check_certificate(&text).map_err(|fault| {
        let cure = match text.contains("-----BEGIN") {
            true => "give the file with the certificate".to_owned(),
            false => format!("if it is DER: openssl x509 -inform der -in {shown} -out certificate.pem"),
        };
        Failure::failed(format!("{shown}: {fault}; {cure}"))
    })?;
    Ok(text)
}

/// How to sign in to the sandbox otherwise. For stderr: what goes to stdout is a settings file.
fn other_ways(url: &str, options: &Options) -> String {
    let certificate = certificate_lines(&options.certificates);
    let arc = arc_line(options.arc_tokens_dir.as_deref());
    format!(
        r#"Other ways to sign in: put their keys into [auth] and take client_secret out.

{certificate}
A federated token, as Kubernetes gives one to a workload:
  curl -s -X POST {url}/sandbox/federated-token > federated-token
  mode = "federated"
  federated_token_file = "federated-token"

The identity of the machine. Take client_id out for the system-assigned one; for the user-assigned one it is
{IDENTITY_CLIENT_ID}. The environment of event-sender says which machine this is:
  mode = "managed_identity"
  Azure VM:     AZURE_POD_IDENTITY_AUTHORITY_HOST={url}
  App Service:  IDENTITY_ENDPOINT={url}/msi/token
                IDENTITY_HEADER={IDENTITY_HEADER}
  Azure Arc:    IDENTITY_ENDPOINT={url}/arc/metadata/identity/oauth2/token
                IMDS_ENDPOINT={url}
{arc}
The older token endpoint, for a secret or a certificate:
  token_version = "v1"
"#
    )
}

fn certificate_lines(registered: &[PathBuf]) -> String {
    match registered.first() {
        Some(file) => format!(
            r#"A certificate:
  mode = "certificate"
  certificate_file = {}
  private_key_file = "key.pem"   # not needed if the key is in the same file
"#,
            quoted(file)
        ),
        None => r#"A certificate. Make one and start the sandbox with --certificate certificate.pem:
  openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=event-sender -keyout key.pem -out certificate.pem
  mode = "certificate"
  certificate_file = "certificate.pem"
  private_key_file = "key.pem"
"#
        .to_owned(),
    }
}

fn arc_line(dir: Option<&Path>) -> String {
    let (dir, how) = match dir {
        Some(dir) => (quoted(&std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())), ""),
        None => ("\"DIR\"".to_owned(), ", the sandbox started with --arc-tokens-dir DIR"),
    };
    format!("                and the key arc_tokens_dir = {dir}{how}\n")
}

/// A path as text of TOML.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(certificates: &[&str], arc_tokens_dir: Option<&str>) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            latency: Duration::ZERO,
            token_lifetime: Duration::from_secs(3600),
            certificates: certificates.iter().map(PathBuf::from).collect(),
            arc_tokens_dir: arc_tokens_dir.map(PathBuf::from),
        }
    }

    #[test]
    fn other_ways_to_sign_in_name_what_was_given() {
        let plain = other_ways("http://127.0.0.1:8025", &options(&[], None));
        let given = other_ways("http://127.0.0.1:8025", &options(&["my.pem"], Some("/tmp/arc")));
        assert!(plain.contains("--certificate certificate.pem") && plain.contains("--arc-tokens-dir DIR"), "{plain}");
        assert!(given.contains("certificate_file = \"my.pem\"\n") && given.contains("\"/tmp/arc\""), "{given}");
        assert!(!given.contains("openssl") && !given.contains("--arc"), "{given}");
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named_with_the_cure() {
        let error = read_certificate(Path::new("/nowhere/certificate.pem")).map(drop).unwrap_err();
        assert!(error.text.starts_with("cannot read /nowhere/certificate.pem: "), "{}", error.text);
        let error = read_certificate(Path::new("/dev/null")).map(drop).unwrap_err();
        assert!(
            error.text.starts_with("/dev/null: no PEM block") && error.text.contains("-inform der"),
            "{}",
            error.text
        );
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let error = read_certificate(key.path()).map(drop).unwrap_err();
        assert!(error.text.ends_with("; give the file with the certificate"), "{}", error.text);
    }
}
