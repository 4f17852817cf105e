//! Who has signed in. Sessions are kept in memory: a restart of the agent ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use uuid::Uuid;

use crate::secret::Secret;

/// How long a session lasts after its last use.
pub const LASTS: Duration = Duration::from_secs(12 * 3600);
/// Sessions at a time; the one used longest ago makes room.
const SESSIONS: usize = 64;
/// So many wrong tokens within that time, and none is looked at until it is over.
const WRONG: u32 = 10;
const WITHIN: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Sessions {
    used: Mutex<HashMap<String, Instant>>,
    at_sign_in: Tries,
    /// By programs, so that one with an old token keeps no person out.
    by_programs: Tries,
}

/// Wrong tokens lately.
#[derive(Default)]
struct Tries(Mutex<Option<Wrong>>);

struct Wrong {
    since: Instant,
    times: u32,
}

/// What came of a token.
#[derive(Debug, PartialEq, Eq)]
pub enum SignIn {
    /// A session of this name has begun.
    Begun(String),
    Wrong,
    /// Too many were wrong.
    Wait,
}

impl Sessions {
    /// Begins a session for a holder of the token.
    pub fn sign_in(&self, token: &Secret, given: &str, now: Instant) -> SignIn {
        match self.at_sign_in.is(token, given, now) {
            Some(true) => SignIn::Begun(self.begin(now)),
            Some(false) => SignIn::Wrong,
            None => SignIn::Wait,
        }
    }

    /// Whether a program has the token.
    pub fn knows(&self, token: &Secret, given: &str, now: Instant) -> bool {
        self.by_programs.is(token, given, now) == Some(true)
    }

    fn begin(&self, now: Instant) -> String {
        let name = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, at| lasts(*at, now));
        if used.len() >= SESSIONS
            && let Some(oldest) = used.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone())
        {
            used.remove(&oldest);
        }
        used.insert(name.clone(), now);
        name
    }

    /// Whether there is such a session; it lasts longer for being used.
    pub fn is_open(&self, name: &str, now: Instant) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(name) {
            Some(at) if lasts(*at, now) => {
                *at = now;
                true
            }
            _ => false,
        }
    }

    pub fn sign_out(&self, name: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

impl Tries {
    /// Whether this is the token; not known where too many were wrong. How long that takes says nothing of where they differ.
    fn is(&self, token: &Secret, given: &str, now: Instant) -> Option<bool> {
        let mut wrong = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.as_ref().is_some_and(|wrong| now.saturating_duration_since(wrong.since) >= WITHIN) {
            *wrong = None;
        }
        if wrong.as_ref().is_some_and(|wrong| wrong.times >= WRONG) {
            return None;
        }
        let is = verify_slices_are_equal(token.expose().as_bytes(), given.as_bytes()).is_ok();
        if !is {
            wrong.get_or_insert(Wrong { since: now, times: 0 }).times += 1;
        }
        Some(is)
    }
}

fn lasts(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < LASTS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token() -> Secret {
        Secret::new("open sesame".into())
    }

    #[test]
    fn a_session_begins_with_the_token_and_lasts_while_it_is_used() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let SignIn::Begun(name) = sessions.sign_in(&token(), "open sesame", now) else { panic!() };
        let later = now + LASTS - Duration::from_secs(1);
        assert!(sessions.is_open(&name, later) && sessions.is_open(&name, later + LASTS - Duration::from_secs(1)));
        assert!(!sessions.is_open(&name, later + 3 * LASTS) && !sessions.is_open("another", now));
        sessions.sign_out(&name);
        assert!(!sessions.is_open(&name, now));
    }

    #[test]
    fn whoever_guesses_must_wait_and_so_must_everybody_else() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        for _ in 0..WRONG {
            assert_eq!(sessions.sign_in(&token(), "open", now), SignIn::Wrong);
        }
        assert_eq!(sessions.sign_in(&token(), "open sesame", now), SignIn::Wait);
        assert!(matches!(sessions.sign_in(&token(), "open sesame", now + WITHIN), SignIn::Begun(_)));
    }

    #[test]
    fn a_program_that_guesses_must_wait_and_no_person_must() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        for _ in 0..WRONG {
            assert!(!sessions.knows(&token(), "open", now));
        }
        assert!(!sessions.knows(&token(), "open sesame", now));
        assert!(matches!(sessions.sign_in(&token(), "open sesame", now), SignIn::Begun(_)));
        assert!(sessions.knows(&token(), "open sesame", now + WITHIN));
    }

    #[test]
    fn the_session_used_longest_ago_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let begin = |second| match sessions.sign_in(&token(), "open sesame", now + Duration::from_secs(second)) {
            SignIn::Begun(name) => name,
            other => panic!("{other:?}"),
        };
        let first = begin(0);
        let others: Vec<String> = (1..=SESSIONS as u64).map(begin).collect();
        let end = now + Duration::from_secs(100);
        assert!(!sessions.is_open(&first, end) && others.iter().all(|name| sessions.is_open(name, end)));
    }
}
