//! `Retry-After`: whole seconds, decimal seconds as in Microsoft's own sample, or an HTTP date (graph-facts 4.2).

use std::time::{Duration, SystemTime};

/// The wait the header asks for, none if it cannot be read. `date` is the answer's own `Date` header and stands in
/// for a clock: an HTTP date means something on the clock of the server that wrote it.
pub fn parse(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let from = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    // HTTP dates have whole seconds: the true moment of the answer may be nearly one later than its Date says.
    Some(until.duration_since(from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_three_forms_are_read() {
        let now = httpdate::parse_http_date("Tue, 01 Dec 2026 09:00:00 GMT").unwrap();
        for (value, wait) in [
            ("5", Some(5_000)),
            (" 120 ", Some(120_000)),
            ("2.128", Some(2_128)),
            ("0", Some(0)),
            ("Tue, 01 Dec 2026 09:00:30 GMT", Some(30_000)),
            ("Tue, 01 Dec 2026 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(parse(value, None, now), wait.map(Duration::from_millis), "{value}");
        }
    }

    #[test]
    fn a_date_is_measured_on_the_servers_clock() {
        let wrong_by_an_hour = httpdate::parse_http_date("Tue, 01 Dec 2026 10:00:00 GMT").unwrap();
        let wait = parse("Tue, 01 Dec 2026 09:00:30 GMT", Some("Tue, 01 Dec 2026 09:00:00 GMT"), wrong_by_an_hour);
        assert_eq!(wait, Some(Duration::from_secs(30)));
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_a_panic_and_no_date_a_wait_before_it(
            value in "\\PC{0,40}|[0-9eE.+-]{1,30}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT",
            date in "\\PC{0,20}|Tue, 01 Dec 2026 [01][0-9]:00:00 GMT",
            since_1970 in 0u64..(1 << 40),
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970);
            let _ = parse(&value, Some(&date), now);
            let _ = parse(&date, Some(&value), now);
            let seconds = parse(&value, None, now);
            if let Ok(number) = value.trim().parse::<f64>() {
                assert_eq!(seconds.is_some(), (0.0..1.8e19).contains(&number), "{value}");
            }
        }
    }
}
