//! A file system of any size, without one.

use super::*;
use crate::queue::Grade;

fn system(free: u64, files: u64, free_files: u64) -> StatVfs {
    let whatever = statvfs("/").unwrap_or_else(|error| panic!("{error}"));
    StatVfs {
        f_blocks: 1 << 40,
        f_bavail: free / 4096,
        f_frsize: 4096,
        f_files: files,
        f_favail: free_files,
        ..whatever
    }
}

fn grade(free: u64, size: u64) -> Option<Grade> {
    room(&system(free, 1_000_000, 900_000), size).map(|finding| finding.grade)
}

#[test]
fn room_is_measured_by_a_floor_and_by_the_size_of_the_queue() {
    assert_eq!(grade(0, 0), Some(Grade::Fail));
    assert_eq!(grade(15 << 20, 0), Some(Grade::Fail));
    assert_eq!(grade(17 << 20, 0), Some(Grade::Warn));
    assert_eq!(grade(255 << 20, 0), Some(Grade::Warn));
    assert_eq!(grade(257 << 20, 0), None);
    assert_eq!(grade(257 << 20, 10 << 30), Some(Grade::Warn), "a tenth of 10 GB is more");
    assert_eq!(grade(2 << 30, 10 << 30), None);
}

#[test]
fn a_file_system_that_counts_nothing_is_not_called_full() {
    assert!(room(&StatVfs { f_blocks: 0, ..system(0, 0, 0) }, 0).is_none());
}

#[test]
fn files_run_out_where_they_are_counted() {
    let plenty = 10 << 30;
    assert_eq!(room(&system(plenty, 1000, 0), 0).map(|finding| finding.grade), Some(Grade::Fail));
    assert_eq!(room(&system(plenty, 1000, 99), 0).map(|finding| finding.grade), Some(Grade::Warn));
    assert!(room(&system(plenty, 0, 0), 0).is_none(), "btrfs counts none");
}

#[test]
fn ids_are_a_matter_of_concern_only_near_their_end() {
    let grade = |last| ids(last).map(|finding| finding.grade);
    assert_eq!([0, 1_000_000_000_000_001, LARGEST_ID - FEW_IDS - 1].map(grade), [None; 3]);
    assert_eq!([LARGEST_ID - FEW_IDS, LARGEST_ID - 1].map(grade), [Some(Grade::Warn); 2]);
    assert_eq!([LARGEST_ID, i64::MAX].map(grade), [Some(Grade::Fail); 2]);
}
