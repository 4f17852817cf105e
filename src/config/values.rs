//! Rules that values of several sections share.

use url::Url;

use super::shapes::{self, Unfit};
use super::source::Source;

/// An address secrets and events are sent to: https, or http to this machine only. As the parser understood it, no slash
/// at the end: what is judged here and what is dialled later must be the same, however it was written ("HTTP://127.1").
/// `path`: what is said of an address with a path.
pub(super) fn address(source: &mut Source, key: &str, text: &str, path: impl Fn(&Url) -> String) -> String {
    // The parser makes an address of "https:/host" and "https:///host", too, of which nobody knows what was left out, and a host
    // of what stands behind one in a sentence.
    let begins = |text: &str| {
        let mut rest = text.split_once(':').map_or("", |(_, rest)| rest).chars().map(|c| matches!(c, '/' | '\\'));
        (rest.next(), rest.next(), rest.next()) == (Some(true), Some(true), Some(false))
    };
    let host = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            name.chars().all(plain) && !name.ends_with('.') && !matches!(name, "http" | "https")
        }
        host => host.is_some(),
    };
    let url = match Url::parse(text) {
        Ok(url) if begins(text) && host(&url) && matches!(url.scheme(), "http" | "https") => url,
        _ => {
            let rule = "it must begin with https:// and name a host, like \"https://graph.microsoft.com\"";
            // Before an @ there may stand a password.
            let found = if text.contains('@') { "is not an address".to_owned() } else { format!("is \"{text}\"") };
            let mut bare = text.trim_end_matches(['.', ',', ';', '>', '/']);
            while let Some(rest) = ["<", "/", "\\", "https:", "http:", "https/", "http/"]
                .iter()
                .find_map(|before| bare.strip_prefix(before))
            {
                bare = rest;
            }
            let named = !bare.contains(['@', ' ', ':']) && bare.contains('.');
            let whole = Url::parse(&format!("https://{bare}")).ok().filter(|url| named && host(url));
            let meant = whole.map(|url| format!("; did you mean \"{}\"?", shapes::without_path(&url)));
            source.problem(key, format!("{found}; {rule}{}", meant.unwrap_or_default()));
            return text.to_owned();
        }
    };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !loopback {
        source.problem(key, "is not encrypted; use https:// (http:// is only for this machine itself)");
    } else if !url.username().is_empty() || url.password().is_some() {
        source.problem(key, "contains a user name or password; remove it");
    } else if url.query().is_some() || url.fragment().is_some() {
        source.problem(key, "contains a ? or #; give the plain address");
    } else if !matches!(url.path(), "/" | "") {
        source.problem(key, path(&url));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

/// Notes what is wrong with a value, unless something was already: one fault is told once.
pub(super) fn judge<T>(
    source: &mut Source,
    key: &str,
    value: &str,
    rule: impl Fn(&str) -> Result<T, Unfit>,
) -> Option<T> {
    let told = source.has_problem(key);
    match rule(value) {
        Ok(value) => Some(value),
        Err(_) if told => None,
        Err(fault) => {
            source.refuse(key, value, fault);
            None
        }
    }
}
