//! The event that an `update` or a `delete` means: as the queue's rows know it, and as a request names it.

use super::{Cause, Cell, EventId, InvalidJob, JobId, JobInput, JobState, OperationKind, Undraftable, draft};
use crate::characters;

/// Longest `event_key`, in characters.
const MAX_KEY: usize = 255;

/// What the queue knows of the event that a job means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Nothing was looked up: the job creates its own, names it by its id, or is judged by its row alone.
    #[default]
    NotAsked,
    /// No job creates an event of this key.
    Unknown,
    /// The last job before this one that creates the event of its key.
    Created(Box<Created>),
}

/// A job that creates the event of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub job: JobId,
    pub state: JobState,
    /// An event may exist that no answer has confirmed.
    pub in_doubt: bool,
    pub event_id: Option<EventId>,
    pub mailbox: Option<String>,
    pub calendar_id: Option<String>,
    /// The value of its event's marker.
    pub transaction_id: String,
}

/// An event as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTarget {
    /// Whose calendar; none is the signed-in user's own (`/me`).
    pub mailbox: Option<String>,
    /// The calendar it was put into, where one was named. The event is found wherever it is now.
    pub calendar_id: Option<String>,
    pub event_id: EventId,
    /// The marker it must bear; none of an event that somebody named by its id.
    pub marker: Option<String>,
}

/// Whether the row names an event as this operation does: by one of the two, or a create by none or its key.
pub(super) fn judge(input: &JobInput, operation: OperationKind) -> Result<(), InvalidJob> {
    let key = key(input)?;
    let id = input.target_event_id.optional_word("target_event_id")?;
    let word = operation.as_str();
    match (operation, key, id) {
        (OperationKind::Create, _, None) => Ok(()),
        (OperationKind::Create, _, Some(_)) => Err(InvalidJob::new(
            "target_event_id",
            "is set, but a create makes an event of its own; leave it out, or make this an update",
        )),
        (_, Some(_), None) | (_, None, Some(_)) => Ok(()),
        (_, None, None) => Err(InvalidJob::new(
            "event_key",
            format!("is NULL, and so is target_event_id: name the event of this {word} by one of them"),
        )),
        (_, Some(_), Some(_)) => Err(InvalidJob::new(
            "target_event_id",
            format!("is set, and so is event_key: name the event of this {word} by one of them"),
        )),
    }
}

fn key(input: &JobInput) -> Result<Option<&str>, InvalidJob> {
    match input.event_key.optional("event_key")? {
        Some(key) if key.is_empty() || key.chars().count() > MAX_KEY => Err(InvalidJob::new(
            "event_key",
            format!("has {} characters; 1 to {MAX_KEY} are allowed", key.chars().count()),
        )),
        key => Ok(key),
    }
}

impl EventTarget {
    /// The event of an update or a delete.
    ///
    /// # Errors
    /// It is not there, or the row names another mailbox or calendar than the one it is in.
    pub(super) fn of(input: &JobInput, target: &Target, own_mailbox: bool) -> Result<Self, Undraftable> {
        let calendar_id = draft::segment("calendar_id", input.calendar_id.optional_word("calendar_id")?)?;
        if let Some(id) = input.target_event_id.optional_word("target_event_id")? {
            let event_id = EventId::parse(id).ok_or_else(|| {
                let id = characters::quoted(id);
                InvalidJob::new("target_event_id", format!("{id} cannot be an EventID; copy it from event_id of a job"))
            })?;
            let mailbox = draft::mailbox(input, own_mailbox)?;
            return Ok(Self { mailbox, calendar_id, event_id, marker: None });
        }
        match target {
            Target::NotAsked | Target::Unknown => Err(Undraftable::Refused(
                Cause::NoSuchKey,
                "no job before this one creates an event with this event_key".into(),
            )),
            Target::Created(created) => created.target(input, calendar_id),
        }
    }
}

impl Created {
    fn target(&self, input: &JobInput, calendar_id: Option<String>) -> Result<EventTarget, Undraftable> {
        let event_id = self.event_id.clone().filter(|_| self.state == JobState::Sent).ok_or_else(|| self.failed())?;
        if !is_same_mailbox(&input.mailbox, self.mailbox.as_deref()) {
            let place = self.mailbox.as_deref().map_or("the signed-in user's".into(), characters::quoted);
            let fault = format!("is another one than that of the event, {place}; leave it out");
            return Err(InvalidJob::new("mailbox", fault).into());
        }
        if calendar_id.is_some() && calendar_id != self.calendar_id {
            let fault = "is another one than that of the event, and an event stays in its calendar; leave it out";
            return Err(InvalidJob::new("calendar_id", fault).into());
        }
        let (mailbox, calendar_id) = (self.mailbox.clone(), self.calendar_id.clone());
        Ok(EventTarget { mailbox, calendar_id, event_id, marker: Some(self.transaction_id.clone()) })
    }

    fn failed(&self) -> Undraftable {
        let job = self.job;
        let words = match (self.state, self.in_doubt) {
            (_, true) => format!(
                "job {job}, which was to create the event, failed in doubt: the event may exist; look into the calendar"
            ),
            (JobState::Cancelled, _) => format!("job {job}, which was to create the event, was cancelled"),
            _ => format!("job {job}, which was to create the event, has not created it"),
        };
        Undraftable::Refused(Cause::CreateFailed, words)
    }
}

/// As lanes are told apart: without case, and without the white space around them. No mailbox is that of the event.
fn is_same_mailbox(cell: &Cell, own: Option<&str>) -> bool {
    let plain = |text: &str| text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']).to_ascii_lowercase();
    match cell {
        Cell::Text(mailbox) => own.is_some_and(|own| plain(own) == plain(mailbox)),
        Cell::Null => true,
        _ => false,
    }
}
