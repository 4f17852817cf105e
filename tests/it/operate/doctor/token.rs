//! The token, and the secret it was given for.

use chrono::{TimeDelta, Utc};
use event_sender::sandbox::{self, Fault, FaultOn, OptionsChange};

use super::{lines, says};
use crate::bed::Bed;

fn roles(bed: &Bed, roles: &[&str]) {
    let roles = Some(roles.iter().map(|role| (*role).to_owned()).collect());
    bed.sandbox().configure(OptionsChange { roles, ..OptionsChange::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_without_the_permission_fails_unless_exchange_grants_access_by_itself() {
    let mut bed = Bed::new().await;
    says(&bed.command(&["check"]).await.expect(0), "PASS", "token", &["roles", "Calendars.ReadWrite"]);
    roles(&bed, &[]);
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "token", &["Exchange itself grants access", "RBAC"]);
    roles(&bed, &["Calendars.Read"]);
    let ran = bed.command(&["check"]).await.expect(1);
    says(&ran, "FAIL", "token", &["only Calendars.Read", "grant consent", "docs/sign-in/register.md"]);
    says(&ran, "PASS", "mailbox", &["can be read"]);
    roles(&bed, &[]);
    bed.set("defaults.mailbox", "denied@contoso.com");
    let ran = bed.command(&["check"]).await.expect(1);
    says(&ran, "FAIL", "token", &["only nothing", "docs/sign-in/register.md"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_user_has_scopes_and_an_opaque_token_is_a_riddle_not_a_fault() {
    let mut bed = Bed::new().await;
    bed.sign_in_as_user();
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "PASS", "token", &["scp", "Calendars.ReadWrite"]);
    assert!(lines(&ran, "secret").is_empty(), "a public client has none: {ran:?}");
    roles(&bed, &["User.Read"]);
    says(&bed.command(&["check"]).await.expect(1), "FAIL", "token", &["only User.Read", "delegated"]);
    bed.sandbox().configure(OptionsChange { opaque_tokens: Some(true), ..OptionsChange::default() });
    says(&bed.command(&["check"]).await.expect(0), "WARN", "token", &["it is opaque"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_secrets_end_is_told_where_graph_tells_it() {
    let bed = Bed::new().await;
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "PASS", "secret", &["Application.Read.All", "note the date yourself"]);
    let reader = ["Calendars.ReadWrite", "Application.Read.All"];
    for (days, code, grade, word) in
        [(180, 0, "PASS", "in 179 days"), (12, 0, "WARN", "in 11 days"), (-3, 1, "FAIL", "expired on")]
    {
        roles(&bed, &reader);
        let change = OptionsChange { secret_expires_in_days: Some(days), ..OptionsChange::default() };
        bed.sandbox().configure(change);
        says(&bed.command(&["check"]).await.expect(code), grade, "secret", &[word]);
    }
    // Trouble in asking is not trouble with the secret.
    bed.sandbox().script(Fault::answer(503, "ServiceUnavailable").on(FaultOn::Any).after(1));
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "WARN", "secret", &["not checked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_date_in_the_settings_is_compared_with_graphs() {
    let mut bed = Bed::new().await;
    roles(&bed, &["Calendars.ReadWrite", "Application.Read.All"]);
    let change = OptionsChange { secret_expires_in_days: Some(180), ..OptionsChange::default() };
    bed.sandbox().configure(change);
    let day = |days| (Utc::now() + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let advice = format!("set auth.secret_expires = \"{}\"", day(180));
    says(&bed.command(&["check"]).await.expect(0), "PASS", "secret", &["in 179 days", &advice]);
    bed.set("auth.secret_expires", &day(180));
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "PASS", "secret", &["in 179 days"]);
    assert_eq!(lines(&ran, "secret").len(), 1, "{ran:?}");
    bed.set("auth.secret_expires", &day(90));
    let ran = bed.command(&["check"]).await.expect(0);
    says(&ran, "PASS", "secret", &["in 179 days"]);
    says(
        &ran,
        "WARN",
        "secret",
        &["auth.secret_expires", &day(90), &format!("correct it: auth.secret_expires = \"{}\"", day(180))],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn neither_token_nor_secret_is_ever_shown() {
    let bed = Bed::new().await;
    roles(&bed, &["Application.Read.All"]);
    for arguments in [&["check"][..], &["check", "--json"]] {
        bed.command(arguments).await;
    }
    let shown = bed.all_output();
    assert!(shown.contains("gave application"));
    // Every JWT begins like this.
    assert!(!shown.contains("eyJ") && !shown.contains(sandbox::CLIENT_SECRET), "{shown}");
}
