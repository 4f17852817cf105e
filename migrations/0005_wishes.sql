-- When the producer of a waiting job wishes it to be sent: one answer, in one place. It was strftime's, which takes much
-- that is no time for one (a date alone, a Julian day), and rounds the last moments of the calendar past its end, to NULL,
-- so that a job meant to wait for ever was due at once.

-- `due` in the agent's form, rounded up, never later than the last moment of the year 9999. NULL where not_before is NULL or no time, or where start or end surely are none: such a job is due at once, and the agent fails it
-- with the reason. The agent reads not_before by the same rules (src/job/times.rs), a test holds the two together: what it
-- took for a time and this did not would be sent too early. For that reason start and end are judged only by what no form
-- of theirs can do without.
--
-- Every step by hand and in whole numbers: down to SQLite 3.26 strftime is right about seconds and about dates that exist
-- (the modifier makes it look). Each LIMIT keeps SQLite from putting a step's text into the next step wherever that names
-- it, a hundred times in the end.
DROP VIEW IF EXISTS job_wishes;
CREATE VIEW job_wishes AS
SELECT id, (
    SELECT strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03dZ', ms % 1000)
    FROM (
        -- Of a time before 1970 it is enough to know that it is over.
        SELECT max(0, min(253402300799999, 1000 * (CAST(strftime('%s', day || ' ' || clock || ':' || second) AS INTEGER)
                - 60 * CASE WHEN east IN ('', 'Z', 'z') THEN 0
                    ELSE CASE substr(east, 1, 1) WHEN '-' THEN -1 ELSE 1 END * (60 * CAST(substr(east, 2, 2) AS INTEGER)
                        + CASE WHEN length(east) > 3 THEN CAST(substr(east, -2) AS INTEGER) ELSE 0 END) END)
                + CAST(substr(fraction || '000', 1, 3) AS INTEGER) + (trim(substr(fraction, 4), '0') <> ''))) AS ms
        FROM (
            SELECT day, clock, second, substr(rest, 2, digits) AS fraction,
                ltrim(substr(rest, 1 + digits + (digits > 0)), ' ') AS east
            FROM (
                SELECT day, clock, second, rest, CASE WHEN rest GLOB '.[0-9]*'
                    THEN length(rest) - 1 - length(ltrim(substr(rest, 2), '0123456789')) ELSE 0 END AS digits
                FROM (
                    SELECT substr(t, 1, 10) AS day, substr(t, 12, 5) AS clock,
                        CASE WHEN substr(t, 17) GLOB ':[0-5][0-9]*' THEN substr(t, 18, 2) ELSE '00' END AS second,
                        substr(t, CASE WHEN substr(t, 17) GLOB ':[0-5][0-9]*' THEN 20 ELSE 17 END) AS rest
                    FROM (
                        SELECT trim(jobs.not_before, char(9, 10, 11, 12, 13, 32)) AS t,
                            trim(jobs.start_time, char(9, 10, 11, 12, 13, 32)) AS s,
                            trim(jobs.end_time, char(9, 10, 11, 12, 13, 32)) AS e
                        LIMIT 1
                    )
                    WHERE typeof(jobs.not_before) = 'text' AND typeof(jobs.start_time) = 'text' AND typeof(jobs.end_time) = 'text'
                        -- ASCII alone, without a NUL, at which some functions stop.
                        AND length(CAST(t AS BLOB)) = length(t)
                        AND t GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][Tt ][0-2][0-9]:[0-5][0-9]*'
                        AND substr(t, 12, 2) < '24' AND substr(t, 1, 4) > '0000'
                        AND strftime('%Y-%m-%d', substr(t, 1, 10), '+0 days') = substr(t, 1, 10)
                        AND (s GLOB '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND (length(CAST(s AS BLOB)) <> length(s)
                        OR (strftime('%Y-%m-%d', substr(s, 1, 10), '+0 days') = substr(s, 1, 10) AND (length(s) = 10
                            OR (substr(s, 11) GLOB '[Tt ][0-2][0-9]:[0-5][0-9]*' AND substr(s, 12, 2) < '24')))))
                        AND (e GLOB '*[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND (length(CAST(e AS BLOB)) <> length(e)
                        OR (strftime('%Y-%m-%d', substr(e, 1, 10), '+0 days') = substr(e, 1, 10) AND (length(e) = 10
                            OR (substr(e, 11) GLOB '[Tt ][0-2][0-9]:[0-5][0-9]*' AND substr(e, 12, 2) < '24')))))
                    LIMIT 1
                )
                LIMIT 1
            )
            LIMIT 1
        )
        WHERE east IN ('', 'Z', 'z') OR (substr(east, 2, 2) <= '14' AND (east GLOB '[+-][0-9][0-9]'
            OR east GLOB '[+-][0-9][0-9][0-5][0-9]' OR east GLOB '[+-][0-9][0-9]:[0-5][0-9]'))
        LIMIT 1
    )
) AS due
FROM jobs;

DROP TRIGGER jobs_not_before_inserted;
CREATE TRIGGER jobs_not_before_inserted AFTER INSERT ON jobs
WHEN NEW.not_before IS NOT NULL AND NEW.state = 'pending'
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(next_attempt_at, coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id;
END;

-- Also for the job that failed or was cancelled, was corrected, and goes back to pending.
DROP TRIGGER jobs_not_before_changed;
CREATE TRIGGER jobs_not_before_changed AFTER UPDATE OF not_before, start_time, end_time, state ON jobs
WHEN NEW.state = 'pending' AND (NEW.not_before IS NOT NULL OR OLD.not_before IS NOT NULL)
BEGIN
    UPDATE jobs
    SET next_attempt_at = max(
        CASE WHEN NEW.not_before IS OLD.not_before AND NEW.start_time IS OLD.start_time AND NEW.end_time IS OLD.end_time
            THEN next_attempt_at ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END,
        coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = NEW.id), ''))
    WHERE id = NEW.id;
END;

-- Whoever brings a job forward by hand brings it forward to its wish at most. The trigger above does the work: here it
-- would be paid for by every insert, too.
DROP TRIGGER IF EXISTS jobs_not_before_is_heeded;
CREATE TRIGGER jobs_not_before_is_heeded AFTER UPDATE OF next_attempt_at ON jobs
WHEN NEW.state = 'pending' AND NEW.not_before IS NOT NULL AND NEW.next_attempt_at < OLD.next_attempt_at
BEGIN
    UPDATE jobs SET not_before = not_before WHERE id = NEW.id;
END;

-- What waits already. A job of which nothing was ever tried and that wishes what is no time, or has none, is told at once.
UPDATE jobs SET next_attempt_at = (SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id)
WHERE state = 'pending' AND not_before IS NOT NULL
    AND next_attempt_at < (SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id);
UPDATE jobs SET next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
WHERE state = 'pending' AND not_before IS NOT NULL AND claims = 0 AND in_doubt = 0
    AND next_attempt_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    AND (SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id) IS NULL;
