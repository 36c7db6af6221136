-- What people sign in with, their sessions, the links by which they come to have
-- either, and those by which they are asked for a secret. The new columns are null in every row from before.

-- One a user. What it holds is one sealed blob.
CREATE TABLE sign_ins (
    user_id     BLOB PRIMARY KEY REFERENCES users (id),
    id          BLOB NOT NULL,     -- another one each time it is set up
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    row_mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Browsers in which somebody signed in.
CREATE TABLE sessions (
    id          BLOB PRIMARY KEY,
    team_id     BLOB NOT NULL REFERENCES teams (id),
    user_id     BLOB NOT NULL REFERENCES users (id),
    sign_in     BLOB NOT NULL,
    browser     TEXT,
    token_hash  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    row_mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Links by which a member comes to sign in.
CREATE TABLE invitations (
    id          BLOB PRIMARY KEY,
    team_id     BLOB NOT NULL REFERENCES teams (id),
    user_id     BLOB NOT NULL REFERENCES users (id),
    token_hash  BLOB NOT NULL,
    created_by  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    closed_at   INTEGER,
    row_mac     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests that somebody fill in a secret.
CREATE TABLE fill_requests (
    id            BLOB PRIMARY KEY,
    team_id       BLOB NOT NULL REFERENCES teams (id),
    user_id       BLOB NOT NULL REFERENCES users (id),
    key_id        BLOB,
    run_id        BLOB,     -- with the two after it, or none of the three
    agent_id      BLOB,
    revision_id   BLOB,
    name          TEXT NOT NULL,
    service_slug  TEXT,
    env_keys      TEXT NOT NULL,  -- a line each
    note          TEXT,
    token_hash    BLOB NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    closed_at     INTEGER,
    secret_id     BLOB,     -- what it was filled in as
    row_mac       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Since when their links are enough to do so.
ALTER TABLE teams ADD COLUMN fills_by_link_since INTEGER;

-- By which sign-in a member comes in.
ALTER TABLE memberships ADD COLUMN sign_in BLOB;

-- In which session something was done.
ALTER TABLE events ADD COLUMN session_id BLOB;

-- What the access table refused and why, and how often it was asked for again.
ALTER TABLE events ADD COLUMN refusal TEXT;
ALTER TABLE events ADD COLUMN repeats INTEGER;

-- A user's teams; their open sessions; a team's open invitations and requests;
-- what is old enough to be forgotten; a team's deleted
-- secrets, its events, and its refusals.
CREATE INDEX memberships_by_user ON memberships (user_id);
CREATE INDEX sessions_by_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX invitations_open ON invitations (team_id) WHERE closed_at IS NULL;
CREATE INDEX fill_requests_open ON fill_requests (team_id, expires_at, id) WHERE closed_at IS NULL;
CREATE INDEX fill_requests_by_end ON fill_requests (expires_at);
CREATE INDEX invitations_by_end ON invitations (expires_at);
CREATE INDEX secrets_to_bring_back ON secrets (team_id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX events_refused ON events (team_id, at) WHERE kind = 'access.denied';
CREATE INDEX events_by_team ON events (team_id);
