//! Sign-in: credentials, the token request to Entra ID or to the machine's own identity service, the cache every request
//! takes its token from, and the plain sentence for each refusal. Knows nothing of jobs or calendars.

mod answer;
mod assertion;
mod cache;
mod claims;
mod credentials;
mod endpoint;
mod entra;
mod hints;
mod managed_identity;
mod renewal;

pub use answer::TokenRefusal;
pub use cache::{TokenCache, TokenStanding};
pub use claims::TokenClaims;
pub use credentials::{CredentialEnd, Credentials, SignIn, Version};
pub use endpoint::TokenEndpoint;
pub use hints::{Advice, Patience, advice, only_time_helps};
pub use managed_identity::ManagedIdentity;
pub use renewal::Reread;
