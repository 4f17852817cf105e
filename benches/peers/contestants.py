"""Who is measured: how each is filled, started, and asked what it has recorded."""
import csv
import itertools
import json
import pathlib
import re
import sqlite3
import subprocess

from world import start

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / "target" / "release" / "peers"
EVENT_SENDER = ROOT / "target" / "release" / "event-sender"
MAILBOXES = 500
BODY = ("Agenda attached. " * 18)[:300]
ATTENDEES = [("Ann", "ann@contoso.com", "required"), ("Bob", "bob@contoso.com", "optional")]
COLUMNS = ["subject", "body", "start_time", "end_time", "location", "attendees", "mailbox"]
START, END = "2026-12-01T09:00:00", "2026-12-01T10:00:00"
NUMBERS = itertools.count(1)


def mailbox(number):
    return f"user{number % MAILBOXES}@contoso.com"


def row(number):
    """Of event-sender's queue."""
    attendees = [{"name": name, "address": address, "required": kind == "required"} for name, address, kind in ATTENDEES]
    return [f"Review {number}", BODY, START, END, "Room 1", json.dumps(attendees), mailbox(number)]


def job(number):
    """The same event as its peers have it: ready to be sent."""
    event = {
        "subject": f"Review {number}",
        "body": {"contentType": "text", "content": BODY},
        "start": {"dateTime": START, "timeZone": "UTC"},
        "end": {"dateTime": END, "timeZone": "UTC"},
        "location": {"displayName": "Room 1"},
        "attendees": [{"type": kind, "emailAddress": {"name": name, "address": address}} for name, address, kind in ATTENDEES],
    }
    return json.dumps({"mailbox": mailbox(number), "event": event}, separators=(",", ":"))


def crate(name):
    """The version in use."""
    return re.search(rf'name = "{name}"\nversion = "(.+)"', (HERE / "Cargo.lock").read_text())[1]


def package(name):
    return json.loads((HERE / "node_modules" / name / "package.json").read_text())["version"]


class Contestant:
    """At one fresh queue: a file in `home`, or a database of the server."""

    postgres = False
    recorded_statement = None

    def __init__(self, home, server):
        self.home, self.server = home, server
        self.queue = server.url(self.database()) if self.postgres else home / "queue.db"

    def database(self):
        name = f"queue_{next(NUMBERS)}"
        self.server.run(self.server.url("postgres"), f"CREATE DATABASE {name}")
        return name

    def rest(self):
        """What the server would have done by the time a backlog is old."""
        if self.postgres:
            self.server.run(self.queue, "VACUUM ANALYZE")
            self.server.run(self.queue, "CHECKPOINT")

    def ask(self, statement):
        if self.postgres:
            return int(self.server.run(self.queue, statement))
        connection = sqlite3.connect(self.queue, timeout=60)
        try:
            return connection.execute(statement).fetchone()[0]
        finally:
            connection.close()

    def recorded(self):
        """Rows whose end is in the queue."""
        return self.ask(self.recorded_statement)

    def fill(self, rows):
        path = self.home / "rows.ndjson"
        path.write_text("".join(job(number) + "\n" for number in range(rows)))
        subprocess.run([*map(str, self.command("fill")), path], check=True, stdout=subprocess.DEVNULL)

    def start(self, graph, orphans_after=None):
        """`orphans_after`: seconds until a dead worker's jobs are given to another, where that can be set."""
        with open(self.home / "log", "a") as log:
            return start([*self.command("work"), graph, *self.more(orphans_after)], stdout=log, stderr=log, cwd=self.home)

    def more(self, _orphans_after):
        return []

    def release(self):
        """What an administrator has to do after a kill, where nothing does it by itself soon."""


class EventSender(Contestant):
    @staticmethod
    def version():
        told = subprocess.run([EVENT_SENDER, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        return told.split()[1]

    recorded_statement = "SELECT count(*) FROM jobs WHERE state = 'sent'"

    def fill(self, rows):
        self.settings("http://127.0.0.1:1")
        subprocess.run([EVENT_SENDER, "migrate", "--config", self.home / "agent.toml"], check=True, stdout=subprocess.DEVNULL)
        if self.postgres:
            path = self.home / "rows.csv"
            with open(path, "w", newline="") as file:
                csv.writer(file).writerows(map(row, range(rows)))
            self.server.run(self.queue, f"\\copy jobs ({', '.join(COLUMNS)}) FROM '{path}' CSV")
            return
        with sqlite3.connect(self.queue) as connection:
            places = ", ".join("?" * len(COLUMNS))
            connection.executemany(f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({places})", map(row, range(rows)))
        connection.close()

    def settings(self, graph):
        queue = f'url = "{self.queue}"' if self.postgres else f'path = "{self.queue}"'
        secret = "far-side-secret"
        tenant, client = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
        (self.home / "agent.toml").write_text(
            f'[auth]\ninstance = "{graph}"\ntenant_id = "{tenant}"\nclient_id = "{client}"\nclient_secret = "{secret}"\n'
            f'[graph]\nendpoint = "{graph}"\n[queue]\n{queue}\n'
        )

    def start(self, graph, orphans_after=None):
        self.settings(graph)
        with open(self.home / "log", "a") as log:
            return start([EVENT_SENDER, "--config", self.home / "agent.toml", "run"], stdout=log, stderr=log, cwd=self.home)


class EventSenderSqlite(EventSender):
    name = "event-sender on SQLite"


class EventSenderPostgres(EventSender):
    name = "event-sender on PostgreSQL"
    postgres = True


class Apalis(Contestant):
    heartbeat = 30  # its default; what a dead worker had goes to another after this many seconds times `missed`

    def command(self, what):
        return [PEERS, "postgres" if self.postgres else "sqlite", self.queue if self.postgres else f"sqlite:{self.queue}", what]

    def more(self, orphans_after):
        return [orphans_after // self.missed if orphans_after else self.heartbeat]


class ApalisSqlite(Apalis):
    name = "apalis on SQLite"
    version = staticmethod(lambda: crate("apalis-sqlite"))
    missed = 2
    recorded_statement = "SELECT count(*) FROM Jobs WHERE status = 'Done'"


class ApalisPostgres(Apalis):
    name = "apalis on PostgreSQL"
    version = staticmethod(lambda: crate("apalis-postgres"))
    postgres = True
    missed = 10
    recorded_statement = "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'"


class Graphile(Contestant):
    name = "graphile-worker (Node) on PostgreSQL"
    version = staticmethod(lambda: package("graphile-worker"))
    postgres = True

    def command(self, what):
        return ["node", HERE / "node" / "graphile.mjs", self.queue, what]

    def fill(self, rows):
        super().fill(rows)
        self.rows = rows

    def recorded(self):
        """A job that is done is deleted."""
        return self.rows - self.ask("SELECT count(*) FROM graphile_worker._private_jobs")

    def release(self):
        locked = "SELECT array_agg(DISTINCT locked_by) FROM graphile_worker._private_jobs WHERE locked_by IS NOT NULL"
        self.server.run(self.queue, f"SELECT graphile_worker.force_unlock_workers(({locked}))")


class Loop(Contestant):
    name = "a loop with Microsoft's client (Node) on SQLite"
    version = staticmethod(lambda: package("@microsoft/microsoft-graph-client"))
    recorded_statement = "SELECT count(*) FROM events WHERE event_id IS NOT NULL"

    def command(self, what):
        return ["node", HERE / "node" / "loop.mjs", self.queue, what]


ALL = [EventSenderSqlite, ApalisSqlite, Loop, EventSenderPostgres, ApalisPostgres, Graphile]
