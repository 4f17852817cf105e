//! Walking through a model: every state, and what the walk must find.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, Model};

/// Walks through every state; the promise holds in each, and what is named did happen.
pub fn holds<M>(world: &str, model: M, promise: &[&'static str], happens: &[&str])
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let begin = Instant::now();
    let checker = model.checker().threads(2).spawn_dfs().join();
    println!(
        "{world}: {} states, {} steps, at most {} in a row, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begin.elapsed().as_secs_f32()
    );
    assert!(checker.is_done());
    let found = checker.discoveries();
    for rule in promise {
        if let Some(path) = found.get(rule) {
            panic!("{world}: not so: {rule}\n{path}");
        }
    }
    for name in happens {
        assert!(found.contains_key(name), "{world}: never happens: {name}");
    }
}
