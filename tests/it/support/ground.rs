//! The ground on which agents are killed: a queue, a sandbox that outlives them, and the reckoning at the end. Every
//! kill is a SIGKILL to the real binary; an agent that ends in any other way fails the test.

use std::time::{Duration, Instant};

use event_sender::sandbox::{Action, Fault};
use serde_json::json;

use crate::bed::Bed;
use crate::ledger::{End, Ledger};
use crate::process::Process;
use crate::sandbox_process::SandboxProcess;

/// Longest wait for the queue to become empty when nothing goes wrong any more.
const EMPTY_WITHIN: Duration = Duration::from_secs(60);
/// Longer than any fault holds a request back.
pub const FOR_EVER: Duration = Duration::from_secs(600);

/// What the server is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Whole,
    /// Does not honour `transactionId`: only the marker tells.
    OnlyFinds,
    /// Finds nothing by the marker.
    OnlyHonours,
}

pub struct Ground {
    pub bed: Bed,
    pub sandbox: SandboxProcess,
    pub kills: usize,
    /// Kills that found at least one row claimed.
    pub kills_with_claims: usize,
    /// The longest time a scripted fault holds a request back that will be carried out all the same.
    latest: Duration,
}

impl Ground {
    /// A ground with this kind of server, which takes so many milliseconds for each answer.
    pub async fn new(server: Server, latency_ms: u64) -> Self {
        let (deduplicate, lookup) = (server != Server::OnlyFinds, server != Server::OnlyHonours);
        let options = json!({ "deduplicate": deduplicate, "lookup": lookup, "latency_ms": latency_ms });
        let sandbox = SandboxProcess::start(options).await;
        let mut bed = Bed::beside(&sandbox.url).await;
        // Nothing may be given up for its number of attempts: what is at stake is whether it is sent once.
        bed.set("delivery.max_attempts", "1000");
        Self { bed, sandbox, kills: 0, kills_with_claims: 0, latest: Duration::ZERO }
    }

    pub async fn script(&mut self, fault: Fault) {
        if let Action::Late { ms } = fault.action {
            self.latest = self.latest.max(Duration::from_millis(ms));
        }
        self.sandbox.script(&[fault]).await;
    }

    /// Lets the agent live for a random time: as it comes, or until it has something under way and up to so many milliseconds longer.
    pub async fn let_live(&self, agent: &Process, rng: &mut fastrand::Rng, longer: u64) {
        let busy_only = rng.u32(0..10) < 6;
        let life = if busy_only { Duration::from_millis(1500) } else { Duration::from_millis(rng.u64(0..600)) };
        let moment = Duration::from_millis(rng.u64(0..longer));
        let born = Instant::now();
        // Until it has started, what is claimed was claimed by the one before.
        let busy = async || !agent.said("agent started").is_empty() && self.bed.count("claimed").await > 0;
        while born.elapsed() < life && !(busy_only && busy().await) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if busy_only {
            tokio::time::sleep(moment).await;
        }
    }

    /// kill -9, if that has not been done yet, and the proof that this is what ended the agent.
    pub async fn kill(&mut self, agent: Process) {
        let ran = agent.kill().await;
        assert_eq!(ran.code, None, "the agent ended by itself: {ran:?}");
        self.kills += 1;
        self.kills_with_claims += usize::from(self.bed.count("claimed").await > 0);
    }

    /// Lets an agent finish in peace and reckons.
    pub async fn finish(&self, end: impl Fn(&str) -> End) -> Ledger {
        self.come_to_rest().await;
        Ledger::of(&self.bed.queue_path(), self.sandbox.events().await, end).await
    }

    /// Lets an agent finish in peace.
    pub async fn come_to_rest(&self) {
        self.sandbox.clear_faults().await;
        let late_until = Instant::now() + self.latest;
        let mut last = self.bed.run_with(&["--until-empty"]);
        let start = Instant::now();
        while last.ended().is_none() {
            assert!(start.elapsed() < EMPTY_WITHIN, "the queue does not become empty: {:#?}", self.bed.jobs().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        last.end().await.expect(0);
        // What comes too late is not a condition to be waited for: that nothing comes of it shows only by its time.
        tokio::time::sleep(late_until.saturating_duration_since(Instant::now()) + Duration::from_millis(200)).await;
    }
}
