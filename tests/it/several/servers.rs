//! PostgreSQL servers of one test's own, which it may stop, kill, copy and promote. Each has an address of its own on this machine's
//! loopback, and a socket for the tests. They end with the process of the tests, however that ends, as in `crate::cluster`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::cluster::{as_its_user, home, programs, skipped};
use crate::process::{LOOK, PATIENCE};

/// Waits for the end of the tests.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat > /dev/null
for server in "$2"/*/; do "$1/pg_ctl" -D "$server" -m immediate -t 5 stop; done
rm -rf "$2"
"#;

/// The servers of a test.
pub struct Servers {
    programs: PathBuf,
    home: PathBuf,
    _keeper: Keeper,
}

pub struct OwnServer {
    programs: PathBuf,
    home: PathBuf,
    data: PathBuf,
    address: String,
}

/// A shell that stands beside the test, and takes away what the test has started when its input ends: with the test, or with the
/// process of the tests.
pub struct Keeper(Child);

impl Keeper {
    /// The script's arguments: a program or where programs are, and the directory of what it keeps.
    pub fn runs(script: &str, programs: &Path, home: &Path) -> Self {
        let mut shell = as_its_user(home);
        shell.args(["sh", "-c", script, "sh"]).args([programs, home]).stdin(Stdio::piped());
        Self(shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// When nobody is connected any more.
    Smart,
    Fast,
    Immediate,
}

impl Servers {
    /// None: the server is not installed.
    pub fn new() -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("the tests of several agents with a server of their own, for PostgreSQL is not installed");
            return None;
        };
        let home = home();
        let keeper = Keeper::runs(SCRIPT, &programs, &home);
        Some(Self { programs, home, _keeper: keeper })
    }

    /// A new server that runs.
    pub fn primary(&self) -> OwnServer {
        let server = self.place("primary");
        let made = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"];
        server.program("initdb").args(made).arg("-D").arg(&server.data).succeeds();
        // Without syncs: no machine crashes here.
        server.set(&["fsync = off", "shared_buffers = 32MB", "max_wal_size = 256MB", "max_connections = 200"]);
        server.start();
        server
    }

    /// One that follows that one.
    pub fn standby(&self, of: &OwnServer) -> OwnServer {
        let server = self.place("standby");
        let copied = ["-U", "postgres", "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"];
        server
            .program("pg_basebackup")
            .args(copied)
            .args([Path::new("-h"), &of.socket()])
            .arg("-D")
            .arg(&server.data)
            .succeeds();
        server.set(&[]);
        server.start();
        server
    }

    fn place(&self, name: &str) -> OwnServer {
        let number = || fastrand::u8(1..255);
        let address = format!("127.{}.{}.{}", fastrand::u8(64..128), number(), number());
        let (programs, home, data) = (self.programs.clone(), self.home.clone(), self.home.join(name));
        let server = OwnServer { programs, home, data, address };
        std::fs::create_dir(server.socket()).unwrap();
        std::fs::set_permissions(server.socket(), PermissionsExt::from_mode(0o777)).unwrap();
        server
    }
}

impl OwnServer {
    /// As in `queue.url`.
    pub fn host(&self) -> String {
        format!("{}:5432", self.address)
    }

    pub fn url(&self) -> String {
        url(&[self])
    }

    /// As another program.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass().host(self.socket().to_str().unwrap()).port(5432);
        options.username("postgres").database("postgres").disable_statement_logging().connect().await.unwrap()
    }

    /// The answer to a question that has one.
    pub async fn asked(&self, question: &str) -> Option<String> {
        let answer = sqlx::query_scalar(AssertSqlSafe(question.to_owned()));
        answer.fetch_optional(&mut self.connect().await).await.unwrap().flatten()
    }

    pub async fn until(&self, what: &str, question: &str) {
        let start = Instant::now();
        while self.asked(question).await.as_deref() != Some("yes") {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(LOOK * 5).await;
        }
    }

    pub fn start(&self) {
        self.program("pg_ctl").arg("-D").arg(&self.data).arg("-l").arg(self.log()).args(["-w", "start"]).succeeds();
    }

    pub fn stop(&self, how: Stop) {
        let mode = match how {
            // It waits for the agents, and nobody here waits for it.
            Stop::Smart => &["-m", "smart", "-W", "stop"][..],
            Stop::Fast => &["-m", "fast", "-w", "stop"],
            Stop::Immediate => &["-m", "immediate", "-w", "stop"],
        };
        self.program("pg_ctl").arg("-D").arg(&self.data).args(mode).succeeds();
    }

    /// kill -9 of all its processes, the postmaster first.
    pub fn kill(&self) {
        let postmaster = self.postmaster();
        let all: Vec<u32> = std::iter::once(postmaster).chain(children(postmaster)).collect();
        all.iter().for_each(|pid| signal("KILL", *pid));
        let start = Instant::now();
        while all.iter().any(|pid| runs(*pid)) {
            assert!(start.elapsed() < PATIENCE, "the server outlives a kill -9");
            std::thread::sleep(LOOK);
        }
        // Until somebody has taken note of its end its number is taken, and the next one would think that it runs.
        let _ = std::fs::remove_file(self.data.join("postmaster.pid"));
        let _ = std::fs::remove_file(self.socket().join(".s.PGSQL.5432.lock"));
    }

    /// What it writes from now on reaches no standby.
    pub async fn stop_sending(&self) {
        let sender = self.asked("SELECT pid::text FROM pg_stat_replication").await.expect("a standby follows");
        signal("STOP", sender.parse().unwrap());
    }

    /// The standby is the server from now on.
    pub fn promote(&self) {
        self.program("pg_ctl").arg("-D").arg(&self.data).args(["-w", "promote"]).succeeds();
    }

    pub fn set(&self, settings: &[&str]) {
        let file = self.data.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&file).unwrap();
        let socket = self.socket();
        let socket = socket.display();
        text.push_str(&format!("\nlisten_addresses = '{}'\nunix_socket_directories = '{socket}'\n", self.address));
        settings.iter().for_each(|setting| text.push_str(&format!("{setting}\n")));
        std::fs::write(file, text).unwrap();
    }

    /// Beside its data, which a standby copies.
    fn socket(&self) -> PathBuf {
        self.data.with_extension("socket")
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    fn postmaster(&self) -> u32 {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    fn program(&self, name: &str) -> Program {
        let mut command = as_its_user(&self.home);
        command.arg(self.programs.join(name)).current_dir(&self.home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program { command, log: self.log() }
    }
}

/// For `queue.url`: all of them.
pub fn url(servers: &[&OwnServer]) -> String {
    let hosts: Vec<String> = servers.iter().map(|server| server.host()).collect();
    let hosts = hosts.join(",");
    format!("postgres://postgres@{hosts}/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=2")
}

struct Program {
    command: Command,
    log: PathBuf,
}

impl Program {
    fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    fn succeeds(mut self) {
        let ended = self.command.status().unwrap();
        let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(ended.success(), "{:?}: {ended}\n{}", self.command, log());
    }
}

fn children(of: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Neither gone nor a zombie.
fn runs(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| state != 'Z')
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
}
