//! Every key with its default: the table the reader, the "did you mean" and the test of `agent.toml` share.

/// A key and its default as written in TOML; none has no default.
pub const KEYS: [(&str, Option<&str>); 56] = [
    ("auth.mode", Some("\"client_secret\"")),
    ("auth.instance", Some("\"https://login.microsoftonline.com\"")),
    ("auth.tenant_id", None),
    ("auth.client_id", None),
    ("auth.resource", None),
    ("auth.token_version", Some("\"v2\"")),
    ("auth.client_secret", None),
    ("auth.client_secret_file", None),
    ("auth.secret_expires", None),
    ("auth.certificate_file", None),
    ("auth.private_key_file", None),
    ("auth.private_key_passphrase", None),
    ("auth.private_key_passphrase_file", None),
    ("auth.send_certificate_chain", Some("false")),
    ("auth.identity_object_id", None),
    ("auth.identity_resource_id", None),
    ("auth.arc_tokens_dir", Some("\"/var/opt/azcmagent/tokens\"")),
    ("auth.federated_token_file", None),
    ("auth.username", None),
    ("auth.password", None),
    ("auth.password_file", None),
    ("graph.cloud", Some("\"global\"")),
    ("graph.endpoint", Some("\"https://graph.microsoft.com\"")),
    ("graph.api_version", Some("\"v1.0\"")),
    ("graph.connect_timeout", Some("\"10s\"")),
    ("graph.request_timeout", Some("\"60s\"")),
    ("graph.ca_file", None),
    ("defaults.mailbox", None),
    ("defaults.time_zone", Some("\"UTC\"")),
    ("defaults.body_type", Some("\"text\"")),
    ("queue.path", Some("\"queue.db\"")),
    ("queue.url", None),
    ("queue.password_file", None),
    ("queue.failover", Some("\"lossy\"")),
    ("queue.poll_interval", Some("\"1s\"")),
    ("queue.retention", Some("\"0s\"")),
    ("delivery.max_in_flight", Some("64")),
    ("delivery.max_in_flight_per_mailbox", Some("4")),
    ("delivery.max_attempts", Some("12")),
    ("delivery.first_retry", Some("\"5s\"")),
    ("delivery.longest_retry", Some("\"15m\"")),
    ("delivery.give_up_after", Some("\"72h\"")),
    ("delivery.shutdown_grace", Some("\"25s\"")),
    ("delivery.past_events", Some("\"refuse\"")),
    ("delivery.recipients_per_day", Some("10000")),
    ("delivery.invitations_per_minute", Some("0")),
    ("agent.name", None),
    ("monitor.listen", None),
    ("web.listen", None),
    ("web.actions", Some("false")),
    ("web.token_file", None),
    ("web.trusted_proxy_header", None),
    ("web.show_content", Some("false")),
    ("web.base", Some("\"/\"")),
    ("log.format", Some("\"auto\"")),
    ("log.level", Some("\"info\"")),
];

/// Whether there is such a key.
pub(super) fn is_known(key: &str) -> bool {
    KEYS.iter().any(|(known, _)| *known == key)
}

/// The known key that looks most like `unknown`, if one does.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    KEYS.iter()
        .map(|(key, _)| *key)
        .map(|key| {
            // A right name in a wrong section is the same kind of slip as a misspelt one.
            let likeness =
                strsim::jaro_winkler(unknown, key).max(strsim::jaro_winkler(&last(unknown), &last(key)) - 0.01);
            (likeness, key)
        })
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}
