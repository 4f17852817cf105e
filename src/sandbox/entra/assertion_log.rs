//! The last assertions presented, whole: a test takes them apart to see what a client claims. The journal holds no
//! tokens; these are worthless outside this sandbox.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::assertion::chain_length;
use super::jwt::Jwt;
use crate::sandbox::guarded::Guarded;

/// Assertions kept; older ones are dropped.
pub const ASSERTIONS_KEPT: usize = 100;

/// An assertion a client has presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentedAssertion {
    /// The JWT as it came.
    pub assertion: String,
    /// The path of the token endpoint it was presented to.
    pub endpoint: String,
    /// How many certificates it brought along (`x5c`).
    pub certificates: usize,
    /// `granted`, or `AADSTS…` of the refusal; none when a scripted fault answered in Entra's place.
    pub result: Option<String>,
}

/// The last [`ASSERTIONS_KEPT`] of them.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct AssertionLog(Guarded<Log>);

#[derive(Debug, Default)]
struct Log {
    kept: VecDeque<(u64, PresentedAssertion)>,
    /// Number of the last one ever presented.
    last: u64,
}

impl AssertionLog {
    /// Records one before it is judged, and gives it a number.
    pub(in crate::sandbox) fn open(&self, assertion: &str, endpoint: &str) -> u64 {
        let certificates = Jwt::read(assertion).as_ref().map_or(0, chain_length);
        let mut log = self.0.lock();
        log.last += 1;
        if log.kept.len() == ASSERTIONS_KEPT {
            log.kept.pop_front();
        }
        let (number, assertion, endpoint) = (log.last, assertion.to_owned(), endpoint.to_owned());
        log.kept.push_back((number, PresentedAssertion { assertion, endpoint, certificates, result: None }));
        number
    }

    /// Records the result; of one that has been dropped since, nothing.
    pub(in crate::sandbox) fn close(&self, number: u64, result: &str) {
        let mut log = self.0.lock();
        if let Some((_, presented)) = log.kept.iter_mut().find(|(kept, _)| *kept == number) {
            presented.result = Some(result.to_owned());
        }
    }

    /// In the order they came.
    pub(in crate::sandbox) fn all(&self) -> Vec<PresentedAssertion> {
        self.0.lock().kept.iter().map(|(_, presented)| presented.clone()).collect()
    }

    pub(in crate::sandbox) fn reset(&self) {
        self.0.lock().kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_completed() {
        let log = AssertionLog::default();
        let first = log.open("0", "/t");
        for number in 1..=ASSERTIONS_KEPT {
            log.open(&number.to_string(), "/t");
        }
        log.close(first, "granted");
        log.close(first + 1, "AADSTS700027");
        let all = log.all();
        assert_eq!((all.len(), all[0].assertion.as_str(), all[0].certificates), (ASSERTIONS_KEPT, "1", 0));
        assert_eq!((all[0].result.as_deref(), all[1].result.as_deref()), (Some("AADSTS700027"), None));
        log.reset();
        assert!(log.all().is_empty());
    }
}
