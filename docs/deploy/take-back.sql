-- Takes back a move from SQLite to PostgreSQL ('event-sender migrate --copy-from queue.db'): an agent starts on the file again, and
-- producers write into it. Run it with sqlite3, and only while the queue in PostgreSQL has none of these jobs, or has sent none of
-- them and never will: docs/operate/postgres.md says how to know.
--
--   sqlite3 -bail -init /dev/null queue.db < take-back.sql

BEGIN IMMEDIATE;
DROP TRIGGER moved_jobs_inserted;
DROP TRIGGER moved_jobs_changed;
DROP TRIGGER moved_jobs_deleted;
DROP TABLE moved;
DELETE FROM _sqlx_migrations WHERE version = 1000000;
COMMIT;
