//! Rows of every storage class in every column a producer may write, from the database's own door to the JSON of the
//! request: each gives a request of allowed properties, or a fault that names its column, and none stops another.
//! More cases: `PROPTEST_CASES=1000 cargo test --test it row_fuzz`.

use std::collections::{BTreeSet, HashMap};

use event_sender::clock::{Clock, Now};
use event_sender::graph::encode;
use event_sender::job::{BodyType, Defaults, EventDraft, Job, MAX_REQUEST_BYTES};
use event_sender::queue::{Agent, ClaimRequest, SqliteQueue, Suspects};
use proptest::prelude::*;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use crate::bed::producer;

/// The columns of the contract a producer writes, and the transaction id, which nobody keeps it from writing.
const COLUMNS: [&str; 14] = [
    "subject",
    "body",
    "start_time",
    "end_time",
    "location",
    "attendees",
    "mailbox",
    "calendar_id",
    "body_type",
    "time_zone",
    "extra",
    "dedup_key",
    "not_before",
    "transaction_id",
];

/// What a request may hold beside what `extra` adds.
const OWN: [&str; 8] =
    ["subject", "body", "start", "end", "location", "attendees", "transactionId", "singleValueExtendedProperties"];

const GOOD: &str = "INSERT INTO jobs (subject, start_time, end_time, mailbox)
    VALUES ('good', '2026-12-01 09:00', '2026-12-01 10:00', 'good@contoso.com')";

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', "' || char(0) || '"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers SQLite stores as they are, or as something else.
const NUMBERS: [&str; 9] = ["9e999", "-9e999", "1e308", "-0.0", "1.5", "5e-324", "0x7fffffffffffffff", "-1", "TRUE"];

/// A value as SQL writes it, of any storage class.
fn anything() -> impl Strategy<Value = String> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| hex(&bytes));
    prop_oneof![
        8 => Just("NULL".to_owned()),
        8 => any::<i64>().prop_map(|number| number.to_string()),
        8 => prop::sample::select(&NUMBERS[..]).prop_map(str::to_owned),
        8 => any::<f64>().prop_filter("SQL has no word for it", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        24 => prop::collection::vec(any::<char>(), 0..24).prop_map(|text| quoted(&String::from_iter(text))),
        12 => bytes().prop_map(|bytes| format!("CAST(x'{bytes}' AS TEXT)")),
        12 => bytes().prop_map(|bytes| format!("x'{bytes}'")),
        1 => (0..3_000_000u32).prop_map(|half| format!("replace(hex(zeroblob({half})), '0', 'x')")),
        1 => (0..6_000_000u32).prop_map(|length| format!("zeroblob({length})")),
    ]
}

/// JSON of any shape, as deep as SQLite takes it and deeper.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-zA-Z@.]{0,8}",
        prop::sample::select(
            &[
                "address",
                "required",
                "type",
                "name",
                "Address",
                "subject",
                "transactionId",
                "TRANSACTIONID",
                "isAllDay",
                "singleValueExtendedProperties",
                "showAs"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    let deep = (1..2000usize, any::<bool>()).prop_map(|(depth, object)| {
        let inner = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        if object { format!("{{\"deep\":{inner}}}") } else { inner }
    });
    prop_oneof![6 => value.prop_map(|value| value.to_string()), 1 => deep]
}

/// A value of `column` that means something, or nearly so.
fn likely(column: &'static str) -> BoxedStrategy<String> {
    let time = "[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?";
    match column {
        "start_time" | "end_time" | "not_before" => prop_oneof![
            time.prop_map(|text| quoted(&text)),
            prop::sample::select(
                &[
                    "0000-01-01T00:00:00",
                    "0001-01-01T00:00:00+14:00",
                    "9999-12-31T23:59:59.9999999-14:00",
                    "-9999-01-01T00:00",
                    "2026-06-30T23:59:60Z",
                    "2026-12-01T24:00:00",
                    "2026-03-29T02:30:00"
                ][..]
            )
            .prop_map(quoted),
        ]
        .boxed(),
        "attendees" | "extra" => json().prop_map(|text| quoted(&text)).boxed(),
        "body_type" => prop::sample::select(&["'text'", "'html'", "'TEXT'"][..]).prop_map(str::to_owned).boxed(),
        "time_zone" => prop::sample::select(
            &["'Europe/Berlin'", "'UTC'", "'W. Europe Standard Time'", "'Pacific/Apia'", "'Nowhere'"][..],
        )
        .prop_map(str::to_owned)
        .boxed(),
        _ => "\\PC{0,40}".prop_map(|text| quoted(&text)).boxed(),
    }
}

/// One INSERT: the times are mostly right, so that the other columns get their turn.
fn insert() -> impl Strategy<Value = String> {
    let column = |name: &'static str| {
        let (left_out, mut wild) = (4, 1);
        if name.ends_with("_time") {
            wild = 0;
        }
        let value = prop_oneof![
            left_out => Just(None),
            2 => likely(name).prop_map(Some),
            wild + 1 => anything().prop_map(Some),
        ];
        value.prop_map(move |value| match (name, value) {
            ("start_time", None) => Some((name, "'2026-12-01 09:00'".to_owned())),
            ("end_time", None) => Some((name, "'2026-12-01 10:00'".to_owned())),
            (name, value) => value.map(|value| (name, value)),
        })
    };
    COLUMNS.map(column).prop_map(|columns| {
        let (names, values): (Vec<&str>, Vec<String>) = columns.into_iter().flatten().unzip();
        format!("INSERT INTO jobs ({}) VALUES ({})", names.join(", "), values.join(", "))
    })
}

async fn run(db: &mut SqliteConnection, statement: &str) -> Result<i64, sqlx::Error> {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(db).await?;
    Ok(done.last_insert_rowid())
}

async fn claimed(queue: &SqliteQueue) -> Vec<Job> {
    let request = ClaimRequest {
        limit: 100_000,
        per_lane: 100_000,
        slots: 100_000,
        free: HashMap::new(),
        suspects: Suspects::default(),
        unnamed: Some("team@contoso.com".into()),
        unnamed_paused: false,
        paced: Default::default(),
        defaults: Defaults {
            mailbox: Some("team@contoso.com".into()),
            body_type: BodyType::Text,
            time_zone: Some("Europe/Berlin".into()),
            own_mailbox: false,
        },
    };
    let mut jobs = Vec::new();
    loop {
        let claimed = queue.claim(&request).await.unwrap();
        jobs.extend(claimed.jobs.into_iter().map(|(_, job)| job));
        // Large rows are taken apart from the others.
        if !claimed.more {
            return jobs;
        }
    }
}

/// Whether it became a request.
fn judge(job: &Job, statement: &str) -> bool {
    let draft = EventDraft::from_input(&job.input, false);
    let bytes = match draft.and_then(|draft| encode(&draft)) {
        Ok(bytes) => bytes,
        Err(invalid) => {
            assert!(COLUMNS.contains(&invalid.column) && !invalid.fault.is_empty(), "{invalid}: {statement}");
            assert!(invalid.fault.len() < 1000, "a fault is a sentence: {statement}");
            return false;
        }
    };
    assert!(bytes.len() <= MAX_REQUEST_BYTES, "{statement}");
    let sent: Value = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {statement}"));
    let extra: Value = match &job.input.extra {
        event_sender::job::Cell::Text(text) => serde_json::from_str(text).unwrap(),
        _ => Value::Null,
    };
    for key in sent.as_object().unwrap().keys() {
        let own = OWN.contains(&key.as_str());
        assert!(own || extra.get(key).is_some(), "'{key}' comes from nowhere: {statement}");
        let added = extra.get(key).is_some() && key != "singleValueExtendedProperties";
        assert!(!(own && added), "'{key}' comes twice: {statement}");
    }
    true
}

fn cases(quick: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(quick);
    ProptestConfig { cases, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn every_row_the_database_takes_is_claimed_and_judged(statements in prop::collection::vec(insert(), 60)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let home = tempfile::tempdir().unwrap();
            // Whatever not_before says, it is over.
            let end_of_time = Now { wall: "9999-12-31T23:59:59.999Z".parse().unwrap(), ..Now::read() };
            let queue = SqliteQueue::open(&home.path().join("queue.db")).await.unwrap();
            let queue = queue.with_clock(Clock::new(move || end_of_time));
            let mut db = producer(queue.path()).await;
            let mut taken: HashMap<i64, &str> = HashMap::new();
            for statement in &statements {
                match run(&mut db, statement).await {
                    Ok(id) => drop(taken.insert(id, statement)),
                    // Refused by a rule of the schema, which says so, and not by an accident.
                    Err(error) => {
                        let error = error.as_database_error().unwrap_or_else(|| panic!("{error}: {statement}"));
                        assert!(error.message().contains("constraint failed"), "{error}: {statement}");
                    }
                }
            }
            let good = run(&mut db, GOOD).await.unwrap();
            taken.insert(good, GOOD);
            let jobs = claimed(&queue).await;
            let seen: BTreeSet<i64> = jobs.iter().map(|job| job.id.0).collect();
            assert_eq!(seen, taken.keys().copied().collect::<BTreeSet<i64>>());
            for job in &jobs {
                let fine = judge(job, taken[&job.id.0]);
                assert!(fine || job.id.0 != good);
            }
        });
    }
}
