//! What a token permits, beside what the mailboxes said.

use super::*;
use crate::queue::Grade;

fn grade(user: bool, given: &[&str], readable: bool) -> Grade {
    let given: Vec<String> = given.iter().map(|one| (*one).to_owned()).collect();
    permission(if user { Holder::User } else { Holder::Application }, &given, readable).grade
}

#[test]
fn the_permission_is_there_or_missing_or_granted_by_exchange() {
    assert_eq!(grade(false, &["User.Read", "Calendars.ReadWrite"], false), Grade::Pass);
    assert_eq!(grade(false, &[], true), Grade::Warn, "RBAC for Applications");
    assert_eq!(grade(false, &["Mail.Send"], true), Grade::Warn);
    assert_eq!(grade(false, &[], false), Grade::Fail);
    assert_eq!(grade(false, &["Calendars.Read"], true), Grade::Fail, "reading proves nothing then");
    assert_eq!(grade(true, &["Calendars.ReadWrite.Shared"], false), Grade::Pass);
    assert_eq!(grade(true, &["Calendars.Read"], true), Grade::Fail);
    assert_eq!(grade(true, &[], true), Grade::Fail, "a user has what was consented to, nothing else");
}

#[test]
fn what_grants_the_permission_depends_on_who_is_to_have_it() {
    for (holder, page) in [
        (Holder::Application, "register.md"),
        (Holder::User, "password.md"),
        (Holder::ManagedIdentity, "managed-identity.md"),
    ] {
        assert!(holder.cure().contains(page), "{holder:?}");
    }
}

fn count(auth: &AuthSettings, claims: TokenClaims) -> usize {
    mismatches(auth, &claims).len()
}

#[test]
fn a_token_of_another_tenant_application_or_resource_is_noticed() {
    let auth = AuthSettings {
        mode: crate::config::AuthMode::ClientSecret { client_secret: Secret::new("s".into()) },
        instance: String::new(),
        tenant_id: Some("5a6d0c3e-7b1f-4e02-9c55-3f0e8a1b2c4d".into()),
        client_id: Some("a".into()),
        token_version: crate::config::TokenVersion::V2,
        secret_expires: None,
        resource: "https://graph.microsoft.com".into(),
        files: crate::config::SecretFiles::default(),
    };
    let claims = TokenClaims {
        audience: Some("https://graph.microsoft.com/".into()),
        tenant: auth.tenant_id.as_ref().map(|tenant| tenant.to_uppercase()),
        application: Some("A".into()),
        permissions: Vec::new(),
        expires: Some(i64::MAX),
    };
    assert_eq!(count(&auth, claims.clone()), 0);
    assert_eq!(count(&auth, TokenClaims { audience: Some(GRAPH.into()), ..claims.clone() }), 0);
    assert_eq!(
        count(&auth, TokenClaims { audience: Some("https://management.azure.com".into()), ..claims.clone() }),
        1
    );
    assert_eq!(count(&auth, TokenClaims { tenant: Some("other".into()), ..claims.clone() }), 1);
    assert_eq!(count(&auth, TokenClaims { application: Some("b".into()), ..claims.clone() }), 1);
    assert_eq!(count(&auth, TokenClaims { expires: Some(0), ..claims.clone() }), 1);
    let by_domain = AuthSettings { tenant_id: Some("contoso.com".into()), ..auth };
    assert_eq!(count(&by_domain, TokenClaims { tenant: Some("other".into()), ..claims }), 0);
}
