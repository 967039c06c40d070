CREATE TABLE builds (
    place       INTEGER PRIMARY KEY,    -- the order of admission
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    repository  TEXT    NOT NULL REFERENCES repositories (name),
    number      INTEGER NOT NULL CHECK (number >= 1),
    reference   TEXT    NOT NULL,
    commit_id   TEXT    NOT NULL,
    received_at TEXT    NOT NULL,
    trust       TEXT    NOT NULL CHECK (trust IN ('trusted', 'untrusted')),
    selected    TEXT    NOT NULL,
    diagnostics TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN
        ('invalid', 'queued', 'running', 'passed', 'failed', 'error', 'cancelled')),
    finished_at TEXT,
    UNIQUE (repository, number),
    UNIQUE (repository, reference, commit_id),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running')))
) STRICT;

-- A job without an outcome is leased if it has a live attempt, else queued.
CREATE TABLE jobs (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    build    BLOB    NOT NULL REFERENCES builds (id),
    ordinal  INTEGER NOT NULL CHECK (ordinal >= 0),
    needs    TEXT    NOT NULL CHECK (json_valid(needs)),
    runs_on  TEXT    NOT NULL CHECK (json_valid(runs_on)),
    outcome  TEXT CHECK (outcome IN ('passed', 'failed', 'error', 'cancelled', 'not run')),
    ended_at TEXT,
    UNIQUE (build, ordinal),
    CHECK ((outcome IS NULL OR outcome = 'not run') = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_to_do ON jobs (build) WHERE outcome IS NULL;

-- What the steps of a job are to do, frozen when the build was admitted.
CREATE TABLE steps (
    job   BLOB    NOT NULL REFERENCES jobs (id),
    step  INTEGER NOT NULL CHECK (step BETWEEN 0 AND 65535),
    place INTEGER NOT NULL,             -- the order of execution
    spec  TEXT    NOT NULL CHECK (json_valid(spec)),
    PRIMARY KEY (job, step),
    UNIQUE (job, place)
) STRICT;
