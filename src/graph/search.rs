//! The look for a job's evidence, one request at a time, so that whoever drives it can stop between two of them.

use std::time::Instant;

use serde_json::Value;

use super::address::GraphBase;
use super::client::GraphClient;
use super::operations::{Evidence, Identity, Whose};
use super::reply::event_id;
use crate::clock::Now;
use crate::job::{CallResult, EventId, Verified};
use crate::secret::Secret;

/// Most pages of one look. More than one event with the marker of one job is rare, and a page has ten.
const MOST_PAGES: u32 = 8;

/// A look under way.
pub struct Search<'a> {
    evidence: &'a Evidence,
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
    FirstPage,
    Page(String),
}

impl<'a> Search<'a> {
    /// Of the event that Graph named as existing, if its marker or its transaction id and subject prove it, else by the
    /// marker.
    pub fn new(evidence: &'a Evidence, named: Option<EventId>, begin: Instant) -> Self {
        let next = named.map_or(Step::FirstPage, Step::Named);
        Self { evidence, next, found: Vec::new(), pages: 0, begin }
    }
}

impl GraphClient {
    /// Asks the next question. None: there is one more.
    pub async fn verify(&self, search: &mut Search<'_>, token: &Secret, now: Now) -> Option<Verified> {
        let Evidence::Marker { mailbox, calendar, identity } = search.evidence;
        let url = match search.next.clone() {
            Step::Named(named) => {
                let verified = self.look_at(mailbox.as_deref(), identity, &named, token, now).await;
                search.next = Step::FirstPage;
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
            Step::FirstPage => self.base.marked(mailbox.as_deref(), calendar.as_deref(), &identity.transaction_id),
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
