//! The program as a stranger meets it: the real binary, a queue written by plain SQL, a fake of Microsoft's side, and
//! what comes out of it all. Each test has its own queue, sandbox and processes, and waits for what happens, never for time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bed;
mod disk_log;
mod environment;
mod ground;
mod ledger;
mod process;
mod producer;
mod recorder;
mod sandbox_process;
mod scrape;
mod shim;

mod clock;
mod commands;
mod configuration;
mod daemon;
mod disk_trouble;
mod doctor;
mod enqueue;
mod expiry;
mod fault_matrix;
mod faults;
mod hands;
mod hold;
mod kill_points;
mod kills;
mod lost_queue;
mod memory;
mod monitoring;
mod monitoring_docs;
mod network;
mod packaging;
mod permissions;
mod poison;
mod power_cut;
mod redirects;
mod reload;
mod repair;
mod restore;
mod row_fuzz;
mod secrecy;
mod segments;
mod sending;
mod sign_in;
mod status;
mod systemd;
mod table;
mod throttle_honesty;
mod throttling;
mod troubled;
mod troubled_start;
mod watching;
