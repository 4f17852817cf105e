//! Answers that are not the ones to the requests: of another event, of another request, of somebody in between, in part, or
//! none at all over a connection that was closed long ago. None of them is believed, and each row is one event all the same,
//! also where only the marker can tell.

use std::collections::HashSet;
use std::time::Duration;

use event_sender::sandbox::{AnswerBody, Fault, FaultOn, RequestKind, SandboxOptions};
use tokio::net::TcpListener;

use crate::bed::{Bed, Job, row, row_for, side_by_side};

/// The transaction id makes no difference: a repeat makes a second event.
fn marker_only() -> SandboxOptions {
    SandboxOptions { deduplicate: false, ..SandboxOptions::default() }
}

fn lookups(bed: &Bed) -> u64 {
    bed.sandbox().counters().lookup_requests
}

/// Each job has its own event, by the marker that was sent with it, and no other.
async fn each_has_its_own(bed: &Bed) {
    bed.assert_one_event_each().await;
    let events = bed.events();
    for job in bed.jobs().await {
        let own = events.iter().find(|event| event.transaction_id.as_deref() == Some(&job.transaction_id)).unwrap();
        assert_eq!(job.event_id.as_deref(), Some(own.id.as_str()), "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_another_event_or_to_another_request_gives_no_row_its_id() {
    side_by_side([Fault::another_event(), Fault::another_answer()].map(async |fault| {
        let bed = Bed::with_sandbox(marker_only()).await;
        bed.sandbox().script(fault.after(3).times(12));
        let _agent = bed.run();
        let ids = bed.insert_all((0..40).map(|n| row_for(&format!("user{}@contoso.com", n % 5)))).await;
        bed.until_count(ids.len(), "sent").await;
        each_has_its_own(&bed).await;
        assert_eq!((bed.creates(None).len(), lookups(&bed)), (40, 12));
    }))
    .await;
}

/// A row whose answer was lost, and these faults of the lookup after it. Where nothing can tell, nothing is sent again
/// before an answer to a lookup can be believed.
async fn looked_up(faults: Vec<Fault>, attempts: i64) {
    let form = format!("{faults:?}");
    let bed = Bed::with_sandbox(marker_only()).await;
    bed.sandbox().script(Fault::lost_reply());
    faults.into_iter().for_each(|fault| bed.sandbox().script(fault.on(FaultOn::Lookup)));
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    each_has_its_own(&bed).await;
    assert_eq!((bed.creates(None).len(), job.attempts, job.in_doubt), (1, attempts, 0), "{form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookups_answer_is_read_before_it_is_believed() {
    let page = || Fault::next_page();
    side_by_side([
        looked_up(vec![Fault::another_event()], 3),
        looked_up(vec![Fault::another_answer()], 3),
        looked_up(vec![Fault::unnamed()], 3),
        looked_up(vec![Fault::status(206)], 3),
        looked_up(vec![Fault::status(202)], 3),
        looked_up(vec![Fault::html()], 3),
    ])
    .await;
    // The rest of an answer is part of it.
    side_by_side([
        looked_up(vec![page()], 2),
        looked_up(vec![page().times(5)], 2),
        looked_up(vec![page().times(9)], 3),
    ])
    .await;
}

/// A server that always has one more page is not asked for ever, and a search that never ends proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pages_without_end_are_left_and_prove_nothing() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::lost_reply());
    bed.sandbox().script(Fault::next_page().times(0));
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    // Three attempts are spent on lookups, as on all that are answered unclearly; then the transaction id must hold.
    assert_eq!((job.attempts, bed.creates(None).len(), lookups(&bed)), (4, 2, 3 * 8));
    each_has_its_own(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_rest_of_an_answer_is_fetched_from_nowhere_else() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bed = Bed::with_sandbox(marker_only()).await;
    bed.sandbox().script(Fault::lost_reply());
    let link = format!("http://{}/v1.0/steal", elsewhere.local_addr().unwrap());
    bed.sandbox().script(Fault::next_page_at(&link));
    bed.sandbox().script(Fault::next_page_at(&bed.sandbox().url().replace("127.0.0.1", "localhost")));
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    assert_eq!((job.attempts, bed.creates(None).len()), (4, 1));
    each_has_its_own(&bed).await;
    let visitor = tokio::time::timeout(Duration::from_millis(200), elsewhere.accept()).await;
    assert!(visitor.is_err(), "somebody came");
}

/// Given up after one of them, the job says what was wrong with it, in its row, its history and the log.
async fn given_up_with_a_reason(fault: Fault, code: &str, words: &str) {
    let form = format!("{fault:?}");
    let mut bed = Bed::new().await;
    bed.set("delivery.max_attempts", "1");
    bed.sandbox().script(fault.on(FaultOn::Create));
    let agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "failed").await;
    assert_eq!((job.end(), job.in_doubt), (("failed", Some("exhausted")), 1), "{form}: {job:?}");
    assert!(job.message().contains(words) && !job.message().contains("no reason"), "{form}: {}", job.message());
    bed.until_said(&agent, "job failed").await;
    assert!(agent.said("job failed").iter().all(|line| line["error_code"] == code), "{form}");
    let attempts = bed.attempts(id).await;
    assert!(!attempts.is_empty(), "{form}");
    for attempt in attempts {
        assert_eq!(attempt.error_code.as_deref(), Some(code), "{form}: {attempt:?}");
        assert!(attempt.message.as_deref().is_some_and(|said| said.contains(words)), "{form}: {attempt:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_given_up_after_an_answer_that_says_nothing_tells_so() {
    let answer = |status, body: &str| Fault::answer(status, "").body(AnswerBody::Text(body.to_owned()));
    side_by_side([
        given_up_with_a_reason(answer(202, ""), "reply_incomplete", "does not confirm the event (HTTP 202)"),
        given_up_with_a_reason(
            answer(201, r#"{"subject":"x"}"#),
            "reply_incomplete",
            "does not confirm the event (HTTP 201)",
        ),
        given_up_with_a_reason(answer(511, ""), "no_error_code", "in between"),
        given_up_with_a_reason(answer(999, ""), "no_error_code", "HTTP status 999"),
    ])
    .await;
}

/// Graph's word for a created event is believed where it does not say of which.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_without_a_transaction_id_in_its_answer_is_taken_as_before() {
    let bed = Bed::with_sandbox(marker_only()).await;
    bed.sandbox().script(Fault::unnamed());
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    each_has_its_own(&bed).await;
    assert_eq!(lookups(&bed), 0);
}

/// The event was made, and somebody else answers: looked up at once, whatever the page says.
async fn made_and_denied(fault: Fault) {
    let form = format!("{fault:?}");
    let bed = Bed::with_sandbox(marker_only()).await;
    bed.sandbox().script(fault.applied());
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    each_has_its_own(&bed).await;
    assert_eq!((bed.creates(None).len(), lookups(&bed), job.attempts), (1, 1, 1), "{form}");
    assert!(bed.pauses().await.is_empty(), "{form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_refusal_after_the_event_was_made_is_looked_into_at_once() {
    let text = |text: &str| AnswerBody::Text(text.to_owned());
    let html =
        [400, 403, 404, 405, 410, 413, 418, 423, 451].map(|status| Fault::answer(status, "").body(AnswerBody::Html));
    let shapes =
        ["", "[]", "{}", "null", "{\"error\":\"no\"}", "{\"error\":{\"message\":\"no\"}}", "{\"error\":{\"code\":7}}"];
    let shapes = shapes.map(|shape| Fault::answer(400, "").body(text(shape)));
    let conflicts = [(409, "whatever"), (412, "ErrorIrresolvableConflict"), (412, "")];
    let conflicts = conflicts.map(|(status, code)| Fault::answer(status, code));
    let all = html.into_iter().chain(shapes);
    let portals = [200, 201, 203].map(|status| Fault::answer(status, "").body(AnswerBody::Html).unmarked());
    let all = all.flat_map(|fault| [fault.clone(), fault.unmarked()]).chain(conflicts).chain(portals);
    side_by_side(all.map(made_and_denied)).await;
}

/// The same where all sending waits after it: the row is in doubt, and looked up before anything else.
async fn made_and_diverted(fault: Fault) {
    let form = format!("{fault:?}");
    let bed = Bed::with_sandbox(marker_only()).await;
    bed.sandbox().script(fault.applied());
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until_said(&agent, "sending paused").await;
    let job = bed.until_back(id, "unavailable").await;
    assert_eq!((job.attempts, job.in_doubt), (0, 1), "{form}: {job:?}");
    // A restart asks at once.
    agent.stop().await.expect(0);
    let _agent = bed.run();
    bed.until(id, "sent").await;
    each_has_its_own(&bed).await;
    assert_eq!((bed.creates(None).len(), lookups(&bed)), (1, 1), "{form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_or_a_proxys_sign_in_after_the_event_was_made_leaves_a_doubt() {
    let answers = [300, 301, 302, 303, 307, 308, 407].map(|status| Fault::answer(status, "").body(AnswerBody::Html));
    let sign_in =
        Fault::answer(401, "").body(AnswerBody::Html).unmarked().header("www-authenticate", "Basic realm=\"proxy\"");
    // Neither a request-id nor a challenge alone makes a page one of Graph's.
    let marked = Fault::answer(401, "").body(AnswerBody::Html);
    let bearer = Fault::answer(401, "").unmarked().header("www-authenticate", "Bearer realm=\"\"");
    let redirect = Fault::redirect("http://127.0.0.1:9/v1.0/elsewhere");
    side_by_side(answers.into_iter().chain([sign_in, marked, bearer, redirect]).map(made_and_diverted)).await;
}

/// Somebody in between closes every connection after its first answer, and tells nobody.
async fn closed_in_between(fault: Fault, options: SandboxOptions) {
    let form = format!("{fault:?}");
    let mut bed = Bed::with_sandbox(options).await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.set("delivery.max_attempts", "1");
    bed.sandbox().script(fault.kept().on(FaultOn::Create).times(0));
    let agent = bed.run();
    let ids = bed.insert_all((0..6).map(|_| row())).await;
    bed.until_count(ids.len(), "sent").await;
    each_has_its_own(&bed).await;
    let jobs = bed.jobs().await;
    assert!(jobs.iter().all(|job| job.attempts == 1), "{form}: no attempt is spent on it: {jobs:?}");
    let struck = bed.sandbox().requests().iter().filter(|request| request.fault.is_some()).count();
    assert!(struck >= 2 && lookups(&bed) as usize == struck, "{form}: {struck}");
    // Each of them once in the log, and none holds the only slot while it waits.
    let said = agent.said("attempt failed");
    assert!(
        said.iter().all(|line| line["outcome"] == "snoozed" && line["error_code"] == "connection_stale"),
        "{said:?}"
    );
    let waited: Vec<i64> = said.iter().filter_map(|line| line["job_id"].as_i64()).collect();
    assert_eq!((waited.len(), waited.iter().collect::<HashSet<_>>().len()), (struck, struck), "{form}");
    let (late, prompt): (Vec<(&i64, &Job)>, Vec<_>) = ids.iter().zip(&jobs).partition(|(id, _)| waited.contains(id));
    let end = |(_, job): &(&i64, &Job)| job.finished_at.clone().unwrap();
    assert!(prompt.iter().map(end).max() < late.iter().map(end).min(), "{form}: {jobs:?}");
    assert!(agent.said("mailbox paused").is_empty(), "{form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_that_turns_out_to_be_dead_costs_a_look_and_no_attempt() {
    side_by_side([
        closed_in_between(Fault::reset(), SandboxOptions::default()),
        closed_in_between(Fault::reset(), marker_only()),
        closed_in_between(Fault::lost_reply(), marker_only()),
        closed_in_between(Fault::reset().applied(), marker_only()),
    ])
    .await;
}

/// Lookups change nothing: over a dead connection they are made again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lookup_over_a_dead_connection_is_made_again() {
    let bed = Bed::with_sandbox(marker_only()).await;
    bed.sandbox().script(Fault::reset().kept().on(FaultOn::Lookup).times(0));
    bed.sandbox().script(Fault::answer(400, "").body(AnswerBody::Html).applied());
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    assert_eq!(bed.until(id, "sent").await.attempts, 1);
    each_has_its_own(&bed).await;
    assert_eq!((bed.creates(None).len(), lookups(&bed)), (1, 2));
}

/// A new connection that dies the same is a lost answer like any other, and so is the one of the repeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_connection_that_dies_spends_its_attempt() {
    let mut bed = Bed::with_sandbox(marker_only()).await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    let _agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    // The next one goes over the connection of the first, then over one of its own.
    bed.sandbox().script(Fault::reset().times(2));
    let id = bed.insert(row()).await;
    let job = bed.until(id, "sent").await;
    let history: Vec<String> = bed.attempts(id).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!((job.attempts, history), (2, ["snoozed", "retry", "sent"].map(str::to_owned).to_vec()));
    assert_eq!(bed.creates(None).len(), 4);
    each_has_its_own(&bed).await;
}

/// A stop while the lookup is awaited leaves the row in doubt, and nothing is lost or doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stop_before_the_look_after_a_dead_connection_leaves_the_doubt() {
    let mut bed = Bed::with_sandbox(marker_only()).await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    let agent = bed.run();
    let first = bed.insert(row()).await;
    bed.until(first, "sent").await;
    bed.sandbox().script(Fault::lost_reply());
    let id = bed.insert(row()).await;
    bed.wait("the request has left", async || (bed.creates(None).len() == 2).then_some(())).await;
    agent.stop().await.expect(0);
    let job = bed.job(id).await;
    assert_eq!((job.state.as_str(), job.in_doubt, job.attempts), ("pending", 1, 0), "{job:?}");
    let _agent = bed.run();
    bed.until(id, "sent").await;
    each_has_its_own(&bed).await;
    assert_eq!(bed.creates(None).len(), 2);
}

/// One row per spelling: refused by name, and nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_extra_may_not_set_is_refused_in_every_spelling() {
    let marker = |id: &str| format!(r#"{{"singleValueExtendedProperties":[{{"id":"{id}","value":"x"}}]}}"#);
    let extras = [
        (marker("string {6D0C5F0E-27A4-4A4B-9F0E-3C1D5B8E7A92} name EVENTSENDERTRANSACTIONID"), "marker"),
        (marker("String 6d0c5f0e27a44a4b9f0e3c1d5b8e7a92 Name EventSenderTransactionId"), "marker"),
        (r#"{"SingleValueExtendedProperties":[]}"#.to_owned(), "SingleValueExtendedProperties"),
        (r#"{"Subject":"x"}"#.to_owned(), "Subject"),
        (r#"{"TransactionId":"x"}"#.to_owned(), "TransactionId"),
        (r#"{"ATTENDEES":[]}"#.to_owned(), "ATTENDEES"),
        (r##"{"@odata.type":"#microsoft.graph.event"}"##.to_owned(), "@odata.type"),
    ];
    let bed = Bed::new().await;
    let _agent = bed.run();
    for (extra, named) in extras {
        let id = bed.insert(row().with("extra", &extra)).await;
        let job = bed.until(id, "failed").await;
        assert_eq!(job.end(), ("failed", Some("invalid_job")), "{extra}");
        assert!(job.message().contains("extra") && job.message().contains(named), "{}", job.message());
    }
    assert!(bed.sandbox().requests().iter().all(|request| request.kind != RequestKind::Create));
}

/// A token that is over at once, says the answer: it is asked for once a minute, not with each row.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_is_over_at_once_is_not_asked_for_with_each_row() {
    let bed = Bed::new().await;
    let token = {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", event_sender::sandbox::CLIENT_ID),
            ("client_secret", event_sender::sandbox::CLIENT_SECRET),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        let url = format!("{}/{}/oauth2/v2.0/token", bed.sandbox().url(), event_sender::sandbox::TENANT_ID);
        let answer = http.post(url).form(&form).send().await.unwrap().bytes().await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let body = serde_json::json!({"token_type": "Bearer", "access_token": token, "expires_in": 0}).to_string();
    bed.sandbox().script(Fault::answer(200, "").body(AnswerBody::Text(body)).on(FaultOn::Token).times(0));
    let asked = || bed.sandbox().requests().iter().filter(|request| request.kind == RequestKind::Token).count();
    let before = asked();
    let _agent = bed.run();
    for _ in 0..8 {
        let id = bed.insert(row()).await;
        bed.until(id, "sent").await;
    }
    assert_eq!(asked(), before + 1);
}

/// Nobody to trust: said with the cure, also where nothing but a sandbox on this machine is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_machine_without_ca_certificates_is_told_what_is_missing() {
    let mut bed = Bed::new().await;
    let empty = bed.home().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let nowhere = bed.home().join("nowhere");
    bed.env("SSL_CERT_FILE", empty.to_str().unwrap());
    bed.env("SSL_CERT_DIR", nowhere.to_str().unwrap());
    let id = bed.insert(row()).await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.job(id).await.state, "sent", "loopback needs none");
    let resource = bed.sandbox().url();
    bed.set("auth.resource", &resource);
    bed.set("graph.endpoint", "https://localhost:9");
    let ran = bed.command(&["run", "--until-empty"]).await;
    assert!(ran.stderr.contains("ca-certificates") && ran.stderr.contains("graph.ca_file"), "{ran:?}");
}
