//! The protocol of the queue as a model that is checked exhaustively at small sizes.
//!
//! `state` is what there is, `moves` what can happen, `effects` what that does, `rules` what must hold whatever happens,
//! `checks` the worlds it is walked through in, `variants` the same protocol with one rule left out, each of which the checker must catch.
//!
//! **Time** has no numbers here: a row that must wait is simply not due, and becomes due at any later moment. So every
//! backoff, every Retry-After and every clock is covered, also a clock that is set forward. Where the promise needs a wait
//! to be long enough (see [`state::Calendar::late_requests`]), that is said as a rule about order.
//!
//! **It ends**, because trouble is rationed: every fault, crash, and change by an operator is paid from a budget, and
//! every other step brings the work nearer to its end ([`state::State::work_left`] becomes less with every step, which is
//! asserted). So there are no circles, and "every job ends once the trouble ends" is checked where nothing but trouble
//! could still happen.

mod checks;
mod effects;
mod moves;
mod rules;
mod state;
mod variants;
