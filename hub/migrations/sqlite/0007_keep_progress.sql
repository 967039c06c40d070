-- What a build consists of, and where each of its jobs and steps stands, as `cofferdam_pipeline::progress` counts it. How
-- a job ended follows from how its steps did.
--
-- Tables that others refer to are made anew, so this runs while foreign keys are not enforced; they are checked
-- afterwards.

DROP VIEW job_states;
DROP TRIGGER a_job_that_is_over_gets_no_attempt;
DROP TRIGGER a_job_ends_after_its_attempt;

-- What the newest attempt of each job said of its steps. Until now a retry began with the first step again.
CREATE TABLE said AS
SELECT
    steps.job,
    steps.step,
    steps.place,
    jobs.build,
    jobs.ordinal,
    jobs.outcome,
    newest.id IS NOT NULL AND newest.ended_by IS NULL AS is_live,
    json_extract(reports.result, '$.result') AS result,
    json_extract(reports.result, '$.exit') AS exit,
    reports.attempt IS NOT NULL AS is_begun
FROM steps
JOIN jobs ON jobs.id = steps.job
LEFT JOIN attempts AS newest ON newest.job = jobs.id
    AND newest.fence = (SELECT max(tries.fence) FROM attempts AS tries WHERE tries.job = jobs.id)
LEFT JOIN step_reports AS reports ON reports.attempt = newest.id AND reports.step = steps.step;

-- The first step of a job that did not pass.
CREATE TABLE ill AS
SELECT build, job, ordinal, outcome, min(place) AS place FROM said
WHERE result IS NOT 'passed' AND outcome IS NOT 'passed' GROUP BY job;

ALTER TABLE steps ADD COLUMN skip TEXT; -- why its condition says no, in a sentence
ALTER TABLE steps ADD COLUMN standing TEXT NOT NULL DEFAULT '{"state":"waiting"}' CHECK (json_valid(standing));

UPDATE steps SET standing = CASE
    WHEN said.outcome = 'passed' THEN json_object('state', 'passed')
    WHEN said.outcome = 'not run' THEN
        (SELECT json_object('state', 'not-run', 'why',
                json_object('because', 'earlier-step-failed', 'job', ill.ordinal, 'step', ill.place))
            FROM ill WHERE ill.build = said.build AND ill.outcome IN ('failed', 'error', 'cancelled')
            ORDER BY ill.ordinal LIMIT 1)
    WHEN said.outcome IS NULL AND NOT said.is_live THEN json_object('state', 'waiting')
    WHEN said.place < (SELECT ill.place FROM ill WHERE ill.job = said.job) THEN json_object('state', 'passed')
    WHEN said.place > (SELECT ill.place FROM ill WHERE ill.job = said.job) THEN
        CASE WHEN said.outcome IS NULL THEN json_object('state', 'waiting')
        ELSE json_object('state', 'not-run', 'why', json_object('because', 'earlier-step-failed', 'job', said.ordinal,
            'step', (SELECT ill.place FROM ill WHERE ill.job = said.job))) END
    WHEN said.result = 'passed' THEN json_object('state', 'passed')
    WHEN coalesce(nullif(said.result, 'not-run'), said.outcome) = 'failed' THEN
        json_object('state', 'failed', 'exit', said.exit)
    WHEN coalesce(nullif(said.result, 'not-run'), said.outcome) = 'error' THEN json_object('state', 'error')
    WHEN coalesce(nullif(said.result, 'not-run'), said.outcome) = 'cancelled' THEN
        json_object('state', 'cancelled', 'by', NULL)
    WHEN said.is_begun THEN json_object('state', 'running')
    ELSE json_object('state', 'waiting') END
FROM said WHERE said.job = steps.job AND said.step = steps.step;

CREATE TABLE new_builds (
    place        INTEGER PRIMARY KEY,    -- the order of admission
    id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    repository   TEXT    NOT NULL REFERENCES repositories (name),
    number       INTEGER NOT NULL CHECK (number >= 1),
    reference    TEXT    NOT NULL,
    commit_id    TEXT    NOT NULL,
    received_at  TEXT    NOT NULL,
    trust        TEXT    NOT NULL CHECK (trust IN ('trusted', 'untrusted')),
    selected     TEXT    NOT NULL,
    diagnostics  TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN
        ('invalid', 'queued', 'running', 'paused', 'passed', 'failed', 'error', 'cancelled')),
    finished_at  TEXT,
    outline      TEXT CHECK (json_valid(outline)), -- of its plan; never changes
    is_cancelled INTEGER NOT NULL DEFAULT 0 CHECK (is_cancelled IN (0, 1)),
    UNIQUE (repository, number),
    UNIQUE (repository, reference, commit_id),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running', 'paused'))),
    CHECK ((outline IS NULL) = (state = 'invalid'))
) STRICT;

-- What the language did not let run until now fails when its turn comes, as it was planned: these outlines know no
-- groups, no gates and no conditions.
INSERT INTO new_builds
SELECT
    place, id, repository, number, reference, commit_id, received_at, trust, selected, diagnostics, state, finished_at,
    CASE WHEN state <> 'invalid' THEN json_object(
        'jobs', json((SELECT json_group_array(json_object(
                'needs', json(jobs.needs),
                'steps', json((SELECT json_group_array(json_object(
                        'manual', json('false'), 'skip', json('false'), 'fail_fast', json('false')))
                    FROM steps WHERE steps.job = jobs.id)),
                'group', NULL,
                'is_final', json('false')) ORDER BY jobs.ordinal)
            FROM jobs WHERE jobs.build = builds.id)),
        'groups', json('[]')) END,
    EXISTS (SELECT 1 FROM jobs JOIN attempts ON attempts.job = jobs.id
        WHERE jobs.build = builds.id AND attempts.ended_by IS NULL AND attempts.is_cancel_wanted)
FROM builds;

CREATE TABLE new_jobs (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    build    BLOB    NOT NULL REFERENCES builds (id),
    ordinal  INTEGER NOT NULL CHECK (ordinal >= 0),
    runs_on  TEXT    NOT NULL CHECK (json_valid(runs_on)),
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'paused', 'ready', 'running', 'ended')),
    stopping TEXT CHECK (json_valid(stopping)), -- why its attempt is to be stopped
    ended_at TEXT,                              -- when neither it nor its attempt lived any more
    UNIQUE (build, ordinal),
    CHECK (stopping IS NULL OR state = 'running'),
    CHECK (ended_at IS NULL OR state = 'ended')
) STRICT, WITHOUT ROWID;

INSERT INTO new_jobs
SELECT
    jobs.id, jobs.build, jobs.ordinal, jobs.runs_on,
    CASE
        WHEN jobs.outcome IS NOT NULL THEN 'ended'
        WHEN live.id IS NOT NULL THEN 'running'
        WHEN EXISTS (SELECT 1 FROM json_each(jobs.needs) AS need
            JOIN jobs AS needed ON needed.build = jobs.build AND needed.ordinal = need.value
            WHERE needed.outcome IS NOT 'passed') THEN 'waiting'
        ELSE 'ready' END,
    CASE WHEN live.is_cancel_wanted THEN json_object('for', 'build-cancelled') END,
    CASE WHEN jobs.outcome IS NOT NULL THEN
        coalesce(jobs.ended_at, (SELECT max(others.ended_at) FROM jobs AS others WHERE others.build = jobs.build)) END
FROM jobs LEFT JOIN attempts AS live ON live.job = jobs.id AND live.ended_by IS NULL;

DROP TABLE said;
DROP TABLE ill;
DROP TABLE jobs;
DROP TABLE builds;
ALTER TABLE new_builds RENAME TO builds;
ALTER TABLE new_jobs RENAME TO jobs;

-- What a ref pointed to before it was pushed, if that is known.
ALTER TABLE pushes ADD COLUMN before TEXT;

CREATE INDEX jobs_ready ON jobs (build) WHERE state = 'ready';

CREATE TRIGGER only_a_job_that_runs_gets_an_attempt
BEFORE INSERT ON attempts
WHEN (SELECT state FROM jobs WHERE id = NEW.job) IS NOT 'running'
BEGIN
    SELECT raise(ABORT, 'the job does not run');
END;

CREATE TRIGGER a_job_waits_again_after_its_attempt
BEFORE UPDATE OF state ON jobs
WHEN NEW.state NOT IN ('running', 'ended')
    AND EXISTS (SELECT 1 FROM attempts WHERE job = NEW.id AND ended_by IS NULL)
BEGIN
    SELECT raise(ABORT, 'the job has a live attempt');
END;

CREATE TRIGGER a_job_is_over_after_its_attempt
BEFORE UPDATE OF ended_at ON jobs
WHEN NEW.ended_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM attempts WHERE job = NEW.id AND ended_by IS NULL)
BEGIN
    SELECT raise(ABORT, 'the job has a live attempt');
END;

-- Jobs with all from which their state follows.
CREATE VIEW job_states AS
SELECT
    builds.place,
    jobs.id,
    jobs.build,
    jobs.ordinal,
    json_extract(builds.outline, '$.jobs[' || jobs.ordinal || '].needs') AS needs,
    json_extract(builds.outline, '$.jobs[' || jobs.ordinal || '].is_final') AS is_final,
    jobs.runs_on,
    jobs.state,
    jobs.stopping,
    jobs.ended_at,
    (SELECT json_group_array(
            json_object('spec', json(steps.spec), 'skip', steps.skip, 'state', json(steps.standing)) ORDER BY steps.place)
        FROM steps WHERE steps.job = jobs.id) AS steps,
    (SELECT json_group_array(json_object('step', steps.step, 'state', json(steps.standing)) ORDER BY steps.place)
        FROM steps WHERE steps.job = jobs.id) AS standings,
    (SELECT coalesce(max(tries.fence), 0)
        FROM attempts AS tries WHERE tries.job = jobs.id) AS tries,
    (SELECT count(*)
        FROM attempts AS lost WHERE lost.job = jobs.id AND lost.ended_by = 'lost') AS losses,
    live.id AS attempt,
    live.fence,
    live.runner,
    live.lease_until,
    live.started_at,
    live.is_cancel_wanted
FROM jobs
JOIN builds ON builds.id = jobs.build
LEFT JOIN attempts AS live ON live.job = jobs.id AND live.ended_by IS NULL;
