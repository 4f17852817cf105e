//! Who would get mail. Exchange writes to attendees by itself and offers no way to ask what it wrote, so this account is
//! what a proof about mails rests on. Where Microsoft is silent it assumes the worse: a repeated change mails again.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::Draft;

/// One mail to one attendee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The event's id as [`super::StoredEvent`] has it.
    pub event_id: String,
    /// The event's `transactionId`, if one was sent.
    pub transaction_id: Option<String>,
    /// The mailbox it goes out from, lower case.
    pub mailbox: String,
    /// The address it goes to, lower case.
    pub attendee: String,
    pub kind: MailKind,
    /// UTC, RFC 3339 with milliseconds.
    pub at: String,
    /// The comment of a cancellation.
    pub comment: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    Invitation,
    Update,
    Cancellation,
}

/// An attendee, as far as mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attendee {
    /// Lower case.
    pub(super) address: String,
    role: &'static str,
}

impl Attendee {
    /// None without an address.
    pub(super) fn read(sent: &Value) -> Option<Self> {
        let address = sent.pointer("/emailAddress/address")?.as_str()?.trim();
        let role = sent.get("type").and_then(Value::as_str).unwrap_or_default();
        let known = ["optional", "resource"].into_iter().find(|known| known.eq_ignore_ascii_case(role));
        (!address.is_empty()).then(|| Self { address: address.to_lowercase(), role: known.unwrap_or("required") })
    }
}

/// How many mails of each kind went out.
#[derive(Debug, Default)]
pub(super) struct Tally {
    invitations: AtomicU64,
    updates: AtomicU64,
    cancellations: AtomicU64,
}

impl Tally {
    pub(super) fn add(&self, mailings: &[Mailing]) {
        for mailing in mailings {
            self.counter(mailing.kind).fetch_add(mailing.attendees.len() as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn of(&self, kind: MailKind) -> u64 {
        self.counter(kind).load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        let kinds = [MailKind::Invitation, MailKind::Update, MailKind::Cancellation];
        kinds.into_iter().for_each(|kind| self.counter(kind).store(0, Ordering::Relaxed));
    }

    fn counter(&self, kind: MailKind) -> &AtomicU64 {
        match kind {
            MailKind::Invitation => &self.invitations,
            MailKind::Update => &self.updates,
            MailKind::Cancellation => &self.cancellations,
        }
    }
}

/// When something happened, and its place among everything that did.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) order: u64,
    pub(super) at: String,
}

/// The mails of one kind that one request caused.
#[derive(Clone, Debug)]
pub(super) struct Mailing {
    pub(super) moment: Moment,
    pub(super) kind: MailKind,
    pub(super) attendees: Vec<String>,
    pub(super) comment: Option<String>,
}

impl Mailing {
    /// A mail of this kind to every attendee.
    pub(super) fn to_all(kind: MailKind, event: &Draft, moment: &Moment, comment: Option<String>) -> Option<Self> {
        Self::to(kind, addresses(&event.attendees, |_| true), moment, comment)
    }

    /// What a change mails: those who came are invited, those who went are told, and the others hear of it unless it was
    /// about the others alone.
    pub(super) fn of_change(before: &Draft, after: &Draft, attendees_alone: bool, moment: &Moment) -> Vec<Self> {
        let (old, new) = (&before.attendees, &after.attendees);
        let is_in = |list: &[Attendee], one: &Attendee| list.iter().any(|other| other.address == one.address);
        let went = addresses(old, |one| !is_in(new, one));
        let came = addresses(new, |one| !is_in(old, one));
        let concerned = addresses(new, |one| is_in(old, one) && !(attendees_alone && old.contains(one)));
        let mailings = [(MailKind::Cancellation, went), (MailKind::Invitation, came), (MailKind::Update, concerned)];
        mailings.into_iter().filter_map(|(kind, to)| Self::to(kind, to, moment, None)).collect()
    }

    fn to(kind: MailKind, attendees: Vec<String>, moment: &Moment, comment: Option<String>) -> Option<Self> {
        (!attendees.is_empty()).then(|| Self { moment: moment.clone(), kind, attendees, comment })
    }
}

/// Whoever is listed twice gets one mail.
fn addresses(list: &[Attendee], wanted: impl Fn(&Attendee) -> bool) -> Vec<String> {
    let mut addresses: Vec<String> = Vec::with_capacity(list.len());
    for one in list.iter().filter(|one| wanted(one)) {
        if !addresses.contains(&one.address) {
            addresses.push(one.address.clone());
        }
    }
    addresses
}
