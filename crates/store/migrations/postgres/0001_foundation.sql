-- Times are milliseconds since 1970 in UTC.
-- row_mac covers every other column of its row.

CREATE TABLE instance (
    only_one            BIGINT PRIMARY KEY CHECK (only_one = 1),
    id                  UUID NOT NULL,
    root_provider       TEXT NOT NULL,
    root_parameters     TEXT NOT NULL,
    root_key_id         UUID NOT NULL,
    master              BYTEA NOT NULL,
    recovery_recipient  TEXT NOT NULL,
    recovery            BYTEA NOT NULL,
    created_at          BIGINT NOT NULL,
    row_mac             BYTEA NOT NULL
);

-- Keys sealed by the master key: one owner a purpose, or a team.
CREATE TABLE keys (
    owner       TEXT NOT NULL,
    team_id     BYTEA NOT NULL DEFAULT '',  -- empty for a purpose
    version     BIGINT NOT NULL,
    id          UUID NOT NULL UNIQUE,
    sealed      BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (owner, team_id, version)
);

CREATE TABLE teams (
    id          UUID PRIMARY KEY,
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    row_mac     BYTEA NOT NULL
);

CREATE TABLE users (
    id           UUID PRIMARY KEY,
    name         TEXT NOT NULL,
    email        TEXT,
    created_at   BIGINT NOT NULL,
    disabled_at  BIGINT,
    row_mac      BYTEA NOT NULL
);

CREATE TABLE memberships (
    team_id     UUID NOT NULL REFERENCES teams (id),
    user_id     UUID NOT NULL REFERENCES users (id),
    role        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    row_mac     BYTEA NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE TABLE api_keys (
    id          UUID PRIMARY KEY,
    team_id     UUID NOT NULL REFERENCES teams (id),
    user_id     UUID NOT NULL REFERENCES users (id),
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    token_hash  BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT,
    row_mac     BYTEA NOT NULL
);

-- By team: every look-up is within one, and ids rise with time, so a new row
-- goes to the end of its team's part of the index.
CREATE TABLE secrets (
    team_id       UUID NOT NULL,
    id            UUID NOT NULL,
    owner         UUID,
    name          TEXT NOT NULL,
    service_slug  TEXT,
    env_keys      TEXT NOT NULL,
    version       BIGINT NOT NULL,
    created_by    UUID NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    deleted_at    BIGINT,
    row_mac       BYTEA NOT NULL,
    PRIMARY KEY (team_id, id)
);

-- Sealed bytes don't get smaller: no attempt to compress them.
-- The blob itself is bound to its instance, team, secret and number.
CREATE TABLE versions (
    secret_id   UUID NOT NULL,
    number      BIGINT NOT NULL,
    sealed      BYTEA NOT NULL,
    created_by  UUID NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (secret_id, number)
);
ALTER TABLE versions ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE events (
    sequence        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              BIGINT NOT NULL,
    kind            TEXT NOT NULL,
    team_id         UUID,
    user_id         UUID,
    key_id          UUID,
    object_table    TEXT NOT NULL,
    object_id       UUID,
    object_version  BIGINT,
    object_mac      BYTEA,
    request_id      UUID
);

-- This engine's own. A row for each transaction, while it may have to be told
-- whether it was committed: its connection may break before the answer comes.
CREATE TABLE commits (
    id    UUID PRIMARY KEY,
    done  BIGINT[],  -- of several writes in one, those that were done
    at    TIMESTAMPTZ NOT NULL DEFAULT now()
);
