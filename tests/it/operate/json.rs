//! `--json` of every command, held against its schema in `docs/schema/cli`. A field that is missing fails, and so does one that
//! the schema does not know: fields are only ever added, and each is described.

use std::collections::BTreeSet;
use std::path::PathBuf;

use event_sender::sandbox::Fault;
use serde_json::{Value, json};

use crate::bed::{Bed, MAILBOX, row, row_for};

fn schemas() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/schema/cli")
}

fn schema(name: &str) -> Value {
    let text = std::fs::read_to_string(schemas().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// With no room for what it does not describe.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") {
                object.insert("additionalProperties".into(), json!(false));
            }
            object.values_mut().for_each(strict);
        }
        Value::Array(parts) => parts.iter_mut().for_each(strict),
        _ => {}
    }
}

fn faults(name: &str, printed: &Value) -> Vec<String> {
    let mut schema = schema(name);
    strict(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(printed).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What is printed, if it is as its schema has it.
async fn printed(bed: &Bed, name: &str, arguments: &[&str]) -> Value {
    let ran = bed.command(&[arguments, &["--json"]].concat()).await;
    let printed = ran.json();
    assert_eq!(faults(name, &printed), Vec::<String>::new(), "{arguments:?}: {printed}");
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_each_command_prints_is_as_its_schema_has_it() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox("busy@contoso.com").retry_after("600"));
    bed.sandbox().script(Fault::answer(503, "ErrorServerBusy").mailbox("ann@contoso.com"));
    let agent = bed.run();
    let rich = row_for("ann@contoso.com")
        .with(
            "attendees",
            r#"[{"name":"Cy","address":"cy@contoso.com","required":true},{"Address":"r@b.c","type":"resource"}]"#,
        )
        .with("extra", r#"{"showAs":"oof"}"#)
        .with("event_key", "visit-7");
    let sent = bed.insert(rich).await;
    let failed = bed.insert(row().with("end_time", "2026-02-30 10:00")).await;
    let waiting = bed.insert(row_for("busy@contoso.com")).await;
    bed.until(sent, "sent").await;
    bed.until(failed, "failed").await;
    bed.until_back(waiting, "throttled").await;

    let status = printed(&bed, "status", &["status"]).await;
    assert_eq!(
        (&status["agent_running"], &status["paused_mailboxes"][0]["mailbox"]),
        (&json!(true), &json!("busy@contoso.com"))
    );
    agent.stop().await.expect(0);

    let list = printed(&bed, "list", &["list"]).await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["in_doubt"]), (3, &json!(false)));
    let id = sent.to_string();
    let shown = printed(&bed, "show", &["show", &id]).await;
    assert_eq!(
        (&shown["attendees"][0]["address"], &shown["extra"]["showAs"]),
        (&json!("cy@contoso.com"), &json!("oof"))
    );
    assert_eq!(shown["history"].as_array().unwrap().len(), 2, "{shown}");
    printed(&bed, "show", &["show", &failed.to_string()]).await;
    let event = printed(&bed, "show-event", &["show", "--key", "visit-7"]).await;
    assert_eq!(event["verdict"], "exists");
    printed(&bed, "check", &["check", "--offline"]).await;

    let changed = printed(&bed, "retry", &["retry", &waiting.to_string(), "999"]).await;
    assert_eq!(changed["skipped"][0]["id"], 999, "{changed}");
    printed(&bed, "cancel", &["cancel", &waiting.to_string()]).await;
    printed(&bed, "hold", &["hold", "BUSY@contoso.com", "--reason", "moving"]).await;
    let held = printed(&bed, "hold-list", &["hold", "--list"]).await;
    assert_eq!(held[0]["reason"], "moving");
    let status = printed(&bed, "status", &["status"]).await;
    assert_eq!(status["held_mailboxes"][0]["held_reason"], "moving");
    printed(&bed, "release", &["release", "busy@contoso.com", "nobody@contoso.com"]).await;
    printed(&bed, "resume", &["resume", "busy@contoso.com"]).await;
    printed(&bed, "after-restore", &["after-restore", "--dry-run"]).await;
    printed(&bed, "purge", &["purge", "--older-than", "0s", "--state", "failed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn enqueue_says_what_went_in_from_which_file_and_what_did_not() {
    let bed = Bed::new().await;
    let line = |extra: &str| format!(r#"{{"start_time":"2030-12-01T09:00","end_time":"2030-12-01T10:00"{extra}}}"#);
    std::fs::write(bed.home().join("good.ndjson"), format!("{}\n{}\n", line(""), line(r#","subject":"Two""#))).unwrap();
    std::fs::write(bed.home().join("bad.ndjson"), format!("{}\n{}\n", line(""), line(r#","subjct":"x""#))).unwrap();
    let told = printed(&bed, "enqueue", &["enqueue", "good.ndjson", "bad.ndjson"]).await;
    assert_eq!((&told["inserted"], &told["ids"]), (&json!(2), &json!([1, 2])));
    let files: Vec<_> =
        told["files"].as_array().unwrap().iter().map(|file| (&file["file"], &file["inserted"])).collect();
    assert!(files.contains(&(&json!("good.ndjson"), &json!(2))) && files.contains(&(&json!("bad.ndjson"), &json!(0))));
    let skipped = printed(&bed, "enqueue", &["enqueue", "--skip-invalid", "bad.ndjson"]).await;
    assert_eq!((&skipped["ids"], &skipped["files"][0]["inserted"]), (&json!([3]), &json!(1)));
    assert!(skipped["files"][0]["problems"][0].as_str().unwrap().contains("did you mean subject?"), "{skipped}");
    let dry = printed(&bed, "enqueue", &["enqueue", "--dry-run", "good.ndjson"]).await;
    assert_eq!((&dry["dry_run"], &dry["inserted"], &dry["ids"]), (&json!(true), &json!(2), &json!([])));
    let flags = ["enqueue", "--start", "2030-12-01 09:00", "--end", "2030-12-01 10:00", "--mailbox", MAILBOX];
    let one = printed(&bed, "enqueue", &flags).await;
    assert_eq!((&one["ids"], &one["files"][0]["file"]), (&json!([4]), &Value::Null));
}

#[test]
fn every_schema_is_one_describes_each_field_and_is_named_on_the_page() {
    let page = std::fs::read_to_string(schemas().join("../../json.md")).unwrap();
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(schemas()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let name = file.strip_suffix(".json").unwrap().to_owned();
        assert!(jsonschema::meta::is_valid(&schema(&name)), "{name}");
        assert!(page.contains(&format!("schema/cli/{file}")), "{file} is not on docs/json.md");
        names.insert(name);
    }
    assert!(names.contains("list") && names.len() >= 14, "{names:?}");
}

#[test]
fn a_field_that_is_missing_or_not_described_is_a_fault() {
    let good = json!({ "dry_run": true, "purged": 1, "kept_in_doubt": 0 });
    assert!(faults("purge", &good).is_empty());
    for (field, value) in [("purged", json!("1")), ("new", json!(1))] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(faults("purge", &bad).len(), 1, "{field}");
    }
    assert_eq!(faults("purge", &json!({ "dry_run": true, "purged": 1 })).len(), 1);
}
