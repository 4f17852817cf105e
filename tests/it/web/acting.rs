//! The operator's verbs by the page: what the commands do, and the log says who did it.

use event_sender::sandbox::Fault;
use serde_json::json;

use super::{Page, acting};
use crate::bed::{row, row_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_retry_puts_back_what_was_seen_and_tells_what_was_not() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("late@contoso.com"));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let failed = bed.insert(row_for("late@contoso.com")).await;
    bed.until(failed, "failed").await;
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
    let ids = [failed, sent, 99];

    let plan = page.act("/api/v1/jobs/retry", json!({ "ids": ids, "dry_run": true })).await.body;
    assert_eq!(
        (&plan["retried"], &plan["ids"], &plan["dry_run"]),
        (&json!(1), &json!([failed]), &json!(true)),
        "{plan}"
    );
    assert!(
        plan["skipped"].to_string().contains("its event exists") && plan["skipped"].to_string().contains("no such job")
    );
    assert_eq!(plan["command"], "event-sender retry 1 2 99");
    assert_eq!(bed.job(failed).await.state, "failed");

    let done = page.act("/api/v1/jobs/retry", json!({ "ids": ids })).await.body;
    assert_eq!((&done["retried"], done["skipped"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{done}");
    bed.until(failed, "sent").await;
    let said = bed.until_said(&agent, "jobs retried from the page").await;
    assert_eq!((&said["jobs"], &said["skipped"]), (&json!(1), &json!(2)), "{said}");
    assert!(said["who"].as_str().unwrap().starts_with("token holder at 127.0.0.1"), "{said}");
    assert_eq!(agent.said("jobs retried from the page").len(), 1, "a plan is no action");
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_cancelled_and_one_in_doubt_only_where_that_is_said() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(503, "ErrorServerBusy").mailbox("doubt@contoso.com").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let later = bed.insert(row().with("not_before", "2099-01-01T00:00:00Z")).await;
    let done = page.act("/api/v1/jobs/cancel", json!({ "ids": [later, later] })).await.body;
    assert_eq!((&done["cancelled"], &done["ids"]), (&json!(1), &json!([later])), "{done}");
    assert_eq!(bed.job(later).await.state, "cancelled");
    bed.until_said(&agent, "jobs cancelled from the page").await;
    for wrong in [
        json!({ "ids": [] }),
        json!({ "ids": ["1"] }),
        json!({ "id": 1 }),
        json!({ "ids": [1], "all": true }),
        json!(1),
        json!([[later]]),
        json!([[later], true]),
    ] {
        assert_eq!(page.act("/api/v1/jobs/cancel", wrong.clone()).await.refusal(), (400, "bad_request"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mailbox_is_held_with_a_reason_and_released() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let held =
        page.act("/api/v1/mailboxes/hold", json!({ "mailbox": "Bob@contoso.com", "reason": "ticket 4711" })).await.body;
    assert_eq!((&held["held"], &held["mailbox"]), (&json!(1), &json!("bob@contoso.com")), "{held}");
    assert_eq!(held["command"], "event-sender hold --reason 'ticket 4711' bob@contoso.com");
    let id = bed.insert(row_for("bob@contoso.com")).await;
    let other = bed.insert(row_for("ann@contoso.com")).await;
    bed.until(other, "sent").await;
    assert_eq!(bed.job(id).await.state, "pending");
    let seen = page.get("/api/v1/mailboxes?search=bob").await.body;
    assert_eq!(seen["mailboxes"][0]["held_reason"], "ticket 4711", "an action is seen at once: {seen}");
    let released = page.act("/api/v1/mailboxes/release", json!({ "mailbox": "bob@contoso.com" })).await;
    assert_eq!(released.status, 200, "{}", released.text);
    bed.until(id, "sent").await;
    let again = page.act("/api/v1/mailboxes/release", json!({ "mailbox": "bob@contoso.com" })).await;
    assert_eq!(again.refusal(), (409, "conflict"));
    for wrong in [
        json!({ "mailbox": " " }),
        json!({ "mailbox": "a\0" }),
        json!({ "mailbox": "ann", "reason": "\0" }),
        json!(["ann@contoso.com"]),
        json!(["ann@contoso.com", "a reason"]),
    ] {
        assert_eq!(page.act("/api/v1/mailboxes/hold", wrong).await.refusal(), (400, "bad_request"));
    }
    for message in ["mailbox held from the page", "mailbox released from the page"] {
        assert_eq!(bed.until_said(&agent, message).await["mailbox"], "bob@contoso.com");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_is_ended_unless_microsoft_asked_for_it() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(403, "ErrorAccessDenied").mailbox("ann@contoso.com"));
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox("bob@contoso.com").retry_after("600"));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let denied = bed.insert(row_for("ann@contoso.com")).await;
    let throttled = bed.insert(row_for("bob@contoso.com")).await;
    bed.until_back(denied, "denied").await;
    bed.until_back(throttled, "throttled").await;
    let kept = page.act("/api/v1/mailboxes/resume", json!({ "mailbox": "bob@contoso.com" })).await;
    assert_eq!(kept.refusal(), (409, "conflict"));
    assert!(kept.text.contains("because Microsoft asked for that"), "{}", kept.text);
    let resumed = page.act("/api/v1/mailboxes/resume", json!({ "mailbox": "ann@contoso.com" })).await;
    assert_eq!(resumed.status, 200, "{}", resumed.text);
    bed.until(denied, "sent").await;
    assert_eq!(
        page.act("/api/v1/mailboxes/resume", json!({ "mailbox": "carol@contoso.com" })).await.refusal(),
        (409, "conflict")
    );
}
