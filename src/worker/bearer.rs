//! The token of an attempt: fetched once and handed down with each of its requests. Where Graph refuses it, it is dropped and
//! the request made once more with another: the only repeat below the loop.

use std::sync::Arc;
use std::time::Instant;

use crate::auth::{TokenCache, TokenRefusal};
use crate::job::{Answer, CallResult, Cause, GateReason, Outcome};
use crate::secret::Secret;

pub struct Bearer {
    tokens: Arc<TokenCache>,
    token: Arc<Secret>,
}

impl Bearer {
    /// Waits for a token.
    ///
    /// # Errors
    /// There is none: nothing was sent, and nothing can be.
    pub async fn get(tokens: &Arc<TokenCache>) -> Result<Self, CallResult> {
        let token = tokens.get(Instant::now()).await.map_err(no_token)?;
        Ok(Self { tokens: tokens.clone(), token })
    }

    /// Asks something that changes nothing.
    ///
    /// # Errors
    /// There is no token, or as the call.
    pub async fn ask<T, F>(tokens: &Arc<TokenCache>, call: impl Fn(Arc<Secret>) -> F) -> Result<T, CallResult>
    where
        F: Future<Output = Result<T, CallResult>>,
    {
        let mut bearer = Self::get(tokens).await?;
        match call(bearer.token.clone()).await {
            Err(result) if bearer.renew(&result).await? => call(bearer.token.clone()).await,
            done => done,
        }
    }

    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// After an answer: drops the token if it was refused. True: it has been replaced, and the request may be made once more.
    ///
    /// # Errors
    /// There is no other token, or the answer asked for patience.
    pub async fn renew(&mut self, result: &CallResult) -> Result<bool, CallResult> {
        let Some(challenge) = &result.challenge else { return Ok(false) };
        self.tokens.reject(&self.token, challenge.claims.clone());
        if !challenge.is_proven {
            return Ok(false);
        }
        if result.retry_after.is_some() {
            return Err(CallResult { retry_after: result.retry_after, ..CallResult::not_made() });
        }
        *self = Self::get(&self.tokens).await?;
        Ok(true)
    }
}

fn no_token(refusal: TokenRefusal) -> CallResult {
    let cause = if refusal.unreachable { Cause::SignInUnreachable } else { Cause::SignInRefused };
    let message = Some(refusal.hint.to_string());
    let answer = Answer { code: Some(refusal.code.clone()), message, ..Answer::default() };
    let reason = GateReason { cause, code: refusal.code, hint: refusal.hint, wait: refusal.retry_after };
    CallResult::new(Outcome::Unable(reason), answer)
}
