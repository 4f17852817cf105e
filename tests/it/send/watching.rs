//! How the agent learns of new rows: by a watch that pauses while there is enough to do, and by looking now and then where no
//! watch can be had.

use std::process::Command;

use crate::bed::{Bed, row_for};

/// The poll interval is longer than any test, so only the watch can tell.
#[tokio::test]
async fn a_row_is_noticed_after_a_crowd_of_rows_let_the_watch_pause() {
    let mut bed = Bed::new().await;
    bed.set("queue.poll_interval", "1h");
    bed.set("delivery.max_in_flight", "8");
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let mut sent = 0;
    for crowd in [1, 300, 1, 1, 300, 7, 1] {
        bed.insert_all((0..crowd).map(|n| row_for(&format!("user{}@contoso.com", n % 20)))).await;
        sent += crowd;
        bed.until_count(sent, "sent").await;
    }
    bed.assert_one_event_each().await;
    agent.stop().await.expect(0);
}

/// In a namespace of its own a process may be forbidden all watches without anybody else noticing.
#[tokio::test]
async fn without_a_file_watch_the_queue_is_polled_and_the_log_says_so() {
    let mut bed = Bed::new().await;
    bed.set("queue.poll_interval", "50ms");
    let agent = bed.run_by(|binary| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c"]);
        command.arg("echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" run").arg(binary.get_program());
        command.env_clear().envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(binary.get_current_dir().unwrap());
        command
    });
    bed.until_said(&agent, "agent started").await;
    let told = agent.said("queue cannot be watched, polling it instead");
    assert_eq!(told.len(), 1, "{}", agent.output.all());
    assert_eq!(told[0]["level"], "WARN");
    assert!(told[0]["error"].as_str().unwrap().contains("refuses a watch"), "{}", told[0]);
    for sent in 1..=3 {
        bed.insert_all([row_for("ann@contoso.com")]).await;
        bed.until_count(sent, "sent").await;
    }
    agent.stop().await.expect(0);
}
