//! Every fault of the sandbox on the way of a change: on its lookup and on its request, once each. Whatever answer was lost or
//! unclear, the change is made once and mailed once; what was refused is failed, and nobody hears of it.

use std::time::Duration;

use event_sender::sandbox::{AnswerBody, Fault, FaultOn, MailKind};

use crate::bed::{Bed, Row, row_for};

const GUEST: &str = r#"[{"address":"guest@contoso.com"}]"#;
const ANOTHER: &str = r#"[{"address":"guest@contoso.com"},{"address":"another@contoso.com"}]"#;

/// What is done to the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Subject,
    Attendees,
    End,
}

impl Change {
    const ALL: [Change; 3] = [Change::Subject, Change::Attendees, Change::End];

    fn row(self, key: &str) -> Row {
        let row = Row(Vec::new()).with("event_key", key);
        match self {
            Change::Subject => row.with("operation", "update").with("subject", "Moved"),
            Change::Attendees => row.with("operation", "update").with("attendees", ANOTHER),
            Change::End => row.with("operation", "delete").with("body", "Off."),
        }
    }

    fn request(self) -> FaultOn {
        match self {
            Change::Subject | Change::Attendees => FaultOn::Patch,
            Change::End => FaultOn::Cancel,
        }
    }

    /// The mails of the change, once it is made.
    fn mails(self) -> (MailKind, usize) {
        match self {
            Change::Subject => (MailKind::Update, 1),
            Change::Attendees => (MailKind::Invitation, 1),
            Change::End => (MailKind::Cancellation, 1),
        }
    }
}

/// Faults after which the change is made all the same, or by the next attempt. Not those that make a mailbox or the agent pause
/// for a minute: a portal's page and refused tokens strike in the storms.
fn passing() -> Vec<Fault> {
    vec![
        Fault::lost_reply(),
        Fault::reset(),
        Fault::reset().applied(),
        Fault::hang(Duration::from_secs(600)),
        Fault::hang(Duration::from_secs(600)).applied(),
        Fault::answer(504, "UnknownError").body(AnswerBody::None).applied(),
        Fault::answer(504, "").body(AnswerBody::None),
        Fault::answer(500, "ErrorInternalServerError"),
        Fault::answer(500, "ErrorInternalServerError").applied(),
        Fault::answer(503, "ErrorServerBusy").retry_after("1"),
        Fault::answer(503, "ErrorServerBusy").retry_after("1").applied(),
        Fault::answer(429, "ApplicationThrottled").retry_after("1"),
        Fault::answer(409, "ErrorIrresolvableConflict"),
        Fault::answer(412, "ErrorIrresolvableConflict"),
        Fault::slow(Duration::from_millis(300)),
    ]
}

/// Faults that are an answer: refused, and why.
fn final_ones(change: Change) -> Vec<(Fault, &'static str)> {
    let gone = Fault::answer(404, "ErrorItemNotFound");
    let mut faults = vec![(Fault::answer(400, "ErrorPropertyValidationFailure"), "rejected")];
    match change {
        Change::End => {
            let not_ours = Fault::answer(400, "ErrorInvalidRequest")
                .message("Your request can't be completed. You need to be an organizer to cancel a meeting.");
            faults.push((not_ours, "target"));
        }
        Change::Subject | Change::Attendees => faults.push((gone, "target")),
    }
    faults
}

struct Case {
    change: Change,
    fault: Fault,
    key: String,
    /// Kind of the failure; none if the change must be made.
    failure: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for change in Change::ALL {
        let passing = passing().into_iter().flat_map(|fault| {
            // A lookup that is carried out changes nothing: the same fault on both.
            [fault.clone().on(change.request()), fault.on(FaultOn::Get)]
        });
        let passing = passing.map(|fault| (fault, None));
        let refused = final_ones(change).into_iter().map(|(fault, kind)| (fault.on(change.request()), Some(kind)));
        for (fault, failure) in passing.chain(refused) {
            let key = format!("case{}", cases.len());
            cases.push(Case { change, fault, key, failure });
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_strikes_a_change_it_is_made_and_mailed_once_or_refused_and_told_to_nobody() {
    let mut bed = Bed::new().await;
    bed.set("graph.request_timeout", "2s");
    let cases = cases();
    let mailbox = |case: &Case| format!("{}@contoso.com", case.key);
    let create = |case: &Case| {
        row_for(&mailbox(case)).with("event_key", &case.key).with("subject", "Visit").with("attendees", GUEST)
    };
    bed.insert_all(cases.iter().map(create)).await;
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    for case in &cases {
        bed.sandbox().script(case.fault.clone().mailbox(&mailbox(case)));
    }
    let changes = bed.insert_all(cases.iter().map(|case| case.change.row(&case.key))).await;
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    let (mut wrong, mails) = (Vec::new(), bed.sandbox().mails());
    for (case, id) in cases.iter().zip(changes) {
        let job = bed.job(id).await;
        let (kind, wanted) = case.change.mails();
        let mailed = mails.iter().filter(|mail| mail.mailbox == mailbox(case)).collect::<Vec<_>>();
        let of_change = mailed.iter().filter(|mail| {
            mail.kind == kind && !(kind == MailKind::Invitation && mail.attendee == "guest@contoso.com")
        });
        let of_change = of_change.count();
        let right = match case.failure {
            None => job.end() == ("sent", None) && of_change == wanted && mailed.len() == wanted + 1,
            Some(kind) => job.end() == ("failed", Some(kind)) && job.in_doubt == 0 && mailed.len() == 1,
        };
        if !right {
            wrong.push(format!("{:?} {:?}: {job:?}, mailed {mailed:?}", case.change, case.fault));
        }
    }
    let struck = bed.sandbox().requests().iter().filter(|request| request.fault.is_some()).count();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
    assert!(struck >= cases.len(), "{struck} of {} faults struck", cases.len());
}
