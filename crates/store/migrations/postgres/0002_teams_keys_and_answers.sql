-- Teams that end, keys with narrower grants, links, kept answers. The new
-- columns are null in every row from before, which leaves its row_mac true: a
-- field that is absent is no part of it.
--
-- Each index says what it is for. None of them has an entry for a secret that
-- isn't deleted, so creating and changing secrets costs what it did.

-- Since when nothing can be done with it but bring it back; since when its
-- keys are gone.
ALTER TABLE teams ADD COLUMN deleted_at BIGINT;
ALTER TABLE teams ADD COLUMN shredded_at BIGINT;

-- The one team that a service user is for; null: a person.
ALTER TABLE users ADD COLUMN service_of UUID REFERENCES teams (id);

-- Rows stay when a member goes, so that they can come back.
ALTER TABLE memberships ADD COLUMN removed_at BIGINT;

-- Ids of 16 bytes each, and networks with a space between them; null: any.
ALTER TABLE api_keys ADD COLUMN agents BYTEA;
ALTER TABLE api_keys ADD COLUMN networks TEXT;
ALTER TABLE api_keys ADD COLUMN created_by UUID;

-- Links by which a user makes a key of their own, once.
CREATE TABLE key_links (
    id              UUID PRIMARY KEY,
    team_id         UUID NOT NULL REFERENCES teams (id),
    user_id         UUID NOT NULL REFERENCES users (id),
    name            TEXT NOT NULL,
    role            TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    agents          BYTEA,
    networks        TEXT,
    key_expires_at  BIGINT,
    token_hash      BYTEA NOT NULL,
    created_by      UUID NOT NULL,
    made_with       UUID NOT NULL,  -- an API key, maybe of another team
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    closed_at       BIGINT,
    row_mac         BYTEA NOT NULL
);

-- Answers to requests that may come again. Neither id nor request can be
-- traced back to what was asked: they are keyed digests.
CREATE TABLE answers (
    id          BYTEA PRIMARY KEY,
    request     BYTEA NOT NULL,
    answer      BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    row_mac     BYTEA NOT NULL
);

-- When each key was last used. Beside the keys and without a MAC: it is
-- written often, and nothing is decided by it.
CREATE TABLE api_key_uses (
    key_id   UUID PRIMARY KEY REFERENCES api_keys (id),
    used_at  BIGINT NOT NULL
);

-- One user an address, whatever the case of its ASCII letters.
CREATE UNIQUE INDEX users_by_email ON users (lower(email COLLATE "C")) WHERE email IS NOT NULL;

-- A page of a team's keys, or of its open links, in their order.
CREATE INDEX api_keys_by_team ON api_keys (team_id, id);
CREATE INDEX key_links_open ON key_links (team_id, id) WHERE closed_at IS NULL;

-- What is due for purging, without a look at what isn't.
CREATE INDEX secrets_deleted ON secrets (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX memberships_removed ON memberships (removed_at) WHERE removed_at IS NOT NULL;

-- Answers that are old enough to be forgotten.
CREATE INDEX answers_by_age ON answers (created_at);
