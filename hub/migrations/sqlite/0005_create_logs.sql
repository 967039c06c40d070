-- Log frames as they came over the wire: each holds its attempt and its records.
CREATE TABLE log_frames (
    build BLOB    NOT NULL REFERENCES builds (id),
    last  INTEGER NOT NULL CHECK (last >= 1), -- the number of its last record in the build, from 1
    frame BLOB    NOT NULL,
    PRIMARY KEY (build, last)
) STRICT;
