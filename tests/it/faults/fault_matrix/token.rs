//! Faults of the token request. Two jobs wait for the token: one of which nothing has left, and one in doubt whose
//! event is there. Without a token neither may be posted nor looked up, and neither is spent.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use event_sender::sandbox::{AnswerBody, Fault, FaultOn, RequestKind};

use super::World;
use crate::bed::{Bed, row_for, side_by_side};

/// What a fault of the token request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A token comes all the same.
    Fine,
    /// No sign-in, and somebody must act: not asked again within a minute.
    Refused,
    /// No sign-in now; asked again by itself after two seconds.
    Busy,
    /// No answer; the same.
    Unreachable,
}

use Meaning::{Busy, Fine, Refused, Unreachable};

fn text(text: &str) -> AnswerBody {
    AnswerBody::Text(text.to_owned())
}

fn table() -> Vec<(Fault, Meaning)> {
    let elsewhere = Fault::redirect("http://127.0.0.1:9/common/oauth2/v2.0/token");
    vec![
        (Fault::answer(400, "invalid_request"), Refused),
        (Fault::answer(400, "invalid_grant"), Refused),
        (Fault::answer(400, "temporarily_unavailable"), Busy),
        (Fault::answer(401, "invalid_client"), Refused),
        (Fault::answer(401, "unauthorized_client"), Refused),
        (Fault::answer(403, "").body(AnswerBody::Html), Refused),
        (Fault::answer(404, "").body(AnswerBody::None), Refused),
        (Fault::answer(407, ""), Refused),
        (Fault::answer(429, "").retry_after("2"), Busy),
        (Fault::answer(500, "server_error"), Busy),
        (Fault::answer(502, "").body(AnswerBody::Html), Busy),
        (Fault::answer(503, "").body(AnswerBody::None), Busy),
        (Fault::answer(504, "").body(text("{\"error\":")), Busy),
        (Fault::answer(200, "").body(AnswerBody::None), Refused),
        (Fault::answer(200, "").body(text("{\"access_token\":\"\"}")), Refused),
        (Fault::answer(200, "").body(text("{\"access_token\":\"a b\"}")), Refused),
        (Fault::token_refused(7_000_215, "invalid_client"), Refused),
        (Fault::token_refused(50_053, "invalid_grant"), Refused),
        (Fault::token_refused(90_033, "temporarily_unavailable"), Busy),
        (Fault::claims_challenge(), Refused),
        (elsewhere, Refused),
        (Fault::html(), Refused),
        (Fault::oversized(1), Refused),
        (Fault::truncated(), Unreachable),
        (Fault::lost_reply(), Unreachable),
        (Fault::reset(), Unreachable),
        (Fault::hang(Duration::from_millis(300)), Unreachable),
        (Fault::slow(Duration::from_millis(200)), Fine),
        (Fault::no_id(), Fine),
        (Fault::expire_tokens(), Fine),
    ]
}

/// A job in doubt whose event is there, and a fresh one.
async fn two_waiting() -> (Bed, [i64; 2]) {
    let mut bed = Bed::with_sandbox(World::Whole.options()).await;
    bed.sandbox().script(Fault::lost_reply());
    bed.set("delivery.first_retry", "1h");
    bed.set("delivery.longest_retry", "1h");
    let agent = bed.run();
    let doubtful = bed.insert(row_for("doubtful@contoso.com")).await;
    bed.until_back(doubtful, "unavailable").await;
    agent.stop().await.expect(0);
    bed.sql("UPDATE jobs SET next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").await;
    let fresh = bed.insert(row_for("fresh@contoso.com")).await;
    (bed, [doubtful, fresh])
}

fn asked(bed: &Bed, kind: RequestKind) -> usize {
    bed.sandbox().requests().iter().filter(|request| request.kind == kind).count()
}

/// The token requests since then kept the distance: a minute or more, or two seconds.
fn is_patient(bed: &Bed, since: usize, meaning: Meaning) -> bool {
    let requests = bed.sandbox().requests().into_iter().filter(|request| request.kind == RequestKind::Token);
    let times: Vec<DateTime<Utc>> = requests.skip(since).map(|request| request.at.parse().unwrap()).collect();
    let apart = times.windows(2).all(|two| two[1] - two[0] >= TimeDelta::seconds(2));
    !times.is_empty() && apart && (times.len() == 1 || meaning != Refused)
}

async fn both_sent_once(bed: &Bed) {
    bed.until_count(2, "sent").await;
    bed.assert_one_event_each().await;
    let attempts: Vec<i64> = bed.jobs().await.iter().map(|job| job.attempts).collect();
    assert_eq!((attempts, asked(bed, RequestKind::Create)), (vec![2, 1], 2), "the doubtful one was found");
}

/// The fault does not end by itself.
async fn without_end((fault, meaning): (Fault, Meaning)) {
    let form = format!("{fault:?}");
    let (bed, [doubtful, fresh]) = two_waiting().await;
    let before = asked(&bed, RequestKind::Token);
    bed.sandbox().script(fault.on(FaultOn::Token).times(0));
    let agent = bed.run();
    if meaning == Fine {
        return both_sent_once(&bed).await;
    }
    let kind = if meaning == Unreachable { "unavailable" } else { "auth" };
    let line = bed.until_said(&agent, "sending paused").await;
    assert_eq!(line["error_kind"], kind, "{form}: {line}");
    assert!(line["hint"].as_str().is_some_and(|hint| hint.len() > 20) && line["retry_at"].is_string(), "{line}");
    let (doubtful, fresh) = (bed.until_back(doubtful, kind).await, bed.until_back(fresh, kind).await);
    assert_eq!((doubtful.in_doubt, doubtful.attempts), (1, 1), "{form}: {doubtful:?}");
    assert_eq!((fresh.in_doubt, fresh.attempts), (0, 0), "{form}: {fresh:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_patient(&bed, before, meaning), "{form}: asked in a circle");
    assert_eq!((asked(&bed, RequestKind::Create), asked(&bed, RequestKind::Lookup)), (1, 0), "{form}");
    assert!(bed.pauses().await.is_empty(), "{form}: no mailbox is to blame");
    agent.stop().await.expect(0);
    bed.sandbox().clear_faults();
    let _agent = bed.run();
    both_sent_once(&bed).await;
}

/// The fault strikes once, and nobody lends a hand.
async fn once((fault, _): (Fault, Meaning)) {
    let form = format!("{fault:?}");
    let (bed, _) = two_waiting().await;
    let before = asked(&bed, RequestKind::Token);
    bed.sandbox().script(fault.on(FaultOn::Token));
    let agent = bed.run();
    both_sent_once(&bed).await;
    assert_eq!(asked(&bed, RequestKind::Token), before + 2, "{form}");
    bed.until_said(&agent, "sending resumed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_every_token_request_pauses_all_sending_and_spends_nothing() {
    side_by_side(table().into_iter().map(without_end)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_one_token_request_that_passes_by_itself_needs_nobody() {
    let passing = table().into_iter().filter(|(_, meaning)| matches!(meaning, Busy | Unreachable));
    side_by_side(passing.map(once)).await;
}
