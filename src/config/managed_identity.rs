//! Which service of this machine gives out the tokens of managed identities, told by the environment as Microsoft's own
//! libraries take it (graph-facts 5.6), and which identity is meant.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::source::Source;
use super::{AuthMode, Environment, SecretFiles, shapes, values};
use crate::identity::{Identity, IdentityHost};
use crate::secret::Secret;

/// The instance metadata service: the same address in every Azure VM, reachable from inside only.
const VIRTUAL_MACHINE: &str = "http://169.254.169.254";
/// Another base for it, where something on the machine stands in front.
const VIRTUAL_MACHINE_BASE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const PATH: &str = "/metadata/identity/oauth2/token";
/// Where Azure Arc's agent listens, and what tells that it is installed.
const ARC: &str = "http://localhost:40342/metadata/identity/oauth2/token";
const ARC_AGENT: &str = "/opt/azcmagent/bin/himds";

pub(super) fn read(
    source: &mut Source,
    environment: &Environment,
    client_id: Option<String>,
) -> Option<(AuthMode, SecretFiles)> {
    let identity = identity(source, client_id);
    let tokens_dir = PathBuf::from(source.text_or_default("auth.arc_tokens_dir").trim());
    if !tokens_dir.is_absolute() {
        source.problem("auth.arc_tokens_dir", "is not an absolute path, like \"/var/opt/azcmagent/tokens\"");
    }
    let host = host(source, environment, tokens_dir)?;
    if matches!(host, IdentityHost::Arc { .. }) && identity != Identity::System {
        let key = match identity {
            Identity::ObjectId(_) => "auth.identity_object_id",
            Identity::ResourceId(_) => "auth.identity_resource_id",
            _ => "auth.client_id",
        };
        source.problem(key, "is set, but Azure Arc has the machine's own identity only; remove it");
    }
    Some((AuthMode::ManagedIdentity { host, identity }, SecretFiles::default()))
}

fn identity(source: &mut Source, client_id: Option<String>) -> Identity {
    let named = [
        client_id.map(|id| ("auth.client_id", Identity::ClientId(id))),
        object_id(source).map(|id| ("auth.identity_object_id", Identity::ObjectId(id))),
        trimmed(source, "auth.identity_resource_id").map(|id| ("auth.identity_resource_id", Identity::ResourceId(id))),
    ];
    let mut named = named.into_iter().flatten();
    let Some((first, identity)) = named.next() else { return Identity::System };
    for (key, _) in named {
        source.problem(key, format!("is set, and so is {first}; one of them names the identity, remove the other"));
    }
    identity
}

fn object_id(source: &mut Source) -> Option<String> {
    let id = trimmed(source, "auth.identity_object_id")?;
    values::judge(source, "auth.identity_object_id", &id, |id| {
        shapes::guid(id, "is not a GUID; it is the Object (principal) ID on the identity's overview page")
    });
    Some(id)
}

fn trimmed(source: &mut Source, key: &str) -> Option<String> {
    source.text(key).map(|text| text.trim().to_owned())
}

fn host(source: &mut Source, environment: &Environment, tokens_dir: PathBuf) -> Option<IdentityHost> {
    let mut said = |name: &str| source.variable(environment, name).map(str::trim).filter(|value| !value.is_empty());
    let (endpoint, header) = (said("IDENTITY_ENDPOINT"), said("IDENTITY_HEADER"));
    let (fabric, arc) = (said("IDENTITY_SERVER_THUMBPRINT").is_some(), said("IMDS_ENDPOINT").is_some());
    match (endpoint, header) {
        (Some(_), Some(_)) if fabric => {
            source.problem(
                "IDENTITY_SERVER_THUMBPRINT",
                "is set, as on Service Fabric, whose managed identities are not supported; use mode \"certificate\"",
            );
            None
        }
        (Some(endpoint), Some(header)) => {
            let endpoint = own_address(source, "IDENTITY_ENDPOINT", endpoint)?;
            // It goes into a header of the request.
            if !header.bytes().all(|byte| byte.is_ascii_graphic()) {
                source.problem(
                    "IDENTITY_HEADER",
                    "contains a character that an HTTP header cannot carry; App Service sets it",
                );
            }
            Some(IdentityHost::AppService { endpoint, header: Secret::new(header.to_owned()) })
        }
        (Some(endpoint), None) if arc => {
            let endpoint = own_address(source, "IDENTITY_ENDPOINT", endpoint)?;
            Some(IdentityHost::Arc { endpoint, tokens_dir })
        }
        _ if Path::new(ARC_AGENT).exists() => Some(IdentityHost::Arc { endpoint: ARC.to_owned(), tokens_dir }),
        _ => {
            let base = source.variable(environment, VIRTUAL_MACHINE_BASE).map(str::trim);
            let base = base.filter(|base| !base.is_empty()).unwrap_or(VIRTUAL_MACHINE);
            let base = own_address(source, VIRTUAL_MACHINE_BASE, base)?;
            Some(IdentityHost::VirtualMachine { endpoint: format!("{}{PATH}", base.trim_end_matches('/')) })
        }
    }
}

/// An address of this machine itself, or one that never leaves its wire: whoever answers there gives out tokens, and is
/// asked without encryption.
fn own_address(source: &mut Source, variable: &str, text: &str) -> Option<String> {
    let own = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let is_own = url.as_ref().and_then(Url::host).is_some_and(|host| match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => own(address.into()),
        Host::Ipv6(address) => own(address.into()),
    });
    let plain = |url: &Url| {
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
    };
    if !is_own {
        source.problem(
            variable,
            "does not name an address of this machine (localhost, 127.0.0.1 or 169.254.…); correct it",
        );
        return None;
    }
    if !url.as_ref().is_some_and(plain) {
        source.problem(variable, "contains a ?, a # or a user name; give the plain address");
        return None;
    }
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
}
