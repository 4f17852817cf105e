//! `sandbox`: the fake of Microsoft's side as a process of its own, for trying the product without a tenant.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::output;
use crate::advice::shell;
use crate::agent::Failure;
use crate::exit::Exit;
use crate::sandbox::{IDENTITY_CLIENT_ID, IDENTITY_HEADER, Sandbox, SandboxOptions};
use crate::shutdown::{self, Hangup};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Address to listen on; this machine only
    #[arg(long, default_value = "127.0.0.1:8765", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Write the settings to use it into this new file; an existing file is left as it is
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
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
    .map_err(|error| Failure::failed(cannot_listen(options.listen, &error)))?;
    let url = sandbox.url();
    match &options.write {
        Some(file) => tell_written(file, &sandbox)?,
        None => {
            tell_settings(&sandbox)?;
            eprintln!("\n{}", other_ways(&url, &options));
        }
    }
    eprintln!("Calendars, mails and armed faults, for a browser:\n  {url}/");
    eprintln!("Arm a fault (docs/sandbox.md has more of them):");
    eprintln!("  curl {url}/sandbox/faults -d '{{\"action\":\"lost_reply\"}}'\nEnd with Ctrl-C.");
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(Exit::Done)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    let cure = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!(
                "; another sandbox may be running ('ss -ltnp sport = :{}' says who); --listen 127.0.0.1:0 takes a free port",
                address.port()
            )
        }
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 are root's: take a higher one".to_owned(),
        _ => String::new(),
    };
    format!("cannot listen on {address}: {error}{cure}")
}

/// What goes to stdout is a settings file.
fn tell_settings(sandbox: &Sandbox) -> std::io::Result<()> {
    let url = sandbox.url();
    output::line(&format!("# A fake Entra and Graph is listening on {url}. Put this into agent.toml to use it:\n"))?;
    output::line(sandbox.settings().trim_end())
}

fn tell_written(file: &Path, sandbox: &Sandbox) -> Result<(), Failure> {
    write(file, &sandbox.settings())?;
    let config = match file.to_str() {
        Some("agent.toml" | "./agent.toml") => String::new(),
        _ => format!(" --config {}", shell::word(&file.display().to_string())),
    };
    output::line(&format!("A fake Entra and Graph is listening on {}. Wrote {}.", sandbox.url(), file.display()))?;
    output::line("Next, in another terminal:\n")?;
    output::line(&format!("  event-sender run{config}"))?;
    let job = "--subject Visit --start \"2030-12-01 09:00\" --end \"2030-12-01 09:30\"";
    output::line(&format!("  event-sender enqueue{config} \\\n    {job}\n"))?;
    Ok(())
}

/// Into a file that nobody has, for its owner alone.
fn write(file: &Path, settings: &str) -> Result<(), Failure> {
    let shown = file.display();
    let new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut new = new.map_err(|error| {
        Failure::failed(match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!("--write: {shown} is there already, and is not overwritten; move it away, or name another file")
            }
            _ => format!("--write: cannot make {shown}: {error}"),
        })
    })?;
    let text = format!("# To use a sandbox: a fake Entra and Graph on this machine.\n\n{settings}");
    new.write_all(text.as_bytes()).map_err(|error| Failure::failed(format!("--write: cannot write {shown}: {error}")))
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

The identity of the machine. Take client_id out for the system-assigned one; for
the user-assigned one it is {IDENTITY_CLIENT_ID}.
The environment of event-sender says which machine this is:
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
  openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=event-sender \
    -keyout key.pem -out certificate.pem
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
            write: None,
            latency: Duration::ZERO,
            token_lifetime: Duration::from_secs(3600),
            certificates: certificates.iter().map(PathBuf::from).collect(),
            arc_tokens_dir: arc_tokens_dir.map(PathBuf::from),
        }
    }

    #[test]
    fn other_ways_to_sign_in_name_what_was_given() {
        let plain = other_ways("http://127.0.0.1:8765", &options(&[], None));
        let given = other_ways("http://127.0.0.1:8765", &options(&["my.pem"], Some("/tmp/arc")));
        assert!(plain.contains("--certificate certificate.pem") && plain.contains("--arc-tokens-dir DIR"), "{plain}");
        assert!(given.contains("certificate_file = \"my.pem\"\n") && given.contains("\"/tmp/arc\""), "{given}");
        assert!(!given.contains("openssl") && !given.contains("--arc"), "{given}");
    }

    #[test]
    fn settings_are_written_for_the_owner_alone_and_over_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("agent.toml");
        write(&file, "[auth]\n").unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().ends_with("[auth]\n"));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let link = home.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for taken in [&file, &link] {
            let told = write(taken, "new").unwrap_err().text;
            assert!(told.contains("is there already") && told.contains("another file"), "{told}");
        }
        assert!(!std::fs::read_to_string(&file).unwrap().contains("new"));
        assert!(write(&home.path().join("no/agent.toml"), "").unwrap_err().text.contains("No such file"));
    }

    #[test]
    fn an_address_that_cannot_be_had_comes_with_the_cure() {
        let told = |kind: std::io::ErrorKind| cannot_listen(SocketAddr::from(([127, 0, 0, 1], 80)), &kind.into());
        assert!(told(std::io::ErrorKind::AddrInUse).contains("--listen 127.0.0.1:0"));
        assert!(told(std::io::ErrorKind::PermissionDenied).contains("take a higher one"));
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
