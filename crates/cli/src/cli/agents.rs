//! `strongroom agents …`, `strongroom revisions …` and
//! `strongroom revision-secrets …`.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::client::{Common, Confirmed, Part, Write, id};

/// What to do with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// List the agents of the team.
    List(ListAgents),
    /// Create an agent.
    Create(CreateAgent),
    /// Show an agent.
    Get(OneAgent),
    /// Give an agent another name.
    Update(UpdateAgent),
    /// Delete an agent; its runs end at once.
    Delete(DeleteAgent),
}

/// `agents list`.
#[derive(Debug, Args)]
pub(crate) struct ListAgents {
    /// Only those with this text in their name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    #[command(flatten)]
    pub(crate) part: Part,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `agents create`.
#[derive(Debug, Args)]
pub(crate) struct CreateAgent {
    /// What it is called.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `agents get`.
#[derive(Debug, Args)]
pub(crate) struct OneAgent {
    /// The agent's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `agents update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateAgent {
    /// The agent's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// What it is called from now on.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `agents delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteAgent {
    /// The agent's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to do with the revisions of an agent.
#[derive(Debug, Subcommand)]
pub(crate) enum Revisions {
    /// List the revisions of an agent.
    List(ListRevisions),
    /// Create a revision; an agent's first is live.
    Create(CreateRevision),
    /// Show a revision.
    Get(OneRevision),
    /// Make a revision the live one, from which runs start that name none.
    Promote(Promote),
    /// Show which names a run of yours would get and from which secrets, never the values.
    #[command(after_help = "\
Example:
  strongroom revisions preview ID --agent ID

Where several secrets have the same name, yours win over shared ones, and among
those the one attached later: WHY says why one won, OVER over which.")]
    Preview(OneRevision),
}

/// `revisions list`.
#[derive(Debug, Args)]
pub(crate) struct ListRevisions {
    /// The agent's id.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Uuid,
    #[command(flatten)]
    pub(crate) part: Part,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `revisions create`.
#[derive(Debug, Args)]
pub(crate) struct CreateRevision {
    /// The agent's id.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Uuid,
    /// What it is called.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `revisions get`, `revisions preview`.
#[derive(Debug, Args)]
pub(crate) struct OneRevision {
    /// The revision's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// The agent's id.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Uuid,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `revisions promote`.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The revision's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    /// Give it this name as well.
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to do with the secrets of a revision.
#[derive(Debug, Subcommand)]
pub(crate) enum RevisionSecrets {
    /// List the secrets that are attached to a revision.
    List(ListAttached),
    /// Attach a secret to a revision, so that runs of it get its values.
    Attach(Attach),
    /// Detach a secret from a revision; runs that have its values keep them.
    Detach(Detach),
}

/// Which revision.
#[derive(Debug, Args)]
pub(crate) struct OfRevision {
    /// The agent's id.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) agent: Uuid,
    /// The revision's id.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) revision: Uuid,
}

/// `revision-secrets list`.
#[derive(Debug, Args)]
pub(crate) struct ListAttached {
    #[command(flatten)]
    pub(crate) of: OfRevision,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `revision-secrets attach`.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    #[command(flatten)]
    pub(crate) of: OfRevision,
    /// The secret's id.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) secret: Uuid,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `revision-secrets detach`.
#[derive(Debug, Args)]
pub(crate) struct Detach {
    /// The secret's id.
    #[arg(value_parser = id)]
    pub(crate) secret: Uuid,
    #[command(flatten)]
    pub(crate) of: OfRevision,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}
