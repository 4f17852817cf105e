//! A backup that is put back: what was sent after it was taken is sent no second time.

use event_sender::sandbox::OptionsChange;

use crate::bed::{Bed, row, row_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_sent_after_the_backup_is_looked_up_and_not_sent_again() {
    let bed = Bed::new().await;
    // The hardest case: Exchange has forgotten the transaction ids, only the marker is left.
    bed.sandbox().configure(OptionsChange { deduplicate: Some(false), ..OptionsChange::default() });
    bed.command(&["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"]).await.expect(0);
    let offset = "2026-12-01T09:00:00+01:00";
    bed.insert(row_for("ann@contoso.com").with("start_time", offset).with("end_time", offset)).await;
    let backup = bed.home().join("backup.db");
    bed.sql(&format!("VACUUM INTO '{}'", backup.display())).await;
    let agent = bed.run();
    bed.until_count(2, "sent").await;
    let held = bed.command(&["after-restore"]).await.expect(69);
    assert!(held.stderr.contains("stop it first"), "{held:?}");
    agent.stop().await.expect(0);

    bed.put_back(&backup).await;
    let new = bed.insert(row()).await;
    let would = bed.command(&["after-restore", "--dry-run"]).await.expect(0);
    assert_eq!(would.stdout, "would mark 3 waiting jobs to be looked up before they are sent\n");
    let marked = bed.command(&["after-restore"]).await.expect(0);
    assert!(marked.stdout.starts_with("marked 3 waiting jobs "), "{marked:?}");
    let agent = bed.run();
    bed.until_count(3, "sent").await;
    assert_eq!(bed.creates(None).len(), 3, "two before, and the one that is new");
    assert_eq!(bed.job(new).await.attempts, 1);
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}
