//! Time zones by name: IANA from chrono-tz, Windows through Unicode's CLDR table. A name known to neither is kept
//! and passed on, because the mailbox server has the last word on the zones it knows.

use chrono_tz::Tz;
use icu_time::zone::{WindowsParser, iana::IanaParserExtended};

/// A zone as the row names it, and its rules if the program knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The name, sent to Graph as given.
    pub name: String,
    /// Its rules; none for a name only Exchange may know.
    pub rules: Option<Tz>,
}

impl Zone {
    /// Looks `name` up, IANA names in any case, Windows names as Windows spells them.
    pub fn named(name: &str) -> Self {
        let rules = Tz::from_str_insensitive(name).ok().or_else(|| windows_zone(name));
        Self { name: name.to_owned(), rules }
    }

    /// UTC.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: Some(Tz::UTC) }
    }
}

/// The zone Windows calls `name`, by the CLDR's choice for the whole world ("001").
fn windows_zone(name: &str) -> Option<Tz> {
    let id = WindowsParser::new().parse(name, None)?;
    let iana = IanaParserExtended::new().iter().find(|zone| zone.time_zone == id)?;
    iana.canonical.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn iana_and_windows_names_are_known() {
        for (name, rules) in [
            ("Europe/Berlin", Tz::Europe__Berlin),
            ("europe/berlin", Tz::Europe__Berlin),
            ("W. Europe Standard Time", Tz::Europe__Berlin),
            ("Pacific Standard Time", Tz::America__Los_Angeles),
            ("UTC", Tz::UTC),
        ] {
            let zone = Zone::named(name);
            assert_eq!(zone.name, name);
            assert_eq!(zone.rules.unwrap().name(), rules.name(), "{name}");
        }
    }

    #[test]
    fn every_windows_zone_in_common_use_has_rules() {
        for name in [
            "GMT Standard Time",
            "Romance Standard Time",
            "Central Europe Standard Time",
            "FLE Standard Time",
            "Russian Standard Time",
            "India Standard Time",
            "China Standard Time",
            "Tokyo Standard Time",
            "AUS Eastern Standard Time",
            "New Zealand Standard Time",
            "Eastern Standard Time",
            "Central Standard Time",
            "Mountain Standard Time",
            "E. South America Standard Time",
            "UTC-11",
            "Dateline Standard Time",
            "Nepal Standard Time",
            "Newfoundland Standard Time",
        ] {
            assert!(Zone::named(name).rules.is_some(), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_kept_without_rules() {
        assert_eq!(Zone::named("Middle-Earth/Shire"), Zone { name: "Middle-Earth/Shire".into(), rules: None });
    }
}
