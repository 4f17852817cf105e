//! Certificates with their keys, made as the test needs them: of any age, in any wrapping.

use std::path::PathBuf;
use std::sync::OnceLock;

use event_sender::sandbox::OptionsChange;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::bed::{Bed, chmod};

/// A certificate and its private key, PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Two keys for all tests: making one takes a while.
fn key(of: usize) -> &'static KeyPair {
    static KEYS: [OnceLock<KeyPair>; 2] = [OnceLock::new(), OnceLock::new()];
    KEYS[of].get_or_init(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
}

impl Pair {
    /// Of one of the two keys, good from yesterday until so many days from now.
    pub fn ending_in(days: i64, of: usize) -> Self {
        let now = std::time::SystemTime::now();
        let day = std::time::Duration::from_secs(86_400);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("event-sender {of}, {days} days"));
        params.not_before = (now - day * 400).into();
        let until = day * u32::try_from(days.unsigned_abs()).unwrap();
        params.not_after = if days < 0 { now - until } else { now + until }.into();
        let key = key(of);
        Self { certificate: params.self_signed(key).unwrap().pem(), key: key.serialize_pem() }
    }

    /// One of the throwaway pairs openssl made.
    pub fn of_openssl(certificate: &str, key: &str) -> Self {
        let read = |name: &str| {
            let path = format!("{}/tests/pem/{name}.pem", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        Self { certificate: read(certificate), key: read(key) }
    }

    pub fn usual() -> Self {
        Self::ending_in(300, 0)
    }
}

/// Where the files of a bed are.
pub fn files(bed: &Bed) -> (PathBuf, PathBuf) {
    (bed.home().join("certificate.pem"), bed.home().join("private_key.pem"))
}

/// Puts a file in the place of another, as an administrator should.
pub fn replace(file: &PathBuf, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    chmod(&new, 0o640);
    std::fs::rename(new, file).unwrap();
}

/// Mode certificate with this pair; the sandbox knows nothing of it yet.
pub fn signs_in_with(bed: &mut Bed, pair: &Pair) {
    let (certificate, key) = files(bed);
    replace(&certificate, &pair.certificate);
    replace(&key, &pair.key);
    bed.unset("auth.client_secret");
    bed.set("auth.mode", "certificate");
    bed.set("auth.certificate_file", certificate.to_str().unwrap());
    bed.set("auth.private_key_file", key.to_str().unwrap());
}

/// Uploads these certificates in Entra, and removes all others.
pub fn uploaded(bed: &Bed, pairs: &[&Pair]) {
    let certificates = pairs.iter().map(|pair| pair.certificate.clone()).collect();
    bed.sandbox().configure(OptionsChange { certificates: Some(certificates), ..OptionsChange::default() });
}
