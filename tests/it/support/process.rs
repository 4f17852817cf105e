//! The real binary as a child process: its lines as they come, its end, signals to it. Killed when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything. Reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks.
pub const LOOK: Duration = Duration::from_millis(10);

/// What a process wrote so far.
#[derive(Debug, Default)]
pub struct Output {
    pub stdout: Mutex<String>,
    pub stderr: Mutex<String>,
}

impl Output {
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout.lock().unwrap(), self.stderr.lock().unwrap())
    }
}

pub struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    pub output: Arc<Output>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails the test unless the command ended with this code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// The binary with an environment of its own: nothing of the tester's shell reaches it.
pub fn binary(home: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_event-sender"));
    command.env_clear().current_dir(home).envs(environment.iter().map(|(name, value)| (name, value)));
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

impl Process {
    pub fn start(mut command: Command, stdin: Option<&str>) -> Self {
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let output = Arc::new(Output::default());
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (for_out, for_err) = (output.clone(), output.clone());
        let mut readers = vec![
            std::thread::spawn(move || read(out, |line| for_out.stdout.lock().unwrap().push_str(line))),
            std::thread::spawn(move || read(err, |line| for_err.stderr.lock().unwrap().push_str(line))),
        ];
        if let Some(text) = stdin {
            let (mut pipe, text) = (child.stdin.take().unwrap(), text.to_owned());
            // The command may refuse before it has read everything.
            readers.push(std::thread::spawn(move || drop(pipe.write_all(text.as_bytes()))));
        }
        Self { child, readers, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the process is there to be signalled");
    }

    /// The status, once it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end.
    pub async fn end(&mut self) -> Ran {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the process does not end; it wrote:\n{}", self.output.all());
            tokio::time::sleep(LOOK).await;
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let stdout = self.output.stdout.lock().unwrap().clone();
        let stderr = self.output.stderr.lock().unwrap().clone();
        Ran { code: status.code(), stdout, stderr }
    }

    /// TERM, and its end.
    pub async fn stop(mut self) -> Ran {
        self.signal("TERM");
        self.end().await
    }

    /// kill -9, and its end.
    pub async fn kill(mut self) -> Ran {
        self.kill_at_once();
        self.end().await
    }

    /// kill -9 without a moment lost; the end must still be waited for.
    pub fn kill_at_once(&mut self) {
        self.child.kill().expect("the process is there to be killed");
    }

    /// The log so far. Every complete line must be a JSON object.
    pub fn log(&self) -> Vec<Value> {
        let text = self.output.stdout.lock().unwrap().clone();
        let object = |line: &str| -> Value {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in log line: {line}"));
            assert!(value.is_object(), "{line}");
            value
        };
        text.lines().map(object).collect()
    }

    /// The log lines with this message.
    pub fn said(&self, message: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["message"] == message).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whole lines, so that nobody sees half of one. Bytes that are not UTF-8 are shown as such.
fn read(pipe: impl Read, take: impl Fn(&str)) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
        take(&String::from_utf8_lossy(&line));
        line.clear();
    }
}
