//! Time zones by name: IANA's, and Windows' through Unicode's CLDR table. A name known to neither is kept and passed on,
//! because the mailbox server has the last word on the zones it knows.

use icu_time::zone::{WindowsParser, iana::IanaParserExtended};

use super::Rules;

/// A zone as the row names it, and its rules if the program knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The name, sent to Graph as given.
    pub name: String,
    /// Its rules; none for a name only Exchange may know.
    pub rules: Option<Rules>,
}

impl Zone {
    /// Looks `name` up, IANA names in any case, Windows names as Windows spells them.
    pub fn named(name: &str) -> Self {
        let rules = Rules::of(name).or_else(|| Rules::of(windows_zone(name)?));
        Self { name: name.to_owned(), rules }
    }

    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: Some(Rules::utc()) }
    }
}

/// The zone Windows calls `name`, by the CLDR's choice for the whole world ("001").
fn windows_zone(name: &str) -> Option<&'static str> {
    let id = WindowsParser::new().parse(name, None)?;
    IanaParserExtended::new().iter().find(|zone| zone.time_zone == id).map(|zone| zone.canonical)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn iana_and_windows_names_are_known() {
        for (name, iana) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("Pacific Standard Time", "America/Los_Angeles"),
            ("British Columbia Standard Time", "America/Vancouver"),
            ("Morocco Standard Time", "Africa/Casablanca"),
            ("UTC", "UTC"),
        ] {
            let zone = Zone::named(name);
            assert_eq!(zone.name, name);
            assert_eq!(zone.rules, Some(Rules::of(iana).unwrap()), "{name}");
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
