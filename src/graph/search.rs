//! The look for a job's evidence, one request at a time, so that whoever drives it can stop between two of them.

use std::time::Instant;

use chrono::TimeDelta;
use serde_json::Value;

use super::address::GraphBase;
use super::client::GraphClient;
use super::operations::{Evidence, Identity, Whose};
use super::purpose::Purpose;
use super::reply::event_id;
use crate::clock::Now;
use crate::job::{CallResult, EventId, EventTarget, Snapshot, Verified};
use crate::secret::Secret;

/// Most pages of one look. More than one event with the marker of one job is rare, and a page has ten.
const MOST_PAGES: u32 = 8;

/// An event this old is in the listings if it is in a calendar (graph-facts 2.4).
const LISTED_AFTER: TimeDelta = TimeDelta::minutes(15);

/// A look under way.
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
    /// Whether this event, which was to end, is in a calendar still.
    Listed(Box<Snapshot>),
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
                    // Refused by name, it may still be found by its marker. Whoever asks for a rest is given one.
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
            Step::First | Step::Listed(_) => {
                self.base.marked(mailbox.as_deref(), calendar.as_deref(), &identity.transaction_id)
            }
            Step::Page(url) => url,
        };
        match self.page(search, identity, &url, token, now).await {
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
        let (target, with_body) = match search.evidence {
            Evidence::Changed(target, change) => (target, change.body.is_some()),
            Evidence::Ended(target) => (target, false),
            Evidence::Marker { .. } => return Some(Verified::Absent),
        };
        if let Step::Listed(seen) = &search.next {
            return Some(self.listed(target, seen, token, now).await);
        }
        let url = self.base.looked_at(target.mailbox.as_deref(), &target.event_id.0, with_body);
        let verified = match self.get_for(Purpose::Look, &url, token, now).await {
            Ok((event, damaged)) => search.evidence.of(&event, damaged),
            Err(result) => search.evidence.without(result),
        };
        match verified {
            Verified::Open(seen) if search.in_doubt && matches!(search.evidence, Evidence::Ended(_)) => {
                search.next = Step::Listed(seen);
                None
            }
            verified => Some(verified),
        }
    }

    /// What is new may not be listed yet (graph-facts 2.4): of such an event its absence proves nothing.
    async fn listed(&self, target: &EventTarget, seen: &Snapshot, token: &Secret, now: Now) -> Verified {
        let (mailbox, calendar) = (target.mailbox.as_deref(), target.calendar_id.as_deref());
        let url = match (&target.marker, &seen.event.ical_uid) {
            (Some(marker), _) => self.base.marked(mailbox, calendar, marker),
            (None, Some(uid)) => self.base.of_uid(mailbox, calendar, uid),
            (None, None) => return Verified::Open(Box::new(seen.clone())),
        };
        let is_old = seen.created_at.is_some_and(|at| now.wall - at > LISTED_AFTER);
        match self.get(&url, token, now).await {
            Err(result) => result.into(),
            Ok((answer, damaged)) => match answer["value"].as_array() {
                None => damaged.into(),
                Some(events) if events.is_empty() && is_old => Verified::Done(target.event_id.clone().into()),
                Some(_) => Verified::Open(Box::new(seen.clone())),
            },
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
        identity: &Identity,
        url: &str,
        token: &Secret,
        now: Now,
    ) -> Result<Option<String>, CallResult> {
        let (answer, damaged) = self.get(url, token, now).await?;
        let events = answer["value"].as_array().ok_or_else(|| damaged.clone())?;
        for event in events {
            let id = event_id(&event["id"]).ok_or_else(|| damaged.clone())?;
            match identity.of(event) {
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
