-- The roles of a queue in PostgreSQL. Run it with psql, as a superuser or as a role that may create roles and schemas, in the
-- queue's database: before 'event-sender migrate' makes the tables, and once more after it, also after each update of the
-- program. It may be run as often as you like.
--
--   createdb events
--   psql -d events -f postgres-roles.sql
--   CREATE ROLE events_admin LOGIN PASSWORD '…' IN ROLE event_sender_owner;     -- for 'event-sender migrate'
--   CREATE ROLE events_agent LOGIN PASSWORD '…' IN ROLE event_sender_agent;     -- queue.url of the agents, and operators
--   CREATE ROLE crm LOGIN PASSWORD '…' IN ROLE event_sender_producer;           -- a program that inserts
--   CREATE ROLE grafana LOGIN PASSWORD '…' IN ROLE event_sender_reader;         -- a program that looks
--
-- All of them find the queue by its schema: options=-csearch_path%3Devent_sender at the end of the URL, or
-- ALTER ROLE … SET search_path = event_sender. For a second queue in the same database give it a name and roles of its own:
--
--   psql -d events -v schema=sales -f postgres-roles.sql                       -- roles sales_owner, sales_agent, …

\set ON_ERROR_STOP on
\if :{?schema}
\else
    \set schema event_sender
\endif
\set owner :schema _owner
\set agent :schema _agent
\set producer :schema _producer
\set reader :schema _reader

BEGIN;

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY[:'owner', :'agent', :'producer', :'reader']) AS name
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) \gexec

-- The owner makes the tables, and nobody else. Who is no superuser must be a member of it to give it the schema.
SELECT format('GRANT %I TO current_user', :'owner')
WHERE NOT pg_has_role(current_user, :'owner', 'MEMBER') \gexec
SELECT format('CREATE SCHEMA %I AUTHORIZATION %I', :'schema', :'owner')
WHERE NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = :'schema') \gexec
-- Where there was a schema of this name before.
GRANT USAGE, CREATE ON SCHEMA :"schema" TO :"owner";
GRANT USAGE ON SCHEMA :"schema" TO :"agent", :"producer", :"reader";

-- Whoever signs in as a member of the owner makes what the owner makes: its tables are the owner's.
SELECT to_regclass(format('%I.jobs', :'schema')) IS NOT NULL AS has_tables \gset
\if :has_tables
    SELECT format('ALTER TABLE %I.%I OWNER TO %I', schemaname, tablename, :'owner')
    FROM pg_tables WHERE schemaname = :'schema' AND tableowner <> :'owner' \gexec
    SELECT format('ALTER FUNCTION %s OWNER TO %I', p.oid::regprocedure, :'owner')
    FROM pg_proc AS p WHERE p.pronamespace = :'schema'::regnamespace AND pg_get_userbyid(p.proowner) <> :'owner' \gexec

    -- What an agent does, and what operators do by the program's commands.
    SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I', :'schema', name, :'agent')
    FROM unnest(ARRAY['jobs', 'attempts', 'mailboxes', 'mailings', 'agents', 'lanes', 'unsettled_turns']) AS name \gexec
    SELECT format('GRANT SELECT, UPDATE ON %I.queue_state TO %I', :'schema', :'agent') \gexec
    SELECT format('GRANT SELECT ON %I._sqlx_migrations TO %I', :'schema', :'agent') \gexec

    -- A producer inserts its jobs, sees what becomes of them, and corrects what has not left yet. It deletes nothing and moves
    -- no state: to call an event off it inserts a delete.
    SELECT format('GRANT SELECT, INSERT (%s), UPDATE (%s) ON %I.jobs TO %I', columns, columns, :'schema', :'producer')
    FROM (VALUES ('subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone, extra,
        dedup_key, not_before, not_after, priority, operation, event_key, target_event_id')) AS producers(columns) \gexec
    -- For 'event-sender enqueue'.
    SELECT format('GRANT SELECT ON %I._sqlx_migrations TO %I', :'schema', :'producer') \gexec

    -- Who looks sees everything, and changes nothing.
    SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', :'schema', :'reader') \gexec
\else
    \echo 'The tables are not there yet: run ''event-sender migrate'', then this script once more.'
\endif

COMMIT;
