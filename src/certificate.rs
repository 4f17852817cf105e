//! A certificate with its private key, out of PEM texts: what an application signs in with instead of a secret. Says in
//! plain words what is wrong with either. Opens no files and signs nothing.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use chrono::{DateTime, Utc};
use pem::Pem;
use pkcs8::pkcs5::Error::{NoPbes1CryptSupport, UnsupportedAlgorithm};
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// rsaEncryption, the one kind of key Entra takes.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RSASSA-PSS: an RSA key that says what it may be used for.
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// How many certificates of a file are looked at. Chains have three or four.
const MOST_CERTIFICATES: usize = 20;

/// A certificate, its chain and its key, which belong together.
#[derive(Clone)]
pub struct Certificate {
    key: Zeroizing<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    subject: String,
    begins: DateTime<Utc>,
    ends: DateTime<Utc>,
}

/// Which of the texts a [`Fault`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
    /// Certificate and key, which do not belong together.
    Pair,
    /// The passphrase of the key.
    Passphrase,
}

/// What is wrong, and the cure, to be read after the name of the part. Nothing of a key or a passphrase is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub part: Part,
    pub what: String,
}

fn fault<T>(part: Part, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { part, what: what.into() })
}

impl Certificate {
    /// Reads the certificate in `certificate` that belongs to the first private key in `key` (RSA of at least 2048 bits,
    /// PKCS#8 with or without a passphrase, or PKCS#1); of several the one that ends last. The other certificates are taken as its chain. Both may be
    /// the same text.
    ///
    /// # Errors
    /// What is wrong with which. That a certificate has expired is none: who signs in with it is told so by the other side,
    /// and goes on when it has been renewed.
    pub fn from_pem(certificate: &Secret, key: &Secret, passphrase: Option<&Secret>) -> Result<Self, Fault> {
        let key = private_key(key, passphrase)?;
        let public = public_key(&key)?;
        let mut chain = certificates(certificate)?;
        // Of several, as while one is renewed, the one that lasts.
        let own = chain.iter().enumerate().filter(|(_, der)| belongs(der, &public));
        let own = own.max_by_key(|(place, der)| (told(der).map(|(_, _, ends)| ends), std::cmp::Reverse(*place)));
        let Some((own, _)) = own else {
            return fault(
                Part::Pair,
                "no certificate in it belongs to this key; use the key that the certificate was made with",
            );
        };
        let own = chain.remove(own);
        chain.insert(0, own);
        let (subject, begins, ends) = told(&chain[0]).ok_or_else(|| unreadable(Part::Certificate))?;
        Ok(Self { key, chain, subject, begins, ends })
    }

    /// The key as PKCS#1 DER.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The certificate and those of its chain that stood beside it, as DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// SHA-256 of the certificate's DER.
    pub fn thumbprint(&self) -> [u8; 32] {
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest::digest(&digest::SHA256, &self.chain[0]).as_ref());
        thumbprint
    }

    /// Whose it is, as written in it: `CN=event-sender`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Serves from here.
    pub fn begins(&self) -> DateTime<Utc> {
        self.begins
    }

    /// Serves until here.
    pub fn ends(&self) -> DateTime<Utc> {
        self.ends
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.chain == other.chain
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("subject", &self.subject).field("ends", &self.ends).finish_non_exhaustive()
    }
}

fn unreadable(part: Part) -> Fault {
    let what = match part {
        Part::Certificate => "holds a certificate that cannot be read; export it again (docs/sign-in/certificate.md)",
        _ => "holds a private key that cannot be read; export it again (docs/sign-in/certificate.md)",
    };
    Fault { part, what: what.into() }
}

/// The blocks of a PEM text, whatever stands around them.
fn blocks(text: &Secret, part: Part) -> Result<Vec<Pem>, Fault> {
    match pem::parse_many(text.expose()) {
        Ok(blocks) if !blocks.is_empty() => Ok(blocks),
        Ok(_) => fault(
            part,
            "is not a PEM file (text with a line -----BEGIN …-----); convert it with openssl (docs/sign-in/certificate.md)",
        ),
        Err(_) => fault(part, "is a damaged PEM file; copy or export it again"),
    }
}

fn certificates(text: &Secret) -> Result<Vec<Vec<u8>>, Fault> {
    let blocks = blocks(text, Part::Certificate)?;
    let found = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").take(MOST_CERTIFICATES);
    let found: Vec<Vec<u8>> = found.map(Pem::into_contents).collect();
    if found.is_empty() {
        return fault(Part::Certificate, "holds no certificate (-----BEGIN CERTIFICATE-----)");
    }
    if found.iter().any(|der| told(der).is_none()) {
        return Err(unreadable(Part::Certificate));
    }
    Ok(found)
}

fn belongs(der: &[u8], public: &[u8]) -> bool {
    parse_x509_certificate(der).is_ok_and(|(_, parsed)| *parsed.public_key().subject_public_key.data == *public)
}

fn told(der: &[u8]) -> Option<(String, DateTime<Utc>, DateTime<Utc>)> {
    let (_, parsed) = parse_x509_certificate(der).ok()?;
    let validity = parsed.validity();
    let time = |seconds: i64| DateTime::from_timestamp(seconds, 0);
    let subject: String = parsed.subject().to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    Some((subject, time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?))
}

/// The key as PKCS#1 DER.
fn private_key(text: &Secret, passphrase: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let blocks = blocks(text, Part::Key)?;
    let Some(block) = blocks.into_iter().find(|block| block.tag().ends_with("PRIVATE KEY")) else {
        return fault(Part::Key, "holds no private key (-----BEGIN PRIVATE KEY-----)");
    };
    let (kind, old_way) = (block.tag().to_owned(), block.headers().get("DEK-Info").is_some());
    let der = Zeroizing::new(block.into_contents());
    match kind.as_str() {
        "RSA PRIVATE KEY" if old_way => fault(
            Part::Key,
            "holds a key in the old encrypted format; convert it with 'openssl pkcs8 -topk8 -in OLD.pem -out NEW.pem'",
        ),
        "RSA PRIVATE KEY" => Ok(der),
        "PRIVATE KEY" => of_pkcs8(&der),
        "ENCRYPTED PRIVATE KEY" => decrypted(&der, passphrase),
        _ => no_rsa(),
    }
}

fn no_rsa<T>() -> Result<T, Fault> {
    fault(
        Part::Key,
        "holds a key that is not RSA, and Entra accepts only RSA; make an RSA key and a certificate for it",
    )
}

fn decrypted(der: &[u8], passphrase: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let Some(passphrase) = passphrase else {
        return fault(Part::Passphrase, "is not set, and the private key is encrypted; set it, or decrypt the key");
    };
    let opened = EncryptedPrivateKeyInfoRef::try_from(der).map(|encrypted| encrypted.decrypt(passphrase.expose()));
    match opened {
        Ok(Ok(plain)) => of_pkcs8(plain.as_bytes()),
        Err(_) | Ok(Err(pkcs8::Error::EncryptedPrivateKey(UnsupportedAlgorithm { .. } | NoPbes1CryptSupport))) => {
            fault(
                Part::Key,
                "holds a key encrypted by a method that is not supported; convert it with 'openssl pkcs8 -topk8 -v2 aes256 -in OLD.pem -out NEW.pem'",
            )
        }
        // A wrong passphrase may also leave something behind that looks decrypted.
        Ok(Err(_)) => fault(Part::Passphrase, "does not open the private key; correct it, or export the key again"),
    }
}

fn of_pkcs8(der: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| unreadable(Part::Key))?;
    if info.algorithm.oid == RSA_PSS {
        return fault(
            Part::Key,
            "holds a key for RSA-PSS only; make a plain RSA key ('openssl genpkey -algorithm RSA')",
        );
    }
    if info.algorithm.oid != RSA {
        return no_rsa();
    }
    Ok(Zeroizing::new(info.private_key.as_bytes().to_vec()))
}

/// The public key of a private one, as certificates hold it.
fn public_key(key: &[u8]) -> Result<Vec<u8>, Fault> {
    match KeyPair::from_der(key) {
        Ok(pair) => Ok(pair.public_key().as_ref().to_vec()),
        Err(rejected) => match rejected.to_string().as_str() {
            "TooSmall" => fault(Part::Key, "holds a key of fewer than 2048 bits; Entra accepts 2048 and more"),
            "TooLarge" => fault(Part::Key, "holds a key of more than 8192 bits; make one of 2048 to 4096"),
            _ => Err(unreadable(Part::Key)),
        },
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(crate) mod tests;
