-- The tree over the events, from which nothing can be taken unseen. Whoever can write here
-- can break it, and is found by the heads that are kept elsewhere.

-- The newest signed head; one row.
CREATE TABLE audit_head (
    only_one  INTEGER PRIMARY KEY CHECK (only_one = 1),
    size      INTEGER NOT NULL,
    settled   INTEGER NOT NULL,  -- up to here every event has its leaf, or will never be there
    note      TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

-- Which leaves are which events, as far as both follow one another.
CREATE TABLE audit_spans (
    leaf      INTEGER PRIMARY KEY,
    sequence  INTEGER NOT NULL UNIQUE,
    count     INTEGER NOT NULL
) STRICT;

-- The hashes, up to 16 a row.
CREATE TABLE audit_tiles (
    level   INTEGER NOT NULL,
    place   INTEGER NOT NULL,
    hashes  BLOB NOT NULL,
    PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;

-- How far each place has got to which events are sent as they are sealed.
CREATE TABLE audit_sinks (
    name  TEXT PRIMARY KEY,
    leaf  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
