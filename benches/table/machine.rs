//! The machine the figures come from: without it they say nothing.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::statistics::{median, percentile};

/// Synced writes made to learn how quick the disk is.
const WRITES: usize = 200;
/// A page of SQLite.
const PAGE: [u8; 4096] = [0; 4096];

/// What a figure depends on beside the program.
#[derive(Debug, Serialize)]
pub struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    memory_mib: u64,
    /// One-minute load before the first measurement: whether the machine had other things to do.
    load: String,
    /// A synced write of one page, in the queue's directory: the price of every commit.
    sync_p50_ms: f64,
    sync_p99_ms: f64,
}

/// Asks /proc and the disk.
pub fn describe(dir: &Path) -> Result<Machine> {
    let first_word = |path: &str| -> Result<String> {
        Ok(fs::read_to_string(path)?.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let synced = synced_writes(dir)?;
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        cpu: field("/proc/cpuinfo", "model name")?,
        kernel: first_word("/proc/sys/kernel/osrelease")?,
        memory_mib: field("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse::<u64>()? / 1024,
        load: first_word("/proc/loadavg")?,
        sync_p50_ms: median(&synced),
        sync_p99_ms: percentile(&synced, 0.99),
    })
}

/// The value of the first line with this name.
fn field(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find(|line| line.starts_with(name));
    Ok(line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default())
}

/// How long each took, in milliseconds.
fn synced_writes(dir: &Path) -> Result<Vec<f64>> {
    let path = dir.join("table-synced-writes");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut took = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begin = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        took.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    fs::remove_file(path)?;
    Ok(took)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores ({}), Linux {}, {} MiB, load {} at the start, synced write p50 {:.2} ms, p99 {:.2} ms",
            self.cores, self.cpu, self.kernel, self.memory_mib, self.load, self.sync_p50_ms, self.sync_p99_ms
        )
    }
}
