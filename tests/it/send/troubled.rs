//! Mailboxes in trouble together get at most half of all slots; one that has nothing more to send needs none.

use event_sender::sandbox::Fault;

use crate::bed::{Bed, row_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mailboxes_in_trouble_that_have_nothing_to_send_hold_no_other_up() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight", "2");
    bed.set("delivery.max_attempts", "2");
    let broken: Vec<String> = (0..16).map(|n| format!("broken{n}@contoso.com")).collect();
    for mailbox in &broken {
        bed.sandbox().script(Fault::answer(500, "ErrorInternalServerError").mailbox(mailbox).times(0));
    }
    bed.sandbox().script(Fault::answer(500, "ErrorInternalServerError").mailbox("passing@contoso.com"));
    let _agent = bed.run();
    let given_up = bed.insert_all(broken.iter().map(|mailbox| row_for(mailbox))).await;
    bed.until_count(given_up.len(), "failed").await;
    let passing = bed.insert(row_for("passing@contoso.com")).await;
    assert_eq!(bed.until(passing, "sent").await.attempts, 2);
}
