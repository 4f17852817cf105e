//! From a row to an event when nothing goes wrong: what may be inserted and how, what is refused or fails at once, what
//! is sent, and how the agent learns of new rows.

mod defaults;
mod enqueue;
mod inputs;
mod memory;
mod poison;
mod row_fuzz;
mod samples;
mod segments;
mod sending;
mod table;
mod times;
mod troubled;
mod watching;
