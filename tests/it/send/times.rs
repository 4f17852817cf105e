//! Times as programs really write them, through the program itself: what waits, what is told at once, and what Graph is
//! told of single events, series and all-day events, by tz databases of any age.

use std::path::Path;

use serde_json::{Value, json};

use crate::bed::{Bed, Row, row};

const WEEKLY: &str = r#"{"recurrence":{"pattern":{"type":"weekly","interval":1,"daysOfWeek":["saturday"]},"range":{"type":"noEnd","startDate":"2027-03-06"}}}"#;
const ALL_DAY: &str = r#"{"isAllDay":true}"#;

fn from_to(start: &str, end: &str) -> Row {
    row().with("start_time", start).with("end_time", end)
}

fn time(date_time: &str, zone: &str) -> Value {
    json!({"dateTime": date_time, "timeZone": zone})
}

/// The row's start and end as Graph got them.
async fn told(bed: &Bed, row: Row) -> (Value, Value) {
    let id = bed.insert(row).await;
    bed.until(id, "sent").await;
    let received = bed.event_of(id).await.received;
    (received["start"].clone(), received["end"].clone())
}

/// The message of the row's failure, which is that of a row at fault, without an attempt at Graph.
async fn refused(bed: &Bed, row: Row) -> String {
    let id = bed.insert(row).await;
    let job = bed.until(id, "failed").await;
    assert_eq!(job.end(), ("failed", Some("invalid_job")), "{job:?}");
    job.message().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wish_for_the_end_of_the_calendar_waits() {
    let bed = Bed::new().await;
    let mut waiting = Vec::new();
    for never in [
        "9999-12-31 23:59:59.999999",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59.999999999",
        "9999-12-31T23:59:59.9999999-12:00",
        "9999-12-31 23:59",
        "2099-12-01T09:00:00 +01:00",
        "2099-12-01 09:00:00.1234567 +01",
    ] {
        waiting.push(bed.insert(row().with("not_before", never)).await);
    }
    // Also where the due time is set by hand.
    bed.sql("UPDATE jobs SET next_attempt_at = '2026-01-01T00:00:00.000Z' WHERE id = 1").await;
    let _agent = bed.run();
    told(&bed, row().with("not_before", "1900-01-01T00:00:00")).await;
    for id in waiting {
        let job = bed.job(id).await;
        assert!(job.state == "pending" && job.next_attempt_at.as_str() > "2099-12", "{job:?}");
    }
    assert_eq!(bed.creates(None).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_time_is_told_at_once_and_not_on_the_due_day() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    for no_time in ["2099-12-01", "2099-02-30T09:00Z", "2470000.5", "now", "infinity", "2099-12-01T09:00 UTC"] {
        let message = refused(&bed, row().with("not_before", no_time)).await;
        assert!(message.starts_with("not_before: ") && message.contains("2026-12-01T09:00:00"), "{message}");
    }
    // The date of a program that has none.
    let message = refused(&bed, row().with("not_before", "0001-01-01T00:00:00")).await;
    assert!(message.starts_with("not_before: is in the year 1; "), "{message}");
    for column in ["start_time", "end_time"] {
        let later = row().with("not_before", "2099-12-01T09:00Z").with(column, "01.12.2099 09:00");
        let message = refused(&bed, later).await;
        assert!(message.starts_with(&format!("{column}: ")), "{message}");
    }
    assert!(bed.creates(None).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_instant_goes_out_in_utc_whatever_zone_is_named() {
    let mut bed = Bed::new().await;
    bed.set("defaults.time_zone", "Europe/Berlin");
    let _agent = bed.run();
    for zone in ["British Columbia Standard Time", "America/Vancouver", "Morocco Standard Time", "Nowhere/Land"] {
        let row = from_to("2026-12-01T09:00:00-07:00", "2026-12-01 10:00:00 -07").with("time_zone", zone);
        let expected = (time("2026-12-01T16:00:00", "UTC"), time("2026-12-01T17:00:00", "UTC"));
        assert_eq!(told(&bed, row).await, expected, "{zone}");
    }
    let far = told(&bed, from_to("2150-07-01T12:00:00+0000", "2150-07-01T12:30:00z")).await;
    assert_eq!(far, (time("2150-07-01T12:00:00", "UTC"), time("2150-07-01T12:30:00", "UTC")));
    let mixed = told(&bed, from_to("2026-12-01T09:00:00+01", "2026-12-01 10:00")).await;
    assert_eq!(mixed, (time("2026-12-01T08:00:00", "UTC"), time("2026-12-01T10:00:00", "Europe/Berlin")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_series_goes_out_in_a_zone_somebody_named_or_not_at_all() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    let series = from_to("2027-03-06T06:00:00+08:00", "2027-03-06T07:00:00+08:00").with("extra", WEEKLY);
    let message = refused(&bed, series.clone()).await;
    assert!(message.starts_with("time_zone: ") && message.contains("defaults.time_zone"), "{message}");
    let local = (time("2027-03-06T06:00:00", "Asia/Singapore"), time("2027-03-06T07:00:00", "Asia/Singapore"));
    assert_eq!(told(&bed, series.clone().with("time_zone", "Asia/Singapore")).await, local);
    let twice = from_to("2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z").with("extra", WEEKLY);
    let berlin = told(&bed, twice.with("time_zone", "Europe/Berlin")).await;
    assert_eq!(berlin, (time("2026-10-25T02:30:00", "Europe/Berlin"), time("2026-10-25T04:00:00", "Europe/Berlin")));
    let message = refused(&bed, series.clone().with("time_zone", "Nowhere/Land")).await;
    assert!(message.starts_with("start_time: ") && message.contains("without offset"), "{message}");
    agent.stop().await;
    // The one that failed was frozen without a zone: it takes the one chosen now.
    bed.set("defaults.time_zone", "Asia/Singapore");
    let _agent = bed.run();
    bed.sql("UPDATE jobs SET state = 'pending', finished_at = NULL WHERE id = 1").await;
    bed.until(1, "sent").await;
    assert_eq!(bed.event_of(1).await.received["start"], local.0);
    assert_eq!(told(&bed, series).await, local);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_all_day_event_is_dates() {
    let mut bed = Bed::new().await;
    bed.set("defaults.time_zone", "Europe/Berlin");
    let _agent = bed.run();
    for (start, end, zone, from, to) in [
        ("2026-12-01", "2026-12-02", "Europe/Berlin", "2026-12-01", "2026-12-02"),
        ("2027-09-05T00:00", "2027-09-06T00:00", "America/Santiago", "2027-09-05", "2027-09-06"),
        ("2027-10-31T00:00:00+00:00", "2027-11-01T00:00:00-01:00", "Atlantic/Azores", "2027-10-31", "2027-11-01"),
        ("2026-11-30T23:00:00Z", "2026-12-01T23:00:00Z", "Europe/Berlin", "2026-12-01", "2026-12-02"),
    ] {
        let mut row = from_to(start, end).with("extra", ALL_DAY);
        if zone != "Europe/Berlin" {
            row = row.with("time_zone", zone);
        }
        let midnight = |date: &str| time(&format!("{date}T00:00:00"), zone);
        assert_eq!(told(&bed, row).await, (midnight(from), midnight(to)), "{start}");
    }
    let message = refused(&bed, from_to("2026-12-01", "2026-12-01").with("extra", ALL_DAY)).await;
    assert!(message.starts_with("end_time: ") && message.contains("2026-12-02"), "{message}");
    let message = refused(&bed, from_to("2026-12-01", "2026-12-02")).await;
    assert!(message.starts_with("start_time: ") && message.contains("isAllDay"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_time_beyond_the_calendar_is_refused() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    for (start, end) in [
        ("9999-12-31T23:00:00-05:00", "9999-12-31T23:30:00-05:00"),
        ("1899-12-31T09:00", "1900-01-01T09:00"),
        ("0001-01-01T00:00:00", "0001-01-01T01:00:00"),
    ] {
        let message = refused(&bed, from_to(start, end)).await;
        assert!(message.starts_with("start_time: ") && message.contains("1900 to 9999"), "{message}");
    }
    assert!(bed.creates(None).is_empty());
}

/// A file as `zic` makes it for a zone that never had other rules than these.
fn zone_file(directory: &Path, name: &str, rules: &str) {
    let block = [b"TZif2".as_slice(), &[0; 34], &[1, 0, 0, 0, 4], &[0; 6], b"LMT\0"].concat();
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, [&block, &block, format!("\n{rules}\n").as_bytes()].concat()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn zone_rules_are_the_systems_and_check_tells_their_age() {
    let compiled_too = "2027-03-14T02:30:00";
    for (version, refuses) in [(Some("2099a"), true), (None, true), (Some("2020a"), false)] {
        let mut bed = Bed::new().await;
        let zones = tempfile::tempdir().unwrap();
        // The clocks of Vancouver go forward as before 2026, those of Tokyo on a day of their own.
        zone_file(zones.path(), "America/Vancouver", "PST8PDT,M3.2.0,M11.1.0");
        zone_file(zones.path(), "Asia/Tokyo", "JST-9JDT,M5.1.0,M9.1.0");
        if let Some(version) = version {
            std::fs::write(zones.path().join("tzdata.zi"), format!("# version {version}\n")).unwrap();
        }
        bed.env("TZDIR", zones.path().to_str().unwrap());
        let said = bed.command(&["check", "--offline"]).await.stdout;
        let line = said.lines().find(|line| line.contains(zones.path().to_str().unwrap())).unwrap();
        assert!(line.contains(version.unwrap_or("does not say its version")), "{line}");
        assert_eq!(line.starts_with("WARN"), version == Some("2020a"), "{line}");

        let _agent = bed.run();
        let vancouver = from_to(compiled_too, "2027-03-14T04:00").with("time_zone", "America/Vancouver");
        if refuses {
            assert!(refused(&bed, vancouver).await.contains("does not exist in the zone America/Vancouver"));
        } else {
            // The newer, compiled rules have it.
            assert_eq!(told(&bed, vancouver).await.0, time(compiled_too, "America/Vancouver"));
        }
        let summer = from_to("2027-07-03T00:00:00Z", "2027-07-03T01:00:00Z").with("extra", WEEKLY);
        let (start, _) = told(&bed, summer.with("time_zone", "Tokyo Standard Time")).await;
        assert_eq!(start, time("2027-07-03T10:00:00", "Tokyo Standard Time"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_database_that_is_none_stops_nothing() {
    let mut bed = Bed::new().await;
    let zones = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(zones.path().join("Europe/Berlin")).unwrap();
    std::fs::write(zones.path().join("tzdata.zi"), [0xff; 1000]).unwrap();
    std::fs::create_dir_all(zones.path().join("America")).unwrap();
    std::fs::write(zones.path().join("America/Vancouver"), b"TZif2 and nothing else").unwrap();
    bed.env("TZDIR", zones.path().to_str().unwrap());
    let _agent = bed.run();
    let vancouver = from_to("2027-03-14T02:30", "2027-03-14T03:00").with("time_zone", "America/Vancouver");
    assert_eq!(told(&bed, vancouver).await.0, time("2027-03-14T02:30:00", "America/Vancouver"));
    let berlin = from_to("2027-03-28T02:30", "2027-03-28T04:00").with("time_zone", "Europe/Berlin");
    assert!(refused(&bed, berlin).await.contains("does not exist"));
    bed.env("TZDIR", "/nowhere");
    let said = bed.command(&["check", "--offline"]).await.stdout;
    assert!(
        said.lines().any(|line| line.starts_with("WARN  zones") && line.contains("TZDIR names /nowhere")),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn enqueue_and_show_judge_times_as_the_agent_does() {
    let bed = Bed::new().await;
    let enqueue = async |times: [&str; 2], more: &[&str]| {
        let all = ["enqueue", "--mailbox", "ann@contoso.com", "--start", times[0], "--end", times[1]];
        bed.command(&[&all, more].concat()).await
    };
    let series = ["2027-03-06T06:00:00+08:00", "2027-03-06T07:00:00+08:00"];
    let ran = enqueue(series, &["--extra", WEEKLY]).await.expect(1);
    assert!(ran.stderr.contains("time_zone: "), "{ran:?}");
    enqueue(series, &["--extra", WEEKLY, "--time-zone", "Asia/Singapore"]).await.expect(0);
    enqueue(["2026-12-01", "2026-12-02"], &["--extra", ALL_DAY]).await.expect(0);
    enqueue(["2026-12-01T09:00 +01", "2026-12-01T10:00+01"], &["--time-zone", "Asia/Tokyo"]).await.expect(0);
    for (id, start) in [
        ("1", time("2027-03-06T06:00:00", "Asia/Singapore")),
        ("2", time("2026-12-01T00:00:00", "UTC")),
        ("3", time("2026-12-01T08:00:00", "UTC")),
    ] {
        assert_eq!(bed.command(&["show", id, "--request"]).await.expect(0).json()["start"], start, "{id}");
    }
    for (not_before, exit) in [("2099-12-01", 1), ("9999-12-31 23:59:59.999999", 0)] {
        enqueue(["2026-12-01T09:00", "2026-12-01T10:00"], &["--not-before", not_before]).await.expect(exit);
    }
}
