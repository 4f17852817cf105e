//! AADSTS numbers in plain words: what each means, what to do, and how patient to be (graph-facts 5.4).
//!
//! Microsoft says the numbers may change at any time, so they only choose words and waiting times; whether a request
//! may be repeated at all hangs on nothing here.

use std::time::Duration;

use crate::hint::Hint;

/// How long the same token request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Entra's own trouble: backoff from seconds.
    Transient,
    /// A person must change something: a minute, growing while nothing changes.
    Refused,
    /// More tries make it worse: at least this long.
    AtLeast(Duration),
}

/// What an operator is told about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Safe to log.
    pub hint: Hint,
    /// How patient to be.
    pub patience: Patience,
}

const MINUTES: u64 = 60;

/// Advice for an AADSTS number; a general one for a number the table does not have.
pub fn advice(number: Option<u32>) -> Advice {
    use Patience::{AtLeast, Refused, Transient};
    let (hint, patience) = match number.unwrap_or(0) {
        7_000_215 => (
            Hint::new(
                "The client secret is wrong",
                "copy the secret's Value, not its Secret ID, into auth.client_secret.",
            ),
            Refused,
        ),
        7_000_222 => (
            Hint::new(
                "The client secret has expired",
                "create a new one under Certificates & secrets and put its Value into auth.client_secret.",
            ),
            Refused,
        ),
        700_027 => (
            Hint::new(
                "The certificate is not the one uploaded in Entra, or it has expired",
                "upload the one of auth.certificate_file.",
            ),
            Refused,
        ),
        50_027 => {
            (Hint::new("The assertion is not a valid JWT", "check the content of auth.federated_token_file."), Refused)
        }
        700_021 | 700_023 => (
            Hint::new(
                "The assertion is for another application or tenant",
                "check auth.client_id, auth.tenant_id and auth.instance.",
            ),
            Refused,
        ),
        700_024 | 50_012 | 500_133 => (
            Hint::new(
                "The assertion is outside its valid time",
                "check the clock of this computer, and that the token file is renewed.",
            ),
            Refused,
        ),
        700_016 | 700_011 => (
            Hint::new("The application is not known in this tenant", "check auth.client_id and auth.tenant_id."),
            Refused,
        ),
        7_000_229 => (
            Hint::new("The application has no service principal in this tenant", "grant admin consent there."),
            Refused,
        ),
        7_000_112 | 70_001 => (Hint::new("The app registration is disabled", "enable it in Entra."), Refused),
        90_002 | 50_059 | 90_019 => (
            Hint::new("The tenant was not found", "check auth.tenant_id, and graph.cloud if this is a national cloud."),
            Refused,
        ),
        900_382 | 900_432 | 90_038 => (
            Hint::new(
                "The tenant belongs to another cloud",
                "set graph.cloud to it, and leave auth.instance and graph.endpoint out.",
            ),
            Refused,
        ),
        500_011 | 50_001 | 650_057 => {
            (Hint::new("The resource is not known in this cloud", "check auth.resource and graph.endpoint."), Refused)
        }
        70_011 | 28_002 | 1_002_012 => (
            Hint::new(
                "The scope is not valid",
                "auth.resource must be the Graph address, such as https://graph.microsoft.com.",
            ),
            Refused,
        ),
        901_002 => (
            Hint::new(
                "The token endpoint and the request are of different versions",
                "leave auth.token_version and auth.resource out.",
            ),
            Refused,
        ),
        900_144 | 90_014 | 9_002_313 | 90_023 => {
            (Hint::new("The token request is incomplete", "check the [auth] settings."), Refused)
        }
        65_001 | 90_094 | 90_008 | 650_056 => (
            Hint::new("Consent is missing", "an administrator must grant admin consent for Calendars.ReadWrite."),
            Refused,
        ),
        7_000_216 => {
            (Hint::new("The token request has no proof", "set auth.client_secret, or another auth.mode."), Refused)
        }
        7_000_218 => (
            Hint::new(
                "The application is confidential",
                "set auth.client_secret, or allow public client flows in the app registration.",
            ),
            Refused,
        ),
        700_025 => (
            Hint::new(
                "The application is a public client and must not send a secret",
                "remove auth.client_secret, or turn public client flows off.",
            ),
            Refused,
        ),
        9_001_023 | 90_124 | 90_130 | 50_194 => (
            Hint::new("This sign-in needs the tenant itself", "set auth.tenant_id to the tenant's id, not to common."),
            Refused,
        ),
        53_003 | 530_032 | 530_034 | 530_035 | 50_131 => (
            Hint::new("A policy blocks this sign-in", "ask the Entra administrator to look at Conditional Access."),
            Refused,
        ),
        700_211 => (
            Hint::new("No federated credential of the application has the token's issuer", "compare its Issuer."),
            Refused,
        ),
        700_212 => (
            Hint::new(
                "No federated credential of the application has the token's audience",
                "compare its Audience with the token's aud.",
            ),
            Refused,
        ),
        700_213 | 70_021 => (
            Hint::new(
                "No federated credential of the application matches the token",
                "compare its subject, issuer and audience.",
            ),
            Refused,
        ),
        50_013 => (
            Hint::new(
                "The token of the other provider has no valid signature",
                "compare the federated credential's Issuer.",
            ),
            Refused,
        ),
        50_126 | 50_056 => (
            Hint::new(
                "The user name or password is wrong",
                "correct auth.username and auth.password before the account is locked.",
            ),
            Refused,
        ),
        50_034 | 51_004 | 50_020 => {
            (Hint::new("The user is not known in this tenant", "check auth.username."), Refused)
        }
        50_053 => (
            Hint::new(
                "The account is locked after wrong passwords, or this address is blocked",
                "correct auth.password and wait.",
            ),
            AtLeast(Duration::from_secs(15 * MINUTES)),
        ),
        50_055 | 50_144 => {
            (Hint::new("The password has expired", "set a new one and put it into auth.password."), Refused)
        }
        50_057 => (Hint::new("The user account is disabled", "enable it, or use another."), Refused),
        50_076 | 50_079 | 50_072 | 50_074 | 50_158 | 53_000 | 53_001 | 50_097 => (
            Hint::new(
                "Multi-factor authentication or a managed device is required",
                "mode \"password\" cannot do that, use auth.mode = \"certificate\".",
            ),
            Refused,
        ),
        50_173 | 70_008 | 700_082 | 70_043 | 50_132 | 50_133 => {
            (Hint::new("The session was revoked or has expired", "check that the password is still valid."), Refused)
        }
        50_196 => (
            Hint::new(
                "Entra saw too many identical token requests",
                "waiting. Look for other programs using this application.",
            ),
            AtLeast(Duration::from_secs(5 * MINUTES)),
        ),
        90_055 => (
            Hint::new("Microsoft limits the sign-ins of this tenant", "waiting."),
            AtLeast(Duration::from_secs(MINUTES)),
        ),
        50_033 | 90_006 | 90_012 | 90_024 | 90_033 | 90_090 | 90_091 | 50_087 | 50_000 => {
            (Hint::new("Entra ID is temporarily unavailable", "trying again."), Transient)
        }
        80_001 | 80_002 | 80_005 | 80_007 | 80_014 => {
            (Hint::new("The on-premises authentication agent is unavailable", "check it; trying again."), Transient)
        }
        _ => (
            Hint::new("Entra refused the sign-in", "look the AADSTS number up and check the [auth] settings."),
            Refused,
        ),
    };
    Advice { hint, patience }
}

/// Whether more tries make it worse, of a refusal's code: an account that locks itself, an application that asks too often.
pub fn only_time_helps(code: &str) -> bool {
    let number = code.strip_prefix("AADSTS").and_then(|number| number.parse().ok());
    number.is_some_and(|number| matches!(advice(Some(number)).patience, Patience::AtLeast(_)))
}
