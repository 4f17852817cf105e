//! What lies where the queue should be, for `check`.

use std::sync::Arc;
use std::time::Duration;

use super::schema::OpenError;
use super::server::Server;
use super::store::PostgresQueue;
use crate::queue::{Examined, Read, StorageFinding};

/// Longest time for what the server is asked about itself.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// Looks at it, and opens it if it is a queue. Changes nothing.
pub async fn examine(server: Server) -> Examined {
    let name = server.name().to_owned();
    let named = |finding: StorageFinding| StorageFinding { about: name.clone(), ..finding };
    let queue = match PostgresQueue::open_existing(server).await {
        Ok(queue) => queue,
        Err(error) => return Examined { findings: vec![named(refused(&error))], queue: None },
    };
    match queue.health(LOOK_WITHIN).await {
        Ok(findings) => Examined { findings: findings.into_iter().map(named).collect(), queue: Some(Arc::new(queue)) },
        Err(error) => {
            let cure = "look at the server and its log, and at the network between it and this machine";
            let finding = StorageFinding::fail(error.to_string()).cure(cure);
            Examined { findings: vec![named(finding)], queue: Some(Arc::new(queue)) }
        }
    }
}

/// Why it could not be opened.
fn refused(error: &OpenError) -> StorageFinding {
    let said = error.to_string();
    match error {
        OpenError::Missing { .. } => StorageFinding::warn(said),
        _ => StorageFinding::fail(said),
    }
}
