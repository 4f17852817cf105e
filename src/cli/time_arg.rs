//! Times as an operator writes them: an age (`2h`, `30d`), or a time of day in UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use crate::job::parse_utc;

/// So long ago, or that time.
pub(super) fn past(text: &str) -> Result<DateTime<Utc>, String> {
    before(text, Utc::now())
}

fn before(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let time = match humantime::parse_duration(text) {
        Ok(age) => TimeDelta::from_std(age).ok().and_then(|age| now.checked_sub_signed(age)),
        Err(_) => time(text),
    };
    let time = time.ok_or("is neither an age, like 2h or 30d, nor a time in UTC, like \"2026-12-01 09:00\"")?;
    // The agent's times are text of four-digit years.
    if time > now || time < DateTime::UNIX_EPOCH {
        return Err("does not lie in the past".into());
    }
    Ok(time)
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let naive = || {
        let text = text.replace('T', " ");
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
        formats.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
    };
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    parse_utc(text).or_else(|| naive().or_else(day).map(|time| time.and_utc()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ages_and_times_are_understood_and_nothing_else() {
        let now: DateTime<Utc> = "2026-11-25T12:00:00Z".parse().unwrap();
        for (text, time) in [
            ("2h", "2026-11-25T10:00:00Z"),
            ("30d", "2026-10-26T12:00:00Z"),
            ("0s", "2026-11-25T12:00:00Z"),
            ("2026-11-25T10:00:00+01:00", "2026-11-25T09:00:00Z"),
            ("2026-11-25 10:00", "2026-11-25T10:00:00Z"),
            ("2026-11-25T10:00:30", "2026-11-25T10:00:30Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
        ] {
            assert_eq!(before(text, now), Ok(time.parse().unwrap()), "{text}");
        }
        for text in
            ["", "soon", "2026-02-30", "2026-11-25 12:01", "1000y", "99999999999999999999d", "-1h", "0000-01-01"]
        {
            before(text, now).unwrap_err();
        }
    }
}
