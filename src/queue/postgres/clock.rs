//! How long something takes here.

use std::time::Instant;

pub fn steady() -> Instant {
    Instant::now()
}
