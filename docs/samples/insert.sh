#!/bin/sh
# Inserts one event and waits for its result: sh insert.sh QUEUE KEY
set -eu
sql() { sqlite3 -bail -init /dev/null -cmd '.timeout 30000' "$@"; }

sql "$1" "INSERT INTO jobs (subject, start_time, end_time, time_zone, dedup_key)
    VALUES ('Review', '2030-12-01 09:00', '2030-12-01 10:00', 'Europe/Berlin', '$2')
    ON CONFLICT (dedup_key) DO NOTHING"

while result=$(sql "$1" "SELECT state, coalesce(event_id, error_kind || ': ' || error_message, '') FROM jobs
    WHERE dedup_key = '$2'"); do
    case $result in
        pending* | claimed*) sleep 1 ;;
        *) break ;;
    esac
done
echo "$result"
