//! What Entra and the hosts' identity endpoints remember from one request to the next.

use super::arc::Challenges;
use super::assertion_log::AssertionLog;
use super::federation::Provider;
use super::token_rate_limit::TokenRateLimit;
use super::tokens::Tokens;

/// The state of this wing.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Entra {
    pub(in crate::sandbox) tokens: Tokens,
    pub(super) token_rate_limit: TokenRateLimit,
    pub(in crate::sandbox) provider: Provider,
    pub(in crate::sandbox) assertions: AssertionLog,
    pub(super) challenges: Challenges,
}

impl Entra {
    /// Tokens stay valid, so that a running client does not notice.
    pub(in crate::sandbox) fn reset(&self) {
        self.token_rate_limit.reset();
        self.assertions.reset();
        self.challenges.reset();
    }
}
