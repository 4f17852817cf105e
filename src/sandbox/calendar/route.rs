//! Graph's addresses, taken apart: whose mailbox, which calendar, and what is asked of it. Segments are percent-decoded
//! one by one, so a slash inside an id stays part of the id.

use axum::http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::sandbox::journal::RequestKind;
use crate::sandbox::refusal::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Owner {
    /// The signed-in user.
    Me,
    /// An address or object id, lower case.
    Mailbox(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    CreateEvent,
    /// A collection of events, whole or by the given `$filter`.
    ListEvents {
        filter: Option<String>,
    },
    GetEvent(String),
    ChangeEvent(String),
    DeleteEvent(String),
    CancelEvent(String),
    /// The occurrences of a series.
    ListInstances(String),
    GetCalendar,
}

impl Operation {
    /// The operation of another method at the address of this one, which GET would ask for.
    fn of(self, method: &Method) -> Option<Self> {
        match (method.as_str(), self) {
            ("POST", Self::CancelEvent(id)) => Some(Self::CancelEvent(id)),
            (_, Self::CancelEvent(_)) => None,
            ("GET", read) => Some(read),
            ("POST", Self::ListEvents { .. }) => Some(Self::CreateEvent),
            ("PATCH", Self::GetEvent(id)) => Some(Self::ChangeEvent(id)),
            ("DELETE", Self::GetEvent(id)) => Some(Self::DeleteEvent(id)),
            _ => None,
        }
    }
}

/// A call of the Graph API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Call {
    pub(in crate::sandbox) owner: Owner,
    /// None for the default calendar and for all calendars together.
    pub(in crate::sandbox) calendar: Option<String>,
    pub(super) operation: Operation,
    pub(in crate::sandbox) select: Option<String>,
    pub(super) expand: Option<String>,
    pub(in crate::sandbox) top: Option<usize>,
    pub(super) skip: usize,
}

impl Call {
    pub(in crate::sandbox) fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Self, Refusal> {
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let rest = match segments.as_slice() {
            ["v1.0" | "beta", rest @ ..] => rest,
            [version, ..] => return Err(Refusal::bad_request("BadRequest", format!("Invalid version: {version}"))),
            [] => &[],
        };
        let (owner, rest) = match rest {
            ["me", rest @ ..] => (Owner::Me, rest),
            ["users", mailbox, rest @ ..] => (Owner::Mailbox(mailbox.to_lowercase()), rest),
            other => return Err(no_segment(other)),
        };
        let (calendar, operation) = place(rest)?;
        let operation = operation.of(method).ok_or_else(|| no_method(method))?;
        let mut call = Self { owner, calendar, operation, select: None, expand: None, top: None, skip: 0 };
        call.read_query(query.unwrap_or_default());
        Ok(call)
    }

    pub(in crate::sandbox) fn kind(&self) -> RequestKind {
        match &self.operation {
            Operation::CreateEvent => RequestKind::Create,
            Operation::ListEvents { filter: Some(_) } => RequestKind::Lookup,
            Operation::GetEvent(_) => RequestKind::Get,
            Operation::ChangeEvent(_) => RequestKind::Patch,
            Operation::DeleteEvent(_) => RequestKind::Delete,
            Operation::CancelEvent(_) => RequestKind::Cancel,
            Operation::ListEvents { filter: None } | Operation::ListInstances(_) | Operation::GetCalendar => {
                RequestKind::Other
            }
        }
    }

    /// The id in the address of one event.
    pub(in crate::sandbox) fn event_id(&self) -> Option<&str> {
        match &self.operation {
            Operation::GetEvent(id)
            | Operation::ChangeEvent(id)
            | Operation::DeleteEvent(id)
            | Operation::CancelEvent(id)
            | Operation::ListInstances(id) => Some(id),
            Operation::CreateEvent | Operation::ListEvents { .. } | Operation::GetCalendar => None,
        }
    }

    /// The event it would change.
    pub(super) fn changes(&self) -> Option<&str> {
        let changes = matches!(self.kind(), RequestKind::Patch | RequestKind::Delete | RequestKind::Cancel);
        self.event_id().filter(|_| changes)
    }

    fn read_query(&mut self, query: &str) {
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (name.as_ref(), &mut self.operation) {
                ("$filter", Operation::ListEvents { filter }) => *filter = Some(value.into_owned()),
                ("$select", _) => self.select = Some(value.into_owned()),
                ("$expand", _) => self.expand = Some(value.into_owned()),
                ("$top", _) => self.top = value.parse().ok(),
                ("$skip", _) => self.skip = value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

fn place(rest: &[&str]) -> Result<(Option<String>, Operation), Refusal> {
    let (calendar, rest) = match rest {
        ["calendars", id, rest @ ..] => (Some((*id).to_owned()), rest),
        ["calendar", rest @ ..] => (None, rest),
        ["events", ..] => (None, rest),
        other => return Err(no_segment(other)),
    };
    let operation = match rest {
        [] => Operation::GetCalendar,
        ["events"] => Operation::ListEvents { filter: None },
        ["events", id] => Operation::GetEvent((*id).to_owned()),
        ["events", id, "cancel"] => Operation::CancelEvent((*id).to_owned()),
        ["events", id, "instances"] => Operation::ListInstances((*id).to_owned()),
        other => return Err(no_segment(other)),
    };
    Ok((calendar, operation))
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn no_method(method: &Method) -> Refusal {
    let message = format!("The HTTP method '{method}' is not supported by this sandbox here.");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", message)
}

fn no_segment(rest: &[&str]) -> Refusal {
    let segment = rest.first().copied().unwrap_or_default();
    Refusal::bad_request("BadRequest", format!("Resource not found for the segment '{segment}'."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn call(method: Method, path: &str) -> Call {
        Call::parse(&method, path, None).unwrap()
    }

    #[test]
    fn every_collection_of_events_takes_a_post() {
        for (path, calendar) in [
            ("/v1.0/users/A%40x.example/events", None),
            ("/beta/users/a@x.example/calendar/events", None),
            ("/v1.0/users/a@x.example/calendars/AAMk%2FB%3D/events", Some("AAMk/B=")),
        ] {
            let call = call(Method::POST, path);
            assert_eq!(call.operation, Operation::CreateEvent);
            assert_eq!(call.owner, Owner::Mailbox("a@x.example".into()));
            assert_eq!(call.calendar.as_deref(), calendar);
        }
        assert_eq!(call(Method::POST, "/v1.0/me/events").owner, Owner::Me);
    }

    #[test]
    fn a_filter_makes_a_get_a_lookup() {
        let filtered = Call::parse(&Method::GET, "/v1.0/me/events", Some("%24filter=a+eq+%27b%27&$top=2")).unwrap();
        assert_eq!(filtered.operation, Operation::ListEvents { filter: Some("a eq 'b'".into()) });
        assert_eq!((filtered.kind(), filtered.top), (RequestKind::Lookup, Some(2)));
        assert_eq!(call(Method::GET, "/v1.0/me/events").kind(), RequestKind::Other);
        assert_eq!(call(Method::GET, "/v1.0/me/events/AbC").operation, Operation::GetEvent("AbC".into()));
        assert_eq!(call(Method::GET, "/v1.0/me/calendar").operation, Operation::GetCalendar);
    }

    #[test]
    fn an_event_can_be_read_changed_deleted_and_cancelled() {
        for (method, path, kind) in [
            (Method::GET, "/v1.0/me/events/AbC", RequestKind::Get),
            (Method::PATCH, "/v1.0/me/calendar/events/AbC", RequestKind::Patch),
            (Method::DELETE, "/v1.0/me/calendars/c/events/AbC", RequestKind::Delete),
            (Method::POST, "/v1.0/me/events/AbC/cancel", RequestKind::Cancel),
        ] {
            let call = call(method, path);
            assert_eq!((call.kind(), call.event_id()), (kind, Some("AbC")));
            assert_eq!(call.changes().is_some(), kind != RequestKind::Get);
        }
        assert_eq!(Call::parse(&Method::GET, "/v1.0/me/events/AbC/cancel", None).unwrap_err().status, 405);
    }

    #[test]
    fn other_addresses_and_methods_are_refused() {
        for path in ["/", "/v2.0/me/events", "/v1.0/groups/x/events", "/v1.0/me/mailFolders", "/v1.0/users/a@x"] {
            assert_eq!(Call::parse(&Method::GET, path, None).unwrap_err().status, 400, "{path}");
        }
        assert_eq!(Call::parse(&Method::PATCH, "/v1.0/me/events", None).unwrap_err().status, 405);
        assert_eq!(Call::parse(&Method::POST, "/v1.0/me/calendar", None).unwrap_err().status, 405);
    }
}
