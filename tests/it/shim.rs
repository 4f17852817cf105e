//! What is put between the program and the kernel by LD_PRELOAD: a disk. Built by the C compiler that
//! the program's SQLite needs too, once per test process. Knows nothing of queues or events.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The shim for disks, built.
pub fn disk() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("disk"))
}

fn build(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim").join(name).with_extension("c");
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
