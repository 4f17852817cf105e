//! `enqueue`: from flags, from files, from stdin; everything or nothing.

use serde_json::json;

use crate::bed::{Bed, row};

const TIMES: [&str; 4] = ["--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["enqueue"], &TIMES[..], more].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_job_by_flags_is_inserted_and_sent_as_described() {
    let bed = Bed::new().await;
    let ran = bed
        .command(&with(&[
            "--subject",
            "Review",
            "--body",
            "<p>Hi</p>",
            "--body-type",
            "html",
            "--location",
            "Room 1",
            "--attendee",
            "Ann Example <ann@contoso.com>",
            "--attendee",
            "bob@contoso.com",
            "--optional",
            "cy@contoso.com",
            "--resource",
            "room1@contoso.com",
            "--mailbox",
            "team@contoso.com",
            "--calendar-id",
            "AAMkCal",
            "--time-zone",
            "Europe/Berlin",
            "--extra",
            r#"{"showAs":"oof"}"#,
            "--dedup-key",
            "order-1",
        ]))
        .await
        .expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("1\n", ""));
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let event = bed.event_of(1).await;
    assert_eq!((event.mailbox.as_str(), event.calendar_id.as_deref()), ("team@contoso.com", Some("AAMkCal")));
    assert_eq!(
        event.received["attendees"],
        json!([
            {"emailAddress": {"address": "ann@contoso.com", "name": "Ann Example"}, "type": "required"},
            {"emailAddress": {"address": "bob@contoso.com"}, "type": "required"},
            {"emailAddress": {"address": "cy@contoso.com"}, "type": "optional"},
            {"emailAddress": {"address": "room1@contoso.com"}, "type": "resource"},
        ])
    );
    assert_eq!(event.received["body"], json!({"contentType": "html", "content": "<p>Hi</p>"}));
    assert_eq!(event.received["start"], json!({"dateTime": "2026-12-01T09:00:00", "timeZone": "Europe/Berlin"}));
    assert_eq!((&event.received["subject"], &event.received["showAs"]), (&json!("Review"), &json!("oof")));
    assert_eq!(event.received["location"]["displayName"], "Room 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_cannot_become_an_event_is_refused_before_it_is_inserted() {
    let bed = Bed::new().await;
    for (arguments, part) in [
        (vec!["enqueue", "--start", "2026-02-30 09:00", "--end", "2026-03-01 09:00"], "start_time"),
        (vec!["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 08:00"], "end_time"),
        (with(&["--attendee", "Ann"]), "attendees"),
        (with(&["--extra", "[]"]), "extra"),
        (with(&["--extra", r#"{"subject":"x"}"#]), "extra"),
        (with(&["--body-type", "markdown"]), "body_type"),
        (with(&["--not-before", "soon"]), "not_before"),
    ] {
        let ran = bed.command(&arguments).await.expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(part), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("nothing was inserted"), "{ran:?}");
    }
    assert!(bed.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dedup_key_that_is_taken_is_refused() {
    let bed = Bed::new().await;
    bed.command(&with(&["--dedup-key", "order-1"])).await.expect(0);
    let ran = bed.command(&with(&["--dedup-key", "order-1"])).await.expect(1);
    assert!(ran.stderr.contains("dedup_key") && ran.stderr.contains("order-1"), "{ran:?}");
    assert_eq!(bed.jobs().await.len(), 1);
}

const NDJSON: &str = r#"{"subject":"One","start_time":"2026-12-01T09:00:00","end_time":"2026-12-01T10:00:00","attendees":[{"name":"Ann","address":"ann@contoso.com","required":true}]}

{"subject":null,"start_time":"2026-12-01T09:00:00","end_time":"2026-12-01T10:00:00","extra":{"showAs":"oof"}}
{"subject":"Three","start_time":"2026-12-01T09:00:00","end_time":"2026-12-01T10:00:00","attendees":"[]"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ndjson_from_a_file_and_from_stdin_becomes_jobs() {
    let bed = Bed::new().await;
    std::fs::write(bed.home().join("jobs.ndjson"), NDJSON).unwrap();
    assert_eq!(bed.command(&["enqueue", "jobs.ndjson"]).await.expect(0).stdout, "1\n2\n3\n");
    assert_eq!(bed.command_reading(NDJSON, &["enqueue", "-"]).await.expect(0).stdout, "4\n5\n6\n");
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.event_of(4).await.received["attendees"][0]["emailAddress"]["name"], "Ann");
    let second = bed.event_of(2).await.received;
    assert!(second.get("subject").is_none() && second["showAs"] == "oof", "{second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn csv_from_a_file_and_from_stdin_becomes_jobs_and_empty_fields_are_null() {
    let bed = Bed::new().await;
    let csv = "\u{feff}subject,start_time,end_time,body,attendees\r\n\
        \"Kick-off, part 1\",2026-12-01 09:00,2026-12-01 10:00,\"two\nlines\",\"[{\"\"address\"\":\"\"ann@contoso.com\"\",\"\"required\"\":false}]\"\r\n\
        ,2026-12-01 09:00,2026-12-01 10:00,,\r\n";
    std::fs::write(bed.home().join("jobs.csv"), csv).unwrap();
    assert_eq!(bed.command(&["enqueue", "jobs.csv"]).await.expect(0).stdout, "1\n2\n");
    assert_eq!(bed.command_reading(csv, &["enqueue", "--format", "csv", "-"]).await.expect(0).stdout, "3\n4\n");
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let first = bed.event_of(1).await.received;
    assert_eq!((&first["subject"], &first["body"]["content"]), (&json!("Kick-off, part 1"), &json!("two\nlines")));
    assert_eq!(first["attendees"][0]["type"], "optional");
    let second = bed.event_of(2).await.received;
    assert!(second.get("subject").is_none() && second.get("body").is_none() && second.get("attendees").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_goes_in_whole_or_not_at_all_and_every_bad_line_is_named() {
    let bed = Bed::new().await;
    let good = r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00"}"#;
    let lines = [
        good,
        r#"{"start_time":"2026-12-01 09:00"}"#,
        good,
        r#"{"start_time":"2026-02-30 09:00","end_time":"2026-12-01 10:00"}"#,
        "not json",
        r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00","stat":"sent"}"#,
        r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00","subject":5}"#,
        "[]",
    ];
    let ran = bed.command_reading(&lines.join("\n"), &["enqueue", "-"]).await.expect(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("nothing was inserted"), "{ran:?}");
    for (number, part) in
        [(2, "end_time"), (4, "start_time"), (5, "JSON"), (6, "'stat'"), (7, "subject"), (8, "object")]
    {
        let place = format!("line {number}:");
        let line =
            ran.stderr.lines().find(|line| line.contains(&place)).unwrap_or_else(|| panic!("{place} in {ran:?}"));
        assert!(line.contains(part), "{line}");
    }
    assert!(!ran.stderr.contains("line 1:") && !ran.stderr.contains("line 3:"), "{ran:?}");

    // What only the database can see takes the others along too.
    bed.insert(row().with("dedup_key", "taken")).await;
    let twice = format!("{good}\n{}\n", good.replace('}', r#","dedup_key":"taken"}"#));
    let ran = bed.command_reading(&twice, &["enqueue", "-"]).await.expect(1);
    assert!(ran.stderr.contains("line 2") && ran.stderr.contains("taken"), "{ran:?}");
    assert_eq!(bed.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bad_csv_is_refused_with_its_line() {
    let bed = Bed::new().await;
    let unknown = "subject,begin,end_time\nx,2026-12-01 09:00,2026-12-01 10:00\n";
    let ran = bed.command_reading(unknown, &["enqueue", "--format", "csv", "-"]).await.expect(1);
    assert!(ran.stderr.contains("'begin'") && ran.stderr.contains("start_time"), "{ran:?}");
    let fault =
        "subject,start_time,end_time\na,2026-12-01 09:00,2026-12-01 10:00\nb,2026-13-01 09:00,2026-12-01 10:00\n";
    let ran = bed.command_reading(fault, &["enqueue", "--format", "csv", "-"]).await.expect(1);
    assert!(ran.stderr.contains("line 3") && ran.stderr.contains("start_time"), "{ran:?}");
    let ragged = "subject,start_time,end_time\na,2026-12-01 09:00\n";
    bed.command_reading(ragged, &["enqueue", "--format", "csv", "-"]).await.expect(1);
    let ran = bed.command_reading("", &["enqueue", "-"]).await.expect(1);
    assert!(!ran.stderr.is_empty());
    bed.command(&["enqueue", "no-such.csv"]).await.expect(1);
    assert!(bed.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn enqueue_works_beside_a_running_agent_and_makes_a_missing_queue() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.command(&with(&["--subject", "beside"])).await.expect(0);
    bed.until(1, "sent").await;

    let queue = bed.home().join("new/queue.db");
    bed.set("queue.path", queue.to_str().unwrap());
    assert_eq!(bed.command(&with(&[])).await.expect(0).stdout, "1\n");
    assert!(queue.exists());
}

const GOOD: &str = r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_file_goes_in_or_not_by_itself_and_a_bad_one_keeps_no_other_out() {
    let bed = Bed::new().await;
    std::fs::write(bed.home().join("a.ndjson"), format!("{GOOD}\n{GOOD}\n")).unwrap();
    std::fs::write(bed.home().join("b.ndjson"), format!("{GOOD}\n[]\n")).unwrap();
    let twice = GOOD.replace('}', r#","dedup_key":"one"}"#);
    std::fs::write(bed.home().join("c.ndjson"), format!("{GOOD}\n{twice}\n{twice}\n")).unwrap();
    let ran = bed.command(&["enqueue", "a.ndjson", "b.ndjson", "c.ndjson", "no.csv", "a.ndjson"]).await.expect(1);
    assert_eq!(ran.stdout.lines().count(), 4, "{ran:?}");
    for part in [
        "a.ndjson: inserted 2 jobs",
        "b.ndjson, line 2: is not a JSON object",
        "nothing was inserted from b.ndjson",
        "c.ndjson, line 3: dedup_key: 'one' is taken",
        "nothing was inserted from c.ndjson",
        "nothing was inserted from no.csv",
    ] {
        assert!(ran.stderr.contains(part), "{part} in {ran:?}");
    }
    assert_eq!(bed.jobs().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn skip_invalid_inserts_the_rest_and_names_every_line_left_out() {
    let bed = Bed::new().await;
    bed.insert(row().with("dedup_key", "taken")).await;
    let mut lines = vec![GOOD.to_owned(); 1200];
    for bad in [0, 30, 600] {
        lines[bad] = "{}".into();
    }
    lines[700] = GOOD.replace('}', r#","dedup_key":"taken"}"#);
    let ran = bed.command_reading(&lines.join("\n"), &["enqueue", "--skip-invalid", "-"]).await.expect(0);
    assert_eq!(ran.stdout.lines().count(), 1196);
    assert!(ran.stderr.ends_with("inserted 1196, skipped 4\n"), "{}", ran.stderr);
    for part in
        ["stdin, line 1: ", "stdin, line 31: ", "stdin, line 601: ", "stdin, line 701: dedup_key: 'taken' is taken"]
    {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    assert_eq!(bed.jobs().await.len(), 1197);

    let csv = "subject,start_time,end_time\na,2026-12-01 09:00\nb,2026-12-01 09:00,2026-12-01 10:00\n";
    let ran = bed.command_reading(csv, &["enqueue", "--skip-invalid", "--format", "csv", "-"]).await.expect(0);
    assert!(ran.stderr.contains("line 2: has 2 fields, the header has 3"), "{ran:?}");
    let nothing = bed.command_reading("{}", &["enqueue", "--skip-invalid", "-"]).await.expect(1);
    assert!(nothing.stdout.is_empty() && nothing.stderr.ends_with("inserted 0, skipped 1\n"), "{nothing:?}");
    // They are about files, and a job by flags is none.
    let before = bed.jobs().await.len();
    for option in [&["--skip-invalid"][..], &["--format", "csv"]] {
        let job = ["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];
        let ran = bed.command(&[&job[..], option].concat()).await.expect(2);
        assert!(ran.stderr.contains("cannot be used with"), "{ran:?}");
    }
    assert_eq!(bed.jobs().await.len(), before);
    // What cannot be read to its end is a failure, though what came before is in.
    let cut = format!("{csv}c,2026-12-01 09:00,2026-12-01 10:00\n\"{}", "x".repeat(17 * 1024 * 1024));
    let ran = bed.command_reading(&cut, &["enqueue", "--skip-invalid", "--format", "csv", "-"]).await.expect(1);
    assert!(ran.stderr.contains("longer than 16 MB") && ran.stderr.ends_with("inserted 2, skipped 1\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dry_run_judges_and_inserts_nothing() {
    let bed = Bed::new().await;
    let (good, bad) = (format!("{GOOD}\n{GOOD}\n"), format!("{GOOD}\n[]\n"));
    let dry = async |text: &str, options: &[&str], code| {
        bed.command_reading(text, &[&["enqueue", "--dry-run"], options, &["-"]].concat()).await.expect(code)
    };
    assert_eq!(dry(&good, &[], 0).await.stdout, "would insert 2 jobs\n");
    let refused = dry(&bad, &[], 1).await;
    assert!(refused.stdout == "would insert 0 jobs\n" && refused.stderr.contains("line 2"), "{refused:?}");
    assert_eq!(dry(&bad, &["--skip-invalid"], 0).await.stdout, "would insert 1 job, skip 1\n");
    assert_eq!(bed.command(&with(&["--dry-run"])).await.expect(0).stdout, "would insert 1 job\n");
    assert!(bed.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_named_pipe_is_read_like_a_file() {
    let bed = Bed::new().await;
    let pipe = bed.home().join("pipe.ndjson");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let written = std::thread::spawn(move || std::fs::write(pipe, format!("{GOOD}\n{GOOD}\n")).unwrap());
    assert_eq!(bed.command(&["enqueue", "pipe.ndjson"]).await.expect(0).stdout, "1\n2\n");
    written.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_cannot_be_told_the_ids_is_told_what_went_in_and_nothing_further_does() {
    let bed = Bed::new().await;
    for file in ["p1.ndjson", "p2.ndjson"] {
        std::fs::write(bed.home().join(file), format!("{GOOD}\n{GOOD}\n{GOOD}\n")).unwrap();
    }
    let full = |arguments: &[&str]| {
        bed.run_by(|command| {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" > /dev/full"]).arg(command.get_program());
            shell.args(command.get_args().take_while(|argument| *argument != "run")).args(arguments);
            shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            if let Some(directory) = command.get_current_dir() {
                shell.current_dir(directory);
            }
            shell
        })
    };
    let ran = full(&["enqueue", "p1.ndjson", "p2.ndjson"]).end().await.expect(1);
    let said = "p1.ndjson: inserted 3 jobs, ids 1 to 3; their ids could not be printed: ";
    assert!(ran.stderr.contains(said) && ran.stderr.contains("p2.ndjson: not inserted"), "{ran:?}");
    assert_eq!(bed.jobs().await.len(), 3);
    let ran = full(&["enqueue", "--skip-invalid", "p1.ndjson", "p2.ndjson"]).end().await.expect(1);
    for part in
        ["p1.ndjson: inserted 3 jobs, ids 4 to 6", "p2.ndjson: not inserted", "up to p1.ndjson, line 3; the ids"]
    {
        assert!(ran.stderr.contains(part), "{part} in {ran:?}");
    }
    assert_eq!(bed.jobs().await.len(), 6);
    let ran = full(&with(&[])).end().await.expect(1);
    assert!(ran.stderr.contains("the job: inserted 1 job, id 7; its id could not be printed"), "{ran:?}");
}

/// The columns of a row that say what is done to which event.
async fn asked(bed: &Bed, id: i64) -> String {
    let mut producer = crate::bed::producer(&bed.queue_path()).await;
    let columns = "SELECT concat_ws('|', operation, event_key, target_event_id, subject, body, start_time, attendees, priority, not_after)";
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{columns} FROM jobs WHERE id = {id}")))
        .fetch_one(&mut producer)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_is_made_changed_and_deleted_by_flags() {
    let bed = Bed::new().await;
    let later = "2999-01-01 00:00";
    bed.command(&with(&["--key", "visit", "--subject", "Visit", "--priority", "1", "--not-after", later]))
        .await
        .expect(0);
    let update = ["enqueue", "--update", "visit", "--start", "2026-12-01 14:00", "--end", "2026-12-01 15:00"];
    assert_eq!(bed.command(&update).await.expect(0).stdout, "2\n");
    bed.command(&["enqueue", "--update", "visit", "--subject", "", "--attendee", "ann@contoso.com"]).await.expect(0);
    bed.command(&["enqueue", "--delete", "visit", "--comment", "ill"]).await.expect(0);
    bed.command(&["enqueue", "--update-event", "AAMkOther", "--location", "Room 2"]).await.expect(0);
    bed.command(&["enqueue", "--delete-event", "AAMkOther"]).await.expect(0);
    let attendees = r#"[{"name":null,"address":"ann@contoso.com","type":"required"}]"#;
    for (id, columns) in [
        (1, format!("create|visit|Visit|2026-12-01 09:00|[]|1|{later}")),
        (2, "update|visit|2026-12-01 14:00|[]|0".to_owned()),
        (3, format!("update|visit||{attendees}|0")),
        (4, "delete|visit|ill|[]|0".to_owned()),
        (5, "update|AAMkOther|[]|0".to_owned()),
        (6, "delete|AAMkOther|[]|0".to_owned()),
    ] {
        assert_eq!(asked(&bed, id).await, columns, "job {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn files_take_all_operations() {
    let bed = Bed::new().await;
    let create = json!({"event_key": "visit", "start_time": "2026-12-01 09:00", "end_time": "2026-12-01 10:00"});
    let update = json!({"operation": "update", "event_key": "visit", "subject": "", "priority": -1});
    let ndjson = format!("{create}\n{update}\n");
    assert_eq!(bed.command_reading(&ndjson, &["enqueue", "-"]).await.expect(0).stdout, "1\n2\n");
    let csv = "operation,event_key,target_event_id,body,priority\nupdate,visit,,New text,\ndelete,,AAMkOther,off,1\n";
    let ran = bed.command_reading(csv, &["enqueue", "--format", "csv", "-"]).await.expect(0);
    assert_eq!(ran.stdout, "3\n4\n");
    assert_eq!(asked(&bed, 2).await, "update|visit||[]|-1");
    assert_eq!(asked(&bed, 3).await, "update|visit|New text|[]|0");
    assert_eq!(asked(&bed, 4).await, "delete|AAMkOther|off|[]|1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_that_cannot_be_made_is_refused_before_it_is_inserted() {
    let bed = Bed::new().await;
    bed.command(&with(&["--key", "visit"])).await.expect(0);
    for (arguments, part) in [
        (
            vec!["enqueue", "--update", "visit", "--start", "2026-02-30 09:00", "--end", "2026-03-01 09:00"],
            "start_time",
        ),
        (vec!["enqueue", "--update", "visit", "--extra", r#"{"subject":"x"}"#], "extra"),
        (vec!["enqueue", "--update", "visit", "--subject", "x", "--not-after", "soon"], "not_after"),
        (with(&["--key", "visit"]), "event_key"),
        (with(&["--key", ""]), "event_key"),
    ] {
        let ran = bed.command(&arguments).await.expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(part), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("nothing was inserted"), "{ran:?}");
    }
    for (line, part) in [
        (json!({"operation": "update", "subject": "x"}), "event_key"),
        (json!({"operation": "change", "event_key": "visit", "subject": "x"}), "operation"),
        (json!({"operation": "delete", "event_key": "visit", "subject": "x"}), "subject"),
        (
            json!({"operation": "update", "event_key": "visit", "target_event_id": "AAMk", "subject": "x"}),
            "target_event_id",
        ),
        (
            json!({"target_event_id": "AAMk", "start_time": "2026-12-01 09:00", "end_time": "2026-12-01 10:00"}),
            "target_event_id",
        ),
        (json!({"operation": "update", "event_key": "visit", "start_time": "2026-12-01 09:00"}), "end_time"),
        (json!({"operation": "delete", "event_key": "visit", "priority": 7}), "priority"),
    ] {
        let ran = bed.command_reading(&line.to_string(), &["enqueue", "-"]).await.expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(part), "{line}: {ran:?}");
    }
    for (arguments, part) in [
        (&["--update", "visit"][..], "changes nothing"),
        (&["--delete", "visit", "--subject", "x"], "--subject"),
        (&["--delete", "visit", "--body", "x"], "--comment"),
    ] {
        let ran = bed.command(&[&["enqueue"], arguments].concat()).await.expect(2);
        assert!(ran.stderr.contains(part) && ran.stderr.contains("nothing was inserted"), "{ran:?}");
    }
    assert_eq!(bed.jobs().await.len(), 1);
}
