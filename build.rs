//! Which sources the program is made of, for `--version`: the commit and its date, as git knows them. Without git, as from an
//! archive of the sources, a packager may say so in `EVENT_SENDER_COMMIT` and `SOURCE_DATE_EPOCH`; else it is unknown. No time of
//! the build is in it: the same sources make the same program.

use std::path::Path;
use std::process::Command;

const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=EVENT_SENDER_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // Moves with every commit and checkout.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = std::env::var("EVENT_SENDER_COMMIT").ok().or_else(|| own_git(&["rev-parse", "--short=12", "HEAD"]));
    let date = own_git(&["show", "--no-patch", "--format=%cd", "--date=format-local:%Y-%m-%d", "HEAD"]);
    let date = date.or_else(|| day_of(std::env::var("SOURCE_DATE_EPOCH").ok()?.trim().parse().ok()?));
    println!("cargo:rustc-env=EVENT_SENDER_COMMIT={}", commit.as_deref().unwrap_or(UNKNOWN));
    println!("cargo:rustc-env=EVENT_SENDER_DATE={}", date.as_deref().unwrap_or(UNKNOWN));
}

/// Of this package's own repository: an archive may lie in somebody else's.
fn own_git(arguments: &[&str]) -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let here = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let is_own = Path::new(&root).canonicalize().ok()? == Path::new(&here).canonicalize().ok()?;
    if is_own { git(arguments) } else { None }
}

fn git(arguments: &[&str]) -> Option<String> {
    let ran = Command::new("git").args(arguments).env("TZ", "UTC").output().ok()?;
    let said = String::from_utf8(ran.stdout).ok()?.trim().to_owned();
    (ran.status.success() && !said.is_empty()).then_some(said)
}

/// The day of a number of seconds since 1970, in the proleptic Gregorian calendar.
fn day_of(seconds: u64) -> Option<String> {
    let mut days = seconds / 86_400;
    for year in 1970..10_000 {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, length) in [31, 28 + u64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].iter().enumerate()
        {
            if days < *length {
                return Some(format!("{year}-{:02}-{:02}", month + 1, days + 1));
            }
            days -= length;
        }
    }
    None
}
