//! What only a queue on a server can meet: the schema that is there or not, roles, several agents, notices.

use chrono::TimeDelta;
use event_sender::config::Database;
use event_sender::job::JobId;
use event_sender::queue::{
    Agent, AgentRow, Grade, InsertError, JobFilter, Operate, PostgresQueue, Produce, QueueError, Read, Server,
};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, Want, defaults, end, event, job, lane};
use crate::cluster::Cluster;
use crate::postgres::{Postgres, server};

/// Leaves the test where there is no server.
macro_rules! cluster {
    () => {
        match Cluster::get() {
            Some(cluster) => cluster,
            None => return,
        }
    };
}

async fn sql(schema: &str, statements: &str) {
    let mut other = Cluster::get().unwrap().connect(schema).await;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
}

async fn refusal(schema: &str) -> String {
    PostgresQueue::open_existing(server(schema)).await.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_no_queue_of_this_program_is_not_opened_and_not_touched() {
    let cluster = cluster!();
    let schema = cluster.schema().await;
    assert!(refusal(&schema).await.contains("'event-sender migrate' creates it"));
    sql(&schema, "CREATE TABLE jobs (id int)").await;
    for refused in [refusal(&schema).await, PostgresQueue::migrate(server(&schema)).await.err().unwrap().to_string()] {
        assert!(refused.contains("tables of another program"), "{refused}");
    }
    sql(&schema, "DROP TABLE jobs").await;
    PostgresQueue::migrate(server(&schema)).await.unwrap();
    sql(&schema, "UPDATE _sqlx_migrations SET checksum = '\\x00'").await;
    assert!(refusal(&schema).await.contains("tables of another program"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_an_older_one_brought_up_by_migrate_alone() {
    let cluster = cluster!();
    let schema = cluster.schema().await;
    PostgresQueue::migrate(server(&schema)).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (1000, 'of tomorrow', true, '', 0)";
    sql(&schema, newer).await;
    for refused in [refusal(&schema).await, PostgresQueue::migrate(server(&schema)).await.err().unwrap().to_string()] {
        assert!(refused.contains("newer event-sender (schema 1000"), "{refused}");
    }
}

#[tokio::test]
async fn a_place_without_server_database_or_schema_is_told_apart() {
    let cluster = cluster!();
    let of = |url: String| Server::of(&Database::of(&url, None).unwrap());
    let url = cluster.url("public");
    let nobody = PostgresQueue::open_existing(of(url.replace("host=/", "host=/nowhere/"))).await.err().unwrap();
    assert!(nobody.may_pass() && nobody.to_string().contains("cannot reach the queue"), "{nobody}");
    for (wrong, told) in [
        (url.replace("localhost/postgres", "localhost/nothing"), "there is no database"),
        (cluster.url("nowhere"), "has no schema for the queue"),
    ] {
        let error = PostgresQueue::open_existing(of(wrong)).await.err().unwrap();
        assert!(!error.may_pass() && error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn two_that_migrate_at_once_find_one_queue() {
    let cluster = cluster!();
    let schema = cluster.schema().await;
    let (one, other) = tokio::join!(PostgresQueue::migrate(server(&schema)), PostgresQueue::migrate(server(&schema)));
    let ids = one.unwrap().insert(&[job(ANN)]).await.unwrap();
    assert_eq!(other.unwrap().jobs_by_id(&[JobId(ids[0])]).await.unwrap().len(), 1);
}

/// Plans are made while the table is empty, and no statistics say later that it is not.
#[tokio::test]
async fn a_claim_and_its_end_touch_a_few_rows_however_many_wait() {
    const WAITING: i64 = 3000;
    const FEW: i64 = 400;
    let cluster = cluster!();
    let bed = Bed::<Postgres>::new().await;
    sql(bed.backend.schema(), "ALTER TABLE jobs SET (autovacuum_enabled = false)").await;
    let ten = Want { limit: 10, ..ALL };
    let early = bed.claimed(ANN).await;
    for _ in 0..8 {
        bed.settle(&end(&bed.claimed(ANN).await, event())).await;
    }
    bed.settle(&end(&early, event())).await;
    let many = format!(
        "INSERT INTO jobs (start_time, end_time, mailbox)
        SELECT '2026-12-01T09:00:00', '2026-12-01T10:00:00', '{ANN}' FROM generate_series(1, {WAITING})"
    );
    sql(bed.backend.schema(), &many).await;
    let mut other = cluster.connect(bed.backend.schema()).await;
    // A session tells with a later statement what it has done, a second after that at most.
    let mut touched = async |told: &str, least: i64| {
        loop {
            let taken = bed.claim(Want { limit: 0, ..ALL }).await;
            assert!(taken.jobs.is_empty());
            bed.settle(&end(&early, event())).await;
            let told = format!(
                "SELECT {told}, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'jobs'::regclass"
            );
            let (done, touched): (i64, i64) = sqlx::query_as(AssertSqlSafe(told)).fetch_one(&mut other).await.unwrap();
            if done >= least {
                return touched;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let before = touched("n_tup_ins", WAITING + 9).await;
    let taken = bed.claim(ten).await;
    assert_eq!(taken.jobs.len(), 10);
    for (_, job) in &taken.jobs {
        bed.settle(&end(job, event())).await;
    }
    let touched = touched("n_tup_upd", 2 * 9 + 2 * 10).await - before;
    assert!(touched < FEW, "{touched} rows");
}

#[tokio::test]
async fn two_queues_in_one_database_know_nothing_of_each_other() {
    cluster!();
    let (one, other) = (Bed::<Postgres>::new().await, Bed::<Postgres>::new().await);
    one.insert(&[ANN, BOB]).await;
    assert_eq!(other.queue().outstanding().await.unwrap(), 0);
    assert_eq!(other.claim(ALL).await.jobs.len(), 0);
    assert_eq!(one.claim(ALL).await.jobs.len(), 2);
}

#[tokio::test]
async fn each_role_of_the_script_may_do_its_part_and_no_more() {
    let cluster = cluster!();
    let schema = cluster.schema().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy/postgres-roles.sql");
    cluster.psql(&schema, script);
    let member = |part: &str| format!("{schema}_{part}_1");
    for part in ["owner", "agent", "producer", "reader"] {
        sql(&schema, &format!("CREATE ROLE {} LOGIN IN ROLE {schema}_{part}", member(part))).await;
    }
    let of = |part: &str| {
        let url = cluster.url(&schema).replace("postgres://postgres@", &format!("postgres://{}@", member(part)));
        Server::of(&Database::of(&url, None).unwrap())
    };
    let denied = PostgresQueue::migrate(of("agent")).await.err().unwrap().to_string();
    assert!(denied.contains("too few rights") && denied.contains("as the owner"), "{denied}");
    PostgresQueue::migrate(of("owner")).await.unwrap();
    cluster.psql(&schema, script);

    let producer = PostgresQueue::open_existing(of("producer")).await.unwrap();
    let id = producer.insert(&[job(ANN)]).await.unwrap()[0];
    let held = producer.hold_mailbox(&lane(ANN), None, chrono::Utc::now()).await.unwrap_err();
    assert!(matches!(held, QueueError::Trouble { may_pass: false, .. }), "{held}");

    let agent = PostgresQueue::open_existing(of("agent")).await.unwrap();
    agent.join().await.unwrap();
    let findings = agent.health(Duration::from_secs(60)).await.unwrap();
    assert!(!findings.iter().any(|finding| finding.means.contains("too few rights")), "{findings:?}");
    agent.hold_mailbox(&lane(ANN), None, chrono::Utc::now()).await.unwrap();
    agent.release_mailbox(&lane(ANN)).await.unwrap();
    agent
        .cancel(&[JobId(id)], false, chrono::Utc::now(), &mut |_, changed| assert_eq!(changed.done.len(), 1))
        .await
        .unwrap();

    let reader = PostgresQueue::open_existing(of("reader")).await.unwrap();
    reader.overview(chrono::Utc::now(), None, 5).await.unwrap();
    reader.census(chrono::Utc::now(), None).await.unwrap();
    assert_eq!(reader.jobs(&JobFilter { limit: 5, ..JobFilter::default() }).await.unwrap().len(), 1);
    let refused = reader.insert(&[job(ANN)]).await.unwrap_err();
    assert!(matches!(refused, InsertError::Queue(_)), "{refused}");
    let findings = reader.health(Duration::from_secs(60)).await.unwrap();
    let rights = findings.iter().find(|finding| finding.means.contains("too few rights")).unwrap();
    assert!(rights.grade == Grade::Fail && rights.means.contains("UPDATE on jobs"), "{rights:?}");
}

#[tokio::test]
async fn a_disabled_rule_and_a_strange_one_are_found() {
    cluster!();
    let bed = Bed::<Postgres>::new().await;
    bed.backend.sql("ALTER TABLE jobs DISABLE TRIGGER jobs_doubt_is_kept").await.unwrap();
    bed.backend.sql("CREATE UNIQUE INDEX one_subject ON jobs (subject)").await.unwrap();
    bed.backend.sql("DROP INDEX jobs_waiting").await.unwrap();
    let findings = bed.queue().health(Duration::from_secs(60)).await.unwrap();
    let told = |grade, words: &str| findings.iter().any(|f| f.grade == grade && f.means.contains(words));
    assert!(told(Grade::Fail, "jobs_waiting, jobs_doubt_is_kept"), "{findings:?}");
    assert!(told(Grade::Warn, "unique index one_subject on jobs"), "{findings:?}");
}

#[tokio::test]
async fn an_agent_that_runs_is_told_and_keeps_a_restored_queue_from_being_marked() {
    cluster!();
    let bed = Bed::<Postgres>::new().await;
    bed.insert(&[ANN, BOB]).await;
    bed.claim(ALL).await;
    let agents = bed.queue().agents().await.unwrap();
    let said = agents[0].said.as_ref().unwrap();
    assert!(agents.len() == 1 && agents[0].runs());
    assert_eq!((said.lanes, said.host.is_some(), said.name.is_empty()), (Some(2), true, false));
    assert!(said.lease_until.time().unwrap() > chrono::Utc::now());
    let operator = bed.backend.beside().await;
    let refused = operator.mark_in_doubt(&defaults(), chrono::Utc::now()).await.unwrap_err();
    assert!(matches!(refused, QueueError::AgentRuns(_)) && refused.to_string().contains("stop it first"), "{refused}");
    bed.backend.no_agent().await;
    let gone = bed.queue().agents().await.unwrap();
    assert_eq!((gone.len(), gone[0].runs()), (1, false));
}

#[tokio::test]
async fn what_an_operator_changes_is_told_to_all_agents() {
    cluster!();
    let bed = Bed::<Postgres>::new().await;
    let (operator, id) = (bed.backend.beside().await, bed.insert(&[ANN]).await[0]);
    let mut listener = PgListener::connect(&bed.backend.url()).await.unwrap();
    listener.listen("event_sender_jobs").await.unwrap();
    let now = chrono::Utc::now();
    let heard = async |listener: &mut PgListener, what: &str| loop {
        let notice = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.expect(what).unwrap();
        if notice.payload() == format!("{}\n*", bed.backend.schema()) {
            break;
        }
    };
    operator.hold_mailbox(&lane(ANN), None, now).await.unwrap();
    heard(&mut listener, "hold").await;
    operator.release_mailbox(&lane(ANN)).await.unwrap();
    heard(&mut listener, "release").await;
    operator.cancel(&[JobId(id)], false, now, &mut |_, _| {}).await.unwrap();
    heard(&mut listener, "cancel").await;
    operator.retry(&[JobId(id)], now, &mut |_, _| {}).await.unwrap();
    heard(&mut listener, "retry").await;
}

#[tokio::test]
async fn a_rule_of_somebody_else_stands_in_the_way_of_its_own_job_alone() {
    cluster!();
    let bed = Bed::<Postgres>::new().await;
    let ids = bed.insert(&[ANN, BOB, ANN]).await;
    let rule = "CREATE FUNCTION no_bob() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF NEW.mailbox LIKE 'bob%' THEN RAISE EXCEPTION 'Bob stays'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no_bob BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION no_bob()";
    bed.backend.sql(rule).await.unwrap();
    let mut changes = Vec::new();
    let all: Vec<JobId> = ids.iter().copied().map(JobId).collect();
    let now = chrono::Utc::now();
    bed.queue().cancel(&all, false, now, &mut |_, changed| changes.push(changed)).await.unwrap();
    assert_eq!(changes[0].done, [JobId(ids[0]), JobId(ids[2])]);
    assert_eq!(changes[0].refused, [(JobId(ids[1]), "Bob stays".to_owned())]);
}

#[tokio::test]
async fn a_connection_that_the_server_ended_is_made_anew() {
    let cluster = cluster!();
    let bed = Bed::<Postgres>::new().await;
    bed.insert(&[ANN]).await;
    let mut other = cluster.connect("public").await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    let ended: i64 = sqlx::query_scalar(end).bind(bed.backend.schema()).fetch_one(&mut other).await.unwrap();
    assert!(ended > 0);
    assert_eq!(bed.queue().waiting_for(&[lane(ANN)]).await.unwrap(), 1);
    bed.insert(&[BOB]).await;
    assert_eq!(bed.overview().await.waiting.total.jobs, 2);
}

/// The agent as others see it once its lease has been renewed so many times more.
async fn after_renewals(bed: &Bed<Postgres>, renewals: usize) -> AgentRow {
    let look = async || bed.queue().agents().await.unwrap().remove(0);
    let lease = |agent: &AgentRow| agent.said.as_ref().unwrap().lease_until.time();
    let (mut seen, mut agent) = (0, look().await);
    let start = std::time::Instant::now();
    while seen < renewals {
        assert!(start.elapsed() < Duration::from_secs(60), "the lease is not renewed");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = look().await;
        seen += usize::from(lease(&now) != lease(&agent));
        agent = now;
    }
    agent
}

/// The lease is renewed beside the agent's work, and tells nothing of it.
#[tokio::test]
async fn an_agent_that_gets_nowhere_gives_no_sign_of_life_although_its_lease_goes_on() {
    cluster!();
    let bed = Bed::<Postgres>::new().await;
    bed.claim(ALL).await;
    bed.queue().sign().await.unwrap();
    let first = after_renewals(&bed, 1).await.signed_at.unwrap();
    let stuck = after_renewals(&bed, 2).await;
    let moved = stuck.signed_at.unwrap() - first;
    assert!(stuck.runs() && moved.abs() < TimeDelta::seconds(2), "{moved}");
    let later = chrono::Utc::now() + TimeDelta::seconds(30);
    assert!(stuck.silent_since(later).is_some(), "in a while it counts as stuck");
    bed.queue().sign().await.unwrap();
    let moved = after_renewals(&bed, 1).await.signed_at.unwrap() - first;
    assert!(moved > TimeDelta::seconds(3), "{moved}");
}

/// The clock of the server before was an hour ahead: a lease tells.
#[tokio::test]
async fn after_a_failover_nothing_is_claimed_before_all_began_anew_and_everything_there_is_in_doubt() {
    cluster!();
    let bed = Bed::<Postgres>::new().await;
    bed.insert(&[ANN, BOB]).await;
    let before = "UPDATE queue_state SET timeline = '00000000';
        INSERT INTO agents (id, name, version, lease_until) VALUES (7, 'other', '1', now() + interval '1 hour')";
    bed.backend.sql(before).await.unwrap();
    let mut other = Cluster::get().unwrap().connect(bed.backend.schema()).await;
    let noticed = "SELECT quarantine_until > now() + interval '30 s' AND doubt_before > now() + interval '59 min'
            AND (SELECT lease_until <= now() AND how = 'expired' FROM agents WHERE id = 7)
        FROM queue_state WHERE quarantine_until IS NOT NULL";
    let start = std::time::Instant::now();
    loop {
        assert_eq!(bed.claim(ALL).await.jobs.len(), 0);
        if let Some(right) = sqlx::query_scalar::<_, bool>(noticed).fetch_optional(&mut other).await.unwrap() {
            assert!(right);
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nobody notices");
    }
    bed.backend.sql("UPDATE queue_state SET quarantine_until = now()").await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is claimed any more");
        bed.backend.seen().await;
        taken.extend(bed.claim(ALL).await.jobs);
    }
    assert!(taken.iter().all(|(_, job)| job.in_doubt), "what is there may have been sent before");
}
