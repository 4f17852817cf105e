//! Create an event: posted into the calendar with its transaction id and the agent's marker, and found again by either.

use bytes::Bytes;
use serde_json::Value;

use super::{Doubt, Evidence, Identity, Making, Method, Of, Prepared, Request, Whose, is_online};
use crate::graph::address::GraphBase;
use crate::graph::purpose::Purpose;
use crate::graph::reply::Reply;
use crate::graph::wire::{EXTENDED, encode, marker};
use crate::job::{EventDraft, InvalidJob};

/// Of the draft, which may be large, only the bytes are kept.
pub(super) fn prepare(base: &GraphBase, draft: EventDraft) -> Result<Prepared, InvalidJob> {
    let body = Bytes::from(encode(&draft)?);
    let (recipients, is_online) = (draft.recipients(), is_online(&draft.extra));
    // Nobody asks when an event is over that mails nobody and has no key; finding that out costs the rules of its zone.
    let ends_at = if recipients > 0 || draft.has_key { draft.ends_at() } else { None };
    let identity = Identity { transaction_id: draft.transaction_id, subject: draft.subject };
    let url = base.events(draft.mailbox.as_deref(), draft.calendar_id.as_deref());
    let of = Of::Created(identity.clone());
    let request = Request { purpose: Purpose::Create, method: Method::Post, url, body: Some(body), if_match: None, of };
    let evidence = Evidence::Marker { mailbox: draft.mailbox, calendar: draft.calendar_id, identity };
    Ok(Prepared { evidence, making: Making::Ready { request: Box::new(request), recipients, ends_at, is_online } })
}

/// Only an answer that tells of this very event says that it was created.
pub(super) fn doubts(identity: &Identity, reply: &Reply) -> Option<Doubt> {
    match &reply.told {
        Some(told) if !is_same(told, &identity.transaction_id) => Some(Doubt::AnotherEvent),
        Some(_) => None,
        // Graph's word for a created event is 201, and it names the transaction id it was given. The subject may say so, too.
        None if reply.status != 201 || is_another(reply, identity) => Some(Doubt::NoEvent),
        None => None,
    }
}

fn is_another(reply: &Reply, identity: &Identity) -> bool {
    reply.subject.as_deref().is_some_and(|subject| subject != identity.subject.as_deref().unwrap_or_default())
}

pub(in crate::graph) fn whose(event: &Value, own: &str) -> Whose {
    let marker = marker(&event[EXTENDED]);
    let told = marker.or_else(|| event["transactionId"].as_str());
    match told {
        Some(told) if is_same(told, own) && marker.is_some() => Whose::Marked,
        Some(told) if is_same(told, own) => Whose::Same,
        Some(told) if told.to_lowercase() == own.to_lowercase() => Whose::Likeness,
        _ => Whose::Another,
    }
}

/// A UUID is the same one in capital letters. Of other ids Exchange tells the letters apart in some places and not in others.
pub(super) fn is_same(told: &str, own: &str) -> bool {
    told == own || (told.eq_ignore_ascii_case(own) && uuid::Uuid::try_parse(own).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::graph::wire::MARKER;
    use crate::job::JobInput;

    const OWN: &str = "0f7a2b1c-1d2e-4f30-8a4b-5c6d7e8f9a0b";

    #[test]
    fn an_event_is_the_jobs_by_its_marker_or_else_by_its_transaction_id_and_a_uuid_in_capital_letters_is_the_same() {
        let marked = |value: &str, id: &str| json!({ EXTENDED: [{ "id": id, "value": value }], "transactionId": "t" });
        let same = |value: &str| json!({ "transactionId": value });
        let capital = OWN.to_uppercase();
        assert_eq!(whose(&marked(OWN, MARKER), OWN), Whose::Marked);
        assert_eq!(whose(&marked(&capital, &MARKER.to_uppercase()), OWN), Whose::Marked);
        assert_eq!(whose(&same(&capital), OWN), Whose::Same);
        assert_eq!(whose(&marked("another", MARKER), "t"), Whose::Another);
        assert_eq!((whose(&same("T-1"), "t-1"), whose(&same("t-1"), "t-1")), (Whose::Likeness, Whose::Same));
        assert_eq!(whose(&json!({}), OWN), Whose::Another);
    }

    #[test]
    fn the_same_draft_gives_the_same_request_and_its_evidence_bears_the_transaction_id() {
        let input = JobInput {
            start_time: "2026-12-01T09:00".into(),
            end_time: "2026-12-01T10:00".into(),
            mailbox: "ann@contoso.com".into(),
            subject: "Review".into(),
            transaction_id: OWN.into(),
            ..JobInput::default()
        };
        let base = GraphBase::new("https://graph.microsoft.com", "v1.0");
        let prepared = || prepare(&base, EventDraft::from_input(&input, false).unwrap()).unwrap();
        let (one, other) = (prepared(), prepared());
        let (request, again) = (one.request(None).unwrap(), other.request(None).unwrap());
        assert_eq!((&request.body, &request.url), (&again.body, &again.url));
        assert_eq!(request.url, "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events");
        drop(request);
        let Evidence::Marker { mailbox, calendar, identity } = one.evidence else { panic!("{:?}", one.evidence) };
        assert_eq!((mailbox.as_deref(), calendar), (Some("ann@contoso.com"), None));
        assert_eq!(identity, Identity { transaction_id: OWN.into(), subject: Some("Review".into()) });
    }

    #[test]
    fn a_success_is_believed_where_it_names_the_transaction_id_or_is_graphs_word_for_a_created_event() {
        let identity = Identity { transaction_id: "t-1".into(), subject: Some("Review".into()) };
        let reply = |status, told: Option<&str>, subject: Option<&str>| Reply {
            status,
            told: told.map(str::to_owned),
            subject: subject.map(str::to_owned),
            ..Reply::default()
        };
        let code = |reply: Reply| doubts(&identity, &reply).map(|doubt| doubt.code());
        assert_eq!(code(reply(200, Some("t-1"), None)), None);
        assert_eq!(code(reply(201, None, Some("Review"))), None);
        assert_eq!(code(reply(201, None, None)), None);
        assert_eq!(code(reply(201, Some("t-2"), Some("Review"))), Some("another_event"));
        assert_eq!(code(reply(200, None, None)), Some("unproven"));
        assert_eq!(code(reply(201, None, Some("Lunch"))), Some("unproven"));
    }
}
