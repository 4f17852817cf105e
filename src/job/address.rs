//! Mail addresses: what can be none, and what stands around one or hides in it when it comes out of another program. Such an
//! address is accepted by Graph and invites nobody.
//!
//! What is legal stays legal: `o'brien@`, `ann+tag@`, letters of any script, `"ann.lee"@`.

use email_address::{EmailAddress, Error, Options};

use crate::characters;

const CURE: &str = "write it like ann@contoso.com";
const QUOTES: [char; 3] = ['\'', '"', '`'];

/// Why this can be no mail address, and the cure; reads on after "an address that".
pub fn fault(address: &str) -> Option<String> {
    if address.is_empty() {
        return Some(format!("is empty; {CURE}"));
    }
    if let Some(disguise) = disguise(address) {
        return Some(disguise);
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Some(match address.contains("%40") {
            true => format!("is percent-encoded; {CURE}"),
            false => format!("is not a mail address; {CURE}"),
        });
    };
    of_local(local).or_else(|| of_domain(domain)).or_else(|| {
        let options = Options::default().without_display_text().with_domain_literal();
        let error = EmailAddress::parse_with_options(address, options).err()?;
        Some(match error {
            Error::LocalPartTooLong => "has more than the 64 bytes allowed before the '@'".to_owned(),
            Error::DomainTooLong | Error::SubDomainTooLong => {
                "has a domain, or a part of one, that is too long; 63 bytes between dots and 254 in all are allowed"
                    .to_owned()
            }
            _ => format!("is not a mail address; {CURE}"),
        })
    })
}

/// Why this can be neither an address nor a user name nor an id, and the cure. The latter two may hold signs that no address
/// does; whether there is such a mailbox, Exchange says.
pub fn mailbox_fault(text: &str) -> Option<String> {
    let within = text.trim_matches(QUOTES);
    let quoted = !within.is_empty() && within.len() + 2 == text.len();
    match text.contains('@') || quoted {
        true => disguise(text),
        false => characters::fault(text).or_else(|| blank(text)),
    }
}

/// What stands around an address or hides in it.
fn disguise(text: &str) -> Option<String> {
    // Most are of these alone, in which nothing hides.
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.' | b'-' | b'_')) {
        return None;
    }
    let bare = without_quoted_local(text);
    if let Some(hidden) = characters::fault(text) {
        return Some(hidden);
    }
    if bare.contains(['<', '>']) {
        return Some("has angle brackets; write the address alone; the name has a field of its own".to_owned());
    }
    if let Some((scheme, _)) = bare.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
        return Some(format!("begins with '{scheme}:'; write the address alone"));
    }
    if (bare == text && bare.starts_with(QUOTES)) || bare.ends_with(QUOTES) {
        return Some("is in quotation marks; write it without them".to_owned());
    }
    if let Some(last) = bare.chars().last().filter(|last| matches!(last, ',' | ';')) {
        return Some(format!("ends in '{last}'; leave that out"));
    }
    if let Some(between) = bare.chars().find(|c| matches!(c, ',' | ';')) {
        return Some(format!("contains '{between}'; write one address alone, or a dot if that is what is meant"));
    }
    if bare.contains(['(', ')']) {
        return Some("has something in parentheses; write the address alone".to_owned());
    }
    blank(bare)
}

fn blank(text: &str) -> Option<String> {
    text.contains(char::is_whitespace).then(|| "contains a space; remove it".to_owned())
}

/// `"ann lee"@contoso.com` is an address, and between its quotation marks nearly everything is legal.
fn without_quoted_local(text: &str) -> &str {
    let quoted = text.starts_with('"').then(|| text.rsplit_once("\"@")).flatten();
    quoted.filter(|(local, _)| !local.is_empty()).map_or(text, |(_, domain)| domain)
}

/// `mailto`, `smtp` as Exchange writes its proxy addresses, `sip`, `EX`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

fn of_local(local: &str) -> Option<String> {
    if local.is_empty() {
        return Some(format!("has nothing before the '@'; {CURE}"));
    }
    if local.len() > 2 && local.starts_with('"') && local.ends_with('"') {
        return None;
    }
    dots(local, "before the '@'").or_else(|| {
        let is_strange = |c: char| match c {
            '.' => false,
            c => !c.is_ascii_alphanumeric() && !EmailAddress::is_valid_local_part(c.encode_utf8(&mut [0; 4])),
        };
        let stranger = local.chars().find(|c| is_strange(*c));
        stranger.map(|c| match c {
            '@' => "has more than one '@'; write one address alone".to_owned(),
            c => format!("has {c:?} before the '@', where it is not allowed; {CURE}"),
        })
    })
}

fn of_domain(domain: &str) -> Option<String> {
    if domain.is_empty() {
        return Some(format!("has nothing after the '@'; {CURE}"));
    }
    if domain.starts_with('[') && domain.ends_with(']') {
        return None;
    }
    dots(domain, "after the '@'").or_else(|| {
        let strange = |c: &char| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-');
        if let Some(c) = domain.chars().find(strange) {
            return Some(format!("has {c:?} in its domain, where only letters, digits, hyphens and dots are allowed"));
        }
        if domain.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
            return Some("has a hyphen at the beginning or end of a part of its domain; remove it".to_owned());
        }
        match domain.rsplit_once('.') {
            None => Some(format!("has the domain '{domain}', which has no dot; write it in full, like contoso.com")),
            Some((_, last)) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some("has a domain that ends in digits; write its name, like contoso.com".to_owned())
            }
            Some(_) => None,
        }
    })
}

fn dots(part: &str, place: &str) -> Option<String> {
    match part {
        part if part.starts_with('.') => Some(format!("has a dot at the beginning of the part {place}; remove it")),
        part if part.ends_with('.') => Some(format!("has a dot at the end of the part {place}; remove it")),
        part if part.contains("..") => Some(format!("has two dots in a row {place}; remove one")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_legal_stays_legal() {
        for address in [
            "ann@contoso.com",
            "o'brien@contoso.com",
            "ann+tag@contoso.com",
            "\"ann.lee\"@contoso.com",
            "\"ann lee, (sales); <x>\"@contoso.com",
            "ann@bücher.example",
            "δοκιμή@παράδειγμα.ελ",
            "用户@例子.广告",
            "अजय@डाटा.भारत",
            "ann@xn--bcher-kva.example",
            "a@b.c",
            "ANN@CONTOSO.COM",
            "ann_lee.x-y@sub.contoso-mail.co.uk",
            "ann_fabrikam.com#EXT#@contoso.onmicrosoft.com",
            "ann@[192.0.2.1]",
            "1@2.example",
            "{x}!#$%&*/=?^_`|~-@contoso.com",
        ] {
            assert_eq!(fault(address), None, "{address}");
        }
    }

    #[test]
    fn what_invites_nobody_is_refused_with_the_cure() {
        for (address, part) in [
            ("", "is empty"),
            ("Ann", "is not a mail address"),
            ("ann%40contoso.com", "is percent-encoded"),
            ("/o=ExchangeLabs/ou=x/cn=Recipients/cn=ann", "is not a mail address"),
            ("mailto:ann@contoso.com", "begins with 'mailto:'"),
            ("SMTP:ann@contoso.com", "begins with 'SMTP:'"),
            ("sip:ann@contoso.com", "begins with 'sip:'"),
            ("'ann@contoso.com'", "quotation marks"),
            ("\"ann@contoso.com\"", "quotation marks"),
            ("'ann@contoso.com", "quotation marks"),
            ("ann@contoso.com'", "quotation marks"),
            ("<ann@contoso.com>", "angle brackets"),
            ("Ann <ann@contoso.com>", "angle brackets"),
            ("\"Lee, Ann\" <ann@contoso.com>", "angle brackets"),
            ("ann@contoso.com,bob@contoso.com", "contains ','"),
            ("ann@contoso.com; bob@contoso.com", "contains ';'"),
            ("ann@contoso.com;", "ends in ';'"),
            ("ann@contoso,com", "contains ','"),
            ("ann@contoso.com (Ann)", "parentheses"),
            ("ann lee@contoso.com", "contains a space"),
            ("ann@contoso.com.", "a dot at the end of the part after the '@'"),
            ("ann@.contoso.com", "a dot at the beginning of the part after the '@'"),
            (".ann@contoso.com", "a dot at the beginning of the part before the '@'"),
            ("ann.@contoso.com", "a dot at the end of the part before the '@'"),
            ("ann@contoso..com", "two dots in a row after"),
            ("ann..lee@contoso.com", "two dots in a row before"),
            ("@contoso.com", "nothing before"),
            ("ann@", "nothing after"),
            ("ann@@contoso.com", "more than one '@'"),
            ("ann@x@contoso.com", "more than one '@'"),
            ("ann[1]@contoso.com", "has '[' before the '@'"),
            ("ann\\x@contoso.com", "before the '@'"),
            ("ann@contoso", "which has no dot"),
            ("ann@my_domain.com", "has '_' in its domain"),
            ("ann@contoso.com/calendar", "has '/' in its domain"),
            ("ann@contoso.com:25", "has ':' in its domain"),
            ("ann@-contoso.com", "hyphen"),
            ("ann@192.0.2.1", "ends in digits"),
            ("ann\u{200b}@contoso.com", "U+200B"),
            ("\u{feff}ann@contoso.com", "U+FEFF"),
            ("ann@contoso.com\u{a0}", "U+00A0"),
            ("\u{202a}ann@contoso.com\u{202c}", "U+202A"),
            ("ann\u{ff20}contoso.com", "U+FF20, which is not a plain @"),
            ("o\u{2019}brien@contoso.com", "U+2019, which is not a plain '"),
            ("\u{201c}ann@contoso.com\u{201d}", "U+201C"),
            ("ann@c\u{43e}ntoso.com", "U+043E, a Cyrillic letter"),
            ("ann@contoso\u{3002}com", "U+3002, which is not a plain ."),
            ("ann\t@contoso.com", "U+0009, a tab"),
        ] {
            let fault = fault(address).unwrap_or_default();
            assert!(fault.contains(part), "{address}: {fault}");
        }
        assert!(fault(&format!("{}@contoso.com", "a".repeat(65))).is_some_and(|fault| fault.contains("64 bytes")));
        assert!(fault(&format!("a@{}.com", "c".repeat(64))).is_some_and(|fault| fault.contains("too long")));
    }

    #[test]
    fn a_mailbox_may_be_an_id_or_a_user_name_but_not_in_disguise() {
        let id = "7d9f6d5e-0000-4000-8000-000000000000";
        for text in [id, "ann@contoso.com", "ann@contoso", "o'brien@contoso.com", "a;b", "''", "(x)", "a@b:80"] {
            assert_eq!(mailbox_fault(text), None, "{text}");
        }
        let quoted = format!("'{id}'");
        for text in
            [quoted.as_str(), "smtp:ann@contoso.com", "<ann@contoso.com>", "\u{200b}a", "a b", "ann@contoso.com;"]
        {
            assert!(mailbox_fault(text).is_some(), "{text}");
        }
    }
}
