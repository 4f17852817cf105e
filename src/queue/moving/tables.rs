//! What moves: the tables, and their columns as both queues call them.

/// The tables that move, and their columns as both queues call them. What the agents say of themselves and which lanes they have
/// stays behind: that is of the agents that were.
pub const TABLES: [Table; 4] = [
    Table {
        name: "jobs",
        key: &["id"],
        columns: &[
            number("id"),
            text("subject"),
            text("body"),
            text("start_time"),
            text("end_time"),
            text("location"),
            text("attendees"),
            text("mailbox"),
            text("calendar_id"),
            text("body_type"),
            text("time_zone"),
            text("extra"),
            at_most_2000("dedup_key"),
            text("not_before"),
            text("not_after"),
            small("priority"),
            text("operation"),
            text("event_key"),
            at_most_2000("target_event_id"),
            text("state"),
            text("event_id"),
            text("web_link"),
            text("ical_uid"),
            text("join_url"),
            flag("in_doubt"),
            small("attempts"),
            number("claims"),
            time("next_attempt_at"),
            text("transaction_id"),
            text("mailbox_key"),
            flag("mails"),
            text("error_kind"),
            text("cause"),
            small("http_status"),
            text("error_code"),
            text("error_message"),
            text("request_id"),
            time("created_at"),
            time("claimed_at"),
            time("finished_at"),
            time("first_sent_at"),
            time("give_up_at"),
            text("defaulted"),
            text("settled"),
            number("behind"),
            time("expires_at"),
            time("ends_at"),
        ],
    },
    Table {
        name: "attempts",
        key: &["job_id", "claim"],
        columns: &[
            number("job_id"),
            number("claim"),
            time("started_at"),
            number("duration_ms"),
            text("outcome"),
            small("http_status"),
            text("error_code"),
            text("message"),
            text("request_id"),
            text("client_request_id"),
        ],
    },
    Table {
        name: "mailboxes",
        key: &["mailbox"],
        columns: &[
            text("mailbox"),
            time("paused_until"),
            text("reason"),
            text("error_kind"),
            small("strikes"),
            time("updated_at"),
            time("held_at"),
            text("held_reason"),
            time("asked_until"),
            time("resumed_at"),
            time("paced_until"),
            text("paced_reason"),
        ],
    },
    Table {
        name: "mailings",
        key: &["mailbox", "minute"],
        columns: &[text("mailbox"), time("minute"), small("jobs"), small("recipients")],
    },
];

#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Its first columns, by which a row is told.
    pub key: &'static [&'static str],
    pub columns: &'static [Column],
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Of so many bytes.
    AtMost(usize),
    Number,
    /// Of 32 bits.
    Small,
    Flag,
    Time,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn at_most_2000(name: &'static str) -> Column {
    Column { name, kind: Kind::AtMost(2000) }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

const fn small(name: &'static str) -> Column {
    Column { name, kind: Kind::Small }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: Kind::Flag }
}

const fn time(name: &'static str) -> Column {
    Column { name, kind: Kind::Time }
}
