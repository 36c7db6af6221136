//! Agents, their revisions, and what is attached to them.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, id, number, text};
use crate::query::{Query, Statement, Text};
use std::sync::LazyLock;
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::rows::Row;
use strongroom_core::rows::{RowMac, Stored};
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{AgentId, AttachmentId, RevisionId, SecretId, TeamId, UserId};

impl Record for Agent {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Agent::TABLE,
            &[id("team_id"), id("id")],
            &[
                text("name"),
                id("live"),
                number("generation"),
                id("created_by"),
                number("created_at"),
                number("updated_at"),
                number("deleted_at"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.team_id.as_bytes().into(),
            self.id.as_bytes().into(),
            self.name.as_str().into(),
            self.live.as_ref().map(RevisionId::as_bytes).into(),
            Value::number(self.generation),
            self.created_by.as_bytes().into(),
            self.created_at.into(),
            self.updated_at.into(),
            self.deleted_at.into(),
        ]
    }
}

impl Read for Agent {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            id: columns.id(AgentId::from_slice)?,
            name: columns.text(AgentName::parse)?,
            live: columns.optional_id(RevisionId::from_slice)?,
            generation: columns.number()?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
            deleted_at: columns.optional_time()?,
        })
    }
}

impl Record for Revision {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Revision::TABLE,
            &[id("team_id"), id("agent_id"), id("id")],
            &[text("name"), id("created_by"), number("created_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.team_id.as_bytes().into(),
            self.agent_id.as_bytes().into(),
            self.id.as_bytes().into(),
            self.name.as_str().into(),
            self.created_by.as_bytes().into(),
            self.created_at.into(),
        ]
    }
}

impl Read for Revision {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            agent_id: columns.id(AgentId::from_slice)?,
            id: columns.id(RevisionId::from_slice)?,
            name: columns.text(RevisionName::parse)?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
        })
    }
}

impl Record for Attachment {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Attachment::TABLE,
            &[id("team_id"), id("revision_id"), id("secret_id")],
            &[id("id"), id("created_by"), number("created_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.team_id.as_bytes().into(),
            self.revision_id.as_bytes().into(),
            self.secret_id.as_bytes().into(),
            self.id.as_bytes().into(),
            self.created_by.as_bytes().into(),
            self.created_at.into(),
        ]
    }
}

impl Read for Attachment {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            team_id: columns.id(TeamId::from_slice)?,
            revision_id: columns.id(RevisionId::from_slice)?,
            secret_id: columns.id(SecretId::from_slice)?,
            id: columns.id(AttachmentId::from_slice)?,
            created_by: columns.id(UserId::from_slice)?,
            created_at: columns.time()?,
        })
    }
}

static AGENTS: LazyLock<String> = LazyLock::new(|| {
    Agent::shape().select("team_id = ?1 AND id > ?2 AND deleted_at IS NULL ORDER BY team_id, id LIMIT ?3")
});

/// A page of a team's agents.
pub(crate) fn agents(team: TeamId, after: Option<AgentId>, limit: u32) -> Query<'static, Stored<Agent>> {
    let after = after.map_or([0; 16], |agent| *agent.as_bytes());
    Query::new(
        Agent::TABLE,
        AGENTS.as_str(),
        [team.as_bytes().into(), Value::Id(after), Value::number(limit)],
    )
}

static REVISION: LazyLock<String> = LazyLock::new(|| Revision::shape().select("team_id = ?1 AND id = ?2"));

/// A revision, of whichever agent.
pub(crate) fn revision(team: TeamId, revision: RevisionId) -> Query<'static, Stored<Revision>> {
    Query::new(Revision::TABLE, REVISION.as_str(), [team.as_bytes().into(), revision.as_bytes().into()])
}

static REVISIONS: LazyLock<String> = LazyLock::new(|| {
    Revision::shape()
        .select("team_id = ?1 AND agent_id = ?2 AND id > ?3 ORDER BY team_id, agent_id, id LIMIT ?4")
});

/// A page of an agent's revisions.
pub(crate) fn revisions(
    (team, agent): (TeamId, AgentId),
    after: Option<RevisionId>,
    limit: u32,
) -> Query<'static, Stored<Revision>> {
    let after = after.map_or([0; 16], |revision| *revision.as_bytes());
    let values = [team.as_bytes().into(), agent.as_bytes().into(), Value::Id(after), Value::number(limit)];
    Query::new(Revision::TABLE, REVISIONS.as_str(), values)
}

static ATTACHED: LazyLock<String> =
    LazyLock::new(|| Attachment::shape().select("team_id = ?1 AND revision_id = ?2"));

/// What is attached to a revision.
pub(crate) fn attachments(team: TeamId, revision: RevisionId) -> Query<'static, Stored<Attachment>> {
    Query::new(Attachment::TABLE, ATTACHED.as_str(), [team.as_bytes().into(), revision.as_bytes().into()])
}

/// Where a secret is attached.
pub(crate) fn attachments_of(
    team: TeamId,
    secret: SecretId,
    limit: u32,
) -> Query<'static, Stored<Attachment>> {
    static OF_SECRET: LazyLock<Text> = LazyLock::new(|| {
        let select = Attachment::shape().select("team_id = ?1 AND secret_id = ?2 LIMIT ?3");
        // By its key it would read all that is attached in the team.
        let by_secret = "FROM attachments INDEXED BY attachments_by_secret";
        Text::hinted(select.replace("FROM attachments", by_secret), "")
    });
    let values = [team.as_bytes().into(), secret.as_bytes().into(), Value::number(limit)];
    Query::new(Attachment::TABLE, &*OF_SECRET, values)
}

/// Takes away an attachment, while it is as it was seen.
pub(crate) fn detach(
    (team, revision, secret): (TeamId, RevisionId, SecretId),
    was: &RowMac,
) -> Statement<'_> {
    let delete =
        "DELETE FROM attachments WHERE team_id = ?1 AND revision_id = ?2 AND secret_id = ?3 AND row_mac = ?4";
    let was = Value::bytes(was.as_bytes().as_slice());
    let values = [team.as_bytes().into(), revision.as_bytes().into(), secret.as_bytes().into(), was];
    Query::new(Attachment::TABLE, delete, values)
}
