//! What openssl writes is read, and every other file is told what is wrong with it.

#![allow(clippy::unwrap_used)]

use super::*;

/// One of the throwaway files; for other tests too.
pub(crate) fn text(name: &str) -> Secret {
    let path = format!("{}/tests/pem/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    Secret::new(std::fs::read_to_string(path).unwrap())
}

pub(crate) fn joined(names: &[&str]) -> Secret {
    Secret::new(names.iter().map(|name| text(name).expose().to_owned()).collect::<Vec<_>>().join("\nin between\n"))
}

fn opensesame() -> Secret {
    Secret::new("opensesame".into())
}

fn read(certificate: &Secret, key: &Secret) -> Result<Certificate, Fault> {
    Certificate::from_pem(certificate, key, Some(&opensesame()))
}

fn refused(certificate: &str, key: &str, part: Part, word: &str) {
    let fault = read(&text(certificate), &text(key)).unwrap_err();
    assert_eq!(fault.part, part, "{fault:?}");
    assert!(fault.what.contains(word), "{fault:?}");
}

#[test]
fn one_key_in_every_wrapping_is_the_same_key() {
    let plain = read(&text("certificate"), &text("pkcs8")).unwrap();
    for wrapping in ["pkcs1", "encrypted", "scrypt"] {
        assert_eq!(read(&text("certificate"), &text(wrapping)).unwrap(), plain, "{wrapping}");
    }
    assert_eq!(plain.subject(), "CN=event-sender test");
    assert!(plain.begins() < plain.ends());
}

/// openssl's own word, from 'openssl x509 -noout -fingerprint -sha256'.
#[test]
fn the_thumbprint_is_the_one_openssl_prints() {
    let thumbprint = read(&text("certificate"), &text("pkcs8")).unwrap().thumbprint();
    let printed: Vec<String> = thumbprint.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(printed.join(":"), include_str!("../tests/pem/certificate.sha256").trim());
}

#[test]
fn the_certificate_of_the_key_comes_first_and_the_others_are_its_chain() {
    let whole = joined(&["other", "pkcs8", "certificate"]);
    let read = read(&whole, &whole).unwrap();
    assert_eq!((read.subject(), read.chain().len()), ("CN=event-sender test", 2));
}

#[test]
fn of_two_certificates_of_the_key_the_one_that_lasts_is_taken() {
    let ends = |names: &[&str]| read(&joined(names), &text("pkcs8")).unwrap().ends();
    let (first, second) = (ends(&["certificate"]), ends(&["renewed"]));
    assert_eq!(ends(&["certificate", "renewed"]), first.max(second));
    assert_eq!(ends(&["renewed", "certificate"]), first.max(second));
}

#[test]
fn a_renewed_certificate_of_the_same_key_is_another_one() {
    let (old, new) = (read(&text("certificate"), &text("pkcs8")), read(&text("renewed"), &text("pkcs8")));
    assert_ne!(old, new);
    assert_eq!(new.unwrap().subject(), "CN=event-sender renewed");
}

#[test]
fn each_fault_names_its_file_and_its_cure() {
    refused("other", "pkcs8", Part::Pair, "no certificate in it belongs to this key");
    refused("pkcs8", "pkcs8", Part::Certificate, "holds no certificate");
    refused("certificate", "certificate", Part::Key, "holds no private key");
    refused("certificate", "ec", Part::Key, "not RSA");
    refused("certificate", "pss", Part::Key, "RSA-PSS only");
    refused("certificate", "huge", Part::Key, "more than 8192 bits");
    refused("certificate", "ec-sec1", Part::Key, "not RSA");
    refused("certificate", "small", Part::Key, "fewer than 2048 bits");
    refused("certificate", "old-encrypted", Part::Key, "openssl pkcs8 -topk8");
    refused("certificate", "weak-encrypted", Part::Key, "openssl pkcs8 -topk8");
}

#[test]
fn a_passphrase_that_is_missing_or_wrong_is_told() {
    let (certificate, key) = (text("certificate"), text("encrypted"));
    for (passphrase, word) in [(None, "is not set"), (Some(Secret::new("sesame".into())), "does not open")] {
        let fault = Certificate::from_pem(&certificate, &key, passphrase.as_ref()).unwrap_err();
        assert_eq!(fault.part, Part::Passphrase);
        assert!(fault.what.contains(word), "{fault:?}");
    }
}

#[test]
fn what_is_no_pem_is_told_apart_from_what_is_damaged() {
    let good = text("pkcs8");
    for (broken, word) in [
        (String::new(), "is not a PEM file"),
        ("0\u{82}".into(), "is not a PEM file"),
        (good.expose()[..200].to_owned(), "PEM file"),
        (good.expose().replace("BEGIN PRIVATE", "BEGIN PUBLIC"), "damaged"),
        (pem::encode(&Pem::new("PRIVATE KEY", vec![1, 2, 3])), "cannot be read"),
        (pem::encode(&Pem::new("RSA PRIVATE KEY", vec![1, 2, 3])), "cannot be read"),
        (pem::encode(&Pem::new("ENCRYPTED PRIVATE KEY", vec![1, 2, 3])), "not supported"),
    ] {
        let fault = read(&text("certificate"), &Secret::new(broken)).unwrap_err();
        assert_eq!(fault.part, Part::Key);
        assert!(fault.what.contains(word), "{word}: {fault:?}");
    }
    let nonsense = Secret::new(pem::encode(&Pem::new("CERTIFICATE", vec![1, 2, 3])));
    assert!(read(&nonsense, &good).unwrap_err().what.contains("cannot be read"));
}

#[test]
fn debug_shows_nothing_of_the_key() {
    let shown = format!("{:?}", read(&text("certificate"), &text("pkcs8")).unwrap());
    assert!(shown.starts_with("Certificate { subject: \"CN=event-sender test\", ends: 2"), "{shown}");
    assert!(shown.len() < 120, "{shown}");
}

proptest::proptest! {
    #[test]
    fn no_file_makes_a_panic(bytes in proptest::collection::vec(0u8..=255, 0..200), label in 0usize..4, text in "\\PC{0,200}") {
        let label = ["CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"][label];
        let block = Secret::new(pem::encode(&Pem::new(label, bytes)));
        let text = Secret::new(text);
        for (certificate, key) in [(&block, &block), (&text, &text), (&block, &text), (&text, &block)] {
            let _ = read(certificate, key);
        }
        let _ = read(&self::text("certificate"), &block);
        let _ = read(&block, &self::text("pkcs8"));
    }
}
