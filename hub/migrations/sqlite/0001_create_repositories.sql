-- Times are UTC RFC 3339 with nine digits of a second, so that text sorts as time does.
-- Ids are the sixteen bytes of a ULID.

CREATE TABLE repositories (
    name     TEXT NOT NULL PRIMARY KEY,
    url      TEXT NOT NULL,
    hook_key TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Signed requests that were taken, until their signature is too old to be taken again.
CREATE TABLE nonces (
    repository TEXT NOT NULL REFERENCES repositories (name),
    nonce      TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (repository, nonce)
) STRICT, WITHOUT ROWID;

CREATE INDEX nonces_by_expiry ON nonces (expires_at);
