//! Exchange Event Sender: rows of a SQLite queue become events on Microsoft 365 calendars.
//!
//! **The promise.** Each inserted job ends as exactly one event with its EventID recorded, or as one explained failure:
//! across crashes, lost replies, timeouts and throttling, as far as Exchange honours `transactionId` and the stamped
//! marker can be looked up. Where neither can decide, the job stays in doubt and says so.
//!
//! | module | is |
//! |---|---|
//! | [`cli`] | the commands; the only place where settings become objects |
//! | [`worker`] | the loop: wake, claim, attempt, settle |
//! | [`monitor`] | `/metrics`, `/healthz` and `/readyz`: reads what the others measure |
//! | [`queue`] | what is asked of a queue, and SQLite's answer |
//! | [`graph`] | the calendar calls of Microsoft Graph |
//! | [`auth`] | sign-in and the token every request takes |
//! | [`policy`] | what becomes of a job after what it met |
//! | [`job`] | the domain |
//! | [`config`], [`secret`], [`telemetry`], [`shutdown`], [`exit`] | what every daemon has |
//! | [`identity`] | which managed identity, and what gives out its tokens |
//! | [`accounts`] | users and groups of this machine |
//! | [`secret_file`] | small files that hold a secret |
//! | [`certificate`] | a certificate and its key, out of PEM files |
//! | [`visible`] | the one filter for what others wrote, where a person reads it |
//! | [`retry_after`], [`backoff`] | how long to wait: what a server asks for, and the agent's own rule |
//! | [`sandbox`] | a fake of Microsoft's side, for demo, tests and trials |
//!
//! **Imports run one way:** `cli` may import everything; `worker` imports `job policy queue graph auth`; `monitor` imports
//! `worker queue auth job`; `policy` imports `job`; `queue` imports `job accounts`; `graph` imports `job auth secret`; `auth`
//! and `config` import `secret secret_file certificate identity`, `config` also `accounts`; these import `secret`.
//! `retry_after`, `backoff` and `visible` are for all of these; they, `job`, `accounts`, `secret`, `exit`, `shutdown`,
//! `telemetry` and `sandbox` import nothing of ours. `queue` and `graph` never see each other.
//! Only `worker`, `monitor` and `cli` ask the clock; everything else is told the time.

pub mod accounts;
pub mod auth;
pub mod backoff;
pub mod certificate;
pub mod characters;
pub mod cli;
pub mod config;
pub mod encoding;
pub mod exit;
pub mod graph;
pub mod identity;
pub mod job;
pub mod monitor;
pub mod policy;
pub mod queue;
pub mod retry_after;
pub mod sandbox;
pub mod secret;
pub mod secret_file;
pub mod shutdown;
pub mod telemetry;
pub mod visible;
pub mod worker;
