-- Moves a queue from PostgreSQL into a SQLite file. Run it with psql, as the owner of the schema, with all agents stopped. It prints
-- what sqlite3 reads:
--
--   psql "$URL" -XqAt -f postgres-to-sqlite.sql > queue.sql
--   event-sender migrate --config sqlite.toml              # queue.path = "queue.db", a new file
--   sqlite3 -bail -init /dev/null queue.db < queue.sql
--
-- From then on no agent starts on the queue in PostgreSQL, and nobody inserts there. That is taken back by
--   DELETE FROM _sqlx_migrations WHERE version = 1000000; DROP TRIGGER moved_away ON jobs; DROP FUNCTION moved_away;

\set ON_ERROR_STOP on
SET TimeZone = 'UTC';
BEGIN;
LOCK TABLE agents, jobs, attempts, mailboxes, mailings IN SHARE ROW EXCLUSIVE MODE;

DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM agents WHERE gone_at IS NULL AND lease_until > clock_timestamp()) THEN
        RAISE EXCEPTION 'an agent is running on this queue: stop it first';
    END IF;
END $$;
INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (1000000, 'moved', true, '', 0);
CREATE FUNCTION moved_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this queue has moved to a SQLite file: write to the table jobs there';
END $$;
CREATE TRIGGER moved_away BEFORE INSERT OR UPDATE OR DELETE ON jobs FOR EACH STATEMENT EXECUTE FUNCTION moved_away();

-- Each column as SQLite has it. What an agent had claimed is in doubt, as after any death of one.
CREATE FUNCTION pg_temp.moment(timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT to_char($1, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
CREATE TEMP VIEW out_jobs AS
SELECT id, subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone, extra, dedup_key,
    not_before, not_after, priority, operation, event_key, target_event_id,
    CASE state WHEN 'claimed' THEN 'pending' ELSE state END AS state, event_id, web_link, ical_uid, join_url,
    (in_doubt OR state = 'claimed')::int AS in_doubt, attempts, claims, pg_temp.moment(next_attempt_at) AS next_attempt_at,
    transaction_id, mailbox_key, (mails AND state <> 'claimed')::int AS mails, error_kind, cause, http_status, error_code,
    error_message, request_id, pg_temp.moment(created_at) AS created_at, pg_temp.moment(claimed_at) AS claimed_at,
    pg_temp.moment(finished_at) AS finished_at,
    pg_temp.moment(CASE state WHEN 'claimed' THEN coalesce(first_sent_at, claimed_at) ELSE first_sent_at END) AS first_sent_at,
    pg_temp.moment(give_up_at) AS give_up_at, CASE WHEN state <> 'claimed' THEN defaulted END AS defaulted,
    CASE state WHEN 'claimed' THEN 'claim ' || claims ELSE settled END AS settled, behind, pg_temp.moment(expires_at) AS expires_at,
    pg_temp.moment(ends_at) AS ends_at
FROM jobs ORDER BY id;
CREATE TEMP VIEW out_attempts AS
SELECT job_id, claim, pg_temp.moment(started_at) AS started_at, duration_ms, outcome, http_status, error_code, message, request_id,
    client_request_id
FROM attempts ORDER BY job_id, claim;
CREATE TEMP VIEW out_mailboxes AS
SELECT mailbox, pg_temp.moment(paused_until) AS paused_until, reason, error_kind, strikes, pg_temp.moment(updated_at) AS updated_at,
    pg_temp.moment(held_at) AS held_at, held_reason, pg_temp.moment(asked_until) AS asked_until,
    pg_temp.moment(resumed_at) AS resumed_at, pg_temp.moment(paced_until) AS paced_until, paced_reason
FROM mailboxes ORDER BY mailbox;
CREATE TEMP VIEW out_mailings AS
SELECT mailbox, pg_temp.moment(minute) AS minute, jobs, recipients FROM mailings ORDER BY mailbox, minute;

-- One INSERT for each row, in which the row is JSON: what SQLite reads from that is text, number or NULL as it was here.
CREATE FUNCTION pg_temp.inserts(of text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    names text;
    read text;
BEGIN
    SELECT string_agg(attname, ', ' ORDER BY attnum), string_agg('json_extract(j, ''$.' || attname || ''')', ', ' ORDER BY attnum)
    INTO names, read
    FROM pg_attribute WHERE attrelid = ('pg_temp.out_' || of)::regclass AND attnum > 0;
    RETURN QUERY EXECUTE format(
        'SELECT ''INSERT INTO %s (%s) SELECT %s FROM (SELECT '''''' || replace(row_to_json(o)::text, '''''''', '''''''''''') || '''''' AS j);''
        FROM pg_temp.out_%s AS o', of, names, replace(read, '''', ''''''), of);
END $$;

-- The triggers of the file would take the past of a job for news. They are off in this one session.
SELECT '.dbconfig enable_trigger off';
SELECT 'BEGIN IMMEDIATE;';
-- Into an empty queue only.
SELECT 'INSERT INTO jobs (id) SELECT ''the queue in this file is not empty'' WHERE EXISTS (SELECT 1 FROM jobs);';
SELECT pg_temp.inserts('jobs');
SELECT pg_temp.inserts('attempts');
SELECT pg_temp.inserts('mailboxes');
SELECT pg_temp.inserts('mailings');
-- No id is ever given twice.
SELECT format('UPDATE sqlite_sequence SET seq = max(seq, %s) WHERE name = ''jobs'';', last_value) FROM jobs_id_seq;
SELECT 'COMMIT;';
COMMIT;
