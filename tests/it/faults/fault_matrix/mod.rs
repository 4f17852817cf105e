//! The fault matrix: every fault the sandbox can play, in every phase of a job's way (token, lookup, POST), once and
//! without end, in three worlds. Each phase is a file with its own table of what must come of it; the tables are the
//! specification as the program promises it, undecidable combinations included.
//!
//! A board is one agent with one mailbox per case, all cases side by side: so it also shows that no mailbox's trouble
//! is another's. What concerns all mailboxes gets an agent of its own.

mod board;
mod lookup;
mod post;
mod specification;
mod token;

use event_sender::sandbox::SandboxOptions;

/// What can tell a doubtful job whether its event exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum World {
    /// Exchange honours the transaction id, and events are found by their marker.
    Whole,
    /// The transaction id makes no difference: the marker alone must hold.
    MarkerOnly,
    /// No event is ever found by its marker: the transaction id alone must hold.
    IdOnly,
}

const WORLDS: [World; 3] = [World::Whole, World::MarkerOnly, World::IdOnly];

impl World {
    fn options(self) -> SandboxOptions {
        SandboxOptions {
            deduplicate: self != World::MarkerOnly,
            lookup: self != World::IdOnly,
            ..SandboxOptions::default()
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strikes {
    Once,
    ForEver,
}

/// Attempts of a job in these tests.
const MAX_ATTEMPTS: usize = 4;

/// What a case has come to when nothing more happens by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    state: &'static str,
    kind: Option<&'static str>,
    in_doubt: bool,
    /// The outcomes of its attempts.
    history: Vec<&'static str>,
}

/// What a case must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    stand: Stand,
    /// POSTs until then.
    posts: usize,
    /// Events in the end, after whatever was wrong has been fixed and the agent started anew.
    events: usize,
}

/// Sent after these attempts.
fn sent(history: &[&'static str]) -> Stand {
    Stand { state: "sent", kind: None, in_doubt: false, history: history.to_vec() }
}

/// Failed, and it is certain that there is no event.
fn failed(kind: &'static str, history: &[&'static str]) -> Stand {
    Stand { state: "failed", kind: Some(kind), in_doubt: false, history: history.to_vec() }
}

/// Failed, and an event may exist.
fn failed_in_doubt(kind: &'static str, history: &[&'static str]) -> Stand {
    Stand { in_doubt: true, ..failed(kind, history) }
}

/// Waiting for somebody to fix something.
fn waits(kind: &'static str, history: &[&'static str]) -> Stand {
    Stand { state: "pending", kind: Some(kind), in_doubt: false, history: history.to_vec() }
}

/// Waiting, and an event may exist.
fn waits_in_doubt(kind: &'static str, history: &[&'static str]) -> Stand {
    Stand { in_doubt: true, ..waits(kind, history) }
}

fn end(stand: Stand, posts: usize, events: usize) -> End {
    End { stand, posts, events }
}
