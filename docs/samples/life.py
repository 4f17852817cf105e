"""Makes an event, moves it and deletes it: python3 life.py QUEUE KEY"""
import json, pathlib, sqlite3, sys, time

queue, key = pathlib.Path(sys.argv[1]).absolute(), sys.argv[2]
db = sqlite3.connect(queue.as_uri() + "?mode=rw", uri=True, timeout=30)

def job(operation, **columns):
    """One job of the event, and its result. Run again after a crash, it inserts nothing twice."""
    columns = {"operation": operation, "event_key": key, "dedup_key": f"{key}, {operation}", **columns}
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    with db:
        db.execute(f"INSERT INTO jobs ({names}) VALUES ({marks}) ON CONFLICT (dedup_key) DO NOTHING",
                   tuple(columns.values()))
    while True:
        state, event_id, kind, message = db.execute(
            "SELECT state, event_id, error_kind, error_message FROM jobs WHERE dedup_key = ?",
            (columns["dedup_key"],)).fetchone()
        if state in ("sent", "failed", "cancelled"):
            break
        time.sleep(1)
    print(operation, state, event_id or f"{kind}: {message}")

job("create", subject="Visit", start_time="2030-12-01 09:00", end_time="2030-12-01 10:00", time_zone="Europe/Berlin",
    attendees=json.dumps([{"name": "Ann", "address": "ann@contoso.com"}]))
job("update", start_time="2030-12-01 14:00", end_time="2030-12-01 15:00", time_zone="Europe/Berlin")
job("delete", body="The guest is ill.")
