-- Agents, their revisions, what is attached to them, and runs with what they
-- received.

CREATE TABLE agents (
    team_id     UUID NOT NULL,
    id          UUID NOT NULL,
    name        TEXT NOT NULL,
    live        UUID,              -- a revision
    generation  BIGINT NOT NULL,  -- how often all of its runs were revoked
    created_by  UUID NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT,
    row_mac     BYTEA NOT NULL,
    PRIMARY KEY (team_id, id)
);

CREATE TABLE revisions (
    team_id     UUID NOT NULL,
    agent_id    UUID NOT NULL,
    id          UUID NOT NULL,
    name        TEXT NOT NULL,
    created_by  UUID NOT NULL,
    created_at  BIGINT NOT NULL,
    row_mac     BYTEA NOT NULL,
    PRIMARY KEY (team_id, agent_id, id)
);

-- A secret is attached to a revision once; the id tells which came later.
CREATE TABLE attachments (
    team_id      UUID NOT NULL,
    revision_id  UUID NOT NULL,
    secret_id    UUID NOT NULL,
    id           UUID NOT NULL,
    created_by   UUID NOT NULL,
    created_at   BIGINT NOT NULL,
    row_mac      BYTEA NOT NULL,
    PRIMARY KEY (team_id, revision_id, secret_id)
);

-- Without references: each start would lock the rows of its team and starter.
CREATE TABLE runs (
    id           UUID PRIMARY KEY,
    team_id      UUID NOT NULL,
    agent_id     UUID NOT NULL,
    revision_id  UUID NOT NULL,
    user_id      UUID NOT NULL,
    key_id       UUID NOT NULL,
    generation   BIGINT NOT NULL,  -- the agent's, when it was started
    strict       BIGINT NOT NULL,
    note         TEXT,
    composition  TEXT NOT NULL,     -- a line a secret: its id, and the names that it won
    token_hash   BYTEA NOT NULL,
    lease        BIGINT NOT NULL,  -- seconds
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    stopped_at   BIGINT,
    revoked_at   BIGINT,
    row_mac      BYTEA NOT NULL
);

-- What runs received, a row for each version and set of names. Without a MAC:
-- nothing is decided by it, and each has its event.
CREATE TABLE deliveries (
    run_id     UUID NOT NULL,
    secret_id  UUID NOT NULL,
    version    BIGINT NOT NULL,
    env_keys   TEXT NOT NULL,
    at         BIGINT NOT NULL
);

-- The names by their digest: an entry of an index has room for a few of them.
CREATE UNIQUE INDEX deliveries_once
    ON deliveries (run_id, secret_id, version, sha256(env_keys::bytea));

-- In whose name, and of which agent, something is told.
ALTER TABLE events ADD COLUMN agent_id UUID;
ALTER TABLE events ADD COLUMN revision_id UUID;
ALTER TABLE events ADD COLUMN run_id UUID;

-- A revision whose agent isn't named; what is attached of a secret, when it
-- goes; a page of a team's runs or an agent's; the runs that received a secret.
CREATE UNIQUE INDEX revisions_by_id ON revisions (team_id, id);
CREATE INDEX attachments_by_secret ON attachments (team_id, secret_id);
CREATE INDEX runs_by_team ON runs (team_id, id);
CREATE INDEX runs_by_agent ON runs (team_id, agent_id, id);
CREATE INDEX deliveries_by_secret ON deliveries (secret_id, version, run_id);
