//! Readers: lists, one job, the queue at a glance, the monitor's counts, the storage's own findings.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use event_sender::job::{ErrorKind, JobId, JobState};
use event_sender::queue::{Grade, JobFilter, LaneKey, NewJob, Operate, Produce, Read, Sought, Step};

use crate::backend::Backend;
use crate::bed::{ANN, BOB, Bed, TEAM, ids, lane, later, pause};

async fn listed<B: Backend>(bed: &Bed<B>, filter: JobFilter) -> Vec<i64> {
    bed.queue().jobs(&filter).await.unwrap().iter().map(|job| job.id.0).collect()
}

/// A job in each state, and one more that waits.
async fn one_of_each<B: Backend>(bed: &Bed<B>) -> [i64; 6] {
    let (sent, failed) = (bed.sent(ANN).await, bed.failed(BOB, ErrorKind::Denied).await);
    let cancelled = bed.insert(&[ANN]).await[0];
    bed.cancel(&[cancelled], false).await;
    let (doubtful, claimed) = (bed.doubtful(BOB).await, bed.claimed(ANN).await.id.0);
    let waiting = bed.queue().insert(&[later("")]).await.unwrap()[0];
    [sent, failed, cancelled, doubtful, claimed, waiting]
}

async fn a_list_shows_the_newest_that_fit_the_oldest_first<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let [sent, failed, cancelled, doubtful, claimed, waiting] = one_of_each(&bed).await;
    let all = JobFilter { limit: 10, ..JobFilter::default() };
    for (filter, expected) in [
        (all.clone(), vec![sent, failed, cancelled, doubtful, claimed, waiting]),
        (JobFilter { limit: 2, ..all.clone() }, vec![claimed, waiting]),
        (JobFilter { state: Some(JobState::Pending), ..all.clone() }, vec![doubtful, waiting]),
        (JobFilter { lanes: vec![lane("BOB@contoso.com")], ..all.clone() }, vec![failed, doubtful]),
        // Rows that name no mailbox are those of the default one.
        (JobFilter { lanes: LaneKey::all_of(TEAM, Some(TEAM)), ..all.clone() }, vec![waiting]),
        (JobFilter { error_kind: Some("denied".into()), ..all.clone() }, vec![failed]),
        (JobFilter { in_doubt: true, ..all.clone() }, vec![doubtful]),
    ] {
        assert_eq!(listed(&bed, filter.clone()).await, expected, "{filter:?}");
    }
}

async fn a_list_is_narrowed_by_keys_ids_and_times_and_says_how_many_fit<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let [sent, failed, cancelled, doubtful, claimed, waiting] = one_of_each(&bed).await;
    let keyed = bed.queue().insert(&[NewJob { dedup_key: Some("order 7".into()), ..later("") }]).await.unwrap()[0];
    let all = JobFilter { limit: 2, ..JobFilter::default() };
    let (before, after) = (Utc::now() - TimeDelta::hours(1), Utc::now() + TimeDelta::hours(1));
    for (filter, newest, count) in [
        (all.clone(), vec![waiting, keyed], 7),
        (JobFilter { before: Some(JobId(claimed)), ..all.clone() }, vec![cancelled, doubtful], 4),
        (JobFilter { dedup_key: Some("order 7".into()), ..all.clone() }, vec![keyed], 1),
        (JobFilter { dedup_key: Some("order 8".into()), ..all.clone() }, vec![], 0),
        (JobFilter { state: Some(JobState::Sent), ..all.clone() }, vec![sent], 1),
        (JobFilter { state: Some(JobState::Pending), ..all.clone() }, vec![waiting, keyed], 3),
        (JobFilter { state: Some(JobState::Sent), before: Some(JobId(sent)), ..all.clone() }, vec![], 0),
        (JobFilter { lanes: vec![lane(BOB)], ..all.clone() }, vec![failed, doubtful], 2),
        (JobFilter { in_doubt: true, ..all.clone() }, vec![doubtful], 1),
        (JobFilter { since: Some(before), ..all.clone() }, vec![waiting, keyed], 7),
        (JobFilter { since: Some(before), state: Some(JobState::Failed), ..all.clone() }, vec![failed], 1),
        (JobFilter { since: Some(after), ..all.clone() }, vec![], 0),
    ] {
        assert_eq!(listed(&bed, filter.clone()).await, newest, "{filter:?}");
        let counted = bed.queue().count(&filter, Duration::from_secs(60)).await.unwrap();
        assert_eq!(counted, Some(count), "{filter:?}");
    }
    assert_eq!(bed.queue().count(&all, Duration::ZERO).await.unwrap(), None, "not in no time");
    assert_eq!(bed.queue().count(&all, Duration::from_secs(60)).await.unwrap(), Some(7), "and then as ever");
}

async fn jobs_are_found_by_their_ids_as_far_as_they_are_there<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let inserted = bed.insert(&[ANN, BOB]).await;
    let found = bed.queue().jobs_by_id(&ids(&[inserted[1], 999, inserted[0]])).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id.0).collect::<Vec<_>>(), inserted);
    assert_eq!(bed.queue().job(JobId(999)).await.unwrap(), None);
    assert_eq!(bed.queue().input(JobId(999)).await.unwrap(), None);
}

async fn an_overview_counts_every_job_once<B: Backend>() {
    let bed = Bed::<B>::new().await;
    one_of_each(&bed).await;
    let overview = bed.overview().await;
    let expected = JobState::ALL.map(|state| (state, if state == JobState::Pending { 2 } else { 1 }));
    assert_eq!((overview.counts.as_slice(), overview.in_doubt), (&expected[..], 1));
    assert_eq!(overview.failed_by_kind, [(Some("denied".to_owned()), 1)]);
    assert_eq!((overview.last_minute.sent, overview.last_hour.failed), (1, 1));
    assert_eq!(overview.by_minute.iter().sum::<i64>(), 3);
}

async fn an_overview_names_what_waits_by_mailbox<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&[ANN, "", TEAM, " TEAM@contoso.com", BOB]).await;
    bed.queue().insert(&[later(TEAM)]).await.unwrap();
    let waiting = bed.overview().await.waiting;
    let told: Vec<_> = waiting.mailboxes.iter().map(|one| (one.mailbox.as_str(), one.jobs, one.later)).collect();
    assert_eq!(told, [(TEAM, 4, 1), (ANN, 1, 0), (BOB, 1, 0)]);
    assert_eq!((waiting.total.jobs, waiting.total.later, waiting.more), (6, 1, 0));
    let few = bed.queue().overview(Utc::now(), Some(TEAM), 1).await.unwrap().waiting;
    assert_eq!((few.mailboxes.len(), few.more), (1, 2));
}

async fn an_overview_says_what_waiting_jobs_met<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let met = bed.pause(pause(ANN, "full"), ErrorKind::Throttled).await;
    bed.insert(&[BOB]).await;
    let overview = bed.overview().await;
    assert_eq!((overview.troubled, overview.troubles.len()), (1, 1));
    let trouble = &overview.troubles[0];
    assert_eq!((trouble.kind.text(), trouble.jobs, trouble.newest_id), (Some("throttled"), 1, met));
}

async fn an_overview_names_stopped_mailboxes<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.pause(pause(ANN, "full"), ErrorKind::Unavailable).await;
    bed.queue().hold_mailbox(&lane(BOB), Some("moved"), Utc::now()).await.unwrap();
    let overview = bed.overview().await;
    assert_eq!(overview.paused.iter().map(|row| row.mailbox.as_str()).collect::<Vec<_>>(), [ANN]);
    assert_eq!(overview.held.iter().map(|row| row.mailbox.as_str()).collect::<Vec<_>>(), [BOB]);
}

async fn the_monitor_counts_what_the_overview_counts<B: Backend>() {
    let bed = Bed::<B>::new().await;
    one_of_each(&bed).await;
    bed.insert(&[BOB]).await;
    let census = bed.queue().census(Utc::now(), Some(TEAM)).await.unwrap();
    assert_eq!((census.pending, census.due, census.claimed), (3, 1, 1));
    assert_eq!((census.sent, census.failed, census.cancelled, census.in_doubt), (1, 1, 1, 1));
    assert_eq!(census.failed_by_kind, [("denied".to_owned(), 1)]);
    assert!(census.due_since.is_some() && census.due_since_held.is_none(), "{census:?}");
    bed.queue().hold_mailbox(&lane(BOB), None, Utc::now()).await.unwrap();
    let census = bed.queue().census(Utc::now(), Some(TEAM)).await.unwrap();
    assert_eq!((census.due_since, census.held_mailboxes), (None, 1));
    assert!(census.due_since_held.is_some());
}

async fn what_waits_for_some_mailboxes_is_counted<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&[ANN, "Ann@contoso.com", BOB, ""]).await;
    assert_eq!(bed.queue().waiting_for(&[lane(ANN)]).await.unwrap(), 2);
    assert_eq!(bed.queue().waiting_for(&[lane(ANN), lane("")]).await.unwrap(), 3);
    assert_eq!(bed.queue().waiting_for(&[]).await.unwrap(), 0);
}

async fn a_queue_on_which_no_agent_ever_ran_has_none<B: Backend>() {
    let bed = Bed::<B>::new().await;
    assert_eq!(bed.queue().agents().await.unwrap(), []);
    assert_eq!(bed.overview().await.agents, []);
}

async fn a_new_queue_finds_nothing_wrong_with_itself<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let findings = bed.queue().health(Duration::from_secs(60)).await.unwrap();
    assert!(!findings.is_empty());
    let is_known = |means: &str| B::FLAWS.iter().any(|flaw| means.contains(flaw));
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.grade != Grade::Pass).collect();
    assert!(wrong.iter().all(|finding| is_known(&finding.means)), "{wrong:?}");
}

async fn what_no_index_knows_is_found_by_a_walk_in_steps<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let [sent, failed, cancelled, doubtful, claimed, waiting] = one_of_each(&bed).await;
    let found = async |sought: Sought| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let walked = bed.queue().walk(&sought, Step { before, rows: 4, limit: 2 }).await.unwrap();
            found.extend(walked.jobs.iter().map(|job| job.id.0));
            before = walked.before;
            if before.is_none() {
                return found;
            }
        }
    };
    let text = |text: &str| Sought { text: Some(text.into()), ..Sought::default() };
    assert_eq!(found(Sought::default()).await, [waiting, claimed, doubtful, cancelled, failed, sent]);
    assert_eq!(found(text("AAMkAGI=")).await, [sent]);
    assert_eq!(found(text("BOB@contoso.com")).await, [doubtful, failed]);
    assert_eq!(found(Sought { state: Some(JobState::Failed), ..text(BOB) }).await, [failed]);
    assert_eq!(found(Sought { error_kind: Some("denied".into()), ..Sought::default() }).await, [failed]);
    assert_eq!(found(text("nothing")).await, [0; 0]);
    for (state, jobs) in [(JobState::Pending, 2), (JobState::Sent, 1), (JobState::Failed, 1), (JobState::Claimed, 1)] {
        assert!(bed.queue().are_few(state, jobs).await.unwrap(), "{state:?}");
        assert!(!bed.queue().are_few(state, jobs - 1).await.unwrap(), "{state:?}");
    }
    let known = bed.queue().known_by(&format!("#{sent}"), 9).await.unwrap();
    assert_eq!(known.iter().map(|job| job.id.0).collect::<Vec<_>>(), [sent]);
}

on_every_queue! {
    what_no_index_knows_is_found_by_a_walk_in_steps
    a_list_shows_the_newest_that_fit_the_oldest_first
    a_list_is_narrowed_by_keys_ids_and_times_and_says_how_many_fit
    jobs_are_found_by_their_ids_as_far_as_they_are_there
    an_overview_counts_every_job_once
    an_overview_names_what_waits_by_mailbox
    an_overview_says_what_waiting_jobs_met
    an_overview_names_stopped_mailboxes
    the_monitor_counts_what_the_overview_counts
    what_waits_for_some_mailboxes_is_counted
    a_queue_on_which_no_agent_ever_ran_has_none
    a_new_queue_finds_nothing_wrong_with_itself
}
