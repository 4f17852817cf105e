//! What people, programs and the monitor read of a queue in PostgreSQL. Nothing here writes.

pub mod agents;
pub mod columns;
