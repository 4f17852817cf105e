//! `[web]`: where the page is, and how it knows who asks.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

use super::rules::listen;
use super::secrets::{read_secret, shown};
use super::source::Source;
use super::{WebBase, WebSettings};
use crate::secret::Secret;

pub(super) fn settings(source: &mut Source) -> WebSettings {
    let (token, token_file) = token(source).unzip();
    let settings = WebSettings {
        listen: listen(source, "web.listen"),
        actions: source.flag("web.actions"),
        token,
        token_file,
        trusted_proxy_header: header(source),
        show_content: source.flag("web.show_content"),
        base: base(source),
    };
    if let Some(address) = settings.listen {
        ways_to_know_who_asks(source, &settings, address);
    }
    settings
}

/// Who can reach the page must be known, and who changes something all the more.
fn ways_to_know_who_asks(source: &mut Source, settings: &WebSettings, address: SocketAddr) {
    let set = |key| source.is_set(key);
    if set("web.token_file") || set("web.trusted_proxy_header") {
        return;
    }
    let cure = "set web.token_file to a file with a token of your making, or web.trusted_proxy_header to the header in which a \
                proxy names the user";
    if !address.ip().to_canonical().is_loopback() {
        source.problem(
            "web.listen",
            format!("is {address}, which other machines can reach, without a way to know who asks; {cure}, or listen on 127.0.0.1"),
        );
    }
    if settings.actions {
        source.problem("web.actions", format!("is true, which needs a way to sign in; {cure}"));
    }
}

fn token(source: &mut Source) -> Option<(Secret, PathBuf)> {
    let key = "web.token_file";
    let path = source.text(key)?;
    match read_secret(Path::new(&path)) {
        Ok(token) => {
            source.note_secret(Path::new(&path));
            source.note_read(Path::new(&path));
            Some((token, path.into()))
        }
        Err(what) => {
            source.problem(key, format!("names {}, which {what}", shown(&path)));
            None
        }
    }
}

/// In lower case, as headers are compared.
fn header(source: &mut Source) -> Option<String> {
    let key = "web.trusted_proxy_header";
    let name = source.text(key)?.trim().to_ascii_lowercase();
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name {
        source.problem(key, format!("is \"{name}\", which is not the name of a header, like \"X-Forwarded-User\""));
        return None;
    }
    // Every browser sends these, so they prove nothing.
    if ["host", "origin", "cookie", "referer", "user-agent", "accept", "connection", "authorization"]
        .contains(&name.as_str())
    {
        source.problem(key, format!("is \"{name}\", which browsers send by themselves; name the header in which the proxy says who it has let through"));
        return None;
    }
    Some(name)
}

fn base(source: &mut Source) -> WebBase {
    let key = "web.base";
    let written = source.text_or_default(key).trim().to_owned();
    read_base(&written).unwrap_or_else(|| {
        source.problem(
            key,
            format!("is \"{written}\"; it must be a path like \"/event-sender/\", or the whole address of the page as browsers see it, like \"https://tools.contoso.com/event-sender/\""),
        );
        WebBase { path: "/".into(), host: None, encrypted: false }
    })
}

/// What the page answers at its root, below which it cannot be once more.
const OWN: [&str; 3] = ["api", "page.css", "page.js"];

fn read_base(written: &str) -> Option<WebBase> {
    let base = any_base(written)?;
    let first = base.path.split('/').nth(1).unwrap_or_default();
    (!OWN.contains(&first)).then_some(base)
}

fn any_base(written: &str) -> Option<WebBase> {
    let plain = |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let path = |path: &str| {
        let bare = path.trim_matches('/');
        if bare.is_empty() { "/".to_owned() } else { format!("/{bare}/") }
    };
    if written.starts_with('/') {
        let fits = plain(written) && !written.contains("//") && !written.contains("/.");
        return fits.then(|| WebBase { path: path(written), host: None, encrypted: false });
    }
    let url = Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let bare =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|_| bare && plain(url.path()) && !url.path().contains("//"))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(WebBase { path: path(url.path()), host: Some(format!("{host}{port}")), encrypted: url.scheme() == "https" })
}

impl fmt::Display for WebBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{}://{host}{}", if self.encrypted { "https" } else { "http" }, self.path),
            None => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_base_is_a_path_or_a_whole_address() {
        for (written, shown) in [
            ("/", "/"),
            ("/queue", "/queue/"),
            ("/a/b/", "/a/b/"),
            ("https://tools.contoso.com", "https://tools.contoso.com/"),
            ("https://tools.contoso.com:8443/queue", "https://tools.contoso.com:8443/queue/"),
        ] {
            assert_eq!(read_base(written).unwrap().to_string(), shown);
        }
        for wrong in [
            "queue",
            "//evil",
            "/a/../b",
            "/a?b",
            "ftp://host/",
            "https://user@host/",
            "https://host/#x",
            "/api/v1",
            "/page.js",
            "https://host//x",
            "/a b",
        ] {
            assert_eq!(read_base(wrong), None, "{wrong}");
        }
    }
}
