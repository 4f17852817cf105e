//! The lease protocol of the queue in PostgreSQL (`src/queue/postgres`) as a model: several agents, one mailbox of one slot, a server
//! on which the marker alone holds.
//!
//! `state` is what there is, `moves` what can happen, `effects` what that does, `rules` what must hold whatever happens, `checks` the
//! worlds it is walked through in, `variants` the same protocol with one rule left out, each of which the checker must catch.
//!
//! **Time** has no numbers, only an order. An agent's trust may end at any moment; its lease is over some time after its trust
//! ended, never before. A wait for requests that may be under way ends when those are over. An agent that is frozen, or cut off from
//! the database, is one that takes no step while the others do: every way of taking turns is walked through, so freezes of any
//! length are among them.
//!
//! **It ends**, as the other model does: trouble is rationed, and every other step brings the work nearer to its end.

mod checks;
mod effects;
mod moves;
mod rules;
mod state;
mod variants;
