//! The secret or certificate ends, once in a year or two: the log, `check`, `status` and the metrics say so in time, also
//! while the sign-in is refused anyway, and stop saying it when it has been renewed.

use std::path::{Path, PathBuf};

use chrono::{TimeDelta, Utc};
use event_sender::sandbox::Fault;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::bed::{Bed, chmod, row};
use crate::process::{Process, Ran};
use crate::scrape::Monitor;
use crate::shim::ClockDial;

const SOON: &str = "credential expires soon";
const OVER: &str = "credential has expired";
const RENEWED: &str = "credential was renewed";
const METRIC: &str = "event_sender_credential_expires_timestamp_seconds";

/// A day this far from today, as somebody writes it down.
fn day(days: i64) -> String {
    (Utc::now() + TimeDelta::days(days)).format("%Y-%m-%d").to_string()
}

fn said(agent: &Process, message: &str) -> usize {
    agent.said(message).len()
}

/// The line of a check of this area.
fn line<'a>(ran: &'a Ran, area: &str) -> &'a str {
    let of = |line: &&str| line.split_whitespace().nth(1) == Some(area);
    ran.stdout.lines().find(of).unwrap_or_else(|| panic!("no {area}: {ran:?}"))
}

/// Puts a key with a certificate of it in the file's place, valid between these days from now.
fn certify(file: &Path, key: &KeyPair, days: std::ops::Range<i64>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "event-sender test");
    let at = |days: i64| {
        let day = Utc::now() + TimeDelta::days(days);
        let part = |form: &str| day.format(form).to_string().parse::<u8>().unwrap();
        rcgen::date_time_ymd(day.format("%Y").to_string().parse().unwrap(), part("%m"), part("%d"))
    };
    (params.not_before, params.not_after) = (at(days.start), at(days.end));
    let certificate = params.self_signed(key).unwrap();
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{}{}", key.serialize_pem(), certificate.pem())).unwrap();
    chmod(&new, 0o640);
    std::fs::rename(new, file).unwrap();
}

fn key() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

/// A bed that signs in with a certificate, which the sandbox refuses.
async fn certified(days: std::ops::Range<i64>) -> (Bed, KeyPair, PathBuf) {
    let mut bed = Bed::new().await;
    let (key, file) = (key(), bed.home().join("certificate.pem"));
    certify(&file, &key, days);
    bed.unset("auth.client_secret");
    bed.set("auth.mode", "certificate");
    bed.set("auth.certificate_file", file.to_str().unwrap());
    bed.sandbox().script(Fault::token_refused(700027, "invalid_client").times(0));
    (bed, key, file)
}

/// Waits until `status` tells programs of this end.
async fn until_noted(bed: &Bed, name: &str) -> Value {
    let noted = format!("SELECT credential = '{name}' FROM agents ORDER BY id DESC");
    bed.wait("the queue has the end", async || bed.is_so(&noted).await.then_some(())).await;
    bed.command(&["status", "--json"]).await.expect(0).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_that_ends_soon_is_told_everywhere_until_its_date_is_a_later_one() {
    let mut bed = Bed::new().await;
    bed.set("monitor.listen", "127.0.0.1:0");
    bed.set("auth.secret_expires", &day(20));
    let agent = bed.run();
    let told = bed.until_said(&agent, SOON).await;
    assert_eq!((&told["level"], &told["credential"]), (&json!("WARN"), &json!("client_secret")));
    assert_eq!(told["days_left"], 20);
    assert!(told["hint"].as_str().unwrap().contains("docs/sign-in/renew.md"), "{told}");
    let status = until_noted(&bed, "client_secret").await;
    assert_eq!(status["credential"], json!({ "name": "client_secret", "expires": told["expires"] }));
    let status = bed.command(&["status"]).await.expect(0).stdout;
    let remark = format!("the client secret expires on {}, in 20 days", day(20));
    assert!(status.contains("\nNeeds a look: ") && status.contains(&remark), "{status}");
    let monitor = Monitor::of(&bed, &agent).await;
    let labels = [("credential", "client_secret")];
    let end = monitor.scrape().await.value(METRIC, &labels);
    let days = (end - Utc::now().timestamp() as f64) / 86_400.0;
    assert!((20.0..=21.0).contains(&days), "{days}");
    assert_eq!(monitor.reasons().await, Vec::<String>::new(), "it sends, all the same");

    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    reload(&bed, &agent).await;
    assert_eq!(said(&agent, SOON), 1, "neither a token nor a reload repeats it");
    bed.set("auth.secret_expires", &day(400));
    reload(&bed, &agent).await;
    let renewed = bed.until_said(&agent, RENEWED).await;
    assert_eq!((&renewed["level"], &renewed["credential"]), (&json!("INFO"), &json!("client_secret")));
    assert!(monitor.scrape().await.value(METRIC, &labels) > end);
    let forgotten = format!("SELECT credential_expires > '{}' FROM agents ORDER BY id DESC", day(399));
    bed.wait("the queue has the new end", async || bed.is_so(&forgotten).await.then_some(())).await;
    assert!(bed.command(&["status"]).await.expect(0).stdout.contains("\nAll is well"));
    bed.unset("auth.secret_expires");
    reload(&bed, &agent).await;
    let unknown = "SELECT credential IS NULL AND credential_expires IS NULL FROM agents ORDER BY id DESC";
    bed.wait("it is not known any more", async || bed.is_so(unknown).await.then_some(())).await;
    assert_eq!(monitor.scrape().await.find(METRIC, &labels), None);
    assert_eq!((said(&agent, SOON), said(&agent, RENEWED), said(&agent, OVER)), (1, 1, 0));
    agent.stop().await.expect(0);
}

/// HUP, and the line that it is done.
async fn reload(bed: &Bed, agent: &Process) {
    bed.write_settings();
    let before = said(agent, "settings read again");
    agent.signal("HUP");
    bed.wait("the settings are read", async || (said(agent, "settings read again") > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_tells_of_the_date_that_was_written_down_also_without_the_network() {
    let mut bed = Bed::new().await;
    for (days, offline, grade, parts) in [
        (400, 0, "PASS", ["expires on ", "in 400 days"]),
        (20, 0, "WARN", ["in 20 days", "docs/sign-in/renew.md"]),
        (-3, 1, "FAIL", ["expired on ", "docs/sign-in/renew.md"]),
    ] {
        bed.set("auth.secret_expires", &day(days));
        let ran = bed.command(&["check", "--offline"]).await.expect(offline);
        let told = line(&ran, "secret");
        assert!(told.starts_with(grade) && parts.iter().all(|part| told.contains(part)), "{told}");
        assert!(told.contains(&day(days)), "{told}");
        // Graph does not tell. What was accepted just now has not ended, so the date is wrong.
        let online = bed.command(&["check"]).await.expect(0);
        let told = line(&online, "secret");
        assert!(told.contains(&day(days)) && !told.contains("note the date yourself"), "{told}");
        assert_eq!(told.contains("accepted just now"), days < 0, "{told}");
    }
    bed.set("auth.client_secret", "wrong");
    let ran = bed.command(&["check"]).await.expect(1);
    assert!(line(&ran, "secret").starts_with("FAIL"), "{ran:?}");
    bed.unset("auth.secret_expires");
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    assert!(!ran.stdout.contains("secret "), "nothing is known: {ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_that_ends_soon_is_told_although_the_sign_in_is_refused_until_its_file_is_replaced() {
    let (mut bed, key, file) = certified(-10..20).await;
    bed.set("monitor.listen", "127.0.0.1:0");
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    let told = line(&ran, "certificate");
    assert!(
        told.starts_with("WARN") && told.contains("CN=event-sender test") && told.contains("docs/sign-in/renew.md"),
        "{told}"
    );
    let ran = bed.command(&["check"]).await.expect(1);
    assert!(line(&ran, "certificate").starts_with("WARN") && !ran.stdout.contains("secret "), "{ran:?}");

    let agent = bed.run();
    let told = bed.until_said(&agent, SOON).await;
    assert_eq!(told["credential"], "certificate");
    bed.insert(row()).await;
    bed.until_said(&agent, "sending paused").await;
    let status = until_noted(&bed, "certificate").await;
    assert_eq!(status["credential"], json!({ "name": "certificate", "expires": told["expires"] }));
    let text = bed.command(&["status"]).await.expect(0).stdout;
    assert!(text.contains("NOTHING IS SENT") && text.contains("the certificate expires on "), "{text}");

    // Looked at every second while it is refused.
    certify(&file, &key, -1..700);
    let renewed = bed.until_said(&agent, RENEWED).await;
    assert_eq!(renewed["credential"], "certificate");
    assert!(renewed["days_left"].as_i64().unwrap() > 690, "{renewed}");
    let monitor = Monitor::of(&bed, &agent).await;
    let end = monitor.scrape().await.value(METRIC, &[("credential", "certificate")]);
    assert!(end > (Utc::now() + TimeDelta::days(690)).timestamp() as f64);
    assert_eq!((said(&agent, SOON), said(&agent, RENEWED)), (1, 1));
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_replaced_with_its_key_is_noticed_at_a_reload_by_an_agent_that_asks_for_no_token() {
    let (bed, _, file) = certified(-400..5).await;
    let agent = bed.run();
    let told = bed.until_said(&agent, SOON).await;
    assert!(told["days_left"].as_i64().unwrap() <= 5, "{told}");
    certify(&file, &key(), -1..400);
    reload(&bed, &agent).await;
    bed.until_said(&agent, RENEWED).await;
    assert_eq!(bed.sandbox().counters().token_requests, 0);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_that_is_over_or_does_not_serve_yet_is_told_as_such() {
    let (bed, key, file) = certified(-400..-1).await;
    let told = async |message: &str, level: &str| {
        let agent = bed.run();
        let line = bed.until_said(&agent, message).await;
        assert_eq!(line["level"], level, "{line}");
        assert_eq!(said(&agent, SOON), 0);
        agent.stop().await.expect(0);
        line
    };
    told(OVER, "ERROR").await;
    let ran = bed.command(&["check", "--offline"]).await.expect(1);
    assert!(line(&ran, "certificate").starts_with("FAIL"), "{ran:?}");
    certify(&file, &key, 2..400);
    let early = told("credential is not valid yet", "WARN").await;
    assert!(early["valid_from"].as_str().unwrap().starts_with(&day(2)), "{early}");
    let ran = bed.command(&["check", "--offline"]).await.expect(0);
    assert!(ran.stdout.contains("WARN  certificate") && ran.stdout.contains("not valid before"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_days_left_are_those_of_the_wall_clock() {
    let mut bed = Bed::new().await;
    bed.set("auth.secret_expires", &day(400));
    let clock = ClockDial::before(&mut bed);
    for (days, message) in [(0, None), (395, Some(SOON)), (500, Some(OVER))] {
        clock.is_off_by_hours(days * 24);
        let agent = bed.run();
        bed.until_said(&agent, "agent started").await;
        match message {
            Some(message) => drop(bed.until_said(&agent, message).await),
            None => drop(until_noted(&bed, "client_secret").await),
        }
        assert_eq!(said(&agent, SOON) + said(&agent, OVER), usize::from(message.is_some()));
        agent.stop().await.expect(0);
    }
}
