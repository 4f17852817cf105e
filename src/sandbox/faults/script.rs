//! The script: the faults in the order they were given, and which of them strikes a request.

use super::fault::{Action, Fault, FaultTarget};
use crate::sandbox::guarded::Guarded;

/// The faults still to come, in the order they were scripted.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Script(Guarded<Vec<Fault>>);

impl Script {
    pub(in crate::sandbox) fn add(&self, fault: Fault) {
        self.0.lock().push(fault);
    }

    pub(in crate::sandbox) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Those still to come, as often as they will still strike.
    pub(in crate::sandbox) fn armed(&self) -> Vec<Fault> {
        self.0.lock().clone()
    }

    /// What strikes this request. A fault that lets it through leaves it to the next one.
    pub(in crate::sandbox) fn take(&self, target: FaultTarget<'_>) -> Option<Action> {
        let mut faults = self.0.lock();
        let at = faults.iter_mut().position(|fault| {
            let fits = fault.fits(target);
            let let_through = fits && fault.after > 0;
            fault.after -= u32::from(let_through);
            fits && !let_through
        })?;
        let action = faults[at].action.clone();
        match faults[at].times {
            0 => {}
            1 => drop(faults.remove(at)),
            _ => faults[at].times -= 1,
        }
        Some(action)
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
