//! How long a server asks to be left alone: `Retry-After` in whole seconds, decimal seconds as in Microsoft's own sample, or
//! as an HTTP date (graph-facts 4.2), and the milliseconds of `retry-after-ms` and `x-ms-retry-after-ms`.
//!
//! Of several, the longest that can be read counts. None is believed beyond [`LONGEST`]: one absurd header must not park a
//! mailbox for years. What was asked for is kept, so that it can be said.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use reqwest::header::HeaderMap;

/// The longest wait that is obeyed to the letter. Microsoft's own are seconds to minutes.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The headers that name a wait, with the part of a second they count in.
const HEADERS: [(&str, f64); 3] = [("retry-after", 1.0), ("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0)];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// At most [`LONGEST`].
    pub wait: Duration,
    /// Until when the server asked to wait, if that is longer.
    pub asked: Option<Asked>,
}

/// A wait too long to be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Until a moment the calendar has.
    Until(DateTime<Utc>),
    /// Beyond it.
    ForEver,
}

impl RetryAfter {
    /// What an answer's headers ask for, none if nothing in them can be read. The answer's own `Date` stands in for a clock:
    /// an HTTP date means something on the clock of the server that wrote it.
    pub fn read(headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        let named = HEADERS.iter().flat_map(|(name, unit)| {
            let values = headers.get_all(*name).iter().filter_map(|value| value.to_str().ok());
            values.filter_map(|value| parse(value, *unit, date, now))
        });
        named.max_by(|one, other| (one.wait, &one.asked).cmp(&(other.wait, &other.asked)))
    }

    /// Said beside what else there is to say, where less than what was asked for is obeyed. `who` asked.
    pub fn sentence(&self, who: &str, obeyed: Duration) -> Option<String> {
        let hours = obeyed.as_secs() / 3600;
        Some(match self.asked.as_ref()? {
            Asked::Until(until) => {
                let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
                format!("{who} asked to wait until {until}; capped at {hours} h.")
            }
            Asked::ForEver => format!("{who} asked to wait beyond the last date there is; capped at {hours} h."),
        })
    }

    /// For a wait of the given length, from `from` on.
    fn of(wait: Duration, from: SystemTime) -> Self {
        if wait <= LONGEST {
            return Self { wait, asked: None };
        }
        let until = from.checked_add(wait).and_then(moment);
        Self { wait: LONGEST, asked: Some(until.map_or(Asked::ForEver, Asked::Until)) }
    }
}

/// A moment in the years that can be written with four digits.
fn moment(time: SystemTime) -> Option<DateTime<Utc>> {
    let since = i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok()?;
    DateTime::from_timestamp(since, 0).filter(|moment| moment.year() <= 9999)
}

/// One header's value. A proxy may have joined several with commas, which a date has, too.
fn parse(value: &str, unit: f64, date: Option<&str>, now: SystemTime) -> Option<RetryAfter> {
    let one = |value: &str| number(value).map(|number| RetryAfter::of(seconds(number / unit), now));
    if let Ok(until) = httpdate::parse_http_date(value.trim()) {
        let from = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
        // HTTP dates have whole seconds: the true moment of the answer may be nearly one later than its Date says.
        return Some(RetryAfter::of(until.duration_since(from).unwrap_or_default(), from));
    }
    value.split(',').filter_map(one).max_by(|one, other| (one.wait, &one.asked).cmp(&(other.wait, &other.asked)))
}

/// A number of seconds, or of parts of them, in digits: neither negative nor `NaN` nor `inf` by name.
fn number(value: &str) -> Option<f64> {
    let value = value.trim();
    if !value.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    value.parse().ok()
}

/// Longer than any clock counts is as long as it counts.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn noon() -> SystemTime {
        httpdate::parse_http_date("Tue, 01 Dec 2026 12:00:00 GMT").unwrap()
    }

    fn read(headers: &[(&'static str, &str)]) -> Option<RetryAfter> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        RetryAfter::read(&map, noon())
    }

    fn wait(headers: &[(&'static str, &str)]) -> Option<u128> {
        read(headers).map(|named| named.wait.as_millis())
    }

    #[test]
    fn all_three_forms_are_read() {
        for (value, expected) in [
            ("5", Some(5_000)),
            (" 120 ", Some(120_000)),
            ("2.128", Some(2_128)),
            ("0", Some(0)),
            ("Tue, 01 Dec 2026 12:00:30 GMT", Some(30_000)),
            ("Tue, 01 Dec 2026 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("infinity", None),
            ("", None),
        ] {
            assert_eq!(wait(&[("retry-after", value)]), expected, "{value}");
        }
    }

    #[test]
    fn a_date_is_measured_on_the_servers_clock() {
        let headers = [("retry-after", "Tue, 01 Dec 2026 09:00:30 GMT"), ("date", "Tue, 01 Dec 2026 09:00:00 GMT")];
        assert_eq!(wait(&headers), Some(30_000));
    }

    #[test]
    fn of_several_the_longest_that_can_be_read_counts_in_whatever_header_it_stands() {
        assert_eq!(wait(&[("retry-after", "1"), ("retry-after", "6")]), Some(6_000));
        assert_eq!(wait(&[("retry-after", "6"), ("retry-after", "soon"), ("retry-after", "1")]), Some(6_000));
        assert_eq!(wait(&[("retry-after", "1, 6")]), Some(6_000), "as a proxy joins them");
        assert_eq!(wait(&[("retry-after-ms", "1500")]), Some(1_500));
        assert_eq!(wait(&[("retry-after", "1"), ("x-ms-retry-after-ms", "2500")]), Some(2_500));
        assert_eq!(wait(&[("retry-after", "3"), ("retry-after-ms", "2500")]), Some(3_000));
        assert_eq!(wait(&[("date", "Tue, 01 Dec 2026 09:00:00 GMT")]), None);
    }

    #[test]
    fn nothing_is_obeyed_longer_than_a_day_and_what_was_asked_is_said() {
        let day = LONGEST.as_millis();
        let huge = "9".repeat(400);
        for value in [
            "86401",
            "1e9",
            "10000000000000000000",
            "100000000000000000000",
            "1e400",
            &huge,
            "Wed, 21 Oct 2099 07:28:00 GMT",
        ] {
            let named = read(&[("retry-after", value)]).unwrap();
            assert_eq!(named.wait.as_millis(), day, "{value}");
            let sentence = named.sentence("Microsoft", LONGEST).unwrap();
            assert!(sentence.starts_with("Microsoft asked to wait ") && sentence.ends_with("; capped at 24 h."));
        }
        let until = read(&[("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT")]).unwrap().sentence("Microsoft", LONGEST);
        assert_eq!(until.unwrap(), "Microsoft asked to wait until 2099-10-21T07:28:00Z; capped at 24 h.");
        let exact = read(&[("retry-after", "86400")]).unwrap();
        assert_eq!((exact.wait.as_millis(), exact.asked), (day, None));
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_a_panic_nor_a_wait_of_more_than_a_day(
            value in "[ -~]{0,40}|[0-9eE.+-]{1,30}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT",
            date in "[ -~]{0,20}|Tue, 01 Dec 2026 [01][0-9]:00:00 GMT",
            since_1970 in 0u64..(1 << 40),
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970);
            for (value, date) in [(&value, &date), (&date, &value)] {
                let mut headers = HeaderMap::new();
                headers.append("retry-after", value.parse().unwrap());
                headers.append("date", date.parse().unwrap());
                if let Some(named) = RetryAfter::read(&headers, now) {
                    assert!(named.wait <= LONGEST);
                    assert_eq!(named.asked.is_some(), named.sentence("It", LONGEST).is_some());
                }
            }
        }
    }
}
