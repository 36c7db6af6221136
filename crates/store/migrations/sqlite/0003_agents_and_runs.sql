-- Agents, their revisions, what is attached to them, and runs with what they
-- received.

CREATE TABLE agents (
    team_id     BLOB NOT NULL,
    id          BLOB NOT NULL,
    name        TEXT NOT NULL,
    live        BLOB,              -- a revision
    generation  INTEGER NOT NULL,  -- how often all of its runs were revoked
    created_by  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER,
    row_mac     BLOB NOT NULL,
    PRIMARY KEY (team_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    team_id     BLOB NOT NULL,
    agent_id    BLOB NOT NULL,
    id          BLOB NOT NULL,
    name        TEXT NOT NULL,
    created_by  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    row_mac     BLOB NOT NULL,
    PRIMARY KEY (team_id, agent_id, id)
) STRICT, WITHOUT ROWID;

-- A secret is attached to a revision once; the id tells which came later.
CREATE TABLE attachments (
    team_id      BLOB NOT NULL,
    revision_id  BLOB NOT NULL,
    secret_id    BLOB NOT NULL,
    id           BLOB NOT NULL,
    created_by   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    row_mac      BLOB NOT NULL,
    PRIMARY KEY (team_id, revision_id, secret_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id           BLOB PRIMARY KEY,
    team_id      BLOB NOT NULL REFERENCES teams (id),
    agent_id     BLOB NOT NULL,
    revision_id  BLOB NOT NULL,
    user_id      BLOB NOT NULL REFERENCES users (id),
    key_id       BLOB NOT NULL,
    generation   INTEGER NOT NULL,  -- the agent's, when it was started
    strict       INTEGER NOT NULL,
    note         TEXT,
    composition  TEXT NOT NULL,     -- a line a secret: its id, and the names that it won
    token_hash   BLOB NOT NULL,
    lease        INTEGER NOT NULL,  -- seconds
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    stopped_at   INTEGER,
    revoked_at   INTEGER,
    row_mac      BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What runs received, a row for each version and set of names. Without a MAC:
-- nothing is decided by it, and each has its event.
CREATE TABLE deliveries (
    run_id     BLOB NOT NULL,
    secret_id  BLOB NOT NULL,
    version    INTEGER NOT NULL,
    env_keys   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (run_id, secret_id, version, env_keys)
) STRICT, WITHOUT ROWID;

-- In whose name, and of which agent, something is told.
ALTER TABLE events ADD COLUMN agent_id BLOB;
ALTER TABLE events ADD COLUMN revision_id BLOB;
ALTER TABLE events ADD COLUMN run_id BLOB;

-- A revision whose agent isn't named; what is attached of a secret, when it
-- goes; a page of a team's runs or an agent's; the runs that received a secret.
CREATE UNIQUE INDEX revisions_by_id ON revisions (team_id, id);
CREATE INDEX attachments_by_secret ON attachments (team_id, secret_id);
CREATE INDEX runs_by_team ON runs (team_id);
CREATE INDEX runs_by_agent ON runs (team_id, agent_id);
CREATE INDEX deliveries_by_secret ON deliveries (secret_id, version);
