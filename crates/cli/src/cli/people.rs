//! `strongroom members …`, `strongroom teams …`, `strongroom profile`,
//! `strongroom login` and `strongroom logout`.

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::client::{Common, Confirmed, Part, Server, Write, id};
use crate::profiles::ProfileName;

/// What somebody is in a team; each may do what those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Keeps secrets of their own.
    Member,
    /// Attaches shared secrets, and starts runs.
    Builder,
    /// Changes shared secrets.
    Manager,
    /// Manages members and keys.
    Administrator,
    /// Owns the team.
    Owner,
}

impl RoleName {
    /// As the wire has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Builder => "builder",
            Self::Manager => "manager",
            Self::Administrator => "administrator",
            Self::Owner => "owner",
        }
    }
}

/// What to do with the members of a team.
#[derive(Debug, Subcommand)]
pub(crate) enum Members {
    /// List the members of the team.
    List(ListMembers),
    /// Add somebody to the team.
    #[command(after_help = "\
Examples:
  strongroom members add --email ada@example.com --name Ada --role builder
  strongroom members add --service --name deploy --role builder
  strongroom members add --user-id ID --role member

The last form brings back somebody who was removed.")]
    Add(AddMember),
    /// Change a member's role.
    Update(UpdateMember),
    /// Remove a member; their keys end at once, and nobody inherits their personal secrets.
    Remove(RemoveMember),
}

/// `members list`.
#[derive(Debug, Args)]
pub(crate) struct ListMembers {
    /// Only those with this text in their name or address.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    #[command(flatten)]
    pub(crate) part: Part,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `members add`.
#[derive(Debug, Args)]
pub(crate) struct AddMember {
    #[command(flatten)]
    pub(crate) who: Who,
    /// What they are called; needed for a new address and for a service.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Their role.
    #[arg(long, value_enum)]
    pub(crate) role: RoleName,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Who is added.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Who {
    /// A person with this address.
    #[arg(long, value_name = "ADDRESS", requires = "name")]
    pub(crate) email: Option<String>,
    /// A service user, such as an agent host.
    #[arg(long, requires = "name")]
    pub(crate) service: bool,
    /// Somebody who was a member before.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) user_id: Option<Uuid>,
}

/// `members update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateMember {
    /// The member's id.
    #[arg(value_parser = id)]
    pub(crate) user_id: Uuid,
    /// Their new role.
    #[arg(long, value_enum)]
    pub(crate) role: RoleName,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `members remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveMember {
    /// The member's id.
    #[arg(value_parser = id)]
    pub(crate) user_id: Uuid,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub(crate) enum Teams {
    /// List the teams that your key belongs to.
    List(ListTeams),
    /// Show a team.
    Show(ShowTeam),
    /// Create a team, and print the link that gives you your first key in it.
    Create(CreateTeam),
    /// Give a team another name.
    Rename(RenameTeam),
    /// Delete a team with all that it has; `undelete` brings it back until it is purged.
    Delete(DeleteTeam),
    /// Bring a deleted team back.
    Undelete(UndeleteTeam),
}

/// `teams list`.
#[derive(Debug, Args)]
pub(crate) struct ListTeams {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `teams show`.
#[derive(Debug, Args)]
pub(crate) struct ShowTeam {
    /// The team's id [default: the API key's own]
    #[arg(value_parser = id)]
    pub(crate) id: Option<Uuid>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `teams create`.
#[derive(Debug, Args)]
pub(crate) struct CreateTeam {
    /// What it is called.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `teams rename`.
#[derive(Debug, Args)]
pub(crate) struct RenameTeam {
    /// The team's id.
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

/// `teams delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteTeam {
    /// The team's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) confirmed: Confirmed,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `teams undelete`.
#[derive(Debug, Args)]
pub(crate) struct UndeleteTeam {
    /// The team's id.
    #[arg(value_parser = id)]
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) write: Write,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `strongroom profile`.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `strongroom login`.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Read the API key from standard input [default: ask for it, on a terminal]
    #[arg(long)]
    pub(crate) api_key_stdin: bool,
    /// Read a link from standard input, use it, and store the key that it gives.
    #[arg(long, conflicts_with = "api_key_stdin")]
    pub(crate) link_stdin: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// `strongroom logout`.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The profile to forget [default: `STRONGROOM_PROFILE`, else `default`]
    #[arg(long, value_name = "NAME", value_parser = ProfileName::parse)]
    pub(crate) profile: Option<ProfileName>,
}
