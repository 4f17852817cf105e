//! The lookup of a job's evidence, and when it is made: before the request of a job in doubt is repeated, and after an answer
//! that alone cannot tell. What follows from what it finds is decided by `policy`.

use std::time::Instant;

use super::attempt::Attempt;
use super::bearer::Bearer;
use crate::clock::Now;
use crate::graph::{Evidence, Search};
use crate::job::{CallResult, EventId, Outcome, Verified};

impl Attempt {
    /// After this answer to the job's request.
    pub(super) async fn verify_after(&self, bearer: &mut Bearer, evidence: &Evidence, result: &CallResult) -> Verified {
        // This answer may have named a wait, or an answer to another request of the mailbox, while this one was under way.
        if result.retry_after.is_some() || self.is_blocked() {
            return CallResult::not_made().into();
        }
        let named = match &result.outcome {
            Outcome::Duplicate(named) => named.clone(),
            _ => None,
        };
        self.verify(bearer, evidence, named).await
    }

    /// Looks until there is an answer, the mailbox must pause, or the agent ends.
    pub(super) async fn verify(&self, bearer: &mut Bearer, evidence: &Evidence, named: Option<EventId>) -> Verified {
        let began = Instant::now();
        // In memory of its own: few attempts look, and all would carry its size.
        let search = Box::pin(self.search(bearer, Search::new(evidence, named, self.job.in_doubt, began)));
        let verified = tokio::select! {
            verified = search => verified,
            () = self.context.cut.cancelled() => CallResult::not_made().into(),
        };
        if !matches!(&verified, Verified::Unknown(result) if !result.was_made()) {
            self.context.measures.lookups.observe(began.elapsed().as_secs_f64());
        }
        verified
    }

    async fn search(&self, bearer: &mut Bearer, mut search: Search<'_>) -> Verified {
        loop {
            if let Some(verified) = self.ask(bearer, &mut search).await {
                return verified;
            }
        }
    }

    async fn ask(&self, bearer: &mut Bearer, search: &mut Search<'_>) -> Option<Verified> {
        let first = self.ask_once(bearer, search).await;
        let Some(Verified::Unknown(result)) = &first else { return first };
        match bearer.renew(result).await {
            Ok(false) => first,
            Ok(true) => self.ask_once(bearer, search).await,
            Err(result) => Some(result.into()),
        }
    }

    /// Only while the mailbox is this agent's, and may be asked.
    async fn ask_once(&self, bearer: &Bearer, search: &mut Search<'_>) -> Option<Verified> {
        let pass = self.context.queue.pass(&self.lane, self.claimed.steady).filter(|_| !self.is_blocked());
        let Some(_pass) = pass else { return Some(CallResult::not_made().into()) };
        self.context.graph.verify(search, bearer.token(), Now::read()).await
    }
}
