// A table, a loop and Microsoft's client for Graph: what is written first when an application has to send events.
//
//     node loop.mjs FILE fill ROWS
//     node loop.mjs FILE work GRAPH

import { readFileSync } from "node:fs";
import { Client } from "@microsoft/microsoft-graph-client";
import Database from "better-sqlite3";
import { token } from "./token.mjs";

const IN_FLIGHT = 64;
const READ_TOGETHER = 1000;
const [file, what, where] = process.argv.slice(2);

const database = new Database(file);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec("CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, mailbox TEXT, event TEXT, event_id TEXT)");

function fill() {
  const insert = database.prepare("INSERT INTO events (mailbox, event) VALUES (?, ?)");
  const lines = readFileSync(where, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  database.transaction(() => lines.forEach(({ mailbox, event }) => insert.run(mailbox, JSON.stringify(event))))();
}

function* waiting() {
  const next = database.prepare("SELECT id, mailbox, event FROM events WHERE event_id IS NULL AND id > ? ORDER BY id LIMIT ?");
  for (let rows, last = 0; (rows = next.all(last, READ_TOGETHER)).length > 0; last = rows.at(-1).id) yield* rows;
}

async function work() {
  const client = Client.init({ baseUrl: where, authProvider: (done) => token(where).then((text) => done(null, text), done) });
  const sent = database.prepare("UPDATE events SET event_id = ? WHERE id = ?");
  const rows = waiting();
  async function slot() {
    for (const { id, mailbox, event } of rows) {
      // The client itself hands its token to https hosts only.
      const request = client.api(`/users/${mailbox}/events`).header("authorization", `Bearer ${await token(where)}`);
      sent.run((await request.post(JSON.parse(event))).id, id);
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, slot));
}

await (what === "fill" ? fill() : work());
