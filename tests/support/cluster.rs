//! A PostgreSQL server of the tests' own: made when the first test asks for it, on a unix socket in a directory of its own, and gone
//! when the process of the tests is, however that ends: a shell that stands beside it waits for the end of a pipe.
//!
//! Where the server's programs are not installed there is none, and that is said once, past the tests' captured output;
//! `EVENT_SENDER_POSTGRES=all`, as in `.ci/run`, makes it a failure.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// Without syncs: what a crash of the machine would take with it is of no use to anybody.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
{
    "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --no-locale --no-sync --no-instructions \
        && printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$2'" 'port = 5432' 'max_connections = 500' \
            'fsync = off' 'shared_buffers = 64MB' 'max_wal_size = 256MB' >> "$2/data/postgresql.conf" \
        && "$1/pg_ctl" -D "$2/data" -l "$2/log" -w start
} > "$2/made" 2>&1 && echo ready || cat "$2/made" "$2/log"
cat > /dev/null
"$1/pg_ctl" -D "$2/data" -m immediate stop
rm -rf "$2"
"#;

pub struct Cluster {
    programs: PathBuf,
    home: PathBuf,
    schemas: AtomicU32,
    /// Closed by the operating system when this process ends.
    _alive: ChildStdin,
}

impl Cluster {
    /// None: the server is not installed.
    pub fn get() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("the tests of a queue in PostgreSQL, which is not installed (package postgresql)");
            return None;
        };
        let home = home();
        let mut shell = as_its_user(&home)
            .args(["sh", "-c", SCRIPT, "sh"])
            .args([&programs, &home])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let alive = shell.stdin.take().unwrap();
        assert_eq!(first_line(&mut shell), "ready");
        Some(Self { programs, home, schemas: AtomicU32::new(0), _alive: alive })
    }

    /// The name of a new schema, which is empty.
    pub async fn schema(&self) -> String {
        let schema = format!("queue_{}", self.schemas.fetch_add(1, Ordering::Relaxed));
        let mut other = self.connect(&schema).await;
        let statement = format!("CREATE SCHEMA {schema}");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        schema
    }

    /// For `queue.url`.
    pub fn url(&self, schema: &str) -> String {
        let host = self.home.display();
        format!(
            "postgres://postgres@localhost/postgres?host={host}&application_name={schema}&options=-csearch_path%3D{schema}"
        )
    }

    /// Where its socket is.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A script, run by psql.
    pub fn psql(&self, schema: &str, script: &str) {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-q", "-h", &self.home.display().to_string(), "-p", "5432", "-U", "postgres", "-d", "postgres"]);
        let done = psql.args(["-v", &format!("schema={schema}"), "-f", script]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// As another program.
    pub async fn connect(&self, schema: &str) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass().host(&self.home.display().to_string()).port(5432);
        let options = options.username("postgres").database("postgres").options([("search_path", schema)]);
        options.disable_statement_logging().connect().await.unwrap()
    }
}

/// Says past the tests' captured output what is left out. Where everything must be there that is a failure.
pub fn skipped(what: &str) {
    assert!(std::env::var("EVENT_SENDER_POSTGRES").as_deref() != Ok("all"), "skipped: {what}");
    std::io::stderr().write_all(format!("\nSKIPPED: {what}\n\n").as_bytes()).unwrap();
}

/// A directory that other users may enter. Whoever asks for it takes it away.
pub fn home() -> PathBuf {
    let home = tempfile::Builder::new().prefix("event-sender-postgres").tempdir().unwrap().keep();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    home
}

/// Where `initdb` and `pg_ctl` are: where Debian keeps them, the newest, or in the path.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort_by_key(|bin| version_of(bin));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = debian.into_iter().rev().chain(std::env::split_paths(&path));
    found.find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
}

fn version_of(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}

/// The server refuses to run as root, which the tests may be; `home` becomes its user's.
pub fn as_its_user(home: &Path) -> Command {
    if nix::unistd::Uid::effective().is_root() {
        let owned = Command::new("chown").arg("postgres:postgres").arg(home).status().unwrap();
        assert!(owned.success(), "there is no user postgres");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
        return command;
    }
    Command::new("env")
}

pub fn first_line(shell: &mut Child) -> String {
    let mut told = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    if line.trim() != "ready" {
        let rest = told.lines().map_while(Result::ok).take(40).collect::<Vec<_>>().join("\n");
        line.push_str(&rest);
    }
    line.trim().to_owned()
}
