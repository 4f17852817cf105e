//! What there is, what can happen, and what that does.

use stateright::{Model, Property};

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Anything, stamped with the row's revision.
    Stamped,
    /// Attendees alone, which bear no stamp and show by themselves.
    Attendees,
    /// The event's end.
    End,
}

/// The protocol, and how much may go wrong. Rules that can be left out are what the checker must miss then.
#[derive(Clone, Debug)]
pub struct Changes {
    pub rows: Vec<Change>,
    pub trouble: Trouble,
    /// Requests may be carried out at any time after the agent has given them up. Not the end, which names no version.
    pub late: bool,
    pub looks_first: bool,
    pub names_the_version: bool,
    pub in_order: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Answers lost, conflicts out of nowhere, requests lost on the way.
    pub faults: u8,
    pub crashes: u8,
    /// Changes by people, of what no row is about.
    pub people: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    Waiting,
    Done,
}

/// What the agent is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Idle,
    /// It has taken the row up.
    Taken {
        row: usize,
    },
    /// It has seen the event at this version, with the change not made.
    Seen {
        row: usize,
        version: u8,
    },
    /// Its request is out.
    Sent {
        row: usize,
    },
}

/// A request on its way: it will be carried out once, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub row: usize,
    pub if_match: Option<u8>,
    /// The agent waits for its answer still.
    pub awaited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub rows: Vec<Row>,
    pub phase: Phase,
    pub requests: Vec<Request>,
    pub version: u8,
    pub is_there: bool,
    /// The row whose stamp the event bears.
    pub stamp: Option<usize>,
    /// The row whose attendees it has.
    pub attendees: Option<usize>,
    /// How often each row has mailed.
    pub mailed: Vec<u8>,
    /// A row was carried out before one that comes before it.
    pub out_of_order: bool,
    pub trouble: Trouble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Take(usize),
    Look,
    Send,
    /// A request is carried out, or refused; its answer comes or is lost.
    Arrive {
        request: usize,
        answered: bool,
    },
    /// A conflict out of nowhere: not carried out.
    Conflict(usize),
    /// Lost on the way.
    Vanish(usize),
    /// The agent waits no longer.
    GiveUp,
    Crash,
    Person,
}

impl State {
    fn first_waiting(&self) -> Option<usize> {
        self.rows.iter().position(|row| *row == Row::Waiting)
    }

    /// What a look at the event shows of a row.
    fn shows(&self, row: usize, change: Change) -> bool {
        match change {
            Change::Stamped => self.stamp == Some(row),
            Change::Attendees => self.attendees == Some(row),
            Change::End => !self.is_there,
        }
    }

    fn carry_out(&mut self, row: usize, change: Change) {
        self.mailed[row] += 1;
        self.version += 1;
        self.out_of_order |= self.rows[..row].contains(&Row::Waiting);
        match change {
            Change::Stamped => self.stamp = Some(row),
            Change::Attendees => self.attendees = Some(row),
            Change::End => self.is_there = false,
        }
    }
}

impl Changes {
    fn takes(&self, request: Request, state: &State) -> bool {
        let same = request.if_match.is_none_or(|version| version == state.version);
        // A second cancellation would mail again, as far as anybody knows.
        let ends = self.rows[request.row] == Change::End;
        (state.is_there || ends) && same
    }
}

impl Model for Changes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let rows = self.rows.len();
        vec![State {
            rows: vec![Row::Waiting; rows],
            phase: Phase::Idle,
            requests: Vec::new(),
            version: 0,
            is_there: true,
            stamp: None,
            attendees: None,
            mailed: vec![0; rows],
            out_of_order: false,
            trouble: self.trouble,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.phase {
            Phase::Idle => match state.first_waiting() {
                Some(first) if self.in_order => actions.push(Action::Take(first)),
                _ => {
                    let waiting = |row: &usize| state.rows[*row] == Row::Waiting;
                    actions.extend((0..state.rows.len()).filter(waiting).map(Action::Take));
                }
            },
            Phase::Taken { .. } => actions.push(Action::Look),
            Phase::Seen { .. } => actions.push(Action::Send),
            Phase::Sent { .. } => {}
        }
        for (number, request) in state.requests.iter().enumerate() {
            if request.awaited {
                actions.push(Action::Arrive { request: number, answered: true });
            }
            if state.trouble.faults > 0 && request.awaited {
                let faults = [Action::Arrive { request: number, answered: false }, Action::Conflict(number)];
                actions.extend(faults);
                if self.late && self.rows[request.row] != Change::End {
                    actions.push(Action::GiveUp);
                }
            }
            if !request.awaited {
                actions.extend([Action::Arrive { request: number, answered: false }, Action::Vanish(number)]);
            }
        }
        if state.trouble.crashes > 0 && state.phase != Phase::Idle {
            actions.push(Action::Crash);
        }
        if state.trouble.people > 0 && state.is_there {
            actions.push(Action::Person);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match (action, before.phase) {
            (Action::Take(row), _) => state.phase = Phase::Taken { row },
            (Action::Look, Phase::Taken { row }) => {
                let gone = !state.is_there && self.rows[row] != Change::End;
                if gone || (self.looks_first && state.shows(row, self.rows[row])) {
                    state.rows[row] = Row::Done;
                    state.phase = Phase::Idle;
                } else {
                    state.phase = Phase::Seen { row, version: state.version };
                }
            }
            (Action::Send, Phase::Seen { row, version }) => {
                let named = self.names_the_version && self.rows[row] != Change::End;
                state.requests.push(Request { row, if_match: named.then_some(version), awaited: true });
                state.requests.sort();
                state.phase = Phase::Sent { row };
            }
            (Action::Arrive { request, answered }, phase) => {
                let request = state.requests.remove(request);
                let taken = self.takes(request, &state);
                if taken {
                    state.carry_out(request.row, self.rows[request.row]);
                }
                if request.awaited && matches!(phase, Phase::Sent { .. }) {
                    state.phase = Phase::Idle;
                    if answered && taken {
                        state.rows[request.row] = Row::Done;
                    }
                    state.trouble.faults -= u8::from(!answered);
                }
            }
            (Action::Conflict(request), _) => {
                state.requests.remove(request);
                state.trouble.faults -= 1;
                state.phase = Phase::Idle;
            }
            (Action::Vanish(request), _) => {
                state.requests.remove(request);
            }
            (Action::GiveUp, _) => {
                state.trouble.faults -= 1;
                state.requests.iter_mut().for_each(|request| request.awaited = false);
                state.requests.sort();
                state.phase = Phase::Idle;
            }
            (Action::Crash, _) => {
                state.trouble.crashes -= 1;
                state.phase = Phase::Idle;
                let late = self.late;
                let ends = |request: &Request| self.rows[request.row] == Change::End;
                // What cannot be late has arrived by the time that the next agent looks, or never will.
                let arrived: Vec<Request> =
                    state.requests.iter().copied().filter(|request| !late || ends(request)).collect();
                for request in arrived {
                    if self.takes(request, &state) {
                        state.carry_out(request.row, self.rows[request.row]);
                    }
                }
                state.requests.retain(|request| late && !ends(request));
                state.requests.iter_mut().for_each(|request| request.awaited = false);
                state.requests.sort();
            }
            (Action::Person, _) => {
                state.trouble.people -= 1;
                state.version += 1;
            }
            _ => return None,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::checks::properties()
    }
}
