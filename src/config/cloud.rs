//! Microsoft's clouds: each has its own sign-in address and its own Graph, and a token of one is worth nothing in another
//! (graph-facts 5.8).

use std::fmt::Write as _;

use url::Url;

use super::source::Source;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloud {
    Global,
    UsGovL4,
    UsGovL5,
    China,
}

use Cloud::{China, Global, UsGovL4, UsGovL5};

const CLOUDS: [(&str, Cloud); 4] =
    [("global", Global), ("us_gov_l4", UsGovL4), ("us_gov_l5", UsGovL5), ("china", China)];

/// Where each is, and where it was.
const HOSTS: [(&str, &[Cloud]); 12] = [
    ("login.microsoftonline.com", &[Global]),
    ("login.microsoft.com", &[Global]),
    ("login.windows.net", &[Global]),
    ("sts.windows.net", &[Global]),
    ("graph.microsoft.com", &[Global]),
    ("login.microsoftonline.us", &[UsGovL4, UsGovL5]),
    ("login-us.microsoftonline.com", &[UsGovL4, UsGovL5]),
    ("graph.microsoft.us", &[UsGovL4]),
    ("dod-graph.microsoft.us", &[UsGovL5]),
    ("login.partner.microsoftonline.cn", &[China]),
    ("login.chinacloudapi.cn", &[China]),
    ("microsoftgraph.chinacloudapi.cn", &[China]),
];
/// Microsoft Cloud Germany ended on 2021-10-29.
const CLOSED: [&str; 2] = ["login.microsoftonline.de", "graph.microsoft.de"];

impl Cloud {
    /// `graph.cloud`, and whether it was written down.
    pub(super) fn read(source: &mut Source) -> (Self, bool) {
        let cloud = source.word("graph.cloud", &CLOUDS, Global);
        (cloud, source.is_set("graph.cloud"))
    }

    pub(super) fn word(self) -> &'static str {
        CLOUDS.iter().find(|(_, cloud)| *cloud == self).map_or("", |(word, _)| *word)
    }

    pub(super) fn instance(self) -> &'static str {
        match self {
            Global => "https://login.microsoftonline.com",
            UsGovL4 | UsGovL5 => "https://login.microsoftonline.us",
            China => "https://login.partner.microsoftonline.cn",
        }
    }

    pub(super) fn endpoint(self) -> &'static str {
        match self {
            Global => "https://graph.microsoft.com",
            UsGovL4 => "https://graph.microsoft.us",
            UsGovL5 => "https://dod-graph.microsoft.us",
            China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }
}

fn words(clouds: &[Cloud]) -> String {
    let mut text = String::new();
    for (word, _) in CLOUDS.iter().filter(|(_, cloud)| clouds.contains(cloud)) {
        let _ = write!(text, "{}\"{word}\"", if text.is_empty() { "" } else { " or " });
    }
    text
}

/// Notes a problem where addresses belong to different clouds, or to another than `graph.cloud` says. Addresses of
/// nobody known, as of a proxy, belong to any.
pub(super) fn refuse_mixture(source: &mut Source, said: Option<Cloud>, addresses: &[(&str, &str)]) {
    let mut known = said.map(|cloud| ("graph.cloud", vec![cloud]));
    for (key, address) in addresses {
        let url = Url::parse(address).ok();
        let Some(host) = url.as_ref().and_then(Url::host_str) else { continue };
        if CLOSED.contains(&host) {
            source.problem(
                key,
                "belongs to Microsoft Cloud Germany, which closed in 2021; use the cloud the tenant moved to",
            );
        }
        let Some((_, clouds)) = HOSTS.iter().find(|(one, _)| *one == host) else { continue };
        let Some((other, before)) = &known else {
            known = Some((key, clouds.to_vec()));
            continue;
        };
        let both: Vec<Cloud> = clouds.iter().copied().filter(|cloud| before.contains(cloud)).collect();
        if both.is_empty() {
            let (found, said) = (words(clouds), words(before));
            let what = format!(
                "is {host}, in the cloud {found}, but {other} is in {said}; set graph.cloud and leave the addresses out, or make them agree"
            );
            // What follows may only take over the fault.
            return source.problem(key, what);
        }
        known = Some((key, both));
    }
}
