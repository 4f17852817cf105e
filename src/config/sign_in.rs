//! The rules of `[auth]`: which keys each mode needs and takes, and where it signs in.

use std::sync::Arc;

use super::cloud::{self, Cloud};
use super::secrets::{Found, PassedIn};
use super::shapes::{self, Unfit};
use super::source::Source;
use super::{AuthMode, AuthSettings, Environment, SecretFiles, TokenVersion, managed_identity, secrets, values};
use crate::certificate::{Certificate, Fault, Part};
use crate::secret::Secret;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    ClientSecret,
    Certificate,
    ManagedIdentity,
    Federated,
    Password,
}

use Mode::{ClientSecret, Federated, ManagedIdentity, Password};

const MODES: [(&str, Mode); 5] = [
    ("client_secret", ClientSecret),
    ("certificate", Mode::Certificate),
    ("managed_identity", ManagedIdentity),
    ("federated", Federated),
    ("password", Password),
];

/// The keys that only some modes have a use for. In others they are a contradiction: somebody believes in them.
const USED_BY: [(&str, &[Mode]); 16] = [
    ("auth.token_version", &[ClientSecret, Mode::Certificate, Federated, Password]),
    ("auth.client_secret", &[ClientSecret, Password]),
    ("auth.client_secret_file", &[ClientSecret, Password]),
    ("auth.secret_expires", &[ClientSecret, Password]),
    ("auth.certificate_file", &[Mode::Certificate]),
    ("auth.private_key_file", &[Mode::Certificate]),
    ("auth.private_key_passphrase", &[Mode::Certificate]),
    ("auth.private_key_passphrase_file", &[Mode::Certificate]),
    ("auth.send_certificate_chain", &[Mode::Certificate]),
    ("auth.identity_object_id", &[ManagedIdentity]),
    ("auth.identity_resource_id", &[ManagedIdentity]),
    ("auth.arc_tokens_dir", &[ManagedIdentity]),
    ("auth.federated_token_file", &[Federated]),
    ("auth.username", &[Password]),
    ("auth.password", &[Password]),
    ("auth.password_file", &[Password]),
];

/// What is needed to sign in; none if something that has no default is missing.
pub(super) fn settings(
    source: &mut Source,
    environment: &Environment,
    (cloud, said): (Cloud, bool),
    endpoint: &str,
) -> Option<AuthSettings> {
    let mode = source.word("auth.mode", &MODES, ClientSecret);
    refuse_what_has_no_use(source, mode);
    let reader = Reader { mode, environment };
    let tenant_id = reader.tenant(source);
    let client_id = reader.client(source);
    let (written, key) = reader.instance(source, cloud);
    let token_version = token_version(source, &written);
    let instance = match mode {
        // Not used, and so not judged.
        ManagedIdentity => written,
        _ => instance(source, key, &written, tenant_id.as_deref().unwrap_or_default()),
    };
    let resource = resource(source, endpoint);
    let signs_in = if mode == ManagedIdentity { None } else { Some((key, instance.as_str())) };
    let addresses = signs_in.into_iter().chain([("graph.endpoint", endpoint), ("auth.resource", &resource)]);
    cloud::refuse_mixture(source, said.then_some(cloud), &addresses.collect::<Vec<_>>());
    let secret_expires = source.day_or_time("auth.secret_expires");
    let credentials = match mode {
        ClientSecret => reader.client_secret(source),
        Mode::Certificate => reader.certificate(source),
        ManagedIdentity => managed_identity::read(source, environment, client_id.clone()),
        Federated => reader.federated(source),
        Password => reader.password(source),
    };
    let (mode, files) = credentials?;
    let named = matches!(mode, AuthMode::ManagedIdentity { .. }) || (tenant_id.is_some() && client_id.is_some());
    named.then_some(AuthSettings {
        mode,
        instance,
        tenant_id,
        client_id,
        resource,
        token_version,
        secret_expires,
        files,
    })
}

/// Whether a user signs in, whose own mailbox needs no name.
pub(super) fn is_users_own(source: &mut Source) -> bool {
    source.word("auth.mode", &MODES, ClientSecret) == Password
}

fn refuse_what_has_no_use(source: &mut Source, mode: Mode) {
    let name = |mode: Mode| MODES.iter().find(|(_, one)| *one == mode).map_or("", |(word, _)| *word);
    for (key, modes) in USED_BY {
        if !modes.contains(&mode) && source.is_changed(key) {
            let instead = modes.first().map_or("", |one| name(*one));
            let what =
                format!("is set, but auth.mode is \"{}\"; remove it, or set auth.mode = \"{instead}\"", name(mode));
            source.problem(key, what);
        }
    }
}

/// Reads what a mode needs.
struct Reader<'e> {
    mode: Mode,
    environment: &'e Environment,
}

impl Reader<'_> {
    /// A variable of Kubernetes workload identity, in the mode that is made for it.
    fn workload(&self, source: &mut Source, name: &str) -> Option<String> {
        if self.mode != Federated {
            return None;
        }
        let value = source.variable(self.environment, name)?;
        (!value.trim().is_empty()).then(|| value.trim().to_owned())
    }

    /// `key`, else the variable that stands in for it.
    fn either(&self, source: &mut Source, key: &'static str, variable: &'static str) -> Option<(String, &'static str)> {
        let written = source.text(key).map(|text| (text.trim().to_owned(), key));
        written.or_else(|| Some((self.workload(source, variable)?, variable)))
    }

    fn needed(
        &self,
        source: &mut Source,
        key: &'static str,
        variable: &'static str,
        cure: &str,
    ) -> Option<(String, &'static str)> {
        let found = self.either(source, key, variable);
        if found.is_none() && !source.has_problem(key) && !source.has_problem(variable) {
            let or = if self.mode == Federated { format!(", and neither is {variable}") } else { String::new() };
            source.problem(key, format!("is not set{or}; {cure}"));
        }
        found
    }

    fn tenant(&self, source: &mut Source) -> Option<String> {
        if self.mode == ManagedIdentity {
            // The machine knows its tenant; a value that stands there anyway does no harm.
            return source.text("auth.tenant_id").map(|tenant| tenant.trim().to_owned());
        }
        let cure = "it is the Directory (tenant) ID on the app registration's overview page";
        let (tenant, key) = self.needed(source, "auth.tenant_id", "AZURE_TENANT_ID", cure)?;
        check_tenant(source, key, self.mode, &tenant);
        Some(tenant)
    }

    fn client(&self, source: &mut Source) -> Option<String> {
        let (client, key) = if self.mode == ManagedIdentity {
            (source.text("auth.client_id")?.trim().to_owned(), "auth.client_id")
        } else {
            let cure = "it is the Application (client) ID on the app registration's overview page";
            self.needed(source, "auth.client_id", "AZURE_CLIENT_ID", cure)?
        };
        values::judge(source, key, &client, client_shape);
        Some(client)
    }

    /// The sign-in address as written, or the cloud's, and what says so.
    fn instance(&self, source: &mut Source, cloud: Cloud) -> (String, &'static str) {
        let found = self.either(source, "auth.instance", "AZURE_AUTHORITY_HOST");
        found.unwrap_or_else(|| (cloud.instance().to_owned(), "auth.instance"))
    }

    fn client_secret(&self, source: &mut Source) -> Option<(AuthMode, SecretFiles)> {
        let Found { secret, file } = self.secret(source, "client_secret", "mode \"client_secret\"")?;
        let files = SecretFiles { client_secret: file, ..SecretFiles::default() };
        Some((AuthMode::ClientSecret { client_secret: secret }, files))
    }

    fn password(&self, source: &mut Source) -> Option<(AuthMode, SecretFiles)> {
        let username = source.required("auth.username", "mode \"password\" needs the user's sign-in name");
        let password = self.secret(source, "password", "mode \"password\"");
        let client_secret = secrets::find(source, self.environment, "client_secret");
        if client_secret.is_none() && source.is_set("auth.secret_expires") {
            source.problem(
                "auth.secret_expires",
                "is set, but there is no client secret; remove it, or set auth.client_secret",
            );
        }
        let password = password?;
        let (client_secret, client_secret_file) =
            client_secret.map_or((None, None), |found| (Some(found.secret), found.file));
        let mode = AuthMode::Password { username: username?, password: password.secret, client_secret };
        let files =
            SecretFiles { client_secret: client_secret_file, password: password.file, ..SecretFiles::default() };
        Some((mode, files))
    }

    fn secret(&self, source: &mut Source, name: &str, mode: &str) -> Option<Found> {
        let key = format!("auth.{name}");
        let file_given = source.is_set(&format!("{key}_file"));
        let secret = secrets::find(source, self.environment, name);
        if secret.is_none() && !file_given && !source.has_problem(&key) {
            source.problem(
                &key,
                format!("is not set, and {mode} needs it; set {key}_file, or EVENT_SENDER__AUTH__{}, or pass it as a systemd credential", name.to_ascii_uppercase()),
            );
        }
        secret
    }

    fn certificate(&self, source: &mut Source) -> Option<(AuthMode, SecretFiles)> {
        let send_chain = source.flag("auth.send_certificate_chain");
        let own = secrets::find_file(source, self.environment, "auth.certificate_file", "certificate");
        let key = secrets::find_file(source, self.environment, "auth.private_key_file", "private_key");
        let passphrase = secrets::find(source, self.environment, "private_key_passphrase");
        let Some(own) = own else {
            let cure = "is not set, and mode \"certificate\" needs it; it is the PEM file of the certificate uploaded to Entra, or the systemd credential \"certificate\"";
            source.problem("auth.certificate_file", cure);
            return None;
        };
        let key = key.unwrap_or_else(|| own.clone());
        let certificate = read_file(source, &own)?;
        let private = if key.file == own.file { certificate.clone() } else { read_file(source, &key)? };
        if key.named {
            source.note_secret(&key.file);
        }
        let secret = passphrase.as_ref().map(|found| &found.secret);
        let files = SecretFiles {
            certificate: Some(own.file.clone()),
            private_key: Some(key.file.clone()),
            passphrase: passphrase.as_ref().and_then(|found| found.file.clone()),
            ..SecretFiles::default()
        };
        match Certificate::from_pem(&certificate, &private, secret) {
            Ok(certificate) => {
                let passphrase = passphrase.map(|found| found.secret);
                let certificate = Arc::new(certificate);
                Some((AuthMode::Certificate { certificate, passphrase, send_chain }, files))
            }
            Err(Fault { part, what }) => {
                match part {
                    Part::Certificate => source.problem(own.key, format!("names {}, which {what}", own.shown())),
                    Part::Key => source.problem(key.key, format!("names {}, which {what}", key.shown())),
                    Part::Pair => {
                        source.problem(
                            own.key,
                            format!("names {}, and the key is in {}: {what}", own.shown(), key.shown()),
                        );
                    }
                    Part::Passphrase => source.problem("auth.private_key_passphrase", what),
                }
                None
            }
        }
    }

    fn federated(&self, source: &mut Source) -> Option<(AuthMode, SecretFiles)> {
        let cure = "it is the file in which the other provider keeps its token";
        let (file, key) = self.needed(source, "auth.federated_token_file", "AZURE_FEDERATED_TOKEN_FILE", cure)?;
        let named = PassedIn { key, file: file.into(), named: true };
        let token = read_file(source, &named)?;
        let files = SecretFiles { federated_token: Some(named.file), ..SecretFiles::default() };
        Some((AuthMode::Federated { token }, files))
    }
}

fn read_file(source: &mut Source, named: &PassedIn) -> Option<Secret> {
    match secrets::read_text(&named.file) {
        Ok(text) => {
            if named.named {
                source.note_read(&named.file);
            }
            Some(text)
        }
        Err(what) => {
            source.problem(named.key, format!("names {}, which {what}", named.shown()));
            None
        }
    }
}

/// The id of an application; its name is none.
fn client_shape(client: &str) -> Result<(), Unfit> {
    shapes::guid(client, "is not a GUID; it is the Application (client) ID on the app registration's overview page")
}

fn check_tenant(source: &mut Source, key: &str, mode: Mode, tenant: &str) {
    let shared = ["common", "consumers", "organizations"].contains(&tenant.to_ascii_lowercase().as_str());
    let organizations = tenant.eq_ignore_ascii_case("organizations");
    if shared && !(organizations && mode == Password) {
        source.problem(
            key,
            format!("is \"{tenant}\", which no daemon can sign in to; give the tenant's own id or domain"),
        );
        return;
    }
    if !shared {
        values::judge(source, key, tenant, tenant_shape);
    }
}

fn tenant_shape(tenant: &str) -> Result<(), Unfit> {
    let domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let ends = |tenant: &str| tenant.starts_with('.') || tenant.ends_with('.') || tenant.contains("..");
    match shapes::damaged_guid(tenant).filter(|fault| fault.meant.is_some() || !tenant.contains('.')) {
        Some(fault) => Err(fault),
        None if shapes::is_guid(tenant) => Ok(()),
        None if tenant.contains('.') && tenant.chars().all(domain) && !ends(tenant) => Ok(()),
        None => {
            let what = "is neither a GUID nor a domain, like \"contoso.onmicrosoft.com\"";
            Err(Unfit { what: what.to_owned(), meant: None })
        }
    }
}

/// The ends of a token endpoint, which admins copy with the address.
const ENDS: [(&str, Option<TokenVersion>); 3] =
    [("/oauth2/v2.0/token", Some(TokenVersion::V2)), ("/oauth2/token", Some(TokenVersion::V1)), ("/v2.0", None)];

/// As written; else what the copied address asks for.
fn token_version(source: &mut Source, instance: &str) -> TokenVersion {
    let written =
        source.word("auth.token_version", &[("v2", TokenVersion::V2), ("v1", TokenVersion::V1)], TokenVersion::V2);
    if source.is_set("auth.token_version") {
        return written;
    }
    let instance = instance.trim_end_matches('/');
    ENDS.iter().find(|(end, _)| instance.ends_with(end)).and_then(|(_, version)| *version).unwrap_or(written)
}

/// Admins copy the instance with the tenant at its end, or with the `{0}` of a sample.
fn instance(source: &mut Source, key: &str, written: &str, tenant: &str) -> String {
    let mut base = written.trim().trim_end_matches('/').to_owned();
    for (end, _) in ENDS {
        base = base.strip_suffix(end).unwrap_or(&base).to_owned();
    }
    for placeholder in ["/{0}", "/{tenant}", "/{tenant_id}", "/{tenantId}"] {
        base = base.strip_suffix(placeholder).unwrap_or(&base).to_owned();
    }
    let ends_in_tenant =
        !tenant.is_empty() && base.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(tenant));
    if ends_in_tenant && let Some((front, _)) = base.rsplit_once('/') {
        base = front.to_owned();
    }
    values::address(source, key, &base, |url| {
        format!(
            "ends in {}, which is not the tenant of auth.tenant_id; give the address alone, or both the same tenant",
            url.path()
        )
    })
}

fn resource(source: &mut Source, endpoint: &str) -> String {
    let written = source.text("auth.resource").unwrap_or_else(|| endpoint.to_owned());
    let resource = written.trim().trim_end_matches('/');
    let resource = resource.strip_suffix("/.default").unwrap_or(resource).to_owned();
    if resource.chars().any(char::is_whitespace) {
        source.problem(
            "auth.resource",
            "contains a space; write one address or GUID, like \"https://graph.microsoft.com\"",
        );
    }
    resource
}
