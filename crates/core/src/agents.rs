//! Agents, their revisions, and which secrets are attached to them. A revision
//! never changes but for what is attached to it and what it is called.

use crate::clock::Timestamp;
use crate::ids::{AgentId, AttachmentId, RevisionId, SecretId, TeamId, UserId};
use crate::rows::{Fields, Row};
use crate::text::{AgentName, RevisionName};

/// A program that acts for a team.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Names it, within its team.
    pub id: AgentId,
    /// Whose it is.
    pub team_id: TeamId,
    /// What people call it.
    pub name: AgentName,
    /// Which revision a run is of that names none.
    pub live: Option<RevisionId>,
    /// How often all of its runs were revoked. A run is good only while this is
    /// what it was when it was started.
    pub generation: u32,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// Since when it is gone. The row stays: its runs are told of by it.
    pub deleted_at: Option<Timestamp>,
}

impl Row for Agent {
    const TABLE: &'static str = "agents";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.optional("live", self.live.as_ref().map(RevisionId::as_bytes));
        fields.number("generation", self.generation.into());
        fields.bytes("created_by", self.created_by.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("updated_at", self.updated_at.as_millis());
        fields.optional_number("deleted_at", self.deleted_at.map(Timestamp::as_millis));
    }
}

/// A version of an agent.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Names it, within its team.
    pub id: RevisionId,
    /// In which team.
    pub team_id: TeamId,
    /// Of which agent it is.
    pub agent_id: AgentId,
    /// What people call it.
    pub name: RevisionName,
    /// Who created it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

impl Row for Revision {
    const TABLE: &'static str = "revisions";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("agent_id", self.agent_id.as_bytes());
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.bytes("created_by", self.created_by.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
    }
}

/// That a secret belongs to a revision's environment.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// In which team.
    pub team_id: TeamId,
    /// To which revision.
    pub revision_id: RevisionId,
    /// Which secret. It is attached to a revision once.
    pub secret_id: SecretId,
    /// Tells which of two is the later.
    pub id: AttachmentId,
    /// Who attached it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

impl Attachment {
    /// The most secrets attached to a revision, counted for each who attaches:
    /// the team's and their own.
    pub const MAX: usize = 64;
}

impl Row for Attachment {
    const TABLE: &'static str = "attachments";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("team_id", self.team_id.as_bytes());
        fields.bytes("revision_id", self.revision_id.as_bytes());
        fields.bytes("secret_id", self.secret_id.as_bytes());
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("created_by", self.created_by.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
    }
}
