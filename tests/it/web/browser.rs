//! The page in a real browser, `chromium` of the system. Its own step, as not every machine has one:
//! `cargo test --test it web::browser -- --ignored`. Pictures to look at are left in `$EVENT_SENDER_PICTURES`, if that is set.

use std::path::Path;
use std::process::Command;

use event_sender::sandbox::Fault;

use super::{Page, acting, reading};
use crate::bed::{Bed, row, row_for};

/// What the page has become, as the browser has it after so long.
async fn seen(bed: &Bed, page: &Page, hash: &str) -> String {
    let chromium = |arguments: Vec<String>| {
        let profile = bed.home().join("profile");
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=4000",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).args(arguments);
        tokio::task::spawn_blocking(move || command.output().expect("chromium runs"))
    };
    let url = format!("http://{}/{hash}", page.address);
    if let Some(pictures) = std::env::var_os("EVENT_SENDER_PICTURES") {
        let name = std::thread::current().name().unwrap_or("page").rsplit("::").next().unwrap_or("page").to_owned();
        let picture = Path::new(&pictures).join(format!("{name}{}.png", hash.replace(['#', '/'], "-")));
        chromium(vec![format!("--screenshot={}", picture.display()), "--window-size=1320,1100".into(), url.clone()])
            .await
            .unwrap();
    }
    let output = chromium(vec!["--dump-dom".into(), url]).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn an_empty_queue_says_how_to_insert() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let dom = seen(&bed, &page, "").await;
    assert!(
        dom.contains("All is well") && dom.contains("The queue is empty") && dom.contains("INSERT INTO jobs"),
        "{dom}"
    );
    assert!(dom.contains("● live") && dom.contains("✓ None."), "{dom}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn failures_mailboxes_and_a_job_are_shown_and_markup_in_a_row_is_text() {
    let bed = acting().await;
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    bed.command(&["hold", "bob@contoso.com", "--reason", "<img src=x onerror=alert(1)>"]).await.expect(0);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    bed.insert_all(["nobody@contoso.com", "nobody@contoso.com", "bob@contoso.com"].map(row_for)).await;
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
    bed.until_count(2, "failed").await;
    let failed =
        async || (page.get("/api/v1/overview").await.body["tiles"]["failed"]["last_24_hours"] == 2).then_some(());
    bed.wait("the failures are seen", failed).await;
    let dom = seen(&bed, &page, "").await;
    assert!(dom.contains("no mailbox") && dom.contains("There is no such mailbox.") && dom.contains("Retry…"), "{dom}");
    assert!(dom.contains("on hold") && dom.contains("&lt;img src=x") && !dom.contains("<img src=x"), "{dom}");
    let job = seen(&bed, &page, "#/jobs/1").await;
    assert!(job.contains("Job 1") && job.contains("Timeline") && job.contains("request-id"), "{job}");
    let found = seen(&bed, &page, "#/search/bob%40contoso.com").await;
    assert!(found.contains("1 job found by"), "{found}");
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
    let paused = async || Some(seen(&bed, &page, "").await).filter(|dom| dom.contains("NOTHING IS SENT"));
    let dom = bed.wait("the page says so", paused).await;
    assert!(dom.contains("next try") && dom.contains("Nothing is lost: 1 job waits."), "{dom}");
}
