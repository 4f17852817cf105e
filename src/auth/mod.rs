//! Sign-in to Entra ID: credentials, the token request, the cache every request takes its token from, and the plain
//! sentence for each refusal. Knows nothing of jobs or calendars.

mod cache;
mod claims;
mod credentials;
mod entra;
mod hints;
mod renewal;

pub use cache::{TokenCache, TokenStanding};
pub use claims::TokenClaims;
pub use credentials::{Credentials, SignIn};
pub use entra::{TokenEndpoint, TokenRefusal};
pub use hints::{Advice, Patience, advice, only_time_helps};
pub use renewal::Reread;
