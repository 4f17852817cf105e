#![allow(clippy::unwrap_used)]
use super::*;
use crate::queue::Grade;

fn server() -> Server {
    Server {
        version: 150_004,
        version_says: "15.4".into(),
        commit: "on".into(),
        synced: true,
        autovacuum: true,
        role: "agent".into(),
        is_local: false,
        is_encrypted: true,
        time: DateTime::UNIX_EPOCH,
        last_id: 1,
    }
}

fn whole() -> Vec<(String, String, bool)> {
    rules().into_iter().map(|name| ("trigger".to_owned(), name, true)).collect()
}

#[test]
fn a_server_that_may_lose_what_it_acknowledges_fails() {
    assert!(durable(&server()).is_empty());
    for commit in ["off", "local"] {
        let found = durable(&Server { commit: commit.into(), ..server() });
        assert!(found[0].grade == Grade::Fail && found[0].means.contains(commit), "{found:?}");
    }
    assert!(durable(&Server { commit: "remote_apply".into(), ..server() }).is_empty());
    assert_eq!(durable(&Server { synced: false, ..server() })[0].grade, Grade::Fail);
}

#[test]
fn a_server_of_an_unknown_version_fails() {
    let found = known(&Server { version: 120_019, version_says: "12.19".into(), ..server() }, Duration::ZERO);
    assert!(found[0].grade == Grade::Fail && found[0].means.contains("12.19"), "{found:?}");
    assert_eq!(known(&server(), Duration::ZERO)[0].grade, Grade::Pass);
}

#[test]
fn clocks_may_differ_by_the_way_and_by_two_seconds() {
    let here = DateTime::UNIX_EPOCH;
    let (way, seconds) = (Duration::from_secs(5), |seconds| here + TimeDelta::seconds(seconds));
    for (server, way, told) in [
        (seconds(2), Duration::ZERO, None),
        (seconds(6), way, None),
        (seconds(10), way, Some("5 s ahead of")),
        (seconds(-7), way, Some("7 s behind")),
    ] {
        let found = apart(here, server, way).map(|finding| finding.means);
        assert_eq!(found.is_some(), told.is_some(), "{server}");
        assert!(found.unwrap_or_default().contains(told.unwrap_or_default()));
    }
}

#[test]
fn only_a_way_through_the_network_must_be_encrypted() {
    let open = Server { is_encrypted: false, ..server() };
    assert!(encrypted(&open).is_some());
    assert!(encrypted(&Server { is_local: true, ..open }).is_none() && encrypted(&server()).is_none());
}

#[test]
fn what_an_agent_may_not_do_is_named() {
    assert_eq!(rights("agent", Vec::new()), None);
    let found = rights("agent", vec!["DELETE on jobs".into(), "UPDATE on lanes".into()]).unwrap();
    assert!(found.grade == Grade::Fail && found.means.contains("DELETE on jobs, UPDATE on lanes missing"), "{found:?}");
}

#[test]
fn rules_that_are_missing_disabled_or_strange_are_named() {
    assert!(lost(whole()).is_empty());
    let mut disabled = whole();
    disabled.iter_mut().filter(|rule| rule.1 == "jobs_move_by_the_rules").for_each(|rule| rule.2 = false);
    let found = lost(disabled);
    assert!(found[0].grade == Grade::Fail && found[0].means.contains("jobs_move_by_the_rules"), "{found:?}");
    let quiet: Vec<_> = whole().into_iter().filter(|rule| rule.1 != ANNOUNCES).collect();
    assert_eq!(lost(quiet)[0].grade, Grade::Warn);
    let mut strange = whole();
    strange.push(("trigger".into(), "audit".into(), true));
    strange.push(("index".into(), "by_subject".into(), true));
    let found = lost(strange);
    assert!(found.len() == 1 && found[0].means.contains("trigger audit on jobs"), "{found:?}");
}

#[test]
fn a_failover_that_may_lose_something_is_told() {
    assert_eq!(standbys(Standbys { all: 2, asynchronous: 0, unseen: 0 }), None);
    let found = standbys(Standbys { all: 2, asynchronous: 1, unseen: 0 }).unwrap();
    assert!(found.means.starts_with("1 of its 2 standbys"), "{found:?}");
    assert!(standbys(Standbys { all: 1, asynchronous: 0, unseen: 1 }).unwrap().means.contains("may not see"));
}

#[test]
fn dead_rows_are_told_when_they_are_many_beside_the_others() {
    assert_eq!(dead_rows(Rows { live: 10, dead: 5_000 }), None);
    assert_eq!(dead_rows(Rows { live: 1_000_000, dead: 200_000 }), None);
    assert!(dead_rows(Rows { live: 10, dead: 200_000 }).is_some());
}
