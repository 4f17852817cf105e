//! A queue of each older version, with rows in every state and with what others have made on its tables, is brought up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// The versions that went out, and can be brought up.
const OLDEST: i64 = 4;
const NEW: i64 = 10;

/// As the version before had it.
async fn old_queue(version: i64) -> (TempDir, std::path::PathBuf, SqliteConnection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut db = options.connect().await.unwrap();
    let older: Vec<_> = schema::MIGRATIONS.iter().filter(|step| step.version <= version).cloned().collect();
    let migrator = sqlx::migrate::Migrator { migrations: older.into(), ..sqlx::migrate!() };
    migrator.run_direct(None, &mut db, false).await.unwrap();
    run(&mut db, "PRAGMA journal_mode = WAL").await;
    (dir, path, db)
}

/// One in every state, some in doubt, some with attempts; the last id was given and is gone.
async fn rows_of_every_kind(db: &mut SqliteConnection) {
    let (claimed_at, finished) =
        (("claimed_at", "'2026-11-01T00:00:00.000Z'"), ("finished_at", "'2026-11-01T00:00:01.000Z'"));
    for columns in [
        &[("mailbox", "' Ann@Contoso.com '"), ("dedup_key", "'order-7'")][..],
        &[("not_before", "'2100-01-01T00:00Z'"), ("extra", "'{}'"), ("body", "'text'")],
        &[("in_doubt", "1"), ("claims", "2"), ("first_sent_at", "'2026-11-01T00:00:00.000Z'"), claimed_at],
        &[("state", "'claimed'"), ("claims", "3"), claimed_at],
        &[("state", "'sent'"), ("event_id", "'AAMk'"), ("claims", "1"), ("attempts", "1"), finished],
        &[("state", "'failed'"), ("error_kind", "'denied'"), ("claims", "2"), finished],
        &[("state", "'failed'"), ("error_kind", "'exhausted'"), ("in_doubt", "1"), ("claims", "9"), finished],
        &[("state", "'cancelled'"), finished],
        &[("mailbox", "x'ff'"), ("subject", "x'00ff'")],
        &[("mailbox", "CAST(x'ff41' AS TEXT)")],
        &[],
    ] {
        add(db, columns).await;
    }
    for (job, claim, outcome) in [(5, 1, "sent"), (6, 1, "retry"), (6, 2, "failed"), (6, 2, "again")] {
        let attempt = "INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome)";
        run(db, &format!("{attempt} VALUES ({job}, {claim}, '2026-11-01T00:00:00.000Z', 7, '{outcome}')")).await;
    }
    run(db, "DELETE FROM jobs WHERE id = 11").await;
    // With the checks switched off: a time that is none, and no state at all.
    run(db, "PRAGMA ignore_check_constraints = ON").await;
    run(db, &insert(&[("id", "20"), ("next_attempt_at", "'soon'")])).await;
    run(db, &insert(&[("id", "21"), ("state", "'done'")])).await;
    run(db, "PRAGMA ignore_check_constraints = OFF").await;
    run(
        db,
        "INSERT INTO agent (id, version, started_at, settings_at, credential, credential_expires)
        VALUES (1, '0.1', 'then', 'then', 'certificate', 'soon')",
    )
    .await;
}

/// Every column the queue had, of every row.
async fn snapshot(db: &mut SqliteConnection, columns: &str) -> Vec<String> {
    let quoted: Vec<String> = columns
        .split(',')
        .map(|column| {
            let column = column.trim();
            format!("typeof({column}) || hex({column})")
        })
        .collect();
    let query = format!("SELECT {} FROM jobs ORDER BY id", quoted.join(" || '|' || "));
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(db).await.unwrap()
}

async fn columns(db: &mut SqliteConnection) -> String {
    one(db, "SELECT group_concat(name, ', ') FROM pragma_table_info('jobs')").await
}

#[tokio::test]
async fn a_queue_of_every_version_is_brought_up_with_all_that_is_in_it() {
    for version in OLDEST..NEW {
        let (_dir, path, mut db) = old_queue(version).await;
        rows_of_every_kind(&mut db).await;
        let columns = columns(&mut db).await;
        let before = snapshot(&mut db, &columns).await;
        assert_eq!(before.len(), 12);
        SqliteQueue::open(&path).await.unwrap_or_else(|error| panic!("{version}: {error}")).close().await;
        // 0005 puts right when some of them are due.
        let after = snapshot(&mut db, &columns).await;
        let same = |row: usize| version < 5 && [1, 10].contains(&row) || before[row] == after[row];
        assert!((0..12).all(same), "{version}: {before:#?} {after:#?}");
        let attempts: String =
            one(&mut db, "SELECT group_concat(job_id || claim || outcome) FROM (SELECT * FROM attempts ORDER BY 1, 2)")
                .await;
        assert_eq!(attempts, "51sent,61retry,62again", "{version}");
        let agent: (i64, String, String) = sqlx::query_as("SELECT count(*), version, credential_expires FROM agents")
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(agent, (1, "0.1".into(), "soon".into()));
        for (id, mailbox) in [(1, " Ann@Contoso.com "), (2, ""), (10, "\u{fffd}A")] {
            let key: Vec<u8> =
                one(&mut db, &format!("SELECT CAST(mailbox_key AS BLOB) FROM jobs WHERE id = {id}")).await;
            assert_eq!(LaneKey::of(mailbox), LaneKey::of(&String::from_utf8_lossy(&key)), "{id}");
        }
        let queue = SqliteQueue::open(&path).await.unwrap().with_clock(Clock::new(|| at_ms(0)));
        assert_eq!(queue.rules().await.unwrap(), Rules::default(), "{version}");
        // No id is given twice.
        assert_eq!(queue.insert(&[job("new")]).await.unwrap(), [22], "{version}");
        let left = queue.join().await.unwrap();
        assert_eq!((left.jobs, left.left.len()), (1, 1), "{version}: claimed, and in no state");
        let news = queue.claim(&ClaimRequest { limit: 0, ..request() }).await.unwrap().news;
        assert_eq!(news.limits.len(), 1, "{version}");
        let claimed = queue.claim(&request()).await.unwrap();
        assert_eq!(claimed.broken, [JobId(20)], "{version}: a time that is none");
    }
}

#[tokio::test]
async fn what_others_have_made_on_the_tables_is_made_again() {
    let theirs = [
        "CREATE INDEX theirs ON jobs (subject)",
        "CREATE UNIQUE INDEX once ON jobs (location, subject)",
        "CREATE TRIGGER audit AFTER INSERT ON jobs BEGIN INSERT INTO seen VALUES (NEW.id); END",
        "CREATE TRIGGER tried AFTER INSERT ON attempts BEGIN INSERT INTO seen VALUES (-NEW.job_id); END",
    ];
    let (_dir, path, mut db) = old_queue(NEW - 1).await;
    run(&mut db, "CREATE TABLE seen (id); CREATE VIEW open_jobs AS SELECT id FROM jobs WHERE state = 'pending'").await;
    run(
        &mut db,
        "CREATE TRIGGER asked AFTER INSERT ON seen BEGIN UPDATE jobs SET subject = 'seen' WHERE id = NEW.id; END",
    )
    .await;
    for sql in theirs {
        run(&mut db, sql).await;
    }
    add(&mut db, &[]).await;
    SqliteQueue::open(&path).await.unwrap().close().await;
    for sql in theirs {
        assert_eq!(
            one::<i64>(&mut db, &format!("SELECT count(*) FROM sqlite_master WHERE sql = '{sql}'")).await,
            1,
            "{sql}"
        );
    }
    // The copying does not count as their insert; the next one does. The old connection goes on.
    assert_eq!(one::<i64>(&mut db, "SELECT count(*) FROM seen").await, 1);
    add(&mut db, &[]).await;
    assert_eq!(one::<String>(&mut db, "SELECT group_concat(id) FROM seen").await, "1,2");
    assert_eq!(one::<String>(&mut db, "SELECT group_concat(subject) FROM jobs").await, "seen,seen");
    assert_eq!(one::<i64>(&mut db, "SELECT count(*) FROM open_jobs").await, 2);
}

#[tokio::test]
async fn what_would_be_lost_is_named_and_the_queue_stays_as_it_was() {
    for (theirs, named) in [
        ("ALTER TABLE jobs ADD COLUMN customer TEXT", "the columns customer of jobs"),
        ("ALTER TABLE attempts ADD COLUMN seen_by TEXT", "the columns seen_by of attempts"),
        ("CREATE TRIGGER noted AFTER INSERT ON agent BEGIN SELECT 1; END", "the trigger noted on agent"),
    ] {
        let (_dir, path, mut db) = old_queue(NEW - 1).await;
        run(&mut db, theirs).await;
        add(&mut db, &[]).await;
        let error = SqliteQueue::open(&path).await.err().unwrap();
        assert!(error.to_string().contains(named) && !error.may_pass(), "{error}");
        assert_eq!(one::<i64>(&mut db, "SELECT max(version) FROM _sqlx_migrations").await, NEW - 1);
        assert_eq!(one::<i64>(&mut db, "SELECT count(*) FROM jobs").await, 1);
    }
}

#[tokio::test]
async fn a_writer_with_prepared_statements_goes_on_beside_the_way_up() {
    let (_dir, path, mut db) = old_queue(NEW - 1).await;
    let insert = "INSERT INTO jobs (start_time, end_time, mailbox) VALUES (?1, ?2, ?3)";
    let mut writer = connect(&path).await;
    for _ in 0..2 {
        sqlx::query(insert)
            .bind("2026-12-01T09:00")
            .bind("2026-12-01T10:00")
            .bind("Ann@c.d")
            .execute(&mut writer)
            .await
            .unwrap();
    }
    let queue = SqliteQueue::open(&path).await.unwrap();
    sqlx::query(insert)
        .bind("2026-12-01T09:00")
        .bind("2026-12-01T10:00")
        .bind("Ann@c.d")
        .execute(&mut writer)
        .await
        .unwrap();
    assert_eq!(one::<i64>(&mut db, "SELECT count(*) FROM jobs WHERE mailbox_key = 'ann@c.d'").await, 3);
    assert_eq!(queue.claim(&request()).await.unwrap().jobs.len(), 3);
}

// What is new

#[tokio::test]
async fn the_rules_of_operations_are_the_tables() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let times = |start, end| [("start_time", start), ("end_time", end)];
    let (some, none) = ("'2026-12-01T09:00'", "NULL");
    for (operation, start, end, rule) in [
        ("'create'", some, none, "a_create_has_start_time_and_end_time"),
        ("'update'", some, none, "an_update_has_start_time_and_end_time_or_neither"),
        ("'update'", none, some, "an_update_has_start_time_and_end_time_or_neither"),
        ("'delete'", some, some, "a_delete_has_no_start_time_and_no_end_time"),
        ("'delete'", none, some, "a_delete_has_no_start_time_and_no_end_time"),
        ("'move'", some, some, "operation_is_create_update_or_delete"),
    ] {
        let of_event = [("operation", operation), ("event_key", "'order-1'")];
        let error = refusal(db, &insert(&[&of_event[..], &times(start, end)].concat())).await;
        assert!(error.contains(rule), "{operation} {start} {end}: {error}");
    }
    for (operation, start, end) in [("'update'", some, some), ("'update'", none, none), ("'delete'", none, none)] {
        let of_event = [("operation", operation), ("target_event_id", "'AAMk'")];
        add(db, &[&of_event[..], &times(start, end)].concat()).await;
    }
    for (column, value, rule) in [
        ("event_key", "''", "event_key_has_1_to_255_characters"),
        ("event_key", "x'61'", "event_key_has_1_to_255_characters"),
        ("event_key", "replace(hex(zeroblob(128)), '0', 'x')", "event_key_has_1_to_255_characters"),
        ("priority", "2", "priority_is_minus_1_0_or_1"),
        ("priority", "-2", "priority_is_minus_1_0_or_1"),
        ("priority", "0.5", "priority_is_minus_1_0_or_1"),
        ("priority", "'high'", "priority_is_minus_1_0_or_1"),
        ("priority", "NULL", "jobs.priority"),
        ("cause", "''", "cause_has_1_to_64_characters"),
        ("cause", "replace(hex(zeroblob(33)), '0', 'x')", "cause_has_1_to_64_characters"),
    ] {
        let error = refusal(db, &insert(&[(column, value)])).await;
        assert!(error.contains(rule), "{column} = {value}: {error}");
    }
    for kind in ["'expired'", "'superseded'", "'target'"] {
        add(db, &[("error_kind", kind), ("cause", "'mailbox_full'"), ("priority", "-1")]).await;
    }
}

/// Whoever writes it, and whatever they write into it.
#[tokio::test]
async fn the_lane_is_the_mailboxs_and_follows_it() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let key = async |db: &mut SqliteConnection| one::<String>(db, "SELECT mailbox_key FROM jobs WHERE id = 1").await;
    add(db, &[("mailbox", "'Ann@contoso.com'"), ("mailbox_key", "'wrong'")]).await;
    assert_eq!(key(db).await, "ann@contoso.com");
    for recursive in ["OFF", "ON"] {
        run(db, &format!("PRAGMA recursive_triggers = {recursive}")).await;
        for (change, lane) in [
            ("mailbox = char(9) || ' Bob@contoso.com '", "bob@contoso.com"),
            ("mailbox_key = 'wrong'", "bob@contoso.com"),
            ("mailbox_key = NULL", "bob@contoso.com"),
            ("mailbox = NULL", ""),
            ("mailbox = 'ÄNN@contoso.com', mailbox_key = 'wrong'", "Änn@contoso.com"),
            ("state = 'cancelled', finished_at = 'x', mailbox = 'c'", "c"),
            ("state = 'pending', finished_at = NULL", "c"),
        ] {
            run(db, &format!("UPDATE jobs SET {change}")).await;
            assert_eq!(key(db).await, lane, "{change}");
        }
    }
    for mailbox in ["\u{a0}Ann", " \r\n", "x'", "Straße@contoso.com", &"Long".repeat(200)] {
        sqlx::query("UPDATE jobs SET mailbox = ?1").bind(mailbox).execute(&mut *db).await.unwrap();
        assert_eq!(key(db).await, LaneKey::of(mailbox).as_str());
    }
    // Frozen by a claim, the default's lane is the job's.
    run(db, "UPDATE jobs SET mailbox = NULL").await;
    bed.claim().await;
    assert_eq!(key(db).await, LaneKey::of("Team@contoso.com").as_str());
}

/// While a mapper's rebuild has the triggers away, nobody says which lane a job is in.
#[tokio::test]
async fn a_job_inserted_while_the_triggers_are_missing_is_put_into_its_lane() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "DROP TRIGGER jobs_are_put_into_their_lane").await;
    add(db, &[("mailbox", "'Ann@contoso.com'")]).await;
    let claimed = bed.queue.claim(&request()).await.unwrap();
    assert_eq!((claimed.jobs.len(), claimed.broken.len()), (1, 0));
    assert_eq!(claimed.jobs[0].0, LaneKey::of("ann@contoso.com"));
}

/// What is left of a BEFORE trigger there has the whole row read once more.
#[tokio::test]
async fn on_the_good_way_no_trigger_comes_before_the_change_and_none_changes_the_row_again() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("mailbox", "'ann@contoso.com'")]).await;
    run(db, "CREATE TABLE changes (n); CREATE TRIGGER counted AFTER UPDATE ON jobs BEGIN INSERT INTO changes VALUES (1); END").await;
    let job = bed.claim().await.remove(0);
    settle_tests::settle(&bed, &settle_tests::end(&job, settle_tests::sent())).await;
    assert_eq!(bed.row(1).await["state"], "sent");
    assert_eq!(one::<i64>(db, "SELECT count(*) FROM changes").await, 2, "one change for the claim, one for its end");
    let before =
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'jobs' AND sql LIKE '%BEFORE UPDATE%'
        AND (sql LIKE '%BEFORE UPDATE ON%' OR sql GLOB '*UPDATE OF*[ ,]state[, ]*ON jobs*')";
    assert_eq!(one::<i64>(db, before).await, 0);
}
