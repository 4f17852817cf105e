//! The page without a mouse.

use event_sender::sandbox::Fault;

use super::super::{Page, acting, reading};
use super::Browser;
use crate::bed::{row, row_for};

/// As WebDriver writes them.
const ESCAPE: &str = "\u{e00c}";
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn rows_are_walked_opened_retried_and_held_by_keys() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert_all(["nobody@contoso.com", "nobody@contoso.com"].map(row_for)).await;
    bed.until_count(2, "failed").await;
    bed.insert(row_for("ann@contoso.com").with("not_before", "2099-01-01T00:00:00Z")).await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.tiles.failed.last_24_hours === 2 && state.data.mailboxes.all === 1").await;
    let marked = async |text: &str| {
        browser
            .until(&format!("(document.querySelector('tr.at') || document.body).innerText.startsWith('{text}')"))
            .await;
    };
    browser.keys("j").await;
    marked("no mailbox").await;
    browser.keys("jj").await;
    marked("ann@contoso.com").await;
    browser.keys("k").await;
    marked("no mailbox").await;
    browser.keys("r").await;
    browser.until_reads(&["Token of web.token_file"]).await;
    browser.keys(ESCAPE).await;
    browser.until("!document.getElementById('dialog').open").await;
    browser.keys("jh").await;
    browser.until_reads(&["Token of web.token_file"]).await;
    browser.keys(super::super::TOKEN).await;
    browser.keys(ENTER).await;
    browser.until_reads(&["Hold ann@contoso.com?"]).await;
    browser.keys("moves").await;
    browser.keys(ENTER).await;
    browser.until_reads(&["ann@contoso.com is held", "on hold", "moves"]).await;
    browser.keys("h").await;
    browser.until_reads(&["Release ann@contoso.com?"]).await;
    // Before the page is drawn again, too, nothing of the dialog can be pressed.
    let after = "(document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })),
        document.getElementById('dialog').contains(document.activeElement))";
    assert!(browser.js("document.getElementById('dialog').contains(document.activeElement)").await == true);
    assert!(browser.js(after).await == false, "the button that releases has the focus still");
    browser.until("!document.getElementById('dialog').open").await;
    browser.keys("k").await;
    browser.keys(ENTER).await;
    browser.until_reads(&["no mailbox: 2 jobs"]).await;
    browser.keys("jj").await;
    browser.keys(ENTER).await;
    browser.until_reads(&["Job 1", "Timeline"]).await;
    browser.keys("r").await;
    browser.until_reads(&["Retry 1 job?"]).await;
    browser.keys(ESCAPE).await;
    browser.until("!document.getElementById('dialog').open").await;
    browser.keys(ESCAPE).await;
    browser.until_reads(&["Failed jobs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn a_slash_searches_a_question_mark_helps_and_p_pauses() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let id = bed.insert(row().with("dedup_key", "order 4711/1")).await;
    bed.until(id, "sent").await;
    let browser = Browser::open(&page, "").await;
    browser.until_reads(&["● live"]).await;
    browser.keys("?").await;
    browser.until_reads(&["search jobs"]).await;
    browser.keys(ESCAPE).await;
    browser.until("!document.getElementById('dialog').open").await;
    browser.keys("p").await;
    browser.until_reads(&["updates paused"]).await;
    browser.keys("p").await;
    browser.until_reads(&["● live"]).await;
    browser.keys("/").await;
    browser.until("document.activeElement.id === 'search'").await;
    browser.keys("order 4711/1").await;
    browser.keys(ENTER).await;
    browser.until_reads(&["1 job found by “order 4711/1”"]).await;
    // The address is what is sent to a colleague.
    let link = browser.driver.current_url().await.unwrap().to_string();
    assert!(link.ends_with("/#/search/order%204711%2F1"), "{link}");
    browser.keys(ESCAPE).await;
    browser.until_reads(&["Failed jobs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn tab_reaches_everything_and_what_has_the_focus_shows_it() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert(row_for("ann@contoso.com").with("not_before", "2099-01-01T00:00:00Z")).await;
    let browser = Browser::open(&page, "").await;
    browser.until("state.data && state.data.mailboxes.all === 1").await;
    browser.keys("p").await;
    let mut reached = Vec::new();
    for _ in 0..14 {
        browser.keys(TAB).await;
        let at = "(e => e.id || e.getAttribute('aria-label') || e.innerText)(document.activeElement)";
        reached.push(browser.js(at).await.as_str().unwrap_or_default().to_owned());
        let ring = "getComputedStyle(document.activeElement).outlineStyle !== 'none' || document.activeElement.matches('body, .skip')";
        assert!(browser.js(ring).await == true, "{reached:?}");
    }
    for wanted in [
        "Skip to the content",
        "pause",
        "zone",
        "account",
        "search",
        "filter",
        "ann@contoso.com",
        "Hold ann@contoso.com",
    ] {
        assert!(reached.iter().any(|one| one == wanted), "{wanted}: {reached:?}");
    }
}
