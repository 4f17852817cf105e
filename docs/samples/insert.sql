-- sqlite3 -bail -init /dev/null -cmd '.timeout 30000' QUEUE < insert.sql
INSERT INTO jobs (subject, body, start_time, end_time, time_zone, location, attendees, dedup_key)
VALUES ('Review', 'Agenda attached', '2030-12-01T09:00:00', '2030-12-01T10:00:00', 'Europe/Berlin', 'Room 1',
        '[{"name":"Ann","address":"ann@contoso.com","required":true}]', 'order-4711')
ON CONFLICT (dedup_key) DO NOTHING;

-- The result, later and as often as you like:
SELECT state, event_id, error_kind, error_message FROM jobs WHERE dedup_key = 'order-4711';
