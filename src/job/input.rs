//! What a producer writes: the input columns of one row, and the defaults that fill the ones left NULL.

use serde_json::{Map, Value};

use super::{Cell, OperationKind, draft, times};

/// `body_type`, and `defaults.body_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    Text,
    Html,
}

impl BodyType {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            BodyType::Text => "text",
            BodyType::Html => "html",
        }
    }

    /// The stored word, back.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "text" => Some(BodyType::Text),
            "html" => Some(BodyType::Html),
            _ => None,
        }
    }
}

/// What fills a NULL `mailbox`, `body_type` or `time_zone`. Written into the row at its first claim, so that a later
/// change of the settings cannot change the bytes of a request that may already have left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `defaults.mailbox`; none means the signed-in user's own (only with `auth.mode = "password"`).
    pub mailbox: Option<String>,
    pub body_type: BodyType,
    /// `defaults.time_zone`, for wall times; none is UTC, but for a series, which needs one that somebody chose.
    pub time_zone: Option<String>,
    /// Whether a job without mailbox may go to the signed-in user's own calendar (`/me`).
    pub own_mailbox: bool,
}

/// Which columns of a row a default filled, as `jobs.defaulted` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaulted {
    pub mailbox: bool,
    pub time_zone: bool,
}

impl Defaulted {
    /// From the names in the column.
    pub fn parse(names: &str) -> Self {
        let has = |name| names.split(' ').any(|one| one == name);
        Self { mailbox: has("mailbox"), time_zone: has("time_zone") }
    }
}

/// A default that Exchange may refuse, whatever row it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefaultKey {
    /// `defaults.mailbox`.
    Mailbox,
    /// `defaults.time_zone`.
    TimeZone,
}

impl DefaultKey {
    pub fn as_str(self) -> &'static str {
        match self {
            DefaultKey::Mailbox => "defaults.mailbox",
            DefaultKey::TimeZone => "defaults.time_zone",
        }
    }
}

/// The input columns of one row, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInput {
    pub subject: Cell,
    pub body: Cell,
    pub start_time: Cell,
    pub end_time: Cell,
    pub location: Cell,
    pub attendees: Cell,
    pub mailbox: Cell,
    pub calendar_id: Cell,
    pub body_type: Cell,
    pub time_zone: Cell,
    pub extra: Cell,
    pub dedup_key: Cell,
    pub not_before: Cell,
    pub not_after: Cell,
    pub operation: Cell,
    pub event_key: Cell,
    pub target_event_id: Cell,
    /// `transaction_id`: the agent's column, but whoever inserts may set it.
    pub transaction_id: Cell,
}

impl JobInput {
    /// The same input with the defaults filled in, as the claim writes them into the row.
    ///
    /// Where nobody chose a zone, that of a series stays NULL and is told as missing (the claim has the same rule in SQL,
    /// a test compares them). An event that is named by its key is in its create's mailbox, whatever the default is.
    pub fn with_defaults(mut self, defaults: &Defaults) -> Self {
        if self.mailbox == Cell::Null && (self.is_create() || self.event_key == Cell::Null) {
            self.mailbox = defaults.mailbox.clone().into();
        }
        if self.body_type == Cell::Null {
            self.body_type = defaults.body_type.as_str().into();
        }
        if self.time_zone == Cell::Null {
            let utc = || (!self.recurs()).then(|| "UTC".to_owned());
            self.time_zone = defaults.time_zone.clone().or_else(utc).into();
        }
        self
    }

    /// Whether the request names the row's zone: instants go out in UTC, but those of a series or of whole days. A change
    /// without times names none.
    pub fn goes_out_in_its_zone(&self) -> bool {
        if !self.is_create() && (self.start_time == Cell::Null || self.end_time == Cell::Null) {
            return false;
        }
        let instant = |cell: &Cell| matches!(cell, Cell::Text(text) if times::is_instant(text));
        let single = self.properties().is_none_or(|extra| draft::is_single(&extra));
        !(single && instant(&self.start_time) && instant(&self.end_time))
    }

    /// What its own columns ask for: to create an event, where the queue does not know the word.
    pub fn operation_kind(&self) -> OperationKind {
        match &self.operation {
            Cell::Text(word) => OperationKind::parse(word).unwrap_or_default(),
            _ => OperationKind::default(),
        }
    }

    fn is_create(&self) -> bool {
        self.operation == OperationKind::Create.as_str().into()
    }

    fn recurs(&self) -> bool {
        self.properties().is_some_and(|extra| draft::recurs(&extra))
    }

    /// What stands in `extra`, if it is an object.
    fn properties(&self) -> Option<Map<String, Value>> {
        match &self.extra {
            Cell::Text(extra) => serde_json::from_str(extra).ok(),
            _ => None,
        }
    }
}

impl Default for JobInput {
    /// A row of which nothing is set but the column default of `attendees`.
    fn default() -> Self {
        Self {
            subject: Cell::Null,
            body: Cell::Null,
            start_time: Cell::Null,
            end_time: Cell::Null,
            location: Cell::Null,
            attendees: "[]".into(),
            mailbox: Cell::Null,
            calendar_id: Cell::Null,
            body_type: Cell::Null,
            time_zone: Cell::Null,
            extra: Cell::Null,
            dedup_key: Cell::Null,
            not_before: Cell::Null,
            not_after: Cell::Null,
            operation: OperationKind::Create.as_str().into(),
            event_key: Cell::Null,
            target_event_id: Cell::Null,
            transaction_id: Cell::Null,
        }
    }
}
