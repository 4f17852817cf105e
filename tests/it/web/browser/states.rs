//! What is seen in each state of the queue and of the agent, on a screen, at 200 %, on a phone, in light and in dark.

use event_sender::sandbox::Fault;
use serde_json::json;

use super::super::{Page, acting, reading, with_token};
use super::Browser;
use crate::bed::{Bed, row, row_for};
use crate::process::Process;

/// An hour with something in it; a test would wait too long for a real one.
const AN_HOUR: &str = "(() => { const c = state.data.charts, at = i => Math.abs(Math.sin(i * 12.9898) * 43758.5453) % 1;
    c.sent_per_second = Array.from({ length: 120 }, (_, i) => i > 70 && i < 80 ? 0 : 120 + 60 * Math.sin(i / 9) + 30 * at(i));
    c.failed_per_second = Array.from({ length: 120 }, (_, i) => at(i + 7) > 0.93 ? 14 : 0);
    c.answer_p50_seconds = Array.from({ length: 120 }, (_, i) => i > 70 && i < 80 ? null : 0.38 + 0.05 * at(i));
    c.answer_p95_seconds = Array.from({ length: 120 }, (_, i) => i > 70 && i < 80 ? null : 0.7 + 0.2 * at(i * 3));
    state.paused = true; show(); return true; })()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn an_empty_queue_says_how_to_insert() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let browser = Browser::open(&page, "").await;
    browser
        .until_reads(&["All is well", "The queue is empty", "INSERT INTO jobs", "● live", "None.", "Nothing waits."])
        .await;
    browser.look("empty").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn failures_and_mailboxes_in_trouble_are_told_and_markup_in_a_row_is_text() {
    let bed = acting().await;
    let agent = troubled(&bed).await;
    let page = Page::of(&bed, &agent).await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.tiles.failed.last_24_hours === 4").await;
    browser
        .until(
            "['denied@contoso.com', 'bob@contoso.com'].every(name => state.data.mailboxes.mailboxes.some(
                box => box.mailbox === name && box.paused_until))",
        )
        .await;
    browser
        .until_reads(&[
            "no mailbox",
            "There is no such mailbox.",
            "Retry…",
            "on hold",
            "<img src=x",
            "paused (denied)",
            "paused (throttled)",
            "Hold…",
        ])
        .await;
    assert_eq!(browser.js("document.querySelectorAll('main img').length").await, 0);
    browser.js(AN_HOUR).await;
    browser.look("trouble").await;
}

/// Jobs that failed for two reasons, a mailbox on hold, one that refuses, one that is throttled, and one where all is well.
async fn troubled(bed: &Bed) -> Process {
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    bed.sandbox().script(Fault::answer(403, "ErrorAccessDenied").mailbox("denied@contoso.com").times(0));
    bed.sandbox()
        .script(Fault::answer(429, "ApplicationThrottled").mailbox("bob@contoso.com").retry_after("600").times(0));
    bed.command(&["hold", "room1@contoso.com", "--reason", "<img src=x onerror=alert(1)> moves, ticket 4711"])
        .await
        .expect(0);
    let agent = bed.run();
    bed.insert_all(["nobody@contoso.com", "nobody@contoso.com", "nobody@contoso.com"].map(row_for)).await;
    bed.insert(row_for("events@contoso.com").with("start_time", "never")).await;
    bed.insert_all((0..120).map(|_| row_for("room1@contoso.com"))).await;
    bed.insert_all(
        [
            "denied@contoso.com",
            "bob@contoso.com",
            "a-mailbox-with-a-name-that-is-very-long-indeed-and-has-no-place-to-break@contoso.com",
        ]
        .map(|mailbox| row_for(mailbox).with("not_before", "2099-01-01T00:00:00Z")),
    )
    .await;
    bed.insert_all(["denied@contoso.com", "denied@contoso.com", "bob@contoso.com"].map(row_for)).await;
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
    bed.until_count(4, "failed").await;
    agent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn while_nothing_is_sent_the_page_says_so_first() {
    let bed = reading().await;
    bed.sandbox().script(Fault::token_refused(7_000_222, "invalid_client").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert(row()).await;
    bed.until_said(&agent, "sending paused").await;
    let browser = Browser::open(&page, "").await;
    browser.until_reads(&["NOTHING IS SENT", "since", "next try", "Nothing is lost: 1 job waits."]).await;
    browser.look("nothing-is-sent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn while_every_mailbox_is_paused_each_says_why_and_until_when() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(403, "ErrorAccessDenied").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let mailboxes = ["ann@contoso.com", "bob@contoso.com", "carol@contoso.com"];
    bed.insert_all(mailboxes.map(row_for)).await;
    let all = async || (bed.pauses().await.len() == mailboxes.len()).then_some(());
    bed.wait("all are paused", all).await;
    let browser = Browser::open(&page, "").await;
    browser
        .until("state.data && state.data.mailboxes.mailboxes.filter(box => box.state === 'refused').length === 3")
        .await;
    browser.until_reads(&["paused (denied)", "next try", "Try now"]).await;
    browser.look("all-paused").await;
}

/// An agent that has sent one job, and a page that shows it.
async fn one_sent(bed: &Bed) -> (Process, Browser) {
    let agent = bed.run();
    let page = Page::of(bed, &agent).await;
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.tiles.sent.last_hour === 1").await;
    (agent, browser)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn with_no_agent_running_the_page_says_that_and_keeps_what_it_saw() {
    let bed = reading().await;
    let (agent, browser) = one_sent(&bed).await;
    agent.stop().await.expect(0);
    browser
        .until_reads(&["This page gets no answer from the agent", "systemctl status event-sender", "✕ no answer"])
        .await;
    browser.until("document.body.classList.contains('old')").await;
    assert_eq!(browser.js("state.data.tiles.sent.last_hour").await, 1);
    browser.look("no-agent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn an_agent_that_does_not_answer_for_ten_seconds_makes_what_is_seen_old() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let browser = Browser::open(&page, "").await;
    browser.until_reads(&["● live"]).await;
    agent.signal("STOP");
    browser.until("document.body.classList.contains('old')").await;
    assert!(browser.js("Date.now() - state.heardAt > 10000").await == true);
    browser.until_reads(&["This page gets no answer from the agent", "was seen at", "✕ no answer"]).await;
    browser.look("stale").await;
    agent.signal("CONT");
    browser.until_reads(&["● live"]).await;
    browser.until("!document.body.classList.contains('old')").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn with_its_database_gone_the_page_says_since_when_and_keeps_what_it_saw() {
    let bed = reading().await;
    let (_agent, browser) = one_sent(&bed).await;
    bed.sql("ALTER TABLE jobs RENAME TO jobs_gone").await;
    browser.until_reads(&["The queue cannot be read", "no such table", "was seen at", "✕ out of date"]).await;
    browser.until("document.body.classList.contains('old')").await;
    assert_eq!(browser.js("state.data.tiles.sent.last_hour").await, 1);
    browser.look("database-gone").await;
    bed.sql("ALTER TABLE jobs_gone RENAME TO jobs").await;
    browser.until("!state.data.trouble && !document.body.classList.contains('old')").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn with_its_files_taken_away_the_agent_ends_and_the_page_keeps_what_it_saw() {
    let bed = reading().await;
    let (mut agent, browser) = one_sent(&bed).await;
    for file in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{file}", bed.queue_path().display()));
    }
    agent.end().await;
    browser.until_reads(&["This page gets no answer from the agent", "nothing is lost", "was seen at"]).await;
    assert_eq!(browser.js("state.data.tiles.sent.last_hour").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn a_page_that_only_reads_has_nothing_to_press_and_says_why() {
    let bed = reading().await;
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let failed = bed.insert(row_for("nobody@contoso.com")).await;
    bed.until(failed, "failed").await;
    bed.insert(row_for("ann@contoso.com").with("not_before", "2099-01-01T00:00:00Z")).await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.failed.groups.length === 1 && state.data.mailboxes.all === 1").await;
    browser.until_reads(&["Show 1", "ann@contoso.com", "read only"]).await;
    let text = browser.text().await;
    for verb in ["Retry…", "Hold…", "Sign in"] {
        assert!(!text.contains(verb), "{verb}: {text}");
    }
    browser.keys("jr").await;
    browser.until_reads(&["This page only reads: web.actions is false."]).await;
    browser.look("read-only").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn of_ten_thousand_mailboxes_the_worst_are_shown_and_any_is_found() {
    let bed = acting().await;
    bed.command(&["hold", "user4711@contoso.com", "--reason", "moved"]).await.expect(0);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.sql(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO jobs (start_time, end_time, mailbox, not_before)
        SELECT '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'user' || i || '@contoso.com', '2099-01-01T00:00:00Z' FROM n",
    )
    .await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.mailboxes.all === 10000").await;
    browser.until_reads(&["50 of 10,000", "user4711@contoso.com", "on hold"]).await;
    browser.look("ten-thousand").await;
    let filter = browser.driver.find(thirtyfour::By::Id("filter")).await.unwrap();
    filter.send_keys("USER98").await.unwrap();
    browser.until_reads(&["50 of 111", "user9800@contoso.com"]).await;
    filter.send_keys("76@").await.unwrap();
    browser.until_reads(&["1 of 1,", "user9876@contoso.com"]).await;
    filter.send_keys("x").await.unwrap();
    browser.until_reads(&["No mailbox with this in its name has waiting jobs."]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn beyond_this_machine_nothing_is_seen_before_signing_in() {
    let mut bed = reading().await;
    bed.set("web.listen", "0.0.0.0:0");
    with_token(&mut bed);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert(row_for("ann@contoso.com").with("not_before", "2099-01-01T00:00:00Z")).await;
    let browser = Browser::open(&page, "").await;
    browser.until_reads(&["Token of web.token_file"]).await;
    browser.look("sign-in").await;
    browser.driver.find(thirtyfour::By::Css("dialog input")).await.unwrap().send_keys("wrong").await.unwrap();
    browser.click("//dialog//button[normalize-space()='Sign in']").await;
    browser.until_reads(&["That is not the token in web.token_file."]).await;
    browser.look("sign-in-wrong").await;
    browser.confirm("Leave it").await;
    browser.until_reads(&["Sign in to see the queue"]).await;
    browser.look("not-signed-in").await;
    assert!(!browser.text().await.contains("ann@contoso.com"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn a_job_a_reason_a_search_and_each_dialog_look_right() {
    let mut bed = acting().await;
    bed.set_literal("web.show_content", "true");
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let wanted = row().with("subject", "Review").with("event_key", "order-4711").with("body", "Agenda attached.");
    let sent = bed.insert(wanted.with("attendees", "[{\"address\":\"zoe@contoso.com\"}]")).await;
    bed.until(sent, "sent").await;
    bed.insert_all((0..3).map(|_| row_for("nobody@contoso.com"))).await;
    bed.until_count(3, "failed").await;
    let browser = Browser::open(&page, &format!("#/jobs/{sent}")).await;
    browser.until_reads(&["Job 1", "✓ sent", "Timeline", "request-id", "EventID", "\"subject\": \"Review\""]).await;
    browser.look("job-sent").await;
    browser.goto("#/jobs/2").await;
    browser.until_reads(&["Job 2", "✕ failed", "There is no such mailbox.", "Retry…"]).await;
    browser.look("job-failed").await;
    browser.goto("#/search/nobody%40contoso.com").await;
    browser.until_reads(&["3 jobs found by “nobody@contoso.com”", "All 4 jobs were searched."]).await;
    browser.look("search").await;
    browser.goto("#/search/nothing").await;
    browser.until_reads(&["Nothing found by “nothing”", "All 4 jobs were searched."]).await;
    browser.look("search-in-vain").await;
    browser.goto("#/jobs/99").await;
    browser.until_reads(&["There is no job 99"]).await;
    browser.look("no-such-job").await;
    browser.goto("#/").await;
    browser.until("state.data && state.data.tiles.failed.last_24_hours === 3").await;
    browser.press("Show 3").await;
    browser.until_reads(&["no mailbox: 3 jobs", "event-sender retry 4 3 2"]).await;
    browser.look("reason").await;
    browser.keys("?").await;
    browser.until_reads(&["search jobs", "hold or release the mailbox of the row"]).await;
    browser.look("help").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn several_agents_are_listed() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let browser = Browser::open(&page, "").await;
    browser.until_reads(&["● live"]).await;
    assert!(!browser.text().await.contains("Agents"), "one needs no list");
    browser
        .js("(() => { state.paused = true; const one = state.data.agents[0];
            state.data.agents = [one, { ...one, id: 2, pid: 4711, running: false }]; show(); return true; })()")
        .await;
    browser.until_reads(&["Agents", "● runs", "4711", "– stopped"]).await;
    browser.look("several-agents").await;
    assert_eq!(browser.js("state.data.agents.length").await, json!(2));
}
