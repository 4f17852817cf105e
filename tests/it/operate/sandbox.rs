//! The sandbox as a command: settings into a new file, and an address that is taken.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::bed::Bed;
use crate::process::{LOOK, PATIENCE, Process};

async fn until_said(process: &mut Process, what: &str) -> String {
    let start = std::time::Instant::now();
    loop {
        let said = process.output.stdout.lock().unwrap().clone();
        if said.contains(what) {
            return said;
        }
        assert!(process.ended().is_none() && start.elapsed() < PATIENCE, "{}", process.output.all());
        tokio::time::sleep(LOOK).await;
    }
}

fn url(said: &str) -> String {
    said.split("listening on ").nth(1).unwrap().split(". ").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_it_writes_are_settings_with_which_the_agent_sends_to_it() {
    let bed = Bed::new().await;
    let mut sandbox = bed.spawn(&["sandbox", "--listen", "127.0.0.1:0", "--write", "mine.toml"]);
    let said = until_said(&mut sandbox, "event-sender enqueue --config mine.toml").await;
    assert!(said.contains("Wrote mine.toml.") && said.contains("event-sender run --config mine.toml"), "{said}");
    let file = bed.home().join("mine.toml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let job =
        ["--config", "mine.toml", "--start", "2030-12-01 09:00", "--end", "2030-12-01 09:30", "--subject", "Visit"];
    bed.bare_command(&[&["enqueue"], &job[..]].concat()).await.expect(0);
    bed.bare_command(&["run", "--config", "mine.toml", "--until-empty"]).await.expect(0);
    let page = reqwest::get(url(&said)).await.unwrap().text().await.unwrap();
    assert!(page.contains("<h3>calendar@contoso.com</h3>") && page.contains(">Visit</td>"), "{page}");
    sandbox.signal("INT");
    sandbox.end().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_is_there_is_left_as_it_is() {
    let bed = Bed::new().await;
    let file = bed.home().join("agent.toml");
    std::fs::write(&file, "mine").unwrap();
    let ran = bed.bare_command(&["sandbox", "--listen", "127.0.0.1:0", "--write", "agent.toml"]).await.expect(1);
    assert!(ran.stderr.contains("agent.toml is there already") && ran.stdout.is_empty(), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_that_is_taken_comes_with_the_cure_and_leaves_no_file() {
    let bed = Bed::new().await;
    let taken = bed.sandbox().address().to_string();
    let ran = bed.bare_command(&["sandbox", "--listen", &taken, "--write", "new.toml"]).await.expect(1);
    assert!(ran.stderr.contains(&taken) && ran.stderr.contains("--listen 127.0.0.1:0"), "{ran:?}");
    assert!(!Path::new(&bed.home().join("new.toml")).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn armed_faults_can_be_looked_at() {
    let bed = Bed::new().await;
    let (url, http) = (format!("{}/sandbox/faults", bed.sandbox().url()), reqwest::Client::new());
    http.post(&url).body(json!({ "times": 3, "action": "lost_reply" }).to_string()).send().await.unwrap();
    let armed: serde_json::Value =
        serde_json::from_str(&http.get(&url).send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(
        (&armed[0]["times"], &armed[0]["action"], &armed[0]["on"]),
        (&json!(3), &json!("lost_reply"), &json!("create"))
    );
}
