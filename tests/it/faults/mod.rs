//! What goes wrong on the way: answers that are lost, strange, throttled or redirected, no network, a clock that is set,
//! a process that is killed at any moment. One event each all the same, or one explained failure.

mod clock;
mod fault_matrix;
mod kill_points;
mod kills;
mod lost_answers;
mod network;
mod redirects;
mod strange_answers;
mod throttle_honesty;
mod throttling;
