//! The end of what the agent signs in with, while it runs: `watch` looks at it, `told` knows what was said already. The words
//! are in `advice`.

mod told;
mod watch;

pub(crate) use watch::Watch;
