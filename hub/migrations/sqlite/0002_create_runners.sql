CREATE TABLE runners (
    place      INTEGER PRIMARY KEY,     -- the order of joining
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name       TEXT NOT NULL,
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    labels     TEXT NOT NULL CHECK (json_valid(labels)),
    state      TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
    joined_at  TEXT NOT NULL,
    seen_at    TEXT
) STRICT;

-- One-time tokens, by their hash. One that was used names the runner it let in.
CREATE TABLE tokens (
    hash       BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    labels     TEXT NOT NULL CHECK (json_valid(labels)),
    expires_at TEXT NOT NULL,
    used_by    BLOB REFERENCES runners (id)
) STRICT, WITHOUT ROWID;
