-- Ids are the 16 bytes of a UUID, times milliseconds since 1970 in UTC.
-- row_mac covers every other column of its row.

CREATE TABLE instance (
    only_one            INTEGER PRIMARY KEY CHECK (only_one = 1),
    id                  BLOB NOT NULL,
    root_provider       TEXT NOT NULL,
    root_parameters     TEXT NOT NULL,
    root_key_id         BLOB NOT NULL,
    master              BLOB NOT NULL,
    recovery_recipient  TEXT NOT NULL,
    recovery            BLOB NOT NULL,
    created_at          INTEGER NOT NULL,
    row_mac             BLOB NOT NULL
) STRICT;

-- Keys sealed by the master key: one owner a purpose, or a team.
CREATE TABLE keys (
    owner       TEXT NOT NULL,
    team_id     BLOB NOT NULL DEFAULT x'',  -- empty for a purpose
    version     INTEGER NOT NULL,
    id          BLOB NOT NULL UNIQUE,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (owner, team_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE teams (
    id          BLOB PRIMARY KEY,
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    row_mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id           BLOB PRIMARY KEY,
    name         TEXT NOT NULL,
    email        TEXT,
    created_at   INTEGER NOT NULL,
    disabled_at  INTEGER,
    row_mac      BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    team_id     BLOB NOT NULL REFERENCES teams (id),
    user_id     BLOB NOT NULL REFERENCES users (id),
    role        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    row_mac     BLOB NOT NULL,
    PRIMARY KEY (team_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id          BLOB PRIMARY KEY,
    team_id     BLOB NOT NULL REFERENCES teams (id),
    user_id     BLOB NOT NULL REFERENCES users (id),
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    token_hash  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER,
    row_mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Clustered by team: every look-up is within one, and ids rise with time, so a
-- new row goes to the end of its team's pages. No second index to keep.
CREATE TABLE secrets (
    team_id       BLOB NOT NULL,
    id            BLOB NOT NULL,
    owner         BLOB,
    name          TEXT NOT NULL,
    service_slug  TEXT,
    env_keys      TEXT NOT NULL,
    version       INTEGER NOT NULL,
    created_by    BLOB NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    deleted_at    INTEGER,
    row_mac       BLOB NOT NULL,
    PRIMARY KEY (team_id, id)
) STRICT, WITHOUT ROWID;

-- The blob itself is bound to its instance, team, secret and number.
CREATE TABLE versions (
    secret_id   BLOB NOT NULL,
    number      INTEGER NOT NULL,
    sealed      BLOB NOT NULL,
    created_by  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (secret_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    sequence        INTEGER PRIMARY KEY,
    at              INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    team_id         BLOB,
    user_id         BLOB,
    key_id          BLOB,
    object_table    TEXT NOT NULL,
    object_id       BLOB,
    object_version  INTEGER,
    object_mac      BLOB,
    request_id      BLOB
) STRICT;
