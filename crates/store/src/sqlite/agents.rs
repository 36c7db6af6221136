//! Agents, their revisions, and what is attached to them.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params};
use std::sync::LazyLock;

use super::rows::{self, Columns};
use super::tables::{self, Sql, Table};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{AgentId, AttachmentId, RevisionId, SecretId, StoreError, TeamId, UserId};

impl Table for Agent {
    fn sql() -> &'static Sql {
        const COLUMNS: [&str; 7] =
            ["name", "live", "generation", "created_by", "created_at", "updated_at", "deleted_at"];
        static SQL: LazyLock<Sql> = LazyLock::new(|| Sql::new(Agent::TABLE, &["team_id", "id"], &COLUMNS));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            id: columns.id(AgentId::from_slice)?,
            name: columns.text(AgentName::parse)?,
            live: columns.optional_id(RevisionId::from_slice)?,
            generation: columns.value()?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            deleted_at: columns.optional_time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.team_id.as_bytes(),
            self.id.as_bytes(),
            self.name.as_str(),
            self.live.as_ref().map(RevisionId::as_bytes),
            self.generation,
            self.created_by.as_bytes(),
            self.created_at.as_millis(),
            self.updated_at.as_millis(),
            self.deleted_at.map(Timestamp::as_millis),
        ])
    }
}

impl Table for Revision {
    fn sql() -> &'static Sql {
        static SQL: LazyLock<Sql> = LazyLock::new(|| {
            let key = ["team_id", "agent_id", "id"];
            Sql::new(Revision::TABLE, &key, &["name", "created_by", "created_at"])
        });
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            agent_id: columns.id(AgentId::from_slice)?,
            id: columns.id(RevisionId::from_slice)?,
            name: columns.text(RevisionName::parse)?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.team_id.as_bytes(),
            self.agent_id.as_bytes(),
            self.id.as_bytes(),
            self.name.as_str(),
            self.created_by.as_bytes(),
            self.created_at.as_millis(),
        ])
    }
}

impl Table for Attachment {
    fn sql() -> &'static Sql {
        const KEY: [&str; 3] = ["team_id", "revision_id", "secret_id"];
        static SQL: LazyLock<Sql> =
            LazyLock::new(|| Sql::new(Attachment::TABLE, &KEY, &["id", "created_by", "created_at"]));
        &SQL
    }

    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            revision_id: columns.id(RevisionId::from_slice)?,
            secret_id: columns.id(SecretId::from_slice)?,
            id: columns.id(AttachmentId::from_slice)?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
        })
    }

    fn values<R>(&self, then: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        then(params![
            self.team_id.as_bytes(),
            self.revision_id.as_bytes(),
            self.secret_id.as_bytes(),
            self.id.as_bytes(),
            self.created_by.as_bytes(),
            self.created_at.as_millis(),
        ])
    }
}

pub(super) static AGENTS: LazyLock<String> = LazyLock::new(|| {
    Agent::sql().select("team_id = ? AND id > ? AND deleted_at IS NULL ORDER BY team_id, id LIMIT ?")
});

/// A page of a team's agents.
pub(super) fn select_agents(
    connection: &Connection,
    team: TeamId,
    after: Option<AgentId>,
    limit: u32,
) -> rusqlite::Result<Vec<Stored<Agent>>> {
    let after = after.map_or([0; 16], |agent| *agent.as_bytes());
    tables::all(connection, &AGENTS, params![team.as_bytes(), after, limit])
}

pub(super) static REVISIONS: LazyLock<String> = LazyLock::new(|| {
    Revision::sql().select("team_id = ? AND agent_id = ? AND id > ? ORDER BY team_id, agent_id, id LIMIT ?")
});

pub(super) static REVISION: LazyLock<String> =
    LazyLock::new(|| Revision::sql().select("team_id = ? AND id = ?"));

/// A revision, of whichever agent.
pub(super) fn select_revision(
    connection: &Connection,
    team: TeamId,
    revision: RevisionId,
) -> rusqlite::Result<Option<Stored<Revision>>> {
    tables::one(connection, &REVISION, params![team.as_bytes(), revision.as_bytes()])
}

/// A page of an agent's revisions.
pub(super) fn select_revisions(
    connection: &Connection,
    (team, agent): (TeamId, AgentId),
    after: Option<RevisionId>,
    limit: u32,
) -> rusqlite::Result<Vec<Stored<Revision>>> {
    let after = after.map_or([0; 16], |revision| *revision.as_bytes());
    tables::all(connection, &REVISIONS, params![team.as_bytes(), agent.as_bytes(), after, limit])
}

pub(super) static ATTACHED: LazyLock<String> =
    LazyLock::new(|| Attachment::sql().select("team_id = ? AND revision_id = ?"));

/// What is attached to a revision.
pub(super) fn select_attachments(
    connection: &Connection,
    team: TeamId,
    revision: RevisionId,
) -> rusqlite::Result<Vec<Stored<Attachment>>> {
    tables::all(connection, &ATTACHED, params![team.as_bytes(), revision.as_bytes()])
}

/// Takes away an attachment, while it is as it was seen.
pub(super) fn detach(
    transaction: &Connection,
    (team, revision, secret): (TeamId, RevisionId, SecretId),
    was: RowMac,
) -> Result<(), StoreError> {
    let delete =
        "DELETE FROM attachments WHERE team_id = ? AND revision_id = ? AND secret_id = ? AND row_mac = ?";
    let values = params![team.as_bytes(), revision.as_bytes(), secret.as_bytes(), was.as_bytes()];
    tables::as_seen(rows::execute(transaction, Attachment::TABLE, delete, values)?)
}
