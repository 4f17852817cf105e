//! The changes of one event as a model that is checked exhaustively: rows in order, each looked for before it is sent and sent
//! against the version that was seen; answers lost, requests that arrive late, processes that die, conflicts out of nowhere,
//! people who change the event in Outlook. `state` is the model, `checks` the worlds it is walked through in and what must
//! hold, and the same protocol with one rule left out, which the checker must catch.

mod checks;
mod state;
