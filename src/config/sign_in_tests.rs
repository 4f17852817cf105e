//! The modes of `[auth]` and the clouds: what each needs, what it refuses, and what stands in for a key.

use super::*;
use crate::certificate::tests;

const ENTRA: &str = "tenant_id = \"contoso.onmicrosoft.com\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\n";

fn auth(lines: &str) -> String {
    format!("[auth]\n{ENTRA}{lines}\n")
}

fn mode(mode: &str, lines: &str) -> String {
    auth(&format!("mode = \"{mode}\"\n{lines}"))
}

/// One of the throwaway files.
fn text(name: &str) -> String {
    tests::text(name).expose().to_owned()
}

/// The lines of a certificate and key among the throwaway ones.
fn pair(certificate: &str, key: &str) -> String {
    let path = |name: &str| format!("{}/tests/pem/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    format!("certificate_file = {:?}\nprivate_key_file = {:?}\n", path(certificate), path(key))
}

fn one_problem(bed: &Bed, text: &str) -> String {
    let problems = bed.problems(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn a_certificate_needs_its_files_and_is_read_with_them() {
    let settings = Bed::new().load(&mode("certificate", &pair("certificate", "pkcs8"))).unwrap();
    let AuthMode::Certificate { certificate, passphrase, send_chain } = &settings.auth.mode else { panic!() };
    assert_eq!((certificate.subject(), send_chain), ("CN=event-sender test", &false));
    assert!(passphrase.is_none());
    assert_eq!(settings.auth.files.certificate, settings.named.first().cloned());
    assert_eq!(settings.auth.files.private_key, settings.named.get(1).cloned());

    let missing = one_problem(&Bed::new(), &mode("certificate", ""));
    assert!(missing.starts_with("auth.certificate_file: is not set, and mode \"certificate\" needs it"), "{missing}");
}

#[test]
fn certificate_and_key_may_be_one_file_or_systemd_credentials() {
    let bed = Bed::new();
    let both = bed.file("both.pem", &(text("certificate") + &text("pkcs1")));
    bed.load(&mode("certificate", &format!("certificate_file = {both:?}"))).unwrap();
    bed.file("certificate", &text("certificate"));
    bed.file("private_key", &text("encrypted"));
    bed.file("private_key_passphrase", "opensesame\n");
    let directory = bed.dir.path().display().to_string();
    let settings = bed.env("CREDENTIALS_DIRECTORY", &directory).load(&mode("certificate", "")).unwrap();
    assert_eq!(settings.auth.files.private_key, Some(PathBuf::from(directory).join("private_key")));
    assert!(settings.auth.files.passphrase.is_some());
}

#[test]
fn each_fault_of_a_certificate_names_the_key_to_fix() {
    let encrypted = pair("certificate", "encrypted");
    for (lines, start) in [
        (pair("other", "pkcs8"), "auth.certificate_file: names "),
        (pair("certificate", "other-key"), "auth.certificate_file: names "),
        (pair("certificate", "ec"), "auth.private_key_file: names "),
        (encrypted.clone(), "auth.private_key_passphrase: is not set, and the private key is encrypted"),
        (format!("{encrypted}private_key_passphrase = \"x\""), "auth.private_key_passphrase: does not open"),
        (
            "certificate_file = \"/nowhere.pem\"".to_owned(),
            "auth.certificate_file: names /nowhere.pem, which cannot be read",
        ),
        (
            format!("{}send_certificate_chain = \"yes\"", pair("certificate", "pkcs8")),
            "auth.send_certificate_chain: is neither true nor false",
        ),
    ] {
        let problem = one_problem(&Bed::new(), &mode("certificate", &lines));
        assert!(problem.starts_with(start), "{problem}");
    }
    let opened = format!("{encrypted}private_key_passphrase = \"opensesame\"");
    Bed::new().load(&mode("certificate", &opened)).unwrap();
}

#[test]
fn a_certificate_that_is_no_text_is_told_to_be_converted() {
    let bed = Bed::new();
    let der = bed.dir.path().join("certificate.cer");
    std::fs::write(&der, [0x30, 0x82, 0x03, 0xff]).unwrap();
    let problem = one_problem(&bed, &mode("certificate", &format!("certificate_file = {der:?}")));
    assert!(
        problem.contains("is not a text file; a certificate or key must be in PEM form (docs/sign-in/certificate.md"),
        "{problem}"
    );
}

#[test]
fn a_key_that_everybody_may_read_is_told() {
    let bed = Bed::new();
    let (certificate, key) = (bed.file("c.pem", &text("certificate")), bed.file("k.pem", &text("pkcs8")));
    for file in [&certificate, &key] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let lines = format!("certificate_file = {certificate:?}\nprivate_key_file = {key:?}");
    let exposed = bed.load(&mode("certificate", &lines)).unwrap().exposed;
    let files: Vec<_> = exposed.iter().map(|one| (&one.file, &one.readers)).collect();
    assert_eq!(files, [(&key, &Readers::Everybody)], "a certificate is public");
}

#[test]
fn a_key_of_another_mode_is_a_contradiction() {
    for (mode_lines, key) in [
        ("client_secret = \"s\"\ncertificate_file = \"x\"", "auth.certificate_file"),
        ("client_secret = \"s\"\nfederated_token_file = \"x\"", "auth.federated_token_file"),
        ("client_secret = \"s\"\nidentity_object_id = \"x\"", "auth.identity_object_id"),
        ("client_secret = \"s\"\nsend_certificate_chain = true", "auth.send_certificate_chain"),
        ("client_secret = \"s\"\narc_tokens_dir = \"/x\"", "auth.arc_tokens_dir"),
    ] {
        let problem = one_problem(&Bed::new(), &auth(mode_lines));
        let cure = format!("{key}: is set, but auth.mode is \"client_secret\"; remove it, or set auth.mode = ");
        assert!(problem.starts_with(&cure), "{problem}");
    }
    let problem =
        one_problem(&Bed::new(), &mode("certificate", &(pair("certificate", "pkcs8") + "client_secret = \"s\"")));
    assert!(problem.starts_with("auth.client_secret: is set, but auth.mode is \"certificate\""), "{problem}");
}

fn host(bed: Bed, lines: &str) -> (IdentityHost, Identity) {
    match bed.load(&format!("[auth]\nmode = \"managed_identity\"\n{lines}")).unwrap().auth.mode {
        AuthMode::ManagedIdentity { host, identity } => (host, identity),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machines_identity_needs_nothing_and_its_host_is_told_by_the_environment() {
    let (vm, system) = host(Bed::new(), "");
    let endpoint = "http://169.254.169.254/metadata/identity/oauth2/token".to_owned();
    assert_eq!((vm, system), (IdentityHost::VirtualMachine { endpoint }, Identity::System));
    let (moved, _) = host(Bed::new().env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1/"), "");
    let endpoint = "http://127.0.0.1:1/metadata/identity/oauth2/token".to_owned();
    assert_eq!(moved, IdentityHost::VirtualMachine { endpoint });

    let app = || Bed::new().env("IDENTITY_ENDPOINT", "http://169.254.129.2:8081/msi/token");
    let (host_of_app, _) = host(app().env("IDENTITY_HEADER", "h"), "");
    let endpoint = "http://169.254.129.2:8081/msi/token".to_owned();
    assert_eq!(host_of_app, IdentityHost::AppService { endpoint: endpoint.clone(), header: Secret::new("h".into()) });
    let (arc, _) = host(app().env("IMDS_ENDPOINT", "http://localhost:40342"), "arc_tokens_dir = \"/x\"");
    assert_eq!(arc, IdentityHost::Arc { endpoint, tokens_dir: "/x".into() });
}

#[test]
fn a_user_assigned_identity_is_named_in_one_way() {
    for (line, identity) in [
        (
            "client_id = \"66666666-7777-8888-9999-000000000000\"",
            Identity::ClientId("66666666-7777-8888-9999-000000000000".into()),
        ),
        (
            "identity_object_id = \"66666666-7777-8888-9999-aaaabbbbcccc\"",
            Identity::ObjectId("66666666-7777-8888-9999-aaaabbbbcccc".into()),
        ),
        ("identity_resource_id = \"/r\"", Identity::ResourceId("/r".into())),
    ] {
        assert_eq!(host(Bed::new(), line).1, identity);
    }
    let both = "[auth]\nmode = \"managed_identity\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\nidentity_object_id = \"66666666-7777-8888-9999-aaaabbbbcccc\"";
    let problem = one_problem(&Bed::new(), both);
    assert!(problem.starts_with("auth.identity_object_id: is set, and so is auth.client_id"), "{problem}");
}

#[test]
fn what_no_machine_itself_says_of_its_identity_is_refused() {
    let managed = |lines: &str| format!("[auth]\nmode = \"managed_identity\"\n{lines}");
    let arc = || Bed::new().env("IMDS_ENDPOINT", "x");
    for (bed, lines, start) in [
        (
            arc().env("IDENTITY_ENDPOINT", "http://elsewhere.example/x"),
            "",
            "IDENTITY_ENDPOINT: does not name an address of this machine",
        ),
        (arc().env("IDENTITY_ENDPOINT", "http://10.0.0.1/x"), "", "IDENTITY_ENDPOINT: does not name an address"),
        (arc().env("IDENTITY_ENDPOINT", "file:///x"), "", "IDENTITY_ENDPOINT: does not name an address"),
        (arc().env("IDENTITY_ENDPOINT", "http://localhost/x?a=b"), "", "IDENTITY_ENDPOINT: contains a ?"),
        (arc().env("IDENTITY_ENDPOINT", "http://localhost/x#a"), "", "IDENTITY_ENDPOINT: contains a ?"),
        (arc().env("IDENTITY_ENDPOINT", "http://u:p@localhost/x"), "", "IDENTITY_ENDPOINT: contains a ?"),
        (
            arc().env("IDENTITY_ENDPOINT", "http://localhost:1/x"),
            "client_id = \"66666666-7777-8888-9999-000000000000\"",
            "auth.client_id: is set, but Azure Arc has",
        ),
        (Bed::new(), "arc_tokens_dir = \"tokens\"", "auth.arc_tokens_dir: is not an absolute path"),
        (
            Bed::new()
                .env("IDENTITY_ENDPOINT", "https://localhost:1")
                .env("IDENTITY_HEADER", "h")
                .env("IDENTITY_SERVER_THUMBPRINT", "t"),
            "",
            "IDENTITY_SERVER_THUMBPRINT: is set, as on Service Fabric",
        ),
    ] {
        let problem = one_problem(&bed, &managed(lines));
        assert!(problem.starts_with(start), "{problem}");
    }
}

#[test]
fn kubernetes_says_everything_of_a_federated_sign_in() {
    let bed = Bed::new();
    let token = bed.file("token", "a.b.c\n");
    let bed = bed
        .env("AZURE_TENANT_ID", "contoso.com")
        .env("AZURE_CLIENT_ID", "66666666-7777-8888-9999-000000000000")
        .env("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/")
        .env("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap());
    let settings = bed.load("[auth]\nmode = \"federated\"").unwrap().auth;
    assert_eq!(settings.tenant_id.as_deref(), Some("contoso.com"));
    assert_eq!(settings.client_id.as_deref(), Some("66666666-7777-8888-9999-000000000000"));
    assert_eq!(settings.files.federated_token, Some(token));
    let AuthMode::Federated { token } = settings.mode else { panic!() };
    assert_eq!(token.expose(), "a.b.c");
    // What is written down comes over it, …
    let settings =
        bed.load("[auth]\nmode = \"federated\"\nclient_id = \"66666666-7777-8888-9999-aaaabbbbcccc\"").unwrap().auth;
    assert_eq!(settings.client_id.as_deref(), Some("66666666-7777-8888-9999-aaaabbbbcccc"));
    // … and other modes do not listen to it.
    let problems = bed.problems("[auth]\nclient_secret = \"s\"");
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn what_a_federated_sign_in_lacks_is_told_with_the_variable() {
    let problems = Bed::new().problems("[auth]\nmode = \"federated\"");
    for (problem, start) in problems.iter().zip([
        "auth.tenant_id: is not set, and neither is AZURE_TENANT_ID",
        "auth.client_id: is not set, and neither is AZURE_CLIENT_ID",
        "auth.federated_token_file: is not set, and neither is AZURE_FEDERATED_TOKEN_FILE",
    ]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(problems.len(), 3, "{problems:?}");
    let nowhere = Bed::new().env("AZURE_FEDERATED_TOKEN_FILE", "/nowhere");
    let problem = one_problem(&nowhere, &mode("federated", ""));
    assert!(problem.starts_with("AZURE_FEDERATED_TOKEN_FILE: names /nowhere, which cannot be read"), "{problem}");
}

fn cloud(lines: &str) -> (String, String, String) {
    let settings = Bed::new().load(lines).unwrap();
    (settings.auth.instance, settings.graph.endpoint, settings.auth.resource)
}

#[test]
fn a_cloud_sets_sign_in_and_graph_together() {
    for (word, instance, endpoint) in [
        ("global", "https://login.microsoftonline.com", "https://graph.microsoft.com"),
        ("us_gov_l4", "https://login.microsoftonline.us", "https://graph.microsoft.us"),
        ("us_gov_l5", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
        ("china", "https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
    ] {
        let found = cloud(&format!("{GOOD}[graph]\ncloud = \"{word}\"\n"));
        assert_eq!(found, (instance.into(), endpoint.into(), endpoint.into()));
    }
    let problem = problem(&format!("{GOOD}[graph]\ncloud = \"germany\"\n"));
    assert!(problem.contains("it must be one of \"global\", \"us_gov_l4\", \"us_gov_l5\", \"china\""), "{problem}");
}

#[test]
fn explicit_addresses_win_over_the_cloud() {
    let found = cloud(&format!(
        "{GOOD}instance = \"https://sts.proxy.example\"\n[graph]\ncloud = \"china\"\nendpoint = \"http://127.0.0.1:1\"\n"
    ));
    assert_eq!(found, ("https://sts.proxy.example".into(), "http://127.0.0.1:1".into(), "http://127.0.0.1:1".into()));
    let old = "instance = \"https://login.chinacloudapi.cn\"\n[graph]\ncloud = \"china\"\n";
    assert_eq!(cloud(&format!("{GOOD}{old}")).0, "https://login.chinacloudapi.cn");
    let gcc =
        "instance = \"https://login.microsoftonline.us\"\n[graph]\nendpoint = \"https://dod-graph.microsoft.us\"\n";
    cloud(&format!("{GOOD}{gcc}"));
}

#[test]
fn clouds_are_not_mixed() {
    for (lines, part) in [
        (
            "instance = \"https://login.microsoftonline.us\"",
            "graph.endpoint: is graph.microsoft.com, in the cloud \"global\", but auth.instance is in \"us_gov_l4\" or \"us_gov_l5\"",
        ),
        (
            "[graph]\nendpoint = \"https://graph.microsoft.us\"",
            "graph.endpoint: is graph.microsoft.us, in the cloud \"us_gov_l4\", but auth.instance is in \"global\"",
        ),
        (
            "instance = \"https://login.microsoftonline.com\"\n[graph]\ncloud = \"china\"",
            "auth.instance: is login.microsoftonline.com, in the cloud \"global\", but graph.cloud is in \"china\"",
        ),
        (
            "[graph]\ncloud = \"us_gov_l4\"\nendpoint = \"https://dod-graph.microsoft.us\"",
            "graph.endpoint: is dod-graph.microsoft.us",
        ),
        ("resource = \"https://graph.microsoft.us\"", "auth.resource: is graph.microsoft.us"),
        (
            "instance = \"https://login.microsoftonline.de\"",
            "auth.instance: belongs to Microsoft Cloud Germany, which closed",
        ),
    ] {
        let problem = one_problem(&Bed::new(), &format!("{GOOD}{lines}\n"));
        assert!(problem.starts_with(part), "{problem}");
        assert!(problem.contains("; "), "with a cure: {problem}");
    }
}

#[test]
fn kubernetes_in_another_cloud_wants_its_graph_too() {
    let bed = Bed::new();
    let token = bed.file("token", "a.b.c");
    let bed = bed
        .env("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/")
        .env("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap());
    let problem = one_problem(&bed, &mode("federated", ""));
    assert!(
        problem.contains("but AZURE_AUTHORITY_HOST is in \"us_gov_l4\" or \"us_gov_l5\"; set graph.cloud"),
        "{problem}"
    );
    bed.load(&format!("{}[graph]\ncloud = \"us_gov_l4\"\n", mode("federated", ""))).unwrap();
}

#[test]
fn the_token_version_is_the_one_written_or_the_one_of_a_copied_address() {
    let version = |lines: &str| Bed::new().load(&with(lines)).unwrap().auth.token_version;
    assert_eq!(version(""), TokenVersion::V2);
    assert_eq!(version("token_version = \"v1\""), TokenVersion::V1);
    let copied = |end: &str| format!("instance = \"https://login.microsoftonline.com/{{0}}{end}\"");
    assert_eq!(version(&copied("/oauth2/token")), TokenVersion::V1);
    assert_eq!(version(&copied("/oauth2/v2.0/token/")), TokenVersion::V2);
    assert_eq!(version(&copied("")), TokenVersion::V2);
    assert_eq!(version(&format!("{}\ntoken_version = \"v2\"", copied("/oauth2/token"))), TokenVersion::V2);
}

#[test]
fn the_end_of_a_secret_is_a_day_or_a_time() {
    let ends = |text: &str| Bed::new().load(&with(&format!("secret_expires = {text}"))).unwrap().auth.secret_expires;
    let at = |text: &str| Some(DateTime::parse_from_rfc3339(text).unwrap().to_utc());
    // A day is over at its end.
    assert_eq!(ends("\"2027-06-30\""), at("2027-07-01T00:00:00Z"));
    assert_eq!(ends("2027-06-30"), at("2027-07-01T00:00:00Z"));
    assert_eq!(ends("\"2027-06-30T12:00:00+02:00\""), at("2027-06-30T10:00:00Z"));
    for text in ["\"30.06.2027\"", "\"soon\"", "\"2027-02-30\""] {
        let problem = problem(&with(&format!("secret_expires = {text}")));
        assert!(problem.starts_with("auth.secret_expires: is neither a day nor a time"), "{problem}");
    }
}

/// The keys that name files of secrets are the ones a secret is pasted into by mistake.
#[test]
fn a_secret_that_stands_in_the_place_of_its_file_is_not_shown() {
    let (pem, jwt) = (text("pkcs8"), "eyJhbGciOiJQUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl/c2lnbmF0dXJl".to_owned());
    let bare: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    for (mode_word, key) in [
        ("certificate", "certificate_file"),
        ("certificate", "private_key_file"),
        ("certificate", "private_key_passphrase_file"),
        ("federated", "federated_token_file"),
        ("client_secret", "client_secret_file"),
        ("password", "password_file"),
    ] {
        for pasted in [&pem, &jwt, &bare] {
            let others = if key == "certificate_file" || mode_word != "certificate" {
                String::new()
            } else {
                pair("certificate", "encrypted")
                    .lines()
                    .filter(|line| !line.starts_with(key))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            let problems = Bed::new().problems(&mode(mode_word, &format!("{others}\n{key} = {pasted:?}"))).join("\n");
            assert!(problems.contains(&format!("auth.{key}: names a file (not shown")), "{key}: {problems}");
            assert!(!problems.contains(&pasted[40..60]), "{key}: {problems}");
        }
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
    let bed = Bed::new();
    let pipe = bed.dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (mode_word, key) in [
        ("certificate", "certificate_file"),
        ("federated", "federated_token_file"),
        ("client_secret", "client_secret_file"),
    ] {
        let problem = one_problem(&bed, &mode(mode_word, &format!("{key} = {pipe:?}")));
        assert!(problem.ends_with("which is not a regular file"), "{problem}");
    }
    for (section, key) in [("graph", "ca_file"), ("web", "token_file")] {
        let problem = one_problem(&bed, &with(&format!("[{section}]\n{key} = {pipe:?}")));
        assert!(problem.starts_with(&format!("{section}.{key}: ")), "{problem}");
        assert!(problem.ends_with("which is not a regular file"), "{problem}");
    }
    let url = format!("[queue]\nurl = \"postgres://h/db?sslrootcert={}\"", pipe.display());
    assert!(one_problem(&bed, &with(&url)).ends_with("which is not a regular file"));
}

#[test]
fn a_systemd_credential_is_nobodys_business_but_the_services() {
    let bed = Bed::new();
    bed.file("certificate", &text("certificate"));
    bed.file("private_key", &text("pkcs8"));
    let directory = bed.dir.path().display().to_string();
    let settings = bed.env("CREDENTIALS_DIRECTORY", &directory).load(&mode("certificate", "")).unwrap();
    assert!(settings.named.is_empty() && settings.exposed.is_empty(), "{settings:?}");
}

#[test]
fn a_machines_identity_does_not_judge_what_it_does_not_use() {
    let leftover = "instance = \"https://login.microsoftonline.us/elsewhere\"\ntenant_id = \"contoso.com\"";
    assert_eq!(host(Bed::new(), leftover).1, Identity::System);
    let problem = one_problem(&Bed::new(), "[auth]\nmode = \"managed_identity\"\ntoken_version = \"v1\"");
    assert!(problem.starts_with("auth.token_version: is set, but auth.mode is \"managed_identity\""), "{problem}");
}
