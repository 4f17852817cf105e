//! URLs. A mailbox and a calendar id are one encoded path segment each, whatever they contain.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use super::wire::{MARKER, REVISION};

/// The properties of an event that a change depends on.
const LOOKED_AT: &str = "id,subject,start,end,location,attendees,isOrganizer,isCancelled,type,isAllDay,isOnlineMeeting,\
    onlineMeeting,webLink,iCalUId,createdDateTime,transactionId";

/// Everything but what RFC 3986 leaves alone and `@`, which admins expect to see in a log of a proxy.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Where Graph is: `https://graph.microsoft.com/v1.0`, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphBase(String);

impl GraphBase {
    /// From `graph.endpoint` and `graph.api_version`.
    pub fn new(endpoint: &str, api_version: &str) -> Self {
        Self(format!("{}/{api_version}", endpoint.trim_end_matches('/')))
    }

    /// The calendar's events: where a job is posted to, and where its event is looked for.
    pub(super) fn events(&self, mailbox: Option<&str>, calendar: Option<&str>) -> String {
        let user = self.user(mailbox);
        match calendar {
            Some(calendar) => format!("{user}/calendars/{}/events", segment(calendar)),
            None => format!("{user}/events"),
        }
    }

    /// The events of a calendar that bear the marker of this transaction id. None stands for the default: the user that
    /// signed in, the mailbox's own calendar. What proves whose event each is comes with it: a filter alone shows nothing of
    /// what it filtered by.
    pub fn marked(&self, mailbox: Option<&str>, calendar: Option<&str>, transaction_id: &str) -> String {
        let value = transaction_id.replace('\'', "''");
        let filter = format!("singleValueExtendedProperties/Any(ep: ep/id eq '{MARKER}' and ep/value eq '{value}')");
        let events = self.events(mailbox, calendar);
        format!("{events}?$select=id,createdDateTime,transactionId&$expand={}&$filter={}", marker(), segment(&filter))
    }

    /// One event of the mailbox, to be changed.
    pub(super) fn one(&self, mailbox: Option<&str>, event_id: &str) -> String {
        format!("{}/events/{}", self.user(mailbox), segment(event_id))
    }

    /// The same, to be cancelled.
    pub(super) fn cancel(&self, mailbox: Option<&str>, event_id: &str) -> String {
        format!("{}/cancel", self.one(mailbox, event_id))
    }

    /// The same, to be looked at: all that every change depends on, and what `also` is asked for.
    pub fn looked_at(&self, mailbox: Option<&str>, event_id: &str, also: &[&str]) -> String {
        let also: String = also.iter().flat_map(|name| [",", name]).collect();
        let filter = format!("singleValueExtendedProperties($filter=id eq '{MARKER}' or id eq '{REVISION}')");
        format!("{}?$select={LOOKED_AT}{also}&$expand={}", self.one(mailbox, event_id), segment(&filter))
    }

    /// The same, for the link of its online meeting.
    pub(super) fn meeting(&self, mailbox: Option<&str>, event_id: &str) -> String {
        format!("{}?$select=id,onlineMeeting", self.one(mailbox, event_id))
    }

    /// The events of a calendar that are this one in everybody's calendar.
    pub(super) fn of_uid(&self, mailbox: Option<&str>, calendar: Option<&str>, uid: &str) -> String {
        let filter = segment(&format!("iCalUId eq '{}'", uid.replace('\'', "''")));
        format!("{}?$select=id,iCalUId&$filter={filter}", self.events(mailbox, calendar))
    }

    /// One event of the mailbox, with what proves whose it is.
    pub(super) fn event(&self, mailbox: Option<&str>, event_id: &str) -> String {
        let event = self.one(mailbox, event_id);
        format!("{event}?$select=id,subject,transactionId&$expand={}", marker())
    }

    /// Where the rest of an answer of `url` is; none if that is not an address of the same server. The token goes nowhere else.
    pub(super) fn next(url: &str, link: &str) -> Option<String> {
        let asked = Url::parse(url).ok()?;
        let next = asked.join(Some(link.trim()).filter(|link| !link.is_empty())?).ok()?;
        let plain = next.username().is_empty() && next.password().is_none();
        (plain && next.origin() == asked.origin()).then(|| next.into())
    }

    /// The default calendar, the cheapest thing to read that `Calendars.ReadWrite` allows.
    pub(super) fn calendar(&self, mailbox: Option<&str>) -> String {
        format!("{}/calendar", self.user(mailbox))
    }

    /// The application registered under this client id.
    pub(super) fn application(&self, client_id: &str) -> String {
        format!("{}/applications(appId='{}')", self.0, segment(client_id))
    }

    fn user(&self, mailbox: Option<&str>) -> String {
        match mailbox {
            Some(mailbox) => format!("{}/users/{}", self.0, segment(mailbox)),
            None => format!("{}/me", self.0),
        }
    }
}

/// `$expand` of the marker.
fn marker() -> String {
    segment(&format!("singleValueExtendedProperties($filter=id eq '{MARKER}')"))
}

/// Percent-encodes everything a path or query could trip over.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn users_calendars_and_me_have_their_paths() {
        let base = GraphBase::new("https://graph.microsoft.com/", "v1.0");
        assert_eq!(
            base.events(Some("ann@contoso.com"), None),
            "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events"
        );
        assert_eq!(
            base.events(Some("ann@contoso.com"), Some("AA/b+c=")),
            "https://graph.microsoft.com/v1.0/users/ann@contoso.com/calendars/AA%2Fb%2Bc%3D/events"
        );
        assert_eq!(base.events(None, None), "https://graph.microsoft.com/v1.0/me/events");
    }

    #[test]
    fn a_mailbox_stays_one_segment_whatever_it_contains() {
        let base = GraphBase::new("https://graph.microsoft.com", "v1.0");
        for nasty in ["../../me", "a?b#c", "a%2fb", "a/b", "ü@contoso.com", "a\\b", "...", "%2e%2e"] {
            let url = reqwest::Url::parse(&base.events(Some(nasty), None)).unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            assert_eq!(
                (segments.len(), segments[0], segments[1], segments[3]),
                (4, "v1.0", "users", "events"),
                "{nasty}"
            );
            assert!(url.query().is_none() && url.fragment().is_none());
            let decoded = percent_encoding::percent_decode_str(segments[2]).decode_utf8().unwrap();
            assert_eq!(decoded, nasty);
        }
    }

    #[test]
    fn the_rest_of_an_answer_is_asked_of_the_same_server_only() {
        let asked = "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events?$filter=x";
        let next = |link: &str| GraphBase::next(asked, link);
        let own = "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events?$filter=x&$skip=10";
        assert_eq!(next(own).as_deref(), Some(own));
        assert_eq!(
            next("https://GRAPH.microsoft.com:443/v1.0/me").as_deref(),
            Some("https://graph.microsoft.com/v1.0/me")
        );
        assert_eq!(
            next("/v1.0/me/events?$skip=1").as_deref(),
            Some("https://graph.microsoft.com/v1.0/me/events?$skip=1")
        );
        for link in [
            "https://graph.microsoft.com.evil.example/v1.0/me",
            "http://graph.microsoft.com/v1.0/me",
            "https://graph.microsoft.com:8443/v1.0/me",
            "https://graph.microsoft.com@evil.example/v1.0/me",
            "https://user:word@graph.microsoft.com/v1.0/me",
            "//evil.example/v1.0/me",
            "file:///etc/passwd",
            " ",
            "",
            "https://",
        ] {
            assert_eq!(next(link), None, "{link}");
        }
    }

    fn parts(url: &str) -> Vec<String> {
        let url = reqwest::Url::parse(url).unwrap();
        assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("graph.microsoft.com"), None));
        assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty(), "{url}");
        let segments = url.path_segments().unwrap();
        segments.map(|one| percent_encoding::percent_decode_str(one).decode_utf8().unwrap().into_owned()).collect()
    }

    proptest::proptest! {
        /// Two of them side by side keep to their places, whatever they contain.
        #[test]
        fn mailbox_calendar_and_event_are_one_segment_each(mailbox in name(), calendar in name(), event in name()) {
            let base = GraphBase::new("https://graph.microsoft.com", "v1.0");
            let events = base.events(Some(&mailbox), Some(&calendar));
            assert!(events.bytes().all(|byte| byte.is_ascii_graphic()), "nothing a header could break on: {events}");
            assert_eq!(parts(&events), ["v1.0", "users", &mailbox, "calendars", &calendar, "events"]);
            let one = base.event(Some(&mailbox), &event);
            let (path, _) = one.split_once('?').unwrap();
            assert_eq!(parts(path), ["v1.0", "users", &mailbox, "events", &event]);
            assert_eq!(parts(&base.calendar(Some(&mailbox))), ["v1.0", "users", &mailbox, "calendar"]);
        }
    }

    /// Any text, mostly of what means something in an address. The draft refuses the two that mean a place.
    fn name() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        let anything = proptest::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter);
        prop_oneof![anything, "[./\\\\?#%&;:@ \r\n\t\0='+$a2fFüé]{1,20}"]
            .prop_filter("no place", |name| !matches!(name.as_str(), "." | ".."))
    }
}
