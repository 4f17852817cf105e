//! Answers that are lost, broken or bad: one event each all the same, or one explained failure.

use std::time::Duration;

use event_sender::sandbox::{AnswerBody, Fault, FaultOn, OptionsChange, SandboxOptions};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::bed::{Bed, Job, row, row_for, side_by_side};
use crate::recorder::Recorder;

/// The event is created, the answer does not say so, and it cannot be looked up: the same bytes are posted again until
/// one answer does.
async fn asked_again(fault: Fault) {
    let form = format!("{fault:?}");
    let mut bed = Bed::with_sandbox(SandboxOptions { lookup: false, ..SandboxOptions::default() }).await;
    bed.set("graph.request_timeout", "2s");
    let recorder = Recorder::before(bed.sandbox().address()).await;
    bed.set("graph.endpoint", &recorder.url);
    bed.sandbox().script(fault);
    let agent = bed.run();
    let attendees = r#"[{"name":"Ann","address":"ann@contoso.com","required":true}]"#;
    let full = row().with("subject", "Review").with("body", "Agenda").with("location", "Room 1");
    let extra = r#"{"showAs":"busy","categories":["b","a"],"importance":"high"}"#;
    let id = bed.insert(full.with("attendees", attendees).with("extra", extra)).await;
    let job = bed.until(id, "sent").await;

    let event = bed.event_of(id).await;
    assert_eq!(job.event_id.as_deref(), Some(event.id.as_str()), "{form}");
    assert_eq!((bed.events().len(), job.in_doubt, job.error_kind.as_deref()), (1, 0, None), "{form}");
    let requests = bed.creates(None);
    assert!(requests.len() >= 2, "{form}");
    assert_eq!(job.attempts, requests.len() as i64, "{form}");
    assert!(requests.iter().all(|request| request.transaction_id.as_deref() == Some(&job.transaction_id)), "{form}");
    let bodies = recorder.creates();
    assert_eq!(bodies.len(), requests.len(), "{form}");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{form}: the same bytes each time");
    let outcomes: Vec<String> = bed.attempts(id).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!((outcomes.first().unwrap().as_str(), outcomes.last().unwrap().as_str()), ("retry", "sent"), "{form}");
    let line = &agent.said("attempt failed")[0];
    assert_eq!((line["error_kind"].as_str(), line["outcome"].as_str()), (Some("unavailable"), Some("retry")), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_answer_is_lost_or_damaged_is_asked_for_again_with_the_same_bytes() {
    side_by_side(created_unsaid().map(asked_again)).await;
}

/// The event is created and the answer does not say so.
fn created_unsaid() -> [Fault; 9] {
    [
        Fault::lost_reply(),
        Fault::reset().applied(),
        Fault::hang(Duration::from_secs(20)).applied(),
        Fault::truncated(),
        Fault::html(),
        Fault::no_id(),
        Fault::answer(500, "ErrorInternalServerError").applied(),
        Fault::answer(504, "UnknownError").body(AnswerBody::None).applied(),
        Fault::answer(200, "").body(AnswerBody::Html).applied(),
    ]
}

/// The same where the transaction id is not honoured: the event is found by its marker, and nothing is posted again.
async fn found_again(fault: Fault) {
    let form = format!("{fault:?}");
    let mut bed = Bed::with_sandbox(SandboxOptions { deduplicate: false, ..SandboxOptions::default() }).await;
    bed.set("graph.request_timeout", "2s");
    bed.sandbox().script(fault);
    let _agent = bed.run();
    let id = bed.insert(row().with("subject", "Review")).await;
    let job = bed.until(id, "sent").await;
    assert_eq!(job.event_id, Some(bed.event_of(id).await.id), "{form}");
    assert_eq!((job.attempts, job.in_doubt, job.error_kind.as_deref()), (2, 0, None), "{form}");
    assert_eq!((bed.creates(None).len(), bed.events().len()), (1, 1), "{form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_answer_is_lost_or_damaged_is_looked_up_before_it_is_asked_for_again() {
    side_by_side(created_unsaid().map(found_again)).await;
}

/// A lookup before the repeat that is refused, or answered unclearly for as long as may be, does not hold the job up.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lookup_that_never_works_leaves_it_to_the_transaction_id() {
    for (fault, attempts) in [
        (Fault::answer(403, "ErrorAccessDenied"), 2),
        (Fault::answer(500, "ErrorInternalServerError"), 4),
        (Fault::reset(), 4),
    ] {
        let bed = Bed::new().await;
        bed.sandbox().script(fault.on(FaultOn::Lookup).times(0));
        bed.sandbox().script(Fault::lost_reply());
        let _agent = bed.run();
        let id = bed.insert(row()).await;
        let job = bed.until(id, "sent").await;
        assert_eq!((job.attempts, bed.creates(None).len(), bed.events().len()), (attempts, 2, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lookup_that_is_throttled_is_made_again_after_its_pause() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "TooManyRequests").retry_after("1").on(FaultOn::Lookup));
    bed.sandbox().script(Fault::answer(503, "ErrorServerBusy").retry_after("1").on(FaultOn::Lookup));
    bed.sandbox().script(Fault::lost_reply());
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    let counters = bed.sandbox().counters();
    assert_eq!((job.attempts, counters.create_requests, counters.lookup_requests), (3, 1, 3));
    assert_eq!(counters.retry_after_violations, 0);
}

/// While a mailbox is paused it is not asked anything: a job whose last attempt met that is looked up afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_ran_out_of_attempts_at_a_paused_mailbox_is_looked_up_after_the_pause() {
    for (created, lookup, state) in [(true, true, "sent"), (false, true, "failed"), (true, false, "failed")] {
        let mut bed = Bed::with_sandbox(SandboxOptions { lookup, ..SandboxOptions::default() }).await;
        bed.set("delivery.max_attempts", "1");
        let fault = Fault::answer(503, "ErrorServerBusy").retry_after("1");
        bed.sandbox().script(if created { fault.applied() } else { fault });
        let _agent = bed.run();
        let id = bed.insert(row()).await;
        let job = bed.until(id, state).await;
        let counters = bed.sandbox().counters();
        assert_eq!((job.attempts, counters.create_requests, counters.lookup_requests), (1, 1, 1), "{job:?}");
        assert_eq!(counters.retry_after_violations, 0);
        if state == "failed" {
            assert_eq!((job.error_kind.as_deref(), job.in_doubt), (Some("exhausted"), 1));
            assert!(job.message().contains("1 attempt") && job.message().contains("may exist"), "{}", job.message());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_lost_answers_in_a_row_still_make_one_event_per_job() {
    let mut bed = Bed::with_sandbox(SandboxOptions { lookup: false, ..SandboxOptions::default() }).await;
    bed.set("delivery.max_attempts", "50");
    bed.sandbox().script(Fault::lost_reply().times(20));
    let _agent = bed.run();
    let ids = bed.insert_all((0..10).map(|n| row_for(&format!("user{}@contoso.com", n % 3)))).await;
    bed.until_count(ids.len(), "sent").await;
    bed.assert_one_event_each().await;
    assert_eq!(bed.creates(None).len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_fault_that_passes_costs_one_attempt() {
    let bed = Bed::new().await;
    let faults = [(500, "ErrorInternalServerError"), (502, ""), (504, "UnknownError"), (408, ""), (599, "Whatever")];
    for (status, code) in faults {
        bed.sandbox().script(Fault::answer(status, code).mailbox(&format!("u{status}@contoso.com")));
    }
    let _agent = bed.run();
    let rows = faults.iter().map(|(status, _)| row_for(&format!("u{status}@contoso.com")));
    let ids = bed.insert_all(rows).await;
    bed.until_count(ids.len(), "sent").await;
    for (id, (status, _)) in ids.iter().zip(faults) {
        assert_eq!(bed.job(*id).await.attempts, 2, "{status}");
        let history: Vec<Option<i64>> =
            bed.attempts(*id).await.into_iter().map(|attempt| attempt.http_status).collect();
        assert_eq!(history, [Some(i64::from(status)), Some(201)]);
    }
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_save_conflict_the_event_is_looked_up_before_it_is_asked_for_again() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(409, "IrresolvableConflict").mailbox("absent@contoso.com"));
    bed.sandbox().script(Fault::answer(409, "ConcurrentItemSave").mailbox("present@contoso.com").applied());
    bed.sandbox().script(Fault::answer(503, "ConcurrentItemSave").mailbox("there@contoso.com").applied());
    let _agent = bed.run();
    let rows = ["absent@contoso.com", "present@contoso.com", "there@contoso.com"].map(row_for);
    let ids = bed.insert_all(rows).await;
    bed.until_count(3, "sent").await;
    bed.assert_one_event_each().await;
    let attempts: Vec<i64> = bed.jobs().await.iter().map(|job| job.attempts).collect();
    assert_eq!((ids.len(), attempts), (3, vec![2, 1, 1]));
    // The absent one is looked for at once, and again before it is asked for again.
    assert_eq!(bed.sandbox().counters().lookup_requests, 4);
}

const INVALID_RECIPIENT: &str = r#"[{"address":"invalid-recipient@contoso.com","required":true}]"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_refused_for_its_recipients_but_created_all_the_same_is_found_and_sent() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let id = bed.insert(row().with("attendees", INVALID_RECIPIENT)).await;
    let job = bed.until(id, "sent").await;
    assert_eq!(job.event_id, Some(bed.event_of(id).await.id));
    assert_eq!((job.in_doubt, job.attempts), (0, 1));
    let counters = bed.sandbox().counters();
    assert_eq!((counters.create_requests, counters.lookup_requests), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_event_that_cannot_be_found_stays_in_doubt_and_says_so() {
    let bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { lookup: Some(false), ..OptionsChange::default() });
    let _agent = bed.run();
    let id = bed.insert(row().with("attendees", INVALID_RECIPIENT)).await;
    let job = bed.until(id, "failed").await;
    assert_eq!((job.end(), job.in_doubt), (("failed", Some("rejected")), 1));
    assert!(job.message().contains("may exist"), "{}", job.message());
    assert!(bed.try_sql("DELETE FROM jobs").await.is_err(), "a doubtful job is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lookup_that_fails_decides_nothing_and_is_made_again() {
    for fault in [Fault::answer(503, "serviceNotAvailable"), Fault::reset(), Fault::answer(403, "ErrorAccessDenied")] {
        let bed = Bed::new().await;
        bed.sandbox().script(fault.on(FaultOn::Lookup));
        let _agent = bed.run();
        let id = bed.insert(row().with("attendees", INVALID_RECIPIENT)).await;
        let job = bed.until(id, "sent").await;
        assert_eq!((job.event_id, job.in_doubt), (Some(bed.event_of(id).await.id), 0));
        assert_eq!(bed.sandbox().counters().lookup_requests, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stop_in_the_middle_of_a_lookup_makes_no_job_fail() {
    let mut bed = Bed::new().await;
    bed.set("delivery.shutdown_grace", "500ms");
    bed.sandbox().script(Fault::hang(Duration::from_secs(600)).on(FaultOn::Lookup));
    let agent = bed.run();
    let id = bed.insert(row().with("attendees", INVALID_RECIPIENT)).await;
    let asked = async || (bed.sandbox().counters().lookup_requests == 1).then_some(());
    bed.wait("the lookup is under way", asked).await;
    agent.stop().await.expect(0);
    let job = bed.job(id).await;
    assert_eq!((job.state.as_str(), job.in_doubt), ("pending", 1), "{job:?}");
    let _agent = bed.run();
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_created_in_a_suspended_mailbox_is_found_and_sent() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let id = bed.insert(row_for("suspended@contoso.com")).await;
    let job = bed.until(id, "sent").await;
    assert_eq!(job.event_id, Some(bed.event_of(id).await.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_next_jobs_of_a_suspended_mailbox_are_found_and_sent_too() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    for _ in 0..3 {
        let id = bed.insert(row_for("suspended@contoso.com")).await;
        assert_eq!(bed.until(id, "sent").await.claims, 1);
    }
    assert!(bed.pauses().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_that_cannot_be_read_is_looked_into() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::html());
    let _agent = bed.run();
    let id = bed.insert(row().with("attendees", INVALID_RECIPIENT)).await;
    let job = bed.until(id, "sent").await;
    assert_eq!(job.event_id, Some(bed.event_of(id).await.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_save_conflict_that_asks_for_patience_is_given_it() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(503, "ConcurrentItemSave").retry_after("1").applied());
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
    let counters = bed.sandbox().counters();
    assert_eq!((counters.retry_after_violations, counters.create_requests, counters.lookup_requests), (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_duplicate_answer_is_resolved_by_looking_the_event_up() {
    for status in [400, 409] {
        let bed = Bed::new().await;
        bed.sandbox().script(Fault::lost_reply());
        bed.sandbox().script(Fault::answer(status, "ErrorDuplicateTransactionId"));
        let _agent = bed.run();
        let id = bed.insert(row()).await;
        let job = bed.until(id, "sent").await;
        assert_eq!((job.event_id, job.in_doubt, job.attempts), (Some(bed.event_of(id).await.id), 0, 2), "{status}");
        assert_eq!(bed.sandbox().counters().lookup_requests, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_duplicate_answer_without_an_event_to_be_found_is_an_explained_failure() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(400, "ErrorDuplicateTransactionId").message("already been used"));
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "failed").await;
    assert_eq!(job.end(), ("failed", Some("duplicate_transaction")));
    assert_eq!(job.error_code.as_deref(), Some("ErrorDuplicateTransactionId"));
    assert!(!job.message().is_empty());
    assert_eq!((bed.events().len(), bed.creates(None).len()), (0, 1));
}

/// Posts an event as some other program would: with this transaction id, and without our marker.
async fn posted_by_another_program(bed: &Bed, transaction_id: &str, subject: &str) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = bed.sandbox().url();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", event_sender::sandbox::CLIENT_ID),
        ("client_secret", event_sender::sandbox::CLIENT_SECRET),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let tenant = event_sender::sandbox::TENANT_ID;
    let token = http.post(format!("{url}/{tenant}/oauth2/v2.0/token")).form(&form).send().await.unwrap();
    let token: Value = serde_json::from_slice(&token.bytes().await.unwrap()).unwrap();
    let time = serde_json::json!({ "dateTime": "2027-01-01T09:00:00", "timeZone": "UTC" });
    let event = serde_json::json!({ "subject": subject, "start": time, "end": time, "transactionId": transaction_id });
    let posted = http
        .post(format!("{url}/v1.0/users/calendar@contoso.com/events"))
        .bearer_auth(token["access_token"].as_str().unwrap())
        .header("content-type", "application/json")
        .header("prefer", "IdType=\"ImmutableId\"")
        .body(event.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_existing_event_that_graph_names_is_taken_only_if_it_is_the_jobs() {
    for (subject, end) in [("Review", ("sent", None)), ("Another", ("failed", Some("duplicate_transaction")))] {
        let bed = Bed::new().await;
        let named = OptionsChange { existing_event_id: Some(true), ..OptionsChange::default() };
        bed.sandbox().configure(named);
        posted_by_another_program(&bed, "tid-1", "Review").await;
        let _agent = bed.run();
        let job = row_for("calendar@contoso.com").with("transaction_id", "tid-1").with("subject", subject);
        let id = bed.insert(job).await;
        let job = bed.until(id, end.0).await;
        assert_eq!(job.end(), end);
        let event = bed.events().remove(0);
        assert_eq!(job.event_id, (end.0 == "sent").then_some(event.id));
        assert_eq!(bed.events().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_duplicate_of_a_doubtful_job_that_is_not_found_yet_is_asked_again() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::lost_reply());
    bed.sandbox().script(Fault::answer(400, "ErrorDuplicateTransactionId"));
    bed.sandbox().configure(OptionsChange { lookup: Some(false), ..OptionsChange::default() });
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    assert_eq!((job.event_id, job.attempts), (Some(bed.event_of(id).await.id), 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_redirect_is_not_followed_and_no_token_goes_anywhere_else() {
    let bed = Bed::new().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    bed.sandbox().script(Fault::redirect(&format!("http://{}/v1.0/steal", elsewhere.local_addr().unwrap())).times(0));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until_back(id, "unavailable").await;
    assert!(!agent.said("mailbox paused").is_empty() || !agent.said("sending paused").is_empty());
    let visitor = tokio::time::timeout(Duration::from_millis(300), elsewhere.accept()).await;
    assert!(visitor.is_err(), "somebody came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_oversized_answer_fills_no_memory_and_the_job_is_sent_once() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::oversized(128));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    bed.assert_one_event_each().await;
    // Peak memory, where the system tells it.
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
        assert!(kilobytes < 100 * 1024, "{kilobytes} kB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fault_that_does_not_pass_exhausts_the_attempts_and_says_so() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_attempts", "3");
    bed.sandbox().script(Fault::answer(500, "ErrorInternalServerError").message("It is broken.").times(0));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "failed").await;
    assert_eq!((job.end(), job.attempts, job.http_status), (("failed", Some("exhausted")), 3, Some(500)));
    assert!(job.message().contains('3') && job.message().contains("It is broken."), "{}", job.message());
    assert!(job.finished_at.is_some() && job.event_id.is_none() && job.request_id.is_some());
    let outcomes: Vec<String> = bed.attempts(id).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, ["retry", "retry", "failed"]);
    let line = bed.until_said(&agent, "job failed").await;
    assert_eq!((line["error_kind"].as_str(), line["attempt"].as_u64()), (Some("exhausted"), Some(3)), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_exhausted_job_whose_event_exists_is_found_and_sent() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_attempts", "2");
    bed.sandbox().script(Fault::lost_reply().times(0));
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    assert_eq!((job.event_id, job.in_doubt), (Some(bed.event_of(id).await.id), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_given_up_when_its_time_is_over() {
    let mut bed = Bed::new().await;
    bed.set("delivery.give_up_after", "500ms");
    bed.set("delivery.max_attempts", "1000");
    bed.sandbox().script(Fault::answer(502, "").times(0));
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "failed").await;
    assert_eq!(job.end(), ("failed", Some("exhausted")));
    assert!(job.attempts < 1000 && job.message().contains("iven up"), "{job:?}");
}

/// One job for a mailbox that is in this mood; healthy mailboxes go on.
async fn mood(mailbox: &str, state: &str, kind: &str) -> (Bed, Job) {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let id = bed.insert(row_for(mailbox)).await;
    let look = async || Some(bed.job(id).await).filter(|job| job.end() == (state, Some(kind)));
    let job = bed.wait(&format!("{mailbox} is {state} {kind}"), look).await;
    let healthy = bed.insert(row_for("healthy@contoso.com")).await;
    bed.until(healthy, "sent").await;
    (bed, job)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_for_a_mailbox_that_does_not_exist_fails() {
    let (_bed, job) = mood("nobody@contoso.com", "failed", "not_found").await;
    assert_eq!((job.http_status, job.error_code.as_deref()), (Some(404), Some("ErrorInvalidUser")));
    assert!(!job.message().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mailbox_that_is_denied_full_locked_or_not_there_yet_waits_and_spends_nothing() {
    for (mailbox, kind) in [
        ("denied@contoso.com", "denied"),
        ("unlicensed@contoso.com", "not_found"),
        ("full@contoso.com", "unavailable"),
        ("full413@contoso.com", "unavailable"),
        ("full507@contoso.com", "unavailable"),
        ("locked@contoso.com", "unavailable"),
    ] {
        let (bed, job) = mood(mailbox, "pending", kind).await;
        assert_eq!((job.attempts, job.in_doubt), (0, 0), "{mailbox}");
        assert!(job.http_status.is_some() && !job.message().is_empty(), "{job:?}");
        let pauses = bed.pauses().await;
        assert_eq!((pauses.len(), pauses[0].mailbox.as_str()), (1, mailbox));
        assert!(!pauses[0].reason.is_empty());
        assert_eq!(bed.creates(Some(mailbox)).len(), 1, "{mailbox}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_calendar_fails_its_job_and_not_the_mailbox() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let missing = bed.insert(row().with("calendar_id", "missing-calendar")).await;
    assert_eq!(bed.until(missing, "failed").await.end(), ("failed", Some("not_found")));
    let other = bed.insert(row()).await;
    bed.until(other, "sent").await;
    assert!(bed.pauses().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_graph_will_never_take_fails_at_once_with_graphs_words() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let id = bed.insert(row().with("extra", r#"{"noSuchProperty":1}"#)).await;
    let job = bed.until(id, "failed").await;
    assert_eq!((job.end(), job.attempts, job.in_doubt), (("failed", Some("rejected")), 1, 0));
    assert!(job.message().contains("noSuchProperty"), "{}", job.message());
    let line = bed.until_said(&agent, "job failed").await;
    assert_eq!(line["level"], "ERROR");
    let of_the_event = |value: &Value| value.as_str().is_some_and(|text| text.contains("noSuchProperty"));
    assert!(!line.as_object().unwrap().values().any(of_the_event), "{line}");
}
