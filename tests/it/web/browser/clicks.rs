//! What is done with the mouse, from the click to the calendar.

use event_sender::sandbox::Fault;
use serde_json::json;
use thirtyfour::By;

use super::super::{Page, TOKEN, acting};
use super::Browser;
use crate::bed::{row, row_for};

/// Signs in in the dialog that asks for it.
async fn sign_in(browser: &Browser) {
    browser.until_reads(&["Token of web.token_file"]).await;
    browser.driver.find(By::Css("dialog input")).await.unwrap().send_keys(TOKEN).await.unwrap();
    browser.click("//dialog//button[normalize-space()='Sign in']").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn a_group_of_failed_jobs_is_retried_after_signing_in_and_sent() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("late@contoso.com").times(2));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let ids = bed.insert_all((0..2).map(|_| row_for("late@contoso.com"))).await;
    bed.until_count(2, "failed").await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.tiles.failed.last_24_hours === 2").await;
    browser.press("Pause updates").await;
    // Seen in the group, and deleted since.
    bed.sql(&format!("DELETE FROM jobs WHERE id = {}", ids[0])).await;
    browser.press("Retry…").await;
    sign_in(&browser).await;
    browser
        .until_reads(&[
            "Retry 1 job?",
            "Skipped, 1 job (1): there is no such job",
            "The same in a terminal:",
            "event-sender retry 1 2",
        ])
        .await;
    browser.look("retry").await;
    assert_eq!(bed.job(ids[1]).await.state, "failed", "nothing is done before it is confirmed");
    browser.confirm("Retry 1 job").await;
    bed.until(ids[1], "sent").await;
    browser.until_reads(&["Retried 1 job"]).await;
    let said = bed.until_said(&agent, "jobs retried from the page").await;
    assert_eq!((&said["jobs"], &said["skipped"]), (&json!(1), &json!(0)), "{said}");
    browser.press("Resume updates").await;
    browser.until_reads(&["None."]).await;
    let cookies = browser.js("document.cookie").await;
    assert_eq!(cookies, "", "no script sees the session");
    browser.press("Sign out").await;
    browser.until("!state.session || !state.session.signed_in").await;
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn a_mailbox_is_held_released_and_resumed() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(403, "ErrorAccessDenied").mailbox("ann@contoso.com"));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let denied = bed.insert(row_for("ann@contoso.com")).await;
    bed.until_back(denied, "denied").await;
    bed.insert(row_for("bob@contoso.com").with("not_before", "2099-01-01T00:00:00Z")).await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.mailboxes.all === 2").await;
    browser.click("//button[@aria-label='Hold bob@contoso.com']").await;
    sign_in(&browser).await;
    browser.until_reads(&["Hold bob@contoso.com?", "event-sender hold bob@contoso.com"]).await;
    browser.look("hold").await;
    browser.driver.find(By::Css("dialog input")).await.unwrap().send_keys("ticket 4711").await.unwrap();
    browser.until_reads(&["event-sender hold --reason 'ticket 4711' bob@contoso.com"]).await;
    browser.confirm("Hold").await;
    browser.until_reads(&["bob@contoso.com is held: 1 job waits", "on hold", "ticket 4711"]).await;
    let held = bed.insert(row_for("bob@contoso.com")).await;
    browser.click("//button[@aria-label='Release bob@contoso.com']").await;
    browser.until_reads(&["event-sender release bob@contoso.com"]).await;
    browser.confirm("Release").await;
    bed.until(held, "sent").await;
    browser.click("//button[@aria-label='Try now ann@contoso.com']").await;
    browser.until_reads(&["event-sender resume ann@contoso.com"]).await;
    browser.confirm("Try").await;
    bed.until(denied, "sent").await;
    for message in ["mailbox held from the page", "mailbox released from the page", "mailbox resumed from the page"] {
        bed.until_said(&agent, message).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn a_job_is_cancelled_from_its_own_page() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let id = bed.insert(row().with("not_before", "2099-01-01T00:00:00Z")).await;
    let browser = Browser::open(&page, &format!("#/jobs/{id}")).await;
    browser.until_reads(&["Job 1", "◷ pending"]).await;
    browser.press("Cancel…").await;
    sign_in(&browser).await;
    browser.until_reads(&["Cancel 1 job?", "event-sender cancel 1"]).await;
    browser.confirm("Leave it").await;
    browser.until("!document.getElementById('dialog').open").await;
    assert_eq!(bed.job(id).await.state, "pending");
    browser.press("Cancel…").await;
    browser.confirm("Cancel 1 job").await;
    browser.until_reads(&["Cancelled 1 job", "– cancelled"]).await;
    assert_eq!(bed.job(id).await.state, "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn updates_pause_times_are_local_on_request_and_a_hidden_tab_asks_nothing() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let browser = Browser::open(&page, "").await;
    browser.until_reads(&["● live"]).await;
    browser.press("Pause updates").await;
    browser.until_reads(&["updates paused"]).await;
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
    browser.press("Resume updates").await;
    browser.until("state.data.tiles.sent.last_hour === 1").await;
    let zone = json!({ "timezoneId": "Asia/Tokyo" });
    browser.driver.cdp().send_raw("Emulation.setTimezoneOverride", zone).await.unwrap();
    browser.goto("#/jobs/1").await;
    browser.until_reads(&[" UTC", "Timeline"]).await;
    browser.press("UTC").await;
    browser.until("!document.querySelector('.timeline').innerText.includes('UTC')").await;
    let ahead = "Date.parse(document.querySelector('.timeline .figures').innerText.replace(' ', 'T') + '+09:00')";
    assert!(browser.js(&format!("Math.abs({ahead} - Date.now()) < 3600000")).await == true, "it is that of Tokyo");
    browser.press("Local time").await;
    browser.until("document.querySelector('.timeline').innerText.includes('UTC')").await;
    browser.js("Object.defineProperty(document, 'hidden', { value: true })").await;
    browser.until("!state.asking").await;
    let asked = "performance.getEntriesByType('resource').length";
    let before = browser.js(asked).await;
    let rounds = "const done = arguments[0]; setTimeout(done, 3 * EVERY);";
    browser.driver.execute_async(rounds, Vec::new()).await.unwrap();
    assert_eq!(browser.js(asked).await, before);
}
