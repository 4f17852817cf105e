//! The worlds of the model, and what must hold in each of their states.

use stateright::{Checker, Model, Property};

use super::state::{Change, Changes, Phase, Row, State, Trouble};

const ONCE: &str = "no row mails twice";
const ORDER: &str = "no row is carried out before one that comes before it";
const TRUE: &str = "what is done has been carried out, or the event was gone";
const LAST: &str = "in the end the event bears the last row's stamp";
const ENDS: &str = "every row is done in the end";
const MEANT: [&str; 4] = [ONCE, ORDER, TRUE, LAST];

const FOUND: &str = "a row is found carried out after its answer was lost";
const REPEATED: &str = "a row is carried out at the second try";

pub fn properties() -> Vec<Property<Changes>> {
    vec![
        Property::always(ONCE, |_, state: &State| state.mailed.iter().all(|times| *times <= 1)),
        Property::always(ORDER, |_, state: &State| !state.out_of_order),
        Property::always(TRUE, |_, state: &State| {
            let done = state.rows.iter().zip(&state.mailed).filter(|(row, _)| **row == Row::Done);
            done.into_iter().all(|(_, times)| *times == 1 || !state.is_there)
        }),
        Property::always(LAST, |model: &Changes, state: &State| {
            let last = model.rows.iter().rposition(|change| *change == Change::Stamped);
            !is_over(state) || !state.is_there || state.stamp == last
        }),
        Property::eventually(ENDS, |_, state: &State| is_over(state)),
        Property::sometimes(FOUND, |model: &Changes, state: &State| {
            matches!(state.phase, Phase::Taken { row } if state.mailed[row] == 1) && model.looks_first
        }),
        Property::sometimes(REPEATED, |model: &Changes, state: &State| {
            state.trouble.faults < model.trouble.faults && state.mailed.contains(&1)
        }),
    ]
}

fn is_over(state: &State) -> bool {
    state.rows.iter().all(|row| *row == Row::Done)
}

fn changes(rows: &[Change], trouble: Trouble) -> Changes {
    Changes { rows: rows.to_vec(), trouble, late: true, looks_first: true, names_the_version: true, in_order: true }
}

const QUICK: Trouble = Trouble { faults: 3, crashes: 2, people: 1 };

/// The broken rules, and how many states were walked through.
fn walk(model: Changes) -> (Vec<&'static str>, usize) {
    let checker = model.checker().threads(2).spawn_dfs().join();
    let found = checker.discoveries();
    let broken = MEANT.into_iter().chain([ENDS]).filter(|rule| found.contains_key(rule)).collect();
    (broken, checker.unique_state_count())
}

#[test]
fn every_change_is_made_once_and_in_order_whatever_is_lost_late_or_killed() {
    use Change::{Attendees, End, Stamped};
    let mut states = 0;
    for rows in
        [&[Stamped][..], &[Stamped, Stamped], &[Attendees, Stamped, Attendees], &[Stamped, Attendees, End], &[End, End]]
    {
        let (broken, walked) = walk(changes(rows, QUICK));
        assert_eq!(broken, Vec::<&str>::new(), "{rows:?}");
        states += walked;
    }
    println!("changes of an event: {states} states");
}

#[test]
fn each_rule_of_the_protocol_is_needed() {
    let rows = [Change::Stamped, Change::Attendees];
    let whole = || changes(&rows, QUICK);
    assert!(walk(Changes { looks_first: false, ..whole() }).0.contains(&ONCE));
    assert!(walk(Changes { names_the_version: false, ..whole() }).0.contains(&ONCE));
    assert!(walk(Changes { in_order: false, ..whole() }).0.contains(&ORDER));
}

#[test]
fn the_worlds_of_the_model_are_no_fair_weather() {
    let model = changes(&[Change::Stamped, Change::Attendees], QUICK);
    let checker = model.checker().threads(2).spawn_dfs().join();
    let found = checker.discoveries();
    for name in [FOUND, REPEATED] {
        assert!(found.contains_key(name), "never happens: {name}");
    }
}
