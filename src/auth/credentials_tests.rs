//! The form of each mode, field by field (graph-facts 5.1), and that nothing of it shows.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::certificate::tests::text;

fn secret() -> Secret {
    Secret::new("s3cret-Zebra".into())
}

fn certificate() -> Arc<Certificate> {
    Arc::new(Certificate::from_pem(&text("certificate"), &text("pkcs8"), None).unwrap())
}

fn password(client_secret: Option<Secret>) -> Credentials {
    Credentials::Password { username: "agent@contoso.com".into(), password: secret(), client_secret }
}

fn sign_in(credentials: Credentials, version: Version) -> SignIn {
    SignIn {
        instance: "https://login.microsoftonline.com".into(),
        tenant: "contoso.onmicrosoft.com".into(),
        client_id: "c".into(),
        resource: "https://graph.microsoft.com".into(),
        version,
        credentials,
        secret_expires: None,
    }
}

/// Names and values; of an assertion signed here only that it is three parts.
fn form(sign_in: &SignIn, claims: Option<&str>) -> String {
    let fields = sign_in.form(claims, Utc::now()).unwrap();
    let shown = |name: &str, value: &str| match value.split('.').count() {
        3 if name == "client_assertion" && value.len() > 100 => "(signed)".to_owned(),
        _ => value.to_owned(),
    };
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", shown(name, value))).collect();
    fields.join("&")
}

#[test]
fn each_mode_and_version_has_its_own_form() {
    const V2: &str = "client_id=c&scope=https://graph.microsoft.com/.default";
    const V1: &str = "client_id=c&resource=https://graph.microsoft.com";
    const JWT: &str = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=";
    let certificate = Credentials::Certificate { certificate: certificate(), send_chain: false };
    for (credentials, rest) in [
        (Credentials::ClientSecret(secret()), "grant_type=client_credentials&client_secret=s3cret-Zebra".to_owned()),
        (certificate, format!("grant_type=client_credentials&{JWT}(signed)")),
        (Credentials::Federated(Secret::new("a.b.c".into())), format!("grant_type=client_credentials&{JWT}a.b.c")),
        (password(None), "grant_type=password&username=agent@contoso.com&password=s3cret-Zebra".into()),
        (
            password(Some(secret())),
            "grant_type=password&username=agent@contoso.com&password=s3cret-Zebra&client_secret=s3cret-Zebra".into(),
        ),
    ] {
        assert_eq!(form(&sign_in(credentials.clone(), Version::V2), None), format!("{V2}&{rest}"));
        assert_eq!(form(&sign_in(credentials.clone(), Version::V1), None), format!("{V1}&{rest}"));
        let challenged = form(&sign_in(credentials, Version::V2), Some("{}"));
        assert_eq!(challenged, format!("{V2}&{rest}&claims={{}}"));
    }
}

#[test]
fn each_version_has_its_own_address() {
    let url = |version| sign_in(Credentials::ClientSecret(secret()), version).url();
    assert_eq!(url(Version::V1), "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/token");
    assert_eq!(url(Version::V2), "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token");
}

#[test]
fn the_end_of_a_certificate_is_known_and_that_of_a_secret_if_it_was_written_down() {
    let certificate = certificate();
    let (at, begins) = (certificate.ends(), Some(certificate.begins()));
    let signed = sign_in(Credentials::Certificate { certificate, send_chain: false }, Version::V2);
    assert_eq!(signed.credential_end(), Some(CredentialEnd { credential: "certificate", at, begins }));
    for (credentials, credential) in [
        (Credentials::ClientSecret(secret()), Some("client_secret")),
        (password(Some(secret())), Some("client_secret")),
        (password(None), None),
        (Credentials::Federated(secret()), None),
    ] {
        let written = SignIn { secret_expires: Some(at), ..sign_in(credentials, Version::V2) };
        assert_eq!(written.credential_end().map(|end| end.credential), credential);
        assert_eq!(SignIn { secret_expires: None, ..written }.credential_end(), None);
    }
}

#[test]
fn debug_shows_no_secret() {
    let certificate = Credentials::Certificate { certificate: certificate(), send_chain: true };
    let redacted = [Credentials::ClientSecret(secret()), Credentials::Federated(secret()), password(Some(secret()))];
    for credentials in redacted.into_iter().chain([certificate]) {
        let sign_in = sign_in(credentials, Version::V2);
        let shown = format!("{sign_in:?} {sign_in:#?}");
        assert!(!shown.contains("Zebra"), "{shown}");
        assert!(shown.contains("[redacted]") || shown.contains("CN=event-sender test"), "{shown}");
    }
}

proptest::proptest! {
    #[test]
    fn claims_go_into_the_form_as_one_field(claims in "\\PC{0,60}") {
        let sign_in = sign_in(Credentials::ClientSecret(secret()), Version::V2);
        let fields = sign_in.form(Some(&claims), Utc::now()).unwrap();
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let back: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        assert_eq!((back.len(), back.last()), (5, Some(&("claims".to_owned(), claims))));
    }
}
