//! What a token is asked for: the scope of the v2 endpoint and the resource of the v1 endpoint, their form, and whether
//! they name Graph.

use url::{Host, Url};

use super::aadsts::TokenRefusal;

/// Graph's own application id, accepted as a resource.
const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";
const GRAPH_HOSTS: &[&str] = &[
    "graph.microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
    "graph.microsoft.de",
];

/// Refuses a scope Entra would refuse; user sign-in (ROPC) is freer than client credentials.
pub(super) fn check_scope(scope: &str, ropc: bool) -> Result<(), TokenRefusal> {
    let scopes: Vec<&str> = scope.split_whitespace().collect();
    match scopes.as_slice() {
        [] => return Err(bad_scope(scope)),
        [_, _, ..] if !ropc => return Err(bad_scope(scope)),
        [only] if !ropc && !only.ends_with("/.default") => {
            let message = format!(
                "The provided value for scope {only} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            );
            return Err(TokenRefusal::bad("invalid_scope", 1_002_012, message));
        }
        _ => {}
    }
    // A bare word (`Calendars.ReadWrite`, `offline_access`) is a permission of Graph.
    let resources = scopes.iter().filter_map(|scope| scope.rsplit_once('/'));
    let unknown = resources.map(|(resource, _)| resource).find(|resource| !is_graph(resource));
    match unknown {
        None => Ok(()),
        Some(resource) => check_resource(resource),
    }
}

/// Refuses what is not Graph.
pub(super) fn check_resource(resource: &str) -> Result<(), TokenRefusal> {
    if is_graph(resource) {
        return Ok(());
    }
    let message = format!("The resource principal named {resource} was not found in the tenant named Contoso.");
    Err(TokenRefusal::bad("invalid_resource", 500_011, message))
}

fn bad_scope(scope: &str) -> TokenRefusal {
    let message = format!(
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope '{scope}' is not valid."
    );
    TokenRefusal::bad("invalid_scope", 70_011, message)
}

/// Graph in any cloud with or without a slash behind it, its application id, or a server on this machine: the sandbox
/// itself or something before it.
fn is_graph(resource: &str) -> bool {
    let resource = resource.trim_end_matches('/');
    if resource.eq_ignore_ascii_case(GRAPH_APP_ID) {
        return true;
    }
    let Ok(url) = Url::parse(resource) else { return false };
    if url.path() != "/" {
        return false;
    }
    match url.host() {
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(name)) => GRAPH_HOSTS.contains(&name) && url.scheme() == "https",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
