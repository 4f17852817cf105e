//! What must hold in every state, and what must happen in some: a model in which nothing goes wrong proves nothing.

use stateright::Property;

use super::moves::Leases;
use super::state::{How, Kind, Phase, Row, State, Word};

pub const ONE_AT_ONCE: &str = "a mailbox of one slot never has two requests at once";
pub const ONE_EVENT: &str = "a job never has two events";
pub const SENT_EXISTS: &str = "a sent job has an event";
pub const ENDS: &str = "every job ends once the trouble ends";

/// The promise.
pub const PROMISE: [&str; 4] = [ONE_AT_ONCE, ONE_EVENT, SENT_EXISTS, ENDS];

type Rule = fn(&Leases, &State) -> bool;

const MUST_HOLD: [(&str, Rule); 4] = [
    (ONE_AT_ONCE, |_, state| state.under_way() <= 1),
    (ONE_EVENT, |_, state| state.events.iter().all(|events| *events <= 1)),
    (SENT_EXISTS, |_, state| {
        state.database.rows.iter().zip(&state.events).all(|(row, events)| row.word != Word::Sent || *events > 0)
    }),
    // Where nothing but trouble could still happen, everything has happened. `State::work_left` shows that every way leads there.
    (ENDS, |leases, state| {
        let mut steps = Vec::new();
        leases.course(state, &mut steps);
        !steps.is_empty() || state.database.rows.iter().all(|row| row.word == Word::Sent)
    }),
];

pub const BURIED_AT_WORK: &str = "an agent is buried while its request is under way";
pub const TAKEN_OVER: &str = "a mailbox is taken over with ghosts";
pub const REPLACED: &str = "a new start on the host takes the old one's place";
pub const STOPPED_AT_WORK: &str = "an agent stops while its request is under way";
pub const FOUND: &str = "the successor finds the event by its marker";
pub const LATE: &str = "an answer comes after its job was put back";
pub const STRAY: &str = "a claim is made that its agent does not know of";
pub const HANDED_OVER: &str = "a mailbox is handed over";
pub const LOST_CLAIM: &str = "a failover loses a claim whose request is under way";
pub const QUARANTINE: &str = "a failover is noticed while a request is under way";

const MUST_HAPPEN: [(&str, Rule); 10] = [
    (BURIED_AT_WORK, |_, state| {
        state
            .database
            .agents
            .iter()
            .any(|agent| agent.gone == Some(How::Expired) && !state.database.quarantine && !state.is_over(agent.start))
    }),
    (TAKEN_OVER, |_, state| state.database.lane.owner.is_some() && !state.database.lane.ghosts.is_empty()),
    (REPLACED, |_, state| state.database.agents.iter().any(|agent| agent.gone == Some(How::Replaced))),
    (STOPPED_AT_WORK, |_, state| {
        state.database.agents.iter().any(|agent| agent.gone == Some(How::Stopped) && !state.is_over(agent.start))
    }),
    (FOUND, |_, state| state.requests.iter().any(|request| request.kind == Kind::Look && request.answer == Some(true))),
    (LATE, |_, state| {
        state.processes.iter().flat_map(|process| &process.attempts).any(|attempt| {
            let row = &state.database.rows[attempt.job];
            attempt.phase == Phase::Sent && row.in_doubt && matches!(row.word, Word::Pending { .. })
        })
    }),
    (STRAY, |_, state| {
        state.processes.iter().any(|process| {
            let is_stray = |(job, row): (usize, &Row)| {
                process.start.is_some_and(|by| row.word == Word::Claimed { by }) && !process.knows(job, row.claims)
            };
            state.database.rows.iter().enumerate().any(is_stray)
        })
    }),
    (HANDED_OVER, |leases, state| {
        state.trouble.handovers < leases.trouble.handovers && state.database.lane.owner.is_some_and(|owner| owner != 0)
    }),
    (LOST_CLAIM, |_, state| {
        let lost = |job: usize| {
            matches!(state.database.rows[job].word, Word::Pending { .. }) && !state.database.rows[job].in_doubt
        };
        state.database.unnoticed && state.requests.iter().any(|request| request.kind == Kind::Post && lost(request.job))
    }),
    (QUARANTINE, |_, state| state.database.quarantine && state.under_way() > 0),
];

pub fn all() -> Vec<Property<Leases>> {
    let hold = MUST_HOLD.into_iter().map(|(name, rule)| Property::always(name, rule));
    hold.chain(MUST_HAPPEN.into_iter().map(|(name, rule)| Property::sometimes(name, rule))).collect()
}
