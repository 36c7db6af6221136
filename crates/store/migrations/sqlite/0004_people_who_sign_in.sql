-- What people sign in with, their sessions, and the links by which they come to
-- have either. The new columns are null in every row from before.

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

-- By which sign-in a member comes in.
ALTER TABLE memberships ADD COLUMN sign_in BLOB;

-- In which session something was done.
ALTER TABLE events ADD COLUMN session_id BLOB;

-- A user's teams; their open sessions; a team's open invitations; what is old
-- enough to be forgotten.
CREATE INDEX memberships_by_user ON memberships (user_id);
CREATE INDEX sessions_by_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX invitations_open ON invitations (team_id) WHERE closed_at IS NULL;
CREATE INDEX invitations_by_end ON invitations (expires_at);
