//! A fake of Microsoft's side on loopback: Entra's token endpoint and the calendar calls of Graph, faithful in shapes,
//! codes, limits and known oddities, plus faults on demand down to the bytes on the wire. It serves the demo, the tests
//! and anyone who wants to try the product without a tenant.
//!
//! It refuses to know the client: nothing here is shared with the code that sends events, because a fake that shares
//! the client's structs repeats the client's mistakes. It holds everything in memory and forgets it at the end.
//!
//! Four wings and a ground floor. A wing imports the wings below it and the ground floor, by way of their `mod.rs`, and
//! nothing imports back up:
//!
//! ```text
//! http          a request from the first byte to the last: connection, scope of a request, the order of judging, /sandbox/…
//! faults        what is scripted to go wrong, and how that is played
//! entra         who gets a token, for what proof  │  calendar   mailboxes, their limits and their events
//! ground floor  options, tenant, certificate · reply, refusal, retry_after · journal · guarded
//! ```
//!
//! `entra` and `calendar` do not see each other: what a token permits is asked by `http`, before it asks the calendar.

mod calendar;
mod certificate;
mod entra;
mod faults;
mod guarded;
mod http;
mod journal;
mod options;
mod refusal;
mod reply;
mod retry_after;
mod tenant;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use http::{Connection, Listener, SandboxState};
use options::Options;

pub use calendar::{EventState, FoundEvent, Mail, MailKind, StoredEvent};
pub use entra::{ASSERTIONS_KEPT, FederatedToken, PresentedAssertion};
pub use faults::{Action, AnswerBody, Fault, FaultOn};
pub use journal::{CAPACITY as JOURNAL_CAPACITY, Counters, RequestKind, RequestRecord};
pub use options::{FederatedCredential, OptionsChange, SandboxOptions};
pub use tenant::{
    CLIENT_ID, CLIENT_SECRET, EXPIRED_SECRET, IDENTITY_CLIENT_ID, IDENTITY_HEADER, IDENTITY_OBJECT_ID,
    IDENTITY_RESOURCE_ID, NO_CONSENT_CLIENT_ID, PASSWORD, PUBLIC_CLIENT_ID, SYSTEM_IDENTITY_CLIENT_ID, TENANT_DOMAIN,
    TENANT_ID, USERNAME,
};

/// A running sandbox. Dropping it closes its connections and ends it.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<SandboxState>,
    shutdown: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts to listen and serves on the current runtime.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address or cannot be bound; a text is not a certificate; the claims are not a JSON
    /// object; the directory of Arc is not a path.
    pub async fn start(mut options: SandboxOptions) -> io::Result<Sandbox> {
        if !options.listen.ip().is_loopback() {
            let message = format!("the sandbox listens on loopback addresses only; {} is not one", options.listen);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let invalid =
            |what: &str, fault: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {fault}"));
        options::check_certificates(&options.certificates).map_err(|fault| invalid("certificate", fault))?;
        let challenge = options.claims_challenge.as_deref().unwrap_or_default();
        options::check_claims(challenge).map_err(|fault| invalid("claims_challenge", fault))?;
        options.arc_tokens_dir = options.arc_tokens_dir.map(std::path::absolute).transpose()?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(SandboxState::new(Options::new(&options)));
        let shutdown = CancellationToken::new();
        let listener = Listener::new(listener, shutdown.clone());
        let service = http::router(Arc::clone(&state)).into_make_service_with_connect_info::<Connection>();
        let server = tokio::spawn(async move {
            // Never ends by itself: failed accepts are tried again.
            let _ = axum::serve(listener, service).await;
        });
        Ok(Sandbox { address, state, shutdown, server: Some(server) })
    }

    /// Whether this PEM text holds a certificate that can be registered.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check_certificate(pem: &str) -> Result<(), String> {
        options::check_certificates(&[pem.to_owned()])
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of all its addresses, such as `http://127.0.0.1:8765`.
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
        self.state.script.add(fault);
    }

    /// Removes every fault still to come.
    pub fn clear_faults(&self) {
        self.state.script.clear();
    }

    /// Changes options while it runs.
    pub fn configure(&self, change: OptionsChange) {
        self.state.turn(change);
    }

    /// Makes every token issued so far invalid.
    pub fn expire_tokens(&self) {
        self.state.entra.tokens.expire_all();
    }

    /// Forgets events, faults, records and changed options; tokens stay valid.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// All events there have been, in the order they were created; `state` says what became of each.
    pub fn events(&self) -> Vec<StoredEvent> {
        self.state.store.events()
    }

    /// Every mail the attendees would have got, in the order they went out.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.store.mails()
    }

    /// Puts an event into a mailbox that did not come over Graph.
    ///
    /// # Errors
    ///
    /// The mailbox has no address, or what Exchange would not take about the event.
    pub fn put(&self, found: FoundEvent) -> Result<StoredEvent, String> {
        self.state.store.put(found)
    }

    /// The last [`JOURNAL_CAPACITY`] requests, in the order they arrived, the ones being answered included.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state.journal.records(|_| true)
    }

    /// The last [`ASSERTIONS_KEPT`] assertions presented, in the order they came.
    pub fn assertions(&self) -> Vec<PresentedAssertion> {
        self.state.entra.assertions.all()
    }

    /// A token of the other identity provider, as `auth.federated_token_file` holds it.
    pub fn federated_token(&self, wanted: &FederatedToken) -> String {
        self.state.federated_token(wanted)
    }

    /// Totals since the start or the last reset.
    pub fn counters(&self) -> Counters {
        self.state.counters()
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
