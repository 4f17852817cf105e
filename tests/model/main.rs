//! The protocol of the queue as a model small enough to be walked through state by state: it shows that the rules are
//! right. That the program keeps them is shown elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod protocol;
