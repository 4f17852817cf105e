//! A certificate registered for the application, as far as Entra looks at it: how it is named in an assertion, when it
//! is valid, and the key inside. Who issued it does not matter; Entra does not ask either.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use chrono::{DateTime, Utc};
use x509_parser::prelude::{FromDer, X509Certificate};

/// How an assertion may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RSA-PSS with SHA-256.
    Ps256,
    /// RSA with PKCS#1 padding and SHA-256.
    Rs256,
}

impl Scheme {
    /// Reads `alg` of a JWT's header.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// What is known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) sha1: Vec<u8>,
    pub(super) sha256: Vec<u8>,
    pub(super) subject: String,
    pub(super) not_before: DateTime<Utc>,
    pub(super) not_after: DateTime<Utc>,
    public_key: Vec<u8>,
}

impl Certificate {
    /// The first certificate of a PEM text: the one that is uploaded, its chain may follow.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let blocks = pem::parse_many(text).map_err(|error| format!("not PEM: {error}"))?;
        let block = blocks.iter().find(|block| block.tag() == "CERTIFICATE");
        let block = block.ok_or("no PEM block with BEGIN CERTIFICATE in it")?;
        Self::from_der(block.contents()).ok_or_else(|| "its first block is not an X.509 certificate".to_owned())
    }

    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        Some(Self {
            sha1: digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec(),
            sha256: digest(&SHA256, der).as_ref().to_vec(),
            subject: parsed.subject().to_string(),
            not_before: DateTime::from_timestamp(parsed.validity().not_before.timestamp(), 0)?,
            not_after: DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)?,
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// Whether the key inside signed these bytes. A key that is not RSA never did.
    pub(super) fn has_signed(&self, scheme: Scheme, signed: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(scheme.algorithm(), &self.public_key).verify(signed, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::signer::Signer;
    use super::*;

    #[test]
    fn the_first_certificate_of_a_text_counts() {
        let (first, second) = (Signer::valid(), Signer::expired());
        let text =
            format!("Bag Attributes\n{}{}{}", second.key_pem(), first.certificate_pem(), second.certificate_pem());
        let certificate = Certificate::from_pem(&text).unwrap();
        assert_eq!(certificate, Certificate::from_der(first.der()).unwrap());
        assert_eq!((certificate.sha1.len(), certificate.sha256.len()), (20, 32));
        assert!(certificate.not_after > Utc::now() && certificate.not_before < Utc::now());
        assert_eq!(certificate.subject, "CN=event-sender");
    }

    #[test]
    fn a_text_without_a_certificate_says_what_it_lacks() {
        assert!(Certificate::from_pem("").unwrap_err().contains("BEGIN CERTIFICATE"));
        assert!(Certificate::from_pem(&Signer::valid().key_pem()).unwrap_err().contains("BEGIN CERTIFICATE"));
        assert!(Certificate::from_pem("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----").is_err());
        let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        assert!(Certificate::from_pem(none).unwrap_err().contains("X.509"));
    }

    #[test]
    fn only_its_own_key_has_signed_and_only_in_the_scheme_named() {
        let signer = Signer::valid();
        let certificate = Certificate::from_der(signer.der()).unwrap();
        for (scheme, other) in [(Scheme::Ps256, Scheme::Rs256), (Scheme::Rs256, Scheme::Ps256)] {
            let signature = signer.sign(scheme, b"text");
            assert!(certificate.has_signed(scheme, b"text", &signature));
            assert!(!certificate.has_signed(other, b"text", &signature));
            assert!(!certificate.has_signed(scheme, b"other", &signature));
            assert!(!certificate.has_signed(scheme, b"text", &[]));
        }
        let stranger = Certificate::from_der(Signer::stranger().der()).unwrap();
        assert!(!stranger.has_signed(Scheme::Ps256, b"text", &signer.sign(Scheme::Ps256, b"text")));
    }
}
