//! Child processes and what the kernel knows of them. Killed when dropped.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Longest wait for anything; reached only when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Process(Child);

/// CPU time of each thread of a process, in nanoseconds. The scheduler's own account: the one in `/proc/PID/stat`
/// counts in hundredths of a second, which is all an idle agent may use in ten.
pub struct CpuTime(BTreeMap<String, u64>);

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub peak: f64,
    pub now: f64,
}

/// The measured binary, with nothing of the shell's environment.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_event-sender"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Process {
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn()?))
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub fn cpu(&self) -> Result<CpuTime> {
        CpuTime::of(&self.0.id().to_string())
    }

    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let mebibytes = |name: &str| -> Result<f64> {
            let value =
                status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no memory in /proc/PID/status")?;
            Ok(value.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok(Memory { peak: mebibytes("VmHWM")?, now: mebibytes("VmRSS")? })
    }

    /// kill -9.
    pub fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// TERM, and its end.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.end().await
    }

    pub fn signal(&self, name: &str) -> Result<()> {
        Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status()?;
        Ok(())
    }

    /// Waits for the end.
    pub async fn end(&mut self) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if begin.elapsed() > PATIENCE {
                return Err("a process does not end".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl CpuTime {
    /// Of a process by its id, or of `self`.
    pub fn of(process: &str) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?;
            // A thread may end while one looks.
            let Ok(account) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let on_cpu = account.split_whitespace().next().ok_or("no time in schedstat")?.parse()?;
            threads.insert(thread.file_name().to_string_lossy().into_owned(), on_cpu);
        }
        Ok(Self(threads))
    }

    /// Seconds used since. What a thread used that has ended meanwhile is not known; the agent's threads stay.
    pub fn since(&self, earlier: &Self) -> f64 {
        let used = |(thread, now): (&String, &u64)| now - earlier.0.get(thread).copied().unwrap_or_default().min(*now);
        self.0.iter().map(used).sum::<u64>() as f64 / 1e9
    }
}
