//! The far side and the agent as child processes. The far side is the sandbox, with its control API, or the bench's own that
//! costs less; the agent is used as a stranger would: the settings are those the sandbox prints, the log goes to a file.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use event_sender::sandbox::{CLIENT_ID, CLIENT_SECRET, TENANT_ID};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::process::{CpuTime, Memory, PATIENCE, Process, binary};
use crate::{Bench, Result};

/// `delivery.max_in_flight` unless set otherwise.
pub const IN_FLIGHT: usize = 64;
/// Between two looks at a process that is busy: rare enough not to be a load of its own.
const LOOK: Duration = Duration::from_millis(25);

/// Microsoft's side, in a process of its own.
pub struct FarSide {
    process: Process,
    url: String,
    settings: String,
    http: reqwest::Client,
}

/// A line of the sandbox's journal.
#[derive(Clone, Debug, Deserialize)]
pub struct Arrival {
    pub sequence: u64,
    pub at_us: i64,
    pub transaction_id: Option<String>,
    pub mailbox: Option<String>,
}

#[derive(Deserialize)]
struct Counters {
    events: u64,
    #[serde(default)]
    repeated: u64,
    #[serde(default)]
    changed: u64,
    #[serde(default)]
    ended: u64,
    #[serde(default)]
    refused: u64,
}

impl FarSide {
    /// The bench's own (`far_side`).
    pub fn light(bench: &Bench) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = Process::start(command.arg("far-side").stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let stdout = process.child().stdout.take().ok_or("the far side has no output")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        let url = url.trim().to_owned();
        let settings = format!(
            "[auth]\ninstance = \"{url}\"\ntenant_id = \"{TENANT_ID}\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret = \"{CLIENT_SECRET}\"\n[graph]\nendpoint = \"{url}\"\n"
        );
        Ok(Self { process, url, settings, http: bench.http.clone() })
    }

    /// The sandbox. Started anew for each measurement, so that none finds the leavings of another. `options` as its API takes
    /// them.
    pub async fn sandbox(bench: &Bench, options: Value) -> Result<Self> {
        let mut command = binary();
        let mut process = Process::start(command.args(["sandbox", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()))?;
        let stdout = process.child().stdout.take().ok_or("the sandbox has no output")?;
        let mut settings = String::new();
        let mut lines = BufReader::new(stdout);
        while !settings.contains("\nmailbox = ") {
            if lines.read_line(&mut settings)? == 0 {
                return Err("the sandbox did not start".into());
            }
        }
        let endpoint = settings.lines().find_map(|line| line.strip_prefix("endpoint = "));
        let url = endpoint.ok_or("the sandbox names no endpoint")?.trim_matches('"').to_owned();
        let sandbox = Self { process, url, settings, http: bench.http.clone() };
        sandbox.tell("options", &options).await?;
        Ok(sandbox)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn cpu(&self) -> Result<CpuTime> {
        self.process.cpu()
    }

    /// POST below /sandbox.
    pub async fn tell(&self, path: &str, body: &Value) -> Result<()> {
        let answer = self.http.post(format!("{}/sandbox/{path}", self.url)).body(body.to_string()).send().await?;
        if !answer.status().is_success() {
            return Err(format!("the sandbox refuses {path}: {}", answer.text().await?).into());
        }
        Ok(())
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.http.get(format!("{}/sandbox/{path}", self.url)).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// What was done in all mailboxes: events created, or else changed, or else ended.
    pub async fn events(&self) -> Result<u64> {
        let Counters { events, repeated, changed, ended, refused } = self.ask("counters").await?;
        if repeated + refused > 0 {
            return Err(format!("{repeated} creates came twice, and {refused} requests were refused").into());
        }
        Ok(events.max(changed).max(ended))
    }

    /// Requests of this kind that came after that one.
    pub async fn arrivals(&self, kind: &str, after: u64) -> Result<Vec<Arrival>> {
        self.ask(&format!("requests?kind={kind}&after={after}")).await
    }

    /// Waits until there are so many events.
    pub async fn until_events(&self, count: usize) -> Result<()> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let events = self.events().await?;
            if events >= count as u64 {
                return Ok(());
            }
            if events > last {
                (last, moved) = (events, Instant::now());
            }
            if moved.elapsed() > PATIENCE {
                return Err(format!("events are missing: {events} of {count} came").into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Where an agent works.
pub trait Workplace {
    /// Its settings and its log are put here.
    fn home(&self) -> &Path;
    /// What agent.toml says of its queue, ready for more of `[queue]`.
    fn settings(&self) -> String;
}

/// The daemon on a queue.
pub struct Agent {
    process: Process,
    log: PathBuf,
    at_start: CpuTime,
}

impl Agent {
    /// Starts it and waits until it says so. `settings` is more of agent.toml.
    pub async fn start(workplace: &impl Workplace, sandbox: &FarSide, settings: &str) -> Result<Self> {
        let mut agent = Self::spawn(workplace, sandbox, settings)?;
        let begin = Instant::now();
        while !fs::read_to_string(&agent.log)?.contains("agent started") {
            if begin.elapsed() > PATIENCE || agent.process.child().try_wait()?.is_some() {
                return Err(format!("the agent does not start: {}", fs::read_to_string(&agent.log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        agent.at_start = agent.process.cpu()?;
        Ok(agent)
    }

    /// Starts it and does not wait.
    pub fn spawn(workplace: &impl Workplace, sandbox: &FarSide, settings: &str) -> Result<Self> {
        let home = workplace.home();
        let (config, log) = (home.join("agent.toml"), home.join("agent.log"));
        fs::write(&config, format!("{}\n{}{settings}", sandbox.settings, workplace.settings()))?;
        let file = File::create(&log)?;
        let mut command = binary();
        let process =
            Process::start(command.arg("--config").arg(config).arg("run").stdout(file.try_clone()?).stderr(file))?;
        let at_start = process.cpu()?;
        Ok(Self { process, log, at_start })
    }

    /// CPU seconds since its start was done.
    pub fn cpu_seconds(&self) -> Result<f64> {
        Ok(self.process.cpu()?.since(&self.at_start))
    }

    pub fn memory(&self) -> Result<Memory> {
        self.process.memory()
    }

    /// STOP: it does nothing from now on.
    pub fn freeze(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// kill -9.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// TERM; what is under way is finished and recorded.
    pub async fn stop(self) -> Result<()> {
        let status = self.process.stop().await?;
        if !status.success() {
            return Err(format!("the agent ended with {status}: {}", tail(&self.log)?).into());
        }
        Ok(())
    }
}

/// The end of a log.
fn tail(log: &Path) -> Result<String> {
    let text = fs::read_to_string(log)?;
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    Ok(lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}
