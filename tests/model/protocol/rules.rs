//! What must hold in every state, and what must happen in some: a model in which nothing goes wrong proves nothing.

use stateright::Property;

use super::state::{Phase, Protocol, State, Verdict, Word};

pub const ONE_EVENT: &str = "a job never has two events";
pub const RECORDED: &str = "no event is without its record";
pub const SENT_EXISTS: &str = "a sent job names an event that exists, and is not in doubt";
pub const SURE_FAILURE: &str = "a failure without doubt has no event, and none will come";
pub const ENDS: &str = "every job ends once the trouble ends";

/// The promise.
pub const PROMISE: [&str; 5] = [ONE_EVENT, RECORDED, SENT_EXISTS, SURE_FAILURE, ENDS];

type Rule = fn(&Protocol, &State) -> bool;

const MUST_HOLD: [(&str, Rule); 5] = [
    (ONE_EVENT, |_, state| state.events.iter().all(|events| events.len() <= 1)),
    (RECORDED, |_, state| {
        (0..state.rows.len()).all(|job| {
            let row = &state.rows[job];
            state.events[job].is_empty() || row.word == Word::Claimed || row.in_doubt || row.event.is_some()
        })
    }),
    (SENT_EXISTS, |_, state| {
        state.rows.iter().zip(&state.events).all(|(row, events)| match row.event {
            Some(event) => row.word == Word::Sent && event < events.len() && !row.in_doubt,
            None => row.word != Word::Sent,
        })
    }),
    (SURE_FAILURE, |_, state| {
        (0..state.rows.len()).all(|job| {
            let row = &state.rows[job];
            let sure = matches!(row.word, Word::Failed | Word::Cancelled) && !row.in_doubt;
            !sure || state.events[job].is_empty() && state.requests.iter().all(|request| request.job != job)
        })
    }),
    // Where nothing but trouble could still happen, everything has happened. `State::work_left` shows that every way
    // leads there.
    (ENDS, |protocol, state| {
        let mut steps = Vec::new();
        protocol.course(state, &mut steps);
        !steps.is_empty() || state.rows.iter().all(|row| row.ended())
    }),
];

pub const LOST_ANSWER: &str = "an answer is lost after the event was made";
pub const CRASH_BEFORE_RECORD: &str = "an agent dies between the event and its record";
pub const FOUND: &str = "an event is found by its marker";
pub const REPEATED: &str = "a repeated request is answered with the first event";
pub const LATE_EVENT: &str = "a request is still on its way when its job has failed";
pub const EXHAUSTED: &str = "a job is given up in doubt";
pub const STALE: &str = "an outcome comes too late: the row was claimed again";
pub const KEPT: &str = "an outcome is kept while the database refuses writes";
pub const CANCELLED_IN_DOUBT: &str = "a job is cancelled in doubt";

const MUST_HAPPEN: [(&str, Rule); 9] = [
    (LOST_ANSWER, |_, state| {
        known(state).any(|(job, verdict)| {
            matches!(verdict, Verdict::Again { in_doubt: true, .. }) && !state.events[job].is_empty()
        })
    }),
    (CRASH_BEFORE_RECORD, |_, state| {
        (0..state.rows.len()).any(|job| {
            let held = state.agents.iter().flatten().any(|attempt| attempt.job == job);
            state.rows[job].word == Word::Claimed && !held && !state.events[job].is_empty()
        })
    }),
    (FOUND, |_, state| known(state).any(|(_, verdict)| matches!(verdict, Verdict::Sent { looked_up: true, .. }))),
    (REPEATED, |_, state| {
        state.requests.iter().any(|request| request.answer.as_ref().is_some_and(|answer| answer.repeated))
    }),
    (LATE_EVENT, |_, state| {
        state.requests.iter().any(|request| request.answer.is_none() && state.rows[request.job].word == Word::Failed)
    }),
    (EXHAUSTED, |_, state| state.rows.iter().any(|row| row.word == Word::Failed && row.in_doubt)),
    (STALE, |_, state| {
        state.agents.iter().flatten().any(|attempt| {
            let row = &state.rows[attempt.job];
            matches!(attempt.phase, Phase::Known(_)) && row.word == Word::Claimed && row.claims != attempt.claim
        })
    }),
    (KEPT, |_, state| !state.writable && known(state).any(|(_, verdict)| matches!(verdict, Verdict::Sent { .. }))),
    (CANCELLED_IN_DOUBT, |_, state| state.rows.iter().any(|row| row.word == Word::Cancelled && row.in_doubt)),
];

/// Outcomes in memory.
fn known(state: &State) -> impl Iterator<Item = (usize, &Verdict)> {
    state.agents.iter().flatten().filter_map(|attempt| match &attempt.phase {
        Phase::Known(verdict) => Some((attempt.job, verdict)),
        _ => None,
    })
}

pub fn all() -> Vec<Property<Protocol>> {
    let hold = MUST_HOLD.into_iter().map(|(name, rule)| Property::always(name, rule));
    hold.chain(MUST_HAPPEN.into_iter().map(|(name, rule)| Property::sometimes(name, rule))).collect()
}
