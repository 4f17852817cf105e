//! The clock, compared with what the servers' answers say. Certificates and tokens are judged by it.

use std::time::{Duration, SystemTime};

use super::findings::Finding;

const CHECK: &str = "clock";
const TOLERABLE: Duration = Duration::from_secs(30);
/// From here on tokens are refused (AADSTS700024, 401): servers grant five minutes.
const TOO_FAR: Duration = Duration::from_secs(5 * 60);

/// What a server's `Date` said, and what time it was here before and after.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) host: String,
    pub(super) date: SystemTime,
    pub(super) before: SystemTime,
    pub(super) after: SystemTime,
}

impl Reading {
    /// How far this machine is off: whether ahead, and by how much at least. The `Date` is cut to the second and was
    /// written some time between request and answer.
    fn off(&self) -> (bool, Duration) {
        let behind = |a: SystemTime, b: SystemTime| b.duration_since(a).unwrap_or_default();
        let ahead = behind(self.date + Duration::from_secs(1), self.before);
        let late = behind(self.after, self.date);
        if ahead >= late { (true, ahead) } else { (false, late) }
    }
}

/// Judges by the server that is farthest off.
pub(super) fn finding(readings: &[Reading]) -> Finding {
    let Some(worst) = readings.iter().max_by_key(|reading| reading.off().1) else {
        return Finding::not_checked(CHECK, "no server gave its time");
    };
    let (ahead, off) = worst.off();
    let seconds = Duration::from_secs(off.as_secs());
    if off < TOLERABLE {
        let text = match seconds.as_secs() {
            0 => "matches the servers' time".to_owned(),
            _ => format!("{} off the servers' time, which is near enough", humantime::format_duration(seconds)),
        };
        return Finding::pass(CHECK, text);
    }
    let side = if ahead { "ahead of" } else { "behind" };
    let text = format!("this machine's clock is {} {side} that of {}", humantime::format_duration(seconds), worst.host);
    let cure = "switch time synchronisation on ('timedatectl set-ntp true'), or set the clock";
    match off < TOO_FAR {
        true => Finding::warn(CHECK, text).cure(cure),
        false => Finding::fail(CHECK, format!("{text}: tokens and certificates are refused")).cure(cure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Grade;

    /// A server whose clock is this many seconds from ours, asked within a second.
    fn reading(host: &str, server: i64) -> Reading {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_608_000);
        let shift = Duration::from_secs(server.unsigned_abs());
        let date = if server < 0 { noon - shift } else { noon + shift };
        let after = noon + Duration::from_millis(900);
        Reading { host: host.into(), date, before: noon + Duration::from_millis(100), after }
    }

    #[test]
    fn the_clock_is_judged_by_the_server_that_is_farthest_off() {
        for (servers, grade) in [
            ([0, 0], Grade::Pass),
            ([29, -29], Grade::Pass),
            ([0, 45], Grade::Warn),
            ([-45, 0], Grade::Warn),
            ([299, 0], Grade::Warn),
            ([302, 0], Grade::Fail),
            ([0, -7200], Grade::Fail),
        ] {
            let readings = servers.map(|server| reading("x.example", server));
            assert_eq!(finding(&readings).grade, grade, "{servers:?}");
        }
        assert_eq!(finding(&[]).grade, Grade::Warn);
    }

    #[test]
    fn the_direction_is_told_and_the_time_of_the_answer_is_no_error_of_the_clock() {
        assert!(reading("a", -60).off().0, "the server is behind, so this machine is ahead");
        assert!(!reading("a", 60).off().0);
        let slow = Reading { after: reading("a", 0).before + Duration::from_secs(50), ..reading("a", 40) };
        assert_eq!(slow.off().1, Duration::ZERO);
    }
}
