//! Several agents on one queue in PostgreSQL: who serves which mailbox, what becomes of the mailboxes of one that dies, falls silent or
//! stops, and what all of that is for: one row, one event, and no more at once to a mailbox than one agent would send.
//!
//! Where the server is not installed these tests say that they are skipped (`crate::cluster`).

/// A fleet of agents on a server that is good for this, and answers after so many milliseconds; or the end of the test, where
/// there is no PostgreSQL.
macro_rules! fleet_or_return {
    ($fleet:ident, $server:expr) => {
        fleet_or_return!($fleet, $server, 10)
    };
    ($fleet:ident, $server:expr, $latency_ms:literal) => {
        #[allow(unused_mut)]
        let Some(mut $fleet) = super::fleet::Fleet::new($server, $latency_ms).await else { return };
    };
}

mod clocks;
mod failover;
pub mod fleet;
mod handing_over;
mod lives;
mod metrics;
mod moving;
mod network;
mod pooler;
mod queue;
mod restarts;
mod servers;
mod storm;
mod wire;
