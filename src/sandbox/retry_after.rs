//! The `Retry-After` header in its three forms (whole seconds, decimal seconds, HTTP date) and the wait each one means.
//! Text that is none of them is sent as it is and opens no window: a client has to survive that too.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// A header value and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RetryAfter {
    pub(super) header: String,
    pub(super) wait: Option<Duration>,
    /// The header names a moment: the wait shrinks while the answer is held back.
    pub(super) is_date: bool,
}

impl RetryAfter {
    /// Whole seconds, rounded up: a limit never names a moment that is too early.
    pub(super) fn seconds(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { header: seconds.to_string(), wait: Some(Duration::from_secs(seconds)), is_date: false }
    }

    /// A scripted value: `date:+5` is the HTTP date five seconds ahead, anything else is the header itself.
    pub(super) fn scripted(text: &str, now: DateTime<Utc>) -> Self {
        match text.strip_prefix("date:").map(str::parse::<i64>) {
            Some(Ok(seconds)) => Self::at(seconds, now),
            _ => Self {
                header: text.to_owned(),
                wait: text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()),
                is_date: false,
            },
        }
    }

    /// The date has whole seconds, so the wait it means is up to a second shorter than the one asked for.
    fn at(seconds: i64, now: DateTime<Utc>) -> Self {
        let ahead = TimeDelta::try_seconds(seconds).unwrap_or_default();
        let until = now.checked_add_signed(ahead).unwrap_or(now).trunc_subsecs(0);
        Self { header: until.format(HTTP_DATE).to_string(), wait: (until - now).to_std().ok(), is_date: true }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-12-01T12:00:00.250Z".parse().unwrap()
    }

    #[test]
    fn whole_and_decimal_seconds_are_waited_for_as_written() {
        let whole = RetryAfter::scripted("5", noon());
        let decimal = RetryAfter::scripted("2.128", noon());
        assert_eq!(whole.wait, Some(Duration::from_secs(5)));
        assert_eq!(decimal.wait, Some(Duration::from_millis(2128)));
        assert_eq!(decimal.header, "2.128");
    }

    #[test]
    fn a_date_lies_ahead_by_the_seconds_asked_for_less_the_fraction() {
        let date = RetryAfter::scripted("date:+5", noon());
        assert_eq!(date.header, "Tue, 01 Dec 2026 12:00:05 GMT");
        assert_eq!(date.wait, Some(Duration::from_millis(4750)));
    }

    #[test]
    fn nonsense_is_sent_as_it_is_and_means_no_wait() {
        let odd = RetryAfter::scripted("soon", noon());
        assert_eq!((odd.header.as_str(), odd.wait), ("soon", None));
        assert_eq!(RetryAfter::scripted("-3", noon()).wait, None);
        assert_eq!(RetryAfter::scripted("NaN", noon()).wait, None);
    }

    #[test]
    fn a_limit_rounds_its_wait_up() {
        assert_eq!(RetryAfter::seconds(Duration::from_millis(1200)).header, "2");
    }
}
