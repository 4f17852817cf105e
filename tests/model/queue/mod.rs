//! The transitions of the protocol at random over the real queue: producers, the agent, operators and strangers who
//! write what they must not.
//!
//! `rows` is the queue as it should be, `steps` what is done to it and what should come of that, `real` does it to a
//! SQLite file and compares every row after every step.

mod real;
mod rows;
mod steps;

use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::test_runner::{Config, RngSeed, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use real::Real;
use steps::{Effect, Steps};

/// Histories of the queue, each of some fifty steps. What fails is made as short as it goes before it is shown.
fn histories(config: Config) {
    let steps_taken = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    let config = Config { failure_persistence: None, max_shrink_iters: 2000, ..config };
    let result = TestRunner::new(config.clone()).run(&Steps::sequential_strategy(50..60), |(begin, steps, seen)| {
        steps_taken.fetch_add(steps.len(), Ordering::Relaxed);
        let mut expected = begin.clone();
        for step in &steps {
            expected = Steps::apply(expected, step);
            refused.fetch_add(usize::from(expected.effect == Effect::Refused), Ordering::Relaxed);
        }
        Real::test_sequential(config.clone(), begin, steps, seen);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let (steps, refused) = (steps_taken.into_inner(), refused.into_inner());
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed.to_string(),
        RngSeed::Random => "random".to_owned(),
    };
    println!("histories {}, steps {steps}, writes refused {refused}, seed {seed}", config.cases);
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn the_database_does_what_the_model_says_whoever_writes() {
    histories(Config::default());
}

#[test]
#[ignore = "long"]
fn the_database_does_what_the_model_says_in_many_more_histories() {
    let cases = setting("EVENT_SENDER_HISTORIES", 5000);
    let seed = setting("EVENT_SENDER_SEED", 42);
    histories(Config { cases, rng_seed: RngSeed::Fixed(seed), ..Config::default() });
}
