//! Which mailboxes exist: every plausible address and every object id. The beginning of the local part can ask for
//! trouble, so a test needs no set-up to meet an unknown, a forbidden or a full mailbox.

use axum::http::StatusCode;

use crate::sandbox::refusal::Refusal;

/// What a mailbox does with requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MailboxBehaviour {
    Open,
    /// Every request is refused.
    Closed(Refusal),
    /// Reading works; creating is refused and leaves nothing behind.
    Full(Refusal),
    /// Creating is refused, and the event is there all the same.
    Suspended(Refusal),
}

impl MailboxBehaviour {
    pub(super) fn of(mailbox: &str) -> Self {
        let Some(local) = local_part(mailbox) else {
            return Self::Closed(invalid_user());
        };
        match PREFIXES.iter().find(|(prefix, _)| local.starts_with(prefix)) {
            Some((_, behaviour)) => behaviour(),
            None => Self::Open,
        }
    }
}

type Maker = fn() -> MailboxBehaviour;

/// Longer beginnings stand before shorter ones.
const PREFIXES: &[(&str, Maker)] = &[
    ("nobody", || MailboxBehaviour::Closed(invalid_user())),
    ("unlicensed", unlicensed),
    ("denied", denied),
    ("suspended", suspended),
    ("full507", || full(StatusCode::INSUFFICIENT_STORAGE)),
    ("full413", || full(StatusCode::PAYLOAD_TOO_LARGE)),
    ("full", || full(StatusCode::FORBIDDEN)),
    ("locked", locked),
];

fn unlicensed() -> MailboxBehaviour {
    MailboxBehaviour::Closed(Refusal::not_found(
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ))
}

fn denied() -> MailboxBehaviour {
    MailboxBehaviour::Closed(Refusal::new(
        StatusCode::FORBIDDEN,
        "ErrorAccessDenied",
        "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.",
    ))
}

fn suspended() -> MailboxBehaviour {
    MailboxBehaviour::Suspended(Refusal::new(
        StatusCode::FORBIDDEN,
        "ErrorAccountSuspend",
        "Account suspended. Follow the instructions in your Inbox to verify your account.",
    ))
}

/// Sources disagree about the status, so each one can be had.
fn full(status: StatusCode) -> MailboxBehaviour {
    MailboxBehaviour::Full(Refusal::new(status, "ErrorQuotaExceeded", "The mailbox has exceeded its storage quota."))
}

fn locked() -> MailboxBehaviour {
    MailboxBehaviour::Closed(Refusal::new(StatusCode::LOCKED, "resourceLocked", "The resource is locked."))
}

fn invalid_user() -> Refusal {
    Refusal::not_found("ErrorInvalidUser", "The requested user is invalid.")
}

/// Whether there can be a mailbox of this name.
pub(super) fn is_address(mailbox: &str) -> bool {
    local_part(mailbox).is_some()
}

/// The part of an address before the `@`, or a whole object id; none for anything else.
fn local_part(mailbox: &str) -> Option<&str> {
    if uuid::Uuid::try_parse(mailbox).is_ok() {
        return Some(mailbox);
    }
    let (local, domain) = mailbox.split_once('@')?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "@<>()[],;:\\\"/".contains(c);
    let plausible = !local.is_empty() && !domain.is_empty() && !local.contains(odd) && !domain.contains(odd);
    (plausible && !domain.starts_with('.') && !domain.ends_with('.')).then_some(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(mailbox: &str) -> (u16, String) {
        match MailboxBehaviour::of(mailbox) {
            MailboxBehaviour::Open => (201, String::new()),
            MailboxBehaviour::Closed(r) | MailboxBehaviour::Full(r) | MailboxBehaviour::Suspended(r) => {
                (r.status.as_u16(), r.code)
            }
        }
    }

    #[test]
    fn the_beginning_of_the_address_asks_for_trouble() {
        for (mailbox, status, expected) in [
            ("nobody@x.example", 404, "ErrorInvalidUser"),
            ("unlicensed7@x.example", 404, "MailboxNotEnabledForRESTAPI"),
            ("denied@x.example", 403, "ErrorAccessDenied"),
            ("suspended@x.example", 403, "ErrorAccountSuspend"),
            ("full@x.example", 403, "ErrorQuotaExceeded"),
            ("full507@x.example", 507, "ErrorQuotaExceeded"),
            ("full413@x.example", 413, "ErrorQuotaExceeded"),
            ("locked@x.example", 423, "resourceLocked"),
        ] {
            assert_eq!(code(mailbox), (status, expected.to_owned()), "{mailbox}");
        }
    }

    #[test]
    fn any_other_address_and_any_object_id_is_a_mailbox() {
        for mailbox in ["room.1+a@contoso", "o'neil@contoso.com", "87d349ed-44d7-43e1-9a83-5f2406dee5bd"] {
            assert_eq!(MailboxBehaviour::of(mailbox), MailboxBehaviour::Open, "{mailbox}");
        }
    }

    #[test]
    fn only_an_address_is_a_mailbox() {
        for mailbox in ["", "calendar", "a@b@c", "@x.example", "a b@x.example", "a@", "a@.x"] {
            assert_eq!(code(mailbox).1, "ErrorInvalidUser", "{mailbox}");
        }
    }
}
