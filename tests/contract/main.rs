//! The contract of a queue, asked of every kind of queue there is: the same tests, sentence by sentence. What is particular to
//! a kind stands in its backend file alone (`sqlite.rs`, `postgres.rs`); the tests speak through the queue's traits, and as a producer through
//! plain SQL that every database takes.
//!
//! A new kind of queue has a file with its [`backend::Backend`], and a line in `on_every_queue`. Times are the queue's own, so
//! nothing here sets a clock: what is to be due is due, and what is not waits until the year 2999.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Makes a test of each kind of queue out of each of these.
macro_rules! on_every_queue {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name::<crate::sqlite::Sqlite>().await;
                }
            )*
        }
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    if crate::postgres::is_there() {
                        super::$name::<crate::postgres::Postgres>().await;
                    }
                }
            )*
        }
    };
}

mod backend;
mod bed;
mod claims;
#[path = "../support/cluster.rs"]
#[allow(dead_code, reason = "the black-box tests use all of it")]
mod cluster;
mod ends;
mod events;
mod hands;
mod mailboxes;
mod operators;
mod postgres;
mod producers;
mod readers;
mod recovery;
mod server;
mod sqlite;
mod takeover;
mod turns;
