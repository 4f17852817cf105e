//! Producers: through the program and through SQL, by the same rules.

use std::collections::HashSet;

use event_sender::job::JobId;
use event_sender::queue::{Agent, InsertError, NewJob, Produce, Read};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, job};

fn keyed(key: &str) -> NewJob {
    NewJob { dedup_key: Some(key.into()), ..job(ANN) }
}

async fn ids_grow_in_the_order_the_jobs_were_given<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (first, second) = (bed.insert(&[ANN, BOB, ANN]).await, bed.insert(&[BOB]).await);
    assert!(first.is_sorted() && first[2] < second[0], "{first:?} {second:?}");
}

async fn every_job_has_a_transaction_id_of_its_own<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let mut seen = HashSet::new();
    for id in bed.insert(&[ANN; 4]).await {
        let transaction = bed.job(id).await.transaction_id.to_string();
        assert_eq!(transaction.len(), 36, "{transaction}");
        assert!(seen.insert(transaction));
    }
}

async fn what_was_inserted_is_what_the_agent_reads<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let full = NewJob {
        body: Some("Agenda".into()),
        location: Some("Room 1".into()),
        attendees: Some(r#"[{"address":"bob@contoso.com"}]"#.into()),
        calendar_id: Some("AAMkC".into()),
        body_type: Some("html".into()),
        time_zone: Some("Asia/Tokyo".into()),
        extra: Some(r#"{"showAs":"busy"}"#.into()),
        dedup_key: Some("order-7".into()),
        not_before: Some("2020-01-01T00:00:00Z".into()),
        ..job(ANN)
    };
    let id = bed.queue().insert(std::slice::from_ref(&full)).await.unwrap()[0];
    let mut read = bed.queue().input(JobId(id)).await.unwrap().unwrap();
    read.transaction_id = full.input().transaction_id;
    assert_eq!(read, full.input());
}

async fn all_jobs_go_in_or_none<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let wrong = NewJob { body_type: Some("rtf".into()), ..job(ANN) };
    let refused = bed.queue().insert(&[job(ANN), wrong, job(BOB)]).await.unwrap_err();
    let InsertError::Refused { index, reason } = refused else { panic!("{refused}") };
    assert!(index == 1 && reason.contains("body_type_is_text_or_html"), "{index} {reason}");
    assert_eq!(bed.queue().outstanding().await.unwrap(), 0);
    bed.insert(&[ANN]).await;
}

async fn text_with_a_nul_is_stored_or_refused_by_its_column<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let jobs = [job(ANN), NewJob { location: Some("Room\0 1".into()), ..job(ANN) }];
    match bed.queue().insert(&jobs).await {
        Ok(ids) => assert_eq!(ids.len(), 2),
        Err(InsertError::Refused { index: 1, reason }) => {
            assert_eq!(reason, "location: has a NUL character, which PostgreSQL cannot store; remove that character");
        }
        Err(other) => panic!("{other}"),
    }
}

async fn a_dedup_key_that_is_taken_is_refused_by_name<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.queue().insert(&[keyed("order-7")]).await.unwrap();
    let refused = bed.queue().insert(&[keyed("order-8"), keyed("order-7")]).await.unwrap_err();
    assert_eq!(refused.to_string(), "dedup_key: 'order-7' is taken; a job with this key is in the queue already");
    assert_eq!(bed.queue().outstanding().await.unwrap(), 1);
}

async fn with_gaps_what_is_refused_is_left_out_and_the_rest_goes_in<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let wrong = NewJob { attendees: Some("{}".into()), ..job(ANN) };
    let mut told = Vec::new();
    let jobs = [keyed("a"), wrong, keyed("a"), keyed("b")];
    bed.queue().insert_with_gaps(&jobs, &mut |batch| told.extend(batch)).await.unwrap();
    let refused: Vec<bool> = told.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, true, true, false]);
    assert!(told[1].as_ref().unwrap_err().contains("attendees_is_a_json_array"), "{told:?}");
    assert!(told[2].as_ref().unwrap_err().contains("'a' is taken"), "{told:?}");
    let ids: Vec<i64> = told.into_iter().filter_map(Result::ok).collect();
    assert_eq!(bed.claim(ALL).await.ids(), ids);
}

async fn many_jobs_with_gaps_go_in_in_batches<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (mut inserted, mut batches) = (0, 0);
    let mut on_batch = |batch: Vec<Result<i64, String>>| {
        batches += 1;
        inserted += batch.iter().filter(|job| job.is_ok()).count();
    };
    bed.queue().insert_with_gaps(&vec![job(ANN); 700], &mut on_batch).await.unwrap();
    assert_eq!(inserted, 700);
    assert!(batches > 1, "others have their turn in between");
}

async fn jobs_that_are_not_committed_are_not_there<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let mut insertion = bed.queue().begin().await.unwrap();
    insertion.add(&job(ANN)).await.unwrap();
    drop(insertion);
    assert_eq!(bed.queue().outstanding().await.unwrap(), 0);
    let mut insertion = bed.queue().begin().await.unwrap();
    let id = insertion.add(&job(ANN)).await.unwrap();
    insertion.commit().await.unwrap();
    assert_eq!(bed.claim(ALL).await.ids(), [id]);
}

async fn a_job_that_is_refused_leaves_those_before_it_as_they_are<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let mut insertion = bed.queue().begin().await.unwrap();
    let first = insertion.add(&keyed("a")).await.unwrap();
    assert!(matches!(insertion.add(&keyed("a")).await, Err(InsertError::Refused { index: 1, .. })));
    let third = insertion.add(&keyed("c")).await.unwrap();
    insertion.commit().await.unwrap();
    assert_eq!(bed.claim(ALL).await.ids(), [first, third]);
}

async fn the_least_a_producer_writes_is_a_start_and_an_end<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let least = "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')";
    assert_eq!(bed.backend.sql(least).await, Ok(1));
    assert_eq!(bed.claim(ALL).await.jobs.len(), 1);
    for refused in [
        "INSERT INTO jobs (subject) VALUES ('no times')",
        "INSERT INTO jobs (start_time, end_time, attendees) VALUES ('a', 'b', 'no list')",
        "INSERT INTO jobs (start_time, end_time, extra) VALUES ('a', 'b', '[]')",
        "INSERT INTO jobs (start_time, end_time, priority) VALUES ('a', 'b', 2)",
        "INSERT INTO jobs (start_time, end_time, state) VALUES ('a', 'b', 'claimed')",
    ] {
        assert!(bed.backend.sql(refused).await.is_err(), "{refused}");
    }
}

async fn jobs_after_one_that_brought_its_own_id_get_ids_beyond_it<B: Backend>() {
    let bed = Bed::<B>::new().await;
    for id in [1, 40, 41] {
        let insert = format!(
            "INSERT INTO jobs (id, start_time, end_time) VALUES ({id}, '2026-12-01T09:00', '2026-12-01T10:00')"
        );
        assert_eq!(bed.backend.sql(&insert).await, Ok(1));
        let next = bed.insert(&[ANN]).await[0];
        assert!(next > id, "{next} after {id}");
        assert_eq!(bed.backend.sql(&format!("DELETE FROM jobs WHERE id = {next}")).await, Ok(1));
    }
}

on_every_queue! {
    jobs_after_one_that_brought_its_own_id_get_ids_beyond_it
    ids_grow_in_the_order_the_jobs_were_given
    every_job_has_a_transaction_id_of_its_own
    what_was_inserted_is_what_the_agent_reads
    all_jobs_go_in_or_none
    text_with_a_nul_is_stored_or_refused_by_its_column
    a_dedup_key_that_is_taken_is_refused_by_name
    with_gaps_what_is_refused_is_left_out_and_the_rest_goes_in
    many_jobs_with_gaps_go_in_in_batches
    jobs_that_are_not_committed_are_not_there
    a_job_that_is_refused_leaves_those_before_it_as_they_are
    the_least_a_producer_writes_is_a_start_and_an_end
}
