//! Between the agents and the database stands pgbouncer. Where it is not installed these tests say that they are skipped.

use std::path::PathBuf;

use crate::bed::row_for;
use crate::cluster::{Cluster, home, skipped};
use crate::ground::Server;
use crate::ledger::End;

use super::fleet::Fleet;
use super::servers::Keeper;

/// Ends with the process of the tests.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
"$1" -q "$2/pgbouncer.ini" & pooler=$!
cat > /dev/null
kill -9 "$pooler"
rm -rf "$2"
"#;

struct Pooler {
    home: PathBuf,
    _keeper: Keeper,
}

impl Pooler {
    /// None: it is not installed. Pools `session` or `transaction`, for that role.
    async fn start(cluster: &Cluster, mode: &str, role: &str) -> Option<Self> {
        let Some(program) = program() else {
            skipped("the tests of agents behind pgbouncer, which is not installed (package pgbouncer)");
            return None;
        };
        let home = home();
        let (server, own) = (cluster.home().display(), home.display());
        // A session of the server ends with that of its client.
        let settings = format!(
            "[databases]\npostgres = host={server} port=5432 user={role}\n[pgbouncer]\npool_mode = {mode}\nlisten_addr =\n\
             listen_port = 6432\nunix_socket_dir = {own}\nauth_type = any\nlogfile = {own}/log\nserver_lifetime = 0\n"
        );
        std::fs::write(home.join("pgbouncer.ini"), settings).unwrap();
        let keeper = Keeper::runs(SCRIPT, &program, &home);
        let start = std::time::Instant::now();
        while !home.join(".s.PGSQL.6432").exists() {
            let log = || std::fs::read_to_string(home.join("log")).unwrap_or_default();
            assert!(start.elapsed() < crate::process::PATIENCE, "pgbouncer does not listen: {}", log());
            tokio::time::sleep(crate::process::LOOK).await;
        }
        Some(Self { home, _keeper: keeper })
    }

    fn url(&self, role: &str) -> String {
        format!("postgres://{role}@localhost:6432/postgres?host={}", self.home.display())
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places.find_map(|place| Some(place.join("pgbouncer")).filter(|program| program.exists()))
}

/// A fleet whose schema its role finds by itself: a pooler takes no options.
async fn pooled(mode: &str) -> Option<(Fleet, Pooler, String)> {
    let cluster = Cluster::get()?;
    let schema = cluster.schema().await;
    let fleet = Fleet::on(&cluster.url(&schema), cluster.connect(&schema).await, Server::Whole, 10).await;
    fleet.sql(&format!("CREATE ROLE {schema} SUPERUSER LOGIN; ALTER ROLE {schema} SET search_path = {schema}")).await;
    let pooler = Pooler::start(cluster, mode, &schema).await?;
    let url = pooler.url(&schema);
    Some((fleet, pooler, url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn behind_a_pooler_that_pools_sessions_a_row_is_sent_as_soon_as_it_is_there() {
    let Some((mut fleet, _pooler, url)) = pooled("session").await else { return };
    let agent = fleet.begun_by(&url, "a").await;
    // It asks for an echo after each silence of 5 s, and would have a new session if none had come.
    let hears = "SELECT count(*) FROM pg_stat_activity WHERE usename = current_schema()
        AND query LIKE 'SELECT pg_notify($1%' AND backend_start < now() - interval '12 s'";
    fleet.until("it has heard itself", async |fleet| fleet.number(hears).await > 0).await;
    for n in 0..5 {
        fleet.insert(&[row_for("ann@contoso.com").with("subject", &format!("plain {n}"))]).await;
        fleet.until_all_have_ended().await;
    }
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn behind_a_pooler_that_pools_transactions_an_agent_says_what_to_do_and_does_not_start() {
    let Some((mut fleet, _pooler, url)) = pooled("transaction").await else { return };
    let refused = fleet.agent_by(&url, "a").end().await.expect(78);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("queue.url") && said.contains("pooler in transaction mode"), "{said}");
    assert!(said.contains("have it pool by session, or name the server itself"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_a_pooler_takes_no_options_it_is_said_how_the_queue_is_found_without() {
    let Some((mut fleet, _pooler, url)) = pooled("session").await else { return };
    let refused = fleet.agent_by(&format!("{url}&options=-csearch_path%3Dqueue"), "a").end().await.expect(78);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("queue.url") && said.contains("ALTER ROLE … SET search_path"), "{said}");
}
