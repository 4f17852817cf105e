//! With a certificate: every wrapping of the key, the assertion as it comes over the wire, and every refusal.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use event_sender::sandbox::{self, OptionsChange};
use serde_json::{Value, json};
use x509_parser::public_key::PublicKey;

use super::pairs::{Pair, signs_in_with, uploaded};
use super::{json_of, refused, sends};
use crate::bed::Bed;
use crate::shim::ClockDial;

async fn bed_with(pair: &Pair) -> Bed {
    let mut bed = Bed::new().await;
    signs_in_with(&mut bed, pair);
    uploaded(&bed, &[pair]);
    bed
}

/// Header and claims of the one assertion that was presented.
fn presented(bed: &Bed) -> (Value, Value) {
    let assertions = bed.sandbox().assertions();
    assert_eq!(assertions.len(), 1);
    let parts: Vec<&str> = assertions[0].assertion.split('.').collect();
    (json_of(parts[0]), json_of(parts[1]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_in_any_wrapping_signs_in() {
    for (key, passphrase) in
        [("pkcs8", None), ("pkcs1", None), ("encrypted", Some("opensesame")), ("scrypt", Some("opensesame"))]
    {
        let mut bed = bed_with(&Pair::of_openssl("certificate", key)).await;
        if let Some(passphrase) = passphrase {
            bed.set("auth.private_key_passphrase", passphrase);
        }
        assert_eq!(sends(&bed).await, "/v1.0/users/calendar@contoso.com/events", "{key}");
        assert!(!bed.all_output().contains("opensesame"));
    }
}

/// Field by field what graph-facts 5.2 asks for, as the other side got it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_assertion_on_the_wire_is_the_documented_one() {
    let bed = bed_with(&Pair::of_openssl("certificate", "pkcs8")).await;
    let before = chrono::Utc::now().timestamp();
    sends(&bed).await;
    let (header, claims) = presented(&bed);
    let printed = include_str!("../../pem/certificate.sha256").trim();
    let thumbprint: Vec<u8> = printed.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(header, json!({ "typ": "JWT", "alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint) }));
    let from = claims["nbf"].as_i64().unwrap();
    assert!((before..=chrono::Utc::now().timestamp()).contains(&from), "{claims}");
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(uuid::Uuid::try_parse(jti).unwrap().get_version_num(), 4);
    let endpoint = format!("{}/{}/oauth2/v2.0/token", bed.sandbox().url(), sandbox::TENANT_ID);
    let client = sandbox::CLIENT_ID;
    let expected = json!({ "aud": endpoint, "iss": client, "sub": client, "jti": jti, "nbf": from, "iat": from, "exp": from + 600 });
    assert_eq!(claims, expected);
}

/// Whether the signature of an assertion is one of this certificate's key, by arithmetic alone.
fn is_signed_by(certificate: &str, assertion: &str) -> bool {
    let der = pem::parse(certificate).unwrap().into_contents();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    let PublicKey::RSA(key) = parsed.public_key().parsed().unwrap() else { panic!("an RSA key") };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let signature = hex(&URL_SAFE_NO_PAD.decode(signature).unwrap());
    let asked = format!("{}\n{}\n{signature}\n{message}\n", hex(key.modulus), hex(key.exponent));
    let script = format!("{}/tests/it/sign_in/pss.py", env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3").arg(script).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    python.wait().unwrap().success()
}

/// Agent and sandbox stand on one library for the arithmetic of RSA. This stands on none.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_signature_is_good_by_arithmetic_alone() {
    let pair = Pair::of_openssl("certificate", "pkcs8");
    let bed = bed_with(&pair).await;
    sends(&bed).await;
    let assertion = bed.sandbox().assertions().remove(0).assertion;
    assert!(is_signed_by(&pair.certificate, &assertion));
    assert!(!is_signed_by(&Pair::of_openssl("other", "other-key").certificate, &assertion), "another key");
    let (header, rest) = assertion.split_once('.').unwrap();
    assert!(!is_signed_by(&pair.certificate, &format!("{header}A.{rest}")), "another message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_chain_goes_along_if_wished() {
    let pair = Pair::of_openssl("certificate", "pkcs8");
    let issuer = Pair::of_openssl("other", "other-key");
    let both = Pair { certificate: format!("{}{}", pair.certificate, issuer.certificate), key: pair.key.clone() };
    let mut bed = Bed::new().await;
    signs_in_with(&mut bed, &both);
    uploaded(&bed, &[&pair]);
    bed.set_literal("auth.send_certificate_chain", "true");
    sends(&bed).await;
    let (header, _) = presented(&bed);
    let sent: Vec<&str> = header["x5c"].as_array().unwrap().iter().map(|der| der.as_str().unwrap()).collect();
    let ders = [&pair, &issuer].map(|pair| STANDARD.encode(pem::parse(&pair.certificate).unwrap().contents()));
    assert_eq!(sent, ders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_older_endpoint_takes_an_assertion_made_for_it() {
    let mut bed = bed_with(&Pair::usual()).await;
    bed.set("auth.token_version", "v1");
    sends(&bed).await;
    let (_, claims) = presented(&bed);
    let endpoint = format!("{}/{}/oauth2/token", bed.sandbox().url(), sandbox::TENANT_ID);
    assert_eq!(claims["aud"], endpoint);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn certificate_and_key_as_systemd_passes_them() {
    let pair = Pair::usual();
    let mut bed = bed_with(&pair).await;
    bed.unset("auth.certificate_file");
    bed.unset("auth.private_key_file");
    std::fs::write(bed.home().join("certificate"), &pair.certificate).unwrap();
    std::fs::write(bed.home().join("private_key"), &pair.key).unwrap();
    let home = bed.home().to_str().unwrap().to_owned();
    bed.env("CREDENTIALS_DIRECTORY", &home);
    sends(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn neither_key_nor_assertion_is_written_anywhere() {
    let pair = Pair::of_openssl("certificate", "encrypted");
    let mut bed = bed_with(&pair).await;
    bed.set("auth.private_key_passphrase", "opensesame");
    bed.set("log.level", "trace");
    sends(&bed).await;
    bed.command(&["check"]).await.expect(0);
    bed.command(&["status", "--json"]).await.expect(0);
    bed.set("auth.private_key_passphrase", "Open-Sesame");
    bed.command(&["check"]).await.expect(78);
    let written = bed.all_output();
    let assertions = bed.sandbox().assertions();
    let signatures = assertions.iter().map(|one| one.assertion.rsplit('.').next().unwrap());
    let key = Pair::of_openssl("certificate", "pkcs8").key + pair.key.as_str();
    let lines = key.lines().filter(|line| line.len() == 64);
    for hidden in signatures.chain(lines).chain(["opensesame", "Open-Sesame"]) {
        assert!(!written.contains(hidden), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_refusal_is_told_with_its_cure() {
    let pair = Pair::usual();
    let mut bed = bed_with(&pair).await;
    uploaded(&bed, &[&Pair::ending_in(300, 1)]);
    let line = refused(&bed, "AADSTS700027").await;
    assert!(line.contains("upload the one of auth.certificate_file"), "{line}");

    let ended = Pair::ending_in(-3, 0);
    bed = bed_with(&ended).await;
    let line = refused(&bed, "AADSTS700027").await;
    assert!(line.contains("or it has expired"), "{line}");

    bed = bed_with(&pair).await;
    bed.set("auth.client_id", "99999999-0000-4000-8000-000000000000");
    let line = refused(&bed, "AADSTS700016").await;
    assert!(line.contains("check auth.client_id and auth.tenant_id"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clock_that_is_wrong_is_told_as_such() {
    let mut bed = bed_with(&Pair::usual()).await;
    let clock = ClockDial::before(&mut bed);
    clock.is_off_by_hours(-5);
    let line = refused(&bed, "AADSTS700024").await;
    assert!(line.contains("check the clock of this computer"), "{line}");
}

/// Nobody has to touch the agent: the certificate is uploaded, and the next try succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_came_late_is_noticed_by_a_reload() {
    let pair = Pair::usual();
    let mut bed = Bed::new().await;
    signs_in_with(&mut bed, &pair);
    let agent = bed.run();
    let id = bed.insert(crate::bed::row()).await;
    bed.until_said(&agent, "sending paused").await;
    uploaded(&bed, &[&pair]);
    // What was refused a moment ago is not asked again, whoever asks.
    let sent = async || {
        agent.signal("HUP");
        (bed.job(id).await.state == "sent").then_some(())
    };
    bed.wait("the job is sent", sent).await;
    assert_eq!(bed.job(id).await.attempts, 1);
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_tells_a_pair_that_does_not_belong_together() {
    let mut bed = Bed::new().await;
    let (own, other) = (Pair::usual(), Pair::ending_in(300, 1));
    signs_in_with(&mut bed, &Pair { certificate: own.certificate.clone(), key: other.key });
    let ran = bed.command(&["check", "--offline"]).await.expect(78);
    assert!(
        ran.stdout.contains("FAIL") && ran.stdout.contains("no certificate in it belongs to this key"),
        "{}",
        ran.stdout
    );
    signs_in_with(&mut bed, &own);
    uploaded(&bed, &[&own]);
    let ran = bed.command(&["check"]).await.expect(0);
    assert!(ran.stdout.contains("gave application"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_policy_that_comes_up_is_satisfied_with_one_more_token() {
    let bed = bed_with(&Pair::usual()).await;
    let agent = bed.run();
    let first = bed.insert(crate::bed::row()).await;
    bed.until(first, "sent").await;
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}"#;
    bed.sandbox().configure(OptionsChange { claims_challenge: Some(claims.into()), ..OptionsChange::default() });
    let second = bed.insert(crate::bed::row()).await;
    assert_eq!(bed.until(second, "sent").await.attempts, 1);
    // The log has a thread of its own, which may come after the row.
    bed.wait("both tokens are logged", async || (agent.said("token acquired").len() == 2).then_some(())).await;
    assert_eq!(bed.sandbox().assertions().len(), 2, "each request has an assertion of its own");
    agent.stop().await.expect(0);
}
