//! What docs/schema/api-v1 says of the answers, held against answers.

use std::path::Path;

use event_sender::sandbox::Fault;
use serde_json::{Value, json};

use super::{Page, acting, reading, with_token};
use crate::bed::{Row, row, row_for};

/// Every field there has ever been. A line may be added; one that is taken away breaks somebody's program.
const FIELDS: &str = include_str!("fields.txt");
const ALL: [&str; 12] = [
    "overview",
    "mailboxes",
    "jobs",
    "job",
    "session",
    "sign-in",
    "retry",
    "cancel",
    "hold",
    "release",
    "resume",
    "refusal",
];

fn schema(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/api-v1/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The same, refusing every field it does not describe.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(parts) => {
            parts.values_mut().for_each(|part| *part = closed(part.take()));
            if parts.get("properties").is_some_and(Value::is_object) {
                parts.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| *part = closed(part.take())),
        _ => {}
    }
    schema
}

/// The answer has all the fields of its schema, and no others.
fn assert_fits(name: &str, answer: &Value) {
    let validator = jsonschema::validator_for(&closed(schema(name))).unwrap();
    let wrong: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{answer:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_answer_fits_its_schema() {
    let mut bed = acting().await;
    bed.set_literal("web.show_content", "true");
    bed.sandbox().script(Fault::answer(404, "ErrorInvalidUser").mailbox("nobody@contoso.com").times(0));
    bed.sandbox().script(Fault::answer(403, "ErrorAccessDenied").mailbox("ann@contoso.com").times(0));
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    assert_fits("overview", &page.get("/api/v1/overview").await.body);
    let sent = bed.insert(full()).await;
    bed.until(sent, "sent").await;
    let failed = bed.insert(row_for("nobody@contoso.com")).await;
    bed.until(failed, "failed").await;
    let denied = bed.insert(row_for("ann@contoso.com")).await;
    bed.until_back(denied, "denied").await;
    let later = bed.insert(row().with("not_before", "2099-01-01T00:00:00Z")).await;
    let seen = async || {
        let seen = page.get("/api/v1/overview").await.body;
        (seen["failed"]["jobs"] == 1 && seen["mailboxes"]["all"] == 2).then_some(seen)
    };
    assert_fits("overview", &bed.wait("all is seen", seen).await);
    for (name, path) in [
        ("mailboxes", "mailboxes?search=ann"),
        ("jobs", "jobs"),
        ("jobs", "jobs?state=failed"),
        ("jobs", "jobs?search=ann@contoso.com"),
        ("job", "jobs/1"),
        ("job", "jobs/2"),
        ("job", "jobs/3"),
        ("session", "session"),
    ] {
        assert_fits(name, &page.get(&format!("/api/v1/{path}")).await.body);
    }
    for (name, path, body) in [
        ("retry", "jobs/retry", json!({ "ids": [failed, 99], "dry_run": true })),
        ("retry", "jobs/retry", json!({ "ids": [failed, 99] })),
        ("cancel", "jobs/cancel", json!({ "ids": [later, sent] })),
        ("hold", "mailboxes/hold", json!({ "mailbox": "bob@contoso.com", "reason": "moved" })),
        ("release", "mailboxes/release", json!({ "mailbox": "bob@contoso.com" })),
        ("resume", "mailboxes/resume", json!({ "mailbox": "ann@contoso.com" })),
    ] {
        let answer = page.act(&format!("/api/v1/{path}"), body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_fits(name, &answer.body);
    }
    assert_fits("sign-in", &page.sign_in(super::TOKEN).await.body);
}

/// A row in which everything stands.
fn full() -> Row {
    row()
        .with("subject", "Review")
        .with("body", "Agenda attached.")
        .with("location", "Room 1")
        .with("attendees", "[{\"address\":\"zoe@contoso.com\"}]")
        .with("extra", "{\"categories\":[\"Blue\"]}")
        .with("dedup_key", "order 4711/1")
        .with("event_key", "order-4711")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_refusal_fits_its_schema_and_a_page_without_content_fits_all_of_them() {
    let mut bed = reading().await;
    with_token(&mut bed);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let sent = bed.insert(full()).await;
    bed.until(sent, "sent").await;
    for (name, path) in [("overview", "overview"), ("jobs", "jobs"), ("job", "jobs/1"), ("session", "session")] {
        assert_fits(name, &page.get(&format!("/api/v1/{path}")).await.body);
    }
    for path in ["/nothing", "/api/v1/jobs/99", "/api/v1/jobs?state=x"] {
        assert_fits("refusal", &page.get(path).await.body);
    }
    assert_fits("refusal", &page.act("/api/v1/jobs/retry", json!({ "ids": [1] })).await.body);
    assert_fits("refusal", &page.sign_in("wrong").await.body);
}

/// Fields that a schema requires, as paths.
fn required(path: &str, schema: &Value, found: &mut Vec<String>) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let path = format!("{path}.{name}");
        found.push(path.clone());
        required(&path, &schema["properties"][name], found);
    }
    if schema["items"].is_object() {
        required(&format!("{path}[]"), &schema["items"], found);
    }
}

#[test]
fn fields_are_only_ever_added_and_each_is_always_there() {
    let mut found = Vec::new();
    ALL.iter().for_each(|name| required(name, &schema(name), &mut found));
    let known: Vec<&str> = FIELDS.lines().collect();
    let gone: Vec<&&str> = known.iter().filter(|field| !found.iter().any(|one| one == *field)).collect();
    assert!(gone.is_empty(), "programs read these fields: {gone:#?}");
    let new: Vec<&String> = found.iter().filter(|field| !known.contains(&field.as_str())).collect();
    assert!(new.is_empty(), "add to fields.txt: {new:#?}");
}

#[test]
fn each_schema_is_one_and_each_file_is_held_against_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/api-v1");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort_unstable();
    let mut all = ALL;
    all.sort_unstable();
    assert_eq!(files, all);
    for name in ALL {
        let schema = schema(name);
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
    }
}
