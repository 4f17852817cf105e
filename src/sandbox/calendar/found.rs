//! Events that did not come over Graph: what people make in Outlook, what somebody else invites to, one date of a series.
//! A client meets them in any calendar, and must leave alone what is not its own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::Draft;
use super::event_id::EventIds;
use super::mailbox::is_address;
use super::store::Store;
use super::stored::{EventState, NewEvent, StoredEvent};
use crate::sandbox::refusal::Refusal;

/// An event to put into a mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundEvent {
    /// In any case.
    pub mailbox: String,
    /// None for the default calendar.
    #[serde(default)]
    pub calendar_id: Option<String>,
    /// As it would be posted; `transactionId` and extended properties only where the test wants them.
    pub event: Map<String, Value>,
    /// Somebody else, who invited this mailbox; none where the mailbox invited.
    #[serde(default)]
    pub organizer: Option<String>,
    /// It is one date of a series.
    #[serde(default)]
    pub occurrence: bool,
    #[serde(default)]
    pub state: EventState,
}

impl Store {
    /// Puts the event there and mails nobody.
    ///
    /// # Errors
    ///
    /// The mailbox has no address, or what Exchange would not take about the event.
    pub(in crate::sandbox) fn put(&self, found: FoundEvent) -> Result<StoredEvent, String> {
        let mailbox = found.mailbox.to_lowercase();
        if !is_address(&mailbox) {
            return Err(format!("mailbox: {mailbox:?} is neither an address nor an object id"));
        }
        let refused = |refusal: Refusal| format!("event: {}: {}", refusal.code, refusal.message);
        let draft = Draft::read(&found.event).map_err(refused)?;
        let series = found.occurrence.then(|| EventIds::new(&mailbox).immutable);
        let new_event = NewEvent {
            mailbox,
            calendar_id: found.calendar_id,
            draft,
            received: Value::Object(found.event),
            immutable: true,
            deduplicate: false,
        };
        let placed = self.place(new_event, |event| {
            event.organizer = found.organizer;
            event.series = series;
            event.stored.state = found.state;
        });
        Ok(placed.stored.clone())
    }
}
