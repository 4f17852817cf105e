//! The event that an `update` or a `delete` means: as the queue's rows know it, and as a request names it.

use super::{Cause, EventId, InvalidJob, JobId, JobInput, JobState, OperationKind, Undraftable, draft};
use crate::characters;

/// Longest `event_key`, in characters.
const MAX_KEY: usize = 255;

/// The white space that the queue's index of mailboxes takes off, too.
const BLANKS: [char; 6] = ['\t', '\n', '\u{b}', '\u{c}', '\r', ' '];

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
    /// Of a job that creates an event: its key names that of an earlier job still.
    Taken(JobId),
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

/// An event as the row of an update or a delete names it.
pub(super) struct Meant {
    by: By,
    mailbox: Option<String>,
    calendar_id: Option<String>,
}

enum By {
    Key,
    Id(EventId),
}

/// A create names no event but by a key for later jobs.
pub(super) fn check_create(input: &JobInput) -> Result<(), InvalidJob> {
    key(input)?;
    match input.target_event_id.optional("target_event_id")? {
        None => Ok(()),
        Some(_) => Err(InvalidJob::new(
            "target_event_id",
            "is set, but a create makes an event of its own; leave it out, or make this an update",
        )),
    }
}

/// A key names one event at a time.
///
/// # Errors
/// The event before is there still, for no delete of it has come off.
pub(super) fn check_key_is_free(target: &Target) -> Result<(), Undraftable> {
    match target {
        Target::Taken(by) => Err(Undraftable::Refused(
            Cause::KeyInUse,
            format!(
                "event_key: the event of job {by}, which has this key, was not deleted: the delete before this job failed or was \
                 cancelled; retry that one, then this one"
            ),
        )),
        Target::NotAsked | Target::Unknown | Target::Created(_) => Ok(()),
    }
}

fn key(input: &JobInput) -> Result<Option<&str>, InvalidJob> {
    let key = input.event_key.optional("event_key")?;
    match key.map(|key| key.chars().count()) {
        Some(0) => Err(InvalidJob::new("event_key", "is empty; give the event a name, or leave it NULL")),
        Some(length) if length > MAX_KEY => Err(InvalidJob::new(
            "event_key",
            format!("is {length} characters long; a key has at most {MAX_KEY}: shorten it"),
        )),
        _ => Ok(key),
    }
}

fn event_id(input: &JobInput) -> Result<Option<EventId>, InvalidJob> {
    let Some(id) = input.target_event_id.optional_word("target_event_id")? else { return Ok(None) };
    let event_id = EventId::parse(id).ok_or_else(|| {
        let id = characters::quoted(id);
        InvalidJob::new("target_event_id", format!("{id} cannot be an EventID; copy it from event_id of a job"))
    })?;
    Ok(Some(event_id))
}

impl Meant {
    /// Judges how the row names its event, and where it says that is.
    ///
    /// # Errors
    /// It names none, or two, or no place that can be.
    pub(super) fn of(input: &JobInput, operation: OperationKind, own_mailbox: bool) -> Result<Self, InvalidJob> {
        let word = operation.as_str();
        let calendar_id = draft::segment("calendar_id", input.calendar_id.optional_word("calendar_id")?)?;
        match (key(input)?, event_id(input)?) {
            (Some(_), None) => Ok(Self { by: By::Key, mailbox: draft::named_mailbox(input)?, calendar_id }),
            (None, Some(id)) => Ok(Self { by: By::Id(id), mailbox: draft::mailbox(input, own_mailbox)?, calendar_id }),
            (None, None) => Err(InvalidJob::new(
                "event_key",
                format!("is NULL, and so is target_event_id: name the event of this {word} by one of them"),
            )),
            (Some(_), Some(_)) => Err(InvalidJob::new(
                "target_event_id",
                format!("is set, and so is event_key: name the event of this {word} by one of them"),
            )),
        }
    }

    /// The event as a request names it, by what the queue knows of it.
    ///
    /// # Errors
    /// It is not there, or the row names another mailbox or calendar than the one it is in.
    pub(super) fn found(self, target: &Target) -> Result<EventTarget, Undraftable> {
        let Self { by, mailbox, calendar_id } = self;
        match (by, target) {
            (By::Id(event_id), _) => Ok(EventTarget { mailbox, calendar_id, event_id, marker: None }),
            (By::Key, Target::Created(created)) => created.target(mailbox.as_deref(), calendar_id.as_deref()),
            (By::Key, Target::NotAsked | Target::Unknown | Target::Taken(_)) => Err(Undraftable::Refused(
                Cause::NoSuchKey,
                "event_key: no job before this one creates an event with this key; check the key, or insert this job again after \
                 the create"
                    .into(),
            )),
        }
    }
}

impl Created {
    fn target(&self, mailbox: Option<&str>, calendar_id: Option<&str>) -> Result<EventTarget, Undraftable> {
        let event_id = self.event().map_err(|words| Undraftable::Refused(Cause::CreateFailed, words))?;
        // As its row has them, which may be written with blanks around.
        let bare = |text: &Option<String>| text.as_ref().map(|text| text.trim_matches(BLANKS).to_owned());
        let (own_mailbox, own_calendar) = (bare(&self.mailbox), bare(&self.calendar_id));
        let is_own = |other: &str| own_mailbox.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(other));
        if !mailbox.is_none_or(is_own) {
            let place = own_mailbox.as_deref().map_or("that of the signed-in user".into(), characters::quoted);
            let fault = format!("is not the event's mailbox, {place}; leave it NULL");
            return Err(InvalidJob::new("mailbox", fault).into());
        }
        if calendar_id.is_some() && calendar_id != own_calendar.as_deref() {
            let fault = "is not the event's calendar, and an event stays in its calendar; leave it NULL";
            return Err(InvalidJob::new("calendar_id", fault).into());
        }
        let marker = Some(self.transaction_id.clone());
        Ok(EventTarget { mailbox: own_mailbox, calendar_id: own_calendar, event_id, marker })
    }

    /// The event that it has created, or in words why there is none.
    fn event(&self) -> Result<EventId, String> {
        let why = match (self.state, &self.event_id) {
            (JobState::Sent, Some(event_id)) if EventId::parse(&event_id.0).is_some() => return Ok(event_id.clone()),
            (JobState::Sent, _) => "is sent, but its event_id is not an EventID; name the event by target_event_id",
            (JobState::Pending | JobState::Claimed, _) => "is not sent yet: retry this job once it is",
            (JobState::Failed | JobState::Cancelled, _) if self.in_doubt => {
                "ended in doubt: the event may exist; look into the calendar"
            }
            (JobState::Failed, _) => "failed: there is no event; retry that job, then this one",
            (JobState::Cancelled, _) => "was cancelled: there is no event; retry that job, then this one",
        };
        Err(format!("job {}, which creates the event with this event_key, {why}", self.job))
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
