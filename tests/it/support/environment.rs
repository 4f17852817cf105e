//! Sizes and seeds of the long runs, from the tester's environment.

/// A number of the environment, or this one.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: no number")))
}
