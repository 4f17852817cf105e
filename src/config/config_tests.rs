//! Settings good and bad, from files and environments made here.
#![allow(clippy::unwrap_used)]

mod fuzz_tests;
mod sign_in_tests;

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use super::*;

const GOOD: &str = r#"
[auth]
tenant_id = "contoso.onmicrosoft.com"
client_id = "66666666-7777-8888-9999-000000000000"
client_secret = "s3cret-value"
"#;

struct Bed {
    dir: tempfile::TempDir,
    environment: HashMap<OsString, OsString>,
}

impl Bed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), environment: HashMap::new() }
    }

    fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        path
    }

    fn load(&self, text: &str) -> Result<Settings, ConfigError> {
        Settings::load(Some(self.file("agent.toml", text)), &Environment::of(self.environment.clone()))
    }

    fn problems(&self, text: &str) -> Vec<String> {
        let error = self.load(text).unwrap_err();
        error.problems.iter().map(|problem| format!("{}: {}", problem.key, problem.what)).collect()
    }

    fn secret(&self, text: &str) -> String {
        match self.load(text).unwrap().auth.mode {
            AuthMode::ClientSecret { client_secret } => client_secret.expose().to_owned(),
            AuthMode::Password { password, .. } => password.expose().to_owned(),
            other => panic!("{other:?} has no secret"),
        }
    }
}

fn problem(text: &str) -> String {
    let problems = Bed::new().problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

fn with(more: &str) -> String {
    format!("{GOOD}{more}")
}

fn instance(text: &str) -> Result<String, ConfigError> {
    Bed::new().load(&with(&format!("instance = \"{text}\""))).map(|settings| settings.auth.instance)
}

#[test]
fn a_minimal_file_gives_every_default_of_the_contract() {
    let settings = Bed::new().load(GOOD).unwrap();
    assert_eq!(settings.auth.instance, "https://login.microsoftonline.com");
    assert_eq!(settings.auth.resource, "https://graph.microsoft.com");
    assert_eq!(settings.graph.endpoint, "https://graph.microsoft.com");
    assert_eq!(settings.graph.api_version, "v1.0");
    assert_eq!(settings.graph.connect_timeout, Duration::from_secs(10));
    assert_eq!(settings.graph.request_timeout, Duration::from_secs(60));
    assert_eq!(settings.defaults.mailbox, None);
    assert_eq!((settings.defaults.time_zone.as_deref(), settings.defaults.body_type.as_str()), (None, "text"));
    assert_eq!(settings.queue.place.file().unwrap(), std::path::absolute("queue.db").unwrap());
    assert_eq!(settings.queue.poll_interval, Duration::from_secs(1));
    assert_eq!(settings.queue.retention, Duration::ZERO);
    let delivery = &settings.delivery;
    assert_eq!((delivery.max_in_flight, delivery.max_in_flight_per_mailbox, delivery.max_attempts), (64, 4, 12));
    assert_eq!((delivery.first_retry, delivery.longest_retry), (Duration::from_secs(5), Duration::from_secs(900)));
    assert_eq!(
        (delivery.give_up_after, delivery.shutdown_grace),
        (Duration::from_secs(72 * 3600), Duration::from_secs(25))
    );
    assert_eq!(
        (delivery.past_events, delivery.recipients_per_day, delivery.invitations_per_minute),
        (PastEvents::Refuse, 10_000, 0)
    );
    assert_eq!(settings.log, LogSettings { format: LogFormat::Auto, level: tracing::Level::INFO });
}

/// The template with every key of `KEYS` that has a default switched on, and the keys it mentions.
fn template() -> (String, BTreeSet<String>) {
    let (mut section, mut keys, mut live) = (String::new(), BTreeSet::new(), String::new());
    for line in TEMPLATE.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            live += &format!("{line}\n");
        } else if let Some((name, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = "))
            && !name.starts_with(' ')
        {
            let key = format!("{section}.{name}");
            if let Some((_, Some(default))) = KEYS.iter().find(|(known, _)| *known == key) {
                assert_eq!(value, *default, "{key} in agent.toml");
                live += &format!("{name} = {value}\n");
            }
            keys.insert(key);
        }
    }
    (live, keys)
}

#[test]
fn agent_toml_has_every_key_once_with_the_programs_own_default() {
    let (live, keys) = template();
    assert_eq!(keys, KEYS.iter().map(|(key, _)| (*key).to_owned()).collect());
    let needed = "[auth]\ntenant_id = \"contoso.com\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\nclient_secret = \"s\"\n";
    let written_out = Bed::new().load(&live.replacen("[auth]\n", needed, 1)).unwrap();
    let left_out = Bed::new().load(needed).unwrap();
    let comparable = |settings: &Settings| {
        let mut settings = Settings { file: None, ..settings.clone() };
        // A zone that is written down is one somebody chose, which a series needs.
        settings.defaults.time_zone.get_or_insert("UTC".into());
        format!("{settings:?}")
    };
    assert_eq!(comparable(&written_out), comparable(&left_out));
}

#[test]
fn agent_toml_as_installed_lacks_only_what_has_no_default() {
    let problems = Bed::new().problems(TEMPLATE);
    let keys: Vec<_> = problems.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    assert_eq!(keys, ["auth.tenant_id", "auth.client_id", "auth.client_secret"]);
}

#[test]
fn all_problems_are_told_at_once_each_with_key_rule_and_cure() {
    let error = Bed::new()
        .env("EVENT_SENDER__DELIVERY__MAX_ATTEMPTS", "many")
        .env("EVENT_SENDER__QUEU__PATH", "x")
        .load("[auth]\ntenant = \"t\"\nclient_id = 5\n[graph]\nendpoint = \"http://graph.microsoft.com\"\n[queue]\npoll_interval = 1\n")
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "auth.tenant: is not a known key; did you mean auth.tenant_id?",
        "EVENT_SENDER__QUEU__PATH: sets no known key; did you mean EVENT_SENDER__QUEUE__PATH?",
        "EVENT_SENDER__DELIVERY__MAX_ATTEMPTS (delivery.max_attempts): is \"many\"; it must be a whole number from 1 to 1000",
        "auth.client_id: is a number; it must be text in quotes",
        "auth.tenant_id: is not set",
        "auth.client_secret: is not set",
        "graph.endpoint: is not encrypted; use https://",
        "queue.poll_interval: is 1; it must be a duration with a unit",
    ] {
        assert!(text.contains(part), "{part}\nnot in\n{text}");
    }
    assert!(text.contains("agent.toml"));
}

#[test]
fn wrong_types_words_and_bounds_are_refused() {
    for (more, part) in [
        (
            "[delivery]\nmax_in_flight = \"64\"",
            "delivery.max_in_flight: is \"64\"; it must be a whole number from 1 to 1024",
        ),
        ("[delivery]\nmax_in_flight = 0", "delivery.max_in_flight: is 0"),
        ("[delivery]\nmax_in_flight_per_mailbox = 65", "from 1 to 64"),
        ("[delivery]\nmax_attempts = 1.5", "delivery.max_attempts: is 1.5"),
        ("[delivery]\nfirst_retry = \"5\"", "delivery.first_retry: is \"5\""),
        ("[delivery]\ngive_up_after = \"500 years\"", "to 1 year"),
        ("[delivery]\nfirst_retry = \"1h\"", "longer than delivery.longest_retry"),
        ("[log]\nlevel = \"loud\"", "log.level: is \"loud\"; it must be one of \"error\""),
        ("[log]\nformat = true", "log.format: is true or false; it must be text"),
        ("[defaults]\nbody_type = \"rtf\"", "defaults.body_type: is \"rtf\""),
        ("[graph]\napi_version = \"v1.0/..\"", "graph.api_version"),
        ("[graph]\nca_file = \"/nonexistent.pem\"", "graph.ca_file: names /nonexistent.pem"),
        ("queue = 5", "is not a known key"),
    ] {
        let problems = Bed::new().problems(&with(more)).join("\n");
        assert!(problems.contains(part), "{part}\nnot in\n{problems}");
    }
}

#[test]
fn a_wrong_value_is_refused_whether_it_is_needed_or_not() {
    for (more, part) in [
        ("[agent]\nname = 5", "agent.name: is a number; it must be text"),
        ("[agent]\nname = [\"x\"]", "agent.name: is a list; it must be text"),
        ("[agent.name]", "agent.name: is a table; it must be text"),
        ("[agent]\nname = \"ä\"", "agent.name: is \"ä\", which is not a name of at most 64"),
        ("client_secret_file = 5", "auth.client_secret_file: is a number; it must be text in quotes"),
        ("certificate_file = []", "auth.certificate_file: is a list; it must be text in quotes"),
        ("send_certificate_chain = \"false\"", "auth.send_certificate_chain: is text; it must be true or false"),
        ("[queue]\npassword_file = []", "queue.password_file: is a list; it must be text in quotes"),
    ] {
        let told = problem(&with(more));
        assert!(told.starts_with(part), "{part}\nis not\n{told}");
    }
    let problems = Bed::new().env("EVENT_SENDER__AGENT__NAME", "bad name!").problems(GOOD);
    assert!(problems[0].contains("AGENT__NAME (agent.name): is \"bad name!\", which is not a name"), "{problems:?}");
    Bed::new().load(&with("[agent]\nname = \"sender-1\"")).unwrap();
}

#[test]
fn monitor_and_page_listen_at_addresses_of_their_own() {
    let both = |monitor: &str, web: &str| {
        with(&format!("[monitor]\nlisten = {monitor}\n[web]\nlisten = {web}\ntrusted_proxy_header = \"X-User\"\n"))
    };
    for (monitor, web) in [
        ("9185", "\"127.0.0.1:9185\""),
        ("\"[::1]:9185\"", "\"[::1]:9185\""),
        ("\"0.0.0.0:9185\"", "9185"),
        ("9185", "\"[::]:9185\""),
        ("\"[::ffff:127.0.0.1]:9185\"", "9185"),
    ] {
        let told = problem(&both(monitor, web));
        assert!(told.starts_with("web.listen: is ") && told.contains("where monitor.listen ("), "{told}");
    }
    for (monitor, web) in
        [("9185", "9186"), ("0", "0"), ("9185", "\"127.0.0.2:9185\""), ("\"0.0.0.0:9185\"", "\"[::1]:9185\"")]
    {
        Bed::new().load(&both(monitor, web)).unwrap();
    }
}

#[test]
fn a_number_beyond_64_bits_is_told_with_its_key_and_everything_else_besides() {
    let large = "99999999999999999999";
    for (more, part) in [
        ("[delivery]\ninvitations_per_minute = 99999999999999999999", "delivery.invitations_per_minute: "),
        ("[delivery]\ninvitations_per_minute=-9_9999999999999999999 # x", "delivery.invitations_per_minute: "),
        (
            "[ delivery ] # limits\n\"invitations_per_minute\" = 0xFFFFFFFFFFFFFFFFFF",
            "delivery.invitations_per_minute: ",
        ),
        ("delivery.max_attempts = 99999999999999999999", "auth.delivery.max_attempts: "),
        ("[agent]\nname = [\n1,\n99999999999999999999,\n]", ""),
    ] {
        let told = Bed::new().problems(&with(more)).join("\n");
        assert!(told.contains(part) && told.contains("has more than 64 bits (line "), "{more}: {told}");
    }
    let text =
        format!("{GOOD}[delivery]\nmax_attempts = {large}\nmax_in_flight = 0\n[log]\nlevel = {large}\nlevl = 1\n");
    let problems = Bed::new().problems(&text);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[0].starts_with("delivery.max_attempts: has more than 64 bits (line 7); "), "{problems:?}");
    assert!(problems[1].starts_with("log.level: has more than 64 bits (line 10); "), "{problems:?}");
    // Digits in a text or a remark are not a number.
    Bed::new().load(&with(&format!("# x = {large}\n[defaults]\nmailbox = \"{large}@contoso.com\""))).unwrap();
}

#[test]
fn a_file_that_is_not_there_or_no_toml_says_so() {
    let error = Settings::load(Some("/nonexistent/agent.toml".into()), &Environment::default()).unwrap_err();
    assert!(error.to_string().contains("there is no such file"));
    let text = Bed::new().load("[auth\ntenant_id = ").unwrap_err().to_string();
    assert!(text.contains("is not valid TOML"), "{text}");
}

#[test]
fn the_environment_comes_over_the_file() {
    let settings = Bed::new()
        .env("EVENT_SENDER__AUTH__TENANT_ID", "other.example")
        .env("EVENT_SENDER__DELIVERY__MAX_IN_FLIGHT", "7")
        .env("EVENT_SENDER__QUEUE__POLL_INTERVAL", "250ms")
        .env("EVENT_SENDER_CONFIG", "/nonexistent")
        .load(GOOD)
        .unwrap();
    assert_eq!(settings.auth.tenant_id.as_deref(), Some("other.example"));
    assert_eq!(settings.delivery.max_in_flight, 7);
    assert_eq!(settings.queue.poll_interval, Duration::from_millis(250));
}

#[test]
fn a_variable_that_is_not_utf8_is_a_problem_and_never_passed_over() {
    let bytes = || OsString::from_vec(b"a\xfcb".to_vec());
    for (key, _) in KEYS {
        let variable = format!("EVENT_SENDER__{}", key.to_ascii_uppercase().replace('.', "__"));
        let problems = Bed::new().env(&variable, bytes()).problems(GOOD);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("{variable} ({key}): is not UTF-8; ")), "{problems:?}");
    }
    // What is missing because of it is not told once more.
    let problems =
        Bed::new().env("EVENT_SENDER__AUTH__CLIENT_SECRET", bytes()).problems(&GOOD.replace("client_secret", "#"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problems = Bed::new().env("EVENT_SENDER__QUEU__PATH", bytes()).problems(GOOD);
    assert!(problems[0].starts_with("EVENT_SENDER__QUEU__PATH: sets no known key"), "{problems:?}");
    // Others are looked at only where they count.
    let others = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT"];
    let garbled = || others.iter().fold(Bed::new(), |bed, name| bed.env(name, bytes()));
    garbled().load(GOOD).unwrap();
    let problems = garbled().problems("[auth]\nmode = \"federated\"\n");
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("AZURE_TENANT_ID: is not UTF-8"), "{problems:?}");
    let problems = garbled().problems("[auth]\nmode = \"managed_identity\"\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("IDENTITY_ENDPOINT: is not UTF-8"), "{problems:?}");
}

#[test]
fn a_file_that_a_variable_names_may_have_any_name() {
    let bed = Bed::new();
    let odd = bed.dir.path().join(OsString::from_vec(b"d\xfc".to_vec()));
    std::fs::create_dir(&odd).unwrap();
    std::fs::write(odd.join("agent.toml"), GOOD.replace("client_secret", "#")).unwrap();
    std::fs::write(odd.join("client_secret"), "passed-in").unwrap();
    let bed = bed.env("EVENT_SENDER_CONFIG", odd.join("agent.toml")).env("CREDENTIALS_DIRECTORY", &odd);
    let settings = Settings::load(None, &Environment::of(bed.environment.clone())).unwrap();
    assert_eq!(settings.file.unwrap().path(), odd.join("agent.toml"));
    assert!(
        matches!(settings.auth.mode, AuthMode::ClientSecret { client_secret } if client_secret.expose() == "passed-in")
    );
}

#[test]
fn instances_are_accepted_as_admins_copy_them() {
    for written in [
        "https://login.microsoftonline.com",
        "https://login.microsoftonline.com/",
        "https://login.microsoftonline.com/{0}",
        "https://login.microsoftonline.com/{tenant}",
        "https://login.microsoftonline.com/contoso.onmicrosoft.com",
        "https://login.microsoftonline.com/CONTOSO.onmicrosoft.com/",
        "https://login.microsoftonline.com/{0}/v2.0",
        "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token",
    ] {
        assert_eq!(instance(written).unwrap(), "https://login.microsoftonline.com", "{written}");
    }
    assert!(
        instance("https://login.microsoftonline.com/another-tenant")
            .unwrap_err()
            .to_string()
            .contains("not the tenant")
    );
}

#[test]
fn addresses_must_be_encrypted_unless_they_stay_on_this_machine() {
    let endpoint = |text: &str| {
        Bed::new().load(&with(&format!("[graph]\nendpoint = {text:?}\n"))).map(|settings| settings.graph.endpoint)
    };
    let instance =
        |text: &str| Bed::new().load(&with(&format!("instance = {text:?}\n"))).map(|settings| settings.auth.instance);
    // Kept as it was understood: what is judged is what is dialled.
    for (written, understood) in [
        ("http://127.0.0.1:8025", "http://127.0.0.1:8025"),
        ("http://localhost:8025", "http://localhost:8025"),
        ("HTTP://LocalHost:8025/", "http://localhost:8025"),
        ("http:\\\\127.1:8025", "http://127.0.0.1:8025"),
        ("http://0x7f000001", "http://127.0.0.1"),
        ("http://①②⑦.⓪.⓪.①", "http://127.0.0.1"),
        ("http://[::1]:8025", "http://[::1]:8025"),
        ("https://gateway.contoso.com", "https://gateway.contoso.com"),
        ("HTTPS://Gateway.Contoso.COM:443/", "https://gateway.contoso.com"),
    ] {
        assert_eq!(instance(written).unwrap(), understood);
        assert_eq!(endpoint(written).unwrap(), understood);
    }
    for bad in [
        "http://graph.microsoft.com",
        "HTTP://graph.microsoft.com",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://localhost.",
        "http://local\thost",
        "http://localhost@evil.test",
        "http://localhost:80@evil.test",
        "http://127.0.0.1%2eevil.test",
        "http://evil.test\\@localhost",
        "http://evil.test#@localhost",
        "http://evil.test?@localhost",
        "http://[::ffff:10.0.0.1]",
        "http://[::ffff:127.0.0.1]",
        "http://[::]",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://128.0.0.1",
        "http://",
        "http:///",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "data:,x",
        "//localhost",
        "login.microsoftonline.com",
        "https://u:p@host",
        "https://u@host",
        "https://h/?q",
        "https://h/#f",
        "https://",
    ] {
        assert!(instance(bad).is_err() && endpoint(bad).is_err(), "{bad}");
    }
    assert!(instance("https://host/elsewhere").is_err() && endpoint("https://gateway.test/graph").is_err());
}

#[test]
fn resource_is_the_endpoint_unless_given_and_loses_what_the_scope_adds() {
    let resource = |text: &str| Bed::new().load(&with(&format!("resource = \"{text}\""))).unwrap().auth.resource;
    assert_eq!(resource("https://gateway.contoso.com/"), "https://gateway.contoso.com");
    assert_eq!(resource("https://graph.microsoft.com/.default"), "https://graph.microsoft.com");
    assert_eq!(resource("00000003-0000-0000-c000-000000000000"), "00000003-0000-0000-c000-000000000000");
}

#[test]
fn a_secret_is_looked_for_in_the_order_of_the_contract() {
    let bed = Bed::new();
    let credentials = bed.dir.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("client_secret"), "from-credential\n").unwrap();
    let file = bed.file("secret", "from-file\r\n");
    let bed = bed.env("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    let bare = "[auth]\ntenant_id = \"contoso.com\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\n";
    let with_file = format!("{bare}client_secret_file = \"{}\"\n", file.display());
    let with_key = format!("{with_file}client_secret = \"from-key\"\n");
    assert_eq!(bed.secret(bare), "from-credential");
    assert_eq!(bed.secret(&with_file), "from-file");
    assert_eq!(bed.secret(&with_key), "from-key");
    let bed = bed.env("EVENT_SENDER__AUTH__CLIENT_SECRET", "from-environment");
    assert_eq!(bed.secret(&with_key), "from-environment");
}

#[test]
fn a_secret_file_that_is_missing_or_empty_is_a_problem_of_its_key() {
    let bed = Bed::new();
    let empty = bed.file("empty", "\n");
    for (path, part) in [("/nonexistent", "cannot be read"), (empty.to_str().unwrap(), "is empty")] {
        let text = format!(
            "[auth]\ntenant_id = \"contoso.com\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\nclient_secret_file = \"{path}\"\n"
        );
        let problems = bed.problems(&text);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("auth.client_secret_file:") && problems[0].contains(part), "{problems:?}");
    }
}

#[test]
fn an_unreadable_credential_does_not_matter_when_another_source_has_the_secret() {
    let bed = Bed::new();
    let closed = bed.dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let bed = bed.env("CREDENTIALS_DIRECTORY", closed.to_str().unwrap());
    assert_eq!(bed.secret(GOOD), "s3cret-value");
}

#[test]
fn password_mode_needs_a_user_and_a_password_and_takes_a_secret() {
    let base = "[auth]\nmode = \"password\"\ntenant_id = \"organizations\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\n";
    let problems = Bed::new().problems(base).join("\n");
    assert!(problems.contains("auth.username: is not set") && problems.contains("auth.password: is not set"));
    let full = format!("{base}username = \"u\"\npassword = \"p4ss\"\n");
    assert_eq!(Bed::new().secret(&full), "p4ss");
    let Ok(Settings { auth: AuthSettings { mode: AuthMode::Password { client_secret, .. }, .. }, .. }) =
        Bed::new().load(&format!("{full}client_secret = \"s\"\n"))
    else {
        panic!("not in mode password")
    };
    assert!(client_secret.is_some());
}

#[test]
fn contradictions_are_named() {
    assert!(problem(&with("username = \"u\"")).contains("auth.mode is \"client_secret\""));
    let shared = GOOD.replace("contoso.onmicrosoft.com", "common");
    assert!(problem(&shared).contains("no daemon can sign in"));
    assert!(problem(&GOOD.replace("contoso.onmicrosoft.com", "a/b")).contains("neither a GUID nor a domain"));
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let settings = Bed::new().load(GOOD).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret-value"));
    let error = Bed::new().load(&with("username = \"u\"\nfoo = 1")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret-value"));
    let text = "[auth]\ntenant_id = \"contoso.com\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\nclient_secret = 12345678\n";
    let error = Bed::new().load(text).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("12345678"));
}

#[test]
fn commands_that_do_not_sign_in_need_no_sign_in_settings() {
    let bed = Bed::new();
    let file = bed.file("agent.toml", "[queue]\npath = \"/var/lib/q.db\"\n");
    let settings = LocalSettings::load(Some(file), &Environment::default()).unwrap();
    assert_eq!(settings.queue.place.file().unwrap(), PathBuf::from("/var/lib/q.db"));
    assert!(!settings.own_mailbox);
    let file = bed.file("agent.toml", "[queue]\npth = \"x\"\n");
    assert!(LocalSettings::load(Some(file), &Environment::default()).is_err());
}

#[test]
fn the_monitor_is_off_unless_it_is_told_where_to_listen_and_a_port_alone_is_one_of_this_machine() {
    assert_eq!(Bed::new().load(GOOD).unwrap().monitor.listen, None);
    let listen = |value: &str| {
        let settings = Bed::new().load(&format!("{GOOD}\n[monitor]\nlisten = {value}\n")).unwrap();
        settings.monitor.listen.map(|address| address.to_string())
    };
    for (written, read) in [
        ("9185", "127.0.0.1:9185"),
        ("\"9185\"", "127.0.0.1:9185"),
        ("\"127.0.0.1:9185\"", "127.0.0.1:9185"),
        ("\" localhost:9185 \"", "127.0.0.1:9185"),
        ("\"[::1]:9185\"", "[::1]:9185"),
        ("\"0.0.0.0:9185\"", "0.0.0.0:9185"),
    ] {
        assert_eq!(listen(written).as_deref(), Some(read), "{written}");
    }
    assert_eq!(listen("\"\""), None);
    for wrong in ["\":9185\"", "\"127.0.0.1\"", "70000", "\"monitor.contoso.com:9185\"", "-1", "true"] {
        let said = problem(&format!("{GOOD}\n[monitor]\nlisten = {wrong}\n"));
        assert!(said.starts_with("monitor.listen: is "), "{said}");
    }
    let environment = Bed::new().env("EVENT_SENDER__MONITOR__LISTEN", "9186");
    assert_eq!(environment.load(GOOD).unwrap().monitor.listen.unwrap().to_string(), "127.0.0.1:9186");
}

#[test]
fn a_secret_in_the_key_beside_its_own_is_not_shown() {
    let auth = "[auth]\ntenant_id = \"t.example\"\nclient_id = \"66666666-7777-8888-9999-000000000000\"\n";
    for wrong in [
        "client_secret_file = \"abC8Q~Zebra.Zebra_Zebra-Zebra1234567890a\"",
        "mode = \"Zebra~1\"\nclient_secret = \"x\"",
    ] {
        let problems = Bed::new().problems(&format!("{auth}{wrong}"));
        assert!(!problems.is_empty() && !problems.join(" ").contains("Zebra"), "{problems:?}");
    }
}

#[test]
fn the_page_is_off_unless_it_is_told_where_to_listen_and_beyond_this_machine_it_must_know_who_asks() {
    let web = Bed::new().load(GOOD).unwrap().web;
    assert_eq!((web.listen, web.actions, web.show_content, web.base.to_string().as_str()), (None, false, false, "/"));
    let bed = Bed::new();
    let token = bed.file("web_token", "of my making\n");
    let with = |lines: &str| bed.load(&format!("{GOOD}\n[web]\n{lines}\n"));
    let token = format!("token_file = \"{}\"", token.display());
    assert!(with("listen = 9186").is_ok());
    for open in ["\"0.0.0.0:9186\"", "\"[::]:9186\"", "\"192.0.2.7:9186\""] {
        let said = problem(&format!("{GOOD}\n[web]\nlisten = {open}\n"));
        assert!(said.starts_with("web.listen: is ") && said.contains("set web.token_file"), "{said}");
        assert!(with(&format!("listen = {open}\n{token}")).is_ok());
        assert!(with(&format!("listen = {open}\ntrusted_proxy_header = \"X-Forwarded-User\"")).is_ok());
    }
    let said = problem(&format!("{GOOD}\n[web]\nlisten = 9186\nactions = true\n"));
    assert!(said.starts_with("web.actions: is true, which needs a way to sign in"), "{said}");
    let settings = with(&format!("listen = 9186\nactions = true\n{token}")).unwrap().web;
    assert_eq!(settings.token.as_ref().map(Secret::expose), Some("of my making"));
    assert!(!format!("{settings:?}").contains("making"));
    for wrong in [
        "base = \"queue\"",
        "trusted_proxy_header = \"Host\"",
        "trusted_proxy_header = \"X User\"",
        "token_file = \"/nowhere\"",
    ] {
        let said = problem(&format!("{GOOD}\n[web]\n{wrong}\n"));
        assert!(said.starts_with("web."), "{said}");
    }
}
