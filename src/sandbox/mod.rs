//! A fake of Microsoft's side on loopback: Entra's token endpoint and the calendar calls of Graph, faithful in shapes,
//! codes, limits and known oddities, plus faults on demand down to the bytes on the wire. It serves the demo, the tests
//! and anyone who wants to try the product without a tenant.
//!
//! It refuses to know the client: nothing here is shared with the code that sends events, because a fake that shares
//! the client's structs repeats the client's mistakes. It holds everything in memory and forgets it at the end.
//!
//! ```text
//! server ─ route, visit (journal, lanes) ─ entra (client_proof, tokens)  stage (faults) ─ connection
//!                                        ─ managed_identity (arc)        control (/sandbox/…)
//!                                        ─ calendar (event, store)
//! ```

mod aadsts;
mod arc;
mod assertion;
mod calendar;
mod certificate;
mod client_proof;
mod connection;
mod control;
mod directory;
mod entra;
mod event;
mod event_id;
mod faults;
mod federation;
mod guarded;
mod journal;
mod jwt;
mod knobs;
mod lanes;
mod mailbox;
mod managed_identity;
mod marker;
mod presented;
mod refusal;
mod reply;
mod resource;
mod retry_after;
mod route;
mod schema;
mod scope;
mod script;
mod server;
mod stage;
mod store;
mod times;
mod token_rate;
mod token_text;
mod tokens;
mod visit;
mod windows_zones;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use connection::{Door, Line};
use knobs::Knobs;
use world::World;

pub use faults::{Action, AnswerBody, Fault, FaultOn};
pub use federation::{FederatedCredential, FederatedToken};
pub use journal::{CAPACITY as JOURNAL_CAPACITY, Counters, RequestKind, RequestRecord};
pub use knobs::OptionsChange;
pub use presented::{ASSERTIONS_KEPT, PresentedAssertion};
pub use store::StoredEvent;

/// The tenant; [`TENANT_DOMAIN`] names it too.
pub const TENANT_ID: &str = "5a6d0c3e-7b1f-4e02-9c55-3f0e8a1b2c4d";
/// The tenant's initial domain.
pub const TENANT_DOMAIN: &str = "contoso.onmicrosoft.com";
/// A confidential application; its secret is [`CLIENT_SECRET`].
pub const CLIENT_ID: &str = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b";
/// A public application: signs users in without a secret.
pub const PUBLIC_CLIENT_ID: &str = "2a3b4c5d-6e7f-4801-9223-344556677889";
/// An application no administrator has consented to; its secret is [`CLIENT_SECRET`].
pub const NO_CONSENT_CLIENT_ID: &str = "3c4d5e6f-7081-4923-a445-566778899aab";
/// The secret accepted at the start.
pub const CLIENT_SECRET: &str = "sandbox-secret";
/// A secret that was valid once.
pub const EXPIRED_SECRET: &str = "expired-secret";
/// The one user who can sign in; `locked@`, `expired@`, `disabled@`, `mfa@` and `policy@contoso.com` cannot.
pub const USERNAME: &str = "agent@contoso.com";
/// The user's password at the start.
pub const PASSWORD: &str = "sandbox-password";
/// What a program on App Service finds in `$IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "sandbox-identity-header";
/// The client id of the host's one user-assigned identity.
pub const IDENTITY_CLIENT_ID: &str = "4d5e6f70-8192-4a34-8566-778899aabbcc";
/// Its object id.
pub const IDENTITY_OBJECT_ID: &str = "5e6f7081-92a3-4b45-9677-8899aabbccdd";
/// Its Azure resource id.
pub const IDENTITY_RESOURCE_ID: &str = "/subscriptions/6f708192-a3b4-4c56-a788-99aabbccddee/resourceGroups/calendar/\
    providers/Microsoft.ManagedIdentity/userAssignedIdentities/event-sender";
/// The client id of the host's system-assigned identity.
pub const SYSTEM_IDENTITY_CLIENT_ID: &str = "708192a3-b4c5-4d67-b899-aabbccddeeff";

/// How a sandbox starts.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Added to each calendar request.
    pub latency: Duration,
    /// Lifetime of tokens, told in whole seconds.
    pub token_lifetime: Duration,
    /// `transactionId` is honoured.
    pub deduplicate: bool,
    /// The marker lookup finds events.
    pub lookup: bool,
    /// The documented limits of a mailbox are enforced.
    pub limits: bool,
    /// The certificates registered for the application, PEM; of each text the first certificate counts.
    pub certificates: Vec<String>,
    /// The federated credential configured for the application.
    pub federated: FederatedCredential,
    /// The host has a system-assigned identity.
    pub system_identity: bool,
    /// Where Azure Arc writes its challenge files; without a place there is no Arc here.
    pub arc_tokens_dir: Option<PathBuf>,
    /// Claims that Graph wants a token to have been issued with, a JSON object.
    pub claims_challenge: Option<String>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            latency: Duration::ZERO,
            token_lifetime: Duration::from_secs(3600),
            deduplicate: true,
            lookup: true,
            limits: true,
            certificates: Vec::new(),
            federated: FederatedCredential::default(),
            system_identity: true,
            arc_tokens_dir: None,
            claims_challenge: None,
        }
    }
}

/// A running sandbox. Dropping it closes its connections and ends it.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<World>,
    shutdown: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts to listen and serves on the current runtime.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address, or cannot be listened on; a certificate is none; the claims are
    /// no JSON object; the directory of Arc is no path.
    pub async fn start(mut options: SandboxOptions) -> io::Result<Sandbox> {
        if !options.listen.ip().is_loopback() {
            let message = format!("the sandbox listens on loopback addresses only, {} is none", options.listen);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let wrong = |what: &str, fault: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {fault}"));
        knobs::check_certificates(&options.certificates).map_err(|fault| wrong("certificate", fault))?;
        let challenge = options.claims_challenge.as_deref().unwrap_or_default();
        knobs::check_claims(challenge).map_err(|fault| wrong("claims_challenge", fault))?;
        options.arc_tokens_dir = options.arc_tokens_dir.map(std::path::absolute).transpose()?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::new(Knobs::new(&options)));
        let shutdown = CancellationToken::new();
        let door = Door::new(listener, shutdown.clone());
        let service = server::router(Arc::clone(&world)).into_make_service_with_connect_info::<Line>();
        let server = tokio::spawn(async move {
            // Never ends by itself: failed accepts are tried again.
            let _ = axum::serve(door, service).await;
        });
        Ok(Sandbox { address, world, shutdown, server: Some(server) })
    }

    /// Whether this PEM text holds a certificate that can be registered.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check_certificate(pem: &str) -> Result<(), String> {
        knobs::check_certificates(&[pem.to_owned()])
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of all its addresses, such as `http://127.0.0.1:8025`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The part of `agent.toml` that makes the product use this sandbox.
    pub fn settings(&self) -> String {
        let url = self.url();
        format!(
            "[auth]\n\
             instance = \"{url}\"\n\
             tenant_id = \"{TENANT_ID}\"\n\
             client_id = \"{CLIENT_ID}\"\n\
             client_secret = \"{CLIENT_SECRET}\"\n\
             # To sign in as a user instead:\n\
             # mode = \"password\"\n\
             # username = \"{USERNAME}\"\n\
             # password = \"{PASSWORD}\"\n\
             \n\
             [graph]\n\
             endpoint = \"{url}\"\n\
             \n\
             [defaults]\n\
             mailbox = \"calendar@contoso.com\"\n"
        )
    }

    /// Appends a fault to the script.
    pub fn script(&self, fault: Fault) {
        self.world.script.add(fault);
    }

    /// Takes back every fault still to come.
    pub fn clear_faults(&self) {
        self.world.script.clear();
    }

    /// Changes options while it runs.
    pub fn configure(&self, change: OptionsChange) {
        self.world.turn(change);
    }

    /// Makes every token issued so far invalid.
    pub fn expire_tokens(&self) {
        self.world.tokens.expire_all();
    }

    /// Back to the start; tokens stay valid.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// All events, in the order they were created.
    pub fn events(&self) -> Vec<StoredEvent> {
        self.world.store.events()
    }

    /// The last [`JOURNAL_CAPACITY`] requests, in the order they arrived, the ones being answered included.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.world.journal.records(|_| true)
    }

    /// The last [`ASSERTIONS_KEPT`] assertions presented, in the order they came.
    pub fn assertions(&self) -> Vec<PresentedAssertion> {
        self.world.presented.all()
    }

    /// A token of the other identity provider, as `auth.federated_token_file` holds it.
    pub fn federated_token(&self, wanted: &FederatedToken) -> String {
        self.world.federated_token(wanted)
    }

    /// Totals since the start or the last reset.
    pub fn counters(&self) -> Counters {
        self.world.counters()
    }

    /// Ends it and waits until it no longer listens.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}

#[cfg(test)]
mod signer;
#[cfg(test)]
mod testbed;
#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
