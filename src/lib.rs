//! Exchange Event Sender: rows of a queue in SQLite or PostgreSQL become events on Microsoft 365 calendars.
//!
//! **The promise.** Each inserted job ends as exactly one event with its EventID recorded, or as one explained failure:
//! across crashes, lost replies, timeouts and throttling, as far as Exchange honours `transactionId` and the stamped
//! marker can be looked up. Where neither can decide, the job stays in doubt and says so.
//!
//! | module | is |
//! |---|---|
//! | [`cli`] | the commands; words and tables |
//! | [`agent`] | the daemon's own room: its queue opened, everything put together, settings read again |
//! | [`monitor`] | `/metrics`, `/healthz` and `/readyz`: reads what the others measure |
//! | [`web`] | the page and the API behind it: reads and operates through the queue |
//! | [`listener`] | bounded connections, for monitor and page |
//! | [`advice`] | what people are told of a job and of how things stand |
//! | [`worker`] | the loop: wake, claim, attempt, settle |
//! | [`queue`] | what is asked of a queue, and the answers of SQLite and PostgreSQL |
//! | [`graph`] | the calendar calls of Microsoft Graph |
//! | [`auth`] | sign-in and the token every request takes |
//! | [`policy`] | what becomes of a job after what it met |
//! | [`config`] | the settings, checked |
//! | [`mod@format`] | figures as a person reads them |
//! | [`job`] | the domain |
//! | [`telemetry`], [`shutdown`], [`exit`] | what every daemon has |
//! | [`clock`], [`http`], [`backoff`], [`retry_after`] | time on both clocks, HTTP clients, how long to wait |
//! | [`identity`], [`certificate`], [`secret_file`], [`secret`], [`effective_user`], [`access`], [`accounts`] | what signs in, and who may read it |
//! | [`characters`], [`encoding`], [`visible`], [`hint`] | text that others wrote, and what a person is told |
//! | [`sandbox`] | a fake of Microsoft's side, for demo, tests and trials; shares no code with `auth` and `graph` |
//!
//! **Imports run one way**, from the top of this list to its end, within a row to the right; `tests/architecture.rs` holds the
//! table, room by room.
//! `queue` and `graph` never see each other. Only `worker`, `agent`, `monitor`, `web` and `cli` read the clock; everything
//! else is told the time.

// The map above is for whoever reads the source, where every room has a page.
#![allow(rustdoc::private_intra_doc_links)]

mod access;
mod accounts;
pub(crate) mod advice;
pub(crate) mod agent;
pub(crate) mod auth;
pub(crate) mod backoff;
pub(crate) mod certificate;
pub(crate) mod characters;
pub mod cli;
pub mod clock;
pub mod config;
pub(crate) mod effective_user;
pub(crate) mod encoding;
pub(crate) mod exit;
pub(crate) mod format;
pub mod graph;
pub(crate) mod hint;
pub mod http;
pub(crate) mod identity;
pub mod job;
pub(crate) mod listener;
pub(crate) mod monitor;
pub(crate) mod policy;
pub mod queue;
pub(crate) mod retry_after;
pub mod sandbox;
pub(crate) mod secret;
pub(crate) mod secret_file;
pub(crate) mod shutdown;
pub(crate) mod telemetry;
pub mod visible;
pub(crate) mod web;
pub(crate) mod worker;
