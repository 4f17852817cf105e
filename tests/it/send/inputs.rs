//! What other programs and people really write: rows, files and secrets with something beside the right value in them.

use serde_json::{Value, json};

use crate::bed::{Bed, row, row_for};

/// What `enqueue` says of a file it refuses.
async fn refused(bed: &Bed, name: &str, bytes: impl AsRef<[u8]>) -> String {
    std::fs::write(bed.home().join(name), bytes).unwrap();
    let ran = bed.command(&["enqueue", name]).await.expect(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains(&format!("nothing was inserted from {name}")), "{ran:?}");
    ran.stderr
}

/// The attendees of each event that a file becomes, as name, address and type.
async fn invited(bed: &Bed, name: &str, bytes: impl AsRef<[u8]>) -> Vec<Vec<Value>> {
    std::fs::write(bed.home().join(name), bytes).unwrap();
    let ids = bed.command(&["enqueue", name]).await.expect(0).stdout;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let mut all = Vec::new();
    for id in ids.lines() {
        let event = bed.event_of(id.parse().unwrap()).await.received;
        let attendees = event["attendees"].as_array().cloned().unwrap_or_default().into_iter();
        all.push(
            attendees
                .map(|who| json!([who["emailAddress"]["name"], who["emailAddress"]["address"], who["type"]]))
                .collect(),
        );
    }
    all
}

/// The message of each of these rows, which all must fail by themselves.
async fn messages(bed: &Bed, rows: Vec<crate::bed::Row>) -> Vec<String> {
    let ids = bed.insert_all(rows).await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let mut messages = Vec::new();
    for id in ids {
        let job = bed.job(id).await;
        assert_eq!(job.end(), ("failed", Some("invalid_job")), "{job:?}");
        messages.push(job.message().to_owned());
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_that_invites_nobody_is_refused_with_entry_character_and_cure() {
    let bed = Bed::new().await;
    let cases = [
        ("mailto:ann@contoso.example", "begins with 'mailto:'; write the address alone"),
        ("SMTP:ann@contoso.example", "begins with 'SMTP:'"),
        ("'ann@contoso.example'", "is in quotation marks; write it without them"),
        ("ann@contoso.example.", "a dot at the end"),
        ("ann@contoso..example", "two dots in a row"),
        ("ann@contoso", "no dot"),
        ("<ann@contoso.example>", "angle brackets"),
        ("ann@contoso.example (Ann)", "parentheses"),
        ("ann@contoso.example; bob@contoso.example", "contains ';'"),
        ("ann\u{200b}@contoso.example", "U+200B, which is invisible; remove it"),
        ("ann@contoso.example\u{a0}", "U+00A0, an unusual space"),
        ("ann\u{ff20}contoso.example", "U+FF20, which is not a plain @"),
        ("o\u{2019}brien@contoso.example", "U+2019, which is not a plain '"),
    ];
    let rows = cases.map(|(address, _)| {
        let attendees = json!([{"address": "bob@contoso.example"}, {"address": address}]);
        row().with("attendees", &attendees.to_string())
    });
    for (message, (address, part)) in messages(&bed, rows.into()).await.iter().zip(cases) {
        assert!(message.starts_with("attendees: entry 2 ") && message.contains(part), "{address}: {message}");
    }

    let legal = [
        "o'brien@contoso.com",
        "ann+tag@contoso.com",
        "ann@bücher.example",
        "用户@例子.广告",
        "\"ann.lee\"@contoso.com",
    ];
    let attendees: Vec<Value> = legal.iter().map(|address| json!({"address": address})).collect();
    let id = bed.insert(row().with("attendees", &json!(attendees).to_string())).await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let event = bed.event_of(id).await.received;
    let sent: Vec<&Value> = (0..legal.len()).map(|at| &event["attendees"][at]["emailAddress"]["address"]).collect();
    assert_eq!(sent, legal.map(|address| json!(address)).iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_hides_in_any_column_is_named_by_its_code_point() {
    let bed = Bed::new().await;
    let cases = [
        (row().with("start_time", "\u{200e}2026-12-01T09:00:00"), "start_time: '<U+200E>2026-12-01T09:00:00'"),
        (row().with("end_time", "2026-12-01T10:00:00\u{200b}"), "end_time: '2026-12-01T10:00:00<U+200B>'"),
        (row().with("time_zone", "Europe/Berlin\u{200b}"), "time_zone: contains U+200B"),
        (row().with("calendar_id", "AAMk\u{feff}"), "calendar_id: contains U+FEFF"),
        (row_for("ann@contoso.com\u{200b}"), "mailbox: contains U+200B"),
        (row_for("mailto:ann@contoso.com"), "mailbox: begins with 'mailto:'"),
        (row_for("'ann@contoso.com'"), "mailbox: is in quotation marks"),
        (row().with("attendees", r#"[{"address":"a@b.c","name\u200b":"A"}]"#), "unknown key 'name<U+200B>'"),
    ];
    let rows = cases.iter().map(|(row, _)| row.clone()).collect();
    for (message, (_, part)) in messages(&bed, rows).await.iter().zip(&cases) {
        assert!(message.contains(part), "{part} in {message}");
    }
    // What the database itself refuses is told by the command.
    let times = ["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];
    for (flag, value, part) in [
        ("--body-type", "html\u{200b}", "body_type: 'html<U+200B>'"),
        ("--extra", "{\u{201c}showAs\u{201d}:\"busy\"}", "U+201C, which is not a plain \""),
        ("--not-before", "\u{202d}2026-12-01", "not_before: '<U+202D>2026-12-01'"),
    ] {
        let ran = bed.command(&[&times[..], &[flag, value]].concat()).await.expect(1);
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_written_for_an_attendee_is_passed_over() {
    let bed = Bed::new().await;
    let cases = [
        (
            r#"[{"address":"a@b.c"},{"address":"b@b.c","nmae":"B"}]"#,
            "entry 2 has an unknown key 'nmae'; did you mean 'name'?",
        ),
        (r#"[{"address":"a@b.c","email":"b@b.c"}]"#, "entry 1 has an unknown key 'email'; did you mean 'address'?"),
        (r#"[{"address":"a@b.c","address":"b@b.c"}]"#, "entry 1 has the key 'address' twice"),
        (r#"[{"address":"a@b.c","name":"A","Name":"B"}]"#, "entry 1 has both 'name' and 'Name'"),
        (r#"[{"address":"a@b.c","required":"1"}]"#, "entry 1 has a 'required' that is text"),
    ];
    let rows = cases.map(|(attendees, _)| row().with("attendees", attendees)).into();
    for (message, (_, part)) in messages(&bed, rows).await.iter().zip(cases) {
        assert!(message.contains(part), "{part} in {message}");
    }
    let extra = r#"{"recurrence":{"pattern":{"type":"daily","interval":1,"type":"weekly"}}}"#;
    let told = messages(&bed, vec![row().with("extra", extra)]).await;
    assert!(told[0].starts_with("extra: recurrence.pattern has the key 'type' twice"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn attendees_as_sqlites_json_functions_write_them_are_taken() {
    let bed = Bed::new().await;
    bed.sql(
        "INSERT INTO jobs (start_time, end_time, attendees) VALUES ('2026-12-01 09:00', '2026-12-01 10:00',
         json_array(json_object('address', 'ann@contoso.com', 'required', 1 = 1),
                    json_object('Address', 'bob@contoso.com', 'Required', 1 = 0),
                    json_object('address', 'cy@contoso.com', 'name', 'Cy'),
                    json_object('address', 'room@contoso.com', 'type', 'resource')))",
    )
    .await;
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let event = bed.event_of(1).await.received;
    let types: Vec<&Value> = (0..4).map(|at| &event["attendees"][at]["type"]).collect();
    assert_eq!(types, ["required", "optional", "required", "resource"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_csv_file_as_excel_writes_it_in_any_country_becomes_events() {
    let bed = Bed::new().await;
    let expected = [vec![json!(["Ann", "ann@contoso.com", "required"]), json!([null, "bob@contoso.com", "required"])]];
    for (name, delimiter, before) in [
        ("a.csv", ";", "\u{feff}"),
        ("b.csv", "\t", ""),
        ("c.tsv", "\t", ""),
        ("d.csv", "|", ""),
        ("e.csv", ",", "\u{feff}"),
        ("f.csv", ";", "sep=;\r\n"),
    ] {
        let header = ["subject", "start_time", "end_time", "attendees"].join(delimiter);
        let people = "\"Ann <ann@contoso.com>; bob@contoso.com\"";
        let fields = ["\"Kick; off, \"\"part\"\" 1\"", "2026-12-01 09:00", "2026-12-01 10:00", people].join(delimiter);
        assert_eq!(invited(&bed, name, format!("{before}{header}\r\n{fields}\r\n")).await, expected, "{name}");
    }
    assert_eq!(bed.event_of(1).await.received["subject"], "Kick; off, \"part\" 1");
    let named = "start_time,end_time,attendees\n2026-12-01 09:00,2026-12-01 10:00,\"\"\"Lee, Ann\"\" <ann@contoso.com>, bob@contoso.com\"\n";
    let expected =
        [vec![json!(["Lee, Ann", "ann@contoso.com", "required"]), json!([null, "bob@contoso.com", "required"])]];
    assert_eq!(invited(&bed, "g.csv", named).await, expected);

    let header = "start_time,end_time,attendees\n2026-12-01 09:00,2026-12-01 10:00,";
    let said = refused(&bed, "h.csv", format!("{header}Ann; bob@contoso.com\n")).await;
    assert!(said.contains("h.csv, line 2: attendees: entry 1, 'Ann', is not a mail address"), "{said}");
    let said = refused(&bed, "i.csv", "subject;start;end\nx;2026-12-01 09:00;2026-12-01 10:00\n").await;
    assert!(said.contains("'start' is not a column; did you mean start_time?"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_people_may_stand_in_one_flag() {
    let bed = Bed::new().await;
    let times = ["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];
    let people =
        ["--attendee", "Lee, Ann <ann@contoso.com>; bob@contoso.com", "--optional", "cy@contoso.com,di@contoso.com"];
    bed.command(&[&times[..], &people].concat()).await.expect(0);
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let event = bed.event_of(1).await.received;
    let types: Vec<&Value> = (0..4).map(|at| &event["attendees"][at]["type"]).collect();
    assert_eq!(types, ["required", "required", "optional", "optional"]);
    assert_eq!(event["attendees"][0]["emailAddress"]["name"], "Lee, Ann");
    for people in [" ", "Ann", "mailto:ann@contoso.com"] {
        let ran = bed.command(&[&times[..], &["--attendee", people]].concat()).await.expect(1);
        assert!(ran.stderr.contains("attendees: "), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn quoting_that_is_not_right_is_refused_with_line_and_column_and_nothing_is_swallowed() {
    let bed = Bed::new().await;
    let good = "2026-12-01 09:00,2026-12-01 10:00,Room 2\r\n";
    let unclosed = format!("start_time,end_time,location\r\n{}{good}{good}{good}", good.replace("Room 2", "\"Room 1"));
    let said = refused(&bed, "a.csv", &unclosed).await;
    assert!(said.contains("a.csv, line 2, column 35: the quotation mark is never closed"), "{said}");
    let inner = format!("start_time,end_time,location\r\n{good}{}", good.replace("Room 2", "\"The \"big\" one\""));
    let said = refused(&bed, "b.csv", &inner).await;
    assert!(said.contains("b.csv, line 3, column 41: ") && said.contains("line 3, column 35"), "{said}");
    let blank = format!("start_time,end_time,location\r\n{good}\r\n{}", good.replace("Room 2", " \"Room, 1\""));
    let said = refused(&bed, "c.csv", &blank).await;
    assert!(said.contains("c.csv, line 4, column 36: there is a space before"), "{said}");
    // What stands before the fault is in, and the file is not reported as read.
    let ran = bed.command_reading(&inner, &["enqueue", "--skip-invalid", "--format", "csv", "-"]).await.expect(1);
    assert!(ran.stdout == "1\n" && ran.stderr.contains("stdin, line 3, column 41: "), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fault_is_named_with_the_line_an_editor_shows() {
    let bed = Bed::new().await;
    let good = "a,2026-12-01 09:00,2026-12-01 10:00";
    let bad = "a,2026-13-01 09:00,2026-12-01 10:00";
    for (at, end) in ["\n", "\r\n", "\r"].into_iter().enumerate() {
        let many = good.replacen('a', &format!("\"two{end}{end}lines\""), 1);
        let file = ["\u{feff}subject,start_time,end_time", good, "", &many, bad, "", bad, ""].join(end);
        let said = refused(&bed, &format!("{at}.csv"), &file).await;
        assert!(said.contains("line 7: start_time") && said.contains("line 9: start_time"), "{end:?}: {said}");
        let ran = bed.command_reading(&file, &["enqueue", "--format", "csv", "-"]).await.expect(1);
        assert!(ran.stderr.contains("stdin, line 7: start_time"), "{end:?}: {ran:?}");
        let object = r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00"}"#;
        let file = ["\u{feff}", object, "", &object.replace("-12-", "-13-"), ""].join(end);
        let said = refused(&bed, &format!("{at}.ndjson"), &file).await;
        assert!(said.contains("line 4: start_time"), "{end:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn json_over_several_lines_or_in_a_list_is_taken_and_its_faults_have_their_place() {
    let bed = Bed::new().await;
    let job = json!({
        "start_time": "2026-12-01 09:00", "end_time": "2026-12-01 10:00",
        "attendees": [{"name": "Ann", "address": "ann@contoso.com"}], "extra": {"showAs": "busy"},
    });
    let ann = || vec![json!(["Ann", "ann@contoso.com", "required"])];
    let pretty = serde_json::to_string_pretty(&job).unwrap();
    assert_eq!(invited(&bed, "a.json", &pretty).await, [ann()]);
    assert_eq!(invited(&bed, "b.json", format!("{pretty}\n{pretty}\n{job}\n")).await, [ann(), ann(), ann()]);
    assert_eq!(
        invited(&bed, "c.json", serde_json::to_string_pretty(&json!([job, job])).unwrap()).await,
        [ann(), ann()]
    );
    assert_eq!(invited(&bed, "d.json", json!([job, job]).to_string()).await, [ann(), ann()]);

    let said = refused(&bed, "e.json", pretty.replace("\"busy\"", "busy")).await;
    assert!(said.contains("e.json, line 1: is not JSON: expected value; found 'busy' (line "), "{said}");
    let said = refused(&bed, "f.json", job.to_string().replace("\"extra\"", "\u{a0}\"extra\"")).await;
    assert!(said.contains("found U+00A0, an unusual space"), "{said}");
    let said = refused(&bed, "g.json", format!("{job}\n{}", &pretty[..pretty.len() - 3])).await;
    assert!(said.contains("g.json, line 2: what begins here is never closed"), "{said}");
    let twice = job.to_string().replacen('{', "{\"end_time\":\"2026-12-01 11:00\",", 1);
    let said = refused(&bed, "h.json", format!("{job}\n{twice}\n")).await;
    assert!(said.contains("h.json, line 2: has the key 'end_time' twice"), "{said}");
    let said = refused(&bed, "i.json", job.to_string().replace("end_time", "End Time")).await;
    assert!(said.contains("'End Time' is not a column; did you mean end_time?"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_is_no_text_in_utf_8_is_called_by_its_name() {
    let bed = Bed::new().await;
    let csv = "subject,start_time,end_time\r\nMüller,2026-12-01 09:00,2026-12-01 10:00\r\n";
    let utf16: Vec<u8> = format!("\u{feff}{csv}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1: Vec<u8> = csv.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    std::fs::write(bed.home().join("jobs.xlsx"), b"PK\x03\x04\x14\0\x06\0").unwrap();
    let ran = bed.command(&["enqueue", "jobs.xlsx"]).await.expect(2);
    assert!(ran.stderr.contains("jobs.xlsx: is an Excel workbook"), "{ran:?}");
    for (name, bytes, part) in [
        ("a.csv", &utf16[..], "a.csv: is UTF-16; save it as UTF-8"),
        ("b.csv", &utf16[2..], "b.csv: is UTF-16"),
        ("c.json", &utf16[..], "c.json: is UTF-16"),
        ("d.csv", &latin1[..], "d.csv, line 2: field 1 is not UTF-8 (byte 0xFC); save the file as UTF-8"),
        (
            "e.csv",
            b"PK\x03\x04\x14\0\x06\0",
            "e.csv: is an Excel workbook or another ZIP archive; save the sheet as CSV",
        ),
        ("f.ndjson", b"\x1f\x8b\x08\0", "f.ndjson: is compressed by gzip"),
        ("g.ndjson", csv.as_bytes(), "g.ndjson: is a CSV file by its first line; say --format csv"),
    ] {
        let said = refused(&bed, name, bytes).await;
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_may_end_in_a_line_break_wherever_it_comes_from_and_anything_else_is_told() {
    let secret = event_sender::sandbox::CLIENT_SECRET;
    for end in ["\n", "\r\n"] {
        let mut bed = Bed::new().await;
        bed.unset("auth.client_secret");
        bed.env("EVENT_SENDER__AUTH__CLIENT_SECRET", &format!("{secret}{end}"));
        bed.insert(row()).await;
        bed.command(&["run", "--until-empty"]).await.expect(0);
        assert_eq!(bed.job(1).await.state, "sent", "{end:?}");
    }
    for (text, part) in [
        (format!(" {secret}"), "begins with a space"),
        (format!("{secret} \n"), "ends with a space"),
        (format!("\"{secret}\""), "is in quotation marks"),
        (format!("{secret}\u{a0}"), "contains U+00A0"),
    ] {
        let mut bed = Bed::new().await;
        bed.unset("auth.client_secret");
        bed.env("EVENT_SENDER__AUTH__CLIENT_SECRET", &text);
        let ran = bed.command(&["run"]).await.expect(78);
        let said = format!("(auth.client_secret): {part}");
        assert!(ran.stderr.contains(&said) && !ran.stderr.contains(secret), "{ran:?}");
        let mut bed = Bed::new().await;
        let file = bed.home().join("secret");
        std::fs::write(&file, &text).unwrap();
        bed.unset("auth.client_secret");
        bed.set("auth.client_secret_file", file.to_str().unwrap());
        let ran = bed.command(&["run"]).await.expect(78);
        assert!(ran.stderr.contains(&format!("which {part}")) && !ran.stderr.contains(secret), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_hides_in_the_settings_is_named() {
    let mut bed = Bed::new().await;
    bed.set("defaults.time_zone", "Europe/Paris\u{200b}");
    let ran = bed.command(&["run"]).await.expect(78);
    assert!(
        ran.stderr.contains("which contains U+200B, which is invisible; remove it; did you mean \"Europe/Paris\"?"),
        "{ran:?}"
    );
    bed.unset("defaults.time_zone");
    bed.write_settings();
    let config = bed.config_path();
    let settings = std::fs::read_to_string(&config).unwrap();
    let path = config.to_str().unwrap();
    std::fs::write(&config, format!("{settings}\n[log]\nlevel = \u{201c}info\u{201d}\n")).unwrap();
    let ran = bed.bare_command(&["run", "--config", path]).await.expect(78);
    assert!(ran.stderr.contains("U+201C, which is not a plain \""), "{ran:?}");
    let utf16: Vec<u8> = format!("\u{feff}{settings}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&config, utf16).unwrap();
    let ran = bed.bare_command(&["run", "--config", path]).await.expect(78);
    assert!(ran.stderr.contains("is UTF-16; save it as UTF-8"), "{ran:?}");
}
