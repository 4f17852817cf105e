"""Inserts one event and waits for its result: python3 insert.py QUEUE KEY"""
import json, pathlib, sqlite3, sys, time

queue, key = pathlib.Path(sys.argv[1]).absolute(), sys.argv[2]
# mode=rw: a wrong path is an error, not a new and empty file. 30 s: so long it waits for another writer.
db = sqlite3.connect(queue.as_uri() + "?mode=rw", uri=True, timeout=30)
with db:  # one short transaction, committed at once
    row = db.execute(
        """INSERT INTO jobs (subject, start_time, end_time, time_zone, attendees, dedup_key)
           VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dedup_key) DO NOTHING""",
        ("Review", "2030-12-01 09:00", "2030-12-01 10:00", "Europe/Berlin",
         json.dumps([{"name": "Ann", "address": "ann@contoso.com"}]), key))
print("inserted" if row.rowcount else "was there already")

while True:
    state, event_id, kind, message = db.execute(
        "SELECT state, event_id, error_kind, error_message FROM jobs WHERE dedup_key = ?", (key,)).fetchone()
    if state in ("sent", "failed", "cancelled"):
        break
    time.sleep(1)
print(state, event_id or f"{kind}: {message}")
