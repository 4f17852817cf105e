//! Managed identities: which of a machine's is meant, and what gives out its tokens there (graph-facts 5.6). Plain data that
//! settings say and sign-in goes by.

use std::path::PathBuf;

use crate::secret::Secret;

/// What gives out the tokens of managed identities on this machine. Addresses are of the machine itself, up to and without
/// the `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityHost {
    /// The instance metadata service of an Azure VM.
    VirtualMachine {
        /// Its address.
        endpoint: String,
    },
    /// App Service, Functions, Container Apps.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        endpoint: String,
        /// `IDENTITY_HEADER`: what `X-IDENTITY-HEADER` must be.
        header: Secret,
    },
    /// The agent of Azure Arc, on a machine elsewhere.
    Arc {
        /// `IDENTITY_ENDPOINT`, or the agent's usual one.
        endpoint: String,
        /// `auth.arc_tokens_dir`: the only directory whose files it may ask for.
        tokens_dir: PathBuf,
    },
}

/// Which of the machine's identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its own, system-assigned one.
    System,
    /// A user-assigned one by its client id: `auth.client_id`.
    ClientId(String),
    /// A user-assigned one by its object (principal) id: `auth.identity_object_id`.
    ObjectId(String),
    /// A user-assigned one by its Azure resource id: `auth.identity_resource_id`.
    ResourceId(String),
}
