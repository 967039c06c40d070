-- Pushes that were accepted and have no answer yet, in the order in which they were. One goes in the
-- transaction that stores its build, or when it is known that there is none.
CREATE TABLE pushes (
    place       INTEGER PRIMARY KEY AUTOINCREMENT, -- names it for good
    repository  TEXT NOT NULL REFERENCES repositories (name),
    reference   TEXT NOT NULL,
    commit_id   TEXT NOT NULL,
    received_at TEXT NOT NULL
) STRICT;
