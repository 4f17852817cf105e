//! `check` as a doctor: whatever is wrong is found, said in words, and told apart from what only looks like it.

mod files;
mod mailboxes;
mod network;
mod queue;
mod token;

use serde_json::Value;

use crate::bed::Bed;
use crate::process::Ran;

/// The lines of one check, such as `token`.
fn lines<'a>(ran: &'a Ran, check: &str) -> Vec<&'a str> {
    let of = |line: &&str| line.split_whitespace().nth(1) == Some(check);
    ran.stdout.lines().filter(of).collect()
}

/// The one line of this grade and check, with all of these parts.
fn says(ran: &Ran, grade: &str, check: &str, parts: &[&str]) {
    let fits = |line: &&str| line.starts_with(grade) && parts.iter().all(|part| line.contains(part));
    let found = lines(ran, check).into_iter().filter(fits).count();
    assert_eq!(found, 1, "{grade} {check} {parts:?} in\n{}\n{}", ran.stdout, ran.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_areas_come_in_their_order_and_json_says_the_same() {
    let bed = Bed::new().await;
    let ran = bed.command(&["check"]).await.expect(0);
    let mut areas: Vec<&str> = ran.stdout.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    areas.dedup();
    let order =
        ["settings", "zones", "permissions", "database", "agent", "network", "clock", "token", "secret", "mailbox"];
    assert_eq!(areas, order, "{ran:?}");

    let json = bed.command(&["check", "--json"]).await.expect(0).json();
    assert_eq!((&json["worst"], &json["exit_code"]), (&Value::from("pass"), &Value::from(0)));
    let checks = json["checks"].as_array().unwrap();
    assert_eq!(checks.len(), ran.stdout.lines().count());
    for (line, object) in ran.stdout.lines().zip(checks) {
        let grade = object["grade"].as_str().unwrap().to_uppercase();
        assert!(line.starts_with(&grade) && line.contains(object["check"].as_str().unwrap()), "{line} {object}");
    }

    let mut bed = Bed::new().await;
    bed.set("defaults.mailbox", "denied@contoso.com");
    let ran = bed.command(&["check", "--json"]).await.expect(1);
    let json = ran.json();
    assert_eq!((&json["worst"], &json["exit_code"]), (&Value::from("fail"), &Value::from(1)));
    let failed: Vec<&Value> = json["checks"].as_array().unwrap().iter().filter(|one| one["grade"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{json}");
    assert_eq!(failed[0]["subject"], "denied@contoso.com");
    assert!(
        failed[0]["cure"].as_str().unwrap().contains("RBAC") && !failed[0]["text"].as_str().unwrap().contains("RBAC")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settings_that_cannot_be_read_end_with_78_in_json_too_and_hide_no_queue() {
    let mut bed = Bed::new().await;
    bed.unset("auth.client_secret");
    let json = bed.command(&["check", "--json"]).await.expect(78).json();
    assert_eq!(
        (&json["exit_code"], &json["checks"][0]["subject"]),
        (&Value::from(78), &Value::from("auth.client_secret"))
    );
    let of_database = |one: &&Value| one["check"] == "database";
    assert_eq!(json["checks"].as_array().unwrap().iter().find(of_database).unwrap()["grade"], "pass");
}
