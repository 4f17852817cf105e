//! What is put between the program and the kernel by LD_PRELOAD: a disk and a wall clock. Built by the C compiler that
//! the program's SQLite needs too, once per test process. Knows nothing of queues or events.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::bed::Bed;

/// What the disk does; the numbers are those of `shim/disk.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Well = 0,
    /// ENOSPC.
    Full = 1,
    /// EROFS.
    ReadOnly = 2,
    /// EIO from every sync.
    NoSync = 3,
}

/// A number that the shim in another process reads at every call.
pub struct Dial(File);

impl Dial {
    fn new(path: &Path) -> Self {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
        let dial = Self(file);
        dial.turn(0);
        dial
    }

    fn turn(&self, number: i64) {
        self.0.write_all_at(&number.to_ne_bytes(), 0).unwrap();
    }
}

/// The disk under the queue at `queue`, for every process of the bed started from now on.
pub struct DiskDial(Dial);

impl DiskDial {
    pub fn before(bed: &mut Bed, queue: &Path) -> Self {
        let state = bed.home().join("disk-state");
        let dial = Dial::new(&state);
        bed.env("LD_PRELOAD", disk().to_str().unwrap());
        bed.env("DISK_SHIM_QUEUE", queue.canonicalize().unwrap().to_str().unwrap());
        bed.env("DISK_SHIM_STATE", state.to_str().unwrap());
        Self(dial)
    }

    pub fn is(&self, disk: Disk) {
        self.0.turn(disk as i64);
    }
}

/// The wall clock of every process of the bed started from now on.
pub struct ClockDial(Dial);

impl ClockDial {
    pub fn before(bed: &mut Bed) -> Self {
        Self::named(bed, "clock-state")
    }

    /// One of several of a bed.
    pub fn named(bed: &mut Bed, name: &str) -> Self {
        let state = bed.home().join(name);
        let dial = Dial::new(&state);
        bed.env("LD_PRELOAD", clock().to_str().unwrap());
        bed.env("CLOCK_SHIM_STATE", state.to_str().unwrap());
        Self(dial)
    }

    /// Sets it this far ahead of the true time, or behind.
    pub fn is_off_by_hours(&self, hours: i64) {
        self.0.turn(hours * 3600);
    }
}

/// The shim for disks, built.
pub fn disk() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("disk"))
}

/// The shim for clocks, built.
pub fn clock() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("clock"))
}

fn build(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/shim").join(name).with_extension("c");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
    // Another test process may be loading the file of this name: it keeps its own, this one takes the name.
    let fresh = built.with_extension(format!("{}.so", std::process::id()));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let ran = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&fresh, &source])
        .arg("-lpthread")
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    std::fs::rename(&fresh, &built).unwrap();
    built
}
