// Inserts one event and waits for its result: node insert.mjs QUEUE KEY        (Node.js 22.13 or newer)
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";

const [queue, key] = process.argv.slice(2);
if (!existsSync(queue)) throw new Error(`there is no queue at ${queue}`); // it would be made, and be empty
const db = new DatabaseSync(queue);
db.exec("PRAGMA busy_timeout = 30000"); // milliseconds it waits for another writer
const { changes } = db
  .prepare(
    `INSERT INTO jobs (subject, start_time, end_time, time_zone, attendees, dedup_key)
     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dedup_key) DO NOTHING`,
  )
  .run("Review", "2030-12-01T09:00:00", "2030-12-01T10:00:00", "Europe/Berlin",
    JSON.stringify([{ name: "Ann", address: "ann@contoso.com" }]), key);
console.log(changes === 1 ? "inserted" : "was there already");

const look = db.prepare("SELECT state, event_id, error_kind, error_message FROM jobs WHERE dedup_key = ?");
let row = look.get(key);
while (row.state === "pending" || row.state === "claimed") {
  await setTimeout(1000);
  row = look.get(key);
}
console.log(row.state, row.event_id ?? `${row.error_kind}: ${row.error_message}`);
