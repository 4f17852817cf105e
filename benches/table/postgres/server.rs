//! A server on a unix socket in the bench's directory. It ends with this process, however that ends: a shell beside it waits for the
//! end of a pipe.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::{Bench, Result};

/// As Debian sets a server up, but for the place, and the memory that its makers advise to raise. Checkpoints are as far apart as
/// on a server that is meant to write.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
{
    "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --no-locale --no-instructions \
        && printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$2'" 'port = 5432' \
            'shared_buffers = 1GB' 'max_wal_size = 4GB' >> "$2/data/postgresql.conf" \
        && "$1/pg_ctl" -D "$2/data" -l "$2/log" -w start
} > "$2/made" 2>&1 && echo ready || cat "$2/made" "$2/log"
cat > /dev/null
"$1/pg_ctl" -D "$2/data" -m immediate stop
rm -rf "$2"
"#;

pub struct Server {
    programs: PathBuf,
    home: PathBuf,
    _alive: ChildStdin,
}

impl Server {
    /// None: it is not installed.
    pub fn start(bench: &Bench) -> Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let home = bench.home()?.keep();
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755))?;
        let mut shell = as_its_user(&home)?
            .args(["sh", "-c", SCRIPT, "sh"])
            .args([&programs, &home])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (alive, told) = (shell.stdin.take(), shell.stdout.take());
        let mut lines = BufReader::new(told.ok_or("the server has no output")?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        if first != "ready" {
            let rest: Vec<String> = lines.map_while(std::result::Result::ok).collect();
            return Err(format!("PostgreSQL does not start: {first} {}", rest.join(" ")).into());
        }
        Ok(Some(Self { programs, home, _alive: alive.ok_or("the server has no input")? }))
    }

    /// For `queue.url`.
    pub fn url(&self, schema: &str) -> String {
        let host = self.home.display();
        format!("postgres://postgres@localhost/postgres?host={host}&options=-csearch_path%3D{schema}")
    }

    pub async fn connect(&self, schema: &str) -> Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass().host(&self.home.display().to_string()).port(5432);
        let options = options.username("postgres").database("postgres").options([("search_path", schema)]);
        Ok(options.disable_statement_logging().connect().await?)
    }

    /// Statements without parameters.
    pub async fn run(&self, schema: &str, statements: &str) -> Result<()> {
        let mut connection = self.connect(schema).await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// pgbench on this schema with a script of its own: so many clients, each so many times.
    pub fn pgbench(&self, schema: &str, script: &Path, clients: usize, times: usize) -> Result<()> {
        let done = Command::new(self.programs.join("pgbench"))
            .env("PGOPTIONS", format!("-csearch_path={schema}"))
            .args(["-n", "-M", "prepared", "-U", "postgres", "-h"])
            .arg(&self.home)
            .args([
                "-c",
                &clients.to_string(),
                "-j",
                "1",
                "-t",
                &times.to_string(),
                "-D",
                &format!("clients={clients}"),
            ])
            .arg("-f")
            .arg(script)
            .arg("postgres")
            .output()?;
        let told = String::from_utf8_lossy(&done.stderr);
        // It ends well although its clients gave up.
        if !done.status.success() || told.contains("ERROR") {
            return Err(format!("pgbench failed: {told}").into());
        }
        Ok(())
    }
}

/// Where Debian keeps the newest.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let version = |bin: &PathBuf| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let mut all: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    all.sort_by_key(version);
    all.into_iter().rev().find(|bin| bin.join("initdb").exists() && bin.join("pgbench").exists())
}

/// The server refuses to run as root, which the bench may be.
fn as_its_user(home: &Path) -> Result<Command> {
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(Command::new("env"));
    }
    if !Command::new("chown").arg("postgres:postgres").arg(home).status()?.success() {
        return Err("there is no user postgres".into());
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
    Ok(command)
}
