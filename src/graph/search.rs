//! The lookup of a job's evidence, one request at a time, so that whoever drives it can stop between two of them.

use std::time::Instant;

use chrono::TimeDelta;
use serde_json::Value;

use super::address::GraphBase;
use super::client::{GraphClient, LARGE_ANSWER, SMALL_ANSWER};
use super::operations::{BODY, Evidence, Identity, Whose, whose};
use super::purpose::Purpose;
use super::reply::event_id;
use crate::clock::Now;
use crate::job::{Answer, CallResult, EventId, EventTarget, Outcome, Snapshot, Verified};
use crate::secret::Secret;

/// Most pages of one lookup. More than one event with the marker of one job is rare, and a page has ten.
const MOST_PAGES: u32 = 8;

/// An event this old is in the listings if it is in a calendar (graph-facts 2.4).
const LISTED_AFTER: TimeDelta = TimeDelta::minutes(15);

/// A lookup under way.
pub struct Search<'a> {
    evidence: &'a Evidence,
    in_doubt: bool,
    next: Step,
    /// Events of this job, each after the time it was created at.
    found: Vec<(String, EventId)>,
    pages: u32,
    begin: Instant,
}

/// What is asked next.
#[derive(Clone)]
enum Step {
    /// The event that Graph named as existing.
    Named(EventId),
    /// The event itself, or the first page of those with the marker.
    First,
    Page(String),
    /// Whether this event, which was to end, is in a calendar still: a page of its listing.
    Listed(Box<Snapshot>, String),
}

impl<'a> Search<'a> {
    /// Of the event that Graph named as existing, if its marker or its transaction id and subject prove it, else by the
    /// marker; of an event that is to be changed by its id. `in_doubt`: an earlier request may have taken effect.
    pub fn new(evidence: &'a Evidence, named: Option<EventId>, in_doubt: bool, begin: Instant) -> Self {
        let next = named.map_or(Step::First, Step::Named);
        Self { evidence, in_doubt, next, found: Vec::new(), pages: 0, begin }
    }
}

impl GraphClient {
    /// Asks the next question. None: there is one more.
    pub async fn verify(&self, search: &mut Search<'_>, token: &Secret, now: Now) -> Option<Verified> {
        let Evidence::Marker { mailbox, calendar, identity } = search.evidence else {
            return self.look(search, token, now).await;
        };
        let url = match search.next.clone() {
            Step::Named(named) => {
                let verified = self.look_at(mailbox.as_deref(), identity, &named, token, now).await;
                search.next = Step::First;
                return match verified {
                    // Refused by name, it may still be found by its marker. Whoever asks for a pause is given one.
                    Verified::Absent => None,
                    Verified::Unknown(result) if result.is_refusal() => None,
                    Verified::Unknown(result) if result.challenge.is_some() => {
                        // Asked once more with another token, it is the same question.
                        search.next = Step::Named(named);
                        Some(Verified::Unknown(result))
                    }
                    verified => Some(verified),
                };
            }
            Step::First | Step::Listed(..) => {
                self.base.marked(mailbox.as_deref(), calendar.as_deref(), &identity.transaction_id)
            }
            Step::Page(url) => url,
        };
        match self.page(search, |event| identity.of(event), &url, token, now).await {
            Ok(Some(next)) => {
                search.next = Step::Page(next);
                None
            }
            Ok(None) => {
                // A copy made in Outlook carries the marker along: the oldest is the one that was created for this job.
                let oldest = search.found.drain(..).min_by(|(a, _), (b, _)| a.cmp(b));
                Some(oldest.map_or(Verified::Absent, |(_, event_id)| Verified::Done(event_id.into())))
            }
            Err(result) => Some(result.into()),
        }
    }

    /// Reads the event that is to be changed. One that was to end and is there still may lie among the deleted items, where it
    /// is found by its id all the same (graph-lifecycle 2): then no calendar lists it.
    async fn look(&self, search: &mut Search<'_>, token: &Secret, now: Now) -> Option<Verified> {
        let (Evidence::Changed(target, _) | Evidence::Ended(target)) = search.evidence else {
            return Some(Verified::Absent);
        };
        if let Step::Listed(seen, url) = search.next.clone() {
            return self.listed(search, target, seen, &url, token, now).await;
        }
        let also = search.evidence.asks_for();
        let url = self.base.looked_at(target.mailbox.as_deref(), &target.event_id.0, &also);
        let limit = if also.contains(&BODY) { LARGE_ANSWER } else { SMALL_ANSWER };
        let verified = match self.get_for(Purpose::Look, &url, limit, token, now).await {
            Ok((event, damaged)) => search.evidence.of(&event, damaged),
            Err(result) => search.evidence.without(result),
        };
        match verified {
            Verified::Open(seen) if search.in_doubt && matches!(search.evidence, Evidence::Ended(_)) => {
                let Some(url) = self.listing(target, &seen) else { return Some(Verified::Open(seen)) };
                search.next = Step::Listed(seen, url);
                None
            }
            verified => Some(verified),
        }
    }

    /// Where it is told whether an event is in its calendar. None if nothing tells it from others.
    fn listing(&self, target: &EventTarget, seen: &Snapshot) -> Option<String> {
        let (mailbox, calendar) = (target.mailbox.as_deref(), target.calendar_id.as_deref());
        match &target.marker {
            Some(marker) => Some(self.base.marked(mailbox, calendar, marker)),
            None => Some(self.base.of_uid(mailbox, calendar, seen.event.ical_uid.as_deref()?)),
        }
    }

    /// One that is listed is to end still; one that is not has ended, but for one so new that it may not be listed yet
    /// (graph-facts 2.4): about that nothing is known.
    async fn listed(
        &self,
        search: &mut Search<'_>,
        target: &EventTarget,
        seen: Box<Snapshot>,
        url: &str,
        token: &Secret,
        now: Now,
    ) -> Option<Verified> {
        let whose = |event: &Value| match (&target.marker, &seen.event.ical_uid) {
            (Some(marker), _) => whose(event, marker),
            (None, Some(uid)) if event["iCalUId"] == uid.as_str() => Whose::Same,
            (None, _) => Whose::Another,
        };
        match self.page(search, whose, url, token, now).await {
            Err(result) => Some(result.into()),
            Ok(_) if !search.found.is_empty() => Some(Verified::Open(seen)),
            Ok(Some(next)) => {
                search.next = Step::Listed(seen, next);
                None
            }
            Ok(None) if seen.created_at.is_some_and(|at| now.wall - at > LISTED_AFTER) => {
                Some(Verified::Done(target.event_id.clone().into()))
            }
            Ok(None) => Some(not_listed_yet().into()),
        }
    }

    async fn look_at(
        &self,
        mailbox: Option<&str>,
        identity: &Identity,
        named: &EventId,
        token: &Secret,
        now: Now,
    ) -> Verified {
        let (event, damaged) = match self.get(&self.base.event(mailbox, &named.0), token, now).await {
            Ok(answer) => answer,
            Err(result) => return result.into(),
        };
        match identity.of(&event) {
            _ if event_id(&event["id"]).is_none() => damaged.into(),
            Whose::Marked => Verified::Done(named.clone().into()),
            Whose::Same if identity.has_subject(&event) => Verified::Done(named.clone().into()),
            _ => Verified::Absent,
        }
    }

    /// Reads one page and tells where the next is, within bounds. An event of another job among them, or one that does not say
    /// whose it is, makes the answer one to another question: it proves neither that there is an event nor that there is
    /// none.
    async fn page(
        &self,
        search: &mut Search<'_>,
        whose: impl Fn(&Value) -> Whose,
        url: &str,
        token: &Secret,
        now: Now,
    ) -> Result<Option<String>, CallResult> {
        let (answer, damaged) = self.get(url, token, now).await?;
        let events = answer["value"].as_array().ok_or_else(|| damaged.clone())?;
        for event in events {
            let id = event_id(&event["id"]).ok_or_else(|| damaged.clone())?;
            match whose(event) {
                Whose::Marked | Whose::Same => {
                    search.found.push((event["createdDateTime"].as_str().unwrap_or_default().to_owned(), id));
                }
                // The filter does not tell small letters from capital ones.
                Whose::Likeness => {}
                Whose::Another => return Err(damaged),
            }
        }
        search.pages += 1;
        let next = match &answer["@odata.nextLink"] {
            Value::Null => return Ok(None),
            link => link.as_str().and_then(|link| GraphBase::next(url, link)),
        };
        let goes_on = search.pages < MOST_PAGES && search.begin.elapsed() < self.transport.patience();
        match next.filter(|_| goes_on) {
            Some(next) => Ok(Some(next)),
            // What was found is proven; that there is nothing is not.
            None if search.found.is_empty() => Err(damaged),
            None => Ok(None),
        }
    }
}

/// Found by its id, and in no calendar's listing.
fn not_listed_yet() -> CallResult {
    let said = "the event exists but no calendar lists it yet; a new event may take minutes to be listed";
    let answer = Answer {
        status: Some(200),
        code: Some("not_listed_yet".into()),
        message: Some(said.into()),
        ..Answer::default()
    };
    CallResult::new(Outcome::ReplyDamaged, answer)
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
