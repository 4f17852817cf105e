"""Processes and what the kernel knows of them: the far side, PostgreSQL. All end with the script, however that ends."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

PATIENCE = 300  # longest wait for anything; reached only when something is wrong
LOOK = 0.02  # between two looks at what is busy
TICK = os.sysconf("SC_CLK_TCK")


def start(command, user=None, **more):
    """setpriv has the kernel end it when the script does."""
    privileges = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user and os.geteuid() == 0 else []
    return subprocess.Popen(["setpriv", *privileges, "--pdeathsig=KILL", "--", *map(str, command)], **more)


def stop(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu(pid):
    """Seconds of user and system that a process and all below it have used."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICK + sum(map(cpu, children))


def until(reached, what):
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            raise SystemExit(f"error: {what} does not come to its end")
        time.sleep(LOOK)


class FarSide:
    """The bench's own: `benches/table/far_side.rs`."""

    def __init__(self, program):
        self.process = start([program, "far-side"], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def counters(self):
        with urllib.request.urlopen(f"{self.url}/sandbox/counters") as answer:
            return json.load(answer)

    def created(self):
        """Requests that made an event, or would have, had its transaction id not been known."""
        counters = self.counters()
        return counters["events"] + counters["repeated"] + counters["unnamed"]

    def lost_and_doubled(self, rows):
        """Against so many rows, each with a body of its own."""
        counters = self.counters()
        return rows - counters["events"] - (counters["unnamed"] - counters["doubled"]), counters["doubled"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)


class Postgres:
    """A server on a unix socket, set up as Debian does but for its place and its memory; fsync and synchronous_commit are on."""

    SETTINGS = {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"}

    def __init__(self, home):
        versions = list(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not versions:
            raise SystemExit("error: no PostgreSQL below /usr/lib/postgresql: install it (on Debian: postgresql)")
        self.programs = max(versions, key=lambda path: float(path.parts[-3])).parent
        self.home = home
        home.chmod(0o755)
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(home, user, user)
        data = home / "data"
        initdb = [self.programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
        if start(initdb, user, cwd=home, stdout=subprocess.DEVNULL).wait() != 0:
            raise SystemExit("error: initdb failed")
        settings = [f"--{name}={value}" for name, value in self.SETTINGS.items()]
        with open(home / "log", "w") as log:
            self.process = start([self.programs / "postgres", "-D", data, "-k", home, *settings], user, cwd=home, stderr=log)
        ready = [self.programs / "pg_isready", "-q", "-h", home]
        until(lambda: subprocess.run(ready).returncode == 0, "the start of PostgreSQL")

    def url(self, database):
        return f"postgres://postgres@localhost/{database}?host={self.home}"

    def run(self, url, statement):
        psql = [self.programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement]
        return subprocess.run(psql, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def version(self):
        return re.match(r"[\d.]+", self.run(self.url("postgres"), "SHOW server_version"))[0]

    def cpu(self):
        return cpu(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
