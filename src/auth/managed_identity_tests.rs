//! Which file the challenge of Azure Arc may name, and what an operator is told of each refusal.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use super::*;

fn identity(identity: Identity) -> ManagedIdentity {
    let endpoint = "http://127.0.0.1:9/metadata/identity/oauth2/token".to_owned();
    ManagedIdentity { host: IdentityHost::VirtualMachine { endpoint }, identity, resource: "https://graph".into() }
}

#[test]
fn only_a_small_key_file_right_in_the_agents_directory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(&tokens.join("good.key"), "proof\n");
    write(&tokens.join("large.key"), &"x".repeat(4097));
    write(&tokens.join("other.txt"), "proof");
    write(&dir.path().join("outside.key"), "proof");
    symlink(dir.path().join("outside.key"), tokens.join("link.key")).unwrap();
    std::fs::create_dir(tokens.join("directory.key")).unwrap();
    let read = |challenge: &str| proof(challenge, &tokens).map(|proof| proof.expose().to_owned());
    let named = |name: &str| format!("Basic realm={}/{name}", tokens.display());
    assert_eq!(read(&named("good.key")).unwrap(), "proof");
    assert_eq!(read(&format!("Basic realm=\"{}/good.key\"", tokens.display())).unwrap(), "proof");
    for stray in [
        named("large.key"),
        named("other.txt"),
        named("link.key"),
        named("directory.key"),
        named("../outside.key"),
        named("./../tokens/../outside.key"),
        format!("Basic realm={}/outside.key", dir.path().display()),
        "Basic realm=good.key".into(),
        "Basic realm=".into(),
        "Basic realm=/etc/shadow".into(),
        "Bearer realm=x.key".into(),
        String::new(),
    ] {
        let refusal = read(&stray).unwrap_err();
        assert_eq!((refusal.code.as_str(), &refusal.hint), ("arc_challenge", &STRAY), "{stray}");
    }
    assert_eq!(read(&named("missing.key")).unwrap_err().hint, MISSING);
}

/// IMDS: 404, 410, 429 and 5xx pass by themselves, other 4xx do not (graph-facts 5.6).
#[test]
fn what_passes_by_itself_is_told_from_what_somebody_must_fix() {
    let wait = Some(Duration::from_secs(60));
    let refusal = || TokenRefusal { retry_after: wait, ..TokenRefusal::needs_fix("invalid_request", Hint::default()) };
    for (status, patience, word) in [
        (404, Patience::Transient, "not ready"),
        (410, Patience::Transient, "not ready"),
        (429, Patience::Transient, "busy"),
        (500, Patience::Transient, "busy"),
        (503, Patience::Transient, "busy"),
        (400, Patience::Refused, "no managed identity of its own"),
        (401, Patience::Refused, "is this an Azure VM"),
        (403, Patience::Refused, "is this an Azure VM"),
        (408, Patience::Transient, "not ready"),
        (200, Patience::Refused, "cannot be read"),
        (302, Patience::Refused, "cannot be read"),
        (418, Patience::Refused, "cannot be read"),
    ] {
        let explained = identity(Identity::System).explained(status, None, refusal());
        assert_eq!(explained.retry_after, None, "nobody asked for a wait");
        assert_eq!(explained.patience, patience, "{status}");
        assert!(explained.hint.to_string().contains(word), "{status}: {explained}");
    }
    let named = identity(Identity::ClientId("c".into())).explained(400, None, refusal());
    assert!(named.hint.means.contains("no such managed identity"), "{named}");
    let entra = TokenRefusal { code: "AADSTS500011".into(), ..refusal() };
    assert_eq!(identity(Identity::System).explained(400, None, entra.clone()), entra);
}

#[test]
fn each_host_has_its_own_words_for_the_same_identity() {
    let http = reqwest::Client::new();
    let id = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a b";
    let request = |host, identity| {
        let asked = ManagedIdentity { host, identity, resource: "https://graph.microsoft.com".into() };
        asked.request(&http).build().unwrap()
    };
    let endpoint = || "http://127.0.0.1:9/x".to_owned();
    let vm = request(IdentityHost::VirtualMachine { endpoint: endpoint() }, Identity::ResourceId(id.into()));
    assert_eq!(
        vm.url().query().unwrap(),
        "api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com&msi_res_id=%2Fsubscriptions%2Fs%2Fresourcegroups%2Fg%2Fproviders%2FMicrosoft.ManagedIdentity%2FuserAssignedIdentities%2Fa+b"
    );
    assert_eq!(vm.headers()["metadata"], "true");
    let host = IdentityHost::AppService { endpoint: endpoint(), header: Secret::new("h".into()) };
    let app = request(host, Identity::ResourceId("r".into()));
    assert!(app.url().query().unwrap().ends_with("&mi_res_id=r"), "{}", app.url());
    assert_eq!((app.headers().get("metadata"), &app.headers()["x-identity-header"]), (None, &"h".parse().unwrap()));
    for (identity, selector) in [
        (Identity::System, "resource=https%3A%2F%2Fgraph.microsoft.com"),
        (Identity::ClientId("c".into()), "&client_id=c"),
        (Identity::ObjectId("o".into()), "&object_id=o"),
    ] {
        let url = request(IdentityHost::VirtualMachine { endpoint: endpoint() }, identity).url().to_string();
        assert!(url.ends_with(selector), "{url}");
    }
}

proptest::proptest! {
    #[test]
    fn no_challenge_makes_a_panic(challenge in "\\PC{0,80}") {
        let dir = std::env::temp_dir();
        let _ = proof(&challenge, &dir);
        let _ = proof(&format!("Basic realm={challenge}"), &dir);
        let _ = proof(&format!("Basic realm={}/{challenge}", dir.display()), &dir);
    }
}
