//! The sandbox as a process of its own, asked and told everything over HTTP. It outlives every agent that is killed and
//! shares no runtime with the test, so a busy test does not slow its answers down.

use event_sender::sandbox::{Counters, Fault, Mail, RequestKind, RequestRecord, StoredEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{LOOK, PATIENCE, Process, binary};

pub struct SandboxProcess {
    pub url: String,
    http: reqwest::Client,
    _process: Process,
    _home: TempDir,
}

impl SandboxProcess {
    /// Starts it with these options changed.
    pub async fn start(options: Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = binary(home.path(), &[]);
        command.args(["sandbox", "--listen", "127.0.0.1:0"]);
        let mut process = Process::start(command, None);
        let url = address(&mut process).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let sandbox = Self { url, http, _process: process, _home: home };
        sandbox.post("options", &options).await;
        sandbox
    }

    pub async fn events(&self) -> Vec<StoredEvent> {
        self.get("events").await
    }

    /// What attendees were mailed, in order.
    pub async fn mails(&self) -> Vec<Mail> {
        self.get("mails").await
    }

    /// The requests after this one, in the order they arrived.
    pub async fn requests(&self, after: u64) -> Vec<RequestRecord> {
        self.get(&format!("requests?after={after}")).await
    }

    /// The requests of this kind that are being answered: arrived, and not yet over.
    pub async fn open_requests(&self, kind: RequestKind, mailbox: Option<&str>) -> usize {
        let open = |record: &&RequestRecord| {
            record.kind == kind
                && record.duration_ms.is_none()
                && mailbox.is_none_or(|mailbox| record.mailbox.as_deref() == Some(mailbox))
        };
        self.requests(0).await.iter().filter(open).count()
    }

    pub async fn counters(&self) -> Counters {
        self.get("counters").await
    }

    pub async fn script(&self, faults: &[Fault]) {
        self.post("faults", &serde_json::to_value(faults).unwrap()).await;
    }

    pub async fn clear_faults(&self) {
        let cleared = self.http.delete(self.at("faults")).send().await.unwrap();
        assert!(cleared.status().is_success(), "{cleared:?}");
    }

    fn at(&self, path: &str) -> String {
        format!("{}/sandbox/{path}", self.url)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.http.get(self.at(path)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) {
        let answer = self.http.post(self.at(path)).body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{text}");
    }
}

/// The address it says it listens on.
async fn address(process: &mut Process) -> String {
    let start = std::time::Instant::now();
    loop {
        let said = process.output.stdout.lock().unwrap().clone();
        if let Some((_, rest)) = said.split_once("listening on ")
            && let Some((url, _)) = rest.split_once(". ")
        {
            return url.to_owned();
        }
        assert!(process.ended().is_none() && start.elapsed() < PATIENCE, "{}", process.output.all());
        tokio::time::sleep(LOOK).await;
    }
}
