-- Further root keys, each of another kind: any of them opens the instance.

CREATE TABLE root_copies (
    provider    TEXT PRIMARY KEY,
    parameters  TEXT NOT NULL,
    key_id      BLOB NOT NULL,
    master      BLOB NOT NULL,  -- the master key, sealed by this root key
    created_at  INTEGER NOT NULL,
    row_mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of the instance's own keys.
CREATE INDEX events_of_keys ON events (sequence) WHERE object_table IN ('instance', 'keys', 'root_copies');
