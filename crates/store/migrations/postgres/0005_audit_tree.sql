-- The tree over the events, from which nothing can be taken unseen. Whoever can write here
-- can break it, and is found by the heads that are kept elsewhere.

-- The newest signed head; one row.
CREATE TABLE audit_head (
    only_one  BIGINT PRIMARY KEY CHECK (only_one = 1),
    size      BIGINT NOT NULL,
    settled   BIGINT NOT NULL,  -- up to here every event has its leaf, or will never be there
    note      TEXT NOT NULL,
    at        BIGINT NOT NULL
);

-- Which leaves are which events, as far as both follow one another.
CREATE TABLE audit_spans (
    leaf      BIGINT PRIMARY KEY,
    sequence  BIGINT NOT NULL UNIQUE,
    count     BIGINT NOT NULL
);

-- The hashes, up to 16 a row; no attempt to compress them.
CREATE TABLE audit_tiles (
    level   BIGINT NOT NULL,
    place   BIGINT NOT NULL,
    hashes  BYTEA NOT NULL,
    PRIMARY KEY (level, place)
);
ALTER TABLE audit_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- How far each place has got to which events are sent as they are sealed.
CREATE TABLE audit_sinks (
    name  TEXT PRIMARY KEY,
    leaf  BIGINT NOT NULL
);
