//! To read something: one GET, whose whole answer is the JSON that was asked for. Nothing comes of it, so it may be repeated at
//! once, and no answer to it says that a job is done.

use serde_json::Value;

use super::client::{GraphClient, SMALL_ANSWER, incomplete};
use super::purpose::Purpose;
use super::reply::{event_id, event_ref};
use super::transport::Line;
use crate::clock::Now;
use crate::job::{CallResult, EventId, Outcome};
use crate::secret::Secret;

impl GraphClient {
    /// Reads the default calendar of `mailbox`: whether the agent may, without writing anything.
    ///
    /// # Errors
    /// The call, as of any other request.
    pub async fn probe(&self, mailbox: Option<&str>, token: &Secret, now: Now) -> Result<(), CallResult> {
        let url = format!("{}?$select=id", self.base.calendar(mailbox));
        let (calendar, damaged) = self.get(&url, token, now).await?;
        // A calendar's id is made like an event's.
        event_id(&calendar["id"]).map(drop).ok_or(damaged)
    }

    /// The link of an event's online meeting, if it has one by now.
    ///
    /// # Errors
    /// The call, as of any other request.
    pub async fn join_url(
        &self,
        mailbox: Option<&str>,
        event: &EventId,
        token: &Secret,
        now: Now,
    ) -> Result<Option<String>, CallResult> {
        let (told, _) = self.get(&self.base.meeting(mailbox, &event.0), token, now).await?;
        Ok(event_ref(&told).filter(|told| told.id == *event).and_then(|told| told.join_url))
    }

    /// The JSON of an answer, and what is to be said should it not be the JSON that was asked for. A kept connection that
    /// turns out to be dead is replaced at once.
    pub(super) async fn get(&self, url: &str, token: &Secret, now: Now) -> Result<(Value, CallResult), CallResult> {
        self.get_for(Purpose::Read, url, SMALL_ANSWER, token, now).await
    }

    /// The same, for another purpose, of an answer that may be so long.
    pub(super) async fn get_for(
        &self,
        purpose: Purpose,
        url: &str,
        limit: usize,
        token: &Secret,
        now: Now,
    ) -> Result<(Value, CallResult), CallResult> {
        let build = |http: &reqwest::Client| http.get(url);
        let answered = match self.transport.exchange(purpose, build, limit, Line::Kept, token, now).await {
            Err(CallResult { outcome: Outcome::ConnectionStale, .. }) => {
                self.transport.exchange(purpose, build, limit, Line::Fresh, token, now).await?
            }
            answered => answered?,
        };
        if !(200..300).contains(&answered.reply.status) {
            return Err(self.judged(&answered, purpose, now));
        }
        match serde_json::from_slice::<Value>(&answered.body) {
            // Nothing else is the whole answer.
            Ok(value) if answered.reply.status == 200 && !answered.reply.is_kept && value["error"].is_null() => {
                Ok((value, incomplete(&answered.reply, purpose, &answered.id)))
            }
            // The page of a portal is another matter than half an answer.
            _ => Err(self.judged(&answered, purpose, now)),
        }
    }
}
