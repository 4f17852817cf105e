//! Sign-in: Entra's token endpoint with every proof a client can bring, the identities of a host, the identity provider
//! beside Entra, the tokens handed out, and the directory as far as an application may read itself.
//!
//! It imports the ground floor only: no calendar, no script, no HTTP server.
//!
//! ```text
//! token_endpoint ─ client_proof ─ assertion, federation ─ jwt     state ─ tokens, token_rate_limit, assertion_log
//!                ─ scope, token_text, aadsts                      directory
//! managed_identity ─ arc
//! ```

mod aadsts;
mod arc;
mod assertion;
mod assertion_log;
mod client_proof;
pub(super) mod directory;
mod federation;
mod jwt;
mod managed_identity;
mod scope;
mod state;
mod token_endpoint;
mod token_rate_limit;
mod token_text;
mod tokens;

pub(super) use aadsts::TokenRefusal;
pub use assertion_log::{ASSERTIONS_KEPT, PresentedAssertion};
pub use federation::FederatedToken;
pub(super) use managed_identity::{Host, IdentityRequest};
pub(super) use state::Entra;
pub(super) use token_endpoint::{TokenRequest, discovery};
pub(super) use tokens::{Caller, TokenStatus, Tokens};
