//! What the tenant holds from the start: applications, the user, the host's identities, and the credentials of each.

/// The tenant; [`TENANT_DOMAIN`] names it too.
pub const TENANT_ID: &str = "5a6d0c3e-7b1f-4e02-9c55-3f0e8a1b2c4d";
/// The tenant's initial domain.
pub const TENANT_DOMAIN: &str = "contoso.onmicrosoft.com";
/// A confidential application; its secret is [`CLIENT_SECRET`].
pub const CLIENT_ID: &str = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b";
/// A public application: signs users in without a secret.
pub const PUBLIC_CLIENT_ID: &str = "2a3b4c5d-6e7f-4801-9223-344556677889";
/// An application no administrator has consented to; its secret is [`CLIENT_SECRET`].
pub const NO_CONSENT_CLIENT_ID: &str = "3c4d5e6f-7081-4923-a445-566778899aab";
/// The secret accepted at the start.
pub const CLIENT_SECRET: &str = "sandbox-secret";
/// A secret that was valid once.
pub const EXPIRED_SECRET: &str = "expired-secret";
/// The one user who can sign in; `locked@`, `expired@`, `disabled@`, `mfa@` and `policy@contoso.com` cannot.
pub const USERNAME: &str = "agent@contoso.com";
/// The user's password at the start.
pub const PASSWORD: &str = "sandbox-password";
/// What a program on App Service finds in `$IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "sandbox-identity-header";
/// The client id of the host's one user-assigned identity.
pub const IDENTITY_CLIENT_ID: &str = "4d5e6f70-8192-4a34-8566-778899aabbcc";
/// Its object id.
pub const IDENTITY_OBJECT_ID: &str = "5e6f7081-92a3-4b45-9677-8899aabbccdd";
/// Its Azure resource id.
pub const IDENTITY_RESOURCE_ID: &str = "/subscriptions/6f708192-a3b4-4c56-a788-99aabbccddee/resourceGroups/calendar/\
    providers/Microsoft.ManagedIdentity/userAssignedIdentities/event-sender";
/// The client id of the host's system-assigned identity.
pub const SYSTEM_IDENTITY_CLIENT_ID: &str = "708192a3-b4c5-4d67-b899-aabbccddeeff";
