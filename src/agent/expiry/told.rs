//! What was said of an end already, so that each thing is said once. Told the time; says nothing itself.

use chrono::{DateTime, Utc};

use crate::advice::expiry::Nearness;
use crate::auth::CredentialEnd;

/// What is to be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The end has come near, or nearer.
    Soon,
    Over,
    /// After such a word the end is far off again.
    Renewed,
    /// It does not serve yet.
    NotYet,
}

/// What was said, of which end.
#[derive(Debug, Default)]
pub struct Told {
    of: Option<CredentialEnd>,
    nearness: Nearness,
    not_yet: bool,
}

impl Told {
    /// What there is to say of this end at `now`. Another end is another matter, of which everything is said anew. A clock
    /// that is set back is not a renewal: nothing is said, and what then comes near again is said again.
    pub fn look(&mut self, end: Option<CredentialEnd>, now: DateTime<Utc>) -> Vec<Word> {
        let Some(end) = end else {
            *self = Self::default();
            return Vec::new();
        };
        let before = std::mem::take(self);
        let same = before.of == Some(end);
        let nearness = Nearness::of(end.at, now);
        let not_yet = end.begins.is_some_and(|begins| begins > now);
        let mut words = Vec::new();
        if nearness > if same { before.nearness } else { Nearness::Far } {
            words.push(if nearness == Nearness::Over { Word::Over } else { Word::Soon });
        } else if !same && before.nearness > Nearness::Far {
            words.push(Word::Renewed);
        }
        if not_yet && !(same && before.not_yet) {
            words.push(Word::NotYet);
        }
        *self = Self { of: Some(end), nearness, not_yet };
        words
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::TimeDelta;

    use super::Word::{NotYet, Over, Renewed, Soon};
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    /// Ends so many days from `now`.
    fn end(days: i64) -> CredentialEnd {
        CredentialEnd { credential: "certificate", at: now() + TimeDelta::days(days), begins: None }
    }

    fn after(days: i64, hours: i64) -> DateTime<Utc> {
        now() + TimeDelta::days(days) + TimeDelta::hours(hours)
    }

    /// When what is said of an end 40 days off, looked at every hour of these days.
    fn said(told: &mut Told, days: std::ops::Range<i64>) -> Vec<(i64, Word)> {
        let hours = days.flat_map(|day| (0..24).map(move |hour| (day, hour)));
        hours
            .flat_map(|(day, hour)| told.look(Some(end(40)), after(day, hour)).into_iter().map(move |w| (day, w)))
            .collect()
    }

    #[test]
    fn each_threshold_is_told_once_and_again_after_a_start() {
        let mut told = Told::default();
        assert_eq!(said(&mut told, 0..60), [(10, Soon), (33, Soon), (39, Soon), (40, Over)]);
        assert_eq!(said(&mut Told::default(), 35..60), [(35, Soon), (39, Soon), (40, Over)]);
        assert_eq!(said(&mut Told::default(), 50..60), [(50, Over)]);
    }

    #[test]
    fn thresholds_that_are_crossed_together_are_told_together() {
        let mut told = Told::default();
        assert_eq!(told.look(Some(end(40)), now()), []);
        assert_eq!(told.look(Some(end(40)), after(39, 12)), [Soon]);
    }

    #[test]
    fn renewal_is_told_after_a_warning_only_and_if_the_new_end_is_far_off() {
        let mut told = Told::default();
        assert_eq!(told.look(Some(end(40)), now()), []);
        assert_eq!(told.look(Some(end(50)), now()), [], "nobody had been worried");
        assert_eq!(told.look(Some(end(20)), now()), [Soon]);
        assert_eq!(told.look(Some(end(25)), now()), [Soon], "the new one ends soon, too");
        assert_eq!(told.look(Some(end(400)), now()), [Renewed]);
        assert_eq!(told.look(Some(end(400)), now()), []);
        assert_eq!(told.look(Some(end(-1)), now()), [Over]);
        let secret = CredentialEnd { credential: "client_secret", ..end(300) };
        assert_eq!(told.look(Some(secret), now()), [Renewed]);
    }

    #[test]
    fn what_has_no_end_any_more_is_forgotten() {
        let mut told = Told::default();
        assert_eq!(told.look(Some(end(20)), now()), [Soon]);
        assert_eq!(told.look(None, now()), []);
        assert_eq!(told.look(Some(end(400)), now()), []);
    }

    #[test]
    fn a_clock_that_is_set_back_is_no_renewal_and_takes_no_later_warning_away() {
        let mut told = Told::default();
        assert_eq!(told.look(Some(end(40)), after(3000, 0)), [Over], "the clock was wrong");
        assert_eq!(told.look(Some(end(40)), now()), []);
        assert_eq!(said(&mut told, 0..60), [(10, Soon), (33, Soon), (39, Soon), (40, Over)]);
        let mut told = Told::default();
        assert_eq!(told.look(Some(end(40)), after(35, 0)), [Soon]);
        assert_eq!(told.look(Some(end(40)), after(34, 23)), [], "still within seven days");
        assert_eq!(told.look(Some(end(40)), after(35, 0)), []);
    }

    #[test]
    fn a_certificate_that_does_not_serve_yet_is_told_once() {
        let begins = Some(after(1, 0));
        let mut told = Told::default();
        let early = CredentialEnd { begins, ..end(400) };
        assert_eq!(told.look(Some(early), now()), [NotYet]);
        assert_eq!(told.look(Some(early), now()), []);
        assert_eq!(told.look(Some(early), after(2, 0)), []);
        assert_eq!(told.look(Some(CredentialEnd { begins, ..end(20) }), now()), [Soon, NotYet]);
    }
}
