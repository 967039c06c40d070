CREATE TABLE attempts (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    job              BLOB    NOT NULL REFERENCES jobs (id),
    fence            INTEGER NOT NULL CHECK (fence >= 1),
    runner           BLOB    NOT NULL REFERENCES runners (id),
    lease_until      TEXT    NOT NULL,
    started_at       TEXT,
    is_cancel_wanted INTEGER NOT NULL CHECK (is_cancel_wanted IN (0, 1)),
    ended_by         TEXT CHECK (ended_by IN ('finished', 'lost', 'returned')),
    position         INTEGER CHECK (position >= 1), -- the last report that is stored
    log_bytes        INTEGER NOT NULL CHECK (log_bytes >= 0),
    UNIQUE (job, fence),
    CHECK (ended_by IS NOT 'lost' OR started_at IS NOT NULL),
    CHECK (ended_by IS NOT 'returned' OR started_at IS NULL)
) STRICT, WITHOUT ROWID;

-- A job has at most one live attempt, and none once it is over.
CREATE UNIQUE INDEX live_attempts ON attempts (job) WHERE ended_by IS NULL;

CREATE TRIGGER a_job_that_is_over_gets_no_attempt
BEFORE INSERT ON attempts
WHEN (SELECT outcome FROM jobs WHERE id = NEW.job) IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'the job is over');
END;

CREATE TRIGGER a_job_ends_after_its_attempt
BEFORE UPDATE OF outcome ON jobs
WHEN NEW.outcome IS NOT NULL
    AND EXISTS (SELECT 1 FROM attempts WHERE job = NEW.id AND ended_by IS NULL)
BEGIN
    SELECT raise(ABORT, 'the job has a live attempt');
END;

CREATE TRIGGER an_ended_attempt_stays_ended
BEFORE UPDATE OF ended_by ON attempts
WHEN OLD.ended_by IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'the attempt has ended');
END;

CREATE TABLE step_reports (
    attempt  BLOB    NOT NULL REFERENCES attempts (id),
    job      BLOB    NOT NULL,
    step     INTEGER NOT NULL,
    began_at TEXT,
    ended_at TEXT,
    result   TEXT CHECK (json_valid(result)),
    receipt  TEXT CHECK (json_valid(receipt)),
    PRIMARY KEY (attempt, step),
    FOREIGN KEY (job, step) REFERENCES steps (job, step),
    CHECK (began_at IS NOT NULL OR ended_at IS NOT NULL),
    CHECK ((ended_at IS NULL) = (result IS NULL)),
    CHECK ((ended_at IS NULL) = (receipt IS NULL))
) STRICT;

-- Jobs with all from which their state follows.
CREATE VIEW job_states AS
SELECT
    builds.place,
    jobs.id,
    jobs.build,
    jobs.ordinal,
    jobs.needs,
    jobs.runs_on,
    jobs.outcome,
    jobs.ended_at,
    (SELECT json_group_array(json(steps.spec) ORDER BY steps.place)
        FROM steps WHERE steps.job = jobs.id) AS steps,
    (SELECT coalesce(max(tries.fence), 0)
        FROM attempts AS tries WHERE tries.job = jobs.id) AS tries,
    live.id AS attempt,
    live.fence,
    live.runner,
    live.lease_until,
    live.started_at,
    live.is_cancel_wanted
FROM jobs
JOIN builds ON builds.id = jobs.build
LEFT JOIN attempts AS live ON live.job = jobs.id AND live.ended_by IS NULL;
