//! Whole lives of events, created, changed and cancelled by their keys, over several agents that are killed meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::environment::setting;
use crate::ground::Server;
use crate::life::storms::Mind;
use crate::process::Process;

use super::fleet::Fleet;

/// Some are started again under their names, which go on at once; others stay away, and their mailboxes go to new ones.
async fn storm(fleet: &mut Fleet, kills: usize, mind: &mut Mind) {
    let mut agents: BTreeMap<String, Process> = BTreeMap::new();
    for name in ["a", "b", "c"] {
        agents.insert(name.to_owned(), fleet.agent(name));
    }
    for kill in 0..kills {
        let rows: Vec<_> = (0..mind.rng.usize(2..12)).map(|_| mind.row()).collect();
        fleet.insert(&rows).await;
        for _ in 0..mind.rng.usize(0..4) {
            fleet.sandbox.script(&[mind.fault()]).await;
        }
        tokio::time::sleep(Duration::from_millis(mind.rng.u64(0..1200))).await;
        let names: Vec<String> = agents.keys().cloned().collect();
        let mut name = names[mind.rng.usize(0..names.len())].clone();
        let ran = agents.remove(&name).unwrap().kill().await;
        assert_eq!(ran.code, None, "the agent ended by itself: {ran:?}");
        if kill % 5 == 4 {
            name = format!("new-{kill}");
        }
        let again = fleet.agent(&name);
        agents.insert(name, again);
    }
    fleet.sandbox.clear_faults().await;
    fleet.until_all_have_ended().await;
    drop(agents);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_changes_of_an_event_keep_their_order_and_are_mailed_once_whichever_agents_make_them() {
    fleet_or_return!(fleet, Server::Whole, 50);
    let seed = setting("EVENT_SENDER_SEED", 42);
    let mut mind = Mind::new(seed);
    storm(&mut fleet, 10, &mut mind).await;
    let account = fleet.account().await;
    assert!(account.complaints.is_empty(), "seed {seed}: {:#?}", account.complaints);
    assert!(account.events > 5 && account.mails[1] > 0, "{account:?}");
    assert!(fleet.most_at_once().await <= 4 && fleet.early().await.is_empty());
}

/// The long run: EVENT_SENDER_KILLS kills in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "long"]
async fn hundreds_of_kills_leave_each_event_as_its_rows_say() {
    let (seed, kills) = (setting("EVENT_SENDER_SEED", 42), setting("EVENT_SENDER_KILLS", 200));
    fleet_or_return!(fleet, Server::Whole, 50);
    let mut mind = Mind::new(seed);
    storm(&mut fleet, usize::try_from(kills).unwrap(), &mut mind).await;
    let account = fleet.account().await;
    println!(
        "kills {kills}, rows {}, sent {:?}, superseded {}, failed {}, events {}, mails {:?}, wrong {}, seed {seed}",
        account.rows,
        account.sent,
        account.superseded,
        account.failed,
        account.events,
        account.mails,
        account.complaints.len()
    );
    assert!(account.complaints.is_empty(), "seed {seed}: {:#?}", account.complaints);
    assert!(fleet.most_at_once().await <= 4 && fleet.early().await.is_empty());
}
