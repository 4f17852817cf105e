//! The program as a stranger meets it: the real binary, a queue written by plain SQL, a fake of Microsoft's side, and
//! what comes out of it all. Each test has its own queue, sandbox and processes, and waits for what happens, never for time.
//!
//! Each folder's `mod.rs` says what belongs there; a file is one subject, its tests are sentences. What they share stands
//! in `support/` and is called `crate::bed`, `crate::process` and so on, whichever folder a test is in.
//!
//! # Why `#[tokio::test(flavor = "multi_thread", worker_threads = 1)]`
//!
//! The agent is a process of its own, but the sandbox it talks to, and whoever stands between the two, are tasks on the
//! test's runtime. The test itself runs on its own thread, and some of what it does stops that thread: a signal is
//! sent and a command awaited by the operating system's means, a socket is read as systemd reads it. On a runtime of one
//! thread, which is what `#[tokio::test]` makes, nobody would answer the agent meanwhile, and it would see a network fault
//! that no test has asked for. With one worker the answers have a thread of their own. Not more than one, because tests run
//! at the same time, one per core, and tokio's default is a worker per core for each of them. Two are given to tests that
//! play many cases side by side, each with a sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;
use support::{bed, disk_log, environment, ground, ledger, process, producer, recorder, sandbox_process, scrape, shim};

#[path = "../support/cluster.rs"]
#[allow(dead_code, reason = "the tests of the contract use all of it")]
mod cluster;

mod faults;
mod life;
mod operate;
mod send;
mod several;
mod sign_in;
mod storage;
mod web;
