//! Changes of events under way. Exchange does not queue two changes of one event: the later one is told that the event is
//! not as it thought. So a change is judged by what it found when it arrived, and not by what is there when it is made.

use std::collections::HashMap;
use std::sync::Arc;

use crate::sandbox::guarded::Guarded;

/// The events being changed, by the id all forms of an id lead to, with the number of requests on each.
#[derive(Clone, Debug, Default)]
pub(super) struct Writers(Arc<Guarded<HashMap<String, u32>>>);

/// What a change found when it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Basis {
    /// The event's change key; none if there was no event.
    pub(super) change_key: Option<String>,
    /// Another change was under way.
    pub(super) contended: bool,
}

/// A change under way, until its answer has gone out or its client away.
#[derive(Debug)]
pub(in crate::sandbox) struct Writer {
    writers: Writers,
    id: String,
}

impl Writers {
    /// Whether another change of this event is under way, and the place of this one.
    pub(super) fn enter(&self, id: &str) -> (bool, Writer) {
        let mut writers = self.0.lock();
        let count = writers.entry(id.to_owned()).or_default();
        *count += 1;
        (*count > 1, Writer { writers: self.clone(), id: id.to_owned() })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut writers = self.writers.0.lock();
        let left = writers.get_mut(&self.id).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            writers.remove(&self.id);
        }
    }
}
