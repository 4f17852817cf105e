//! What the API says of a queue.

use event_sender::sandbox::Fault;
use serde_json::{Value, json};

use super::{Page, reading};
use crate::bed::{row, row_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_empty_queue_is_fine_and_says_that_it_is_empty() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let seen = page.get("/api/v1/overview").await.body;
    assert_eq!((&seen["verdict"]["level"], &seen["verdict"]["empty"]), (&json!("fine"), &json!(true)), "{seen}");
    assert_eq!((&seen["version"], &seen["actions"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(false)));
    assert_eq!(seen["tiles"]["in_flight"]["limit"], 64);
    assert_eq!(seen["failed"]["groups"], json!([]));
    assert_eq!(seen["mailboxes"]["mailboxes"], json!([]));
    assert_eq!(seen["trouble"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn failures_are_grouped_by_their_reason_with_what_to_do() {
    let bed = reading().await;
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert_all((0..3).map(|_| row_for("nobody@contoso.com"))).await;
    bed.insert(row().with("start_time", "never")).await;
    bed.until_count(4, "failed").await;
    let seen = bed
        .wait("the failures are seen", async || {
            let seen = page.get("/api/v1/overview").await.body;
            (seen["tiles"]["failed"]["last_24_hours"] == 4).then_some(seen)
        })
        .await;
    let group = &seen["failed"]["groups"][0];
    assert_eq!(
        (&group["cause"], &group["jobs"], &group["in_doubt"]),
        (&json!("no_mailbox"), &json!(3), &json!(false)),
        "{seen}"
    );
    assert_eq!(group["mailboxes"], json!(["nobody@contoso.com"]));
    assert_eq!(group["happened"], "There is no such mailbox.");
    assert!(group["to_do"].to_string().contains("event-sender retry ID"), "{group}");
    assert_eq!(group["command"], "event-sender retry 3 2 1");
    assert_eq!(seen["failed"]["groups"][1]["error_kind"], "invalid_job");
    assert_eq!(seen["verdict"]["level"], "look");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_nothing_is_sent_the_verdict_says_why_since_when_and_that_nothing_is_lost() {
    let bed = reading().await;
    bed.sandbox().script(Fault::token_refused(7_000_222, "invalid_client").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert(row()).await;
    bed.until_said(&agent, "sending paused").await;
    let verdict = bed
        .wait("the pause is seen", async || {
            let verdict = page.get("/api/v1/overview").await.body["verdict"].clone();
            (verdict["level"] == "stopped").then_some(verdict)
        })
        .await;
    assert!(verdict["headline"].as_str().unwrap().starts_with("NOTHING IS SENT"), "{verdict}");
    assert!(verdict["cause"].as_str().unwrap().contains("AADSTS7000222"), "{verdict}");
    assert!(verdict["since"].as_str() < verdict["until"].as_str(), "{verdict}");
    assert_eq!(verdict["nothing_lost"], "Nothing is lost: 1 job waits.");
    assert!(verdict["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_found_by_whatever_somebody_has_in_hand() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let other = bed.insert(row_for("other@contoso.com")).await;
    let wanted = row_for("Ann@contoso.com").with("dedup_key", "order 4711/1").with("event_key", "order-4711");
    let id = bed.insert(wanted).await;
    bed.until(id, "sent").await;
    bed.until(other, "sent").await;
    let (job, attempt) = (bed.job(id).await, bed.attempts(id).await.remove(0));
    let texts = [
        id.to_string(),
        format!("#{id}"),
        "order 4711/1".to_owned(),
        "order-4711".to_owned(),
        "ann@CONTOSO.com".to_owned(),
        job.event_id.unwrap(),
        job.transaction_id,
        attempt.request_id.unwrap(),
        attempt.client_request_id.unwrap(),
    ];
    for text in texts {
        let query = reqwest::Url::parse_with_params("http://x/api/v1/jobs", [("search", &text)]).unwrap();
        let found = page.get(&format!("/api/v1/jobs?{}", query.query().unwrap())).await;
        let ids: Vec<&Value> = found.body["jobs"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
        assert_eq!(ids, [&json!(id)], "{text}: {}", found.text);
    }
    let none = page.get("/api/v1/jobs?search=nothing").await;
    assert_eq!((none.status, &none.body["jobs"]), (200, &json!([])));
    assert_eq!(none.body["searched"], json!({ "jobs": 2, "all": true, "before": null }));
    let further = page.get(&format!("/api/v1/jobs?search=contoso&before={id}")).await.body;
    assert_eq!(further["searched"]["jobs"], 1, "only what is older: {further}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_are_listed_newest_first_by_what_they_have_in_common() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert_all(["ann@contoso.com", "bob@contoso.com", "ann@contoso.com"].map(row_for)).await;
    bed.until_count(3, "sent").await;
    bed.insert(row().with("not_before", "2099-01-01T00:00:00Z")).await;
    let ids = async |query: &str| {
        let answer = page.get(&format!("/api/v1/jobs?{query}")).await;
        answer.body["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, [4, 3, 2, 1]);
    assert_eq!(ids("limit=2").await, [4, 3]);
    assert_eq!(ids("state=sent&mailbox=ANN@contoso.com").await, [3, 1]);
    assert_eq!(ids("state=pending").await, [4]);
    assert_eq!(ids("in_doubt=true").await, [0; 0]);
    assert_eq!(ids("ids=1,3,99").await, [3, 1]);
    assert_eq!(ids("ids=1,4&state=pending").await, [4]);
    assert_eq!(ids("mailbox=ann@contoso.com&before=3").await, [1]);
    assert_eq!(ids("error_kind=denied").await, [0; 0]);
    assert_eq!(page.get("/api/v1/jobs").await.body["searched"], Value::Null, "an index knows them");
    for wrong in [
        "ids=1;2",
        "before=x&search=y",
        "before=3",
        "before=3&in_doubt=true",
        "state=done",
        "limit=0",
        "limit=201",
        "error_kind=x",
        "in_doubt=1",
        "sort=id",
        "search=a%00",
        "mailbox=%00",
    ] {
        let answer = page.get(&format!("/api/v1/jobs?{wrong}")).await;
        assert_eq!(answer.refusal(), (400, "bad_request"), "{wrong}");
    }
    assert_eq!(page.get("/api/v1/jobs/99").await.refusal(), (404, "not_found"));
    assert_eq!(page.get("/api/v1/jobs/x").await.status, 400);
    assert_eq!(page.get("/api/v1/mailboxes?search=%00").await.refusal(), (400, "bad_request"));
}

const SECRETS: [&str; 5] = ["Salary of Zoe", "between us", "Room Zebra", "zoe@contoso.com", "X-Hidden"];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn content_is_shown_only_where_the_settings_say_so() {
    for shown in [false, true] {
        let mut bed = reading().await;
        bed.set_literal("web.show_content", if shown { "true" } else { "false" });
        let agent = bed.run();
        let page = Page::of(&bed, &agent).await;
        let with_content = row()
            .with("subject", SECRETS[0])
            .with("body", SECRETS[1])
            .with("location", SECRETS[2])
            .with("attendees", &format!("[{{\"address\":\"{}\"}}]", SECRETS[3]))
            .with("extra", &format!("{{\"categories\":[\"{}\"]}}", SECRETS[4]));
        let sent = bed.insert(with_content.clone()).await;
        bed.until(sent, "sent").await;
        bed.insert(with_content.with("attendees", "[{\"address\":\"zoe@contoso.com zoe@contoso.com\"}]")).await;
        bed.until_count(1, "failed").await;
        let mut all = String::new();
        for path in ["/api/v1/overview", "/api/v1/jobs", "/api/v1/jobs/1", "/api/v1/jobs/2", "/api/v1/mailboxes"] {
            all += &page.get(path).await.text;
        }
        for secret in SECRETS {
            assert_eq!(all.contains(secret), shown, "{secret}: {all}");
        }
        let job = page.get("/api/v1/jobs/1").await.body;
        assert_eq!(job["in_doubt"], json!(false), "flags are true or false");
        assert_eq!(job["request"]["body"]["subject"].as_str(), shown.then_some(SECRETS[0]));
        assert_eq!(job["history"][0]["outcome"], "sent");
        assert_eq!(job["advice"]["happened"], "The event exists.");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mailboxes_in_trouble_come_first_and_any_is_found() {
    let bed = reading().await;
    bed.command(&["hold", "zed@contoso.com", "--reason", "moved"]).await.expect(0);
    bed.insert_all(
        (0..80).map(|n| row_for(&format!("user{n}@contoso.com")).with("not_before", "2099-01-01T00:00:00Z")),
    )
    .await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let first = page.get("/api/v1/mailboxes").await.body;
    assert_eq!((first["mailboxes"].as_array().unwrap().len(), &first["all"]), (50, &json!(81)), "{first}");
    let held = &first["mailboxes"][0];
    assert_eq!(
        (&held["mailbox"], &held["state"], &held["held_reason"]),
        (&json!("zed@contoso.com"), &json!("held"), &json!("moved"))
    );
    let found = page.get("/api/v1/mailboxes?search=USER79").await.body;
    assert_eq!((&found["found"], &found["mailboxes"][0]["mailbox"]), (&json!(1), &json!("user79@contoso.com")));
    assert_eq!(found["mailboxes"][0]["later"], 1);
}
